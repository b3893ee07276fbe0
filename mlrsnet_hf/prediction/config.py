"""How a model is evaluated and applied, as settings; light to import."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from mlrsnet_hf.configuration.settings import Count, CountOrZero, JoinedText, Range, Settings, setting
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.pixels.reading import bands_setting, value_range_setting
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.runtime import Precision

Symmetries = Literal[1, 2, 4, 8]
Thresholds = Annotated[float, Range(0, 1)] | Literal["model"]
_THRESHOLDS = "Score above which an image has a label; 'model' takes each label's own of the model, 0.5 without."
TABLE_SUFFIXES = (".csv", ".jsonl", ".parquet")


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig(Settings):
    """What is measured, and how the images go through the network.

    Raises:
        ConfigurationError: A value cannot be used, or two exclude each other.
    """

    split: str = setting(
        "test",
        "Split that is measured: train, validation and test as training takes them, or any other of the dataset, or "
        "several as datasets takes them, such as query+database.",
        section="Evaluation",
    )
    thresholds: Thresholds = setting("model", _THRESHOLDS)
    thresholds_from: str | None = setting(
        None, "Split on which the thresholds of the best F1 are chosen, such as validation; none if unset."
    )
    symmetries: Symmetries = setting(
        1, "Views of each image, turned and mirrored, whose logits are averaged.", former="eval_symmetries"
    )
    allow_trained: bool = setting(False, "Measure though the model was trained on some of the images.")
    draws: Count = setting(1000, "Bootstrap draws of the images, for the intervals.")
    batch_size: Count = setting(64, "Images that a process passes through the network at once.")
    num_workers: CountOrZero = setting(0, "Processes beside each process that read images; 0 reads in threads.")
    precision: Precision | None = setting(None, "Mixed precision; if unset Accelerate's own setting.")
    output_dir: Path = setting(Path("evaluation"), "Folder to create.", section="Output folder")
    save_predictions: bool = setting(
        True, "Write predictions.parquet, from which all scores can be computed again without model and images."
    )
    page: bool = setting(True, "Write the page of pictures, evaluation.html.")
    to_fiftyone: bool = setting(False, "Write images, labels and predictions as FiftyOne imports them, into fiftyone/.")
    to_label_studio: bool = setting(
        False, "Write them as Label Studio imports them, into label-studio/, with its labeling configuration."
    )

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        super().__post_init__()
        if self.thresholds_from is not None and self.thresholds != "model":
            raise ConfigurationError(
                f"thresholds={self.thresholds:g} and thresholds_from={self.thresholds_from!r} exclude each other",
                "Give one of them.",
            )


@dataclass(frozen=True, kw_only=True)
class PredictionConfig(Settings):
    """A model, the images that it is applied to, and the files that are written.

    Raises:
        ConfigurationError: A value cannot be used.
        UnknownNameError: A precision or a number of symmetries is not known.
    """

    model: str = setting(text="Run, folder of a saved model, or repository of the Hub (USER/NAME).", positional=True)
    sources: tuple[str, ...] = setting(
        (),
        "Image files, folders, patterns in quotes ('tiles/**/*.png'), ZIP and TAR files, URLs; any mixture.",
        positional=True,
        metavar="IMAGES",
    )
    output: Path | None = setting(
        None,
        "Table to write: .csv, .jsonl or .parquet; of scenes the folder; if unset predictions.csv, or predictions.",
        section="Output",
        metavar="FILE|FOLDER|none",
    )
    all_scores: bool = setting(False, "Write the score of every label and scene, one column each.")
    html: Path | None = setting(
        None, "Page of pictures with their labels to write; none if unset.", metavar="FILE|none"
    )
    strict: bool = setting(False, "End with an error at an image that cannot be read, instead of listing it.")
    thresholds: Thresholds = setting("model", _THRESHOLDS, section="Prediction")
    symmetries: Symmetries = setting(1, "Turned and mirrored views of each image whose logits are averaged.")
    batch_size: Count = setting(64, "Images that a process passes through the network at once.")
    num_workers: CountOrZero = setting(0, "Processes beside each process that read images; 0 reads in threads.")
    precision: Precision | None = setting(None, "Mixed precision; if unset Accelerate's own setting.")
    shard_images: Count = setting(1024, "Images after which a part is kept; what is lost when a run is killed.")
    bands: JoinedText | None = bands_setting("those that the model was trained on.")
    value_range: JoinedText | None = value_range_setting("those that the model was trained with.")

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        super().__post_init__()
        if self.output is not None and self.output.suffix:
            self.require_table()
        if self.html is not None and self.html == self.table:
            raise ConfigurationError(f"html={str(self.html)!r} is the output too", "Give each a file of its own.")
        self.model_choice()

    @property
    def table(self) -> Path:
        """Where the table goes."""
        return Path("predictions.csv") if self.output is None else self.output

    def require_table(self) -> None:
        """Refuse an output that is no table.

        Raises:
            ConfigurationError: It is none.
        """
        if self.table.suffix.lower() not in TABLE_SUFFIXES:
            raise ConfigurationError(
                f"output={str(self.output)!r} cannot be used", f"Give a file that ends in {', '.join(TABLE_SUFFIXES)}."
            )

    def model_choice(self) -> ModelChoice:
        """Return the model, as whatever loads it takes it."""
        return ModelChoice(model=self.model, bands=self.bands, value_range=self.value_range)
