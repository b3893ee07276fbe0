"""A run that was stopped, anyhow and anywhere, ends as the run that never was."""

import errno
import json
import os
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from datasets import Dataset

from mlrsnet_hf.errors import EXIT_INTERRUPTED, ConfigurationError, InterruptedRunError
from mlrsnet_hf.files import only_writer
from mlrsnet_hf.inputs.task import ImageData
from mlrsnet_hf.models.saved_model import load_model
from mlrsnet_hf.training import train as training
from mlrsnet_hf.training import trainer
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.run_folder import RunFolder, check_folder
from mlrsnet_hf.training.train import train
from mlrsnet_hf.training.trainer import Trainer

MakeConfig = Callable[..., TrainingConfig]
RunProcesses = Callable[[list[dict]], tuple[list[list[int]], str]]

# 3 epochs of 4 steps, with dropout and batch statistics; in some epochs other images are repeated than in others.
SETTINGS = {
    "repeat_threshold": 0.45,
    **{"model": "test_resnet", "weights": "random", "image_size": 32, "epochs": 3, "batch_size": 8},
    **{"eval_batch_size": 4, "cpu_threads": 1, "drop_rate": 0.3, "ema": 0.9, "trackers": []},
}
# Other checkpoints and other readings of the loss than in the run that is left in peace.
DOOMED = {"log_every": 2, "checkpoint_steps": 3}
FATES = {
    1: [
        "step 8 SIGKILL",  # in the middle of an epoch, and so is the checkpoint before
        "disk 5 SIGKILL",  # while a checkpoint is written
        "disk 9 SIGKILL",  # between the best model and the checkpoint that counts on it
        "history 2 SIGKILL",  # between the checkpoint and the history
        "step 6 SIGTERM",
        "evaluation 3 SIGTERM",
    ],
    2: ["step 8 SIGKILL", "evaluation 2 SIGTERM"],
}


def outcome(run: Path) -> dict[str, bytes | dict]:
    """Return all that must not depend on how often a run was stopped."""
    last = run / "checkpoints" / "step-00000012-evaluated"
    files = [*run.glob("model/*"), *run.glob("history.*"), *last.glob("*.safetensors"), last / "optimiser.pt"]
    results = json.loads((run / "results.json").read_text())
    kept = ("history", "scored_epoch", "scores", "tuned", "labels")
    return {str(path.relative_to(run)): path.read_bytes() for path in files} | {name: results[name] for name in kept}


@pytest.fixture(scope="module", params=[1, 2], ids=["1 process", "2 processes"])
def aftermath(
    request: pytest.FixtureRequest,
    saved_data: Path,
    run_processes: RunProcesses,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, tuple[list[int], dict, dict]]:
    """By fate: the exit codes of the first part of the run, its outcome in the end, and that of a run in peace."""
    root, fates = tmp_path_factory.mktemp("runs"), FATES[request.param]
    common = {"data": str(saved_data), "processes": request.param}
    runs = [common | {"settings": SETTINGS | {"output_dir": str(root / "peace")}}]
    for number, fate in enumerate(fates):
        settings = SETTINGS | DOOMED | {"output_dir": str(root / str(number))}
        runs += [common | {"settings": settings, "fate": fate}, common | {"settings": settings | {"resume": True}}]
    codes, said = run_processes(runs)
    assert codes[0] == [0] * request.param, said
    assert codes[2::2] == [[0] * request.param] * len(fates), said
    peace = outcome(root / "peace")
    return {fate: (codes[1 + 2 * i], outcome(root / str(i)), peace) for i, fate in enumerate(fates)}


@pytest.mark.slow
def test_weights_average_history_and_scores_are_the_same_to_the_bit(aftermath: dict) -> None:
    for fate, (codes, stopped, peace) in aftermath.items():
        assert len(peace) == 12
        assert [name for name in peace if stopped[name] != peace[name]] == [], fate
        expected = -signal.SIGKILL if fate.endswith("SIGKILL") else EXIT_INTERRUPTED
        assert set(codes) == {expected}, fate


@pytest.fixture(autouse=True)
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing them takes as long as all the rest."""
    monkeypatch.setattr("mlrsnet_hf.training.trainer.draw_curves", lambda *_: None)


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that lets a signal come in a certain step of the next runs; 0 is never."""
    original = Trainer.train_step

    def arrange(when: int, number: int = signal.SIGTERM) -> None:
        def stopped(self: Trainer, micro_batches: list) -> object:
            if self.progress.step + 1 == when:
                os.kill(os.getpid(), number)
            return original(self, micro_batches)

        monkeypatch.setattr(Trainer, "train_step", stopped)

    return arrange


@pytest.fixture
def stopped(
    make_config: MakeConfig, training_data: ImageData, stop_at: Callable[[int], None]
) -> Callable[..., TrainingConfig]:
    """Return a function that leaves a run stopped after step 6 of 8, and gives its settings to resume it."""

    def make(**changes: object) -> TrainingConfig:
        stop_at(6)
        with pytest.raises(InterruptedRunError, match=r"^SIGTERM came; .* holds all up to step 6\. .*--resume"):
            train(make_config(**changes), training_data)
        stop_at(0)
        return make_config(**changes, resume=True)

    return make


def checkpoints_of(config: TrainingConfig) -> list[str]:
    return sorted(path.name for path in (config.output_dir / "checkpoints").iterdir())


def test_a_stopped_run_holds_its_newest_checkpoints(stopped: Callable) -> None:
    config = stopped(checkpoint_steps=1, keep_checkpoints=3)
    assert checkpoints_of(config) == ["best-00000004", "step-00000004-evaluated", "step-00000005", "step-00000006"]


def test_the_programs_own_handlers_come_back(stopped: Callable) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    stopped()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1])
def test_other_signals_leave_a_checkpoint_as_well(
    make_config: MakeConfig, training_data: ImageData, stop_at: Callable[..., None], number: signal.Signals
) -> None:
    stop_at(3, number)
    with pytest.raises(InterruptedRunError, match=rf"^{number.name} came; .* holds all up to step 3\. .*--resume"):
        train(make_config(), training_data)
    assert checkpoints_of(make_config()) == ["step-00000003"]


def test_other_settings_are_refused_with_the_list(
    stopped: Callable, training_data: ImageData, make_config: MakeConfig
) -> None:
    stopped()
    other = make_config(resume=True, seed=3, learning_rate=0.5, log_every=7, checkpoint_steps=2)
    with pytest.raises(ConfigurationError, match=r"settings: learning_rate was 0\.001, is 0\.5; seed was 0, is 3\."):
        train(other, training_data)
    with pytest.raises(ConfigurationError, match=r"settings: learning_rate was 0\.001, is 0\.5; seed was 0, is 3\."):
        check_folder(other)  # before the data are loaded


def test_other_data_are_refused(stopped: Callable, data: dict[str, Dataset], as_training_data: Callable) -> None:
    config = stopped()
    with pytest.raises(ConfigurationError, match=r"fingerprint was 'a', is 'b'"):
        train(config, as_training_data(data, fingerprint="b"))


@pytest.mark.parametrize("file", ["model.safetensors", "optimiser.pt", "state.json"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    stopped: Callable, training_data: ImageData, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    config = stopped()
    newest = config.output_dir / "checkpoints" / "step-00000006" / file
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 255
    newest.write_bytes(content)
    result = train(config, training_data)
    said = capsys.readouterr().out
    assert "step-00000006 is damaged" in said
    assert (newest.parents[1] / "damaged-step-00000006" / file).read_bytes() == content
    assert "going on from" in said
    assert "step-00000004-evaluated, step 4" in said
    assert result.run.resumed
    assert [epoch.epoch for epoch in result.history] == [1, 2]


def test_a_full_disk_leaves_the_earlier_checkpoints(
    make_config: MakeConfig, training_data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    original = Trainer.train_step

    def fill(self: Trainer, micro_batches: list) -> object:
        if self.progress.step == 5:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        return original(self, micro_batches)

    monkeypatch.setattr(Trainer, "train_step", fill)
    config = make_config(checkpoint_steps=3)
    try:
        with pytest.raises(
            ConfigurationError, match=r"step-00000006 cannot be written \(File too large\)\. .* are whole: .*--resume"
        ):
            train(config, training_data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert checkpoints_of(config) == ["best-00000004", "step-00000003", "step-00000004-evaluated"]
    monkeypatch.undo()
    assert train(make_config(checkpoint_steps=3, resume=True), training_data).run.resumed


def test_nothing_to_resume_begins_anew(
    make_config: MakeConfig, training_data: ImageData, capsys: pytest.CaptureFixture[str]
) -> None:
    result = train(make_config(resume=True, epochs=1), training_data)
    assert "holds no checkpoint: the run begins anew" in capsys.readouterr().out
    assert not result.run.resumed


def test_a_finished_run_gives_its_results(
    make_config: MakeConfig, training_data: ImageData, capsys: pytest.CaptureFixture[str]
) -> None:
    result = train(make_config(epochs=1), training_data)
    again = train(make_config(epochs=1, resume=True, log_every=9), training_data)
    assert "has ended already" in capsys.readouterr().out
    assert again.scores == result.scores
    with pytest.raises(ConfigurationError, match=r"epochs was 1, is 2"):
        train(make_config(epochs=2, resume=True), training_data)
    weights = make_config().output_dir / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(
        ConfigurationError, match=r"holds the results of a run, but \S+model/model\.safetensors: cannot be read"
    ):
        train(make_config(epochs=1, resume=True), training_data)


def test_two_runs_do_not_share_a_folder(
    make_config: MakeConfig, training_data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlrsnet_hf.training.run_folder._PATIENCE", 0.0)
    config = make_config()
    with (
        only_writer(config.output_dir.absolute()),
        pytest.raises(ConfigurationError, match="run: another process"),
    ):
        train(config, training_data)
    assert not config.output_dir.exists()


def test_only_whole_checkpoints_have_a_name(stopped: Callable, training_data: ImageData) -> None:
    config = stopped()
    folder = config.output_dir / "checkpoints"
    # What a process leaves that was killed while it wrote.
    shutil.copytree(folder / "step-00000006", folder / ".step-00000007.partial")
    train(config, training_data)
    assert checkpoints_of(config)[2:] == ["step-00000006", "step-00000008-evaluated"]


def test_the_same_command_resumes_a_run_that_replaced_another(
    make_config: MakeConfig, stopped: Callable, training_data: ImageData
) -> None:
    train(make_config(epochs=1), training_data)
    config = stopped(overwrite=True)
    assert train(config, training_data).run.resumed


def test_another_precision_is_refused(stopped: Callable, training_data: ImageData, make_config: MakeConfig) -> None:
    stopped()
    # As a launcher sets it: the settings are the same.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
        AcceleratorState._reset_state()
        with pytest.raises(ConfigurationError, match=r"was no, is bf16.* --precision no"):
            train(make_config(resume=True), training_data)
    AcceleratorState._reset_state()


def test_other_parts_of_a_batch_go_on_with_a_word(
    stopped: Callable, training_data: ImageData, make_config: MakeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped()
    assert train(make_config(resume=True, accumulation=2), training_data).run.resumed
    assert "accumulation was 1, is 2: dropout, batch statistics" in capsys.readouterr().out


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "fault", [OSError(errno.ESTALE, "Stale file handle"), PermissionError(13, "Permission denied")]
)
def test_what_cannot_be_read_now_is_kept(
    stopped: Callable, training_data: ImageData, monkeypatch: pytest.MonkeyPatch, fault: OSError
) -> None:
    config = stopped()
    before = contents(config.output_dir)

    def fail(path: Path) -> str:
        raise fault

    monkeypatch.setattr("mlrsnet_hf.training.checkpoints.sha256_of", fail)
    with pytest.raises(ConfigurationError, match=r"step-00000006 cannot be read.*" + fault.strerror):
        train(config, training_data)
    assert contents(config.output_dir) == before


def test_a_run_without_a_checkpoint_is_not_begun_anew_in_silence(
    stopped: Callable, training_data: ImageData, make_config: MakeConfig
) -> None:
    config = stopped()
    for path in (config.output_dir / "checkpoints").glob("step-*"):
        (path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"run holds a run, but no checkpoint"):
        train(config, training_data)
    assert {name.split("-")[0] for name in checkpoints_of(config)} == {"best", "damaged"}
    assert not train(make_config(resume=True, overwrite=True), training_data).run.resumed


def test_a_checkpoint_counts_on_its_best_model(
    stopped: Callable, training_data: ImageData, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after a power cut, if the disk had not been waited for."""
    config = stopped()
    (config.output_dir / "checkpoints/best-00000004/model.safetensors").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="no checkpoint"):
        train(config, training_data)
    assert "best-00000004/model.safetensors is not as it was written" in capsys.readouterr().out


def test_a_model_that_no_checkpoint_counts_on_is_not_the_runs(
    stopped: Callable, training_data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that dies between the best model and its checkpoint may find that epoch worse when it goes on."""
    config = stopped(checkpoint_steps=1)
    best = config.output_dir / "checkpoints" / "best-00000004"
    shutil.copytree(best, best.with_name("best-00000008"))
    maps = iter([0.0])
    original = trainer.evaluate
    monkeypatch.setattr(trainer, "evaluate", lambda *arguments: original(*arguments) | {"map": next(maps)})
    result = train(config, training_data)
    assert result.scored_epoch == 1
    assert (config.output_dir / "model/model.safetensors").read_bytes() == (best / "model.safetensors").read_bytes()


def test_a_folder_that_another_run_filled_meanwhile_is_kept(
    make_config: MakeConfig, training_data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one ends while this one waits for the lock."""
    original = RunFolder.lock

    def late(self: RunFolder) -> object:
        monkeypatch.setattr(RunFolder, "lock", original)
        train(make_config(epochs=1, seed=9), training_data)
        return original(self)

    monkeypatch.setattr(RunFolder, "lock", late)
    with pytest.raises(ConfigurationError, match="--overwrite"):
        train(make_config(epochs=1), training_data)
    assert json.loads((make_config().output_dir / "results.json").read_text())["config"]["seed"] == 9


def test_a_signal_before_the_first_step_stops_at_once(
    make_config: MakeConfig, training_data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "Trainer", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(InterruptedRunError, match=r"^SIGTERM .*--resume"):
        train(make_config(), training_data)
    assert not make_config().output_dir.exists()


def test_a_compiled_run_goes_on(stopped: Callable, training_data: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    # What the compiler would make of the graph is torch's business, and takes minutes.
    original = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: original(self, backend="eager"))
    config = stopped(compile=True)
    assert train(config, training_data).run.resumed
    assert not [name for name in load_model(config.output_dir / "model").model.state_dict() if "_orig_mod" in name]


@pytest.mark.slow
def test_bf16_trains_on_the_cpu(
    make_config: MakeConfig, training_data: ImageData, capsys: pytest.CaptureFixture[str]
) -> None:
    AcceleratorState._reset_state()
    result = train(make_config(epochs=1, precision="bf16"), training_data)
    AcceleratorState._reset_state()
    assert result.run.precision == "bf16"
    assert "precision bf16 (bf16 with float32 weights)" in capsys.readouterr().out
    weights = load_model(result.config.output_dir / "model").model.state_dict().values()
    assert {weight.dtype for weight in weights if weight.is_floating_point()} == {torch.float32}


def test_a_folder_is_looked_at_before_the_data(make_config: MakeConfig, training_data: ImageData) -> None:
    check_folder(make_config())
    assert not make_config().output_dir.exists()
    train(make_config(epochs=1), training_data)
    before = contents(make_config().output_dir)
    with pytest.raises(ConfigurationError, match="--overwrite"):
        check_folder(make_config(epochs=1))
    with pytest.raises(ConfigurationError, match="epochs was 1, is 2"):
        check_folder(make_config(epochs=2, resume=True))
    check_folder(make_config(epochs=1, resume=True))
    check_folder(make_config(epochs=2, overwrite=True))
    (make_config().output_dir / "results.json").unlink()
    check_folder(make_config(epochs=1, resume=True))  # the checkpoint is looked through when the run begins
    with pytest.raises(ConfigurationError, match="epochs was 1, is 2"):
        check_folder(make_config(epochs=2, resume=True))
    shutil.rmtree(make_config().output_dir / "checkpoints")
    with pytest.raises(ConfigurationError, match="no checkpoint"):
        check_folder(make_config(epochs=2, resume=True))
    assert before.keys() > contents(make_config().output_dir).keys()
