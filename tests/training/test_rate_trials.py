"""Learning rates that are tried on a part of the training images, before the run."""

import json
import math
import signal
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import DatasetDict, concatenate_datasets

from mlrsnet_hf.cli import Train
from mlrsnet_hf.configuration.command_line import parse
from mlrsnet_hf.errors import ConfigurationError, DivergedError
from mlrsnet_hf.inputs.task import ImageData
from mlrsnet_hf.training import rate_trials
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.rate_scores import RateTrial, RateTrials, StoredTrials
from mlrsnet_hf.training.rate_trials import MULTIPLES, base_rate, plan_trials
from mlrsnet_hf.training.recipes import linear_probe, modern
from mlrsnet_hf.training.results import TrainingResult
from mlrsnet_hf.training.run_folder import RunFolder, check_folder
from mlrsnet_hf.training.train import train
from mlrsnet_hf.training.trainer import Trainer

MakeConfig = Callable[..., TrainingConfig]
RunProcesses = Callable[[list[dict]], tuple[list[list[int]], str]]

# 6 epochs of 14 steps, before which each rate is tried for 10.
AUTO = {"learning_rate": "auto", "epochs": 6, "batch_size": 4, "log_every": 50, "drop_rate": 0.3, "trackers": ()}
REPEATED = {"repeat_threshold": 0.5}


@pytest.fixture(autouse=True)
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing them takes as long as all the rest."""
    monkeypatch.setattr("mlrsnet_hf.training.trainer.draw_curves", lambda *_: None)


@pytest.fixture(scope="module")
def more(data: DatasetDict) -> DatasetDict:
    """All pictures to train on, for a part of them is held out."""
    return DatasetDict(train=concatenate_datasets(list(data.values())), validation=data["validation"])


@pytest.fixture
def images(more: DatasetDict, as_training_data: Callable) -> ImageData:
    return as_training_data(more)


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[float, float]], list[float]]:
    """Return a function that gives rates their scores untrained, and the list of the rates that were asked for."""

    def arrange(scores: dict[float, float]) -> list[float]:
        asked: list[float] = []

        def score(config: TrainingConfig, *_: object) -> float:
            asked.append(config.fixed_rate)
            return scores[config.fixed_rate]

        monkeypatch.setattr(rate_trials, "score_rate", score)
        return asked

    return arrange


def one_trainer_at_a_time(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref]:
    """Have each new trainer look whether another is still in memory; return the list of them."""
    made: list[weakref.ref] = []
    original = Trainer.__init__

    def begin(self: Trainer, *arguments: object) -> None:
        assert not [other for other in made if other() is not None]
        made.append(weakref.ref(self))
        original(self, *arguments)

    monkeypatch.setattr(Trainer, "__init__", begin)
    return made


def weights(config: TrainingConfig) -> bytes:
    return (RunFolder(config.output_dir).model / "model.safetensors").read_bytes()


@pytest.mark.parametrize("way", ["command line", "file", "Python"])
def test_auto_is_a_rate_wherever_settings_come_from(tmp_path: Path, way: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("learning_rate: auto\n")
    words = {"command line": ["--learning-rate", "auto"], "file": ["--config", str(file)]}
    config = modern(learning_rate="auto") if way == "Python" else parse(Train, None, words[way]).training
    assert config.learning_rate == "auto"
    with pytest.raises(
        ConfigurationError, match=r"learning_rate='best' cannot be used\. Give a number above 0 or auto"
    ):
        modern(learning_rate="best")


def test_the_run_is_that_of_the_rate_it_chose(
    make_config: MakeConfig,
    images: ImageData,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = make_config(**AUTO | REPEATED, output_dir=tmp_path / "auto")
    with monkeypatch.context() as patch:
        trainers = one_trainer_at_a_time(patch)
        result = train(config, images)
    assert len(trainers) == 5
    assert result.rate_trials is not None
    assert [trial.rate for trial in result.rate_trials.tried] == [1e-3, 3e-4, 3e-3, 1e-4]
    best = max(result.rate_trials.tried, key=lambda trial: trial.score)
    assert result.learning_rate == best.rate == result.history[-1].learning_rate
    assert (
        f"learning rate {best.rate:g}, the best of 4 by mAP on 11 training images held out" in capsys.readouterr().out
    )

    stored = StoredTrials.load(RunFolder(config.output_dir).rate_trials)
    assert stored.trials == result.rate_trials
    written = json.loads((config.output_dir / "results.json").read_text())
    assert written["rate_trials"]["chosen"] == best.rate
    assert written["config"]["learning_rate"] == "auto"
    assert TrainingResult.load(config.output_dir / "results.json").to_dict() == result.to_dict()
    assert [path.name for path in (config.output_dir / "rate_trials").iterdir()] == ["trials.json"]
    assert parse(Train, None, ["--config", str(config.output_dir / "settings.yaml")]).training == config

    number = make_config(**AUTO | REPEATED | {"learning_rate": best.rate}, output_dir=tmp_path / "number")
    train(number, images)
    assert weights(number) == weights(config)


def test_a_rate_that_is_clearly_best_is_found(
    make_config: MakeConfig, images: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a rate that learns nothing in so few steps stands one that destroys the weights, and one that is usual."""
    monkeypatch.setattr(rate_trials, "MULTIPLES", (1e-9, 1e30, 3.0))
    result = train(make_config(**AUTO | {"clip_norm": 0.0, "optimizer": "adam"}), images)
    scores = [trial.score for trial in result.rate_trials.tried]
    assert result.learning_rate == 3e-3
    assert scores[2] > scores[0] + 0.05
    assert math.isnan(scores[1])


def test_rates_that_are_all_lost_are_said_in_a_sentence(
    make_config: MakeConfig, images: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_: object) -> None:
        raise DivergedError("the loss is nan", "Lower it.")

    monkeypatch.setattr(Trainer, "train_epoch", lose)
    config = make_config(**AUTO)
    with pytest.raises(ConfigurationError, match=r"no rate: with each of 0\.001, 0\.0003, 0\.003, 0\.0001 the loss"):
        train(config, images)
    monkeypatch.undo()
    with pytest.raises(ConfigurationError, match="found no rate"):  # none is tried again
        train(make_config(**AUTO, resume=True), images)
    with pytest.raises(ConfigurationError, match="already holds a run"):
        check_folder(config)


def test_a_network_that_gives_no_numbers_is_lost(
    make_config: MakeConfig, training_data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Trainer.predict

    def spoiled(self: Trainer, *arguments: object) -> object:
        predictions = original(self, *arguments)
        predictions.logits[0] = math.nan
        return predictions

    monkeypatch.setattr(Trainer, "predict", spoiled)
    with pytest.raises(DivergedError, match="no numbers after step 4"):
        train(make_config(), training_data)


def test_the_trials_that_have_ended_are_not_run_again(
    make_config: MakeConfig, images: ImageData, scored: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = scored({1e-3: 0.5, 3e-4: 0.7, 3e-3: 0.7})
    with pytest.raises(KeyError):  # as a machine that dies in the last
        train(make_config(**AUTO), images)
    assert asked == [1e-3, 3e-4, 3e-3, 1e-4]
    asked = scored({1e-4: math.nan})
    other = make_config(**AUTO | {"resume": True, "seed": 5})
    for refuse in (lambda: check_folder(other), lambda: train(other, images)):
        with pytest.raises(ConfigurationError, match="other settings: seed was 0, is 5"):
            refuse()
    with pytest.raises(ConfigurationError, match=r"other settings: learning_rate was 'auto', is 0\.1"):
        train(make_config(**AUTO | {"resume": True, "learning_rate": 0.1}), images)
    with pytest.raises(ConfigurationError, match="already holds a run"):
        train(make_config(**AUTO), images)
    result = train(make_config(**AUTO, resume=True), images)
    assert asked == [1e-4]
    assert result.learning_rate == 3e-4  # of two that score alike, the first
    assert train(make_config(**AUTO, resume=True), images).rate_trials == result.rate_trials
    assert asked == [1e-4]
    train(make_config(**AUTO | {"learning_rate": 0.1, "epochs": 1, "overwrite": True}), images)
    assert not (make_config().output_dir / "rate_trials").exists()


@pytest.mark.parametrize(
    ("images", "changes", "found"),
    [
        (49, {}, r"49 are too few .* at least 50 training images"),
        (60, {"batch_size": 64}, r"60 are too few .* at least 80 training images"),
        (50, {"epochs": 6, "batch_size": 4}, r"a run of 72 steps\. .* at least 80 steps"),
    ],
)
def test_too_few_images_or_steps_are_refused(images: int, changes: dict, found: str) -> None:
    with pytest.raises(ConfigurationError, match=found):
        plan_trials(modern(**changes), images, 1e-3)


def test_trials_are_a_small_share_of_a_run_and_of_its_images() -> None:
    for images, batch, epochs in [(1285, 32, 18), (21_000, 32, 18), (100_000, 256, 3), (80, 4, 10)]:
        config = modern(batch_size=batch, epochs=epochs)
        plan = plan_trials(config, images, 1e-3)
        total = images // batch * epochs
        assert plan.held_out + plan.images <= images
        assert plan.steps == plan.images // batch * plan.epochs
        assert plan.steps * len(MULTIPLES) <= max(0.22 * total, 40)


def test_rates_are_multiples_of_the_recipes_own() -> None:
    assert base_rate(linear_probe(learning_rate="auto"), "linear_probe") == 1e-2
    assert base_rate(modern(learning_rate="auto"), None) == 1e-3
    assert plan_trials(modern(), 5000, 1e-3).rates == (1e-3, 3e-4, 3e-3, 1e-4)


def test_the_better_end_of_a_metric_is_chosen() -> None:
    common = {"base": 1.0, "rates": (1.0, 2.0), "held_out": 1, "images": 1, "epochs": 1, "steps": 1}
    trials = RateTrials(metric="hamming_loss", **common).with_score(0.2)
    assert trials.chosen is None
    assert trials.left == (2.0,)
    assert trials.with_score(0.1).chosen == 2.0
    assert trials.with_score(math.nan).chosen == 1.0
    assert trials.with_score(0.1).tried[1] == RateTrial(rate=2.0, score=0.1)


FATES = {1: ["step 15 SIGKILL", "disk 4 SIGKILL", "step 50 SIGTERM"], 2: ["step 15 SIGKILL"]}
"""What comes over the lives of a run: in the second trial, while files of one are written, and in the run itself."""


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_that_was_killed_anywhere_chooses_and_ends_as_in_peace(
    more: DatasetDict, run_processes: RunProcesses, tmp_path: Path, processes: int
) -> None:
    folder, peace, stopped = tmp_path / "pictures", tmp_path / "peace", tmp_path / "stopped"
    for name, split in more.items():
        split.save_to_disk(str(folder / name))
    settings = AUTO | {"model": "test_resnet", "weights": "random", "image_size": 32, "cpu_threads": 1, "trackers": []}
    common = {"data": str(folder), "processes": processes}
    runs = [common | {"settings": settings | {"output_dir": str(peace)}}]
    own = settings | {"output_dir": str(stopped), "checkpoint_steps": 4, "resume": True}
    runs += [common | {"settings": own, "fate": fate} for fate in [*FATES[processes], None]]
    codes, said = run_processes(runs)
    assert codes[0] == codes[-1] == [0] * processes, said
    for fate, found in zip(FATES[processes], codes[1:-1], strict=True):
        assert set(found) == {-signal.SIGKILL if "KILL" in fate else 75}, fate
    for file in ("model/model.safetensors", "history.json"):
        assert (stopped / file).read_bytes() == (peace / file).read_bytes(), file
    trials = [json.loads((run / "results.json").read_text())["rate_trials"] for run in (peace, stopped)]
    assert trials[0] == trials[1]


@pytest.mark.slow
def test_one_process_and_two_choose_the_same_rate(
    more: DatasetDict, run_processes: RunProcesses, tmp_path: Path
) -> None:
    """Without BatchNorm, whose statistics are those of a process's own share, and dropout, which each draws anew."""
    folder = tmp_path / "pictures"
    for name, split in more.items():
        split.save_to_disk(str(folder / name))
    settings = AUTO | {"model": "test_convnext", "weights": "random", "image_size": 32, "cpu_threads": 1}
    settings |= {"drop_rate": 0.0, "trackers": []}
    runs = [
        {"data": str(folder), "processes": count, "settings": settings | {"output_dir": str(tmp_path / str(count))}}
        for count in (1, 2)
    ]
    codes, said = run_processes(runs)
    assert codes == [[0], [0, 0]], said
    one, two = (json.loads((tmp_path / name / "results.json").read_text())["rate_trials"] for name in ("1", "2"))
    assert one["chosen"] == two["chosen"]
    for alone, shared in zip(one["tried"], two["tried"], strict=True):
        assert shared == pytest.approx(alone, abs=1e-3)
