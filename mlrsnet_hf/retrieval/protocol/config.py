"""What `mlrsnet retrieval` measures, as settings; light to import."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlrsnet_hf.configuration.settings import Count, Positive, Share, setting
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.config import MLRSNET
from mlrsnet_hf.models import PRETRAINED
from mlrsnet_hf.release.repair import LabelVersion
from mlrsnet_hf.retrieval.embeddings.config import Pass

PERCENTS = {"retrieval05": 5, "retrieval10": 10, "retrieval15": 15}
"""Protocol -> percent of the pool that queries (Qi et al. 2020, Table 8)."""


@dataclass(frozen=True, kw_only=True)
class RetrievalConfig(Pass):
    """Which model or embeddings are measured, on which images, how.

    Raises:
        ConfigurationError: Settings contradict each other, or a value cannot be used.
        UnknownNameError: A protocol, distance, layer or label version is not known.
    """

    model: tuple[str, ...] = setting(
        (),
        "Folder of a run, repository of the Hub, or timm name; one for all split seeds, or one for each.",
        section="Model",
    )
    weights: str = setting(
        PRETRAINED, "Weights for a timm name: a file, 'pretrained' (timm's own, from the Hub) or 'random'."
    )
    image_size: Count | None = setting(None, "Side in pixels of the input, for a timm name; if unset the model's own.")
    crop_pct: Share = setting(1.0, "Share of the image that the network sees, for a timm name; 1 is all of it.")
    embeddings: tuple[str, ...] = setting(
        (), "Embeddings that hold the images of the protocol, instead of a model; one for all split seeds, or one each."
    )
    query_embeddings: str | None = setting(
        None, "Embeddings of the queries, of any dataset, where they stand apart; unset where they do not."
    )
    database_embeddings: str | None = setting(
        None, "Embeddings of the images to be searched, with query_embeddings; unset without."
    )
    compare: tuple[str, ...] = setting(
        (), "Second model or embeddings, such as a model trained on scenes alone: its results beside (Fig. 14)."
    )
    dataset: str = setting(
        MLRSNET, "'mlrsnet', or a dataset of the Hub or a folder that has the protocols.", section="Images"
    )
    data_dir: str | None = setting(
        None, "Folder or archive of MLRSNet; if unset what MLRSNET_DATA_DIR names, else it is downloaded."
    )
    label_version: LabelVersion | None = setting(
        None,
        "Labels of mlrsnet: verified repairs the published faults, as-published has them; if unset verified for a copy "
        "whose rows are MLRSNet's, else as-published.",
        former="labels",
    )
    protocol: tuple[Literal["retrieval05", "retrieval10", "retrieval15"], ...] = setting(
        ("retrieval10",), "Protocols, by the percent of the images that query.", section="Measurement"
    )
    split_seed: tuple[int, ...] = setting(
        (0,), "Seeds of the splits; of several mean and deviation are reported.", former="split_seeds"
    )
    examples: tuple[str, ...] = setting(
        (),
        "Ids of the queries that are shown (Figs. 13 and 14); if none, an airplane and a stadium, as in the paper.",
    )
    distance: Literal["euclidean", "cosine"] = setting("euclidean", "Distance of two embeddings; the paper's first.")
    memory_megabytes: Positive = setting(1024.0, "Memory that the search may take besides the embeddings.")
    allow_trained: bool = setting(
        False, "Measure though the model was trained on some of the images.", former="allow_trained_images"
    )
    output_dir: Path = setting(Path("retrieval"), "Folder to create.", section="Output folder")
    embeddings_dir: Path = setting(
        Path("retrieval-embeddings"), "Folder in which embeddings are kept, and found again by a later run."
    )

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        super().__post_init__()
        if (self.query_embeddings is None) != (self.database_embeddings is None):
            raise ConfigurationError(
                "query_embeddings and database_embeddings go together", "Give both, or --embeddings for one folder."
            )
        if self.apart and (self.embeddings or len(self.split_seed) > 1):
            raise ConfigurationError(
                "query_embeddings go with neither embeddings nor several split seeds", "Give one of them."
            )
        if not (self.model or self.embeddings or self.apart):
            raise ConfigurationError("no model and no embeddings", "Give --model, or --embeddings.")
        for name in ("protocol", "split_seed"):
            values = getattr(self, name)
            self._require(name, len(set(values)) == len(values) > 0, "at least one, and none twice")
        for name in ("model", "embeddings", "compare"):
            given = len(getattr(self, name))
            if given not in (0, 1, len(self.split_seed)):
                raise ConfigurationError(
                    f"{given} of --{name} for {len(self.split_seed)} split seeds", "Give one for all, or one for each."
                )
        if self.dataset != MLRSNET and self.split_seed != (0,):
            raise ConfigurationError(
                f"split_seed={list(self.split_seed)} for dataset {self.dataset!r}", "Only mlrsnet is split by a seed."
            )

    @property
    def apart(self) -> bool:
        """Whether queries and database come as two sets of embeddings."""
        return self.query_embeddings is not None
