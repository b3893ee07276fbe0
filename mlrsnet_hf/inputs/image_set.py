"""Which images are embedded or predicted, as settings; light to import."""

import dataclasses
from dataclasses import dataclass

from mlrsnet_hf.configuration.settings import Settings, setting
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.config import MLRSNET, LabelForm, Missing, Uncertain
from mlrsnet_hf.release.repair import LabelVersion


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
    split: str | None = setting(
        None,
        "Split, or several, such as train+test; where training holds images out of train, validation is these and "
        "train the others; if unset query+database of mlrsnet's retrieval protocols, and all splits elsewhere.",
    )
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
