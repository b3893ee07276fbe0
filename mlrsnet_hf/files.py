"""Outputs that appear under their final name only when they are whole."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlrsnet_hf.errors import ConfigurationError


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `target` that takes its name when the block ends without an error.

    An error in the block leaves nothing behind; a killed process leaves `.<name>.partial`, which the next run clears.

    Raises:
        ConfigurationError: The target exists, or the folder cannot be written.
    """
    if os.path.lexists(target):
        raise ConfigurationError(f"{target}: exists already", "Remove it or choose another folder.")
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        partial.rename(target)
    except OSError as error:
        raise ConfigurationError(
            f"{target}: cannot be written ({error.strerror or error})",
            "Nothing was kept; choose another folder or disk.",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
