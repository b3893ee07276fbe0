"""Pictures of embedded images, found again to be shown."""

import contextlib
import threading
from collections.abc import Mapping, Sequence

import datasets
from PIL import Image

from mlrsnet_hf.errors import MLRSNetError
from mlrsnet_hf.inputs.images import load_images
from mlrsnet_hf.inputs.pixels.decoding import ImageFile, decode_rgb
from mlrsnet_hf.retrieval.embeddings.info import LocalSources
from mlrsnet_hf.retrieval.embeddings.query import IndexedImage


class PictureFiles:
    """The image files of embedded images, found again where they were embedded; each dataset is opened once.

    Args:
        local: Where the images lie; None where it is not known.
        appended: The same of those that were added later: the last of them counts, and their rows are their own.
    """

    def __init__(self, local: LocalSources | None, appended: Sequence[LocalSources] = ()) -> None:
        self._sources = [(source, source is not local) for source in (*reversed(appended), local) if source is not None]
        self._opened: dict[int, tuple[datasets.Dataset, bool] | None] = {}
        self._by_id: dict[int, Mapping[str, int]] = {}
        self._lock = threading.Lock()

    def find(self, images: Sequence[IndexedImage]) -> Mapping[str, ImageFile]:
        """Return the files by id, undecoded; one that is gone is left out."""
        found: dict[str, ImageFile] = {}
        for number in range(len(self._sources)):
            missing = [image for image in images if image.id not in found]
            opened = self._open(number) if missing else None
            if opened is None:
                continue
            rows, has_own_rows = opened
            for image in missing:
                if not has_own_rows and image.row < len(rows) and (row := rows[image.row])["id"] == image.id:
                    found[image.id] = row["image"]
                elif (place := self._places(number, rows).get(image.id)) is not None:
                    found[image.id] = rows[place]["image"]
        return found

    def _places(self, number: int, rows: datasets.Dataset) -> Mapping[str, int]:
        """Return the rows of a source by id, for those that it has elsewhere now, such as after images were added."""
        with self._lock:
            if number not in self._by_id:
                self._by_id[number] = {name: row for row, name in enumerate(rows["id"])}
            return self._by_id[number]

    def _open(self, number: int) -> tuple[datasets.Dataset, bool] | None:
        """Return the rows of a source, and whether it was appended, with rows of its own; None if it is not there."""
        with self._lock:
            if number not in self._opened:
                self._opened[number] = None
                source, has_own_rows = self._sources[number]
                with contextlib.suppress(MLRSNetError):  # moved or removed since: ids and labels are still told
                    rows = load_images(source.images).rows.select_columns(["id", "image"])
                    self._opened[number] = rows.cast_column("image", datasets.Image(decode=False)), has_own_rows
            return self._opened[number]


def find_pictures(
    images: Sequence[IndexedImage], local: LocalSources | None, appended: Sequence[LocalSources] = ()
) -> Mapping[str, Image.Image]:
    """Return the pictures of images by id, those that can still be read; see `PictureFiles`."""
    found = {}
    for name, file in PictureFiles(local, appended).find(images).items():
        with contextlib.suppress(MLRSNetError):
            found[name] = decode_rgb(file, name)
    return found


def pictures_of(images: Sequence[IndexedImage], rows: datasets.Dataset) -> Mapping[str, Image.Image]:
    """Return the pictures of images by id; one that is gone, or stands in another row, is left out."""
    raw = rows.cast_column("image", datasets.Image(decode=False))
    found = {}
    for image in images:
        if image.row < len(raw) and (row := raw[image.row])["id"] == image.id:
            with contextlib.suppress(MLRSNetError):
                found[image.id] = decode_rgb(row["image"], image.id)
    return found
