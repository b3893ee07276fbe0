"""Small pictures for people to look at, made once: kept in a folder under the hash of the image file."""

import hashlib
import io
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import datasets

from mlrsnet_hf.inputs.pixels.decoding import decode_rgb, file_content

SIDE = 224
"""Pixels of the longer side, at most."""
_QUALITY = 85


def thumbnails_folder() -> Path:
    """Return where small pictures are kept, in the cache of `datasets`."""
    return Path(datasets.config.HF_DATASETS_CACHE) / "mlrsnet_thumbnails"


class Thumbnails:
    """JPEG files of small pictures; any number of threads and processes may use one folder.

    Args:
        folder: Is made when it is needed; it may be removed at any time, and costs the time to make them again.
        side: Pixels of the longer side, at most.
    """

    def __init__(self, folder: Path, side: int = SIDE) -> None:
        self.folder = folder
        self.side = side

    def jpeg(self, image: Mapping[str, Any], name: str) -> bytes:
        """Return the small picture of an undecoded value of a `datasets.Image` column, as a JPEG file.

        Args:
            image: `bytes`, or `path` if these are not there.
            name: How an error calls the image.

        Raises:
            ImageError: The image cannot be read.
        """
        content = file_content(image, name)
        digest = hashlib.blake2b(content, digest_size=16).hexdigest()
        path = self.folder / digest[:2] / f"{digest[2:]}-{self.side}.jpg"
        with suppress(OSError):
            return path.read_bytes()
        small = decode_rgb({"bytes": content, "path": None}, name)
        small.thumbnail((self.side, self.side))
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=_QUALITY)
        with suppress(OSError):  # a full disk costs time, and no picture
            path.parent.mkdir(parents=True, exist_ok=True)
            # Each writer has a name of its own: several may make one picture at once, and none must read a part of it.
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as partial:
                partial.write(buffer.getvalue())
                partial.flush()
                os.fsync(partial.fileno())
            Path(partial.name).replace(path)
        return buffer.getvalue()
