"""What to embed and how, as settings; light to import."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlrsnet_hf.configuration.settings import Count, CountOrZero, JoinedText, Settings, Share, setting
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.config import MLRSNET, LabelForm, Missing, Uncertain
from mlrsnet_hf.inputs.reading import parse_bands
from mlrsnet_hf.models import PRETRAINED
from mlrsnet_hf.release.repair import LabelVersion
from mlrsnet_hf.runtime import Precision

Layer = Literal["pooled", "pre_logits", "logits"]
"""What each is, `retrieval.embeddings.model` says."""


@dataclass(frozen=True, kw_only=True)
class ImageSet(Settings):
    """Which images: a split of MLRSNet, a split of another dataset, or a folder of images."""

    images: str | None = setting(
        None,
        "Folder of images, those in folders below it too; if unset, the dataset's are taken.",
        section="Images",
    )
    dataset: str = setting(
        MLRSNET,
        "'mlrsnet', a dataset on the Hub (USER/NAME), a folder that datasets loads, a table, or several by a pattern "
        "in quotes; see docs/data.md.",
    )
    data_dir: str | None = setting(
        None, "Folder or archive of MLRSNet; if unset what MLRSNET_DATA_DIR names, else it is downloaded."
    )
    protocol: str | None = setting(
        None, "Configuration of the dataset; of mlrsnet the protocol, retrieval10 if unset: ratio20, retrieval05, ..."
    )
    split: str = setting("query+database", "Split, or several as datasets takes them, such as query+database.")
    split_seed: int = setting(0, "Seed of the splits of mlrsnet.")
    label_version: LabelVersion | None = setting(
        None,
        "Labels of mlrsnet: verified repairs the published faults, as-published has them; if unset verified for a copy "
        "whose rows are MLRSNet's, else as-published.",
        former="labels",
    )
    image_column: str = setting(
        "image",
        "Column of the images, of another dataset; if there is none of the default's name, that of a usual name.",
    )
    image_dir: str | None = setting(
        None, "Folder of the images that a table names; if unset the table's own, then the working folder."
    )
    labels_column: str | None = setting(
        None, "Column of the labels, of another dataset; if unset 'labels', where there is one."
    )
    label_columns: tuple[str, ...] = setting(
        (),
        "Columns of one label each, 0 or 1, with commas between them or the option repeated; if unset, and there is no "
        "labels_column, all columns that hold nothing but 0, 1, -1 and empty cells.",
    )
    label_separator: str | None = setting(
        None, "Text between the names of labels where their column holds text; unset for lists."
    )
    label_form: LabelForm | None = setting(
        None, "What lists of whole numbers are: ids of labels, or a vector of one 0 or 1 per label; found out if unset."
    )
    uncertain: Uncertain | None = setting(
        None, "What a label of -1 counts as; with ignore the image does not have it here; if unset it is refused."
    )
    missing: Missing | None = setting(
        None,
        "What an empty cell counts as; with negative and ignore the image does not have the label here; if unset it is "
        "refused in columns of one label each, and elsewhere its row is left out.",
    )
    scene_column: str | None = setting(
        None, "Column of the scene, of another dataset; if unset 'scene', where there is one."
    )
    id_column: str | None = setting(None, "Column of the ids, of another dataset; if unset 'id', where there is one.")

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        super().__post_init__()
        if self.images is not None:
            others = ("dataset", "data_dir", "protocol", "image_dir", "labels_column", "label_columns")
            fields = {field.name: field.default for field in dataclasses.fields(self)}
            for name in others:
                if getattr(self, name) != fields[name]:
                    raise ConfigurationError(
                        f"images={self.images!r} and {name}={getattr(self, name)!r} exclude each other",
                        "Leave one of them out: a folder of images has no labels and no splits.",
                    )


@dataclass(frozen=True, kw_only=True)
class ModelChoice(Settings):
    """Which network makes the embeddings."""

    model: str = setting(
        "resnet50", "Folder of a run or of a saved model, repository of the Hub, or timm name.", section="Model"
    )
    weights: str = setting(
        PRETRAINED, "Weights for a timm name: a file, 'pretrained' (timm's own, from the Hub) or 'random'."
    )
    image_size: Count | None = setting(None, "Side in pixels of the input, for a timm name; if unset the model's own.")
    crop_pct: Share = setting(1.0, "Share of the image that the network sees, for a timm name; 1 is all of it.")
    bands: JoinedText | None = setting(
        None,
        "Bands of the image files that the network sees, counted from 1, such as 4,3,2 or 1-13; if unset those that "
        "the model was trained on, of a timm name red, green and blue, or gray.",
        metavar="N,N,...|none",
    )
    value_range: JoinedText | None = setting(
        None,
        "Values that become black and white: 0,3000 for all bands, '0,3000;0,500' one by one; if unset those that the "
        "model was trained with, of a timm name 0 to 255, of images of 8 bits.",
        metavar="LOW,HIGH|none",
    )

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        super().__post_init__()
        if self.bands is not None:
            parse_bands(self.bands)


@dataclass(frozen=True, kw_only=True)
class Pass(Settings):
    """How images go through a network."""

    layer: Layer = setting(
        "pre_logits", "Output that is taken; pre_logits is the classifier's input.", section="Embeddings"
    )
    normalize: bool = setting(False, "Scale each embedding to length 1.", former="normalise")
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
