"""`mlrsnet benchmark run`, `status`, `retry` and `plan`, in this process and as processes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from mlrsnet_hf.benchmark import folder as folders
from mlrsnet_hf.benchmark import plan as planning
from mlrsnet_hf.benchmark import run as running
from mlrsnet_hf.benchmark.config import EngineConfig, GridChoice
from mlrsnet_hf.benchmark.engines import local
from mlrsnet_hf.benchmark.folder import Benchmark
from mlrsnet_hf.benchmark.grid import read_grid
from mlrsnet_hf.benchmark.job import Job, State, state_of
from mlrsnet_hf.benchmark.plan import Disk, Plan, Sizes, make_plan, split_sizes
from mlrsnet_hf.benchmark.run import begin, retry, run_benchmark
from mlrsnet_hf.benchmark.run_job import run_chain
from mlrsnet_hf.benchmark.status import Status
from mlrsnet_hf.benchmark.step_times import StepTime, StepTimes, measure_step, untimed
from mlrsnet_hf.errors import EXIT_INTERRUPTED, ConfigurationError
from mlrsnet_hf.files import only_writer
from mlrsnet_hf.inputs.load import load_data
from mlrsnet_hf.training import recipes
from tests.benchmark.conftest import MakeBenchmark
from tests.benchmark.test_folder import folders_of

LOCAL = EngineConfig()


def choice(benchmark: Benchmark) -> GridChoice:
    return GridChoice(folder=benchmark.root)


def in_this_process(chain: list[Path], *_: object) -> int:
    """Do a chain where the local engine would begin a worker for it."""
    run_chain(chain)
    return 0


def mlrsnet(*words: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mlrsnet_hf", "benchmark", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_run_does_what_is_left_once(make_benchmark: MakeBenchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_work_off", in_this_process)
    benchmark = make_benchmark(protocols=["ratio20", "ratio30"])
    assert run_benchmark(choice(benchmark), LOCAL).counts["done"] == 2
    monkeypatch.setattr(local, "_work_off", None)  # nothing is begun
    assert run_benchmark(choice(benchmark), LOCAL).counts["done"] == 2
    assert not benchmark.decoded.exists()


def test_a_worker_that_dies_twice_has_failed_and_the_others_go_on(
    make_benchmark: MakeBenchmark, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    benchmark = make_benchmark(protocols=["ratio20", "ratio30"])
    begun = []

    def dying(chain: list[Path], *_: object) -> int:
        begun.append(chain[0])
        return -signal.SIGKILL if "ratio20" in chain[0].name else in_this_process(chain)

    monkeypatch.setattr(local, "_work_off", dying)
    status = run_benchmark(choice(benchmark), LOCAL)
    assert len(begun) == 3
    assert {folder.name.split("-")[2]: state for folder, state in status.states.items()} == {
        "ratio20": "failed",
        "ratio30": "done",
    }
    assert "SIGKILL" in capsys.readouterr().out


def test_what_a_dead_worker_leaves_behind_is_waited_for(
    make_benchmark: MakeBenchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The processes that read images for a worker hold its lock a little longer than it lives.
    benchmark = make_benchmark()
    (folder,) = benchmark.folders()
    attempt = folder / "attempts" / "1"
    attempt.mkdir(parents=True)
    codes = [-signal.SIGKILL, -signal.SIGKILL]

    def dying(*_: object) -> int:
        held = ExitStack()
        held.enter_context(only_writer(attempt))
        threading.Timer(1.0, held.close).start()
        return codes.pop()

    monkeypatch.setattr(local, "_work_off", dying)
    assert run_benchmark(choice(benchmark), LOCAL).counts["failed"] == 1 and not codes


def test_what_other_workers_do_is_left_to_them(make_benchmark: MakeBenchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = make_benchmark(protocols=["ratio20", "ratio30"])
    theirs, _ = benchmark.folders()
    attempt = theirs / "attempts" / "1"
    attempt.mkdir(parents=True)
    monkeypatch.setattr(local, "_work_off", in_this_process)
    with only_writer(attempt):
        assert run_benchmark(choice(benchmark), LOCAL).states[theirs] == "running"
    assert run_benchmark(choice(benchmark), LOCAL).counts["done"] == 2


@pytest.mark.slow
def test_workers_of_their_own_are_stopped_and_go_on(make_benchmark: MakeBenchmark) -> None:
    benchmark = make_benchmark(training={"epochs": 60, "checkpoint_minutes": 0, "checkpoint_steps": 0})
    (folder,) = benchmark.folders()
    process = mlrsnet("run", benchmark.root, "--no-report")
    while not list(folder.glob("attempts/1/*/history.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert process.returncode == EXIT_INTERRUPTED and "Traceback" not in errors
    assert state_of(folder) == "left"
    epochs = len(json.loads(next(folder.glob("attempts/1/*/history.json")).read_text()))
    assert epochs < 60
    process = mlrsnet("run", benchmark.root, "--no-report")
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert state_of(folder) == "done" and (folder / "log.txt").stat().st_size
    assert json.loads((folder / "result" / "results.json").read_text())["run"]["resumed"]


@pytest.mark.slow
def test_a_job_of_several_processes_is_begun_by_accelerate(make_benchmark: MakeBenchmark) -> None:
    benchmark = make_benchmark()
    (folder,) = benchmark.folders()
    process = mlrsnet("run", benchmark.root, "--processes", "2")  # of which a machine without GPUs begins one
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert state_of(folder) == "done" and f"{folder.name}: done" in (folder / "log.txt").read_text()


@pytest.mark.slow
def test_a_worker_ends_when_what_began_it_is_killed(make_benchmark: MakeBenchmark) -> None:
    benchmark = make_benchmark(training={"epochs": 100_000, "checkpoint_minutes": 0, "checkpoint_steps": 0})
    (folder,) = benchmark.folders()
    process = mlrsnet("run", benchmark.root, "--no-report")
    while state_of(folder) != "running" or not list(folder.glob("attempts/1/*/history.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 60
    while state_of(folder) == "running" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert state_of(folder) == "left"


def test_retry_takes_up_what_failed_as_another_job_where_a_setting_changes(
    make_benchmark: MakeBenchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_work_off", in_this_process)
    bad = {"name": "bad", "model": "test_resnet", "learning_rate": 1e30}
    benchmark = make_benchmark(networks=[bad, "test_resnet"], evaluations=[{"symmetries": 2, "draws": 3}])
    assert run_benchmark(choice(benchmark), LOCAL).counts == {
        **dict.fromkeys(["running", "left", "replaced"], 0),
        **{"done": 2, "failed": 1, "waiting": 1},
    }
    # As it was: it fails again.
    assert retry(benchmark.root, {}, LOCAL).counts["failed"] == 1
    status = retry(benchmark.root, {"learning_rate": 0.01}, LOCAL)
    assert (status.counts["replaced"], status.counts["done"], status.counts["failed"]) == (2, 4, 0)
    done = [job for folder, job in status.jobs.items() if job.network == "bad" and status.states[folder] == "done"]
    assert {job.kind for job in done} == {"train", "evaluate"}
    (train,) = (job for job in done if job.kind == "train")
    assert train.training_config().learning_rate == 0.01
    (old,) = [folder for folder, job in status.jobs.items() if (folder / "failure.json").exists()]
    assert json.loads((old / "replaced.json").read_text()) == {"by": train.name, "changes": {"learning_rate": 0.01}}
    # The grid, given again, does not begin the failed one anew.
    assert run_benchmark(choice(benchmark), LOCAL).counts == status.counts


def test_retry_with_a_setting_that_defines_nothing_is_the_same_job(
    make_benchmark: MakeBenchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_work_off", lambda *_: 1)
    benchmark = make_benchmark()
    (folder,) = benchmark.folders()
    run_benchmark(choice(benchmark), LOCAL)
    assert state_of(folder) == "failed"
    monkeypatch.setattr(local, "_work_off", in_this_process)
    assert retry(benchmark.root, {"eval_batch_size": 3}, LOCAL).counts["done"] == 1
    assert benchmark.folders() == [folder] and Job.read(folder).training_config().eval_batch_size == 3


def test_what_needs_two_models_that_failed_needs_both_that_take_their_place(
    make_benchmark: MakeBenchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "run_chains", lambda *_: None)
    retrieval = {"of_protocols": ["ratio20"], "compare": "scene"}
    benchmark = make_benchmark(tasks=["labels", "scene"], retrieval=retrieval)
    for folder, job in benchmark.jobs().items():
        if job.kind == "train":
            (folder / "failure.json").write_text('{"reason": "no luck"}')
    status = retry(benchmark.root, {"learning_rate": 0.01}, LOCAL)
    there = {folder: job for folder, job in status.jobs.items() if status.states[folder] != "replaced"}
    assert len(there) == 3 and {status.states[folder] for folder in there} == {"left"}
    (measured,) = (job for job in there.values() if job.kind == "retrieval")
    assert set(measured.needs) == {job.name for job in there.values() if job.kind == "train"}
    assert [Job.read(benchmark.jobs_folder / name).task for name in measured.needs] == ["labels", "scene"]


def test_a_benchmark_goes_on_with_other_code_where_it_is_wanted(
    make_benchmark: MakeBenchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_work_off", in_this_process)
    benchmark = make_benchmark()
    monkeypatch.setattr(folders, "code_fingerprint", lambda: "f" * 64)
    with pytest.raises(ConfigurationError, match="--other-code"):
        run_benchmark(choice(benchmark), LOCAL)
    assert run_benchmark(GridChoice(folder=benchmark.root, other_code=True), LOCAL).counts["done"] == 1


@pytest.mark.parametrize("command", ["run", "status", "retry", "plan"])
def test_a_folder_that_is_no_benchmark_is_one_sentence(tmp_path: Path, command: str) -> None:
    process = mlrsnet(command, tmp_path / "nothing")
    _, errors = process.communicate()
    assert process.returncode == 2
    assert "is no benchmark" in errors and len(errors.strip().splitlines()) == 1


def test_status_by_hand(tmp_path: Path) -> None:
    jobs = folders_of(tmp_path, "paper")
    states: dict[Path, State] = dict.fromkeys(jobs, "left")
    first, second, *_ = (folder for folder, job in jobs.items() if job.network == "ResNet50" and job.kind == "train")
    for folder, seconds in ((first, 100), (second, 200)):  # by ratio20 and by ratio30
        states[folder] = "done"
        (folder / "result").mkdir(parents=True)
        (folder / "result" / "provenance.json").write_text(json.dumps({"seconds": seconds}))
    status = Status(tmp_path, jobs, states)
    # Left: 118 trainings, 38 of them by ratio20 and so on. ResNet50: 4 by ratio20, 4 by ratio30, 5 by ratio40; other
    # networks: 35 each; retrieval is like nothing that is done.
    by_hand = 4 * 100 + 4 * 200 + 5 * 150 + 35 * 100 + 35 * 200 + 35 * 150
    assert status.seconds_to_go == pytest.approx(by_hand)
    assert status.counts["done"] == 2 and status.counts["left"] == 158
    assert "160 jobs" in status.text()


@pytest.mark.parametrize("content", ["", "[", "[]", "[" * 100_000, '{"seconds": "x", "reason": 3}', "\udc80"])
def test_damaged_files_beside_results_say_nothing(tmp_path: Path, content: str) -> None:
    jobs = folders_of(tmp_path, "demo")
    first, second, third, *_ = jobs
    for path in (first / "result/provenance.json", second / "failure.json", third / "attempts/1/x/history.json"):
        path = Path(str(path).replace("/x/", f"/{jobs[third].label}/"))
        path.parent.mkdir(parents=True)
        path.write_text(content, errors="surrogateescape")
    states: dict[Path, State] = dict.fromkeys(jobs, "left")
    status = Status(tmp_path, jobs, states | {first: "done", second: "failed", third: "running"})
    assert status.seconds_to_go is None and "failed: " in status.text()


def test_status_tells_the_epoch_under_way_and_none_beyond_the_last(tmp_path: Path) -> None:
    folder, job = next(iter(folders_of(tmp_path, "demo").items()))  # of 6 epochs
    history = folder / "attempts" / "1" / job.label / "history.json"
    history.parent.mkdir(parents=True)
    told = []
    for ended in (2, 6):
        history.write_text(json.dumps([{}] * ended))
        told.append(Status(tmp_path, {folder: job}, {folder: "running"}).text())
    assert ", epoch 3 of 6" in told[0] and ", epoch" not in told[1]


def test_sizes_are_those_that_training_finds(make_benchmark: MakeBenchmark) -> None:
    benchmark = make_benchmark(protocols=["ratio20", "ratio30", "ratio40"])
    jobs = benchmark.jobs()
    sizes = split_sizes(benchmark, jobs)
    for folder, job in jobs.items():
        splits = load_data(benchmark.data_config(job, benchmark.info())).splits
        found = Sizes(*(len(splits[name]) for name in ("train", "validation", "test")))
        assert sizes[folder] == found


def test_a_plan_by_hand(tmp_path: Path) -> None:
    jobs = {
        folder: job for folder, job in folders_of(tmp_path, "paper").items() if job.network in ("ResNet50", "VGGNet16")
    }
    sizes = dict.fromkeys(jobs, Sizes(train=1000, validation=100, test=2000))
    times = {
        "ResNet50 (paper)": StepTime(step=0.5, image=0.01, parameters=1_000_000, dimension=2048),
        "VGGNet16 (paper)": StepTime(step=1.0, image=0.02, parameters=2_000_000, dimension=4096),
    }
    plan = Plan(tmp_path, jobs, dict.fromkeys(jobs, "left"), StepTimes(device="a device", times=times), sizes)
    train = next(folder for folder, job in jobs.items() if job.network == "ResNet50" and job.kind == "train")
    # 10 epochs of 31 steps of 32 images; 11 looks at 100 images, two at 2,000.
    assert plan.seconds(train) == pytest.approx(310 * 0.5 + (1100 + 4000) * 0.01)
    retrieval = next(folder for folder, job in jobs.items() if job.network == "VGGNet16" and job.kind == "retrieval")
    assert plan.seconds(retrieval) == pytest.approx(2100 * 0.02)
    disk = plan.disk()
    # Three checkpoints of weights and two moments of Adam, two best models, of 2 million float32.
    assert disk.working == 8_000_000 * (3 * 3 + 2)
    assert disk.results > 15 * (4_000_000 + 8_000_000)  # the models of 15 trainings each
    assert disk.decoded == 15 * 1100 * 256 * 256 * 3  # three ratios, five seeds; shared by the two networks
    assert "a device" in plan.text()


def test_times_are_written_and_read_again(
    make_benchmark: MakeBenchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = make_benchmark()
    file = tmp_path / "times.json"
    first = make_plan(benchmark, file)
    (time_of,) = first.times.times.values()
    assert time_of.step > 0 and time_of.image > 0 and "cpu" in first.times.device
    monkeypatch.setattr(planning, "measure_step", None)  # nothing is measured again
    assert make_plan(benchmark, file).times == first.times
    other = make_benchmark(networks=["test_vit"])
    with pytest.raises(ConfigurationError, match="test_vit"):
        make_plan(other, file)


def test_a_network_has_the_size_that_it_is_timed_with() -> None:
    timed, _ = measure_step(recipes.debug_cpu())
    known = untimed(recipes.debug_cpu())
    assert (timed.parameters, timed.dimension) == (known.parameters, known.dimension)
    # 96 inputs of 60 outputs, the classifier of test_resnet
    assert known.dimension == 96


def test_a_disk_with_too_little_room_is_told_before_the_start(
    make_benchmark: MakeBenchmark, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(local, "_work_off", in_this_process)
    monkeypatch.setattr(running, "disk_of", lambda *_: Disk(results=2**60, working=0, decoded=0))
    run_benchmark(choice(make_benchmark()), LOCAL)
    told = capsys.readouterr().err
    assert "more than" in told and str(2**30) in told.replace(",", "")


def test_begin_wants_a_grid_or_a_benchmark(tmp_path: Path, copy: Path) -> None:
    with pytest.raises(ConfigurationError, match="--preset"):
        begin(GridChoice(folder=tmp_path / "new"))
    with pytest.raises(ConfigurationError, match="both given"):
        GridChoice(preset="paper", grid=Path("x.yaml"))
    assert read_grid("demo").name == "demo"
