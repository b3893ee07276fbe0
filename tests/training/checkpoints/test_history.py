import csv
import json
import math
from pathlib import Path

import pytest

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.training.checkpoints.history import Epoch, read_history, write_history

EPOCHS = (
    Epoch(epoch=1, step=4, loss=0.1 + 0.2, learning_rate=1e-3, validation={"map": 2 / 3, "sample_f1": math.nan}),
    Epoch(epoch=2, step=8, loss=1e-17, learning_rate=5e-324, validation={"map": 1.0, "sample_f1": 0.1}),
)


def test_the_files_hold_these_bytes(tmp_path: Path) -> None:
    write_history(EPOCHS[:1], tmp_path)
    write_history(EPOCHS, tmp_path)
    assert (tmp_path / "history.csv").read_bytes().decode() == (
        "epoch,step,loss,learning_rate,validation/map,validation/sample_f1\n"
        "1,4,0.30000000000000004,0.001,0.6666666666666666,\n"
        "2,8,1e-17,5e-324,1.0,0.1\n"
    )
    assert json.loads((tmp_path / "history.json").read_text())[0] == {
        "epoch": 1,
        "step": 4,
        "loss": 0.30000000000000004,
        "learning_rate": 0.001,
        "validation": {"map": 0.6666666666666666, "sample_f1": None},
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
    with pytest.raises(ConfigurationError, match=r"history\.json: cannot be written \(No space left on device\)"):
        write_history(EPOCHS, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("text", ["", "[1]", '[{"epoch": 1}]', '{"a": 1}', None])
def test_another_file_is_no_history(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "history.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"history\.json: is not the history of a run"):
        read_history(path)
