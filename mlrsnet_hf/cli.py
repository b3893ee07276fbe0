"""The command `mlrsnet`: each command is a dataclass of its options, which the library parses, and calls its stage."""

import dataclasses
import io
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mlrsnet_hf import __version__
from mlrsnet_hf.configuration.command_line import parse
from mlrsnet_hf.configuration.settings import Count, Seed, Settings, Share, leaves, setting
from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives, require_extra
from mlrsnet_hf.inputs.config import MLRSNET, DataConfig
from mlrsnet_hf.parallel import default_processes
from mlrsnet_hf.publishing.config import DRY_RUN_FOLDER, PublishConfig, PublishOptions
from mlrsnet_hf.release.repair import LabelVersion
from mlrsnet_hf.retrieval.embeddings.config import EmbeddingConfig, ImageSet, ModelChoice
from mlrsnet_hf.retrieval.index import COLLECTION, Effort
from mlrsnet_hf.retrieval.protocol.config import RetrievalConfig
from mlrsnet_hf.runtime.logs import exit_on_error, is_main_process, print_result
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.recipes import RecipeChoice, recipe_defaults

_LABELS = (
    "Labels: verified repairs the published faults, as-published has them; if unset verified for a copy whose rows are "
    "MLRSNet's, else as-published."
)


@dataclass(frozen=True, kw_only=True)
class Audit(Settings):
    """Check a copy of the release against what was published.

    Compares counts, labels and images (every one is decoded), and tells which version of the label files it holds.
    Exit code: 0 clean, 1 findings that are repaired or for information, 2 unusable.

    Examples:
        mlrsnet audit path/to/mlrsnet --diff
    """

    source: Path = setting(text="Copy of the release, or label files alone.", positional=True)
    json: bool = setting(False, "Print everything that was found as JSON.")
    diff: bool = setting(False, "Print the rows that are repaired, one line each; images are not looked at.")
    processes: Count = setting(default_processes(), "Processes that decode images.")

    def run(self) -> None:
        from mlrsnet_hf.reports.audit import print_audit, print_repairs

        if self.json and self.diff:
            raise ConfigurationError("--json and --diff exclude each other", "Give one of them.")
        code = print_repairs(self.source) if self.diff else print_audit(self.source, self.processes, self.json)
        sys.exit(code)


@dataclass(frozen=True, kw_only=True)
class Demo(Settings):
    """Run the whole job on synthetic scenes.

    Draws them, fine-tunes a small network, evaluates it and saves it: about two minutes on two cores, without data.

    Examples:
        mlrsnet demo --output-dir mlrsnet-demo
    """

    output_dir: Path = setting(Path("mlrsnet-demo"), "Folder of all that is written.")
    seed: Seed = setting(0, "Seed of the scenes, the split and the training.")
    resume: bool = setting(False, "Go on with a demo that was stopped.")

    def run(self) -> None:
        require_extra("train")
        from mlrsnet_hf.demo import run_demo

        run_demo(self.output_dir, seed=self.seed, resume=self.resume)


@dataclass(frozen=True, kw_only=True)
class Embed:
    """Write the embeddings of images as Parquet.

    Passes images through a network and writes the output of one of its last layers as Parquet, with ids, scenes and
    labels. A run that was cut short is completed by the next.

    Examples:
        mlrsnet embed --model runs/train --data-dir path/to/mlrsnet --output-dir embeddings
        accelerate launch -m mlrsnet_hf embed --model resnet50 --images path/to/images
    """

    images: ImageSet
    config: EmbeddingConfig

    def run(self) -> None:
        require_extra("train")
        from mlrsnet_hf.publishing.embeddings_card import embeddings_card
        from mlrsnet_hf.retrieval.embeddings.embed import embed

        embed(self.config, self.images, embeddings_card)


@dataclass(frozen=True, kw_only=True)
class Index(Settings):
    """Build an index of embeddings that stays.

    Builds it on Milvus, in a local folder (Milvus Lite, no server) or on a server, and measures how much of the exact
    result it finds. A build, or an append, that was cut short is completed by the next.

    Examples:
        mlrsnet index embeddings http://localhost:19530 --collection scenes
        mlrsnet index new-embeddings my-index --append --recall 0.99
    """

    embeddings: str = setting(
        text="Folder that `mlrsnet embed` wrote, or the id of such a dataset on the Hub.", positional=True
    )
    index: str = setting(text="Folder to create, or the URI of a Milvus server.", positional=True)
    kind: Literal["hnsw", "flat"] = setting("hnsw", "A graph, or a look at every image.")
    collection: str = setting(COLLECTION, "Collection on a server.")
    append: bool = setting(False, "Add the images to the index that is there; those of a known id take its place.")
    recall: Share | None = setting(
        None,
        "Share of the exact result to find, for which a search effort is found and stored; if unset it is measured.",
    )

    def run(self) -> None:
        require_extra("search")
        if self.append:
            from mlrsnet_hf.retrieval.index.append import append_to_index

            print_result(append_to_index(self.embeddings, self.index, self.collection, self.recall).summary())
            return
        from mlrsnet_hf.retrieval.index.build import build_index

        print_result(build_index(self.embeddings, self.index, self.kind, self.collection, self.recall).summary())


@dataclass(frozen=True, kw_only=True)
class Inspect(Settings):
    """Show what training would read of a dataset.

    Loads it as `mlrsnet train` does, with the same options, and says which columns are what, how many images each label
    and split has, which images have no label, and what the image files are; nothing is trained.

    Examples:
        mlrsnet inspect table.csv --label-separator , --html look.html
        mlrsnet inspect --data-dir path/to/mlrsnet
    """

    source: str | None = setting(
        None, "Dataset, as --dataset takes it; mlrsnet if both are unset.", positional=True, metavar="DATASET"
    )
    html: Path | None = setting(None, "Page of all that with pictures of each label; none if unset.", metavar="FILE")
    examples: Count = setting(6, "Pictures of each label on the page.")
    files: Count = setting(1000, "Image files of each split, evenly spread, that are opened for sizes and modes.")
    json: bool = setting(False, "Print everything as JSON.")
    data: DataConfig

    def run(self) -> None:
        from mlrsnet_hf.reports.inspect.report import print_inspection

        data = self.data
        if self.source is not None:
            if data.dataset not in (MLRSNET, self.source):
                raise ConfigurationError(
                    f"the dataset is given twice, as {self.source!r} and {data.dataset!r}", "Give it once."
                )
            data = dataclasses.replace(data, dataset=self.source)
        print_inspection(data, files_per_split=self.files, page=self.html, examples=self.examples, as_json=self.json)


@dataclass(frozen=True, kw_only=True)
class NearDuplicates(Settings):
    """Find images of one piece of ground.

    Groups images that are turned, mirrored, resized, cropped or recompressed copies of each other, and says how much of
    the test split of a protocol has a copy in train.

    Examples:
        mlrsnet near-duplicates path/to/mlrsnet --protocol ratio40 --output groups.csv
    """

    source: Path = setting(text="Copy of the release.", positional=True)
    protocol: Literal["ratio20", "ratio30", "ratio40"] = setting("ratio20", "Protocol to judge.")
    split_seed: Seed = setting(0, "Seed of the protocol's splits.", former="seed")
    output: Path | None = setting(None, "CSV file of id and group to write; none if unset.", metavar="FILE")

    def run(self) -> None:
        from mlrsnet_hf.dataset.near_duplicates.groups import leak_report

        print_result(leak_report(self.source, self.protocol, self.split_seed, self.output))


@dataclass(frozen=True, kw_only=True)
class Prepare(Settings):
    """Turn a copy of the release into a repository for the Hub.

    Writes Parquet files with the images, each stored once, all ratio and retrieval protocols, and a card. A run that
    was cut short is completed by the next.

    Examples:
        mlrsnet prepare path/to/mlrsnet ./mlrsnet --label-version as-published
    """

    source: Path = setting(text="Copy of the release: folder, archives, or Parquet.", positional=True)
    target: Path = setting(text="Folder to create.", positional=True)
    label_version: LabelVersion | None = setting(None, _LABELS, former="labels")
    skip_unreadable: bool = setting(False, "Leave out images that cannot be read.")

    def run(self) -> None:
        from mlrsnet_hf.publishing.prepare import prepare

        print_result(prepare(self.source, self.target, self.label_version, self.skip_unreadable).summary())


@dataclass(frozen=True, kw_only=True)
class Publish(PublishOptions):
    """Push a model, a dataset, embeddings or a metric to the Hub.

    Pushes a folder in one commit: a finished run becomes a model, a prepared dataset or embeddings a dataset, a metric
    a Space. Log in first: hf auth login. A push that was cut short is completed by the next.

    Examples:
        mlrsnet publish runs/train USER/NAME --dry-run
    """

    path: Path = setting(
        text="A run, a prepared dataset, embeddings, or a metric, by its folder or name.", positional=True
    )
    repo_id: str = setting(text="Repository; it is made if it is not there.", positional=True, metavar="USER/NAME")
    dry_run: bool = setting(False, "Build the repository, say where it is, push nothing.")
    output_dir: Path = setting(DRY_RUN_FOLDER, "Folder in which a dry run builds, in place of an earlier one.")

    def run(self) -> None:
        from mlrsnet_hf.publishing.publish import publish

        print_result(publish(**self.to_dict()).summary())


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Measure image retrieval as the paper does.

    Measures how well a model's embeddings retrieve images (paper, section 4): Tables 8 and 9, Figs. 10 to 14 and
    measures on labels, written as JSON, CSV, Markdown, PNG and one HTML page.

    Examples:
        mlrsnet retrieval --model runs/train --data-dir path/to/mlrsnet --protocol retrieval05 retrieval10
        accelerate launch -m mlrsnet_hf retrieval --embeddings embeddings --data-dir path/to/mlrsnet
    """

    config: RetrievalConfig

    def run(self) -> None:
        require_extra("train")
        from mlrsnet_hf.reports.retrieval.report import write_retrieval

        write_retrieval(self.config)


@dataclass(frozen=True, kw_only=True)
class Search(Settings):
    """Find images like one.

    Finds the images of an index that are nearest to a picture, or to an image of the index by its id, or to each of
    several, or of a folder; without any, lists those that have the labels and the scene.

    Examples:
        mlrsnet search my-index query.jpg -k 12 --labels water,ships --html found.html
        mlrsnet search my-index pictures --labels "Beaches, dunes, sands" --labels water
    """

    index: str = setting(text="Folder that `mlrsnet index` wrote, or the URI of a Milvus server.", positional=True)
    query: tuple[str, ...] = setting(
        (), "Pictures, folders of pictures, or ids of images of the index; if unset the filter counts.", positional=True
    )
    top_k: Count = setting(12, "Images to find.", short="-k")
    labels: tuple[str, ...] = setting(
        (),
        "Labels that all must be there, with commas between or the option repeated; names may hold commas.",
        metavar="NAME,NAME",
        repeated=True,
    )
    scene: str | None = setting(None, "Scene that must be shown; any if unset.", metavar="NAME")
    html: Path | None = setting(None, "Page of pictures to write; none if unset.", metavar="FILE")
    collection: str = setting(COLLECTION, "Collection on a server.")
    ef: Effort | None = setting(
        None, "Candidates to look at in a graph, more find more and take longer; what the index knows if unset."
    )
    model: str | None = setting(
        None,
        "Place where the network is now, as `mlrsnet embed` takes it; the index's own if unset.",
        section="Network",
    )
    weights: str | None = setting(None, "Weights for a timm name; those of the index if unset.")
    image_size: Count | None = setting(None, "Side in pixels of the input; that of the index if unset.")
    crop_pct: Share | None = setting(None, "Share of the image that the network sees; that of the index if unset.")
    bands: str | None = setting(None, "Bands of the picture's file that the network sees; those of the index if unset.")
    value_range: str | None = setting(None, "Values that become black and white; those of the index if unset.")

    def run(self) -> None:
        require_extra("search")
        from mlrsnet_hf.reports.search import print_search

        print_search(
            self.index,
            self.query,
            page=self.html,
            collection=self.collection,
            k=self.top_k,
            labels=self.labels,
            scene=self.scene,
            ef=self.ef,
            model={name: getattr(self, name) for name in leaves(ModelChoice)},
        )


@dataclass(frozen=True, kw_only=True)
class Stats(Settings):
    """Count scenes, labels and pixels, as tables and figures.

    Counts images per scene (Fig. 1 of the paper) and per label (Table 1) beside the published numbers, labels per
    image, labels that occur together, and mean and standard deviation of each channel; writes them as CSV and PNG.
    Label files alone will do, without the channels.

    Examples:
        mlrsnet stats path/to/mlrsnet
    """

    source: Path = setting(text="Copy of the release, or label files alone.", positional=True)
    output_dir: Path = setting(Path("mlrsnet-stats"), "Folder to create.")
    label_version: LabelVersion | None = setting(None, _LABELS, former="labels")
    processes: Count = setting(default_processes(), "Processes that decode images.")

    def run(self) -> None:
        require_extra("plots")
        from mlrsnet_hf.reports.statistics.report import write_statistics

        print_result(write_statistics(self.source, self.output_dir, self.label_version, processes=self.processes))


@dataclass(frozen=True, kw_only=True)
class Synthesize(Settings):
    """Draw synthetic scenes into a release folder.

    Draws them in the layout of the release, with a contact sheet beside.

    Examples:
        mlrsnet synthesize scenes --images-per-scene 20
    """

    output_dir: Path = setting(text="Folder to create.", positional=True)
    images_per_scene: Count = setting(20, "Images of each of the 46 scenes.")
    full_size: bool = setting(False, "As many images per scene as MLRSNet has, 109,161, instead.")
    seed: Seed = setting(0, "Seed of the images.")
    processes: Count = setting(default_processes(), "Processes that draw.")

    def run(self) -> None:
        from mlrsnet_hf.synthetic.release import CONTACT_SHEET, write_synthetic_release

        if self.full_size and self.images_per_scene != 20:
            raise ConfigurationError("--images-per-scene and --full-size exclude each other", "Give one of them.")
        amount = None if self.full_size else self.images_per_scene
        release = write_synthetic_release(self.output_dir, amount, self.seed, self.processes)
        print_result(
            f"{len(release.entries):,} synthetic images: {self.output_dir}, see {self.output_dir / CONTACT_SHEET}"
        )


@dataclass(frozen=True, kw_only=True)
class Train:
    """Fine-tune a timm network on MLRSNet, or on any images with lists of labels.

    Settings come from the recipe, over it from the YAML file that --config names, over that from the command line. In
    the file names are written with underscores: `learning_rate: 0.001`. `none` unsets what can be unset.

    Examples:
        mlrsnet train --data-dir path/to/mlrsnet --output-dir runs/first
        accelerate launch -m mlrsnet_hf train --recipe paper --network ResNet50 --data-dir path/to/mlrsnet
    """

    choice: RecipeChoice
    data: DataConfig
    training: TrainingConfig
    publish: PublishConfig

    defaults = staticmethod(recipe_defaults)

    def run(self) -> None:
        require_extra("train")
        from mlrsnet_hf.publishing.hub import check_can_publish
        from mlrsnet_hf.publishing.publish import publish_run
        from mlrsnet_hf.training.run import train

        target = self.publish.push_to_hub if is_main_process() else None
        if target is not None:
            check_can_publish(target, self.publish.dataset_id)
        train(self.training, self.data, self.choice.recipe)
        if target is not None:
            print_result(publish_run(self.training.output_dir, target, **self.publish.options()).summary())


COMMANDS: Mapping[str, Any] = {
    "audit": Audit,
    "demo": Demo,
    "embed": Embed,
    "index": Index,
    "inspect": Inspect,
    "near-duplicates": NearDuplicates,
    "prepare": Prepare,
    "publish": Publish,
    "retrieval": Retrieval,
    "search": Search,
    "stats": Stats,
    "synthesize": Synthesize,
    "train": Train,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a mistake of the user ends it with one sentence and exit code 2."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be text
    if not sys.stderr.isatty():  # a file would hold every state of the bars of these libraries
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    with exit_on_error(words[0] if words else None):
        _run(words[0] if words else "--help", words[1:])


def _run(name: str, arguments: Sequence[str]) -> None:
    if name in ("-h", "--help"):
        lines = [f"  {name:<16} {command.__doc__.partition(chr(10))[0]}" for name, command in COMMANDS.items()]
        print_result("usage: mlrsnet COMMAND [OPTIONS]\n\nMLRSNet, multi-label remote sensing scenes.\n\ncommands:")
        print_result("\n".join([*lines, "", "mlrsnet COMMAND --help tells more; mlrsnet --version tells the version."]))
    elif name == "--version":
        print_result(f"mlrsnet-hf {__version__}")
    elif name not in COMMANDS:
        raise UnknownNameError(f"there is no command {name!r}", name_alternatives(name, COMMANDS))
    else:
        parse(COMMANDS[name], f"mlrsnet {name}", arguments).run()
