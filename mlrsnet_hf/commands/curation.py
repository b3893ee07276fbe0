"""`mlrsnet curate`: a dataset's vocabulary, diversity and wrong labels, and what to label next."""

from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.commands.early_checks import check_paths
from mlrsnet_hf.configuration.settings import Count, Seed, Settings, changed_settings, setting
from mlrsnet_hf.curation.config import DiversityConfig, FindErrorsConfig, SuggestConfig
from mlrsnet_hf.errors import ConfigurationError, require_extra
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.release.repair import LabelVersion
from mlrsnet_hf.runtime.logs import print_result


@dataclass(frozen=True, kw_only=True)
class Diversity:
    """Measure how diverse sets of images are beside each other.

    Shows a network, in the place of people, pairs of images of each set and of one scene; the more seldom the most
    similar pair is of a set, the more diverse it is. Writes a table with intervals, and a dot plot of all scenes.

    Examples:
        mlrsnet curate diversity embeddings-ours embeddings-theirs embeddings-another
    """

    config: DiversityConfig

    def run(self) -> None:
        require_extra("plots")
        from mlrsnet_hf.curation.measure_diversity import measure_diversity

        print_result(measure_diversity(self.config))


@dataclass(frozen=True, kw_only=True)
class FindErrors:
    """Rank the labels of a dataset by how probably they are wrong.

    Reads predictions of images that the model has not seen, or embeddings, on which a linear probe is fitted by folds;
    asks the nearest images, the others of the scene and the image's other labels besides, and the vocabulary where one
    is given. The table has a row for each label that is probably wrong, given or missing, the worst first; the page
    (--html) shows their images with what is said against each label.

    Examples:
        mlrsnet curate find-errors embeddings --vocabulary vocabulary/vocabulary.yaml --html wrong-labels.html
        mlrsnet curate find-errors evaluation --embeddings embeddings --output wrong-labels.parquet
    """

    config: FindErrorsConfig
    data: ImageSet

    def run(self) -> None:
        require_extra("curate")
        _check_page(self.config.html, self.data)
        from mlrsnet_hf.curation.find_errors import find_errors

        print_result(find_errors(self.config, self.data))


@dataclass(frozen=True, kw_only=True)
class Suggest:
    """List the unlabeled tiles that are most worth labeling.

    Ranks tiles by how uncertain a model is of them and by how far in embedding space they lie from what is labeled and
    from each other, of one label or scene or of all; near-duplicates are left out.

    Examples:
        mlrsnet curate suggest tiles --labeled embeddings --predictions tiles.parquet --html tiles.html
        mlrsnet curate suggest tiles --labeled embeddings --scene lake
    """

    config: SuggestConfig
    data: ImageSet

    def run(self) -> None:
        _check_page(self.config.html, self.data)
        from mlrsnet_hf.curation.suggest import suggest

        print_result(suggest(self.config, self.data))


@dataclass(frozen=True, kw_only=True)
class Vocabulary(Settings):
    """Find out which labels each scene may carry.

    Draws images of each scene for people to describe (--sheet), then counts what they wrote: labels on five images of
    a scene or fewer are left out, and names are merged by a list that is written beside, for you to review and give
    back. Labels of MLRSNet, sampled the same way, will do too.

    Examples:
        mlrsnet curate vocabulary collected --sheet sheet.csv
        mlrsnet curate vocabulary sheet.csv --output-dir vocabulary
        mlrsnet curate vocabulary sheet.csv --merges merges.yaml --output-dir reviewed
    """

    source: Path = setting(
        text="Table of image, scene and labels, with ; between these; a copy of MLRSNet or of its label files; for "
        "--sheet the folder that holds a folder of images for each scene.",
        positional=True,
    )
    sheet: Path | None = setting(
        None, "CSV file to create, of images to describe; if unset what was described is counted.", metavar="FILE"
    )
    output_dir: Path = setting(Path("vocabulary"), "Folder to create.")
    merges: Path | None = setting(
        None,
        "Reviewed list of names that stand for others; if unset case and separators alone do not tell names apart.",
    )
    images_per_scene: Count = setting(100, "Images of each scene that are drawn.")
    more_than: Count = setting(5, "A label stays that is on more images of its scene's sample than this.")
    label_version: LabelVersion | None = setting(
        None, "Labels of MLRSNet: verified or as-published; if unset verified where the rows are its own."
    )
    seed: Seed = setting(0, "Seed of the draws.")

    def run(self) -> None:
        require_extra("curate")
        from mlrsnet_hf.curation.vocabulary_files import read_described, write_sheet, write_vocabulary_folder

        if self.sheet is not None:
            if given := changed_settings(self) & {"output_dir", "merges", "more_than", "label_version"}:
                name = min(given).replace("_", "-")
                raise ConfigurationError(
                    f"--{name} does not go with --sheet", "Give it with the sheet that is filled in."
                )
            print_result(write_sheet(self.source, self.sheet, self.images_per_scene, self.seed))
            return
        described = read_described(self.source, self.label_version)
        print_result(
            write_vocabulary_folder(
                described, self.output_dir, self.merges, self.images_per_scene, self.more_than + 1, self.seed
            )
        )


def _check_page(html: Path | None, data: ImageSet) -> None:
    """Refuse images that no page shows, and those that are not there."""
    named = changed_settings(data)
    if named and html is None:
        option = min(named).replace("_", "-")
        raise ConfigurationError(f"--{option} says where the pictures of a page are", "Give --html FILE too.")
    if html is not None:
        require_extra("train")  # decodes pictures as training does
        check_paths(data=data if named else None)


COMMANDS = {"diversity": Diversity, "find-errors": FindErrors, "suggest": Suggest, "vocabulary": Vocabulary}
"""The commands after `mlrsnet curate`."""
