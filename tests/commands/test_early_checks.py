"""Wrong paths and outputs that are there, told in one sentence before torch is imported."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from mlrsnet_hf.commands.early_checks import check_paths
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.image_set import ImageSet

SCRIPT = """
import contextlib, io, json, sys
from mlrsnet_hf.cli import main
told = []
for words in json.load(sys.stdin):
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        try:
            main(words)
        except SystemExit as end:
            told.append([end.code, errors.getvalue(), sorted({"torch", "datasets", "timm"} & set(sys.modules))])
print(json.dumps(told))
"""
CASES: list[tuple[list[str], str]] = [
    (["evaluate", "runs/trian"], "It holds train."),
    (["evaluate", "resnet50"], "no labels"),
    (["evaluate", "./missing"], "./missing: no such folder"),
    (["evaluate", "missing.onnx"], "missing.onnx: no such file"),
    (["evaluate", "one.png"], "one.png: a file, and no model"),
    (["evaluate", "runs/train", "--data-dir", "missing"], "data_dir=missing: no such folder or archive"),
    (["evaluate", "runs/train", "--dataset", "tables/*.csv"], "no file matches"),
    (["evaluate", "runs/train", "--dataset", "missing.csv"], "missing.csv: no such file"),
    (["evaluate", "runs/train", "--dataset", "there", "--image-dir", "missing"], "image_dir=missing"),
    (["evaluate", "runs/train", "--output-dir", "there"], "there: exists already. Remove it or choose another folder"),
    (["predict", "runs/train"], "no image is given"),
    (["predict", "runs/train", "nothing.png"], "nothing.png: no such file or folder"),
    (["predict", "runs/train", "missing*.png"], "no image in missing*.png"),
    (
        ["predict", "runs/train", "one.png", "--output", "there.csv"],
        "there.csv: exists already. Remove it or choose an",
    ),
    (["predict", "runs/train", "one.png", "--html", "there.csv"], "there.csv: exists already"),
    (["predict", "runs/trian", "one.png"], "runs/trian: no such folder"),
    (["predict", "runs/train", "one.png", "--window", "32", "--output", "predictions.csv"], "a table, and scenes"),
    (["export", "runs/train", "--output-dir", "there"], "there: exists already"),
    (["export", "runs/train", "--images", "missing"], "images=missing: no such folder"),
    (["export", "runs/train", "--images", "one.png"], "images=one.png: a file, not a folder"),
    (["embed", "--model", "runs/trian", "--images", "there"], "runs/trian: no such folder"),
    (["embed", "--model", "runs/train", "--images", "missing"], "images=missing: no such folder"),
    (["embed", "--model", "runs/train", "--images", "there", "--output-dir", "there"], "there: exists already"),
    (["embed", "--model", "resnet50", "--weights", "missing.safetensors", "--images", "there"], "no such file"),
    (["retrieval", "--model", "runs/trian"], "runs/trian: no such folder"),
    (["retrieval", "--embeddings", "./missing"], "./missing: no such folder"),
    (["retrieval", "--model", "runs/train", "--output-dir", "there"], "there: exists already"),
    (["app", "--model", "runs/trian"], "runs/trian: no such folder"),
    (["app", "--index", "missing"], "missing: no such folder"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("there", "runs/train"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "there.csv").write_text("mine")
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    return tmp_path


def test_each_is_told_before_torch_is_imported(folder: Path) -> None:
    left_out = [name for name, package in (("app", "gradio"), ("--window", "rasterio")) if find_spec(package) is None]
    cases = [(words, told) for words, told in CASES if not set(left_out) & set(words)]
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps([words for words, _ in cases]),
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(ended.stdout.splitlines()[-1])
    for (words, told), (code, said, heavy) in zip(cases, found, strict=True):
        assert code == 2, words
        assert told in said and said.count("\n") == 1, (words, said)
        assert heavy == [], words


def test_what_may_stand_elsewhere_passes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    check_paths(models=["USER/NAME", "USER/NAME@main", "hf-hub:runs/trian", "open_clip:a/b", "resnet50.a1_in1k"])
    check_paths(models=["runs/train", "there", None], labeled=True, index="http://localhost:1", embeddings=["USER/E"])
    check_paths(sources=["https://host/one.jpg", "one.png", "missing*.png"])
    for dataset in ("USER/NAME", "imagefolder", "there", "*.png", "hf://datasets/a/b.parquet"):
        check_paths(data=DataConfig(dataset=dataset))
        check_paths(data=ImageSet(dataset=dataset))


def test_other_processes_leave_it_to_the_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RANK", "1")
    check_paths(models=["./missing"])
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ConfigurationError):
        check_paths(models=["./missing"])
