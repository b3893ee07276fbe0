"""What is curated and how, as settings; light to import."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from mlrsnet_hf.configuration.settings import Count, Range, Seed, Settings, Share, setting
from mlrsnet_hf.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class FindErrorsConfig(Settings):
    """Which labels are judged, and by what."""

    source: Path = setting(
        text="predictions.parquet of mlrsnet evaluate, or its folder; folder of mlrsnet embed; or label files of "
        "MLRSNet, whose labels are judged by each other.",
        positional=True,
    )
    embeddings: Path | None = setting(
        None,
        "Folder of mlrsnet embed, whose neighbors are asked besides predictions; none if unset.",
        metavar="FOLDER|none",
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


@dataclass(frozen=True, kw_only=True)
class SuggestConfig(Settings):
    """Which tiles are looked at, and what makes one worth labeling."""

    tiles: Path = setting(text="Folder of mlrsnet embed: the tiles that are not labeled.", positional=True)
    labeled: Path | None = setting(
        None, "Folder of mlrsnet embed, by the same model: what is labeled already; if unset nothing.", metavar="FOLDER"
    )
    predictions: Path | None = setting(
        None,
        "What a model says of the tiles: .parquet of mlrsnet predict --all-scores, or predictions.parquet of mlrsnet "
        "evaluate; if unset the scores of mlrsnet embed --scores, where there are some.",
        metavar="FILE",
    )
    label: str | None = setting(
        None, "Label of which more images are wanted; any if unset.", section="Category", metavar="NAME"
    )
    scene: str | None = setting(None, "Scene of which more images are wanted; any if unset.", metavar="NAME")
    least: Share = setting(0.25, "Score of that label or scene from which on a tile may show it.")
    count: Count = setting(100, "Tiles to suggest.", section="Choice")
    weight: Annotated[float, Range(0, 1)] = setting(
        0.5,
        "Weight of the model's uncertainty, from 0 to 1, the rest being that of the distance; without predictions 0.",
    )
    least_distance: Annotated[float, Range(0, 2)] = setting(
        0.05, "Cosine distance below which two images are near-duplicates, of which one is enough."
    )
    output: Path = setting(Path("suggestions.csv"), "List to write, .csv or .parquet.", section="List and page")
    html: Path | None = setting(
        None,
        "Page of pictures to write, of the tiles that were embedded or that the options below name; none if unset.",
        metavar="FILE|none",
    )

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        super().__post_init__()
        self._require(
            "output", self.output.suffix.lower() in (".csv", ".parquet"), "a name that ends in .csv or .parquet"
        )
        self._require("html", self.html != self.output, "a file of its own")
        self._require("scene", self.label is None or self.scene is None, "a label or a scene, not both")


@dataclass(frozen=True, kw_only=True)
class DiversityConfig(Settings):
    """Which sets are compared, and by how many trials."""

    sets: tuple[Path, ...] = setting(
        text="Folders of mlrsnet embed, two or more, all by one model.", positional=True, metavar="FOLDER"
    )
    merges: Path | None = setting(
        None,
        "List of mlrsnet curate vocabulary: scenes that stand for others; if unset case and separators alone do not "
        "tell names apart.",
        metavar="FILE",
    )
    output_dir: Path = setting(Path("diversity"), "Folder to create.")
    trials: Count = setting(50, "Trials of each scene.")
    pairs: Count = setting(4, "Pairs of each set in a trial.")
    seed: Seed = setting(0, "Seed of the trials.")

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        super().__post_init__()
        if len(self.sets) < 2:
            raise ConfigurationError(
                f"sets={[str(folder) for folder in self.sets]} cannot be used",
                "Give two or more: diversity is relative.",
            )
