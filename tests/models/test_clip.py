"""Networks of open_clip: embeddings of pictures and of words are those that open_clip gives by hand."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import save_file

from mlrsnet_hf.errors import ConfigurationError, MLRSNetError, UnknownNameError, WeightsError
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.models.named_model import load_named_model
from mlrsnet_hf.prediction.classifier import Classifier
from mlrsnet_hf.retrieval.embeddings.model import EmbeddingModel, load_embedding_model

TEXTS = ["harbor with ships", "a forest"]
TINY: dict[str, Any] = {
    "embed_dim": 12,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 16, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module", autouse=True)
def tiny(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let open_clip know a small network, and of a second one weights that learned with another function."""
    folder = tmp_path_factory.mktemp("configs")
    (folder / "tiny-clip.json").write_text(json.dumps(TINY))
    open_clip.add_model_config(folder)
    weights = folder / "tiny.pt"
    torch.save(network(5).state_dict(), weights)
    tags = {"own": {"file": str(weights)}, "quick": {"file": str(weights), "quick_gelu": True, "mean": (0.5,) * 3}}
    open_clip.pretrained._PRETRAINED["tiny-clip"] = tags


def network(seed: int, **options: Any) -> Any:  # noqa: ANN401
    torch.manual_seed(seed)
    model = open_clip.create_model("tiny-clip", **options).eval()
    for name, parameter in model.visual.named_parameters():  # else all pictures are alike
        if name in ("class_embedding", "positional_embedding"):
            torch.nn.init.zeros_(parameter)
        elif parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.5)
    return model


def pictures() -> list[Image.Image]:
    draw = np.random.default_rng(1)
    noise = [Image.fromarray(draw.integers(0, 256, (2, 3, 3), dtype=np.uint8)) for _ in range(3)]
    return [one.resize((60, 40), Image.Resampling.NEAREST) for one in noise]


def by_hand(model: Any) -> tuple[np.ndarray, np.ndarray]:  # noqa: ANN401
    """Return what open_clip gives for pictures and texts, normalized."""
    settings = open_clip.get_model_preprocess_cfg(model)
    transform = image_transform_v2(PreprocessCfg(**settings), is_train=False)
    pixels = torch.stack([transform(picture) for picture in pictures()])
    with torch.inference_mode():
        images = model.encode_image(pixels, normalize=True)
        texts = model.encode_text(open_clip.get_tokenizer("tiny-clip")(TEXTS), normalize=True)
    return images.numpy(), texts.numpy()


def assert_same(found: EmbeddingModel, expected: Any) -> None:  # noqa: ANN401
    images, texts = by_hand(expected)
    embeddings = found.embed_images(pictures(), "pre_logits")
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    assert np.abs(images @ images.T)[0, 1] < 0.99, "else the test says nothing"
    np.testing.assert_allclose(embeddings, images, atol=1e-5)
    np.testing.assert_allclose(found.embed_texts(TEXTS), texts, atol=1e-5)
    assert found.size("pre_logits") == 12


def write_repository(folder: Path, safe: bool = True, **preprocessing: Any) -> Path:  # noqa: ANN401
    folder.mkdir()
    told = {"model_cfg": TINY, "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(told))
    state = network(6).state_dict()
    if safe:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "open_clip_model.safetensors")
    else:
        torch.save(state, folder / "open_clip_pytorch_model.bin")
    return folder


def test_a_checkpoint_gives_what_open_clip_gives(tmp_path: Path) -> None:
    file = tmp_path / "RemoteCLIP-tiny.pt"
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in network(4).state_dict().items()}}, file)
    found = load_embedding_model(ModelChoice(model="open_clip:tiny-clip", weights=str(file)))
    assert_same(found, network(4))
    assert (found.name, found.architecture, found.task) == ("open_clip:tiny-clip", "tiny-clip", None)
    with pytest.raises(ConfigurationError, match="names no labels"):
        Classifier(load_named_model(ModelChoice(model="open_clip:tiny-clip", weights=str(file))))


def test_weights_by_their_tag() -> None:
    assert_same(load_embedding_model(ModelChoice(model="open_clip:tiny-clip/own")), network(5))


def test_weights_keep_the_function_that_they_learned_with() -> None:
    """open_clip merely warns that it takes another."""
    found = load_embedding_model(ModelChoice(model="open_clip:tiny-clip/quick"))
    expected = network(5, force_quick_gelu=True, force_preprocess_cfg={"mean": (0.5,) * 3})
    assert found.preprocessing.mean == (0.5,) * 3
    assert_same(found, expected)


def test_random_weights_are_the_same_each_time() -> None:
    choice = ModelChoice(model="open_clip:tiny-clip", weights="random")
    first, second = load_named_model(choice), load_named_model(choice)
    assert first.fingerprint == second.fingerprint
    assert load_named_model(ModelChoice(model="open_clip:tiny-clip/own")).fingerprint != first.fingerprint


@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("name", ["{}", "open_clip:{}"])
def test_a_folder_of_open_clip(safe: bool, name: str, tmp_path: Path) -> None:
    squash = {"resize_mode": "squash", "interpolation": "bilinear", "mean": [0.5] * 3, "std": [0.25] * 3}
    folder = write_repository(tmp_path / "clip", safe, **squash)
    found = load_embedding_model(ModelChoice(model=name.format(folder)))
    assert (found.preprocessing.crop_mode, found.preprocessing.interpolation) == ("squash", "bilinear")
    assert_same(found, network(6, force_preprocess_cfg=squash))


def test_open_clip_leaves_the_log_as_it_was() -> None:
    handlers = logging.getLogger().handlers[:]
    load_named_model(ModelChoice(model="open_clip:tiny-clip", weights="random"))
    assert logging.getLogger().handlers == handlers
    assert logging.root.manager.disable == logging.NOTSET


Prepare = Callable[[Path], dict[str, str]]


def choice(model: str, weights: str = "pretrained") -> Prepare:
    return lambda folder: {"model": model, "weights": weights.format(folder)}


def file_of(content: bytes) -> Prepare:
    def prepare(folder: Path) -> dict[str, str]:
        (folder / "net.pt").write_bytes(content)
        return {"model": "open_clip:tiny-clip", "weights": str(folder / "net.pt")}

    return prepare


def of_another(folder: Path) -> dict[str, str]:
    torch.save({"visual.proj": torch.zeros(2, 2)}, folder / "net.pt")
    return {"model": "open_clip:tiny-clip", "weights": str(folder / "net.pt")}


def repository(change: Callable[[Path], object], **preprocessing: Any) -> Prepare:  # noqa: ANN401
    def prepare(folder: Path) -> dict[str, str]:
        place = write_repository(folder / "clip", **preprocessing)
        change(place)
        return {"model": str(place)}

    return prepare


def with_config(**values: Any) -> Callable[[Path], object]:  # noqa: ANN401
    return lambda place: (place / "open_clip_config.json").write_text(json.dumps(values))


HUGE = TINY | {"vision_cfg": TINY["vision_cfg"] | {"width": 4096, "head_width": 64}}


@pytest.mark.parametrize(
    ("prepare", "error", "words"),
    [
        (choice("open_clip:tiny-clap/own"), UnknownNameError, "tiny-clip"),
        (choice("open_clip:tiny-clip/owm"), UnknownNameError, "tiny-clip/own"),
        (choice("open_clip:tiny-clip"), UnknownNameError, "tiny-clip/own"),
        (choice("open_clip:"), UnknownNameError, "network"),
        (choice("open_clip:tiny-clip/own", "random"), ConfigurationError, "others"),
        (choice("open_clip:tiny-clip", "{}/none.pt"), WeightsError, "none.pt"),
        (choice("open_clip:tiny-clip", "hf-hub:jane/net"), WeightsError, "no file"),
        (file_of(b"no weights"), WeightsError, "cannot read it"),
        (of_another, WeightsError, "cannot read it"),
        (repository(lambda place: (place / "open_clip_model.safetensors").unlink()), WeightsError, "neither"),
        (repository(lambda place: (place / "open_clip_model.safetensors").write_bytes(b"x")), WeightsError, "x|cannot"),
        (repository(lambda place: (place / "open_clip_config.json").write_text("[")), WeightsError, "config"),
        (repository(with_config(model_cfg=5)), WeightsError, "config"),
        (repository(with_config()), WeightsError, "config"),
        (repository(with_config(model_cfg=HUGE)), WeightsError, "numbers"),
        (repository(with_config(model_cfg=TINY | {"embed_dim": "many"})), WeightsError, "config"),
        (repository(with_config(model_cfg=TINY, preprocess_cfg={"mean": "x"})), WeightsError, "mean"),
        (repository(lambda place: None, resize_mode="longest"), WeightsError, "longest"),
        (repository(lambda place: None, mean=[0.5]), WeightsError, "mean"),
    ],
)
def test_what_cannot_be_had_is_refused(prepare: Prepare, error: type[MLRSNetError], words: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=words) as caught:
        load_named_model(ModelChoice(**prepare(tmp_path)))
    assert "\n" not in str(caught.value)


def test_layers_that_it_has_not_are_refused() -> None:
    model = load_embedding_model(ModelChoice(model="open_clip:tiny-clip/own"))
    for layer in ("pooled", "logits"):
        with pytest.raises(ConfigurationError, match="pre_logits"):
            model.size(layer)
    for text in ("", "  "):
        with pytest.raises(ConfigurationError, match="says nothing"):
            model.embed_texts([text])


def test_other_networks_know_no_text() -> None:
    model = load_embedding_model(ModelChoice(model="test_resnet", weights="random"))
    assert not model.knows_text
    with pytest.raises(ConfigurationError, match="no text"):
        model.embed_texts(TEXTS)
