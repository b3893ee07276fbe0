"""The grid of rates at toy size: from synthetic scenes to scores, by one family's row."""

import re
import sys
from pathlib import Path

import pytest

from mlrsnet_hf.training.families import FAMILIES
from tests.benchmarks.rates_by_family import NETWORKS, main


def test_a_row_is_scored_at_each_rate(
    saved_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(NETWORKS) == set(FAMILIES)
    monkeypatch.setattr("mlrsnet_hf.training.trainer.draw_curves", lambda *_: None)
    options = {"--families": "vit_masked", "--image-size": "32", "--batch-size": "8", "--epochs": "1"}
    options |= {
        "--images": "16",
        "--pretraining-epochs": "1",
        "--images-per-scene": "1",
        "--output": str(tmp_path / "runs"),
    }
    words = [word for option in options.items() for word in option]
    monkeypatch.setattr(sys, "argv", ["rates_by_family.py", "--dataset", str(saved_data), *words, "--rates", "1", "3"])
    main()
    [row] = re.findall(
        r"\| `vit_masked` \| `test_vit` \| 1\.56e-05 \| ([\d.]+) \| ([\d.]+) \|", capsys.readouterr().out
    )
    assert all(0 < float(score) <= 100 for score in row)
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {
        "decoded",
        "scenes-1",
        "pretrained-test_vit",
        "vit_masked-1",
        "vit_masked-3",
    }
