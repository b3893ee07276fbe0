"""The command `mlrsnet`: finds the command that is named, has its options parsed, and runs it."""

import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from mlrsnet_hf import __version__
from mlrsnet_hf.commands.app import App
from mlrsnet_hf.commands.benchmark import COMMANDS as BENCHMARK
from mlrsnet_hf.commands.curation import COMMANDS as CURATE
from mlrsnet_hf.commands.data import Audit, Inspect, NearDuplicates, Prepare, Stats, Synthesize
from mlrsnet_hf.commands.models import Demo, Publish, Train
from mlrsnet_hf.commands.prediction import Evaluate, Export, Predict
from mlrsnet_hf.commands.search import Embed, Index, Retrieval, Search
from mlrsnet_hf.configuration.command_line import parse
from mlrsnet_hf.errors import UnknownNameError, name_alternatives
from mlrsnet_hf.runtime.logs import exit_on_error, print_result

COMMANDS: Mapping[str, Any] = {
    "app": App,
    "audit": Audit,
    **{f"benchmark {name}": command for name, command in BENCHMARK.items()},
    **{f"curate {name}": command for name, command in CURATE.items()},
    "demo": Demo,
    "embed": Embed,
    "evaluate": Evaluate,
    "export": Export,
    "index": Index,
    "inspect": Inspect,
    "near-duplicates": NearDuplicates,
    "predict": Predict,
    "prepare": Prepare,
    "publish": Publish,
    "retrieval": Retrieval,
    "search": Search,
    "stats": Stats,
    "synthesize": Synthesize,
    "train": Train,
}

GROUPS = {
    "benchmark": "Plan, run and report a grid of networks, protocols and repetitions.",
    "curate": "Build a dataset by votes, find its wrong labels and what to label next, measure its diversity.",
}
"""Words behind which several commands stand, and what these do together."""


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
        single = {one: _about(command) for one, command in COMMANDS.items() if " " not in one}
        print_result("usage: mlrsnet COMMAND [OPTIONS]\n\nMLRSNet, multi-label remote sensing scenes.\n\ncommands:")
        lines = [f"  {one:<16} {about}" for one, about in sorted({**single, **GROUPS}.items())]
        print_result("\n".join([*lines, "", "mlrsnet COMMAND --help tells more; mlrsnet --version tells the version."]))
    elif name == "--version":
        print_result(f"mlrsnet-hf {__version__}")
    elif name in GROUPS:
        _run_group(name, arguments)
    elif name not in COMMANDS:
        known = [*(one for one in COMMANDS if " " not in one), *GROUPS]
        raise UnknownNameError(f"there is no command {name!r}", name_alternatives(name, known))
    else:
        parse(COMMANDS[name], f"mlrsnet {name}", arguments).run()


def _run_group(group: str, arguments: Sequence[str]) -> None:
    """Run one of the commands that stand behind a common word."""
    known = {one.partition(" ")[2]: command for one, command in COMMANDS.items() if one.startswith(f"{group} ")}
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help"):
        print_result(f"usage: mlrsnet {group} COMMAND [OPTIONS]\n\n{GROUPS[group]}\n\ncommands:")
        lines = [f"  {one:<16} {_about(command)}" for one, command in known.items()]
        print_result("\n".join([*lines, "", f"mlrsnet {group} COMMAND --help tells more."]))
    elif name not in known:
        raise UnknownNameError(f"there is no command {f'{group} {name}'!r}", name_alternatives(name, known))
    else:
        parse(known[name], f"mlrsnet {group} {name}", arguments[1:]).run()


def _about(command: type) -> str:
    """Return the first line of what a command says of itself."""
    return str(command.__doc__).partition("\n")[0]
