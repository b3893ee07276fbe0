"""The folder that a run fills, checked before the first second is spent."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.training.saved_model import CONFIG_FILE, WEIGHTS_FILE


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where the parts of a run lie."""

    root: Path

    @property
    def model(self) -> Path:
        """The best model, for timm and transformers."""
        return self.root / "model"

    @property
    def results(self) -> Path:
        """The JSON file of settings, history and metrics."""
        return self.root / "results.json"

    @property
    def logs(self) -> Path:
        """TensorBoard's event files."""
        return self.root / "tensorboard"

    def check(self, overwrite: bool) -> None:
        """Refuse a folder that cannot be used; change nothing.

        Raises:
            ConfigurationError: It holds a run and is not to be overwritten, or it cannot be written.
        """
        if not overwrite and (self.model.exists() or self.results.exists()):
            raise ConfigurationError(
                f"output_dir {self.root} already holds a run", "Choose another folder, or give --overwrite."
            )
        self._refuse_foreign_files()
        ancestor = next(path for path in (self.root, *self.root.absolute().parents) if path.exists())
        if not ancestor.is_dir() or not os.access(ancestor, os.W_OK | os.X_OK):
            reason = "is not writable" if ancestor.is_dir() else "is not a folder"
            raise ConfigurationError(
                f"output_dir {self.root} cannot be made: {ancestor} {reason}", "Choose a folder that you may write."
            )

    def _refuse_foreign_files(self) -> None:
        """Refuse to clear away what no run wrote."""
        foreign = sorted({path.name for path in self.model.glob("*")} - {CONFIG_FILE, WEIGHTS_FILE})
        if foreign:
            raise ConfigurationError(
                f"{self.model} holds {foreign[0]}, which no run wrote", "Move it away, or choose another output_dir."
            )

    def create(self) -> None:
        """Make the folder, without the parts of an earlier run.

        Raises:
            ConfigurationError: It cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if self.model.exists():
                shutil.rmtree(self.model)
            for events in self.logs.rglob("events.out.tfevents.*"):
                events.unlink()
            self.results.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"output_dir {self.root} cannot be written: {error.strerror}", "Choose a folder that you may write."
            ) from error
