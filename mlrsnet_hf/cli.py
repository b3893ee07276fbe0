"""The command `mlrsnet`: parse, build, call."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from mlrsnet_hf import __version__
from mlrsnet_hf.errors import exit_on_error
from mlrsnet_hf.extras import require_extra


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a mistake of the user ends it with one sentence and exit code 2."""
    options = _parser().parse_args(arguments)
    with exit_on_error():
        options.run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mlrsnet", description="MLRSNet, multi-label remote sensing scenes.")
    parser.add_argument("--version", action="version", version=f"mlrsnet-hf {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_demo(commands)
    _add_near_duplicates(commands)
    _add_synthesize(commands)
    return parser


def _add_command(
    commands: argparse._SubParsersAction, name: str, summary: str, description: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    return parser


def _add_demo(commands: argparse._SubParsersAction) -> None:
    parser = _add_command(
        commands,
        "demo",
        "run the whole job on synthetic scenes",
        "Draw synthetic scenes, fine-tune a small network on them, evaluate it on the test split and save it. "
        "Needs neither data nor a network; about two minutes on two cores.",
    )
    parser.add_argument("--output-dir", type=Path, default=Path("mlrsnet-demo"), help="where everything is written")
    parser.add_argument("--seed", type=_count(0), default=0, help="seed of the scenes, the split and the training")
    parser.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> None:
    require_extra("train")
    from mlrsnet_hf.demo import run_demo

    run_demo(options.output_dir, seed=options.seed)


def _add_synthesize(commands: argparse._SubParsersAction) -> None:
    parser = _add_command(
        commands,
        "synthesize",
        "draw synthetic scenes into a release folder",
        "Draw synthetic scenes into a folder in the layout of the release, with a contact sheet beside it.",
    )
    parser.add_argument("output_dir", type=Path, help="the folder to create")
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--images-per-scene", type=_count(1), default=20, help="images of each of the 46 scenes")
    amount.add_argument("--full-size", action="store_true", help="as many images per scene as MLRSNet has, 109,161")
    parser.add_argument("--seed", type=_count(0), default=0, help="another seed, other images")
    parser.add_argument("--processes", type=_count(1), default=os.cpu_count(), help="processes that draw")
    parser.set_defaults(run=_synthesize)


def _synthesize(options: argparse.Namespace) -> None:
    from mlrsnet_hf.dataset.synthetic_release import write_synthetic_release

    images_per_scene = None if options.full_size else options.images_per_scene
    write_synthetic_release(options.output_dir, images_per_scene, seed=options.seed, processes=options.processes)


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
    parser.add_argument("--seed", type=int, default=0, help="seed of the protocol")
    parser.add_argument("--output", type=Path, help="a CSV of id and group to write")
    parser.set_defaults(run=_near_duplicates)


def _near_duplicates(options: argparse.Namespace) -> None:
    from mlrsnet_hf.dataset.group_files import release_groups, write_groups
    from mlrsnet_hf.dataset.near_duplicates import report
    from mlrsnet_hf.dataset.protocols import split_ids
    from mlrsnet_hf.release import open_release

    release = open_release(options.source)
    ids_by_scene: dict[str, list[str]] = {}
    for entry in release.entries:
        ids_by_scene.setdefault(entry.scene.published, []).append(entry.id)
    split = split_ids(ids_by_scene, options.protocol, options.seed)
    groups = release_groups(release)
    if options.output:
        write_groups(groups, options.output)
    print(report(groups, split["train"], split["test"]))


class _count:  # noqa: N801 - reads as the type that argparse names in its errors
    """A whole number of at least `lowest`, for argparse."""

    def __init__(self, lowest: int) -> None:
        self.lowest = lowest

    def __call__(self, text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = self.lowest - 1
        if value < self.lowest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {self.lowest}")
        return value
