"""The command `mlrsnet`: parse, build, call."""

import argparse
import dataclasses
import io
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar, get_args

from mlrsnet_hf import __version__
from mlrsnet_hf.errors import require_extra
from mlrsnet_hf.parallel import default_processes
from mlrsnet_hf.retrieval.embeddings.config import EmbeddingConfig, ImageSet, ModelChoice
from mlrsnet_hf.retrieval.protocol.config import RetrievalConfig
from mlrsnet_hf.runtime.logs import exit_on_error

Settings = TypeVar("Settings", EmbeddingConfig, ImageSet, RetrievalConfig)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a mistake of the user ends it with one sentence and exit code 2."""
    options = _parse(_parser(), arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be text
    try:
        with exit_on_error():
            options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    options, unknown = parser.parse_known_args(arguments)
    if len(unknown) == 1 and options.run is _search and "query" not in options and not unknown[0].startswith("-"):
        options.query = unknown.pop()  # argparse takes an argument that may be left out before the options alone
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mlrsnet", description="MLRSNet, multi-label remote sensing scenes.")
    parser.add_argument("--version", action="version", version=f"mlrsnet-hf {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_audit(commands)
    _add_demo(commands)
    _add_embed(commands)
    _add_index(commands)
    _add_near_duplicates(commands)
    _add_prepare(commands)
    _add_publish(commands)
    _add_retrieval(commands)
    _add_search(commands)
    _add_stats(commands)
    _add_synthesize(commands)
    return parser


def _add_command(
    commands: argparse._SubParsersAction, name: str, summary: str, description: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    return parser


def _add_audit(commands: argparse._SubParsersAction) -> None:
    parser = _add_command(
        commands,
        "audit",
        "check a copy of the release against what was published",
        "Check a copy of the release against what was published: counts, labels, images (every one is decoded), and "
        "which version of the label files it holds. Exit code: 0 clean, 1 findings that are repaired or for "
        "information, 2 unusable.",
    )
    parser.add_argument("source", help="a copy of the release, or label files alone")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print everything that was found as JSON")
    form.add_argument(
        "--diff", action="store_true", help="print the rows that are repaired, one line each; images are not looked at"
    )
    parser.add_argument("--processes", type=_count(1), default=default_processes(), help="processes that decode images")
    parser.set_defaults(run=_audit)


def _audit(options: argparse.Namespace) -> None:
    from mlrsnet_hf.reports.audit import print_audit, print_repairs

    if options.diff:
        sys.exit(print_repairs(options.source))
    sys.exit(print_audit(options.source, processes=options.processes, as_json=options.json))


def _add_demo(commands: argparse._SubParsersAction) -> None:
    parser = _add_command(
        commands,
        "demo",
        "run the whole job on synthetic scenes",
        "Draw synthetic scenes, fine-tune a small network on them, evaluate it on the test split and save it. "
        "Needs neither data nor a network; about two minutes on two cores.",
    )
    parser.add_argument("--output-dir", type=Path, default=Path("mlrsnet-demo"), help="where everything is written")
    parser.add_argument("--seed", type=_seed, default=0, help="seed of the scenes, the split and the training")
    parser.add_argument("--resume", action="store_true", help="go on with a demo that was stopped")
    parser.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> None:
    require_extra("train")
    from mlrsnet_hf.demo import run_demo

    run_demo(options.output_dir, seed=options.seed, resume=options.resume)


def _add_embed(commands: argparse._SubParsersAction) -> None:
    parser = _add_command(
        commands,
        "embed",
        "write the embeddings of images as Parquet",
        "Pass images through a network and write the output of one of its last layers as Parquet, with ids, scenes and "
        "labels. A run that was cut short is completed by the next. Several processes: accelerate launch "
        "examples/embed.py, with the same options.",
    )
    for settings in (ImageSet, EmbeddingConfig):
        for field in dataclasses.fields(settings):
            _add_setting(parser, field)
    parser.set_defaults(run=_embed)


def _add_setting(parser: argparse.ArgumentParser, field: dataclasses.Field) -> None:
    option, text = f"--{field.name.replace('_', '-')}", field.metadata["help"]
    if isinstance(field.default, bool):
        former = ["--normalise"] if option == "--normalize" else []
        parser.add_argument(option, *former, action="store_true", help=text)
    else:
        whole = isinstance(field.default, int) or field.type == int | None
        kind = int if whole else str if field.default is None else type(field.default)
        kind = Path if isinstance(field.default, Path) else kind
        former = ["--labels"] if option == "--label-version" else []
        parser.add_argument(option, *former, type=kind, default=field.default, help=text)


def _settings(kind: type[Settings], options: argparse.Namespace) -> Settings:
    return kind(**{field.name: getattr(options, field.name) for field in dataclasses.fields(kind)})


def _embed(options: argparse.Namespace) -> None:
    require_extra("train")
    from mlrsnet_hf.publishing.embeddings_card import embeddings_card
    from mlrsnet_hf.retrieval.embeddings.embed import embed

    embed(_settings(EmbeddingConfig, options), _settings(ImageSet, options), embeddings_card)


def _add_index(commands: argparse._SubParsersAction) -> None:
    parser = _add_command(
        commands,
        "index",
        "build an index of embeddings that stays",
        "Build an index of embeddings on Milvus, in a local folder (Milvus Lite, no server) or on a server, and "
        "measure how much of the exact result it finds. A build that was cut short is completed by the next.",
    )
    parser.add_argument(
        "embeddings", help="a folder that `mlrsnet embed` wrote, or the id of such a dataset on the Hub"
    )
    parser.add_argument("index", help="the folder to create, or the URI of a Milvus server")
    parser.add_argument("--kind", choices=("hnsw", "flat"), default="hnsw", help="a graph, or a look at every image")
    parser.add_argument("--collection", default=argparse.SUPPRESS, help="name of the collection on a server")
    parser.set_defaults(run=_index)


def _index(options: argparse.Namespace) -> None:
    require_extra("search")
    from mlrsnet_hf.retrieval.index.index import COLLECTION, build_index

    collection = getattr(options, "collection", COLLECTION)
    print(build_index(options.embeddings, options.index, options.kind, collection).summary())


def _add_retrieval(commands: argparse._SubParsersAction) -> None:
    parser = _add_command(
        commands,
        "retrieval",
        "measure image retrieval as the paper does",
        "Measure how well a model's embeddings retrieve images (paper, section 4): Tables 8 and 9, Figs. 10 to 14 and "
        "measures on labels, written as JSON, CSV, Markdown, PNG and one HTML page. Several processes: accelerate "
        "launch examples/retrieve.py, with the same options.",
    )
    for field in dataclasses.fields(RetrievalConfig):
        if field.default_factory is dataclasses.MISSING:
            _add_setting(parser, field)
        else:
            option = f"--{field.name.replace('_', '-')}"
            [kind] = get_args(field.type)
            default = field.default_factory()
            parser.add_argument(option, type=kind, nargs="+", default=default, help=field.metadata["help"])
    parser.set_defaults(run=_retrieval)


def _retrieval(options: argparse.Namespace) -> None:
    require_extra("train")
    require_extra("plots")
    from mlrsnet_hf.reports.retrieval.report import write_retrieval

    write_retrieval(_settings(RetrievalConfig, options))


def _add_search(commands: argparse._SubParsersAction) -> None:
    parser = _add_command(
        commands,
        "search",
        "find images like one",
        "Find the images of an index that are nearest to a picture, or to an image of the index by its id; without "
        "either, list those that have the labels and the scene.",
    )
    parser.add_argument("index", help="a folder that `mlrsnet index` wrote, or the URI of a Milvus server")
    parser.add_argument(
        "query", nargs="?", default=argparse.SUPPRESS, help="path of a picture, or id of an image of the index"
    )
    parser.add_argument("-k", type=_count(1), default=12, help="how many images")
    parser.add_argument(
        "--labels", type=_names, default=argparse.SUPPRESS, help="labels that all must be there, separated by commas"
    )
    parser.add_argument("--scene", default=argparse.SUPPRESS, help="the scene that must be shown")
    parser.add_argument("--html", type=Path, default=argparse.SUPPRESS, help="page of pictures to write")
    for field in dataclasses.fields(ModelChoice):  # of the model that made the index, if it has moved
        kind = field.type if isinstance(field.type, type) else int
        option = f"--{field.name.replace('_', '-')}"
        parser.add_argument(option, type=kind, default=argparse.SUPPRESS, help=field.metadata["help"])
    parser.add_argument("--collection", default=argparse.SUPPRESS, help="name of the collection on a server")
    parser.set_defaults(run=_search)


def _search(options: argparse.Namespace) -> None:
    require_extra("search")
    from mlrsnet_hf.reports.search import print_search
    from mlrsnet_hf.retrieval.index.index import COLLECTION

    given = vars(options)
    print_search(
        options.index,
        given.get("query"),
        k=options.k,
        labels=given.get("labels", ()),
        scene=given.get("scene"),
        model={field.name: given[field.name] for field in dataclasses.fields(ModelChoice) if field.name in given},
        page=given.get("html"),
        collection=given.get("collection", COLLECTION),
    )


def _add_near_duplicates(commands: argparse._SubParsersAction) -> None:
    parser = _add_command(
        commands,
        "near-duplicates",
        "find images of one piece of ground",
        "Group images that are turned, mirrored, resized, cropped or recompressed copies of each other, and say how "
        "much of the test split of a protocol has a copy in train.",
    )
    parser.add_argument("source", type=Path, help="the release")
    parser.add_argument(
        "--protocol", choices=("ratio20", "ratio30", "ratio40"), default="ratio20", help="what to judge"
    )
    parser.add_argument("--seed", type=_seed, default=0, help="seed of the protocol")
    parser.add_argument("--output", type=Path, help="a CSV of id and group to write")
    parser.set_defaults(run=_near_duplicates)


def _near_duplicates(options: argparse.Namespace) -> None:
    from mlrsnet_hf.dataset.near_duplicates.groups import release_groups, report, write_groups
    from mlrsnet_hf.dataset.splits.protocols import ids_by_scene, split_ids
    from mlrsnet_hf.release import open_release

    release = open_release(options.source)
    split = split_ids(ids_by_scene(release.entries), options.protocol, options.seed)
    groups = release_groups(release)
    if options.output:
        write_groups(groups, options.output)
    print(report(groups, split["train"], split["test"]))


def _add_prepare(commands: argparse._SubParsersAction) -> None:
    parser = _add_command(
        commands,
        "prepare",
        "turn a copy of the release into a repository for the Hub",
        "Turn any copy of the release into a dataset repository: Parquet files with the images, each stored once, all "
        "ratio and retrieval protocols, and a card. A run that was cut short is completed by the next.",
    )
    parser.add_argument("source", type=Path, help="a copy of the release: folder, archives, or Parquet")
    parser.add_argument("target", type=Path, help="the folder to create")
    parser.add_argument(
        "--labels", choices=["verified", "as-published"], default="verified", help="repair the published faults or not"
    )
    parser.add_argument("--skip-unreadable", action="store_true", help="leave out images that cannot be read")
    parser.set_defaults(run=_prepare)


def _prepare(options: argparse.Namespace) -> None:
    from mlrsnet_hf.publishing.prepare import prepare

    print(prepare(options.source, options.target, options.labels, options.skip_unreadable).summary())


def _add_publish(commands: argparse._SubParsersAction) -> None:
    parser = _add_command(
        commands,
        "publish",
        "push a model, a dataset, embeddings or a metric to the Hub",
        "Push a folder to the Hub, in one commit: a finished run becomes a model, a prepared dataset or embeddings a "
        "dataset, a metric a Space. Log in first: hf auth login. A push that was cut short is completed by the next.",
    )
    parser.add_argument("path", type=Path, help="a run, a prepared dataset, embeddings, a metric or its name")
    parser.add_argument("repo_id", metavar="USER/NAME", help="the repository; it is made if it is not there")
    parser.add_argument("--dry-run", action="store_true", help="build the repository, say where it is, push nothing")
    parser.add_argument("--output-dir", type=Path, default=Path("mlrsnet-dry-run"), help="where a dry run builds")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--revision", help="the branch to write, made from main if it is not there")
    parser.add_argument("--collection", metavar="SLUG", help="a collection that the repository joins")
    parser.add_argument("--dataset-id", metavar="USER/NAME", help="of a run: the repository of its data")
    parser.add_argument("--license", help="of a run: the weights' license, where it is not known from timm")
    parser.set_defaults(run=_publish)


def _publish(options: argparse.Namespace) -> None:
    from mlrsnet_hf.publishing.publish import publish

    done = publish(
        options.path,
        options.repo_id,
        dry_run=options.dry_run,
        output_dir=options.output_dir,
        private=options.private,
        revision=options.revision,
        collection=options.collection,
        dataset_id=options.dataset_id,
        license=options.license,
    )
    print(done.summary())


def _add_stats(commands: argparse._SubParsersAction) -> None:
    parser = _add_command(
        commands,
        "stats",
        "count scenes, labels and pixels, as tables and figures",
        "Count images per scene (Fig. 1 of the paper) and per label (Table 1) beside the published numbers, labels per "
        "image, labels that occur together, and the mean and standard deviation of each channel; write them as CSV and "
        "PNG. Label files alone will do, without the channels.",
    )
    parser.add_argument("source", help="a copy of the release, or label files alone")
    parser.add_argument("--output-dir", type=Path, default=Path("mlrsnet-stats"), help="the folder to create")
    parser.add_argument(
        "--labels", choices=("verified", "as-published"), default="verified", help="whether published faults are mended"
    )
    parser.add_argument("--processes", type=_count(1), default=default_processes(), help="processes that decode images")
    parser.set_defaults(run=_stats)


def _stats(options: argparse.Namespace) -> None:
    require_extra("plots")
    from mlrsnet_hf.reports.statistics.report import write_statistics

    print(write_statistics(options.source, options.output_dir, options.labels, processes=options.processes))


def _add_synthesize(commands: argparse._SubParsersAction) -> None:
    parser = _add_command(
        commands,
        "synthesize",
        "draw synthetic scenes into a release folder",
        "Draw synthetic scenes into a folder in the layout of the release, with a contact sheet in it.",
    )
    parser.add_argument("output_dir", type=Path, help="the folder to create")
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--images-per-scene", type=_count(1), default=20, help="images of each of the 46 scenes")
    amount.add_argument("--full-size", action="store_true", help="as many images per scene as MLRSNet has, 109,161")
    parser.add_argument("--seed", type=_seed, default=0, help="another seed, other images")
    parser.add_argument("--processes", type=_count(1), default=default_processes(), help="processes that draw")
    parser.set_defaults(run=_synthesize)


def _synthesize(options: argparse.Namespace) -> None:
    from mlrsnet_hf.synthetic.release import CONTACT_SHEET, write_synthetic_release

    root: Path = options.output_dir
    images_per_scene = None if options.full_size else options.images_per_scene
    release = write_synthetic_release(root, images_per_scene, options.seed, options.processes)
    print(f"{len(release.entries):,} synthetic images: {root}, at a glance: {root / CONTACT_SHEET}")


def _names(text: str) -> tuple[str, ...]:
    """Return names that are separated by commas, for argparse."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r} names nothing")
    return names


class _count:  # noqa: N801 - reads as the type that argparse names in its errors
    """A whole number of at least `lowest` and at most `highest`, for argparse."""

    def __init__(self, lowest: int, highest: float = math.inf) -> None:
        self.lowest = lowest
        self.highest = highest

    def __call__(self, text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = self.lowest - 1
        if not self.lowest <= value <= self.highest:
            limit = f" and at most {self.highest}" if self.highest < math.inf else ""
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {self.lowest}{limit}")
        return value


_seed = _count(0, 2**32 - 1)  # what NumPy's and PyTorch's generators take
