"""A streamed set: a folder, here or elsewhere, of chunks of image files, and beside them a table of each split.

`stream.json`, written last, says what the set holds. In the folder of a split, `rows.parquet` has the ids, labels and
scenes, which always fit into memory, and `index.json` and `chunk-*.bin` are a dataset of litdata's: records of `id` and
`image`, the file untouched. `stream_writing` writes it.
"""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import fsspec.core
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, Image, Value
from datasets.table import InMemoryTable

from mlrsnet_hf.configuration.json_file import MOST_BYTES, Name, parse_json
from mlrsnet_hf.configuration.settings import Count
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.columns import UNKNOWN
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.stream_reading import PLACE, Stream
from mlrsnet_hf.inputs.task import ImageData
from mlrsnet_hf.inputs.value_range import settle_reading
from mlrsnet_hf.runtime.logs import get_logger

MANIFEST = "stream.json"
ROWS = "rows.parquet"
INDEX = "index.json"
"""Litdata's."""
FORMAT = 1
_MEASURED = 256
"""Training images of which percentiles are taken: chunks hold them in a random order, so the first will do."""
_REMEDY = "Give a folder, or its address, that mlrsnet prepare --format litdata has written whole."

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a streamed set holds."""

    format: int
    engine: Name
    """What wrote the chunks, with its version."""
    origin: Mapping[str, Any]
    """What the set was made of, to tell whether another run would make the same."""
    label_names: tuple[Name, ...]
    scene_names: tuple[Name, ...]
    source: Mapping[str, Any]
    """`ImageData.source`."""
    images: Mapping[Name, tuple[Count, ...]]
    """By split the number of images of each chunk."""


def load_stream(config: DataConfig) -> ImageData:
    """Open a streamed set: its tables are read, of its images none, unless a range of values is to be measured.

    Args:
        config: Gives `streaming`, and perhaps `bands` and `value_range`.

    Raises:
        ConfigurationError: It cannot be reached, or is no streamed set, or a damaged one.
        MissingExtraError: litdata, or rasterio where it is needed, is not installed.
    """
    assert config.streaming is not None, "no streamed set is asked for"
    address = config.streaming if "://" in config.streaming else str(Path(config.streaming).expanduser().absolute())
    content = _read(address, MANIFEST)
    manifest: Manifest = parse_json(content, Manifest, f"{address}/{MANIFEST}", _REMEDY)
    if manifest.format != FORMAT or not {"train", "validation"} <= manifest.images.keys():
        raise ConfigurationError(f"{address}/{MANIFEST}: another version wrote it, or it lacks a split", _REMEDY)
    stream = Stream(address=address, images=manifest.images)
    splits = {name: _table(stream, name, manifest) for name in manifest.images}
    parts = [f"{len(split):,} {name}" for name, split in splits.items()]
    logger.info("data: %s, %d labels, streamed from %s", ", ".join(parts), len(manifest.label_names), address)
    reading = settle_reading({"train": _first_images(stream, splits["train"], config)}, config)
    fingerprint = hashlib.sha256(content).hexdigest()[:32]
    return ImageData(
        splits=splits,
        label_names=manifest.label_names,
        scene_names=manifest.scene_names,
        # Streamed or not, the images are the same, but their order is not: a run goes on as it began.
        source={**manifest.source, "streamed": True, "fingerprint": fingerprint, **reading.to_json()},
        reading=reading,
        stream=stream,
    )


def find_manifest(folder: Path) -> Manifest | None:
    """Return the manifest in a folder of this machine; None where there is none that can be read."""
    try:
        return parse_json((folder / MANIFEST).read_bytes(), Manifest, str(folder), _REMEDY)
    except (OSError, ConfigurationError):
        return None


def manifest_text(manifest: Mapping[str, Any]) -> str:
    """Return the content of `stream.json`."""
    return json.dumps(manifest, indent=1) + "\n"


def _read(address: str, name: str) -> bytes:
    """Return a small file of the set."""
    try:
        system, path = fsspec.core.url_to_fs(address)
        with system.open(f"{path.rstrip('/')}/{name}", "rb") as file:
            content: bytes = file.read() if name.endswith(ROWS) else file.read(MOST_BYTES + 1)
    except Exception as error:  # each file system, and the library behind it, has errors of its own
        raise ConfigurationError(
            f"{address}/{name}: cannot be read ({' '.join(str(error).split()) or type(error).__name__})", _REMEDY
        ) from error
    return content


def _table(stream: Stream, name: str, manifest: Manifest) -> Dataset:
    """Return the rows of a split, checked, with the place of each row's image."""
    source = f"{stream.address}/{name}/{ROWS}"
    content = _read(stream.address, f"{name}/{ROWS}")
    try:
        split = Dataset(InMemoryTable(pq.read_table(pa.BufferReader(content))))
    except (pa.ArrowException, ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(f"{source}: is no table of a split ({error})", _REMEDY) from error
    images = sum(manifest.images[name])
    labels = len(manifest.label_names)
    scenes = ["scene"] if manifest.scene_names else []
    fault = None
    if not {"id", "labels", *scenes} <= set(split.column_names) or split.features["id"] != Value("string"):
        fault = f"its columns are {', '.join(split.column_names)}"
    elif len(split) != images:
        fault = f"it has {len(split):,} rows for {images:,} images"
    elif not all(
        isinstance(label, int) and 0 <= label < labels
        for column in ("labels", UNKNOWN)
        if column in split.column_names
        for label in chain.from_iterable(split[column][:])
    ):
        fault = f"a label is none of the {labels} that {MANIFEST} names"
    elif scenes and not all(
        isinstance(scene, int) and 0 <= scene < len(manifest.scene_names) for scene in split["scene"][:]
    ):
        fault = f"a scene is none of the {len(manifest.scene_names)} that {MANIFEST} names"
    if fault:
        raise ConfigurationError(f"{source}: {fault}", _REMEDY)
    first = stream.first_place(name)
    return split.add_column(PLACE, list(range(first, first + images)))


def _first_images(stream: Stream, train: Dataset, config: DataConfig) -> Dataset:
    """Return as many training images as are measured; none where nothing is to be measured."""
    rows = range(min(_MEASURED, len(train)) if config.bands or config.value_range else 0)
    files: list[dict[str, Any]] = []
    if rows:
        with tempfile.TemporaryDirectory() as folder:
            read = stream.files("train", train, Path(folder), 0).read(rows)
            files = [{"bytes": content, "path": None} for content in read]
    sample = Dataset.from_dict({"id": train["id"][: len(rows)], "image": files})
    return sample.cast_column("image", Image()) if rows else sample
