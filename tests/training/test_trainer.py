import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from datasets import DatasetDict
from safetensors.torch import load_file

from mlrsnet_hf.cli import Train
from mlrsnet_hf.configuration.command_line import parse
from mlrsnet_hf.errors import ConfigurationError, ImageError, MLRSNetError, OutOfMemoryError, WeightsError
from mlrsnet_hf.inputs.batches import ShuffledBatches
from mlrsnet_hf.inputs.task import ImageData, make_task
from mlrsnet_hf.models.saved_model import load_model
from mlrsnet_hf.training import trainer as evaluation
from mlrsnet_hf.training.components import make_model
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.results import TrainingResult
from mlrsnet_hf.training.run_folder import RunFolder
from mlrsnet_hf.training.train import train
from mlrsnet_hf.training.trainer import Trainer

MakeConfig = Callable[..., TrainingConfig]


def weights_of(result: TrainingResult) -> dict[str, torch.Tensor]:
    return load_file(RunFolder(result.config.output_dir).model / "model.safetensors")


def test_it_learns(run: TrainingResult) -> None:
    assert run.history[-1].loss < 0.8 * run.history[0].loss
    assert run.scores.test["map"] > 0.6


def test_the_best_epoch_is_kept(run: TrainingResult) -> None:
    values = [epoch.validation["map"] for epoch in run.history]
    assert run.scored_epoch == 1 + values.index(max(values))
    assert run.scores.validation["map"] == pytest.approx(max(values), abs=1e-6)


def test_results_file_holds_the_run(run: TrainingResult) -> None:
    folder = RunFolder(run.config.output_dir)
    assert TrainingResult.load(folder.results).to_dict() == run.to_dict()
    assert run.data.images == {"train": 32, "validation": 11, "test": 13}
    assert run.run.batch == {"global": 8, "per_process": 8, "accumulation": 1}
    assert run.labels_left_out == 1
    assert sorted(path.name for path in folder.root.iterdir()) == [
        *("checkpoints", "curves.png", "history.csv", "history.json"),
        *("model", "results.json", "settings.yaml", "tensorboard"),
    ]
    assert list(folder.logs.rglob("events.out.tfevents.*"))
    assert load_model(folder.model).thresholds == run.tuned.thresholds


def test_settings_file_gives_the_run_again(run: TrainingResult) -> None:
    settings = parse(Train, None, ["--config", str(RunFolder(run.config.output_dir).settings)])
    assert settings.training == run.config


def test_a_seed_gives_the_same_weights_twice(training_data: ImageData, make_config: MakeConfig, tmp_path: Path) -> None:
    first, again, other = (
        train(make_config(output_dir=tmp_path / name, seed=seed), training_data)
        for name, seed in [("a", 7), ("b", 7), ("c", 8)]
    )
    assert [epoch.loss for epoch in first.history] == [epoch.loss for epoch in again.history]
    left, right = weights_of(first), weights_of(again)
    assert all(torch.equal(left[key], right[key]) for key in left)
    assert not torch.equal(left["fc.weight"], weights_of(other)["fc.weight"])


def test_labels_that_are_not_known_teach_nothing(
    data: DatasetDict, as_training_data: Callable, make_config: MakeConfig, tmp_path: Path
) -> None:
    """Whatever stands in their place, weights and scores are the same."""
    runs = {}
    for name, present in (("a", False), ("b", True)):
        splits = {}
        for part, split in data.items():
            ids = [[row % 4] for row in range(len(split))]
            labels = [
                sorted(set(own) | set(hidden) if present else set(own) - set(hidden))
                for own, hidden in zip(split["labels"], ids, strict=True)
            ]
            changed = split.remove_columns("labels").add_column("labels", labels, feature=split.features["labels"])
            splits[part] = changed.add_column("unknown_labels", ids)
        config = make_config(output_dir=tmp_path / name)
        runs[name] = train(config, as_training_data(splits))
    one, other = (weights_of(run) for run in runs.values())
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert runs["a"].scores == runs["b"].scores
    assert runs["a"].tuned == runs["b"].tuned


def test_workers_and_cache_change_nothing(training_data: ImageData, make_config: MakeConfig, tmp_path: Path) -> None:
    plain = train(make_config(output_dir=tmp_path / "a", cache="off"), training_data)
    other = train(make_config(output_dir=tmp_path / "b", num_workers=2), training_data)
    left, right = weights_of(plain), weights_of(other)
    assert all(torch.equal(left[key], right[key]) for key in left)


def test_a_loss_that_is_no_number_names_step_and_images(training_data: ImageData, make_config: MakeConfig) -> None:
    # The first step multiplies the weights by about -1e30; the loss of the second is no number.
    config = make_config(learning_rate=1e30, warmup=0.0, clip_norm=0.0, checkpoint_steps=4)
    order = ShuffledBatches(32, 8, config.seed)
    with pytest.raises(ConfigurationError, match=r"(nan|inf) at step [23]") as caught:
        train(config, training_data)
    step = int(caught.value.found.split("at step ")[1].split(",")[0])
    named = caught.value.found.split("of the images ")[1].split(", ")
    assert named == [f"train_{row:03d}" for row in order.step_rows(1, step - 1)]
    assert not RunFolder(config.output_dir).model.exists()
    assert not list(RunFolder(config.output_dir).checkpoints.iterdir())


@pytest.mark.parametrize("moment", ["training", "evaluation"])
def test_too_little_memory_says_what_to_lower(
    training_data: ImageData, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    original = Trainer.train_step if moment == "training" else evaluation.predict

    def greedy(*arguments: object, **options: object) -> object:
        torch.empty(2**60, dtype=torch.uint8)  # refused by the allocator itself
        return original(*arguments, **options)

    owner, name = (Trainer, "train_step") if moment == "training" else (evaluation, "predict")
    monkeypatch.setattr(owner, name, greedy)
    expected = {
        "training": r"step 1, batch of 8 .* accumulation",
        "evaluation": r"4 images.* eval_batch_size",
    }
    with pytest.raises(OutOfMemoryError, match=expected[moment]):
        train(make_config(accumulation=2), training_data)


def test_one_image_is_too_few_for_batch_statistics(
    data: DatasetDict, make_config: MakeConfig, as_training_data: Callable
) -> None:
    """At 32 pixels the last maps of the network have one pixel."""
    with pytest.raises(ConfigurationError, match=r"one image.* batch_size"):
        train(make_config(accumulation=8), as_training_data(data))


@pytest.mark.parametrize("part", ["model", "results.json"])
def test_a_used_folder_is_refused_unless_told(training_data: ImageData, make_config: MakeConfig, part: str) -> None:
    config = make_config(epochs=1)
    config.output_dir.mkdir()
    (config.output_dir / part).mkdir() if part == "model" else (config.output_dir / part).write_text("{}")
    with pytest.raises(ConfigurationError, match=r"run .*--overwrite"):
        train(config, training_data)
    assert weights_of(train(make_config(epochs=1, overwrite=True), training_data))


def test_an_impossible_folder_is_refused(training_data: ImageData, make_config: MakeConfig, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"output_dir .*file is not a folder"):
        train(make_config(output_dir=tmp_path / "file" / "run"), training_data)


def test_a_missing_split_is_named(data: DatasetDict, make_config: MakeConfig, as_training_data: Callable) -> None:
    with pytest.raises(ConfigurationError, match=r"no validation split.* train, test"):
        train(make_config(), as_training_data({"train": data["train"], "test": data["test"]}))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_an_empty_split_is_named(
    data: DatasetDict, make_config: MakeConfig, as_training_data: Callable, split: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"{split} split"):
        train(make_config(), as_training_data(data | {split: data[split].select([])}))


def test_without_a_test_split_validation_is_reported(
    data: DatasetDict, make_config: MakeConfig, as_training_data: Callable
) -> None:
    splits = {"train": data["train"], "validation": data["validation"]}
    result = train(make_config(epochs=1), as_training_data(splits))
    assert result.scores.test is None
    assert "there is no test split" in result.report()


@pytest.mark.parametrize("broken", ["train", "validation", "test"])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_named(
    data: DatasetDict, make_config: MakeConfig, as_training_data: Callable, damaged: Callable, broken: str, workers: int
) -> None:
    config = make_config(epochs=1, cache="off", num_workers=workers)
    with pytest.raises(ImageError, match=f"{broken}_003"):
        train(config, as_training_data(data | {broken: damaged(data[broken], 3)}))
    assert not RunFolder(config.output_dir).results.exists()


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"weights": "missing.safetensors"}, WeightsError), ({"model": "resnet_5"}, MLRSNetError)],
)
def test_bad_input_leaves_no_folder(
    training_data: ImageData, make_config: MakeConfig, changes: dict, error: type[MLRSNetError]
) -> None:
    config = make_config(**changes)
    with pytest.raises(error):
        train(config, training_data)
    assert not config.output_dir.exists()


def test_a_run_cut_while_saving_leaves_no_model(
    training_data: ImageData, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mlrsnet_hf.models.saved_model.write_tensors", interrupt)
    config = make_config()
    with pytest.raises(KeyboardInterrupt):
        train(config, training_data)
    assert not RunFolder(config.output_dir).model.exists()
    monkeypatch.undo()
    train(config, training_data)  # the same command may be given again


def test_only_what_a_run_wrote_is_replaced(training_data: ImageData, make_config: MakeConfig) -> None:
    config = make_config(overwrite=True)
    folder = RunFolder(config.output_dir)
    folder.model.mkdir(parents=True)
    folder.logs.mkdir()
    (folder.logs / "notes.txt").write_text("mine")
    (folder.model / "mine.bin").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"mine\.bin"):
        train(config, training_data)
    (folder.model / "mine.bin").unlink()
    train(config, training_data)
    assert (folder.logs / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("theirs", ["4", "2"])
def test_accelerates_accumulation_must_agree(
    training_data: ImageData, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, theirs: str
) -> None:
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", theirs)
    config = make_config(epochs=1, accumulation=2)
    if theirs == "2":
        assert train(config, training_data).run.batch["accumulation"] == 2
        return
    with pytest.raises(ConfigurationError, match=r"gradient_accumulation_steps=4.* accumulation=2"):
        train(config, training_data)


def test_a_metric_without_value_keeps_the_last_epoch(
    data: DatasetDict, make_config: MakeConfig, as_training_data: Callable
) -> None:
    bare = data["validation"].map(lambda row: {"labels": []}, features=data["validation"].features)
    result = train(make_config(), as_training_data(data | {"validation": bare}))
    assert math.isnan(result.history[0].validation["map"])
    assert result.scored_epoch == 2
    assert "mAP was defined in no epoch" in result.report()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """What each optimizer step of the next runs does: its rates, and the norm of the gradient that it applies."""
    taken: list[dict] = []
    original = torch.optim.AdamW.step

    def step(self: torch.optim.Optimizer, *arguments: object) -> object:
        gradients = [p.grad.flatten() for group in self.param_groups for p in group["params"] if p.grad is not None]
        rates = [group["lr"] for group in self.param_groups]
        taken.append({"rates": rates, "norm": torch.cat(gradients).norm().item()})
        return original(self, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    return taken


def test_the_schedule_ends_where_planned(training_data: ImageData, make_config: MakeConfig, steps: list[dict]) -> None:
    config = make_config(epochs=3, accumulation=4, warmup=0.25, schedule="linear", head_rate=2.0, learning_rate=0.1)
    result = train(config, training_data)
    # 3 epochs of 32 / 8 batches; a climb of 3 steps, then a line that would reach 0 at step 12.
    factors = [1 / 4, 2 / 4, 3 / 4, *((12 - step) / 9 for step in range(3, 12))]
    assert [max(step["rates"]) for step in steps] == pytest.approx([0.2 * factor for factor in factors])
    assert [min(step["rates"]) for step in steps] == pytest.approx([0.1 * factor for factor in factors])
    assert [epoch.learning_rate for epoch in result.history] == pytest.approx([0.1 * factors[i] for i in (3, 7, 11)])


def test_the_gradient_of_the_whole_batch_is_clipped(
    training_data: ImageData, make_config: MakeConfig, steps: list[dict]
) -> None:
    train(make_config(epochs=1, accumulation=2, clip_norm=0.0), training_data)
    free = [step["norm"] for step in steps]
    steps.clear()
    limit = free[0] / 2
    train(make_config(epochs=1, accumulation=2, clip_norm=limit, overwrite=True), training_data)
    assert steps[0]["norm"] == pytest.approx(limit, rel=1e-3)
    assert all(step["norm"] < limit * 1.001 for step in steps)


def test_a_frozen_backbone_stays_as_it_is(training_data: ImageData, make_config: MakeConfig) -> None:
    config = make_config(freeze_backbone=True, ema=0.0, keep="last")
    torch.manual_seed(config.seed)
    before = make_model(config, make_task(training_data, config.scene_head, config.single_label)).state_dict()
    after = weights_of(train(config, training_data))
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"fc.weight", "fc.bias"}


def test_what_a_person_has_to_know_is_printed(
    training_data: ImageData, make_config: MakeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    train(make_config(epochs=1, accumulation=2, repeat_threshold=0.6), training_data)
    said = capsys.readouterr().out
    assert "39 images an epoch instead of 32" in said
    assert "device cpu (1 thread), precision no (float32), batch of 8 = 1 process x 2 micro-batches x 4 images" in said
    assert "over the 4 images of a micro-batch" in said
    assert "sample-F1" in said
