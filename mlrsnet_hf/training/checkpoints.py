"""Checkpoints: written whole or not at all, checked when read, the newest few kept."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.files import whole_folder
from mlrsnet_hf.training.history import Epoch
from mlrsnet_hf.training.run_state import RunState

FORMAT = 1
MANIFEST_FILE = "state.json"
_PREFIX = "step-"
_EVALUATED = "-evaluated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a run has come."""

    step: int = 0
    """Optimiser steps taken since the run began."""
    history: tuple[Epoch, ...] = ()
    """The epochs that are trained and evaluated."""
    loss_total: float = 0.0
    """Sum of the losses of the epoch under way."""
    loss_count: int = 0
    seconds: float = 0.0
    """That the run has taken so far."""

    @property
    def name(self) -> str:
        """Of the checkpoint; at an epoch's last step there may be one before and one after the evaluation."""
        evaluated = bool(self.history) and self.history[-1].step == self.step
        return f"{_PREFIX}{self.step:08d}{_EVALUATED if evaluated else ''}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "step": self.step,
            "history": [epoch.to_dict() for epoch in self.history],
            "loss_total": self.loss_total,
            "loss_count": self.loss_count,
            "seconds": self.seconds,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Position":
        """Return the position that `to_dict` gave."""
        return cls(**{**values, "history": tuple(Epoch.from_dict(epoch) for epoch in values["history"])})


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One that was found whole."""

    folder: Path
    position: Position
    run: Mapping[str, Any]
    """What the run said of itself when it wrote this: settings, data, processes."""


class Checkpoints:
    """The checkpoints of a run; the main process alone writes.

    Args:
        folder: Where they stand, each in a folder of its own.
        keep: So many of the newest stay.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self.keep = keep

    def save(self, state: RunState, position: Position, run: Mapping[str, Any]) -> None:
        """Write a checkpoint, and remove those that are now too many.

        The files reach the disk before the folder gets its name, so that not even a power cut leaves a broken one.

        Raises:
            ConfigurationError: It cannot be written; those before it are as they were.
        """
        target = self.folder / position.name
        if target.exists():
            return
        try:
            with whole_folder(target) as partial:
                state.write(partial)
                manifest = {"format": FORMAT, "run": dict(run), "position": position.to_dict()}
                manifest["files"] = {path.name: _digest(path) for path in sorted(partial.iterdir())}
                (partial / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
                _sync(*partial.iterdir(), partial)
            _sync(self.folder)
        # torch and safetensors wrap what the system says of a full disk in errors of their own.
        except (ConfigurationError, OSError, RuntimeError, SafetensorError) as error:
            raise ConfigurationError(
                f"checkpoint {target} cannot be written: {error}",
                "The earlier checkpoints are whole: free space on the disk, then give the same command with --resume.",
            ) from error
        for old in self._folders()[self.keep :]:
            shutil.rmtree(old, ignore_errors=True)

    def newest(self, say: Callable[[str], None]) -> Checkpoint | None:
        """Return the newest checkpoint that is whole; damaged ones are named and removed.

        Args:
            say: Is told of each damaged one.

        Raises:
            ConfigurationError: Another version wrote it.
        """
        for folder in self._folders():
            try:
                return _read(folder)
            except ConfigurationError:
                raise
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                say(f"checkpoint {folder} is damaged ({error}); falling back to the one before")
                shutil.rmtree(folder, ignore_errors=True)
        return None

    def clear_partial(self) -> None:
        """Remove what a killed process left unfinished."""
        for path in self.folder.glob(f".{_PREFIX}*"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _folders(self) -> list[Path]:
        """Return the checkpoints, the newest first."""
        return sorted(self.folder.glob(f"{_PREFIX}*"), reverse=True)


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
    if manifest["format"] != FORMAT:
        raise ConfigurationError(
            f"checkpoint {folder} has format {manifest['format']!r}, this version reads {FORMAT}",
            "Go on with the version of mlrsnet-hf that wrote it, or begin anew with --overwrite.",
        )
    for name in _differing(folder, manifest["files"]):
        raise ValueError(f"{name} is not as it was written")
    return Checkpoint(folder, Position.from_dict(manifest["position"]), manifest["run"])


def _differing(folder: Path, digests: Mapping[str, str]) -> Iterator[str]:
    yield from (name for name, digest in digests.items() if _digest(folder / name) != digest)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(*paths: Path) -> None:
    """Wait until files and folders are on the disk."""
    for path in paths:
        if path.is_dir() and os.name == "nt":
            continue  # Windows keeps folders by itself, and opens none
        handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
