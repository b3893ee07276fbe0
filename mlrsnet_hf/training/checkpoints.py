"""Checkpoints and the model of the best epoch: written whole or not at all, checked when read, the newest few kept.

checkpoints/step-00000123/               the state of the run after a step; after an epoch's last, before evaluation
checkpoints/step-00000200-evaluated/     the same after the evaluation
checkpoints/best-00000100/               the saved model that these checkpoints count as the run's, for timm
checkpoints/damaged-step-00000150/       a checkpoint that is not as it was written; nothing deletes it

`Checkpoints.save` is where a checkpoint becomes whole.
"""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from timm.utils import ModelEmaV3
from torch import nn

from mlrsnet_hf.configuration.json_file import MOST_BYTES, Name, json_as, parse_json
from mlrsnet_hf.configuration.settings import Count, CountOrZero
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.files import sha256_of, whole_folder
from mlrsnet_hf.models.weights import own_tensors, write_tensors
from mlrsnet_hf.runtime.logs import get_logger
from mlrsnet_hf.training.history import Epoch, history_fault

MODEL_FILE = "model.safetensors"
AVERAGE_FILE = "average.safetensors"
OPTIMIZER_FILE = "optimiser.pt"
MANIFEST_FILE = "state.json"
FORMAT = 2
_STEP, _BEST, _DAMAGED = "step-", "best-", "damaged-"
_EVALUATED = "-evaluated"
_TORCH_WRITER = ("inline_container", "PytorchStreamWriter", "iostream")
"""In what torch says where it cannot write a file whole."""
_FULL = 2**20
"""Bytes that may be free on a disk that is full: torch writes larger pieces than fit."""

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BestModel:
    """The saved model to keep so far, of the best epoch or the last; a folder beside the checkpoints."""

    name: Name
    """Name of the folder."""
    files: Mapping[Name, Name]
    """SHA-256 of each file, by name."""


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a run has come, on every process alike: all that a checkpoint holds beside tensors."""

    step: CountOrZero = 0
    """Optimizer steps taken since the run began."""
    history: list[Epoch] = field(default_factory=list)
    """The epochs that are trained and evaluated."""
    best: BestModel | None = None
    """The model to keep so far; None before the first evaluation."""
    loss_total: float = 0.0
    """Sum of the losses of the epoch under way, in float64, grown step by step."""
    loss_count: CountOrZero = 0
    """Number of the losses in that sum."""
    seconds: float = 0.0
    """Seconds trained so far, with the parts before a resumption."""

    @property
    def is_evaluated(self) -> bool:
        """Whether the last step was an epoch's, and that is evaluated."""
        return bool(self.history) and self.history[-1].step == self.step

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "step": self.step,
            "history": [epoch.to_dict() for epoch in self.history],
            "kept": None if self.best is None else {"name": self.best.name, "files": dict(self.best.files)},
            "loss_total": self.loss_total,
            "loss_count": self.loss_count,
            "seconds": self.seconds,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Progress":
        """Return the progress that `to_dict` gave.

        Raises:
            ConfigurationError: The values are others.
        """
        respelled = {"best" if name == "kept" else name: value for name, value in values.items()}
        progress: Progress = json_as(respelled, cls, "the progress of a run", "Use it as a run wrote it.")
        history = progress.history
        if fault := history_fault(history) or ("no step" if history and history[-1].step > progress.step else ""):
            raise ConfigurationError(f"the progress of a run: {fault}", "Use it as a run wrote it.")
        return progress


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What a run is, in plain values for JSON."""

    settings: Mapping[str, Any]
    """As `TrainingConfig.to_dict` gives them."""
    data: Mapping[str, Any]
    """`ImageData.source`."""
    processes: Count
    precision: Name
    """As Accelerate calls it: no, bf16 or fp16."""
    device: Name
    """Kind of the devices: cpu, cuda and so on."""
    run_id: Name
    """The same for all parts of a resumed run."""


@dataclass(frozen=True, slots=True)
class TrainingState:
    """What a checkpoint holds; on all processes the same, but for rank 0's batch statistics."""

    network: nn.Module
    """Not wrapped."""
    average: ModelEmaV3 | None
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    scaler: Any
    """fp16's, or None."""
    progress: Progress

    @property
    def scored(self) -> nn.Module:
        """The network that is evaluated and saved: the moving average where there is one."""
        return self.network if self.average is None else self.average.module

    def save_tensors(self, folder: Path) -> None:
        """Write the tensors into a folder; waits for the device.

        Raises:
            OSError: A file cannot be written.
        """
        write_tensors(own_tensors(self.network), folder / MODEL_FILE)
        if self.average is not None:
            write_tensors(own_tensors(self.average.module), folder / AVERAGE_FILE)
        rest = {
            "optimiser": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
        }
        try:
            torch.save(rest, folder / OPTIMIZER_FILE)
        except RuntimeError as error:
            if not any(mark in str(error) for mark in _TORCH_WRITER):
                raise
            full = shutil.disk_usage(folder).free < _FULL
            raise (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if full else OSError("not whole")) from error

    def load_tensors(self, folder: Path) -> None:
        """Take the tensors back from a folder that `save_tensors` filled for the same model and settings.

        Raises:
            ConfigurationError: They are those of another model, or no tensors.
        """
        try:
            self.network.load_state_dict(load_file(folder / MODEL_FILE))
            if self.average is not None:
                self.average.module.load_state_dict(load_file(folder / AVERAGE_FILE))
            rest = torch.load(folder / OPTIMIZER_FILE, map_location="cpu", weights_only=True)
            self.optimizer.load_state_dict(rest["optimiser"])
            self.schedule.load_state_dict(rest["schedule"])
            if self.scaler is not None:
                self.scaler.load_state_dict(rest["scaler"])
        except Exception as error:  # the readers of torch and of safetensors raise many types
            raise ConfigurationError(
                f"checkpoint {folder} does not fit this run ({type(error).__name__}: {error})",
                "Remove it to go on from the one before, or begin anew with --overwrite.",
            ) from error


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that was found whole, and so was the model that it counts as the best."""

    folder: Path
    progress: Progress
    run: RunRecord
    """What the run was when it wrote this."""


class Checkpoints:
    """The checkpoints of a run; the main process alone writes.

    Args:
        folder: Where they stand, each in a folder of its own.
        keep: So many of the newest stay.
    """

    def __init__(self, folder: Path, keep: int = 1) -> None:
        self.folder = folder
        self.keep = keep

    def __bool__(self) -> bool:
        """Whether there is any, damaged or not."""
        return any(path for prefix in (_STEP, _DAMAGED) for path in self.folder.glob(f"{prefix}*"))

    def save(self, state: TrainingState, run: RunRecord) -> None:
        """Write a checkpoint, and remove those that are now too many and the models that none of the others counts on.

        The files reach the disk before the folder gets its name, so that not even a power cut leaves a broken one.

        Raises:
            ConfigurationError: It cannot be written; those before it are as they were.
        """
        # At an epoch's last step there may be one before and one after the evaluation.
        progress = state.progress
        target = self.folder / f"{_STEP}{progress.step:08d}{_EVALUATED if progress.is_evaluated else ''}"
        if target.exists():
            return
        with self.explain(f"checkpoint {target}"), whole_folder(target, durable=True) as partial:
            state.save_tensors(partial)
            manifest = {"format": FORMAT, "run": asdict(run), "position": progress.to_dict()}
            manifest["files"] = _digests(partial)
            (partial / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        self._tidy()

    @contextmanager
    def explain(self, what: str) -> Iterator[None]:
        """Say how a run goes on of which a part cannot be written.

        Raises:
            ConfigurationError: In place of the system's error.
        """
        try:
            yield
        except (ConfigurationError, OSError) as error:
            cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
            reason = cause.found if isinstance(cause, ConfigurationError) else cause.strerror or cause
            free = "The earlier checkpoints are whole: free" if self._folders() else "Free"
            raise ConfigurationError(
                f"{what} cannot be written ({reason})",
                f"{free} space on the disk, then give the same command with --resume.",
            ) from error

    def save_best(self, step: int, write: Callable[[Path], None]) -> BestModel:
        """Write the model of an epoch beside the checkpoints; the next checkpoint is to count on it.

        Args:
            step: Last one of the epoch.
            write: Fills a folder, or replaces the one that a killed process left, and syncs it.

        Raises:
            ConfigurationError: It cannot be written; the checkpoints are as they were.
        """
        folder = self.folder / f"{_BEST}{step:08d}"
        with self.explain(f"model {folder}"):
            write(folder)
        return BestModel(folder.name, _digests(folder))

    def newest(self) -> Checkpoint | None:
        """Return the newest checkpoint that is whole; damaged ones are named and set aside.

        Raises:
            ConfigurationError: One cannot be read, which may pass, or another version wrote it.
        """
        for folder in self._folders():
            try:
                return _read(folder)
            except (FileNotFoundError, ValueError) as error:
                if isinstance(error, ConfigurationError):
                    raise
                aside = self._set_aside(folder).name
                logger.info(
                    "checkpoint %s is damaged (%s) and now %s; falling back to the one before", folder, error, aside
                )
            except OSError as error:
                raise ConfigurationError(
                    f"checkpoint {folder} cannot be read: {error}", "Nothing was changed; try again."
                ) from error
        return None

    def stored_settings(self) -> Mapping[str, Any] | None:
        """Return the settings of the run as the newest checkpoint tells them, unchecked; None where it does not."""
        try:
            manifest = json.loads((self._folders()[0] / MANIFEST_FILE).read_text(encoding="utf-8"))
            return dict(manifest["run"]["settings"]) if manifest["format"] == FORMAT else None
        except (IndexError, OSError, ValueError, KeyError, TypeError):
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
            counted = {_best_name(folder) for folder in folders[: self.keep]}
        except (OSError, ValueError, KeyError, TypeError):
            return  # a checkpoint that cannot be read now may count on any of the models
        for model in self.folder.glob(f"{_BEST}*"):
            if model.name not in counted:
                shutil.rmtree(model, ignore_errors=True)

    def _folders(self) -> list[Path]:
        """Return the checkpoints, the newest first."""
        return sorted(self.folder.glob(f"{_STEP}*"), reverse=True)


def _read(folder: Path) -> Checkpoint:
    manifest = _manifest(folder)
    if manifest.get("format") != FORMAT:
        raise _other_version(folder)
    try:
        progress = Progress.from_dict(manifest["position"])
        run: RunRecord = json_as(manifest["run"], RunRecord, MANIFEST_FILE, "")
        files: Mapping[str, str] = json_as(manifest["files"], Mapping[Name, Name], MANIFEST_FILE, "")
    except (KeyError, AttributeError, ConfigurationError) as error:
        raise _other_version(folder) from error
    _check(folder, files)
    if progress.best is not None:
        if not progress.best.name.startswith(_BEST) or Path(progress.best.name).name != progress.best.name:
            raise ValueError(f"{progress.best.name!r} is no model beside it")
        _check(folder.with_name(progress.best.name), progress.best.files)
    return Checkpoint(folder, progress, run)


def _manifest(folder: Path) -> dict[str, Any]:
    """Return what a checkpoint says of itself; ValueError if that is not as it was written."""
    with (folder / MANIFEST_FILE).open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    try:
        manifest: dict[str, Any] = parse_json(content, Mapping[str, Any], MANIFEST_FILE, "")
    except ConfigurationError as error:
        raise ValueError(error.found) from error
    return manifest


def _other_version(folder: Path) -> ConfigurationError:
    return ConfigurationError(
        f"checkpoint {folder} was written by another version, in another format than {FORMAT}",
        "Go on with the version of mlrsnet-hf that wrote it, or begin anew with --overwrite.",
    )


def _check(folder: Path, digests: Mapping[str, str]) -> None:
    for name, digest in digests.items():
        if Path(name).name != name:
            raise ValueError(f"{name!r} is no file of it")
        if sha256_of(folder / name) != digest:
            raise ValueError(f"{folder.name}/{name} is not as it was written")


def _best_name(folder: Path) -> Any:  # noqa: ANN401 - a name, or None before the first evaluation
    """Return which model a checkpoint counts on."""
    kept = _manifest(folder)["position"]["kept"]
    return None if kept is None else kept["name"]


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
