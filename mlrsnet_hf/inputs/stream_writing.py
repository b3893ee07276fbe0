"""Any images of `load_data` as a streamed set; a run that was cut short is completed by the next."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from datasets import Dataset

from mlrsnet_hf.configuration.json_file import json_as
from mlrsnet_hf.errors import require_extra
from mlrsnet_hf.files import refuse_existing, sync
from mlrsnet_hf.inputs.columns.columns import UNKNOWN
from mlrsnet_hf.inputs.pixels.decoding import ImageFiles, file_content
from mlrsnet_hf.inputs.stream import FORMAT, MANIFEST, ROWS, find_manifest, manifest_text
from mlrsnet_hf.inputs.stream_reading import IMAGE, INDEX
from mlrsnet_hf.inputs.task import ImageData
from mlrsnet_hf.resumable_folder import ResumableFolder, resumable_folder
from mlrsnet_hf.runtime.logs import progress_bar

_SAMPLE = 256
"""Image files of each split, evenly spread, that tell the size of a chunk, and whether the images are the same."""
_ORDER_SEED = 0
"""Of the order in which training images are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenChunk:
    """A chunk that is whole."""

    split: str
    number: int
    index: Mapping[str, Any]
    """What litdata's index says of it: `chunks` and `config`."""

    @property
    def file_name(self) -> str:
        """Its name in the folder of its split."""
        return str(self.index["chunks"][0]["filename"])

    @property
    def file_bytes(self) -> int:
        """Its size."""
        return int(self.index["chunks"][0]["chunk_bytes"])

    def is_whole(self, folder: Path) -> bool:
        """Say whether the set's folder holds all of it."""
        path = folder / self.split / self.file_name
        return path.is_file() and path.stat().st_size == self.file_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenStream:
    """A streamed set that is whole."""

    folder: Path
    images: Mapping[str, tuple[int, ...]]
    """By split the number of images of each chunk."""
    file_bytes: int
    taken_up: int = 0
    """Number of images that an earlier run had written."""
    was_whole: bool = False

    def summary(self) -> str:
        """Return what was made, and what to do next, for the terminal."""
        counts = ", ".join(f"{sum(images):,} {name}" for name, images in self.images.items())
        chunks = sum(map(len, self.images.values()))
        lines = [
            f"{counts} images in {chunks} chunks, {self.file_bytes / 1e6:,.0f} MB: {self.folder}",
            f"next: mlrsnet train --streaming {self.folder}, or its address when it is copied elsewhere",
        ]
        if self.was_whole:
            lines.insert(0, "this set is there already, whole and of the same images and settings")
        elif self.taken_up:
            lines.append(f"{self.taken_up:,} images were there from an earlier run")
        return "\n".join(lines)


def write_stream(data: ImageData, target: str | Path, chunk_megabytes: float = 32.0) -> WrittenStream:
    """Write images and labels as a streamed set, which takes its name when it is whole.

    Training images are written in a random order, the same for the same images, so that each chunk is a random part of
    them: training shuffles chunks, and the images of a chunk. Other splits keep their order. A run that is cut short
    leaves `.<name>.partial` beside the target, and the next one with the same images and settings goes on from there.

    Args:
        data: The splits.
        target: The folder to create.
        chunk_megabytes: Size of a chunk, about; what training keeps of another machine's set is a number of chunks.

    Raises:
        MissingExtraError: litdata is not installed.
        ImageError: An image file is not there.
        ConfigurationError: The target exists and is another set, another process is writing it, or it cannot be
            written.
    """
    require_extra("streaming")
    target = Path(target).expanduser().absolute()
    planned = {name: _Planned(name, split, chunk_megabytes) for name, split in data.splits.items()}
    origin = {
        "format": FORMAT,
        "source": data.source["fingerprint"],
        "names": [*data.label_names, *data.scene_names],
        "files": {name: plan.digest for name, plan in planned.items()},
        "images": {name: list(plan.images) for name, plan in planned.items()},
    }
    images = {name: plan.images for name, plan in planned.items()}
    made = _origin_of(target)
    if made and made[0] == origin and all(WrittenChunk(**note).is_whole(target) for note in made[1:]):
        return WrittenStream(folder=target, images=images, file_bytes=_bytes_of(target), was_whole=True)
    refuse_existing(target)
    with resumable_folder(target, origin, _origin_of) as folder:
        done = _taken_up(folder)
        taken_up = sum(planned[split].images[number] for split, number in done)
        total = sum(map(sum, images.values()))
        with progress_bar(description="preparing", total=total, initial=taken_up, unit="image") as bar:
            for plan in planned.values():
                for number in range(len(plan.images)):
                    if (plan.name, number) not in done:
                        done[plan.name, number] = plan.write(number, folder.path)
                        folder.note(_note(done[plan.name, number]))
                        bar.update(plan.images[number])
        for plan in planned.values():
            plan.finish(folder.path, [done[plan.name, number] for number in range(len(plan.images))])
        manifest = {
            "format": FORMAT,
            "engine": f"litdata {version('litdata')}",
            "origin": origin,
            "label_names": list(data.label_names),
            "scene_names": list(data.scene_names),
            "source": dict(data.source),
            "images": origin["images"],
        }
        (folder.path / MANIFEST).write_text(manifest_text(manifest), encoding="utf-8")
    return WrittenStream(folder=target, images=images, file_bytes=_bytes_of(target), taken_up=taken_up)


class _Planned:
    """A split, cut into chunks."""

    def __init__(self, name: str, split: Dataset, chunk_megabytes: float) -> None:
        self.name = name
        self._split = split
        self._files = ImageFiles(split)
        self._ids: list[str] = split["id"][:]
        rows = np.arange(len(split))
        self._order = np.random.default_rng(_ORDER_SEED).permutation(rows) if name == "train" else rows
        digest, sizes = hashlib.sha256(), []
        for row in range(0, len(split), -(-len(split) // _SAMPLE)):
            content = self._content(row)
            digest.update(content)
            sizes.append(len(content))
        self.digest = digest.hexdigest()
        chunks = max(1, round(np.mean(sizes) * len(split) / (chunk_megabytes * 2**20)))
        self._cuts = [len(split) * i // min(chunks, len(split)) for i in range(min(chunks, len(split)) + 1)]

    @property
    def images(self) -> tuple[int, ...]:
        """Number of images of each chunk."""
        return tuple(end - start for start, end in pairwise(self._cuts))

    def write(self, number: int, root: Path) -> WrittenChunk:
        """Write a chunk, and wait until it has reached the disk."""
        from litdata.streaming.writer import BinaryWriter

        folder = root / self.name
        rows = self._order[self._cuts[number] : self._cuts[number + 1]].tolist()
        writer = BinaryWriter(str(folder), chunk_size=max(self.images), chunk_index=number)
        for place, row in enumerate(rows):
            writer[place] = {"id": self._ids[row], IMAGE: self._content(row)}
        (path,) = map(Path, writer.done())
        sync(path)
        (index,) = folder.glob(f"[0-9]*.{INDEX}")  # of this writer; the one of all chunks is made in the end
        written = WrittenChunk(split=self.name, number=number, index=json.loads(index.read_text()))
        index.unlink()
        return written

    def finish(self, root: Path, chunks: Sequence[WrittenChunk]) -> None:
        """Write the table of the split, and litdata's index of all its chunks."""
        kept = [column for column in ("id", "labels", "scene", UNKNOWN) if column in self._split.column_names]
        rows: Any = self._split.select_columns(kept).select(self._order).with_format("arrow")
        pq.write_table(rows[:].replace_schema_metadata(None), root / self.name / ROWS)
        index = dict(chunks[0].index) | {"chunks": [chunk.index["chunks"][0] for chunk in chunks]}
        (root / self.name / INDEX).write_text(json.dumps(index, sort_keys=True), encoding="utf-8")

    def _content(self, row: int) -> bytes:
        return file_content(self._files[row], self._ids[row])


def _note(chunk: WrittenChunk) -> dict[str, Any]:
    return {"split": chunk.split, "number": chunk.number, "index": dict(chunk.index)}


def _taken_up(folder: ResumableFolder) -> dict[tuple[str, int], WrittenChunk]:
    """Return the chunks that an earlier run has written, and remove whatever else it left."""
    noted: list[WrittenChunk] = json_as(folder.noted, list[WrittenChunk], str(folder.path), "Remove it, and run again.")
    done = {(chunk.split, chunk.number): chunk for chunk in noted if chunk.is_whole(folder.path)}
    whole = {folder.path / chunk.split / chunk.file_name for chunk in done.values()}
    for path in _files_of(folder.path):
        if path.parent != folder.path and path not in whole:
            path.unlink()
    folder.keep([_note(chunk) for chunk in done.values()])
    return done


def _origin_of(folder: Path) -> list[dict[str, Any]]:
    """Return what a whole set was made of, and its chunks as they are noted; nothing of another folder."""
    manifest = find_manifest(folder)
    if manifest is None:
        return []
    notes = []
    for name, images in manifest.images.items():
        try:
            index = json.loads((folder / name / INDEX).read_text(encoding="utf-8"))
            chunks = [index | {"chunks": [index["chunks"][number]]} for number in range(len(images))]
        except (OSError, ValueError, LookupError, TypeError):
            return []
        notes += [{"split": name, "number": number, "index": chunk} for number, chunk in enumerate(chunks)]
    return [dict(manifest.origin), *notes]


def _files_of(folder: Path) -> Iterator[Path]:
    return (path for path in list(folder.rglob("*")) if path.is_file())


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in _files_of(folder))
