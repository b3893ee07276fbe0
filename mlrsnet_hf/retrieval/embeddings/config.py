"""How images are embedded, as settings; light to import."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlrsnet_hf.configuration.settings import Count, CountOrZero, Settings, setting
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.runtime import Precision

Layer = Literal["pooled", "pre_logits", "logits"]
"""What each is, `retrieval.embeddings.model` says."""


@dataclass(frozen=True, kw_only=True)
class Pass(Settings):
    """How images go through a network."""

    layer: Layer = setting(
        "pre_logits", "Output that is taken; pre_logits is the classifier's input.", section="Embeddings"
    )
    normalize: bool = setting(
        False, "Scale each embedding to length 1, as always those of open_clip.", former="normalise"
    )
    batch_size: Count = setting(64, "Images that a process passes through the network at once.")
    num_workers: CountOrZero = setting(
        0, "Processes beside each embedding process that read images; 0 reads in threads."
    )
    precision: Precision | None = setting(None, "Mixed precision; if unset Accelerate's own setting.")


@dataclass(frozen=True, kw_only=True)
class EmbeddingConfig(Pass, ModelChoice):
    """What is computed and how it is stored.

    Raises:
        ConfigurationError: A value cannot be used.
        UnknownNameError: A layer, type or precision is not known.
    """

    output_dir: Path = setting(Path("embeddings"), "Folder to create.")
    pca: CountOrZero = setting(0, "Principal components that are kept; 0 keeps the embeddings as they are.")
    whiten: bool = setting(False, "Scale the principal components to variance 1.")
    pca_images: CountOrZero = setting(0, "Images, the first, that principal components are fitted on; 0 is all.")
    dtype: Literal["float32", "float16"] = setting("float32", "Type of the numbers; float16 takes half the space.")
    scores: bool = setting(False, "Store the sigmoid score of every label beside the embedding.")
    shard_images: Count = setting(
        1024, "Images of a Parquet file; what is lost when a run is killed, and held at once."
    )

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        super().__post_init__()
        if self.whiten and not self.pca:
            raise ConfigurationError("whiten scales principal components, and pca is 0", "Give --pca their number.")
