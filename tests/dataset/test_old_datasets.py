"""The loading script and the registered name under datasets 3.6, in a virtual environment of its own, without torch."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Image, load_dataset

CHECKOUT = Path(__file__).parents[2]
SCRIPT = """
import importlib.util, json, sys
import datasets
assert datasets.__version__.startswith("3.6."), datasets.__version__
assert importlib.util.find_spec("torch") is None
path, imports, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
if imports:
    import mlrsnet_hf
loaded = datasets.load_dataset(path, "ratio20", **options)
rows = {
    name: [[row["id"], row["image"]["bytes"].hex(), row["labels"], row["repaired"]]
           for row in split.cast_column("image", datasets.Image(decode=False))]
    for name, split in loaded.items()
}
next(iter(loaded["train"]))["image"].getdata()
print(json.dumps(rows))
"""


def rows_under_3(python: str, path: str, imports: str, folder: Path, **options: Any) -> dict[str, Any]:  # noqa: ANN401
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT), "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "home")}
    for variable in ("HF_DATASETS_CACHE", "HF_MODULES_CACHE", "MLRSNET_DATA_DIR"):
        environment.pop(variable, None)
    command = [python, "-c", SCRIPT, path, imports, json.dumps(options)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder)
    assert run.returncode == 0, run.stderr
    rows: dict[str, Any] = json.loads(run.stdout)
    return rows


@pytest.mark.slow
def test_the_script_and_the_name_give_what_newer_versions_give(
    python_with_datasets_3: str, make_release: Callable[..., Path], tmp_path: Path
) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    options = {"data_dir": str(make_release({"stadium": 9, "beach": 9})), "cache_dir": str(tmp_path / "cache")}
    script = str(CHECKOUT / "dataset_script" / "mlrsnet.py")
    expected = {
        name: [[row["id"], row["image"]["bytes"].hex(), row["labels"], row["repaired"]] for row in split]
        for name, split in load_dataset("mlrsnet", **options).cast_column("image", Image(decode=False)).items()
    }
    assert rows_under_3(python_with_datasets_3, script, "", folder, trust_remote_code=True, **options) == expected
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.arrow")}
    assert rows_under_3(python_with_datasets_3, "mlrsnet", "import", folder, **options) == expected
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.arrow")} == written
    streamed = rows_under_3(
        python_with_datasets_3, script, "", folder, trust_remote_code=True, streaming=True, **options
    )
    assert streamed == expected


@pytest.mark.slow
def test_newer_versions_read_what_3_6_wrote(
    python_with_datasets_3: str, make_release: Callable[..., Path], tmp_path: Path
) -> None:
    options = {"data_dir": str(make_release({"beach": 10})), "cache_dir": str(tmp_path / "cache")}
    rows_under_3(python_with_datasets_3, "mlrsnet", "import", tmp_path, **options)
    (arrow,) = (tmp_path / "cache").glob("mlrsnet/all-*/*/*/mlrsnet-train.arrow")
    whole = load_dataset("arrow", data_files=str(arrow), cache_dir=str(tmp_path / "other"), split="train")
    assert sorted(whole["id"]) == [f"beach_{i:05d}" for i in range(1, 11)]
    assert "labels" in whole.features
