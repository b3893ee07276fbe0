"""Outputs that appear under their final name only when they are whole."""

import hashlib
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mlrsnet_hf.errors import ConfigurationError


class HeldError(ConfigurationError):
    """Another process is writing it."""


Tell = Callable[[], str | None]
"""Returns a sentence, or None where there is nothing to tell."""

_under_way: list[Tell] = []


@contextmanager
def kept_if_stopped(tell: Tell) -> Iterator[None]:
    """While the block runs, have `tell` say what a command that is stopped in it leaves for the next one."""
    _under_way.append(tell)
    try:
        yield
    finally:
        _under_way.remove(tell)


def kept_now() -> Tell:
    """Return what says what the blocks under way leave, the innermost that leaves something first; None for nothing."""
    tellers = _under_way[::-1]
    return lambda: next(filter(None, (tell() for tell in tellers)), None)


@contextmanager
def whole_folder(target: Path, *, replace: bool = False, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside `target` that takes its name when the block ends without an error.

    An error in the block leaves nothing behind; a killed process leaves `.<name>.partial`, which the next run clears.

    Args:
        target: The folder.
        replace: Put it in place of a folder of the name, which stays until the new one is whole.
        durable: Wait until all is on the disk, so that not even a power cut leaves a broken folder of this name.

    Raises:
        ConfigurationError: The target exists, another process is writing it, or the folder cannot be written.
    """
    target = target.expanduser().absolute()
    if not target.name:
        raise ConfigurationError(f"{target}: exists already", "Choose another folder.")
    partial, old = (target.with_name(f".{target.name}.{state}") for state in ("partial", "old"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with only_writer(target):
            if not replace:
                refuse_existing(target)
            elif old.exists() and not target.exists():
                old.rename(target)  # a process was killed between the two names
            shutil.rmtree(partial, ignore_errors=True)
            try:
                partial.mkdir()
                yield partial
                if durable:
                    sync(*partial.rglob("*"), partial)
                if replace and target.exists():
                    shutil.rmtree(old, ignore_errors=True)
                    target.rename(old)
                partial.rename(target)
                if durable:
                    sync(target.parent)
                if replace:
                    shutil.rmtree(old, ignore_errors=True)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise ConfigurationError(
            f"{target}: cannot be written ({error.strerror or error})",
            "Nothing was kept; choose another folder or disk.",
        ) from error


@contextmanager
def whole_file(target: Path, remedy: str = "Choose another folder or disk.") -> Iterator[Path]:
    """Yield a temporary path beside `target` that takes its name, and its place, when the block ends without an error.

    Whoever reads `target` at any moment, after a power cut too, finds the old file or the new one, whole.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    partial = target.with_name(f".{target.name}.partial")
    try:
        yield partial
        with partial.open("r+b") as file:  # Windows syncs only what may be written
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        raise ConfigurationError(f"{target}: cannot be written ({error.strerror or error})", remedy) from error
    finally:
        with suppress(OSError):
            partial.unlink()


def refuse_existing(target: Path) -> None:
    """Refuse a target that exists."""
    if os.path.lexists(target):
        kind = "folder" if target.is_dir() else "name"
        raise ConfigurationError(f"{target}: exists already", f"Remove it or choose another {kind}.")


def require_new_file(target: Path) -> None:
    """Refuse a file that exists, or whose folder does not, before what it is to hold is computed."""
    refuse_existing(target)
    if not target.parent.is_dir():
        raise ConfigurationError(f"{target}: there is no folder {target.parent}", "Make it, or choose another.")


@contextmanager
def only_writer(target: Path, patience: float = 0) -> Iterator[None]:
    """Hold the target's lock, which the system frees if the process dies.

    Args:
        target: What is written; the lock `.<name>.lock` stands beside it, in a folder that exists.
        patience: Seconds to wait for another process, -1 for as long as it takes; one that was killed may leave
            children that die a little later.

    Raises:
        HeldError: Another process holds the lock.
        ConfigurationError: It cannot be written.
    """
    lock = FileLock(target.with_name(f".{target.name}.lock"), timeout=patience)
    try:
        # filelock waits where no file can be made as if another process held it.
        os.close(os.open(lock.lock_file, os.O_RDWR | os.O_CREAT, 0o666))
        lock.acquire()
    except Timeout:
        raise HeldError(
            f"{target}: another process is writing it", "Wait until it has ended, or choose another folder."
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"{target}: cannot be written ({error.strerror or error})", "Choose another folder or disk."
        ) from error
    try:
        yield
    finally:
        # Before it is let go of: filelock then takes no other process's hold on this very file for the lock. From 3.21
        # to 3.29.0 it removes what has this name then, maybe the next process's lock, so setup.cfg asks for a later.
        with suppress(OSError):  # Windows removes nothing that is open
            Path(lock.lock_file).unlink()
        lock.release()


def is_held(target: Path) -> bool:
    """Tell whether a living process holds the target's lock, as `only_writer` takes it."""
    lock = target.with_name(f".{target.name}.lock")
    if not lock.exists():
        return False
    try:
        with only_writer(target):
            return False
    except HeldError:
        return True
    except ConfigurationError:  # nobody may write there, so that nobody does
        return False


def sync(*paths: Path) -> None:
    """Wait until files and folders are on the disk."""
    for path in paths:
        if path.is_dir() and os.name == "nt":
            continue  # Windows keeps folders by itself, and opens none
        handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def nulls_for_nan(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds, and NaN
    """Return a value with None for the numbers that JSON does not know, NaN and infinity, and lists for tuples."""
    if isinstance(value, Mapping):
        return {name: nulls_for_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [nulls_for_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sha256_of(path: Path) -> str:
    """Return the hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
