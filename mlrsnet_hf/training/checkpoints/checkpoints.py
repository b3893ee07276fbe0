"""Checkpoints and the model of the best epoch: written whole or not at all, checked when read, the newest few kept.

checkpoints/step-00000123/               the state of the run after a step; after an epoch's last, before evaluation
checkpoints/step-00000200-evaluated/     the same after the evaluation
checkpoints/best-00000100/               the saved model that these checkpoints count as the run's, for timm
checkpoints/damaged-step-00000150/       a checkpoint that is not as it was written; nothing deletes it
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from timm.utils import ModelEmaV3
from torch import nn

from mlrsnet_hf.errors import ConfigurationError, InterruptedRunError, MLRSNetError
from mlrsnet_hf.files import whole_folder
from mlrsnet_hf.runtime.collectives import Collectives
from mlrsnet_hf.runtime.signals import Interruption
from mlrsnet_hf.training.checkpoints.progress import KeptModel, Position, Progress, RunRecord

MODEL_FILE = "model.safetensors"
AVERAGE_FILE = "average.safetensors"
OPTIMIZER_FILE = "optimiser.pt"


@dataclass(frozen=True, slots=True)
class RunState:
    """The parts of a run that hold state; on all processes the same, but for rank 0's batch statistics."""

    model: nn.Module
    """Not wrapped."""
    average: ModelEmaV3 | None
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    scaler: Any
    """fp16's, or None."""

    @property
    def scored(self) -> nn.Module:
        """The network that is evaluated and saved: the moving average where there is one."""
        return self.model if self.average is None else self.average.module

    def write(self, folder: Path) -> None:
        """Write the state into a folder; waits for the device.

        Raises:
            OSError, RuntimeError, SafetensorError: A file cannot be written.
        """
        save_file(_tensors(self.model), folder / MODEL_FILE)
        if self.average is not None:
            save_file(_tensors(self.average.module), folder / AVERAGE_FILE)
        rest = {
            "optimiser": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
        }
        torch.save(rest, folder / OPTIMIZER_FILE)

    def read(self, folder: Path) -> None:
        """Take the state back from a folder that `write` filled for the same model and settings."""
        self.model.load_state_dict(load_file(folder / MODEL_FILE))
        if self.average is not None:
            self.average.module.load_state_dict(load_file(folder / AVERAGE_FILE))
        rest = torch.load(folder / OPTIMIZER_FILE, map_location="cpu", weights_only=True)
        self.optimizer.load_state_dict(rest["optimiser"])
        self.schedule.load_state_dict(rest["schedule"])
        if self.scaler is not None:
            self.scaler.load_state_dict(rest["scaler"])


def _tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}


FORMAT = 2
MANIFEST_FILE = "state.json"
_STEP, _BEST, _DAMAGED = "step-", "best-", "damaged-"
_EVALUATED = "-evaluated"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One that was found whole, and so was the model that it counts as the best."""

    folder: Path
    position: Position
    run: RunRecord
    """What the run was when it wrote this."""


class Checkpoints:
    """The checkpoints of a run; the main process alone writes.

    Args:
        folder: Where they stand, each in a folder of its own.
        keep: So many of the newest stay.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self.keep = keep

    def __bool__(self) -> bool:
        """Whether there is any, damaged or not."""
        return any(path for prefix in (_STEP, _DAMAGED) for path in self.folder.glob(f"{prefix}*"))

    def save(self, state: RunState, position: Position, run: RunRecord) -> None:
        """Write a checkpoint, and remove those that are now too many and the models that none of the others counts on.

        The files reach the disk before the folder gets its name, so that not even a power cut leaves a broken one.

        Raises:
            ConfigurationError: It cannot be written; those before it are as they were.
        """
        # At an epoch's last step there may be one before and one after the evaluation.
        target = self.folder / f"{_STEP}{position.step:08d}{_EVALUATED if position.is_evaluated else ''}"
        if target.exists():
            return
        try:
            with whole_folder(target, durable=True) as partial:
                state.write(partial)
                manifest = {"format": FORMAT, "run": run.to_dict(), "position": position.to_dict()}
                manifest["files"] = _digests(partial)
                (partial / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        # torch and safetensors wrap what the system says of a full disk in errors of their own.
        except (ConfigurationError, OSError, RuntimeError, SafetensorError) as error:
            raise ConfigurationError(
                f"checkpoint {target} cannot be written: {error}",
                "The earlier checkpoints are whole: free space on the disk, then give the same command with --resume.",
            ) from error
        self._tidy()

    def keep_model(self, step: int, write: Callable[[Path], None]) -> KeptModel:
        """Write the model of an epoch beside the checkpoints; the next checkpoint is to count on it.

        Args:
            step: Last one of the epoch.
            write: Fills a folder, or replaces the one that a killed process left, and syncs it.
        """
        folder = self.folder / f"{_BEST}{step:08d}"
        write(folder)
        return KeptModel(folder.name, _digests(folder))

    def newest(self, say: Callable[[str], None]) -> Checkpoint | None:
        """Return the newest checkpoint that is whole; damaged ones are named and set aside.

        Args:
            say: Is told of each damaged one.

        Raises:
            ConfigurationError: One cannot be read, which may pass, or another version wrote it.
        """
        for folder in self._folders():
            try:
                return _read(folder)
            except (FileNotFoundError, ValueError) as error:
                if isinstance(error, ConfigurationError):
                    raise
                aside = self._set_aside(folder)
                say(f"checkpoint {folder} is damaged ({error}) and now {aside.name}; falling back to the one before")
            except OSError as error:
                raise ConfigurationError(
                    f"checkpoint {folder} cannot be read: {error}", "Nothing was changed; try again."
                ) from error
        return None

    def clear_partial(self) -> None:
        """Remove what a killed process left unfinished."""
        for prefix in (_STEP, _BEST):
            for path in self.folder.glob(f".{prefix}*"):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)

    def _set_aside(self, folder: Path) -> Path:
        names = (f"{_DAMAGED}{folder.name}{f'-{number}' if number else ''}" for number in count())
        return folder.rename(next(folder.with_name(name) for name in names if not folder.with_name(name).exists()))

    def _tidy(self) -> None:
        folders = self._folders()
        for old in folders[self.keep :]:
            shutil.rmtree(old, ignore_errors=True)
        try:
            counted = {_kept_name(folder) for folder in folders[: self.keep]}
        except (OSError, ValueError, KeyError, TypeError):
            return  # a checkpoint that cannot be read now may count on any of the models
        for model in self.folder.glob(f"{_BEST}*"):
            if model.name not in counted:
                shutil.rmtree(model, ignore_errors=True)

    def _folders(self) -> list[Path]:
        """Return the checkpoints, the newest first."""
        return sorted(self.folder.glob(f"{_STEP}*"), reverse=True)


class CheckpointClock:
    """Tells when the next checkpoint is due.

    Args:
        steps: Between two checkpoints; 0 sets none by steps.
        minutes: Between two checkpoints; 0 sets none by time.
    """

    def __init__(self, steps: int, minutes: float) -> None:
        self.steps = steps
        self.seconds = minutes * 60
        self.restart()

    def restart(self) -> None:
        """Count from now on."""
        self._last = time.monotonic()

    def is_due_at(self, step: int) -> bool:
        """Tell whether one is due after a step, on all processes alike."""
        return bool(self.steps) and step % self.steps == 0

    @property
    def is_due_now(self) -> bool:
        """Whether one is due by this process's time."""
        return bool(self.seconds) and time.monotonic() - self._last >= self.seconds


def _read(folder: Path) -> Checkpoint:
    manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    if not isinstance(manifest, dict):
        raise ValueError(f"{MANIFEST_FILE} is not as it was written")
    if manifest.get("format") != FORMAT:
        raise _other_version(folder)
    try:
        position, run = Position.from_dict(manifest["position"]), RunRecord.from_dict(manifest["run"])
        files: Mapping[str, str] = manifest["files"]
    except (KeyError, TypeError, AttributeError) as error:
        raise _other_version(folder) from error
    _check(folder, files)
    if position.kept is not None:
        _check(folder.with_name(position.kept.name), position.kept.files)
    return Checkpoint(folder, position, run)


def _other_version(folder: Path) -> ConfigurationError:
    return ConfigurationError(
        f"checkpoint {folder} was written by another version, in another format than {FORMAT}",
        "Go on with the version of mlrsnet-hf that wrote it, or begin anew with --overwrite.",
    )


def _check(folder: Path, digests: Mapping[str, str]) -> None:
    for name, digest in digests.items():
        if _digest(folder / name) != digest:
            raise ValueError(f"{folder.name}/{name} is not as it was written")


def _kept_name(folder: Path) -> Any:  # noqa: ANN401 - a name, or None before the first evaluation
    """Return which model a checkpoint counts on."""
    kept = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))["position"]["kept"]
    return None if kept is None else kept["name"]


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: _digest(path) for path in sorted(folder.iterdir())}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Watch:
    """Lets all processes stop together, and writes the checkpoints.

    Args:
        collectives: Of the processes.
        interruption: Of this one.
        clock: Tells when a checkpoint is due.
        checkpoints: Where they are written.
        state: What they hold.
        progress: How far it has come.
        record: The run.
    """

    def __init__(
        self,
        *,
        collectives: Collectives,
        interruption: Interruption,
        clock: CheckpointClock,
        checkpoints: Checkpoints,
        state: RunState,
        progress: Progress,
        record: RunRecord,
    ) -> None:
        self.collectives = collectives
        self.interruption = interruption
        self.clock = clock
        self.checkpoints = checkpoints
        self.state = state
        self.progress = progress
        self.record = record

    def look(self, error: MLRSNetError | None = None) -> None:
        """Stop if a process must, and write a checkpoint if one is due; all processes look together.

        Args:
            error: What this process has met.

        Raises:
            MLRSNetError: A process has met one; raised on all.
            InterruptedRunError: A process was asked to stop, and the checkpoint is written.
        """
        failed, stopped, due = self.collectives.any_process(
            error is not None, self.interruption.requested is not None, self.clock.is_due_now
        )
        if failed:
            self.collectives.raise_together(error)
        if stopped or due:
            self.save()
        if stopped:
            raise InterruptedRunError(
                f"{self.interruption.requested or 'a signal to another process'} came; {self.checkpoints.folder} holds "
                f"all up to step {self.progress.step}",
                "Give the same command with --resume to go on.",
            )

    def save(self) -> None:
        """Write a checkpoint; all processes do it together.

        Raises:
            ConfigurationError: It cannot be written, or a loss is no number: such a state is never kept.
        """
        position = self.progress.position()
        self.collectives.run_on_main(lambda: self.checkpoints.save(self.state, position, self.record))
        self.clock.restart()
