"""What `mlrsnet retrieval` measures: a dataclass whose fields are its options; light to import."""

# ruff: noqa: RUF009 - _setting returns a dataclass field
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.retrieval.embeddings.config import EmbeddingConfig

PERCENTS = {"retrieval05": 5, "retrieval10": 10, "retrieval15": 15}
"""Protocol -> percent of the pool that queries (Qi et al. 2020, Table 8)."""
DISTANCES = ("euclidean", "cosine")


def _setting(default: Any, text: str) -> Any:  # noqa: ANN401 - the type is the annotated field's
    if isinstance(default, list):
        return dataclasses.field(default_factory=default.copy, metadata={"help": text})
    return dataclasses.field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class RetrievalConfig:
    """Which model or embeddings are measured, on which images, how.

    Raises:
        ConfigurationError: Settings contradict each other, or a value cannot be used.
        UnknownNameError: A protocol or distance is not known.
    """

    model: list[str] = _setting(
        [],
        "Folder of a run, repository of the Hub, or timm name; one for all split seeds, or one for each.",
    )
    embeddings: list[str] = _setting(
        [], "Embeddings that hold the images of the protocol, instead of a model; one for all split seeds, or one each."
    )
    query_embeddings: str | None = _setting(None, "Embeddings of the queries, where they stand apart; any dataset's.")
    database_embeddings: str | None = _setting(
        None, "Embeddings of the images to be searched, with --query-embeddings."
    )
    compare: list[str] = _setting(
        [], "A second model or embeddings, such as a model trained on scenes alone: its results beside (Fig. 14)."
    )
    output_dir: Path = _setting(Path("retrieval"), "The folder to create.")
    embeddings_dir: Path = _setting(
        Path("retrieval-embeddings"), "Where embeddings are kept, and found again by a later run."
    )
    protocol: list[str] = _setting(["retrieval10"], "retrieval05, retrieval10, retrieval15: the share that queries.")
    split_seeds: list[int] = _setting([0], "Draw the splits anew for each; mean and deviation are reported.")
    dataset: str = _setting("mlrsnet", "'mlrsnet', or a dataset of the Hub or a folder that has the protocols.")
    data_dir: str | None = _setting(
        None, "Folder or archive of MLRSNet; by default MLRSNET_DATA_DIR, else it is downloaded."
    )
    label_version: str = _setting(
        "verified", "Labels of mlrsnet: verified repairs the published faults, as-published has them."
    )
    examples: list[str] = _setting(
        [],
        "Ids of the queries that are shown (Figs. 13 and 14); by default an airplane and a stadium, as in the paper.",
    )
    distance: str = _setting("euclidean", "euclidean, as in the paper, or cosine.")
    layer: str = _setting("pre_logits", "pooled, pre_logits (the classifier's input) or logits.")
    normalize: bool = _setting(False, "Scale each embedding to length 1.")
    weights: str = _setting(
        "pretrained", "For a timm name: a weights file, 'pretrained' (timm's own, from the Hub) or 'random'."
    )
    image_size: int | None = _setting(None, "For a timm name: side in pixels of the input; the model's if unset.")
    crop_pct: float = _setting(1.0, "For a timm name: share of the image that the network sees; 1 is all of it.")
    batch_size: int = _setting(64, "Images that a process passes through the network at once.")
    num_workers: int = _setting(0, "Processes beside each embedding process that read images; 0 reads in threads.")
    precision: str | None = _setting(None, "no, bf16 or fp16; by default Accelerate's own setting.")
    memory_megabytes: float = _setting(1024.0, "What the search may hold besides the embeddings.")
    allow_trained_images: bool = _setting(False, "Measure though the model was trained on some of the images.")

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        self._check_sources()
        names = ("layer", "normalize", "image_size", "crop_pct", "batch_size", "num_workers", "precision")
        EmbeddingConfig(**{name: getattr(self, name) for name in names})  # refuses what cannot be used
        if not self.memory_megabytes > 0:
            raise ConfigurationError(f"memory_megabytes={self.memory_megabytes} cannot be used", "Give more than 0.")
        for protocol in self.protocol:
            _require_known("protocol", protocol, tuple(PERCENTS))
        _require_known("distance", self.distance, DISTANCES)
        for name in ("protocol", "split_seeds"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ConfigurationError(f"{name}={values} cannot be used", "Give at least one, and none twice.")
        for name in ("model", "embeddings", "compare"):
            given = len(getattr(self, name))
            if given not in (0, 1, len(self.split_seeds)):
                raise ConfigurationError(
                    f"{given} of --{name} for {len(self.split_seeds)} split seeds", "Give one for all, or one for each."
                )
        if self.dataset != "mlrsnet" and self.split_seeds != [0]:
            raise ConfigurationError(
                f"split_seeds={self.split_seeds} for dataset {self.dataset!r}", "Only mlrsnet is split by a seed."
            )

    @property
    def apart(self) -> bool:
        """Whether queries and database come as two sets of embeddings."""
        return self.query_embeddings is not None

    def _check_sources(self) -> None:
        if (self.query_embeddings is None) != (self.database_embeddings is None):
            raise ConfigurationError(
                "query_embeddings and database_embeddings go together", "Give both, or --embeddings for one folder."
            )
        if self.apart and (self.embeddings or len(self.split_seeds) > 1):
            raise ConfigurationError(
                "query_embeddings go with neither embeddings nor several split seeds", "Give one of them."
            )
        if not (self.model or self.embeddings or self.apart):
            raise ConfigurationError("no model and no embeddings", "Give --model, or --embeddings.")


def _require_known(what: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise UnknownNameError(f"{what} {name!r} is not known", name_alternatives(name, known))
