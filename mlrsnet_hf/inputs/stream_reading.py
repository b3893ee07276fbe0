"""The image files of a streamed split, in the order of its batches, through litdata.

The order is ours (`batches.ShuffledBatches` and `ordered_batches`), so what holds for other splits holds for these: the
same batches whatever the number of workers, and the very next one after a resume. litdata stores, fetches ahead and
evicts the chunks, files of many images each. One reader in each training process goes from chunk to chunk, and hands
the image files to the threads or processes that decode.
"""

import asyncio
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import fsspec.core
import numpy as np
import numpy.typing as npt
from datasets import Dataset

from mlrsnet_hf.configuration.json_file import Name, read_json
from mlrsnet_hf.configuration.settings import Count
from mlrsnet_hf.errors import ConfigurationError, require_extra
from mlrsnet_hf.runtime.logs import get_logger

if TYPE_CHECKING:  # it brings torch, which the tables of a streamed set do without
    from mlrsnet_hf.inputs.batches import Draw, Draws

IMAGE = "image"
"""Name of the image file in a record of a chunk; beside it stands its `id`."""
INDEX = "index.json"
"""Name of litdata's index of the chunks of a split."""
REMEDY = "Give a folder, or its address, that mlrsnet prepare --format litdata has written whole."
PLACE = "place"
"""Column of the position of a row's image, counted through all chunks of all splits."""
_BY_FSSPEC = "fsspec+"
"""Stands before the address of a folder that fsspec reads, so that litdata takes our downloader."""
_TRIES = 3

logger = get_logger(__name__)


class _Chunk(TypedDict):
    filename: Name
    chunk_size: Count


class _Config(TypedDict):
    data_format: tuple[Name, ...]
    compression: Name | None
    encryption: Any


class _Index(TypedDict):
    """What litdata's index of a split says; there is more."""

    chunks: tuple[_Chunk, ...]
    config: _Config


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedFiles:
    """The image files of a split, of which a part lies on this machine at a time."""

    address: str
    """Folder of the chunks: a path, which is read where it is, or an address that fsspec knows."""
    folder: Path
    """Where chunks of another machine are kept for a while."""
    megabytes: int
    """So much of them is kept; what is being read, and the chunk after it, always."""
    images: tuple[int, ...]
    """Number of images of each chunk."""
    places: npt.NDArray[np.int64]
    """Position of each row's image, counted through all chunks."""

    def __len__(self) -> int:
        return len(self.places)

    @property
    def chunks(self) -> npt.NDArray[np.int64]:
        """Chunk of each row."""
        return np.searchsorted(np.cumsum(self.images), self.places, side="right")

    def read(self, rows: Sequence[int]) -> Iterator[bytes]:
        """Yield the image files of rows whose chunks come one after the other.

        Raises:
            ConfigurationError: A chunk is not there, or cannot be fetched or kept.
        """
        chunks = self.chunks[np.asarray(rows, np.int64)]
        visits = list(dict.fromkeys(chunks.tolist()))
        try:
            dataset, index = self._open()
            for number, (row, chunk) in enumerate(zip(rows, chunks.tolist(), strict=True)):
                record = dataset[
                    index(
                        index=int(self.places[row]),
                        chunk_index=chunk,
                        chunk_indexes=None if number else visits,
                        is_last_index=number + 1 == len(rows),
                    )
                ]
                yield record[IMAGE]
        except (GeneratorExit, ConfigurationError):
            raise
        except Exception as error:  # whatever a file system, or litdata, raises
            raise ConfigurationError(
                f"{self.address}: cannot be read on ({' '.join(str(error).split()) or type(error).__name__})",
                f"See that it is there and whole, and that {self.folder} has room; then give --resume.",
            ) from error

    def _open(self) -> tuple[Any, Any]:
        """Return litdata's dataset, and its class of indices."""
        require_extra("streaming")
        logging.getLogger("litdata").setLevel(logging.ERROR)  # it advises caches of 25 GB
        from litdata import StreamingDataset
        from litdata.streaming.item_loader import PyTreeLoader
        from litdata.streaming.resolver import Dir
        from litdata.streaming.sampler import ChunkedIndex

        _register_downloader()
        # An open chunk is mapped into memory, where it stays readable when litdata removes the file.
        loader = PyTreeLoader(batch_decode=0)
        place: Any = self.address
        is_elsewhere = "://" in self.address
        if is_elsewhere:
            self.folder.mkdir(parents=True, exist_ok=True)
            place = Dir(path=str(self.folder), url=f"{_BY_FSSPEC}{self.address}")
            partial = self.folder / f"{INDEX}.{os.getpid()}"
            _fetch(f"{self.address}/{INDEX}", str(partial))
            partial.replace(self.folder / INDEX)  # which is the one that litdata takes
        self._check_index(self.folder if is_elsewhere else Path(self.address))
        # A limit of 0 would be none.
        dataset = StreamingDataset(place, item_loader=loader, max_cache_size=max(1, self.megabytes * 2**20))
        if is_elsewhere:
            dataset.posix_fast = (
                None  # it takes addresses that it does not know for this machine's, and removes nothing
            )
        _ = dataset[0:0]  # opens the index, and has whole chunks fetched in place of single images
        loader.set_mmap_allowed_chunks(set(range(len(self.images))))
        return dataset, ChunkedIndex

    def _check_index(self, folder: Path) -> None:
        """Refuse an index that would have litdata write elsewhere, or run what a chunk holds, or that is of others."""
        source = f"{self.address}/{INDEX}"
        index: _Index = read_json(folder / INDEX, _Index, REMEDY)
        config, chunks = index["config"], index["chunks"]
        names = all(re.fullmatch(r"chunk-\d+-\d+\.bin", chunk["filename"]) for chunk in chunks)
        plain = config["data_format"] == ("str", "bytes") and not (config["compression"] or config["encryption"])
        if not names or not plain or tuple(chunk["chunk_size"] for chunk in chunks) != self.images:
            raise ConfigurationError(f"{source}: is not the index of these chunks", REMEDY)

    def clear(self) -> None:
        """Remove the chunks that are kept, and litdata's notes of who reads them, which a killed process leaves."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Where the image files of a streamed set lie."""

    address: str
    """Path, or address that fsspec knows, of the set's folder, which has a folder for each split."""
    images: Mapping[str, tuple[int, ...]]
    """By split the number of images of each chunk."""

    def first_place(self, name: str) -> int:
        """Return the place of the first image of a split."""
        names = list(self.images)
        return sum(sum(self.images[before]) for before in names[: names.index(name)])

    def files(self, name: str, split: Dataset, folder: Path, megabytes: int) -> StreamedFiles:
        """Return the image files of a split, or of a selection of it.

        Args:
            name: What it is to the caller, who may hold out training images for another.
            split: Rows of one split of the set, with their places.
            folder: Chunks are kept in a folder in it.
            megabytes: So much of them.
        """
        places = np.asarray(split[PLACE][:], np.int64)
        origin = [stored for stored in self.images if self.first_place(stored) <= places[0]][-1]
        return StreamedFiles(
            address=f"{self.address.rstrip('/')}/{origin}",
            folder=folder / name,
            megabytes=megabytes,
            images=self.images[origin],
            places=places - self.first_place(origin),
        )


class StreamedBatches:
    """Batches whose draws bring their image files, read in one go for each iteration.

    Args:
        batches: Which images make which batch.
        files: Of the split.
    """

    def __init__(self, batches: "Draws", files: StreamedFiles) -> None:
        self.batches = batches
        self.files = files

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list["Draw"]]:
        batches = list(self.batches)
        drawn = [(view, row) for batch in batches for view, row, *_ in batch]
        # A step in which one chunk ends and the next begins may have several parts: each chunk is read once.
        chunks = self.files.chunks[[row for _, row in drawn]]
        _, first, visit = np.unique(chunks, return_index=True, return_inverse=True)
        in_order = [drawn[position] for position in np.argsort(first[visit], kind="stable")]
        contents = zip(in_order, self.files.read([row for _, row in in_order]), strict=True)
        waiting: dict[tuple[int, int], bytes] = {}
        for batch in batches:
            draws: list[Draw] = []
            for view, row, *_ in batch:
                while (view, row) not in waiting:
                    draw, content = next(contents)
                    waiting[draw] = content
                draws.append((view, row, waiting.pop((view, row))))
            yield draws


def _register_downloader() -> None:
    """Have litdata fetch by fsspec, which knows more places, and as the table of the images was fetched."""
    from filelock import FileLock
    from litdata.streaming.downloader import Downloader, register_downloader

    class FsspecDownloader(Downloader):
        """Fetches files by fsspec."""

        def download_file(self, remote_chunkpath: str, local_chunkpath: str) -> None:
            """Fetch a file, which has its name when it is whole; other processes wait for it."""
            with FileLock(f"{local_chunkpath}.lock"):
                if not Path(local_chunkpath).exists():
                    partial = self._temp_download_path(local_chunkpath)
                    _fetch(remote_chunkpath.removeprefix(_BY_FSSPEC), partial)
                    self._publish_file(partial, local_chunkpath)

        async def adownload_file(self, remote_filepath: str, local_filepath: str) -> None:
            """Fetch a file in a thread."""
            await asyncio.to_thread(self.download_file, remote_filepath, local_filepath)

    register_downloader(_BY_FSSPEC, FsspecDownloader, overwrite=True)


def _fetch(address: str, target: str) -> None:
    for left in reversed(range(_TRIES)):
        try:
            system, path = fsspec.core.url_to_fs(address)
            system.get_file(path, target)
            return
        except Exception as error:
            with suppress(OSError):
                Path(target).unlink()
            if not left:
                raise
            logger.debug("%s: fetched again (%s)", address, error)
            time.sleep(1)
