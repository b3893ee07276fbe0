"""The folder that a run fills: where its parts lie, and who may write there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.files import only_writer
from mlrsnet_hf.training.history import CSV_FILE, CURVES_FILE, JSON_FILE

RESULTS = "results.json"
_PATIENCE = 10.0
"""Seconds: the reading processes of a run that was killed notice it within five, and hold its lock until then."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where the parts of a run lie."""

    root: Path

    @property
    def model(self) -> Path:
        """The kept model, for timm and transformers; it is there when the run has ended."""
        return self.root / "model"

    @property
    def checkpoints(self) -> Path:
        """What `--resume` goes on from, a folder for each checkpoint, and the best model so far."""
        return self.root / "checkpoints"

    @property
    def results(self) -> Path:
        """The JSON file of settings, history and metrics; it is there when the run has ended."""
        return self.root / RESULTS

    @property
    def settings(self) -> Path:
        """Every setting of the run, as `--config` takes them."""
        return self.root / "settings.yaml"

    @property
    def history(self) -> tuple[Path, Path]:
        """The course of the run, for programs and for tables."""
        return self.root / JSON_FILE, self.root / CSV_FILE

    @property
    def curves(self) -> Path:
        """The picture of the history."""
        return self.root / CURVES_FILE

    @property
    def decoded(self) -> Path:
        """Decoded images, where the cache is on the disk."""
        return self.root / "decoded"

    @property
    def logs(self) -> Path:
        """TensorBoard's event files."""
        return self.root / "tensorboard"

    def check_place(self) -> None:
        """Refuse a place where no folder can be made; change nothing.

        Raises:
            ConfigurationError: It is no folder, or not writable.
        """
        ancestor = next(path for path in (self.root, *self.root.absolute().parents) if path.exists())
        if not ancestor.is_dir() or not os.access(ancestor, os.W_OK | os.X_OK):
            reason = "is not writable" if ancestor.is_dir() else "is not a folder"
            raise ConfigurationError(
                f"output_dir {self.root} cannot be made: {ancestor} {reason}", "Choose a folder that you may write."
            )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other run out of the folder, until this one ends or dies.

        Raises:
            ConfigurationError: Another run is in it, or the folder around it cannot be written.
        """
        with self.writing():
            self.root.parent.mkdir(parents=True, exist_ok=True)
        with only_writer(self.root.absolute(), patience=_PATIENCE):
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Explain what goes wrong when something is written into the folder.

        Raises:
            ConfigurationError: In place of the system's error.
        """
        try:
            yield
        except OSError as error:
            raise ConfigurationError(
                f"output_dir {self.root} cannot be written: {error.strerror}", "Choose a folder that you may write."
            ) from error
