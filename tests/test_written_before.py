"""What users have on their disks opens still: see fixtures/written_at_3f65ed4/README.md for how it was written."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import load_dataset
from safetensors.numpy import load_file

from mlrsnet_hf.cli import Train, main
from mlrsnet_hf.configuration.command_line import parse
from mlrsnet_hf.models.saved_model import load_model
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable
from mlrsnet_hf.training.results import TrainingResult

WRITTEN = Path(__file__).with_name("fixtures") / "written_at_3f65ed4"


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the fixtures as the working directory, because resuming a run and opening an index write."""
    folder = tmp_path / "written"
    shutil.copytree(WRITTEN, folder)
    monkeypatch.chdir(folder)
    return folder


def test_a_finished_run_is_read(written: Path) -> None:
    stored = json.loads((written / "finished" / "results.json").read_text())
    result = TrainingResult.load(written / "finished" / "results.json")
    assert result.scores.test == stored["scores"]["test"]
    labels = tuple(row["label"] for row in stored["labels"])
    assert load_model(written / "finished" / "model").task.label_names == labels


@pytest.mark.parametrize("name", ["release", "pictures"])
def test_an_interrupted_run_is_resumed(written: Path, name: str) -> None:
    folder = written / "interrupted" / name
    main(["train", "--config", f"interrupted/{name}/settings.yaml", "--resume"])
    history, expected = (
        json.loads(path.read_text()) for path in (folder / "history.json", written / f"expected/{name}-history.json")
    )
    for epoch, before in zip(history, expected, strict=True):
        # Training draws and resizes its pixels in another way since; what had ended before the run was taken up stays.
        exact = {"epoch", "step", "learning_rate"} if epoch["validation_loss"] is not None else before.keys()
        assert numbers({name: epoch[name] for name in exact}) == pytest.approx(
            numbers({name: before[name] for name in exact}), rel=1e-3, nan_ok=True
        )
        assert numbers(epoch).keys() >= numbers(before).keys()
        assert 0 < epoch["loss"] < 2
    # One of the two runs had ended an epoch, the other none.
    losses = [epoch["validation_loss"] for epoch in history]
    assert (losses[0] is None) == (name == "pictures")
    assert losses[-1] > 0
    assert (folder / "model" / "model.safetensors").is_file()


def numbers(values: Any, path: str = "") -> dict[str, float]:  # noqa: ANN401
    """Return the numbers of a JSON value by their paths."""
    if isinstance(values, dict | list):
        items = values.items() if isinstance(values, dict) else enumerate(values)
        return {key: number for name, value in items for key, number in numbers(value, f"{path}/{name}").items()}
    return {path: float("nan") if values is None else values}


@pytest.mark.parametrize("name", ["many", "paper", "other_dataset"])
def test_settings_are_given_back(written: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every line of the file is taken: a last option that cannot be used is all that is refused."""
    with pytest.raises(SystemExit) as end:
        main(["train", "--config", f"settings/{name}.yaml", "--epochs", "0"])
    assert end.value.code == 2
    assert "epochs" in capsys.readouterr().err


def test_settings_of_before_take_nothing_from_the_families(written: Path) -> None:
    """A ConvNeXt's classifier begins as it did when the file was written, or the run could not be resumed."""
    file = written / "settings" / "many.yaml"
    file.write_text(file.read_text().replace("model: resnet50", "model: convnext_tiny"))
    given = parse(Train, None, ["--config", str(file)]).training
    assert (given.family, given.head_init_scale, given.layer_decay) == (None, 1.0, 0.9)
    named = parse(Train, None, ["--config", str(file), "--family", "convnext"]).training
    assert (named.family, named.head_init_scale, named.layer_decay) == ("convnext", 0.001, 0.9)


def test_embeddings_are_read(written: Path) -> None:
    table = EmbeddingTable.load("embeddings")
    assert len(table) == 30
    assert table.info.normalized is False
    hits = table.search(table.vector("airplane_00008"), k=5)[0]
    assert [hit.id for hit in hits] == ids((written / "expected" / "search-flat-by-id.txt").read_text())


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_an_index_answers_as_it_did(written: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("milvus_lite")
    main(["search", f"index-{kind}", "airplane_00008", "-k", "5"])
    expected = (written / "expected" / f"search-{kind}-by-id.txt").read_text()
    assert ids(capsys.readouterr().out) == ids(expected)


def test_a_picture_is_searched_with_the_model_that_made_the_index(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("milvus_lite")
    main(["search", "index-flat", "data/release/Images/stadium/stadium_00003.jpg", "-k", "5"])
    assert ids(capsys.readouterr().out) == ids((written / "expected" / "search-flat-by-picture.txt").read_text())


def ids(printed: str) -> list[str]:
    """Return the ids of a printed list of hits, in order."""
    return re.findall(r"^ *\d+ .*?([a-z_&]+_\d{5})", printed, flags=re.MULTILINE)


def test_a_prepared_repository_is_loaded(written: Path) -> None:
    dataset = load_dataset(str(written / "prepared"), "ratio40", cache_dir=str(written / "cache"))
    assert sum(len(split) for split in dataset.values()) == 50
    assert np.asarray(dataset["train"][0]["image"]).shape == (48, 48, 3)


def test_the_best_model_of_a_run_under_way_is_loaded(written: Path) -> None:
    best = written / "interrupted" / "pictures" / "checkpoints" / "best-00000006"
    state, stored = load_model(best).model.state_dict(), load_file(best / "model.safetensors")
    assert state.keys() == stored.keys()
    assert all(np.array_equal(state[name].numpy(), stored[name]) for name in stored)
