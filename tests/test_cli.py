"""The command line as a process: help on every level, version, exit codes."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mlrsnet_hf
from mlrsnet_hf.errors import EXTRAS


def mlrsnet(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("mlrsnet"), *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


def test_version() -> None:
    assert mlrsnet("--version").stdout.strip() == f"mlrsnet-hf {mlrsnet_hf.__version__}"


@pytest.mark.parametrize(
    "level",
    [
        [],
        ["audit"],
        ["demo"],
        ["embed"],
        ["index"],
        ["near-duplicates"],
        ["prepare"],
        ["search"],
        ["stats"],
        ["synthesize"],
    ],
    ids=" ".join,
)
def test_help_on_every_level(level: list[str]) -> None:
    run = mlrsnet(*level, "--help")
    assert run.returncode == 0
    assert run.stdout.startswith(" ".join(["usage: mlrsnet", *level]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["dmo"], "invalid choice: 'dmo'"),
        (["demo", "--seed", "-1"], "'-1' is not a whole number of at least 0"),
        (["demo", "--seed", "4294967296"], "'4294967296' is not a whole number of at least 0 and at most 4294967295"),
        (["synthesize", "x", "--images-per-scene", "many"], "'many' is not a whole number of at least 1"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], message: str) -> None:
    run = mlrsnet(*arguments)
    assert run.returncode == 2
    assert message in run.stderr
    assert "Traceback" not in run.stderr


def test_synthesize_refuses_what_stands_there(tmp_path: Path) -> None:
    run = mlrsnet("synthesize", tmp_path)
    assert run.returncode == 2
    assert run.stderr == f"error: {tmp_path}: exists already. Remove it or choose another folder.\n"


def test_demo_without_the_train_extra_says_what_to_install(tmp_path: Path) -> None:
    hide_torch = "import sys; sys.modules['torch'] = None; from mlrsnet_hf.cli import main; main(['demo'])"
    run = subprocess.run([sys.executable, "-c", hide_torch], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 2
    assert run.stderr.startswith("error: this needs torch, not part of the base install. Run: pip install")
    assert list(tmp_path.iterdir()) == []


def test_extras_name_what_setup_cfg_declares() -> None:
    declared = configparser.ConfigParser()
    declared.read(Path(__file__).parents[1] / "setup.cfg")
    for extra, modules in EXTRAS.items():
        packages = re.findall(r"^[\w-]+", declared["options.extras_require"][extra], re.MULTILINE)
        assert sorted(packages) == sorted(modules)
