"""Which images a run uses, and what the columns of their dataset mean."""

from dataclasses import dataclass
from typing import Annotated, Literal

from mlrsnet_hf.configuration.settings import JoinedText, Range, Settings, changed_settings, setting
from mlrsnet_hf.dataset.splits.protocols import CUSTOM
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.pixels.reading import (
    MOST_METERS,
    bands_setting,
    parse_bands,
    parse_value_range,
    value_range_setting,
)
from mlrsnet_hf.release.repair import LabelVersion

TaskKind = Literal["labels", "labels+scene", "scene"]
"""What a model learns; see `inputs.task`."""

Meters = Annotated[float, Range(0, MOST_METERS, above=True, below=True)]
"""Ground resolution."""

MLRSNET = "mlrsnet"
AUTO = "auto"
"""Value of a split's setting: the split of the usual name, if there is one that can be used."""

LabelForm = Literal["ids", "vector"]
"""What a list of whole numbers is: the ids of an image's labels, or one 0 or 1 for each label."""
Uncertain = Literal["negative", "positive", "ignore"]
Missing = Literal["negative", "ignore"]
"""What a label counts as whose value is -1, or is not there; `ignore` leaves it out of loss and scores."""


@dataclass(frozen=True, slots=True)
class ValueRules:
    """What values count as that say neither yes nor no; None refuses them."""

    uncertain: Uncertain | None = None
    missing: Missing | None = None


REFUSE = ValueRules()


@dataclass(frozen=True, kw_only=True)
class DataConfig(Settings):
    """The dataset of a run, checked when made.

    Raises:
        ConfigurationError: A value cannot be used.
        UnknownNameError: There is no such label version.
    """

    dataset: str = setting(
        MLRSNET,
        "'mlrsnet', a dataset on the Hub (USER/NAME), a folder that datasets can load, or a Parquet, Arrow, CSV, TSV "
        "or JSON file, or several by a pattern in quotes ('tables/*.csv'); see docs/data.md.",
        section="Data",
    )
    streaming: str | None = setting(
        None,
        "Folder, or its address (s3://, gs://, hf://, https://, whatever fsspec knows), of a set that mlrsnet prepare "
        "--format litdata has written; training fetches from there what it needs next, and dataset counts for nothing. "
        "If unset, dataset is read.",
        metavar="FOLDER|URL|none",
    )
    protocol: str | None = setting(
        None, "Configuration of the dataset; of mlrsnet the protocol, ratio20 if unset: ratio30, grouped20, ..."
    )
    data_dir: str | None = setting(
        None,
        "Folder inside the dataset; of mlrsnet a copy of the release, if unset what MLRSNET_DATA_DIR names, else the "
        "published archive.",
    )
    image_column: str = setting(
        "image",
        "Column of the images: files, their bytes, or their paths or names, with or without suffix; if there is none "
        "of the default's name, that of a usual name ('filename', 'path').",
    )
    image_dir: str | None = setting(
        None, "Folder of the images that a table names; if unset the table's own, then the working folder."
    )
    labels_column: str | None = setting(
        "labels", "Column of each image's labels: a list of classes, names, numbers, or of one 0 or 1 per label."
    )
    label_columns: tuple[str, ...] = setting(
        (),
        "Columns of one label each, 0 or 1, with commas between them or the option repeated; if unset, and there is no "
        "labels_column, all columns that hold nothing but 0, 1, -1 and empty cells.",
    )
    label_separator: str | None = setting(
        None,
        "Text between the names of labels where their column holds text, such as ',' in 'sea, sand'; unset for lists.",
    )
    label_form: LabelForm | None = setting(
        None,
        "What lists of whole numbers are: ids of an image's labels, or a vector of one 0 or 1 per label; if unset, "
        "what they must be, or an error.",
    )
    uncertain: Uncertain | None = setting(
        None, "What a label of -1 counts as; ignore leaves it out of loss and scores; if unset it is refused."
    )
    missing: Missing | None = setting(
        None,
        "What an empty cell counts as: negative is no label; ignore leaves it out of loss and scores; if unset it is "
        "refused in columns of one label each, and elsewhere its row is left out.",
    )
    scene_column: str | None = setting(
        None, "Column of each image's only class; if unset 'scene', where there is one in order."
    )
    id_column: str | None = setting(
        None,
        "Column of names of the images; if unset 'id', else the files' names, else the rows' numbers, the first that "
        "names no two images alike.",
    )
    train_split: str = setting("train", "Split to train on.")
    validation_split: str | None = setting(
        AUTO,
        "Split that picks the best epoch; auto takes 'validation' (or 'val', 'dev') if there is one with labels; none "
        "holds images out from training.",
    )
    test_split: str | None = setting(
        AUTO, "Split to score in the end; auto takes 'test' if there is one with labels; none scores none."
    )
    validation_share: Annotated[float, Range(0, 1, above=True, below=True)] = setting(
        0.1, "Share of the training images that is held out if there is no validation."
    )
    split_file: str | None = setting(
        None,
        "Your own splits: a table of images and splits, such as a fold of mlrsnet curate folds, or a folder with "
        "train.txt, val.txt and test.txt; if unset those of the protocol, or of the dataset.",
    )
    split_seed: int = setting(0, "Seed of the held-out images, and of the splits of mlrsnet.")
    label_version: LabelVersion | None = setting(
        None,
        "Labels of mlrsnet: verified repairs the published faults, as-published has them; if unset verified for a copy "
        "whose rows are MLRSNet's, else as-published.",
        former="labels",
    )
    bands: JoinedText | None = bands_setting("red, green and blue, or gray. Read by rasterio.")
    value_range: JoinedText | None = value_range_setting(
        "images of 8 bits alone are read.",
        ", or percentiles that are measured on the training images, band by band: 2%,98%",
    )
    resolution: Meters | None = setting(
        None,
        "Meters on the ground per pixel of the images, which stay as they are: the model keeps it, and mlrsnet predict "
        "warns of a scene of another; if unset, that of georeferenced training images.",
        metavar="METERS|none",
    )

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        super().__post_init__()
        channels = 3 if self.bands is None else len(parse_bands(self.bands))
        if self.value_range is not None:
            parse_value_range(self.value_range, channels)
        self._require("label_separator", self.label_separator != "", "what stands between two labels")
        if self.label_columns and (self.label_separator is not None or self.labels_column not in ("labels", None)):
            other = "label_separator" if self.label_separator is not None else "labels_column"
            raise ConfigurationError(f"label_columns and {other} exclude each other", "Give one of them.")
        if self.split_file is not None and self.dataset == MLRSNET and self.protocol not in (None, CUSTOM):
            raise ConfigurationError(
                f"split_file={self.split_file!r} is given with protocol {self.protocol!r}",
                "Of mlrsnet it goes with no protocol but 'custom'.",
            )
        if self.streaming is not None:
            self._refuse_beside_streaming()
        columns = [name for name in self.columns().values() if name is not None]
        for column in columns:
            if columns.count(column) > 1:
                roles = " and ".join(role for role, name in self.columns().items() if name == column)
                raise ConfigurationError(f"column {column!r} is given as {roles}", "Give each another column.")

    def _refuse_beside_streaming(self) -> None:
        """Refuse what was settled when the set was written."""
        for name in sorted(changed_settings(self) - {"streaming", "bands", "value_range", "resolution"}):
            raise ConfigurationError(
                f"{name}={getattr(self, name)!r} is given with streaming, whose set has its images, labels and splits "
                "already",
                f"Leave {name} out, and give it to mlrsnet prepare.",
            )

    def columns(self) -> dict[str, str | None]:
        """Return the names of the columns by setting."""
        return {name: getattr(self, name) for name in ("image_column", "labels_column", "scene_column", "id_column")}

    def value_rules(self) -> ValueRules:
        """Return what labels count as that are neither there nor not there."""
        return ValueRules(uncertain=self.uncertain, missing=self.missing)
