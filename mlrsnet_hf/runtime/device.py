"""Where a run computes: device, processes, precision, memory."""

import ctypes
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, ProjectConfiguration, set_seed

from mlrsnet_hf.errors import ConfigurationError, MLRSNetError, OutOfMemoryError
from mlrsnet_hf.parallel import available_cores
from mlrsnet_hf.runtime.logs import get_logger

logger = get_logger(__name__)

# Of malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4

_WHOLE_MODELS = (
    DistributedType.NO,
    DistributedType.MULTI_CPU,
    DistributedType.MULTI_GPU,
    DistributedType.MULTI_XPU,
    DistributedType.MULTI_NPU,
)


def make_accelerator(
    precision: str | None, trackers: Sequence[str], logs: Path, accumulation: int, threads: int, seed: int
) -> Accelerator:
    """Return Accelerate's view of the devices, with this process's threads and seed set.

    Args:
        precision: no, bf16 or fp16; None leaves it to Accelerate's own setting.
        trackers: Names that Accelerate knows.
        logs: Where trackers write.
        accumulation: Micro-batches of a process's share of a batch.
        threads: Of this process on the CPU; see `use_processor`.
        seed: Of Python's, NumPy's and PyTorch's generators.

    Raises:
        ConfigurationError: The device cannot compute in the precision, Accelerate would split the model or the batch
            in its own way, or a tracker is not known.
    """
    folders = ProjectConfiguration(project_dir=str(logs), logging_dir=str(logs))
    accelerator = _accelerator(precision, log_with=list(trackers) or None, project_config=folders)
    _take_over_accumulation(accelerator, accumulation)
    use_processor(accelerator, threads)
    set_seed(seed)
    return accelerator


def inference_accelerator(precision: str | None) -> Accelerator:
    """Return Accelerate's view of the devices for a command that trains nothing; see `make_accelerator`.

    Raises:
        ConfigurationError: The device cannot compute in the precision, or Accelerate would split the model.
    """
    accelerator = _accelerator(precision)
    use_processor(accelerator)
    return accelerator


def _accelerator(precision: str | None, **options: Any) -> Accelerator:  # noqa: ANN401 - Accelerate's own
    try:
        accelerator = Accelerator(mixed_precision=precision, **options)
    except ValueError as error:
        raise ConfigurationError(
            f"precision={precision!r} cannot be used here: {error}", "Give another one, or none at all."
        ) from error
    refuse_split_models(accelerator.distributed_type)
    return accelerator


@contextmanager
def ended_together(accelerator: Accelerator) -> Iterator[None]:
    """End the trackers, and leave the other processes in order, when the block ends.

    A process that ends with its group open may abort as it does (torch 2.14 with gloo in three of eight tries, by
    `terminate called without an active exception`), and so lose its exit code.
    """
    try:
        yield
    except OutOfMemoryError:
        raise  # of this process alone; the others still wait for it
    except MLRSNetError:
        accelerator.state.destroy_process_group()
        raise
    try:
        accelerator.end_training()
    except OSError as error:  # the results are written by now
        logger.warning("the trackers cannot write their last values (%s)", error.strerror or error)


def refuse_split_models(kind: DistributedType) -> None:
    """Refuse the ways of Accelerate (FSDP, DeepSpeed, Megatron, TPUs) that leave no process the whole model.

    Checkpoints, moving average and evaluation here want all weights on each device. The networks that this package is
    for have room there many times over.

    Raises:
        ConfigurationError: It is one of them.
    """
    if kind not in _WHOLE_MODELS:
        raise ConfigurationError(
            f"Accelerate is set to {kind.value}, which spreads a model over the devices; here each holds the whole",
            "Answer `accelerate config` anew without it, or give `accelerate launch --multi_gpu`.",
        )


def _take_over_accumulation(accelerator: Accelerator, accumulation: int) -> None:
    """Let the training step weigh its micro-batches; Accelerate would divide each loss by its own count of them."""
    theirs = accelerator.gradient_accumulation_steps
    if theirs not in (1, accumulation):
        raise ConfigurationError(
            f"Accelerate's gradient_accumulation_steps={theirs} contradicts accumulation={accumulation}",
            f"Give --accumulation {theirs}, or leave Accelerate's at 1; batch_size counts the images of all of them.",
        )
    accelerator.gradient_accumulation_steps = 1


def use_processor(accelerator: Accelerator, threads: int = 0) -> None:
    """Where the processes compute on the CPU, give each its share of the cores and keep its memory.

    `accelerate launch` leaves a process on the CPU a single thread, whatever the number of cores.

    Args:
        accelerator: Knows device and processes.
        threads: Threads of this process; 0 takes those of OMP_NUM_THREADS, if somebody has set it, or shares all cores.
    """
    if accelerator.device.type == "cpu":
        if accelerator.num_processes == 1 and _were_more_wanted():
            logger.warning(
                "`accelerate launch --cpu` begins a single process, whatever --num_processes says; for two: "
                "ACCELERATE_USE_CPU=true torchrun --nproc_per_node 2 -m mlrsnet_hf COMMAND"
            )
        keep_freed_memory()
        wanted = threads or _threads_asked_for()
        torch.set_num_threads(wanted or max(1, available_cores() // accelerator.num_processes))


def _threads_asked_for() -> int:
    """Return the threads that the user sets by OMP_NUM_THREADS; 0 where it is not set, or a launcher's own 1."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # a number for each level of nesting
    if not (first.isascii() and first.isdecimal()):
        return 0
    was_launched = "ACCELERATE_MIXED_PRECISION" in os.environ or "TORCHELASTIC_RUN_ID" in os.environ
    return 0 if was_launched and int(first) == 1 else int(first)


def _were_more_wanted() -> bool:
    """Tell whether this is what `accelerate launch --cpu --num_processes 2` begins, by what it sets and what not."""
    launched = "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_ADDR" in os.environ
    return launched and "WORLD_SIZE" not in os.environ


def keep_freed_memory() -> None:
    """Let glibc keep what tensors free for the next ones, instead of giving it back to the kernel.

    By default each large tensor of each step is mapped anew, and the kernel clears every page of it, which costs a
    training step on the CPU up to a third of its time. The process keeps its peak of memory until it ends. Other C
    libraries than glibc are left as they are, and so is what the environment says of the allocator.
    """
    if platform.libc_ver()[0] == "glibc" and not _is_allocator_chosen():
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def _is_allocator_chosen() -> bool:
    """Tell whether the user has set glibc's allocator, or put another in its place."""
    preloaded = os.environ.get("LD_PRELOAD", "")
    return (
        any(name in os.environ for name in ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"))
        or "glibc.malloc." in os.environ.get("GLIBC_TUNABLES", "")
        or any(name in preloaded for name in ("jemalloc", "tcmalloc", "mimalloc"))
    )


def device_text(accelerator: Accelerator) -> str:
    """Return device and precision as a run truly computes with them, for a line of the log."""
    device, threads = accelerator.device, torch.get_num_threads()
    kind = f"{threads} thread{'s' * (threads != 1)}"
    if device.type == "cuda":
        kind = torch.cuda.get_device_name(device)
    return f"device {device} ({kind}), precision {_precision(accelerator)}"


def _precision(accelerator: Accelerator) -> str:
    precision, device = accelerator.mixed_precision, accelerator.device
    if precision != "no":
        return f"{precision} ({precision} with float32 weights)"
    # From the Ampere generation on, PyTorch lets cuDNN round the factors of convolutions to 10 bits.
    rounds = (
        device.type == "cuda" and torch.backends.cudnn.allow_tf32 and torch.cuda.get_device_capability(device)[0] >= 8
    )
    return f"{precision} (float32{', convolutions in TF32' if rounds else ''})"


_NO_MEMORY = (
    "out of memory",  # CUDA's and HIP's allocators and drivers
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "can't allocate memory",  # PyTorch's on the CPU
    "cannot allocate memory",
    "not enough memory",
)


@contextmanager
def explain_memory(what: str, remedy: str) -> Iterator[None]:
    """Turn the error of an allocator, of CUDA or of the CPU, into one that says what was too much.

    Only the process that had no memory says so; the others end with an error of their connection to it.

    Args:
        what: What was done, such as "step 3".
        remedy: What to lower.

    Raises:
        OutOfMemoryError: In place of the allocator's error.
    """
    try:
        yield
    except OutOfMemoryError:
        raise  # explained where more was known
    except (RuntimeError, MemoryError) as error:
        known = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if known or any(mark.lower() in str(error).lower() for mark in _NO_MEMORY):
            raise OutOfMemoryError(f"out of memory in {what}", remedy) from error
        raise
