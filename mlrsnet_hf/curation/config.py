"""What is curated and how, as settings; light to import."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from mlrsnet_hf.configuration.settings import Count, Range, Seed, Settings, Share, setting


@dataclass(frozen=True, kw_only=True)
class FindErrorsConfig(Settings):
    """Which labels are judged, and by what."""

    source: Path = setting(
        text="predictions.parquet of mlrsnet evaluate, or its folder; folder of mlrsnet embed; or label files of "
        "MLRSNet, whose labels are judged by each other.",
        positional=True,
    )
    embeddings: Path | None = setting(
        None, "Folder of mlrsnet embed, whose neighbors are asked besides predictions.", metavar="FOLDER|none"
    )
    vocabulary: Path | None = setting(
        None, "File of mlrsnet curate vocabulary: what scenes may carry; if unset none.", metavar="FILE|none"
    )
    output: Path = setting(Path("wrong-labels.csv"), "Table to write, .csv or .parquet.")
    html: Path | None = setting(
        None,
        "Page of pictures to write, of the images that were embedded or that the options below name; none if unset.",
        metavar="FILE|none",
    )
    least: Share = setting(
        0.5, "Probability of being wrong from which on labels stand in the table that are not found."
    )
    folds: Annotated[int, Range(2)] = setting(5, "Folds of the linear probe, where embeddings are given alone.")
    neighbors: Count = setting(10, "Nearest images that are asked.")
    seed: Seed = setting(0, "Seed of the folds.")

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        super().__post_init__()
        self._require(
            "output", self.output.suffix.lower() in (".csv", ".parquet"), "a name that ends in .csv or .parquet"
        )
        self._require("html", self.html != self.output, "a file of its own")
