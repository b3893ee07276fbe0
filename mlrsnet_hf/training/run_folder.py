"""The folder that a run fills, checked before the first second is spent."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.errors import ConfigurationError


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
        ancestor = next(path for path in (self.root, *self.root.absolute().parents) if path.exists())
        if not ancestor.is_dir() or not os.access(ancestor, os.W_OK | os.X_OK):
            reason = "is not writable" if ancestor.is_dir() else "is not a folder"
            raise ConfigurationError(
                f"output_dir {self.root} cannot be made: {ancestor} {reason}", "Choose a folder that you may write."
            )

    def create(self) -> None:
        """Make the folder, without the parts of an earlier run.

        Raises:
            ConfigurationError: It cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            for part in (self.model, self.logs):
                if part.exists():
                    shutil.rmtree(part)
            self.results.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"output_dir {self.root} cannot be written: {error.strerror}", "Choose a folder that you may write."
            ) from error
