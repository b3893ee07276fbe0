"""The folder that a run fills, checked before the first second is spent."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.files import only_writer
from mlrsnet_hf.models.saved_model import MODEL_FILES
from mlrsnet_hf.training.checkpoints.checkpoints import Checkpoints
from mlrsnet_hf.training.results_file import RESULTS

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
        return self.root / "history.json", self.root / "history.csv"

    @property
    def curves(self) -> Path:
        """The picture of the history."""
        return self.root / "curves.png"

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

    def check_use(self, overwrite: bool, resume: bool) -> None:
        """Refuse a folder that no new run may take; change nothing.

        Args:
            overwrite: Whether a run that it holds may be replaced.
            resume: Whether one was to be gone on with.

        Raises:
            ConfigurationError: It holds a run that is not to be overwritten, or what no run wrote.
        """
        if self._holds_a_run() and not overwrite:
            if resume:
                raise ConfigurationError(
                    f"output_dir {self.root} holds a run, but no checkpoint to go on from",
                    "Nothing was changed: choose another folder, or give --overwrite to begin anew in this one.",
                )
            raise ConfigurationError(
                f"output_dir {self.root} already holds a run",
                "Choose another folder, or give --overwrite, or --resume to go on with it.",
            )
        self._refuse_foreign_files()

    def _holds_a_run(self) -> bool:
        files = (self.model, self.results, *self.history)
        # A model beside the checkpoints alone is no run yet: it was killed before its first checkpoint.
        return any(path.exists() for path in files) or bool(Checkpoints(self.checkpoints, keep=1))

    def _refuse_foreign_files(self) -> None:
        """Refuse to clear away what no run wrote."""
        foreign = sorted({path.name for path in self.model.glob("*")} - set(MODEL_FILES))
        if foreign:
            raise ConfigurationError(
                f"{self.model} holds {foreign[0]}, which no run wrote", "Move it away, or choose another output_dir."
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

    def create(self) -> None:
        """Make the folder, without the parts of an earlier run.

        Raises:
            ConfigurationError: It cannot be written.
        """
        with self.writing():
            self.root.mkdir(parents=True, exist_ok=True)
            for folder in (self.model, self.checkpoints):
                if folder.exists():
                    shutil.rmtree(folder)
            for events in self.logs.rglob("events.out.tfevents.*"):
                events.unlink()
            for file in (self.results, self.settings, *self.history, self.curves):
                file.unlink(missing_ok=True)
            self.checkpoints.mkdir()

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
