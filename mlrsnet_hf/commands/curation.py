"""`mlrsnet curate`: a dataset's vocabulary, votes, diversity and wrong labels, and what to label next."""

from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.commands.early_checks import check_paths
from mlrsnet_hf.configuration.settings import Count, Seed, Settings, changed_settings, setting
from mlrsnet_hf.curation.config import (
    SEARCH,
    DiversityConfig,
    ExportSetConfig,
    FindErrorsConfig,
    FoldsConfig,
    RoundConfig,
    Rules,
    StartConfig,
    StatusConfig,
    SuggestConfig,
)
from mlrsnet_hf.errors import ConfigurationError, require_extra
from mlrsnet_hf.files import refuse_existing
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.release.repair import LabelVersion
from mlrsnet_hf.runtime.logs import print_result


@dataclass(frozen=True, kw_only=True)
class Diversity:
    """Measure how diverse sets of images are beside each other.

    Shows a network, in the place of people, pairs of images of each set and of one scene; the more seldom the most
    similar pair is of a set, the more diverse it is. Writes a table with intervals, and a dot plot of all scenes. With
    --study people are asked, as a project in Label Studio (LABEL_STUDIO_URL, LABEL_STUDIO_API_KEY): the first call
    makes it, each later one reads what was answered since and writes table and plot anew.

    Examples:
        mlrsnet curate diversity embeddings-ours embeddings-theirs embeddings-another
        mlrsnet curate diversity images-ours images-theirs images-another --study study
        mlrsnet curate diversity --study study
    """

    config: DiversityConfig

    def run(self) -> None:
        if self.config.study is not None:
            require_extra("curate")
            require_extra("train")  # decodes pictures as training does
            from mlrsnet_hf.curation.diversity.study import run_study

            print_result(run_study(self.config))
            return
        require_extra("plots")
        from mlrsnet_hf.curation.diversity.measure import measure_diversity

        print_result(measure_diversity(self.config))


@dataclass(frozen=True, kw_only=True)
class ExportSet:
    """Write the images that are kept: their labels in the release's layout, as Parquet, and a split.

    Beside them stands what was removed, with the votes and the reason.

    Examples:
        mlrsnet curate export served/curation --output-dir curated
    """

    config: ExportSetConfig

    def run(self) -> None:
        from mlrsnet_hf.curation.votes.export import export_set

        print_result(export_set(self.config))


@dataclass(frozen=True, kw_only=True)
class FindErrors:
    """Rank the labels of a dataset by how probably they are wrong.

    Reads predictions of images that the model has not seen, or embeddings (mlrsnet embed), on which a linear probe is
    fitted by folds; asks the nearest images and the others of the scene besides, and the vocabulary where one is given.
    The table has a row for each label that is probably wrong, given or missing, the worst first; the page
    (--html) shows their images with what is said against each label. With --review people say in Label Studio which of
    them are wrong; the same command then writes the corrections and the corrected labels.

    Examples:
        mlrsnet curate find-errors embeddings --vocabulary vocabulary/vocabulary.yaml --html wrong-labels.html
        mlrsnet curate find-errors evaluation --embeddings embeddings --output wrong-labels.parquet
        mlrsnet curate find-errors folds/evaluation_* --embeddings embeddings --review served/review
        mlrsnet curate find-errors --review served/review
    """

    config: FindErrorsConfig
    data: ImageSet

    def run(self) -> None:
        require_extra("curate")
        _check_page(
            self.config.html,
            self.data,
            shows_more=self.config.near_duplicates == SEARCH or self.config.review is not None,
        )
        from mlrsnet_hf.curation.wrong_labels.find import find_errors

        print_result(find_errors(self.config, self.data))


@dataclass(frozen=True, kw_only=True)
class Round:
    """Read the votes of the open round, decide what is sure, and open the next round.

    An image is kept from a confidence of 0.97 on, removed when votes speak against it, and else voted on again, up to a
    limit. Pairs of categories that votes are divided about get a second stage, once their boundary is written down. It
    may be stopped and run again at any moment: no vote is lost or counted twice.

    Examples:
        mlrsnet curate round served/curation
        mlrsnet curate round served/curation --close
    """

    config: RoundConfig

    def run(self) -> None:
        require_extra("curate")
        from mlrsnet_hf.curation.votes.round import next_round

        print_result(next_round(self.config))


@dataclass(frozen=True, kw_only=True)
class Start:
    """Have annotators vote on images in Label Studio: make the curation's folder and the project of its first round.

    Annotators say what an image shows without being told what it was collected for. Images whose truth is known are
    mixed in; how far votes can be relied on is learned from these. LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY say where
    Label Studio is.

    Examples:
        mlrsnet curate start collected --labels candidates.csv --output-dir served/curation
        mlrsnet curate start https://example.org/tiles --labels tiles.csv --task labels --vocabulary vocabulary.yaml
    """

    config: StartConfig
    rules: Rules

    def run(self) -> None:
        require_extra("curate")
        from mlrsnet_hf.curation.votes.start import start_curation

        print_result(start_curation(self.config, self.rules))


@dataclass(frozen=True, kw_only=True)
class Status:
    """Show how far a curation is: votes, time to finish, agreement, confusions, and people whose votes say nothing.

    Examples:
        mlrsnet curate status served/curation
    """

    config: StatusConfig

    def run(self) -> None:
        require_extra("curate")
        from mlrsnet_hf.curation.votes.status import curation_status

        print_result(curation_status(self.config))


@dataclass(frozen=True, kw_only=True)
class Folds:
    """Cut the images of a set into folds, for scores of every image by a network that has not seen it.

    Writes a list for each fold that --split-file of mlrsnet train and mlrsnet evaluate takes: its images are the test
    split, all others train. Labels and scenes are shared evenly, near-duplicates stay together. What the k networks
    say goes to mlrsnet curate find-errors, see docs/curation.md.

    Examples:
        mlrsnet curate folds --dataset table.csv --label-separator , --output-dir folds
        mlrsnet curate folds --data-dir path/to/mlrsnet --folds 10
    """

    config: FoldsConfig
    data: ImageSet

    def run(self) -> None:
        require_extra("train")
        output = self.config.output_dir.expanduser()
        check_paths(data=self.data, targets=[lambda: refuse_existing(output)])
        from mlrsnet_hf.curation.wrong_labels.folds import write_folds

        print_result(write_folds(self.config, self.data))


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
        from mlrsnet_hf.curation.suggestions.suggest import suggest

        print_result(suggest(self.config, self.data))


@dataclass(frozen=True, kw_only=True)
class Vocabulary(Settings):
    """Find out which labels each scene may carry.

    Draws images of each scene for people to describe, in Label Studio (--describe) or in a table (--sheet); then counts
    what they wrote: labels on five images of a scene or fewer are left out, and names are merged by a list that is
    written beside, for you to review and give back. Labels of MLRSNet, sampled the same way, will do too.

    Examples:
        mlrsnet curate vocabulary collected --describe served/described
        mlrsnet curate vocabulary --describe served/described
        mlrsnet curate vocabulary served/described/sheet.csv --output-dir vocabulary
        mlrsnet curate vocabulary sheet.csv --merges merges.yaml --output-dir reviewed
    """

    source: Path | None = setting(
        None,
        "Table of image, scene and labels, with ; between these; a copy of MLRSNet or of its label files; for "
        "--describe and --sheet the folder that holds a folder of images for each scene; if unset what --describe has.",
        positional=True,
    )
    describe: Path | None = setting(
        None,
        "Folder of images that people describe in Label Studio. The first call creates it and its project, each later "
        "one, which needs no source, writes what they have said so far into its sheet.csv; none if unset.",
        metavar="FOLDER|none",
    )
    people: Count | None = setting(None, "People who describe each image there; if unset one.")
    sheet: Path | None = setting(
        None, "CSV file to create, of images to describe without Label Studio; none if unset.", metavar="FILE|none"
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

    def __post_init__(self) -> None:
        """Refuse what cannot be used, and options of another step than that which is asked for."""
        super().__post_init__()
        if self.source is None and self.describe is None:
            raise ConfigurationError(
                "nothing says what is counted", "Give the table, or the folder of images with --describe or --sheet."
            )
        self._require("describe", self.describe is None or self.sheet is None, "a sheet or a folder, not both")
        given = changed_settings(self)
        if self.describe is None and "people" in given:
            raise ConfigurationError("--people is of people who describe images", "Give --describe too.")
        if self.describe is not None or self.sheet is not None:
            step = "--sheet" if self.describe is None else "--describe"
            if counting := given & {"output_dir", "merges", "more_than", "label_version"}:
                name = min(counting).replace("_", "-")
                raise ConfigurationError(
                    f"--{name} does not go with {step}", "Give it with the sheet that is filled in."
                )

    def run(self) -> None:
        require_extra("curate")
        from mlrsnet_hf.curation.vocabulary.files import read_described, write_sheet, write_vocabulary_folder

        if self.describe is not None:
            from mlrsnet_hf.curation.vocabulary.descriptions import describe

            print_result(describe(self.source, self.describe, self.people, self.images_per_scene, self.seed))
            return
        assert self.source is not None, "refused before"
        if self.sheet is not None:
            print_result(write_sheet(self.source, self.sheet, self.images_per_scene, self.seed))
            return
        described = read_described(self.source, self.label_version)
        print_result(
            write_vocabulary_folder(
                described, self.output_dir, self.merges, self.images_per_scene, self.more_than + 1, self.seed
            )
        )


def _check_page(html: Path | None, data: ImageSet, shows_more: bool = False) -> None:
    """Refuse images that no page shows, nor anything else, and those that are not there."""
    named = changed_settings(data)
    if named and html is None and not shows_more:
        option = min(named).replace("_", "-")
        raise ConfigurationError(f"--{option} says where the pictures of a page are", "Give --html FILE too.")
    if html is not None or shows_more:
        require_extra("train")  # decodes pictures as training does
        check_paths(data=data if named else None)


COMMANDS = {
    "diversity": Diversity,
    "export": ExportSet,
    "find-errors": FindErrors,
    "folds": Folds,
    "round": Round,
    "start": Start,
    "status": Status,
    "suggest": Suggest,
    "vocabulary": Vocabulary,
}
"""The commands after `mlrsnet curate`."""
