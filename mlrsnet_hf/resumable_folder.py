"""A folder that takes its name when it is whole, and that a later run completes if one is cut short.

Until then it is called `.<name>.partial`, is locked against a second run, and holds a journal: a line of JSON for what
it is made of, then one for every part that is done. A line that was cut short counts as not there.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.files import kept_if_stopped, only_writer, refuse_existing, sync

Recover = Callable[[Path], list[dict[str, Any]]]

_JOURNAL = "journal.jsonl"
_FINISHED = {"finished": True}
"""The last note of a folder, of which one file takes the name; it is of no use any more once that is there."""


class ResumableFolder:
    """The folder until it is whole; made by `resumable_folder`."""

    def __init__(self, path: Path, origin: dict[str, Any], recover: Recover, parts: tuple[str, ...]) -> None:
        self.path = path
        self._parts = parts
        self.origin = origin
        self.noted: list[dict[str, Any]] = []
        """What earlier runs noted, if the origin is the same."""
        lines = _lines(path / _JOURNAL) if (path / _JOURNAL).exists() else recover(path)
        if lines and lines[0] == origin:
            self.noted = lines[1:]
        else:
            self.clear()
        self._journal: IO[str] | None = None

    def clear(self) -> None:
        """Remove what earlier runs left."""
        for child in self.path.iterdir():
            shutil.rmtree(child) if child.is_dir() else child.unlink()

    def keep(self, notes: list[dict[str, Any]]) -> None:
        """Begin the journal anew, with the notes that still hold."""
        fresh = self.path / f"{_JOURNAL}.new"
        with fresh.open("w", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(line)}\n" for line in (self.origin, *notes))
        fresh.replace(self.path / _JOURNAL)
        self._journal = (self.path / _JOURNAL).open("a", encoding="utf-8")

    def note(self, note: dict[str, Any]) -> None:
        """Write down that a part is done."""
        assert self._journal, "keep() opens the journal"
        self._journal.write(f"{json.dumps(note)}\n")
        self._journal.flush()

    def kept(self) -> str | None:
        """Say where the parts are that are done; None if there are none."""
        done = _lines(self.path / _JOURNAL)[1:] if (self.path / _JOURNAL).exists() else []
        found = (path for pattern in self._parts for path in self.path.glob(pattern) if path.name[0] != ".")
        return f"What is finished is kept in {self.path}" if done or any(found) else None

    def close(self) -> None:
        """Close the journal."""
        if self._journal:
            self._journal.close()

    def finish(self, target: Path, file: str | None = None) -> None:
        """Take the final name, or give it to one file; the journal goes last, for until then the next run needs it."""
        if file is not None:
            sync(self.path / file)
            refuse_existing(target)
            self.note(_FINISHED)
            self.close()
            (self.path / file).rename(target)
            sync(target.parent)
            shutil.rmtree(self.path, ignore_errors=True)
            return
        self.close()
        sync(*(path for path in self.path.rglob("*") if path != self.path / _JOURNAL), self.path)
        refuse_existing(target)
        (self.path / _JOURNAL).unlink()
        self.path.rename(target)
        sync(target.parent)


def refuse_finished(target: Path) -> None:
    """Refuse a target that exists, and remove what a run left beside it that was killed just after naming it.

    Raises:
        ConfigurationError: It exists.
    """
    partial = _partial(target)
    if target.exists() and (partial / _JOURNAL).is_file() and _lines(partial / _JOURNAL)[-1:] == [_FINISHED]:
        shutil.rmtree(partial, ignore_errors=True)
    refuse_existing(target)


def notes_of_unfinished(target: Path) -> list[dict[str, Any]]:
    """Return what a run noted that was cut short before its target had its name, whatever it was made of."""
    journal = _partial(target) / _JOURNAL
    return _lines(journal)[1:] if journal.is_file() else []


@contextmanager
def resumable_folder(
    target: Path,
    origin: dict[str, Any],
    recover: Recover,
    patience: float = 0,
    parts: tuple[str, ...] = (),
    file: str | None = None,
) -> Iterator[ResumableFolder]:
    """Yield a folder beside `target` that takes its name when the block ends without an error.

    What is there when the block fails, or the process is killed, is there for the next run with the same origin.

    Args:
        target: The folder to create.
        origin: What the folder is made of, as JSON; what another origin left is removed.
        recover: Returns origin and notes of a folder that was whole, so that its journal is gone, but did not get its
            name; nothing for any other folder.
        patience: Of `only_writer`.
        parts: Patterns of the files that are parts which are done, where no note tells of them.
        file: The file in the folder that takes the name in its place, where a file is all that is wanted in the end;
            the rest is removed.

    Raises:
        ConfigurationError: The target exists, another process is writing it, or the folder cannot be written.
    """
    refuse_finished(target)
    partial = _partial(target)
    folder: ResumableFolder | None = None

    def kept() -> str | None:
        return None if folder is None else folder.kept()

    def go_on() -> str | None:
        told = kept()
        return told and f"{told}; give the same command again to go on."

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with only_writer(target, patience), kept_if_stopped(go_on):
            refuse_existing(target)  # another process may have given it its name just before
            partial.mkdir(exist_ok=True)
            folder = ResumableFolder(partial, origin, recover, parts)
            try:
                yield folder
                folder.finish(target, file)
            finally:
                folder.close()
    except OSError as error:
        raise ConfigurationError(
            f"{target}: cannot be written ({error.strerror or error})",
            f"{kept() or 'Nothing was kept'}; make room or mend what is wrong, and run again to go on.",
        ) from error


def _partial(target: Path) -> Path:
    return target.with_name(f".{target.name}.partial")


def _lines(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a journal."""
    lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(found, dict):
            break
        lines.append(found)
    return lines
