"""Decoded images of a split, in memory or in a file that the processes of a machine share."""

import hashlib
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.files import whole_folder
from mlrsnet_hf.inputs.pixels.decoding import ImageFiles, Pixels
from mlrsnet_hf.parallel import available_cores
from mlrsnet_hf.runtime.logs import get_logger, progress_bar

Decode = Callable[[int], Pixels]
"""Returns the image of a row; called from several threads."""

_FORMAT = 2
"""Format of the files; whoever changes what the same transform makes of the same image raises it too."""
_PIXELS, _SIZES = "pixels.bin", "sizes.npy"
_SAMPLE = 16
"""So many images, spread over the split, tell how much all of them will take."""
_PART = 1024

logger = get_logger(__name__)


def decode_to_memory(decode: Decode, rows: int, megabytes: int) -> Sequence[Pixels] | None:
    """Return all images decoded; None, and a line in the log, if they take more than `megabytes`.

    Raises:
        ImageError: An image cannot be read.
    """
    return list(_decode_all(decode, rows)) if _fit(decode, rows, megabytes) else None


def decode_to_disk(decode: Decode, files: ImageFiles, kind: str, folder: Path, megabytes: int) -> "DecodedFile | None":
    """Return all images decoded, from a file that an earlier call, here or elsewhere, has made of the same images.

    The first process writes the file, others wait for it. It has its final name only when it is whole.

    Args:
        decode: Returns the image of a row.
        files: What `decode` reads; its content is part of the fingerprint.
        kind: What else changes the pixels: the transform, the decoder and its version.
        folder: Holds one folder for each fingerprint.
        megabytes: The allowance; None is returned, and a line logged, if the images take more.

    Raises:
        ImageError: An image cannot be read.
        ConfigurationError: The folder cannot be written.
    """
    target = folder.expanduser().absolute() / _fingerprint(files, kind)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            found = _open_whole(target)
            if found is None and _fit(decode, len(files), megabytes):
                _write(target, decode, len(files))
                found = DecodedFile(target)
            return found
    except OSError as error:
        raise ConfigurationError(
            f"{target}: decoded images cannot be kept here ({error.strerror or error})",
            "Choose another cache_dir, or give --cache off.",
        ) from error


class DecodedFile:
    """Images in a folder: their bytes one after another in one file, mapped into memory, and an array of their shapes.

    Raises:
        ValueError: The files do not fit together.
        OSError: They cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        sizes = np.load(folder / _SIZES)
        # Files of RGB images do not tell the number of channels.
        self.sizes = sizes if sizes.shape[-1] == 3 else np.pad(sizes, ((0, 0), (0, 1)), constant_values=3)
        self.ends = np.cumsum(self.sizes.prod(axis=1))
        # Copy-on-write, because torch warns of arrays that cannot be written; nobody writes.
        self.pixels = np.memmap(folder / _PIXELS, np.uint8, mode="c").view(np.ndarray)
        if len(self.pixels) != self.ends[-1]:
            raise ValueError(f"{folder / _PIXELS}: {len(self.pixels)} bytes, not {self.ends[-1]}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as the name of the folder."""
        return DecodedFile, (self.folder,)

    def __getitem__(self, row: int) -> Pixels:
        """Return the image of a row, (H, W, C) uint8."""
        shape = self.sizes[row].tolist()
        end = int(self.ends[row])
        return self.pixels[end - math.prod(shape) : end].reshape(shape)


def _fingerprint(files: ImageFiles, kind: str) -> str:
    """Return a name for the images of these files, in this order, decoded in this way."""
    digest = hashlib.blake2b(f"{_FORMAT}, {kind}, {len(files)}".encode(), digest_size=16)
    for row in range(len(files)):
        file = files[row]
        if file["bytes"] is not None:
            digest.update(b"%d:" % len(file["bytes"]))
            digest.update(file["bytes"])
        elif file["path"] is not None:
            path = Path(file["path"].rpartition("::")[2])  # of one in an archive, the archive
            # A missing file is left for the decoder to report, which knows its row's id.
            status = path.stat() if path.exists() else None
            digest.update(f"{file['path']}:{status and (status.st_size, status.st_mtime_ns)}".encode())
    return digest.hexdigest()


def _open_whole(target: Path) -> DecodedFile | None:
    """Return what an earlier call has left; None, and nothing left of it, if it is damaged."""
    try:
        return DecodedFile(target)
    except FileNotFoundError:
        shutil.rmtree(target, ignore_errors=True)
    except (ValueError, EOFError):  # numpy raises the latter for an empty file
        shutil.rmtree(target)
    return None


def _write(target: Path, decode: Decode, rows: int) -> None:
    sizes = []
    with whole_folder(target, durable=True) as partial:
        with (partial / _PIXELS).open("wb") as file:
            for image in _decode_all(decode, rows):
                sizes.append(image.shape if image.shape[2] != 3 else image.shape[:2])
                file.write(np.ascontiguousarray(image).data)
        np.save(partial / _SIZES, np.array(sizes, np.int64))


def _fit(decode: Decode, rows: int, megabytes: int) -> bool:
    """Return whether the images will fit, judged by some of them."""
    some = range(0, rows, max(1, rows // _SAMPLE))
    needed = sum(decode(row).nbytes for row in some) / len(some) * rows / 2**20
    if needed > megabytes:
        logger.info(
            "%d decoded images take about %.0f MB, more than cache_megabytes=%d: they are decoded anew in each epoch",
            rows,
            needed,
            megabytes,
        )
    return needed <= megabytes


def _decode_all(decode: Decode, rows: int) -> Iterator[Pixels]:
    """Yield all images in order, decoded by all cores."""
    bar = progress_bar(description="decoding", total=rows, unit="img", leave=False)
    with bar, ThreadPoolExecutor(available_cores()) as pool:
        # A part at a time, so that a slow disk does not fill the memory with images that wait for it.
        for start in range(0, rows, _PART):
            for image in pool.map(decode, range(start, min(start + _PART, rows))):
                bar.update()
                yield image
