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
from mlrsnet_hf.inputs.columns.columns import UNKNOWN
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.stream_reading import PLACE, REMEDY, Stream
from mlrsnet_hf.inputs.task import ImageData
from mlrsnet_hf.inputs.value_range import settle_reading
from mlrsnet_hf.runtime.logs import get_logger

MANIFEST = "stream.json"
ROWS = "rows.parquet"
FORMAT = 1
_NEEDED = {"train", "validation"}
_MEASURED = 256
"""Training images of which percentiles are taken: chunks hold them in a random order, so the first will do."""

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
    manifest: Manifest = parse_json(content, Manifest, f"{address}/{MANIFEST}", REMEDY)
    # Splits of other names would be folders of other names, here too.
    if manifest.format != FORMAT or not _NEEDED <= manifest.images.keys() <= _NEEDED | {"test"}:
        raise ConfigurationError(f"{address}/{MANIFEST}: another version wrote it, or it has other splits", REMEDY)
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
        return parse_json((folder / MANIFEST).read_bytes(), Manifest, str(folder), REMEDY)
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
            f"{address}/{name}: cannot be read ({' '.join(str(error).split()) or type(error).__name__})", REMEDY
        ) from error
    return content


def _table(stream: Stream, name: str, manifest: Manifest) -> Dataset:
    """Return the rows of a split, checked, with the place of each row's image."""
    content = _read(stream.address, f"{name}/{ROWS}")
    try:
        # What `datasets` notes of the columns in a file is left out: it may be anything.
        rows = pq.read_table(pa.BufferReader(content)).replace_schema_metadata(None)
        split = Dataset(InMemoryTable(rows))
        fault = _fault(split, sum(manifest.images[name]), manifest)
    except (OSError, pa.ArrowException, ValueError, TypeError, KeyError) as error:
        fault = f"is no table of a split ({' '.join(str(error).split())})"
    if fault:
        raise ConfigurationError(f"{stream.address}/{name}/{ROWS}: {fault}", REMEDY)
    first = stream.first_place(name)
    return split.add_column(PLACE, list(range(first, first + len(split))))


def _fault(split: Dataset, images: int, manifest: Manifest) -> str | None:
    """Return what is wrong with the rows of a split."""
    limits = {"labels": len(manifest.label_names), UNKNOWN: len(manifest.label_names)}
    if manifest.scene_names:
        limits["scene"] = len(manifest.scene_names)
    if not {"id", *limits} - {UNKNOWN} <= set(split.column_names) or split.features["id"] != Value("string"):
        return f"has the columns {', '.join(split.column_names)}"
    if len(split) != images:
        return f"has {len(split):,} rows for {images:,} images"
    for column in limits.keys() & set(split.column_names):
        rows = split[column][:]
        values = rows if column == "scene" else chain.from_iterable(rows)
        if not all(isinstance(value, int) and 0 <= value < limits[column] for value in values):
            return f"has in its column {column!r} what is none of the {limits[column]} names in {MANIFEST}"
    return None


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
