"""The pictures of the diversity study: copies of one size and format, whose names do not tell their set."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from mlrsnet_hf.curation.config import LEAST_SIDE
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.escaping import quoted
from mlrsnet_hf.inputs.config import MLRSNET
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.inputs.images import ImageSplit, load_images
from mlrsnet_hf.inputs.pixels.decoding import ImageFiles, decode_rgb, file_side
from mlrsnet_hf.published import IMAGERY
from mlrsnet_hf.retrieval.embeddings.info import INFO_FILE, LocalSources
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable

LARGEST_SIDE = 256
"""Pixels, where nothing else is asked for: about what a page of 12 pairs shows on a screen of many pixels."""
_QUALITY = 95
"""Of JPEG; with it, the files of a study of 46 categories fit into a gigabyte."""


class PictureSet:
    """The images of one of the sets that are compared.

    Args:
        source: Folder of `mlrsnet embed`, whose images lie where they were embedded; or a folder that holds a folder of
            images for each scene.

    Raises:
        ConfigurationError: It is neither, its images are no longer there, or it names no scenes.
    """

    def __init__(self, source: Path) -> None:
        source = source.expanduser()
        self._source = source
        split, scenes = _embedded(source) if (source / INFO_FILE).is_file() else _in_folders(source)
        self._rows = {name: row for row, name in enumerate(split.rows["id"][:])}
        self._files = ImageFiles(split.rows)
        self.scenes: dict[str, list[str]] = defaultdict(list)
        """Scene -> ids of its images."""
        for name, scene in scenes.items():
            if name in self._rows:
                self.scenes[scene].append(name)
        if not self.scenes:
            raise ConfigurationError(
                f"{source}: names no scenes", "Give a folder of images for each scene, or embeddings that have scenes."
            )
        self.attribution = IMAGERY if split.source.get("name") == MLRSNET else ""
        """Whose pictures they are, as whoever shows them has to say; empty where nothing is known."""

    def side(self, name: str) -> int:
        """Return the pixels of an image's shorter side.

        Raises:
            MLRSNetError: It is not there, or cannot be read.
        """
        return file_side(self._file(name), name)

    def picture(self, name: str, side: int) -> Image.Image:
        """Return the square in the middle of an image, at a size.

        Raises:
            MLRSNetError: It is not there, or cannot be read.
        """
        image = decode_rgb(self._file(name), name)
        return ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS)

    def _file(self, name: str) -> Mapping[str, Any]:
        if name not in self._rows:
            raise ConfigurationError(f"{self._source}: image {quoted(name)} is not there", "Put it back.")
        return self._files[self._rows[name]]


def picture_name(study: str, set_name: str, image: str) -> str:
    """Return the name of the file in which a study shows an image; it does not tell which."""
    return hashlib.sha256(json.dumps([study, set_name, image]).encode()).hexdigest()[:24] + ".jpg"


def common_side(sets: Mapping[str, PictureSet], images: Iterable[tuple[str, str]]) -> int:
    """Return the size at which no image has to be enlarged: the shorter side of the smallest, `LARGEST_SIDE` at most.

    What has less than `LEAST_SIDE` pixels is enlarged all the same.

    Args:
        sets: By their names.
        images: Set and id of each.

    Raises:
        MLRSNetError: An image cannot be read.
    """
    return max(LEAST_SIDE, min([LARGEST_SIDE, *(sets[name].side(image) for name, image in images)]))


def write_picture(sets: Mapping[str, PictureSet], set_name: str, image: str, side: int, path: Path) -> None:
    """Write an image of a set as a study shows it, whole or not at all.

    Raises:
        MLRSNetError: It cannot be read or written.
    """
    partial = path.with_name(f".{path.name}")  # nobody waits for the disk: a copy that is lost is made again
    try:
        sets[set_name].picture(image, side).save(partial, format="JPEG", quality=_QUALITY, subsampling=0)
        partial.replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be written ({error.strerror or error})", "Choose another folder or disk."
        ) from error


def _embedded(source: Path) -> tuple[ImageSplit, Mapping[str, str]]:
    """Return the images that were embedded, and the scene of each that has one."""
    table = EmbeddingTable.load(source)
    names = table.info.scene_names
    places = [-1] * len(table.ids) if table.scenes is None else table.scenes.tolist()
    scenes = {name: names[place] for name, place in zip(table.ids, places, strict=True) if place >= 0}
    try:
        return load_images(_sources(source)), scenes
    except MLRSNetError as error:
        raise ConfigurationError(
            f"the images of {source} are not where they were ({error.found})",
            "Put them back, or give a folder that holds a folder of images for each scene.",
        ) from error


def _sources(source: Path) -> ImageSet:
    sources = LocalSources.read(source)
    if sources is None:
        raise ConfigurationError(
            f"{source}: does not say where its images are",
            "Give a folder that holds a folder of images for each scene.",
        )
    return sources.images


def _in_folders(source: Path) -> tuple[ImageSplit, Mapping[str, str]]:
    """Return the images below a folder, and the folder in it that each lies in."""
    split = load_images(ImageSet(images=str(source)))
    return split, {name: name.partition("/")[0] for name in split.rows["id"][:] if "/" in name}
