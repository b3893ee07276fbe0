"""The command line as a process: help on every level, version, exit codes."""

import configparser
import logging
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import mlrsnet_hf
from mlrsnet_hf.cli import COMMANDS, Train, main
from mlrsnet_hf.configuration.command_line import parse
from mlrsnet_hf.errors import EXTRAS, ConfigurationError, UnknownNameError, WeightsError
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.runtime.logs import set_verbosity
from mlrsnet_hf.training import recipes
from mlrsnet_hf.training.results import TrainingResult


def mlrsnet(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("mlrsnet"), *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


def test_version() -> None:
    assert mlrsnet("--version").stdout.strip() == f"mlrsnet-hf {mlrsnet_hf.__version__}"


def test_help_lists_every_command_with_its_summary() -> None:
    for arguments in (["--help"], [], ["benchmark", "--help"], ["benchmark"]):
        run, group = mlrsnet(*arguments), "benchmark " if "benchmark" in arguments else ""
        assert run.returncode == 0
        names = [name for name in COMMANDS if name.startswith(group) and (group or " " not in name)]
        assert len(names) >= 4
        for name in names:
            about, shown = COMMANDS[name].__doc__.splitlines()[0], name.removeprefix(group)
            assert re.search(rf"^  {shown} +{re.escape(about)}$", run.stdout, re.MULTILINE)
    assert re.search(r"^  benchmark +\w", mlrsnet("--help").stdout, re.MULTILINE)


def test_a_misspelt_command_behind_a_common_word_is_told_with_the_one_near() -> None:
    for words, near in ((["benchmrk"], "'benchmark'"), (["benchmark", "rnu"], "'run'")):
        run = mlrsnet(*words)
        assert run.returncode == 2
        assert near in run.stderr and "Traceback" not in run.stderr


def test_train_in_python_names_the_missing_extra() -> None:
    code = """
import sys
sys.modules |= dict.fromkeys(["accelerate", "timm", "torch"])  # as where they are not installed
import mlrsnet_hf
from mlrsnet_hf.errors import MissingExtraError
from mlrsnet_hf.training import recipes
try:
    mlrsnet_hf.train(recipes.debug_cpu())
except MissingExtraError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "accelerate, timm, torch" in run.stdout and "mlrsnet-hf[train]" in run.stdout


def test_a_reader_that_goes_away_ends_an_example_without_a_word() -> None:
    code = "from mlrsnet_hf.runtime.logs import exit_on_error\nwith exit_on_error():\n    print('line\\n' * 10**6)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None and run.stderr is not None
        run.stdout.readline()
        run.stdout.close()
        assert run.stderr.read() == b""
    assert run.returncode == 0


def test_help_of_a_command_is_light() -> None:
    code = "import sys\nfrom mlrsnet_hf.cli import main\ntry: main(['train', '--help'])\nexcept SystemExit: pass\n"
    code += "print('heavy:', *{'torch', 'timm', 'transformers', 'accelerate', 'datasets'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("usage: mlrsnet train")
    assert run.stdout.splitlines()[-1] == "heavy:"


def test_the_package_runs_as_a_module() -> None:
    run = subprocess.run([sys.executable, "-m", "mlrsnet_hf", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == f"mlrsnet-hf {mlrsnet_hf.__version__}"


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        (["dmo"], ["'dmo'", "'demo'"]),
        (["demo", "--seed", "-1"], ["seed=-1", "4294967295"]),
        (["demo", "--seed", "4294967296"], ["seed=4294967296"]),
        (["synthesize", "x", "--images-per-scene", "many"], ["images_per_scene='many'", "whole number"]),
        (["synthesize"], ["OUTPUT_DIR"]),
        (["audit", "x", "--json", "--diff"], ["--json", "--diff"]),
        (["prepare", "a", "b", "--label-version", "as_published"], ["'as_published'", "'as-published'"]),
        (["search", "index", "--sceen", "beach"], ["'--sceen'", "'--scene'"]),
        (["search", "index", "--labels", " ,"], ["' ,'"]),
    ],
)
def test_wrong_usage_exits_with_2(
    arguments: list[str], facts: list[str], capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert all(fact in error for fact in facts), error
    assert "Traceback" not in error


def test_train_in_python_checks_first_and_then_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, weights and the folder are judged before any image is looked at; nothing is left behind."""
    monkeypatch.setattr("mlrsnet_hf.training.run.load_data", lambda _: pytest.fail("the data are loaded"))
    (tmp_path / "file").touch()
    for changes, error in (
        ({"model": "resnet5O"}, UnknownNameError),
        ({"weights": str(tmp_path / "gone.safetensors")}, WeightsError),
        ({"output_dir": tmp_path / "file" / "run"}, ConfigurationError),
    ):
        with pytest.raises(error):
            mlrsnet_hf.train(recipes.debug_cpu(**{"output_dir": tmp_path / "run"} | changes))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.slow
def test_train_in_python_gives_the_result(make_release: Callable[..., Path], tmp_path: Path) -> None:
    config = recipes.debug_cpu(output_dir=tmp_path / "run", epochs=1)
    result = mlrsnet_hf.train(
        config, DataConfig(data_dir=make_release({"beach": 11, "forest": 11})), recipe="debug_cpu"
    )
    assert result.scores == TrainingResult.load(tmp_path / "run" / "results.json").scores
    again = parse(Train, None, ["--config", str(tmp_path / "run" / "settings.yaml")])
    assert (again.training, again.choice.recipe) == (config, "debug_cpu")


@pytest.mark.parametrize("flags", [["-q"], ["--quiet"], []])
def test_quiet_tells_the_result_alone(flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    main(["synthesize", str(tmp_path / "scenes"), "--images-per-scene", "1", *flags])
    assert capsys.readouterr().out.startswith("46 synthetic images")
    set_verbosity(logging.INFO)


def test_synthesize_refuses_what_stands_there(tmp_path: Path) -> None:
    run = mlrsnet("synthesize", tmp_path)
    assert run.returncode == 2
    assert run.stderr.startswith(f"error: {tmp_path}: ") and run.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "module"),
    [
        (["demo"], "torch"),
        (["train"], "torch"),
        (["embed"], "timm"),
        (["retrieval", "--model", "resnet18"], "accelerate"),
        (["index", "a", "b"], "pymilvus"),
        (["search", "a"], "milvus_lite"),
        (["stats", "a"], "matplotlib"),
        (["benchmark", "run", "a", "--preset", "demo", "--engine", "ray"], "ray"),
        (["benchmark", "run", "a", "--preset", "demo", "--engine", "slurm"], "submitit"),
    ],
)
def test_a_command_without_its_extra_says_what_to_install(command: list[str], module: str, tmp_path: Path) -> None:
    code = f"""
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == {module!r} else find(name, package)
from mlrsnet_hf.cli import main
main({command!r})
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 2
    assert run.stderr.startswith("error: ") and module in run.stderr and "pip install" in run.stderr
    assert "Traceback" not in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_extras_name_what_setup_cfg_declares() -> None:
    declared = configparser.ConfigParser()
    declared.read(Path(__file__).parents[1] / "setup.cfg")
    for extra, modules in EXTRAS.items():
        packages = re.findall(r"^[\w-]+", declared["options.extras_require"][extra], re.MULTILINE)
        names = {"opencv-python-headless": "cv2", "open_clip_torch": "open_clip", "grad-cam": "pytorch_grad_cam"}
        names |= {"crowd-kit": "crowdkit", "label-studio-sdk": "label_studio_sdk", "scikit-learn": "sklearn"}
        assert set(modules) <= {names.get(package, package) for package in packages}
