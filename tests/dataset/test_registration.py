"""What the name "mlrsnet" means, in fresh processes that stand in any folder."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).parents[2]
MakeRelease = Callable[..., Path]

LOAD = """
import json, sys
{imports}
from datasets import load_dataset
loaded = load_dataset(*json.loads(sys.argv[1]), **json.loads(sys.argv[2]))
print(json.dumps({{name: [str(split.features), len(split)] for name, split in loaded.items()}}))
"""


def load_in(folder: Path, imports: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:  # noqa: ANN401
    """Load a data set offline in a fresh process that stands in a folder."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(CHECKOUT)}
    environment.pop("MLRSNET_DATA_DIR", None)
    code = LOAD.format(imports=imports)
    command = [sys.executable, "-c", code, json.dumps(arguments), json.dumps(options)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


def decoys(folder: Path) -> None:
    """Everything in a folder that `datasets` would stumble over or take for the data set."""
    (folder / "mlrsnet").mkdir()
    (folder / "mlrsnet" / "train.csv").write_text("decoy\n1\n2\n3\n")
    (folder / "mlrsnet" / "mlrsnet.py").write_text("raise SystemExit('a script was run')")
    (folder / "mlrsnet.py").write_text("raise SystemExit('a script was run')")
    (folder / "train.csv").write_text("decoy\n1\n")
    (folder / "data").symlink_to("data")


def test_the_name_means_the_builder_wherever_the_process_stands(make_release: MakeRelease, empty: Path) -> None:
    options = {"data_dir": str(make_release({"beach": 10})), "cache_dir": str(empty.parent / "cache")}
    outputs = set()
    for imports in ("import mlrsnet_hf", "import datasets; import mlrsnet_hf"):
        run = load_in(empty, imports, "mlrsnet", **options)
        assert run.returncode == 0, run.stderr
        outputs.add(run.stdout)
        assert len(list(empty.parent.glob("cache/mlrsnet/ratio20-*/*/*/"))) == 1
        if not list(empty.iterdir()):
            decoys(empty)
    (output,) = outputs
    assert [length for _, length in json.loads(output).values()] == [2, 1, 7]


def test_without_the_import_and_as_a_path_it_means_the_folder(empty: Path) -> None:
    (empty / "mlrsnet").mkdir()
    (empty / "mlrsnet" / "train.csv").write_text("decoy\n1\n2\n3\n")
    for imports, name in [("", "mlrsnet"), ("", "./mlrsnet"), ("import mlrsnet_hf", "./mlrsnet")]:
        run = load_in(empty, imports, name)
        assert run.returncode == 0, run.stderr
        ((features, length),) = json.loads(run.stdout).values()
        assert "decoy" in features
        assert length == 3


def test_other_names_mean_what_they_meant(empty: Path) -> None:
    (empty / "rows.csv").write_text("number\n1\n2\n")
    run = load_in(empty, "import mlrsnet_hf", "csv", data_files="rows.csv")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["train"][1] == 2


def test_offline_without_data_it_says_what_to_do(empty: Path) -> None:
    run = load_in(empty, "import mlrsnet_hf", "mlrsnet", cache_dir=str(empty.parent / "cache"))
    message = run.stderr.splitlines()[-1]
    assert message.startswith("mlrsnet_hf.dataset.download.DownloadError: no copy of MLRSNet is given")
    for part in ("https://data.mendeley.com/datasets/7j9bv9vwsx/3", "data_dir", "MLRSNET_DATA_DIR", '"demo"'):
        assert part in message
    assert "./mlrsnet" not in message
    (empty / "mlrsnet").mkdir()
    run = load_in(empty, "import mlrsnet_hf", "mlrsnet", cache_dir=str(empty.parent / "cache"))
    assert 'data_dir="./mlrsnet"' in run.stderr.splitlines()[-1]


REGISTRATION = """
import importlib.util, sys, warnings
import mlrsnet_hf
assert "datasets" not in sys.modules
assert importlib.util.find_spec("datasets").origin.endswith("__init__.py")
assert importlib.util.find_spec("datasets_of_nobody") is None
from datasets import load
first = load.PackagedDatasetModuleFactory
mlrsnet_hf.dataset.registration.register()
assert load.PackagedDatasetModuleFactory is first
assert load._PACKAGED_DATASETS_MODULES["mlrsnet"][0] == "mlrsnet_hf.dataset.builder"
assert "mlrsnet_hf.dataset.builder" not in sys.modules
"""


def test_registration_waits_for_datasets_and_happens_once() -> None:
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    run = subprocess.run([sys.executable, "-c", REGISTRATION], env=environment, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")


def test_another_module_named_datasets_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "datasets.py").write_text("rows = 3\n")
    code = "import mlrsnet_hf, datasets; print(datasets.rows)"
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (0, "3\n"), run.stderr
