"""Networks of open_clip, whose image tower and text tower put pictures and words into one space.

Named `open_clip:NAME/WEIGHTS` as open_clip has them, `open_clip:NAME` with a checkpoint as weights (RemoteCLIP is
published so), or a folder or repository with open_clip_config.json. A checkpoint is read without running its code.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import torch
from torch import nn

from mlrsnet_hf.configuration.json_file import read_json
from mlrsnet_hf.configuration.settings import Range
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError, UnknownNameError, WeightsError, name_alternatives
from mlrsnet_hf.escaping import shortened
from mlrsnet_hf.hub_download import download_folder
from mlrsnet_hf.models import OPEN_CLIP, PRETRAINED, RANDOM
from mlrsnet_hf.models.preprocessing import Preprocessing
from mlrsnet_hf.models.saved_config import refuse_unusable_input, require_enough
from mlrsnet_hf.models.weights import find_weights_file, first_line

CLIP_CONFIG_FILE = "open_clip_config.json"
CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""The first that is there."""
TOKENIZER_FILES = ("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "*.model")

_REMEDY = "Give a model as open_clip publishes it."


class _Preprocessing(TypedDict, total=False):
    """What open_clip_config.json says of images, and what open_clip keeps of it with a network."""

    size: Any
    mean: tuple[Annotated[float, Range(-100, 100)], ...]
    std: tuple[Annotated[float, Range(0.0001, 100)], ...]
    interpolation: Literal["bicubic", "bilinear", "random"]
    resize_mode: Literal["shortest", "squash", "longest"]


class _Config(TypedDict, total=False):
    preprocess_cfg: _Preprocessing


class ClipNetwork(nn.Module):
    """Both towers of a network of open_clip; as other networks that embed, it has `forward_features` and so on.

    Args:
        network: The network.
        architecture: open_clip's name of it.
        tokenizer: What open_clip finds its tokenizer by.
    """

    def __init__(self, network: nn.Module, architecture: str, tokenizer: str) -> None:
        super().__init__()
        self.network: Any = network
        self.pretrained_cfg = {"architecture": architecture}
        self._tokenizer_name = tokenizer

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the (N, D) embeddings of (N, 3, S, S) pixels, of any length."""
        embeddings: torch.Tensor = self.network.encode_image(pixels)
        return embeddings

    def forward_features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the same."""
        return self(pixels)

    def forward_head(self, features: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Return the embeddings, which are the last that there is.

        Raises:
            ConfigurationError: Logits are asked for.
        """
        if not pre_logits:
            raise ConfigurationError(
                f"{self.pretrained_cfg['architecture']} has no logits: it learned from texts", "Use --layer pre_logits."
            )
        return features

    @property
    def num_features(self) -> int:
        """Size of an embedding."""
        return int(self.network.visual.output_dim)

    def embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Return the (Q, D) float32 embeddings of texts, on the network's device, of any length.

        A text is cut where the network's context ends, in most after 77 tokens.

        Raises:
            WeightsError: The tokenizer cannot be had.
        """
        try:
            tokens = self._tokenize(list(texts))
        except Exception as error:  # of tokenizers of several libraries
            raise WeightsError(
                f"the tokenizer of {self.pretrained_cfg['architecture']} cannot be used ({_reason(error)})", _REMEDY
            ) from error
        with torch.inference_mode():
            embeddings: torch.Tensor = self.network.encode_text(tokens.to(next(self.parameters()).device))
            return embeddings.float()

    @cached_property
    def _tokenize(self) -> Any:  # noqa: ANN401 - open_clip's tokenizers have no common type
        import open_clip

        with _quiet():
            return open_clip.get_tokenizer(self._tokenizer_name)


def load_clip(name: str, weights: str, image_size: int | None, crop_pct: float) -> tuple[ClipNetwork, Preprocessing]:
    """Load a network by open_clip's name.

    Args:
        name: `NAME/WEIGHTS`, or `NAME` where the weights are given apart.
        weights: `pretrained` for those that the name tells; a file, `hf-hub:USER/NAME/FILE`, or `random`.
        image_size: Side of its input in pixels; None for its own.
        crop_pct: Share of the image that it sees.

    Raises:
        UnknownNameError: open_clip does not know the name or the weights.
        WeightsError: The weights cannot be had, or belong to another network.
        ConfigurationError: Weights are given twice.
    """
    import open_clip

    architecture, tag = name, ""
    if name not in open_clip.list_models():
        architecture, _, tag = name.rpartition("/")
        architecture = architecture.replace("/", "-")  # ViT-B/32 is a name too
    if architecture not in open_clip.list_models():
        known = open_clip.list_models()
        raise UnknownNameError(
            f"open_clip {open_clip.__version__} knows no network {architecture or tag!r}",
            name_alternatives(architecture or tag, known),
        )
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    options: dict[str, Any] = {"require_pretrained": True, "force_image_size": image_size}
    if tag and weights != PRETRAINED:
        raise ConfigurationError(
            f"{name} names weights, and --weights {weights} others", f"Give {OPEN_CLIP}{architecture}, or no --weights."
        )
    if weights == RANDOM:
        options |= {"require_pretrained": False, "pretrained_text": False}
    elif weights != PRETRAINED:
        options["pretrained"] = str(find_weights_file(weights))
    elif tag in tags:
        told = open_clip.get_pretrained_cfg(architecture, tag)
        # Of weights that learned with another function than the network's, open_clip merely warns.
        options |= {"pretrained": tag, "force_quick_gelu": bool(told.get("quick_gelu"))}
    else:
        given = f"no weights {tag!r}" if tag else "several weights"
        spelled = [f"{architecture}/{known}" for known in tags]
        raise UnknownNameError(
            f"open_clip {open_clip.__version__} has {given} for {architecture}",
            name_alternatives(f"{architecture}/{tag}", spelled) if tags else "Give a file as --weights.",
        )
    network = _create(architecture, OPEN_CLIP + name, **options)
    return ClipNetwork(network, architecture, architecture).eval(), _preprocessing(network, crop_pct, name)


def load_clip_folder(folder: Path, image_size: int | None, crop_pct: float) -> tuple[ClipNetwork, Preprocessing]:
    """Load the network of a folder with open_clip_config.json and weights; arguments as in `load_clip`.

    Raises:
        WeightsError: It holds none, or it is damaged.
    """
    import open_clip

    config = folder / CLIP_CONFIG_FILE
    read_json(config, _Config, _REMEDY, WeightsError)
    weights = next((path for name in CLIP_WEIGHTS if (path := folder / name).is_file()), None)
    if weights is None:
        raise WeightsError(f"{folder} has neither {' nor '.join(CLIP_WEIGHTS)}", _REMEDY)
    name = f"local-dir:{folder}"

    def build() -> nn.Module:
        with _quiet():
            network: nn.Module = open_clip.create_model(name, load_weights=False, pretrained_text=False)
        return network

    require_enough([weights], folder, build, CLIP_CONFIG_FILE)
    network = _create(name, str(folder), require_pretrained=True, force_image_size=image_size)
    return ClipNetwork(network, type(network).__name__, name).eval(), _preprocessing(network, crop_pct, str(config))


def download_clip(name: str) -> Path:
    """Return a folder of the files of a repository in open_clip's form; `name` may end in `@` and a revision.

    Raises:
        WeightsError: It cannot be fetched.
    """
    repository, _, revision = name.partition("@")
    for weights in CLIP_WEIGHTS:
        files = [CLIP_CONFIG_FILE, *TOKENIZER_FILES, weights]
        folder = download_folder(repository, "model", files, revision or None, WeightsError)
        if (folder / weights).is_file():
            break
    return folder


def _create(name: str, source: str, **options: Any) -> nn.Module:  # noqa: ANN401 - open_clip's
    """Return a network by open_clip, whose random weights, if it has some, are those of seed 0."""
    import open_clip

    try:
        with _quiet(), torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            network: nn.Module = open_clip.create_model(name, **options)
            return network
    except MLRSNetError:
        raise
    except Exception as error:  # of whatever type open_clip raises of weights and settings
        raise WeightsError(f"{source}: open_clip cannot read it ({_reason(error)})", _REMEDY) from error


def _preprocessing(network: Any, crop_pct: float, source: str) -> Preprocessing:  # noqa: ANN401 - open_clip's networks
    """Return what open_clip's transform for evaluation does.

    Raises:
        WeightsError: It does what timm's does not.
    """
    told: Mapping[str, Any] = network.visual.preprocess_cfg
    size = told["size"]
    height, width = (size, size) if isinstance(size, int) else size
    if height != width or told["resize_mode"] == "longest":
        raise WeightsError(
            f"{source}: images are brought to {height} x {width} by their {told['resize_mode']} side",
            "Give a network that sees a square of the image.",
        )
    mean, std = tuple(told["mean"]), tuple(told["std"])
    fields = {"input_size": (3, height, width), "crop_pct": crop_pct, "mean": mean, "std": std}
    refuse_unusable_input(fields, source, _REMEDY)
    return Preprocessing(
        image_size=height,
        crop_pct=crop_pct,
        crop_mode="squash" if told["resize_mode"] == "squash" else "center",
        interpolation="bilinear" if told["interpolation"] == "bilinear" else "bicubic",
        mean=mean,
        std=std,
    )


def _reason(error: Exception) -> str:
    return shortened(first_line(error), 200)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what open_clip logs by the root logger, and the handler that it adds to it there, out of the terminal."""
    root = logging.getLogger()
    handlers, disabled = root.handlers[:], logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(disabled)
        root.handlers[:] = handlers
