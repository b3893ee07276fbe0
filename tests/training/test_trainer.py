import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from datasets import DatasetDict
from safetensors.torch import load_file

from mlrsnet_hf.errors import ConfigurationError, ImageError, MLRSNetError, WeightsError
from mlrsnet_hf.training import TrainingConfig, TrainingResult, train
from mlrsnet_hf.training.run_folder import RunFolder

MakeConfig = Callable[..., TrainingConfig]


def weights_of(result: TrainingResult) -> dict[str, torch.Tensor]:
    return load_file(RunFolder(result.config.output_dir).model / "model.safetensors")


def test_it_learns(run: TrainingResult) -> None:
    losses = [epoch.loss for epoch in run.history]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.8 * losses[0]
    assert run.test["map"] > 0.6


def test_the_best_epoch_is_kept(run: TrainingResult) -> None:
    values = [epoch.validation["map"] for epoch in run.history]
    assert run.best_epoch == 1 + values.index(max(values))


def test_results_file_holds_the_run(run: TrainingResult) -> None:
    folder = RunFolder(run.config.output_dir)
    stored = json.loads(folder.results.read_text())
    assert stored["config"] == run.config.to_dict()
    assert stored["test"] == run.test
    assert [epoch["loss"] for epoch in stored["history"]] == [epoch.loss for epoch in run.history]
    assert stored["best_epoch"] == run.best_epoch
    assert stored["test_labels_left_out"] == 1
    assert set(stored["test_average_precision"]) == {"red", "green", "blue", "striped", "never"}
    assert stored["images"] == {"train": 32, "validation": 11, "test": 13}
    assert "torch" in stored["versions"]
    assert sorted(path.name for path in folder.root.iterdir()) == ["model", "results.json", "tensorboard"]
    assert list(folder.logs.glob("events.out.tfevents.*"))


def test_report_says_figures_labels_and_places(run: TrainingResult) -> None:
    text = run.report()
    assert f"mAP {run.test['map']:.4f}" in text
    assert f"sample-F1 {run.test['sample_f1']:.4f}" in text
    assert "1 of 5 labels do not occur there" in text
    assert str(RunFolder(run.config.output_dir).model) in text


def test_a_seed_gives_the_same_weights_twice(data: DatasetDict, make_config: MakeConfig, tmp_path: Path) -> None:
    first, again, other = (
        train(make_config(output_dir=tmp_path / name, seed=seed), data) for name, seed in [("a", 7), ("b", 7), ("c", 8)]
    )
    assert [epoch.loss for epoch in first.history] == [epoch.loss for epoch in again.history]
    left, right = weights_of(first), weights_of(again)
    assert all(torch.equal(left[key], right[key]) for key in left)
    assert not torch.equal(left["fc.weight"], weights_of(other)["fc.weight"])


def test_workers_and_cache_change_nothing(data: DatasetDict, make_config: MakeConfig, tmp_path: Path) -> None:
    plain = train(make_config(output_dir=tmp_path / "a", cache_megabytes=0), data)
    other = train(make_config(output_dir=tmp_path / "b", num_workers=2), data)
    left, right = weights_of(plain), weights_of(other)
    assert all(torch.equal(left[key], right[key]) for key in left)


def test_a_loss_that_is_no_number_stops_at_its_step(data: DatasetDict, make_config: MakeConfig) -> None:
    # The first step multiplies the weights by about -1e30; the loss of the second is no number.
    config = make_config(learning_rate=1e30, warmup=0.0)
    with pytest.raises(ConfigurationError, match=r"^the loss is (nan|inf) at step [23]\. Lower learning_rate"):
        train(config, data)
    assert not RunFolder(config.output_dir).model.exists()


@pytest.mark.parametrize("part", ["model", "results.json"])
def test_a_used_folder_is_refused_unless_told(data: DatasetDict, make_config: MakeConfig, part: str) -> None:
    config = make_config(epochs=1)
    config.output_dir.mkdir()
    (config.output_dir / part).mkdir() if part == "model" else (config.output_dir / part).write_text("{}")
    with pytest.raises(ConfigurationError, match=r"already holds a run\. Choose another folder, or give --overwrite"):
        train(config, data)
    assert weights_of(train(make_config(epochs=1, overwrite=True), data))


def test_an_impossible_folder_is_refused(data: DatasetDict, make_config: MakeConfig, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"cannot be made: .*file is not a folder"):
        train(make_config(output_dir=tmp_path / "file" / "run"), data)


def test_a_missing_split_is_named(data: DatasetDict, make_config: MakeConfig) -> None:
    retrieval = DatasetDict(query=data["test"], database=data["train"])
    with pytest.raises(ConfigurationError, match=r"there is no train split, only query, database"):
        train(make_config(), retrieval)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_an_empty_split_is_named(data: DatasetDict, make_config: MakeConfig, split: str) -> None:
    with pytest.raises(ConfigurationError, match=f"the {split} split holds no image"):
        train(make_config(), DatasetDict(data) | {split: data[split].select([])})


@pytest.mark.parametrize("broken", ["train", "validation", "test"])
def test_a_damaged_image_is_named(data: DatasetDict, make_config: MakeConfig, damaged: Callable, broken: str) -> None:
    with pytest.raises(ImageError, match=rf"image '{broken}_003' cannot be read"):
        train(make_config(epochs=1), DatasetDict(data) | {broken: damaged(data[broken], 3)})
    assert not list(make_config().output_dir.glob("results.json"))


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"weights": "missing.safetensors"}, WeightsError), ({"model": "resnet_5"}, MLRSNetError)],
)
def test_bad_input_leaves_no_folder(
    data: DatasetDict, make_config: MakeConfig, changes: dict, error: type[MLRSNetError]
) -> None:
    config = make_config(**changes)
    with pytest.raises(error):
        train(config, data)
    assert not config.output_dir.exists()


def test_a_run_cut_while_saving_leaves_no_model(
    data: DatasetDict, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mlrsnet_hf.training.saved_model.save_file", interrupt)
    config = make_config()
    with pytest.raises(KeyboardInterrupt):
        train(config, data)
    assert not RunFolder(config.output_dir).model.exists()
    monkeypatch.undo()
    train(config, data)  # the same command may be given again


def test_only_what_a_run_wrote_is_replaced(data: DatasetDict, make_config: MakeConfig) -> None:
    config = make_config(overwrite=True)
    folder = RunFolder(config.output_dir)
    folder.model.mkdir(parents=True)
    folder.logs.mkdir()
    (folder.logs / "notes.txt").write_text("mine")
    (folder.model / "mine.bin").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"model holds mine\.bin, which no run wrote. Move it away"):
        train(config, data)
    (folder.model / "mine.bin").unlink()
    train(config, data)
    assert (folder.logs / "notes.txt").read_text() == "mine"


def test_gradient_accumulation_is_refused(
    data: DatasetDict, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    with pytest.raises(ConfigurationError, match=r"gradient_accumulation_steps=4 is not supported\. Leave it at 1"):
        train(make_config(), data)


def test_a_metric_without_value_still_leaves_a_model(data: DatasetDict, make_config: MakeConfig) -> None:
    bare = data["validation"].map(lambda row: {"labels": []}, features=data["validation"].features)
    result = train(make_config(), DatasetDict(data) | {"validation": bare})
    assert math.isnan(result.history[0].validation["map"])
    assert (
        json.loads(RunFolder(result.config.output_dir).results.read_text())["history"][0]["validation"]["map"] is None
    )
