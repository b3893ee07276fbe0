"""Ray and SLURM as engines: workers killed and preempted, every job done once, with the files of a run in peace."""

import errno
import os
import re
import signal
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mlrsnet_hf.benchmark.config import EngineConfig
from mlrsnet_hf.benchmark.engines import ray as ray_engine
from mlrsnet_hf.benchmark.engines import slurm as slurm_engine
from mlrsnet_hf.benchmark.engines import worker
from mlrsnet_hf.benchmark.engines.sbatch import minutes, submitit_parameters
from mlrsnet_hf.benchmark.engines.slurm import ChainTask
from mlrsnet_hf.benchmark.folder import BenchmarkInfo, Chain
from mlrsnet_hf.benchmark.job import FAILURE, JOB, state_of
from mlrsnet_hf.errors import ConfigurationError, InterruptedRunError
from mlrsnet_hf.parallel import ProcessDiedError
from tests.benchmarks.kills import Strikes, begin, differences, run_by_submitit, run_in_peace, run_on_ray

pytest.importorskip("ray")
pytest.importorskip("submitit")
strikes_workers = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="workers are found by /proc")

NETWORKS = 2


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers begin with the checkout, and one thread each."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


@pytest.fixture(scope="module")
def peace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark that was run in peace."""
    root = tmp_path_factory.mktemp("peace")
    run_in_peace(begin(root, NETWORKS))
    return root


@strikes_workers
@pytest.mark.slow
def test_ray_with_workers_and_a_node_killed(peace: Path, tmp_path: Path) -> None:
    root = tmp_path / "ray"
    strikes = run_on_ray(root, begin(root, NETWORKS, peace / "scenes"), kills=3, nodes=1, in_training=True)
    assert strikes.struck.total() == 4 and strikes.struck["a node"] == 1
    assert differences(peace, root) == []


@strikes_workers
@pytest.mark.slow
def test_submitit_with_a_preempted_task(peace: Path, tmp_path: Path) -> None:
    root = tmp_path / "submitit"
    chains = begin(root, NETWORKS, peace / "scenes")
    strikes = run_by_submitit(root, chains, preemptions=1, in_training=True)
    assert strikes.struck.total() == 1
    assert differences(peace, root) == []
    [table] = (root / "slurm").glob("*.tsv")
    rows = [line.split("\t") for line in table.read_text().splitlines()]
    assert [row[1].split() for row in rows] == [[folder.name for folder in chain] for chain in chains]
    assert all((root / "slurm" / f"{row[0]}_0_log.out").is_file() for row in rows)
    [log] = strikes.struck
    assert "Requeued job" in (root / "slurm" / log).read_text()


@strikes_workers
@pytest.mark.slow
def test_what_kills_its_workers_fails_and_stops_no_other(peace: Path, tmp_path: Path) -> None:
    root = tmp_path / "ray"
    (first, *measured), second = begin(root, NETWORKS, peace / "scenes")
    (second[0] / JOB).write_text("{}")
    watched: list[int] = []
    options = ("max_retries=0", "num_cpus=1")
    with Strikes(root, 1, signal.SIGKILL, in_training=True), pytest.raises(ConfigurationError, match=JOB):
        # A Ray of the process's own, which ends with it.
        ray_engine.run_chains(
            [second, [first, *measured]], EngineConfig(engine="ray", option=options), lambda: watched.append(1)
        )
    assert state_of(first) == "failed" and "WorkerDied" in (first / FAILURE).read_text()
    assert [state_of(folder) for folder in measured] == ["left"] * len(measured)
    assert watched and (first / worker.LOG).stat().st_size
    import ray

    assert not ray.is_initialized()


def test_options_that_ray_refuses(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Ray"):
        ray_engine.run_chains([[tmp_path]], EngineConfig(engine="ray", option=("nodes=3",)), lambda: None)


@pytest.mark.parametrize(
    ("room", "processes", "share"),
    [
        ({"CPU": 8.0}, 1, {"num_cpus": 1}),
        ({"CPU": 64.0, "GPU": 4.0}, 1, {"num_gpus": 1, "num_cpus": 16}),
        ({"CPU": 64.0, "GPU": 4.0}, 2, {"num_gpus": 2, "num_cpus": 32}),
        ({"CPU": 2.0, "GPU": 4.0}, 1, {"num_gpus": 1, "num_cpus": 1}),
    ],
)
def test_what_a_chain_has_of_a_cluster(room: dict[str, float], processes: int, share: dict[str, float]) -> None:
    assert ray_engine._share(room, processes) == share


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:1", "[::1]:1"])
def test_an_address_without_a_ray(address: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"address={address} ")):
        ray_engine.run_chains([[tmp_path]], EngineConfig(engine="ray", option=(f"address={address}",)), lambda: None)


@pytest.mark.parametrize("option", ["partition", "=gpu", ""])
def test_options_have_names(option: str) -> None:
    with pytest.raises(ConfigurationError, match="option"):
        EngineConfig(engine="slurm", option=(option,))


def test_the_local_engine_takes_no_options() -> None:
    with pytest.raises(ConfigurationError, match="option"):
        EngineConfig(option=("partition=gpu",))
    assert EngineConfig(engine="slurm", option=("a=b=c", "d=")).options == {"a": "b=c", "d": ""}


# ------------------------------------------------------------------------------------------------------------- SLURM


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put programs with the names of SLURM's on the path; sbatch keeps the script that it is given."""
    programs = tmp_path / "bin"
    programs.mkdir()

    def make(queue: str = "", sbatch: str = "echo Submitted batch job 77") -> Path:
        script = tmp_path / "submitted.sh"
        texts = {"srun": "", "squeue": f'echo "$@" >> {tmp_path}/asked; printf "{queue}"'}
        texts |= {"sbatch": f"cat $1 >> {script}; {sbatch}"}
        for name, text in texts.items():
            (programs / name).write_text(f"#!/bin/sh\n{text}\n")
            (programs / name).chmod(stat.S_IRWXU)
        monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
        return script

    return make


def submit(chains: list[Chain], *options: str, processes: int = 1) -> None:
    config = EngineConfig(engine="slurm", option=options, processes=processes)
    slurm_engine.run_chains(chains, config, lambda: None)


def flags(script: Path) -> dict[str, str]:
    lines = [line for line in script.read_text().splitlines() if line.startswith("#SBATCH")]
    return {name: value for name, _, value in (line.removeprefix("#SBATCH --").partition("=") for line in lines)}


@pytest.fixture
def chains(tmp_path: Path) -> list[Chain]:
    """Chains of a benchmark whose jobs nobody does."""
    root = tmp_path / "benchmark"
    root.mkdir()
    (root / "benchmark.yaml").write_text(f"format: {BenchmarkInfo().format}\n")
    return [[root / "jobs" / name] for name in ("a", "b", "c")]


def test_an_array_and_its_list(
    slurm: Callable[..., Path], chains: list[Chain], capsys: pytest.CaptureFixture[str]
) -> None:
    script = slurm()
    submit(chains, "partition=gpu", "time=1-00:30:00", "mem=32G", "array-parallelism=2", "exclusive=true")
    root = chains[0][0].parents[1]
    found = flags(script)
    expected = {"array": "0-2%2", "partition": "gpu", "time": "1470", "mem": "32G", "exclusive": "", "requeue": ""}
    expected |= {"signal": "USR1@120", "cpus-per-task": "8", "gpus-per-node": "1", "open-mode": "append"}
    assert found.items() >= expected.items()
    assert found["output"] == f"{root}/slurm/%A_%a_0_log.out"
    assert (root / "slurm" / "77.tsv").read_text() == "77_0\ta\n77_1\tb\n77_2\tc\n"
    assert all((root / "slurm" / f"77_{number}_submitted.pkl").is_file() for number in range(3))
    assert found["job-name"] in (script.parent / "asked").read_text()
    told = capsys.readouterr().out
    assert "77" in told and str(root / "slurm") in told


def test_what_slurm_has_in_its_queue_is_not_submitted_again(slurm: Callable[..., Path], chains: list[Chain]) -> None:
    script = slurm(queue="77\\n77\\n78\\n")
    with pytest.raises(ConfigurationError, match="77, 78"):
        submit(chains)
    assert not script.exists()


def test_large_grids_are_several_arrays(
    slurm: Callable[..., Path], chains: list[Chain], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm_engine, "LARGEST_ARRAY", 2)
    script = slurm()
    submit(chains, "setup=module load cuda")
    text = script.read_text()
    assert "--array=0-1%2" in text and text.count("#SBATCH --time=240") == 2  # the last one is a job of its own
    lines = text.splitlines()
    assert lines.index("module load cuda") < lines.index("export SUBMITIT_PREEMPT_SIGNAL=USR1")


def test_what_sbatch_says_is_told(slurm: Callable[..., Path], chains: list[Chain]) -> None:
    slurm(sbatch="echo invalid partition specified: x >&2; exit 1")
    with pytest.raises(ConfigurationError, match="invalid partition specified: x"):
        submit(chains, "partition=x")


def test_without_slurm(chains: list[Chain], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="srun"):
        submit(chains)


@pytest.mark.parametrize(
    ("options", "present", "absent"),
    [
        ({}, {"gpus_per_node": "4", "cpus_per_task": "8", "requeue": True}, set()),
        ({"gres": "gpu:a100:2"}, {"gres": "gpu:a100:2"}, {"gpus_per_node"}),
        ({"gpus": "0"}, {}, {"gpus", "gpus_per_node"}),
        ({"cpus-per-gpu": "6", "gpus-per-task": "1"}, {"cpus_per_gpu": "6", "gpus_per_task": "1"}, {"cpus_per_task"}),
        ({"requeue": "false"}, {}, {"requeue"}),
    ],
)
def test_flags_of_sbatch(options: dict[str, str], present: dict[str, object], absent: set[str]) -> None:
    found = submitit_parameters(options, processes=4)["additional_parameters"]
    assert found.items() >= present.items() and not absent & found.keys()


@pytest.mark.parametrize("text", ["", "x", "1:2:3:4", "-", "1-", "1:", "1-2-3", "-5"])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(ConfigurationError, match="time"):
        minutes(text)


@pytest.mark.parametrize("options", [{"signal_delay_s": "soon"}, {"array_parallelism": "-1"}])
def test_numbers_that_are_none(options: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        submitit_parameters(options)


class RequeuedError(Exception):
    """What submitit's handler does."""


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for submitit's handler of SIGUSR1, and for a chain that a signal has stopped."""

    def requeue(number: int, _: object) -> None:
        raise RequeuedError

    before = signal.signal(signal.SIGUSR1, requeue)
    monkeypatch.setattr("submitit.JobEnvironment._usr_sig", lambda: signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, before)


def stopped_by(number: signal.Signals) -> Callable[[Chain, int], None]:
    def do_chain(chain: Chain, processes: int) -> None:
        raise InterruptedRunError("asked to stop", "Go on.", number)

    return do_chain


@pytest.mark.usefixtures("handler")
def test_a_task_goes_back_into_the_queue_after_its_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "do_chain", stopped_by(signal.SIGUSR1))
    with pytest.raises(RequeuedError):
        ChainTask()([Path("a")], 1)
    assert ChainTask().checkpoint([Path("a")], 2).args == ([Path("a")], 2)


@pytest.mark.usefixtures("handler")
def test_a_task_waits_after_sigterm_for_what_slurm_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "do_chain", stopped_by(signal.SIGTERM))
    waited = threading.Event()

    def decide() -> None:
        waited.set()
        os.kill(os.getpid(), signal.SIGUSR1)

    threading.Timer(0.5, decide).start()
    with pytest.raises(RequeuedError):
        ChainTask()([Path("a")], 1)
    assert waited.is_set()


# ------------------------------------------------------------------------------------------------------------ workers


def test_a_full_disk_is_no_failure_of_a_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run_chain(chain: Chain) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "weights")

    monkeypatch.setattr("mlrsnet_hf.benchmark.run_job.run_chain", run_chain)
    with pytest.raises(ConfigurationError, match="weights: No space left"):
        worker.do_chain([tmp_path], 1)


def launched(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let Python code stand in for accelerate launch."""
    monkeypatch.setattr(worker, "launch_command", lambda chain, processes: [sys.executable, "-c", code])
    monkeypatch.setattr(worker, "_POLL", 0.05)


@pytest.mark.parametrize(
    ("code", "error"),
    [(2, ConfigurationError), (75, InterruptedRunError), (1, ProcessDiedError), (0, None)],
)
def test_how_several_processes_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, error: type[Exception] | None
) -> None:
    launched(monkeypatch, f"raise SystemExit({code})")
    if error is None:
        worker.do_chain([tmp_path], 2)
        return
    with pytest.raises(error):
        worker.do_chain([tmp_path], 2)


def test_a_signal_reaches_several_processes_and_waits_for_their_checkpoint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The launcher dies of the signal at once; its children hold the job a while.
    states = iter(["running", "running", "left"])
    asked: list[str] = []

    def state(folder: Path) -> str:
        asked.append(next(states))
        return asked[-1]

    monkeypatch.setattr(worker, "state_of", state)
    launched(monkeypatch, "import os, signal; os.kill(os.getppid(), signal.SIGUSR1); signal.pause()")
    with pytest.raises(InterruptedRunError) as stopped:
        worker.do_chain([tmp_path], 2)
    assert stopped.value.signal == signal.SIGUSR1
    assert asked == ["running", "running", "left"]
