"""What is curated and how, as settings; light to import."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from mlrsnet_hf.configuration.settings import Count, Range, Seed, Settings, Share, changed_settings, setting
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.paper_tables import CONFIDENCE_THRESHOLD

SEARCH = "search"
"""Value of `near_duplicates` that looks for them."""


@dataclass(frozen=True, kw_only=True)
class FoldsConfig(Settings):
    """How many folds, and what stays together."""

    folds: Annotated[int, Range(2)] = setting(5, "Folds to cut the images into, and networks to train.")
    near_duplicates: str | None = setting(
        SEARCH,
        "Images that stay in one fold: search looks for copies among all images; or a CSV file of id and group, as "
        "mlrsnet near-duplicates --output writes; none parts them.",
        metavar="search|FILE|none",
    )
    output_dir: Path = setting(Path("folds"), "Folder to create.")
    seed: Seed = setting(0, "Seed of the draw.")


@dataclass(frozen=True, kw_only=True)
class FindErrorsConfig(Settings):
    """Which labels are judged, and by what."""

    sources: tuple[Path, ...] = setting(
        (),
        "predictions.parquet of mlrsnet evaluate, or its folder, one of each fold; folder of mlrsnet embed; or label "
        "files of MLRSNet, whose labels are judged by each other. A review that has begun needs none.",
        positional=True,
        metavar="SOURCE",
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
    whole_scenes: Path | None = setting(
        None,
        "Table to write, .csv or .parquet, of labels that a whole scene carries or lacks against what other scenes say "
        "of such images; by embeddings; none if unset.",
        metavar="FILE|none",
    )
    least: Share = setting(
        0.5, "Probability of being wrong from which on labels stand in the table that are not found."
    )
    near_duplicates: str | None = setting(
        None,
        "Images whose labels do not speak for each other: search looks for copies among the images that were embedded "
        "or that the options below name; or a CSV file of id and group, such as near_duplicates.csv of mlrsnet curate "
        "folds; if unset none.",
        metavar="search|FILE|none",
    )
    scene_rates: bool = setting(
        True, "Ask the other images of the scene; turn it off where whole scenes may be labeled wrongly."
    )
    folds: Annotated[int, Range(2)] = setting(5, "Folds of the linear probe, where embeddings are given alone.")
    neighbors: Count = setting(10, "Nearest images that are asked.")
    seed: Seed = setting(0, "Seed of the folds.")
    review: Path | None = setting(
        None,
        "Folder of a review in Label Studio. The first call creates it and its project, each later one reads the "
        "answers and writes corrections.csv and corrected.parquet; none if unset.",
        section="Review",
        metavar="FOLDER|none",
    )
    questions: Count = setting(500, "Labels that are reviewed, the most probably wrong ones.")
    votes: Count = setting(1, "People who are asked about each; the majority counts.")

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        super().__post_init__()
        if not self.sources and self.review is None:
            raise ConfigurationError("nothing says whose labels are judged", "Give predictions or embeddings.")
        self._require(
            "output", self.output.suffix.lower() in (".csv", ".parquet"), "a name that ends in .csv or .parquet"
        )
        self._require("html", self.html != self.output, "a file of its own")
        if self.whole_scenes is not None:
            is_table = self.whole_scenes.suffix.lower() in (".csv", ".parquet")
            self._require("whole_scenes", is_table, "a name that ends in .csv or .parquet")
            self._require("whole_scenes", self.whole_scenes not in (self.output, self.html), "a file of its own")


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


LEAST_SIDE = 16
Side = Annotated[int, Range(LEAST_SIDE, 1024)]
"""Pixels of a picture's sides."""


@dataclass(frozen=True, kw_only=True)
class DiversityConfig(Settings):
    """Which sets are compared, by how many trials, and by whom."""

    sets: tuple[Path, ...] = setting(
        (),
        "Folders of mlrsnet embed, two or more, all by one model; with --study by any, or folders that hold a folder "
        "of images for each scene.",
        positional=True,
        metavar="FOLDER",
    )
    merges: Path | None = setting(
        None,
        "List of mlrsnet curate vocabulary: scenes that stand for others; if unset case and separators alone do not "
        "tell names apart.",
        metavar="FILE",
    )
    output_dir: Path = setting(Path("diversity"), "Folder to create, without --study.")
    trials: Count = setting(50, "Trials of each scene.")
    pairs: Count = setting(4, "Pairs of each set in a trial.")
    seed: Seed = setting(0, "Seed of the trials.")
    study: Path | None = setting(
        None,
        "Folder of a study with people, in Label Studio: created, or completed with what they have answered since; "
        "if unset embeddings are asked.",
        section="Study",
        metavar="FOLDER|none",
    )
    observers: Count = setting(10, "People who are asked about each trial.")
    side: Side | None = setting(
        None,
        "Pixels of the sides that all pictures are brought to; if unset the shorter side of the smallest, 256 at most.",
    )

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        super().__post_init__()
        if len(self.sets) < 2 and (self.study is None or self.sets):
            raise ConfigurationError(
                f"sets={[str(folder) for folder in self.sets]} cannot be used",
                "Give two or more: diversity is relative.",
            )
        given = changed_settings(self)
        if self.study is None and (of_study := given & {"observers", "side"}):
            raise ConfigurationError(f"{min(of_study)} is of a study with people", "Give study too.")
        self._require("output_dir", self.study is None or "output_dir" not in given, "left out: results go to study")


Task = Literal["scene", "labels"]
"""What annotators are asked of an image: the one category that it shows (Fig. 3 of the paper), or all labels."""


@dataclass(frozen=True, kw_only=True)
class Rules(Settings):
    """When an image is sure, and how many votes it gets until then."""

    threshold: Share = setting(CONFIDENCE_THRESHOLD, "Confidence from which on an image is kept.", section="Rules")
    remove_at: float = setting(0.03, "Confidence down from which an image is removed before the limit.")
    limit: Count = setting(
        10,
        "Votes that an image gets in a stage, and that each image of known truth gets: at most as many as there are "
        "annotators.",
    )
    first_votes: Count = setting(2, "Votes on each image in the first round, before anything is known.")

    def __post_init__(self) -> None:
        """Refuse what leaves no room for doubt."""
        super().__post_init__()
        self._require("remove_at", 0 <= self.remove_at < self.threshold, "a number from 0 to below the threshold")
        self._require(
            "limit", self.first_votes <= self.limit, f"at least the {self.first_votes} of --first-votes, or lower these"
        )


@dataclass(frozen=True, kw_only=True)
class StartConfig(Settings):
    """Which images are voted on, and what they are said to show."""

    images: str = setting(
        text="Folder that the names of the images are relative to, anywhere; or the URL that they follow.",
        positional=True,
    )
    labels: Path = setting(
        text="Table of the candidates, .csv or .parquet: image and category; or, for --task labels, image, scene and "
        "labels, of which only image must be there. A column truth says what images show whose truth is known.",
        metavar="FILE",
    )
    task: Task = setting(
        "scene", "What is voted on: scene, the category of an image; or labels, each label of an image."
    )
    vocabulary: Path | None = setting(
        None,
        "File of mlrsnet curate vocabulary: its scenes are categories too; for --task labels what scenes may carry; "
        "none if unset.",
        metavar="FILE",
    )
    output_dir: Path = setting(
        Path("curation"), "Folder to create; below Label Studio's document root, unless the images have a URL."
    )


@dataclass(frozen=True, kw_only=True)
class RoundConfig(Settings):
    """How a round ends."""

    folder: Path = setting(text="Folder of mlrsnet curate start.", positional=True)
    close: bool = setting(
        False,
        "End the round that is open, though it lacks votes. Where all who vote have voted on what it lacks, their "
        "number is the limit from then on.",
    )
    weighted: bool = setting(False, "Weigh annotators by their reliability (Dawid and Skene 1979).")
    second_stage: bool = setting(True, "Vote again on pairs of categories that are taken for each other.")


@dataclass(frozen=True, kw_only=True)
class StatusConfig(Settings):
    """What is looked at."""

    folder: Path = setting(text="Folder of mlrsnet curate start.", positional=True)


@dataclass(frozen=True, kw_only=True)
class ExportSetConfig(Settings):
    """What is written of a curation."""

    folder: Path = setting(text="Folder of mlrsnet curate start.", positional=True)
    output_dir: Path = setting(Path("curated"), "Folder to create.")
    seed: Seed = setting(0, "Seed of the split.")
