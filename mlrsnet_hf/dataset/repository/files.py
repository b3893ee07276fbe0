"""Records to Parquet files, as fast as the disk takes them.

One thread reads, one writes, one hashes and waits for the disk. At most `_AHEAD` row groups wait between them, so that
memory does not grow with the number of images.
"""

import contextlib
import re
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlrsnet_hf.configuration.json_file import Name
from mlrsnet_hf.configuration.settings import CountOrZero
from mlrsnet_hf.dataset.repository.parts import PlannedFile
from mlrsnet_hf.dataset.repository.schema import ARROW_SCHEMA, to_table
from mlrsnet_hf.errors import ImageError
from mlrsnet_hf.files import sha256_of, sync
from mlrsnet_hf.published import IMAGE_SIZE
from mlrsnet_hf.release import Entry, Record, Release
from mlrsnet_hf.release.images import image_size

ROW_GROUP = 100
"""Rows in a group, about: small enough that the first row comes at once, also over a network."""

_AHEAD = 16


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A Parquet file that is whole, and what was noticed in writing it."""

    name: Name
    rows: CountOrZero
    """0 if none of the file's images can be read; there is no file then."""
    file_bytes: CountOrZero
    data_bytes: CountOrZero
    """Size of the rows in memory."""
    sha256: Name
    unusual_sizes: dict[str, list[int]] = field(default_factory=dict)
    """Width and height of images that are not 256x256, by id."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Images that were left out, by id, and why: `<scene>/<file>: <fault>`."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        return asdict(self)

    def is_whole(self, planned: PlannedFile, folder: Path) -> bool:
        """Say whether the file holds all that was planned, and still is what was written."""
        if self.rows + len(self.unreadable) != len(planned.ids) or not self.unreadable.keys() <= set(planned.ids):
            return False
        if not self.rows:
            return True
        path = folder / self.name
        try:
            return (
                path.stat().st_size == self.file_bytes
                and sha256_of(path) == self.sha256
                and pq.read_metadata(path).num_rows == self.rows
            )
        except (OSError, pa.ArrowException, UnicodeDecodeError):
            return False


def write_files(
    release: Release,
    files: Sequence[PlannedFile],
    folder: Path,
    on_written: Callable[[WrittenFile], object],
    on_image: Callable[[], object],
    skip_unreadable: bool = False,
) -> None:
    """Write planned files, in the order of the release's scenes.

    `on_written` is told of every file that is whole and has reached the disk, `on_image` is called for every image. An
    image that cannot be read is an error, or left out if `skip_unreadable` says so.
    """
    opened = [_OpenFile(planned, folder) for planned in files]
    file_of = {image_id: file for file, planned in zip(opened, files, strict=True) for image_id in planned.ids}
    entries = [entry for entry in release.entries if entry.id in file_of]
    with contextlib.ExitStack() as abandoned, _Stages(on_written) as stages:
        for file in opened:
            abandoned.callback(file.abandon)

        def leave_out(entry: Entry, error: ImageError) -> None:
            file_of.pop(entry.id).leave_out(entry.id, _reason(entry, error, release.root), stages)
            on_image()

        for record in release.records(entries, on_unreadable=leave_out if skip_unreadable else None):
            file_of.pop(record.id).add(record, stages)
            on_image()


def _reason(entry: Entry, error: ImageError, root: Path) -> str:
    """Return why an image is left out, without where the source lies: that goes into what is published."""
    name = re.search(rf"[/\\]{re.escape(Path(entry.file_name).stem)}\.\w+: ", error.found, re.IGNORECASE)
    fault = error.found[name.end() :] if name else error.found
    return f"{entry.scene.published}/{entry.file_name}: {fault.replace(str(root), root.name)}"


class _Stages:
    """The threads that write files and that finish them, each in the order of the calls; errors come out here.

    After an error in either thread nothing more is written, closed or told of: what is torn must not pass for whole.
    """

    def __init__(self, on_written: Callable[[WrittenFile], object]) -> None:
        self._on_written = on_written
        self._writing, self._finishing = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._pending: deque[Future[None]] = deque()
        self._last: deque[Future[None]] = deque()
        self._failed = False

    def __enter__(self) -> "_Stages":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._writing.shutdown()
        self._finishing.shutdown()
        if kind is None:
            for future in (*self._pending, *self._last):
                future.result()

    def write(self, task: Callable[[], None]) -> None:
        """Have the writing thread do a task; wait if it is far behind."""
        self._pending.append(self._writing.submit(self._unless_failed, task))
        while len(self._pending) > _AHEAD:
            self._pending.popleft().result()

    def finish(self, file: "_OpenFile") -> None:
        """Have a file closed, then hashed and on the disk."""
        self.write(partial(self._close, file))
        while self._last and self._last[0].done():
            self._last.popleft().result()

    def _close(self, file: "_OpenFile") -> None:
        file.close()
        self._last.append(self._finishing.submit(self._unless_failed, lambda: self._on_written(file.settle())))

    def _unless_failed(self, task: Callable[[], object]) -> None:
        if self._failed:
            return
        try:
            task()
        except BaseException:
            self._failed = True
            raise


class _OpenFile:
    """A file that is being written."""

    def __init__(self, planned: PlannedFile, folder: Path) -> None:
        self._name = planned.name
        self._path = folder / planned.name
        self._planned = self._awaited = len(planned.ids)
        self._group = -(-len(planned.ids) // max(round(len(planned.ids) / ROW_GROUP), 1))
        self._records: list[Record] = []
        self._writer: pq.ParquetWriter | None = None
        self._rows = self._data_bytes = 0
        self._unusual_sizes: dict[str, list[int]] = {}
        self._unreadable: dict[str, str] = {}

    def add(self, record: Record, stages: _Stages) -> None:
        """Take a record; hand on a row group that is full, and the file if it is."""
        self._records.append(record)
        self._one_less(stages)

    def leave_out(self, image_id: str, reason: str, stages: _Stages) -> None:
        """Go on without an image."""
        self._unreadable[image_id] = reason
        self._one_less(stages)

    def _one_less(self, stages: _Stages) -> None:
        self._awaited -= 1
        if self._records and (not self._awaited or len(self._records) == self._group):
            stages.write(partial(self._write, self._records))
            self._records = []
        if not self._awaited:
            stages.finish(self)

    def _write(self, records: list[Record]) -> None:
        """Write a row group; in the writing thread."""
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, ARROW_SCHEMA, **_WRITING)
        table = to_table(records)
        self._writer.write_table(table, row_group_size=len(records))
        self._rows += table.num_rows
        self._data_bytes += table.nbytes
        for record in records:
            size = image_size(record.image)
            if size != IMAGE_SIZE:
                self._unusual_sizes[record.id] = list(size)

    def close(self) -> None:
        """Close the file; in the writing thread."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def abandon(self) -> None:
        """Let go of a file that did not come to its end; what there is of it is not looked at again."""
        writer, self._writer = self._writer, None
        if writer is not None:
            # On a full disk this fails too, and would fail loudly when the writer is collected.
            with contextlib.suppress(OSError, pa.ArrowException):
                writer.close()
            writer.is_open = False

    def settle(self) -> WrittenFile:
        """Wait until the closed file has reached the disk; in the finishing thread."""
        if self._rows + len(self._unreadable) != self._planned:
            raise OSError(f"{self._name}: {self._rows} of {self._planned - len(self._unreadable)} rows were written")
        digest = sha256_of(self._path) if self._rows else ""
        if self._rows:
            sync(self._path)
        return WrittenFile(
            name=self._name,
            rows=self._rows,
            file_bytes=self._path.stat().st_size if self._rows else 0,
            data_bytes=self._data_bytes,
            sha256=digest,
            unusual_sizes=self._unusual_sizes,
            unreadable=self._unreadable,
        )


_WRITING: dict[str, Any] = {
    "compression": dict.fromkeys(("id", "image.path", "group", "scene", "labels.list.element"), "snappy")
    | {"image.bytes": "none", "repaired": "none"},
    "use_dictionary": ["group", "scene", "labels.list.element"],
    "write_statistics": ["id", "image.path", "group", "scene", "repaired"],
}
"""Images are compressed already: they are neither compressed again nor looked at."""
