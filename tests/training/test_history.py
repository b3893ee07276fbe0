import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.training.history import (
    Epoch,
    curves_figure,
    draw_curves,
    kept_epoch,
    read_history,
    write_history,
)

EPOCHS = (
    Epoch(epoch=1, step=4, loss=0.1 + 0.2, learning_rate=1e-3, validation={"map": 2 / 3, "sample_f1": math.nan}),
    Epoch(
        epoch=2,
        step=8,
        loss=1e-17,
        learning_rate=5e-324,
        validation={"map": 1.0, "sample_f1": 0.1},
        validation_loss=0.1 + 0.7,
    ),
)


def test_the_files_hold_these_bytes(tmp_path: Path) -> None:
    write_history(EPOCHS[:1], tmp_path)
    write_history(EPOCHS, tmp_path)
    assert (tmp_path / "history.csv").read_bytes().decode() == (
        "epoch,step,loss,learning_rate,validation_loss,validation/map,validation/sample_f1\n"
        "1,4,0.30000000000000004,0.001,,0.6666666666666666,\n"
        "2,8,1e-17,5e-324,0.7999999999999999,1.0,0.1\n"
    )
    assert json.loads((tmp_path / "history.json").read_text())[0] == {
        "epoch": 1,
        "step": 4,
        "loss": 0.30000000000000004,
        "learning_rate": 0.001,
        "validation": {"map": 0.6666666666666666, "sample_f1": None},
        "validation_loss": None,
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.csv", "history.json"]


def test_numbers_come_back_to_the_last_bit(tmp_path: Path) -> None:
    write_history(EPOCHS, tmp_path)
    found = read_history(tmp_path / "history.json")
    assert found[1] == EPOCHS[1]
    assert found[0].loss == EPOCHS[0].loss
    assert found[0].validation["map"] == 2 / 3
    assert math.isnan(found[0].validation["sample_f1"])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_history(found, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with (tmp_path / "history.csv").open(newline="") as file:
        assert [float(row["loss"]) for row in csv.DictReader(file)] == [epoch.loss for epoch in EPOCHS]


def test_a_failed_write_leaves_the_earlier_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_history(EPOCHS[:1], tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full_disk(self: Path, *_: object, **__: object) -> None:
        self.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(ConfigurationError, match=r"history\.json: .*No space left on device"):
        write_history(EPOCHS, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("text", ["", "[1]", '[{"epoch": 1}]', '{"a": 1}', None])
def test_another_file_is_no_history(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "history.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"history\.json"):
        read_history(path)


def with_values(*values: float) -> list[Epoch]:
    return [
        Epoch(epoch=number, step=number, loss=0.0, learning_rate=0.0, validation={"map": value, "hamming_loss": value})
        for number, value in enumerate(values, 1)
    ]


def test_the_first_of_the_best_epochs_is_kept() -> None:
    history = with_values(0.5, math.nan, 0.7, 0.7, 0.6)
    assert kept_epoch(history, "best", "map").epoch == 3
    assert kept_epoch(history, "best", "hamming_loss").epoch == 1  # the lower, the better
    assert kept_epoch(history, "last", "map").epoch == 5
    assert kept_epoch(with_values(math.nan, math.nan), "best", "map").epoch == 2


def some_epochs(epochs: int) -> list[Epoch]:
    return [
        Epoch(
            epoch=number,
            step=10 * number,
            loss=1 / number,
            learning_rate=1e-3 / number,
            validation={"sample_f1": 0.9 - 0.2 / number, "map": 0.95 - 0.3 / number, "macro_f1": math.nan},
        )
        for number in range(1, epochs + 1)
    ]


def curves(axes: Axes) -> dict[str, list[float]]:
    return {line.get_label(): list(line.get_ydata()) for line in axes.lines}


def test_the_lines_are_the_history() -> None:
    loss, metrics, rate = curves_figure(some_epochs(5)).axes
    assert list(curves(loss).values()) == [[1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]]
    assert list(curves(rate).values()) == [[1e-3, 1e-3 / 2, 1e-3 / 3, 1e-3 / 4, 1e-3 / 5]]
    found = curves(metrics)
    # The best first; values at the last epoch: 0.95 - 0.06 and 0.9 - 0.04.
    assert list(found) == ["mAP 0.8900", "sample-F1 0.8600", "macro-F1 not defined"]
    assert found["mAP 0.8900"] == [epoch.validation["map"] for epoch in some_epochs(5)]


def test_the_validation_loss_stands_beside_that_of_training() -> None:
    # As in a run that an older version began: its epochs did not measure it.
    epochs = [replace(epoch, validation_loss=None if epoch.epoch == 1 else 2.0, loss=1.9) for epoch in some_epochs(3)]
    loss = curves_figure(epochs).axes[0]
    found = curves(loss)
    assert list(found) == ["training", "validation"]
    assert found["training"] == [1.9, 1.9, 1.9]
    assert np.isnan(found["validation"][0])
    assert found["validation"][1:] == [2.0, 2.0]
    assert loss.get_ylim()[0] == 0
    assert loss.get_ylim()[1] > 2.05  # the highest point stands whole within the frame
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["training", "validation"]


def test_a_history_without_validation_loss_is_read_and_drawn(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    values = [{name: value for name, value in e.to_dict().items() if name != "validation_loss"} for e in EPOCHS]
    path.write_text(json.dumps(values))
    epochs = read_history(path)
    assert [epoch.validation_loss for epoch in epochs] == [None, None]
    assert curves_figure(epochs).axes[0].get_title(loc="left") == "Training loss"


def test_the_kept_epoch_is_marked() -> None:
    metrics = curves_figure(some_epochs(5), scored_epoch=3).axes[1]
    assert metrics.get_title(loc="left") == "Validation, model of epoch 3"
    assert "mAP 0.8500" in curves(metrics)
    assert [3, 3] in [list(line.get_xdata()) for line in metrics.lines]


@pytest.mark.parametrize("epochs", [1, 60])
def test_the_file_is_a_picture(tmp_path: Path, epochs: int) -> None:
    path = tmp_path / "curves.png"
    path.write_bytes(b"an older one")
    draw_curves(some_epochs(epochs), path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.width > 1000
        assert np.ptp(np.asarray(image.convert("L"))) > 200
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"curves\.png"):
        draw_curves(some_epochs(1), tmp_path / "missing" / "curves.png")
