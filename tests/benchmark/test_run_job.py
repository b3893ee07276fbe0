"""A job is done once and whole, however often and by however many it is called, stopped or killed."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from mlrsnet_hf.benchmark import folder as folders
from mlrsnet_hf.benchmark import run_job as running
from mlrsnet_hf.benchmark.folder import Benchmark
from mlrsnet_hf.benchmark.grid import PRESETS, make_grid
from mlrsnet_hf.benchmark.job import Job, state_of
from mlrsnet_hf.benchmark.run_job import run_chain, run_job
from mlrsnet_hf.errors import EXIT_INTERRUPTED, ConfigurationError
from mlrsnet_hf.files import only_writer
from mlrsnet_hf.prediction.predictions_file import read_predictions
from mlrsnet_hf.training.results import TrainingResult
from tests.benchmark.conftest import MakeBenchmark

WORKER = """
import os, signal, sys
from pathlib import Path
from mlrsnet_hf.benchmark import run_job as running
from mlrsnet_hf.runtime.logs import exit_on_error
from mlrsnet_hf.training.trainer import Trainer

signal_name, number = sys.argv[2], int(sys.argv[3])
original, calls = Trainer.train_step, 0

def struck(self, batches):
    global calls
    calls += 1
    if calls == number:
        os.kill(os.getpid(), getattr(signal, signal_name))
    return original(self, batches)

Trainer.train_step = struck
running.LINGER = 0
with exit_on_error("benchmark"):
    running.run_chain([Path(sys.argv[1])])
"""


def worker(folder: Path, signal_name: str = "SIGKILL", step: int = 0) -> subprocess.Popen[bytes]:
    """Start a process that does a job, and gets a signal before its n-th step; none for 0."""
    command = [sys.executable, "-c", WORKER, str(folder), signal_name, str(step)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def outcome(folder: Path) -> dict[str, Any]:
    """Return all of a result that must not depend on how often its job was stopped."""
    result = folder / "result"
    results = json.loads((result / "results.json").read_text())
    assert results.pop("run")
    files = ["model/model.safetensors", "model/config.json", "history.json", "settings.yaml"]
    evaluation = json.loads((result / "evaluation" / "evaluation.json").read_text())
    predictions = read_predictions(result / "evaluation" / "predictions.parquet")
    scores = predictions.predictions.scores.tobytes()
    return {name: (result / name).read_bytes() for name in files} | {"r": results, "e": evaluation, "p": scores}


def only_job(benchmark: Benchmark) -> Path:
    (folder,) = benchmark.folders()
    return folder


def test_a_job_is_done_once_and_its_result_is_a_run(make_benchmark: MakeBenchmark) -> None:
    benchmark = make_benchmark()
    folder = only_job(benchmark)
    assert run_chain([folder]) == ["done"]
    result = folder / "result"
    assert {path.name for path in folder.iterdir()} == {"job.json", "result"}
    assert not (result / "checkpoints").exists()
    trained = TrainingResult.load(result / "results.json")
    assert trained.recipe == "debug_cpu" and trained.config.output_dir == Path("result")
    saved = read_predictions(result / "evaluation" / "predictions.parquet")
    assert saved.info.model.name == Job.read(folder).label
    assert len(saved.ids) == trained.data.images["test"]
    evaluation = json.loads((result / "evaluation" / "evaluation.json").read_text())
    assert evaluation["scores"]["map"] == pytest.approx(trained.reported["map"])
    provenance = json.loads((result / "provenance.json").read_text())
    assert provenance["code"] == benchmark.info().code and provenance["seconds"] > 0

    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert run_job(folder) == "done"
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_measurements_follow_their_model(make_benchmark: MakeBenchmark) -> None:
    benchmark = make_benchmark(
        protocols=["ratio40"],
        evaluations=[{"symmetries": 2, "draws": 3}],
        retrieval={"protocols": ["retrieval10", "retrieval15"]},
    )
    jobs = benchmark.jobs()
    (chain,) = benchmark.chains(jobs, benchmark.states(jobs))
    train, *others = chain
    assert [jobs[folder].kind for folder in chain] == ["train", "evaluate", "retrieval"]
    assert [run_job(folder) for folder in others] == ["waiting", "waiting"]
    assert run_chain(chain) == ["done"] * 3
    evaluation = json.loads((others[0] / "result" / "evaluation.json").read_text())
    assert evaluation["info"]["symmetries"] == 2 and evaluation["info"]["model"]["name"] == jobs[train].label
    retrieval = json.loads((others[1] / "result" / "results.json").read_text())
    assert list(retrieval["protocols"]) == ["retrieval10", "retrieval15"]
    assert not list(benchmark.root.rglob("embeddings.json"))
    assert benchmark.chains(jobs, benchmark.states(jobs)) == []


@pytest.mark.slow
def test_a_killed_job_ends_as_one_that_never_was(make_benchmark: MakeBenchmark) -> None:
    undisturbed, killed = (only_job(make_benchmark(name, {"epochs": 3})) for name in ("first", "second"))
    assert run_job(undisturbed) == "done"
    # 3 epochs of one step each; a checkpoint after each of them
    for signal_name, step, code in (("SIGKILL", 2, -signal.SIGKILL), ("SIGTERM", 1, EXIT_INTERRUPTED)):
        process = worker(killed, signal_name, step)
        output = process.communicate()[0].decode()
        assert process.returncode == code, output
        assert state_of(killed) == "left" and list((killed / "attempts" / "1").rglob("step-*"))
    assert run_job(killed) == "done"
    assert json.loads((killed / "result" / "results.json").read_text())["run"]["resumed"]
    assert outcome(killed) == outcome(undisturbed)


@pytest.mark.slow
def test_two_workers_on_one_job_give_one_result(make_benchmark: MakeBenchmark) -> None:
    alone, shared = (only_job(make_benchmark(name)) for name in ("first", "second"))
    run_job(alone)
    workers = [worker(shared), worker(shared)]
    outputs = [process.communicate()[0].decode() for process in workers]
    assert [process.returncode for process in workers] == [0, 0], outputs
    assert {path.name for path in shared.iterdir()} == {"job.json", "result"}
    assert outcome(shared) == outcome(alone)


@pytest.mark.slow
def test_several_processes_do_a_chain_together(make_benchmark: MakeBenchmark) -> None:
    benchmark = make_benchmark(evaluations=[{"symmetries": 2, "draws": 3}])
    jobs = benchmark.jobs()
    (chain,) = benchmark.chains(jobs, benchmark.states(jobs))
    # `accelerate launch` begins a single process without GPUs.
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launch, "-m", "mlrsnet_hf", "benchmark", "job", *map(str, chain)]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert set(benchmark.states(jobs).values()) == {"done"}
    trained = json.loads((chain[0] / "result" / "results.json").read_text())
    assert trained["run"]["processes"] == 2


def test_a_second_worker_makes_an_attempt_of_its_own_and_the_first_whole_one_counts(
    make_benchmark: MakeBenchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = only_job(make_benchmark())
    monkeypatch.setattr(running, "LINGER", 0.1)
    living = folder / "attempts" / "1"
    living.mkdir(parents=True)
    with only_writer(living):
        assert state_of(folder) == "running"
        assert run_job(folder) == "done"
        assert living.is_dir() and not (folder / "attempts" / "2").exists()
        first = outcome(folder)
        late = living / "output"
        shutil.copytree(folder / "result", late)
        (late / "history.json").write_text("[]")
        running._publish(folder, living, late, time.time())
    assert outcome(folder) == first and not living.exists()


def test_what_fails_is_written_down_and_stops_nothing_else(make_benchmark: MakeBenchmark) -> None:
    networks = [{"name": "bad", "model": "test_resnet", "learning_rate": 1e30}, "test_resnet"]
    benchmark = make_benchmark(networks=networks, evaluations=[{"symmetries": 2}])
    jobs = benchmark.jobs()
    for chain in benchmark.chains(jobs, benchmark.states(jobs)):
        run_chain(chain)
    states = {jobs[folder].network + "/" + jobs[folder].kind: s for folder, s in benchmark.states(jobs).items()}
    assert states == {
        "bad/train": "failed",
        "bad/evaluate": "waiting",
        "test_resnet/train": "done",
        "test_resnet/evaluate": "done",
    }
    (failed,) = [folder for folder, state in benchmark.states(jobs).items() if state == "failed"]
    failure = json.loads((failed / "failure.json").read_text())
    assert failure["error"] == "DivergedError" and failure["reason"] and failure["versions"]["torch"]
    assert run_job(failed) == "failed"  # by retry alone


def disk_is_full(*_: object, **__: object) -> None:
    try:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "model.safetensors")
    except OSError as error:
        raise ConfigurationError("checkpoint cannot be written", "Free space.") from error


def test_a_full_disk_is_no_failure_of_the_job(make_benchmark: MakeBenchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = only_job(make_benchmark())
    with monkeypatch.context() as patch:
        patch.setattr(running, "train", disk_is_full)
        with pytest.raises(ConfigurationError, match="cannot be written"):
            run_job(folder)
    assert state_of(folder) == "left"
    assert run_job(folder) == "done"


def test_an_error_that_nobody_foresaw_is_written_down(
    make_benchmark: MakeBenchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by nought")

    folder = only_job(make_benchmark())
    monkeypatch.setattr(running, "train", broken)
    assert run_job(folder) == "failed"
    failure = json.loads((folder / "failure.json").read_text())
    assert failure["reason"] == "by nought" and "ZeroDivisionError" in failure["traceback"]


def test_what_one_of_several_processes_meets_ends_it(
    make_benchmark: MakeBenchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by nought")

    asked = []

    def on_main(act: Callable[[], object]) -> object:  # as long as all processes call it
        asked.append(act)
        assert len(asked) == 1
        return act()

    folder = only_job(make_benchmark())
    monkeypatch.setattr(running, "train", broken)
    monkeypatch.setattr(running, "_processes", lambda: SimpleNamespace(processes=2, run_on_main=on_main))
    with pytest.raises(ZeroDivisionError):
        run_job(folder)
    assert state_of(folder) == "failed"


def test_a_job_is_held_while_its_images_are_looked_at(
    make_benchmark: MakeBenchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = only_job(make_benchmark())

    def look(*_: object) -> None:
        assert state_of(folder) == "running"
        raise ConfigurationError("other images", "Bring the same.")

    monkeypatch.setattr(Benchmark, "data_config", look)
    with pytest.raises(ConfigurationError, match="other images"):
        run_job(folder)
    assert {path.name for path in folder.iterdir()} == {"job.json"}


def test_an_attempt_begins_though_another_worker_clears_up(
    make_benchmark: MakeBenchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = only_job(make_benchmark())
    original, calls = running.only_writer, []

    def too_late(target: Path, patience: float = 0) -> AbstractContextManager[None]:
        if not calls:
            target.parent.rmdir()
        calls.append(target)
        return original(target, patience)

    monkeypatch.setattr(running, "only_writer", too_late)
    assert run_job(folder) == "done" and len(calls) == 2
    assert {path.name for path in folder.iterdir()} == {"job.json", "result"}


def test_other_code_and_other_data_are_refused(
    make_benchmark: MakeBenchmark, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = only_job(make_benchmark())
    with monkeypatch.context() as patch:
        patch.setattr(folders, "code_fingerprint", lambda: "f" * 64)
        with pytest.raises(ConfigurationError, match="--other-code"):
            run_job(folder)
    image = next((copy / "Images" / "beach").iterdir())
    image.write_bytes((copy / "Images" / "forest" / "forest_00001.jpg").read_bytes())
    folders.fingerprint_of.cache_clear()
    with pytest.raises(ConfigurationError, match="others here"):
        run_job(folder)
    assert {path.name for path in folder.iterdir()} == {"job.json"}


def test_a_copy_that_lies_elsewhere_is_found_by_the_environment(
    make_benchmark: MakeBenchmark, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = only_job(make_benchmark())
    copy.rename(tmp_path / "elsewhere")
    monkeypatch.setenv("MLRSNET_DATA_DIR", str(tmp_path / "elsewhere"))
    folders.fingerprint_of.cache_clear()
    assert run_job(folder) == "done"


@pytest.mark.parametrize("place", ["nowhere", "jobs/nothing"])
def test_a_folder_that_is_no_job_is_refused(make_benchmark: MakeBenchmark, place: str) -> None:
    with pytest.raises(ConfigurationError, match=r"job\.json"):
        run_job(make_benchmark().root / place)


@pytest.mark.slow
def test_the_papers_first_job_at_tiny_size_on_real_images(shared: Path, tmp_path: Path) -> None:
    copy = shared / "data" / "ucm_release"
    if not copy.is_dir():
        pytest.skip("needs ../shared/data/ucm_release")
    values = yaml.safe_load((PRESETS / "paper.yaml").read_text())
    tiny = {"weights": "random", "image_size": 80, "epochs": 1, "cpu_threads": 1}
    benchmark = Benchmark(tmp_path / "paper")
    benchmark.begin(make_grid("paper", values | {"training": tiny}), str(copy))
    jobs = benchmark.jobs()
    assert len(jobs) == 160
    first = benchmark.chains(jobs, benchmark.states(jobs))[0]
    assert run_chain(first) == ["done"]
    trained = TrainingResult.load(first[0] / "result" / "results.json")
    assert trained.model.architecture == "inception_v3" and trained.config.learning_rate == 0.01
    assert trained.data.images == {"train": 243, "validation": 121, "test": 850}  # of 1,214
