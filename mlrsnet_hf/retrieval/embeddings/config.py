"""What to embed and how: two dataclasses whose fields are the options of `mlrsnet embed`; light to import."""

# ruff: noqa: RUF009 - _setting returns a dataclass field
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives

DTYPES = ("float32", "float16")
LAYERS = ("pooled", "pre_logits", "logits")
"""See `retrieval.layers`."""
PRECISIONS = ("no", "bf16", "fp16")


def _setting(default: Any, text: str) -> Any:  # noqa: ANN401 - the type is the annotated field's
    return dataclasses.field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """Which images: a split of MLRSNet, a split of another dataset, or a folder of images."""

    images: str | None = _setting(None, "A folder of images, those in folders below it too, instead of a dataset.")
    dataset: str = _setting("mlrsnet", "'mlrsnet', a dataset on the Hub (USER/NAME), or a folder that datasets loads.")
    data_dir: str | None = _setting(
        None, "Folder or archive of MLRSNet; by default MLRSNET_DATA_DIR, else it is downloaded."
    )
    protocol: str | None = _setting(
        None, "Configuration of the dataset; of mlrsnet the protocol: retrieval10 (the default), ratio20, ..."
    )
    split: str = _setting("query+database", "The split, or several as datasets takes them, such as query+database.")
    split_seed: int = _setting(0, "Draws another split of mlrsnet.")
    label_version: str = _setting(
        "verified", "Labels of mlrsnet: verified repairs the published faults, as-published has them."
    )
    image_column: str = _setting("image", "Of another dataset: column of the images.")
    labels_column: str | None = _setting(None, "Of another dataset: column of the labels; 'labels' if unset and there.")
    scene_column: str | None = _setting(None, "Of another dataset: column of the scene; 'scene' if unset and there.")
    id_column: str | None = _setting(None, "Of another dataset: column of the ids; 'id' if unset and there.")


@dataclass(frozen=True, kw_only=True)
class ModelChoice:
    """Which network makes the embeddings."""

    model: str = _setting("resnet50", "Folder of a run or of a saved model, repository of the Hub, or timm name.")
    weights: str = _setting(
        "pretrained", "For a timm name: a weights file, 'pretrained' (timm's own, from the Hub) or 'random'."
    )
    image_size: int | None = _setting(None, "For a timm name: side in pixels of the input; the model's if unset.")
    crop_pct: float = _setting(1.0, "For a timm name: share of the image that the network sees; 1 is all of it.")


@dataclass(frozen=True, kw_only=True)
class EmbeddingConfig(ModelChoice):
    """What is computed and how it is stored.

    Raises:
        ConfigurationError: A value cannot be used.
    """

    output_dir: Path = _setting(Path("embeddings"), "The folder to create.")
    layer: str = _setting("pre_logits", "pooled, pre_logits (the classifier's input) or logits.")
    normalize: bool = _setting(False, "Scale each embedding to length 1.")
    pca: int = _setting(0, "Keep so many principal components; 0 keeps the embeddings as they are.")
    whiten: bool = _setting(False, "Scale the principal components to variance 1.")
    pca_images: int = _setting(0, "Fit the principal components on so many images, the first; 0 is all.")
    dtype: str = _setting("float32", "float32, or float16 in half the space.")
    scores: bool = _setting(False, "Store the sigmoid score of every label beside the embedding.")
    batch_size: int = _setting(64, "Images that a process passes through the network at once.")
    num_workers: int = _setting(0, "Processes beside each embedding process that read images; 0 reads in threads.")
    precision: str | None = _setting(None, "no, bf16 or fp16; by default Accelerate's own setting.")
    shard_images: int = _setting(1024, "Images of a Parquet file; what is lost when a run is killed, and held at once.")

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        for name in ("batch_size", "shard_images"):
            self._require(name, getattr(self, name) >= 1, "a whole number of at least 1")
        for name in ("pca", "pca_images", "num_workers"):
            self._require(name, getattr(self, name) >= 0, "a whole number of at least 0")
        require_known_layer(self.layer)
        self._require("dtype", self.dtype in DTYPES, f"one of {', '.join(DTYPES)}")
        self._require("precision", self.precision in (None, *PRECISIONS), f"one of {', '.join(PRECISIONS)}")
        self._require("crop_pct", 0 < self.crop_pct <= 1, "a number above 0 and up to 1")
        if not self.pca:
            self._require("whiten", not self.whiten, "--pca with it, the number of components")

    def _require(self, name: str, fits: bool, expected: str) -> None:
        if not fits:
            raise ConfigurationError(f"{name}={getattr(self, name)!r} cannot be used", f"Give {expected}.")


def require_known_layer(layer: str) -> None:
    """Refuse another layer than those of `LAYERS`.

    Raises:
        UnknownNameError: It is not known.
    """
    if layer not in LAYERS:
        raise UnknownNameError(f"layer {layer!r} is not known", name_alternatives(layer, LAYERS))
