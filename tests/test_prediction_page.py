"""docs/prediction.md: its commands parse, and its code runs."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from mlrsnet_hf.cli import COMMANDS
from mlrsnet_hf.configuration.command_line import parse
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.preprocessing import model_preprocessing
from mlrsnet_hf.models.saved_model import save_model

rasterio = pytest.importorskip("rasterio", reason='needs the extra "geo"')
pytest.importorskip("shapely", reason='needs the extra "geo"')
PAGE = Path(__file__).parents[1] / "docs" / "prediction.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_its_commands_are_ours() -> None:
    lines = [shlex.split(line) for block in blocks("bash") for line in block.replace("\\\n", " ").splitlines()]
    assert len(lines) >= 4
    for words in lines:
        place = next(words.index(name) for name in ("mlrsnet", "mlrsnet_hf") if name in words)
        name, *arguments = words[place + 1 :]
        parse(COMMANDS[name], f"mlrsnet {name}", arguments)


def test_its_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(3)
    model = timm.create_model("test_resnet", num_classes=4).eval()
    task = Task(kind="labels+scene", label_names=("water", "sand"), scene_names=("beach", "harbor"))
    save_model(model, Path("runs/train/model"), model_preprocessing(model, 32, 1.0), task)
    Path("pictures").mkdir()
    for name in "ab":
        Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(f"pictures/{name}.png")
    Path("scenes").mkdir()
    with rasterio.open(
        "scenes/a.tif",
        "w",
        driver="GTiff",
        count=3,
        height=64,
        width=96,
        dtype="uint8",
        crs="EPSG:32633",
        transform=rasterio.Affine(1, 0, 5e5, 0, -1, 5e6),
    ) as file:
        file.write(np.full((3, 64, 96), 9, np.uint8))
    for block in blocks("python"):
        exec(compile(block, str(PAGE), "exec"), {})
    said = capsys.readouterr().out
    assert "predictions-00000-of-00001.parquet (2, 2)" in said
    assert "a.tif 2 " in said
