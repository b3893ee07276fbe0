"""The images that are embedded, as one split of a dataset, and found again to be shown."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.compute as pc

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval.settings import ImageSet

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")


@dataclass(frozen=True, slots=True)
class ImageSplit:
    """One split, and what is known of it."""

    rows: datasets.Dataset
    """Columns `id`, `image`, and, where the data has them, `scene` and `labels`."""
    label_names: tuple[str, ...]
    scene_names: tuple[str, ...]
    source: Mapping[str, Any]
    """Name, protocol, split, seed and version of the labels; no path of this machine."""

    def fingerprint(self) -> str:
        """Return a hash of ids, labels, scenes, and sizes of the image files, in order."""
        table = self.rows.with_format("arrow")
        digest = hashlib.sha256()
        for start in range(0, len(self.rows), 4096):
            batch: pa.Table = table[start : start + 4096]
            image = batch["image"].combine_chunks()
            sizes = pc.binary_length(pc.struct_field(image, "bytes")).to_pylist()
            paths = pc.struct_field(image, "path").to_pylist()
            sizes = [_size(path) if size is None else size for size, path in zip(sizes, paths, strict=True)]
            columns = [batch[name].to_pylist() for name in ("id", "scene", "labels") if name in batch.column_names]
            digest.update(repr((sizes, columns)).encode())
        return digest.hexdigest()


def load_images(images: ImageSet) -> ImageSplit:
    """Return the images.

    Raises:
        ConfigurationError: There are none, or no such split.
        MLRSNetError: The release cannot be used.
    """
    return _from_folder(Path(images.images).expanduser()) if images.images else _from_mlrsnet(images)


def _from_mlrsnet(images: ImageSet) -> ImageSplit:
    try:
        rows = datasets.load_dataset(
            "mlrsnet",
            images.protocol,
            data_dir=images.data_dir,
            seed=images.split_seed,
            labels=images.labels,
            split=images.split,
        )
    except ValueError as error:
        if "split" not in str(error).lower():
            raise
        raise ConfigurationError(
            f"split={images.split!r} of protocol {images.protocol!r}: {error}".rstrip("."),
            "Ratio protocols have train, validation and test, retrieval protocols query and database.",
        ) from error
    features = rows.features
    source = {
        "name": "mlrsnet",
        "protocol": images.protocol,
        "split": images.split,
        "seed": images.split_seed,
        "labels": images.labels,
    }
    label_names, scene_names = tuple(features["labels"].feature.names), tuple(features["scene"].names)
    return ImageSplit(rows.select_columns(["id", "image", "scene", "labels"]), label_names, scene_names, source)


def _from_folder(folder: Path) -> ImageSplit:
    if not folder.is_dir():
        raise ConfigurationError(f"images={folder}: no such folder", "Check the path.")
    below = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    names = sorted(path.as_posix() for path in below if not any(part.startswith(".") for part in path.parts))
    if not names:
        raise ConfigurationError(f"images={folder}: no image in it", f"Known suffixes: {', '.join(SUFFIXES)}.")
    features = datasets.Features({"id": datasets.Value("string"), "image": datasets.Image()})
    rows = {"id": names, "image": [{"bytes": None, "path": str((folder / name).absolute())} for name in names]}
    return ImageSplit(datasets.Dataset.from_dict(rows, features=features), (), (), {"name": folder.absolute().name})


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return -1  # what reads it says what is wrong with it
