"""One job, done once: whoever calls `run_job`, how often and in how many processes, there is one result, whole."""

import contextlib
import dataclasses
import errno
import json
import os
import platform
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.state import AcceleratorState

from mlrsnet_hf.benchmark.folder import Benchmark, code_fingerprint, remove_if_empty
from mlrsnet_hf.benchmark.job import (
    ATTEMPTS,
    EVALUATION,
    FAILURE,
    LINGER,
    PROVENANCE,
    RESULT,
    Job,
    State,
    attempts_of,
    state_of,
)
from mlrsnet_hf.configuration.yaml_file import write_settings
from mlrsnet_hf.errors import ConfigurationError, DivergedError, InterruptedRunError, MLRSNetError, OutOfMemoryError
from mlrsnet_hf.files import HeldError, kept_if_stopped, only_writer, sync, whole_file
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.prediction.config import EvaluationConfig
from mlrsnet_hf.reports.evaluation.report import write_evaluation
from mlrsnet_hf.reports.retrieval.report import write_retrieval
from mlrsnet_hf.runtime.collectives import Collectives
from mlrsnet_hf.runtime.logs import get_logger, is_main_process
from mlrsnet_hf.training.results import RESULTS, TrainingResult, library_versions
from mlrsnet_hf.training.run import train
from mlrsnet_hf.training.run_folder import RunFolder

_OF_GROUP = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Variables by which a process knows that it is one of several."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

logger = get_logger(__name__)


def run_chain(folders: Sequence[Path]) -> list[State]:
    """Do jobs one after the other, models first, then what is measured of them; what an engine hands to a worker.

    Of several processes all train the first, and the main one goes on alone.

    Returns:
        How far each is then; on other processes than the main one that of the first alone.

    Raises:
        MLRSNetError: See `run_job`.
    """
    states = []
    for folder in folders:
        states.append(run_job(folder))
        if not is_main_process():
            break
    return states


def run_job(folder: Path) -> State:
    """Do a job, unless it is done, has failed, was replaced, or waits for a model that is not there.

    Goes on with what a dead worker has left, from its checkpoints, or begins an attempt of its own beside those of the
    living. The first whole attempt gives the result by a rename, and another is discarded. A failure is written down,
    and raises nothing. All processes of an `accelerate launch` call it.

    Args:
        folder: Of the job, in the `jobs` of a benchmark.

    Returns:
        `done`, `failed`, `replaced`, or `waiting`.

    Raises:
        MLRSNetError: This machine has other code or other data than the benchmark, or its disk is full: that is no
            failure of the job, and nothing is written down.
        InterruptedRunError: A signal asked to stop; a later call goes on.
    """
    folder = folder.absolute()
    job, benchmark = Job.read(folder), Benchmark.of_job(folder)
    with ExitStack() as stack:
        processes = _processes()

        def claim() -> tuple[State, Path | None, DataConfig | None]:
            state = _state_to_begin(folder, job, benchmark)
            if state != "left":
                return state, None, None
            info = benchmark.info()
            benchmark.require_same_code(info)
            stack.callback(remove_if_empty, folder / ATTEMPTS)  # attempts of other workers stay
            attempt = stack.enter_context(_attempt(folder))
            stack.callback(remove_if_empty, attempt)
            state = _state_to_begin(folder, job, benchmark)
            if state != "left":
                return state, attempt, None
            # Only now, as it may take a minute, in which another worker would take the job for one that nobody does.
            data = benchmark.data_config(job, info)
            stack.enter_context(kept_if_stopped(lambda: f"What is done is kept in {attempt}; run again to go on."))
            return state, attempt, data

        state, attempt, data = processes.run_on_main(claim)
        if state != "left" or attempt is None or data is None:
            if attempt is not None:
                _discard(attempt)
            return state
        logger.info("job %s, attempt %s", job.name, attempt.name)
        begun = time.time()
        try:
            output = _DO[job.kind](job, data, attempt, benchmark)
        except InterruptedRunError:
            raise
        except Exception as error:
            if _is_of_the_machine(error):
                raise
            alone = isinstance(error, OutOfMemoryError) or not isinstance(error, MLRSNetError)
            if processes.processes > 1 and alone:
                # The others may know nothing of it, and wait until they are ended.
                _write_failure(folder, attempt, error)
                raise
            if _goes_on_alone():
                _write_failure(folder, attempt, error)
            return "failed"
        if _goes_on_alone():
            _publish(folder, attempt, output, begun)
    return "done"


def _state_to_begin(folder: Path, job: Job, benchmark: Benchmark) -> State:
    """Return `left` for a job that can be begun, whether or not another worker is at it."""
    state = state_of(folder)
    if state not in ("left", "running"):
        return state
    needed = [state_of(benchmark.jobs_folder / name) for name in job.needs]
    return "left" if all(one == "done" for one in needed) else "waiting"


@contextlib.contextmanager
def _attempt(folder: Path) -> Iterator[Path]:
    """Yield the attempt that this worker makes, held while it lives: one that a dead worker left, or a new one."""
    with ExitStack() as stack:
        for left in attempts_of(folder):
            if _hold(stack, left, LINGER) and left.is_dir():  # else its worker has ended meanwhile
                yield left
                return
        number = 0
        while True:
            number = max((number, *(int(path.name) for path in attempts_of(folder)))) + 1
            fresh = folder / ATTEMPTS / str(number)
            fresh.parent.mkdir(exist_ok=True)
            if _hold(stack, fresh):
                break
        fresh.mkdir(exist_ok=True)
        yield fresh


def _hold(stack: ExitStack, attempt: Path, patience: float = 0) -> bool:
    """Hold an attempt until the stack ends; False where another worker has it, or removed the folder of attempts."""
    try:
        stack.enter_context(only_writer(attempt, patience))
    except HeldError:
        return False
    except ConfigurationError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return False
        raise
    return True


def _train(job: Job, data: DataConfig, attempt: Path, benchmark: Benchmark) -> Path:
    """Train, then measure the model on its test split as `mlrsnet evaluate` does; return the folder of both."""
    output = attempt / job.label
    places = {"output_dir": output, "overwrite": True, "resume": True, "cache_dir": benchmark.decoded}
    config = job.training_config(**places)
    result = train(config, data, job.recipe)
    if _goes_on_alone() and not (output / EVALUATION).is_dir():
        split = result.scored_split
        measure = EvaluationConfig(
            split=split,
            page=False,
            batch_size=config.eval_batch_size,
            num_workers=config.num_workers,
            precision=config.precision,
            output_dir=output / EVALUATION,
        )
        write_evaluation([str(output)], measure, data)
    return output


def _evaluate(job: Job, data: DataConfig, attempt: Path, benchmark: Benchmark) -> Path:
    output = attempt / RESULT
    if not output.is_dir():
        with _model(job.needs[0], attempt, benchmark) as model:
            write_evaluation([str(model)], job.evaluation_config(output_dir=output), data)
    return output


def _retrieve(job: Job, data: DataConfig, attempt: Path, benchmark: Benchmark) -> Path:
    output = attempt / RESULT
    with ExitStack() as stack:
        models = [str(stack.enter_context(_model(name, attempt, benchmark))) for name in job.needs]
        config = job.retrieval_config(
            model=models[:1],
            compare=models[1:],
            data_dir=data.data_dir,
            output_dir=output,
            embeddings_dir=attempt / "embeddings",
        )
        if not output.is_dir():
            write_retrieval(config)
    return output


_DO: dict[str, Callable[[Job, DataConfig, Path, Benchmark], Path]] = {
    "train": _train,
    "evaluate": _evaluate,
    "retrieval": _retrieve,
}


@contextlib.contextmanager
def _model(name: str, attempt: Path, benchmark: Benchmark) -> Iterator[Path]:
    """Yield a job's result under the job's own name, which reports then call the model by."""
    needed = benchmark.jobs_folder / name
    link = attempt / Job.read(needed).label
    with contextlib.suppress(FileExistsError):
        link.symlink_to(needed / RESULT, target_is_directory=True)
    yield link


def _publish(folder: Path, attempt: Path, output: Path, begun: float) -> None:
    """Give an attempt's output the name of the result, unless another was first; then remove the attempt."""
    result = folder / RESULT
    if (output / RESULTS).is_file() and (output / EVALUATION).is_dir():
        _as_if_made_in_result(output)
    _write_json(output / PROVENANCE, _here() | {"attempt": int(attempt.name), "seconds": round(time.time() - begun, 2)})
    for part in ("checkpoints", "decoded", "rate_trials"):
        shutil.rmtree(output / part, ignore_errors=True)
    sync(*output.rglob("*"), output)
    try:
        output.rename(result)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        logger.info("%s: another worker was first; this attempt is discarded", folder.name)
    sync(folder)
    (folder / FAILURE).unlink(missing_ok=True)
    _discard(attempt)


def _as_if_made_in_result(output: Path) -> None:
    """Let the files of a run name the place that it will have; they are the same then, whatever the attempt."""
    made = TrainingResult.load(output / RESULTS)
    config = dataclasses.replace(made.config, output_dir=Path(RESULT), cache_dir=None, overwrite=False, resume=False)
    dataclasses.replace(made, config=config).save(output / RESULTS)
    write_settings(RunFolder(output).settings, config, recipe=made.recipe)


def _discard(attempt: Path) -> None:
    shutil.rmtree(attempt, ignore_errors=True)


def _write_failure(folder: Path, attempt: Path, error: Exception) -> None:
    known = isinstance(error, MLRSNetError)
    reason = {
        "error": type(error).__name__,
        "reason": error.found if isinstance(error, MLRSNetError) else str(error) or type(error).__name__,
        "remedy": error.remedy if isinstance(error, MLRSNetError) else "",
        "traceback": "" if known else traceback.format_exc(),
        "attempt": int(attempt.name),
    }
    write_failure(folder, reason)
    if isinstance(error, DivergedError):  # its checkpoints lead nowhere else
        _discard(attempt)


def write_failure(folder: Path, reason: dict[str, Any]) -> None:
    """Write down why a job has failed, unless it is done meanwhile.

    Args:
        folder: Of the job.
        reason: `error`, `reason` and `remedy`, and what else is known.
    """
    if state_of(folder) != "done":
        _write_json(folder / FAILURE, reason | _here())
        logger.warning("job %s has failed: %s", folder.name, reason["reason"])


def _here() -> dict[str, Any]:
    """Return where and when this is, by which code."""
    import torch

    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "code": code_fingerprint(),
        "versions": library_versions(),
    }


def _write_json(path: Path, values: dict[str, Any]) -> None:
    with whole_file(path) as partial:
        partial.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _is_of_the_machine(error: BaseException | None) -> bool:
    """Tell whether an error comes of a full disk, which the next job would meet too."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def _processes() -> Collectives:
    """Return the processes that work together, with nothing left of the precision of what ran before."""
    AcceleratorState._reset_state(True)
    processes = Collectives(Accelerator())
    AcceleratorState._reset_state(False)
    return processes


def _goes_on_alone() -> bool:
    """Tell whether this is the main process, which then is the only one.

    Training and evaluation leave the group of the processes when they end, and it cannot be joined again.
    """
    if not is_main_process():
        return False
    for name in _OF_GROUP:
        os.environ.pop(name, None)
    AcceleratorState._reset_state(True)
    return True
