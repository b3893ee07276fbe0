"""The modules load from an installed package, from the checkout and from a lone file, without a network."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlrsnet_hf import metric_path
from mlrsnet_hf.errors import UnknownNameError

CHECKOUT = Path(__file__).parents[3]
NAMES = ["anmrr", "multilabel_map", "precision_at_k", "retrieval_map", "sample_f1"]
COMPUTE_ALL = """
import sys
from pathlib import Path
import evaluate
import mlrsnet_hf

for name in sys.argv[2:]:
    folder = Path(mlrsnet_hf.metric_path(name))
    module = evaluate.load({path})
    print(folder.parent, *module.compute(**module.form.example))
"""


def run_in_empty_folder(tmp_path: Path, package: Path, path: str) -> list[str]:
    """Compute every module offline with the package at a folder; return the lines printed."""
    folder = tmp_path / "empty"
    folder.mkdir()
    environment = os.environ | {
        "PYTHONPATH": str(package),
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_OFFLINE": "1",
        "HF_EVALUATE_OFFLINE": "1",
    }
    for variable in ("HF_MODULES_CACHE", "HF_EVALUATE_CACHE", "HF_METRICS_CACHE"):
        environment.pop(variable, None)
    command = [sys.executable, "-c", COMPUTE_ALL.format(path=path), str(tmp_path), *NAMES]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert list(folder.iterdir()) == []
    return run.stdout.splitlines()


@pytest.mark.slow
def test_built_package_ships_the_modules(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="66", reason="needs setuptools to build")
    source, built = tmp_path / "source", tmp_path / "built"
    source.mkdir()
    for name in ("mlrsnet_hf", "metrics"):
        shutil.copytree(CHECKOUT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, source)
    build = [
        sys.executable,
        "-c",
        "import setuptools; setuptools.setup()",
        "--quiet",
        "build_py",
        "--build-lib",
        str(built),
    ]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    shipped = built / "mlrsnet_hf" / "evaluate_modules"
    for name in NAMES:
        files = {path.name for path in (shipped / name).iterdir()}
        assert files == {f"{name}.py", "README.md", "app.py", "requirements.txt"}
    lines = run_in_empty_folder(tmp_path, built, "str(folder)")
    assert [line.split()[0] for line in lines] == [str(shipped)] * len(NAMES)


@pytest.mark.slow
def test_lone_file_as_a_space_hands_it_out(tmp_path: Path) -> None:
    for name in NAMES:
        shutil.copy(CHECKOUT / "metrics" / name / f"{name}.py", tmp_path)
    lines = run_in_empty_folder(tmp_path, CHECKOUT, "f'{sys.argv[1]}/{name}.py'")
    assert len(lines) == len(NAMES)


def test_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    import evaluate

    monkeypatch.chdir(CHECKOUT)
    assert [evaluate.load(f"metrics/{name}").name for name in NAMES] == NAMES


def test_metric_path() -> None:
    assert [Path(metric_path(name)).name for name in NAMES] == NAMES
    with pytest.raises(UnknownNameError, match=r"'anmr'.*'anmrr'"):
        metric_path("anmr")
    with pytest.raises(UnknownNameError, match=", ".join(NAMES)):
        metric_path("accuracy")
