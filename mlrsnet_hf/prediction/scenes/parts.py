"""The network's answers for rows of a scene's windows: read ahead in threads, computed in batches, kept in a file."""

import itertools
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.files import whole_file
from mlrsnet_hf.inputs.pixels.decoding import Pixels
from mlrsnet_hf.parallel import available_cores, local_processes
from mlrsnet_hf.prediction.classifier import Classifier
from mlrsnet_hf.prediction.scenes.raster import SceneRaster, Seen
from mlrsnet_hf.prediction.scenes.windows import WindowGrid
from mlrsnet_hf.runtime.device import explain_memory
from mlrsnet_hf.runtime.logs import progress_bar
from mlrsnet_hf.runtime.shards import Shard

_CHUNK_VALUES = 2**23
"""Values of all bands that a thread reads at once, unless one window has more."""
_CHUNK_INPUTS = 2**25
"""Values of the network's input of the windows of a chunk, which overlap and so may be far more than are read."""
_MOST_THREADS = 8
_PREVIEW_SIDE = 1600

Wanted = npt.NDArray[np.bool_]
"""(rows, columns) of windows: which are to be looked at."""


@dataclass(frozen=True)
class ScenePart:
    """The network's answers for some rows of windows."""

    x: npt.NDArray[np.int64]
    y: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float32]
    empty: int
    preview: Pixels
    """Of the rows of the preview that the windows reach over."""
    seen: Seen
    top: int
    """The first of them."""


@dataclass(frozen=True)
class _Chunk:
    """Some windows, read at once."""

    x: npt.NDArray[np.int64]
    y: npt.NDArray[np.int64]
    pixels: Sequence[Pixels]
    """As the network sees them."""
    empty: int
    place: tuple[slice, slice]
    """Where its pixels are in the preview of the part."""
    preview: Pixels
    seen: Seen


def predict_parts(
    raster: SceneRaster, classifier: Classifier, grid: WindowGrid, wanted: Wanted, shards: Sequence[Shard]
) -> Generator[ScenePart, None, None]:
    """Yield the answers of each part; windows are read ahead, over the ends of parts."""
    plans = [list(_plan(classifier, grid, wanted, shard.rows)) for shard in shards]
    threads = max(1, min(_MOST_THREADS, available_cores() // local_processes()))
    work = iter([(shard.rows, columns) for shard, plan in zip(shards, plans, strict=True) for columns in plan])
    reader = _Reader(raster, classifier, grid, wanted)
    total = int(sum(wanted[shard.rows].sum() for shard in shards))
    with (
        ThreadPoolExecutor(threads) as pool,
        progress_bar(description=f"predicting {raster.name}", total=total, unit="windows") as bar,
    ):
        ahead: deque[Future[_Chunk]] = deque()

        def read_on(number: int) -> None:
            ahead.extend(pool.submit(reader.read, *one) for one in itertools.islice(work, number))

        read_on(threads + 1)
        try:
            for shard, plan in zip(shards, plans, strict=True):

                def chunks(number: int = len(plan)) -> Iterator[_Chunk]:
                    for _ in range(number):
                        chunk = ahead.popleft().result()
                        read_on(1)
                        yield chunk
                        bar.update(len(chunk.x) + chunk.empty)

                with explain_memory(f"{raster.name}, {shard.name}", "Lower --batch-size."):
                    yield _answers(classifier, reader, shard.rows, chunks())
        finally:
            for future in ahead:
                future.cancel()


def preview_every(grid: WindowGrid) -> int:
    """Return the pixels of the scene from one of the preview to the next."""
    return -(-max(grid.width, grid.height) // _PREVIEW_SIDE)


def _plan(classifier: Classifier, grid: WindowGrid, wanted: Wanted, rows: range) -> Iterator[range]:
    """Yield the columns of windows that are read at once, without those that nobody wants."""
    channels, side = classifier.preprocessing.channels, classifier.preprocessing.image_size
    for columns in grid.chunks(rows, _CHUNK_VALUES // channels, _CHUNK_INPUTS // (channels * side**2)):
        if wanted[rows][:, columns].any():
            yield columns


class _Reader:
    """Reads chunks of windows, in any thread."""

    def __init__(self, raster: SceneRaster, classifier: Classifier, grid: WindowGrid, wanted: Wanted) -> None:
        self.raster, self.grid = raster, grid
        self._wanted = wanted
        self._transform = classifier.preprocessing.evaluation_transform()
        self.every = preview_every(grid)

    def preview_rows(self, rows: range) -> range:
        """Return the rows of the preview that rows of windows reach over."""
        first, last = self.grid.tops[rows[0]], self.grid.tops[rows[-1]] + self.grid.side
        return range(-(-int(first) // self.every), -(-int(last) // self.every))

    def read(self, rows: range, columns: range) -> _Chunk:
        """Return the windows of some rows and columns."""
        side, every = self.grid.side, self.every
        row, column = np.nonzero(self._wanted[rows][:, columns])
        x, y = self.grid.lefts[columns][column], self.grid.tops[rows][row]
        left, top, right, lower = int(x.min()), int(y.min()), int(x.max()) + side, int(y.max()) + side
        pixels, seen = self.raster.read(left, top, right - left, lower - top)
        kept, images = [], []
        for index, (at_x, at_y) in enumerate(zip(x - left, y - top, strict=True)):
            window = slice(at_y, at_y + side), slice(at_x, at_x + side)
            if seen[window].any():
                kept.append(index)
                images.append(self._transform(np.ascontiguousarray(pixels[window])))
        first, first_row = -(-left // every), -(-top // every)
        colors = pixels if pixels.shape[2] >= 3 else pixels[..., :1].repeat(3, axis=2)
        thinned = slice(first_row * every - top, None, every), slice(first * every - left, None, every)
        small = np.ascontiguousarray(colors[thinned][..., :3])
        start = first_row - self.preview_rows(rows).start
        place = slice(start, start + small.shape[0]), slice(first, first + small.shape[1])
        return _Chunk(x[kept], y[kept], images, len(x) - len(kept), place, small, seen[thinned].copy())


def _answers(classifier: Classifier, reader: _Reader, rows: range, chunks: Iterator[_Chunk]) -> ScenePart:
    """Pass the windows of a part through the network; its answers stay on the device until all are there."""
    strip = reader.preview_rows(rows)
    preview = np.zeros((len(strip), -(-reader.grid.width // reader.every), 3), np.uint8)
    seen = np.zeros(preview.shape[:2], bool)
    places: list[npt.NDArray[np.int64]] = []
    logits: list[torch.Tensor] = []
    waiting: list[Pixels] = []
    empty = 0

    def pass_on(number: int) -> None:
        logits.append(classifier.device_logits(torch.from_numpy(np.stack(waiting[:number]))))
        del waiting[:number]

    for chunk in chunks:
        places.append(np.stack([chunk.x, chunk.y]))
        empty += chunk.empty
        preview[chunk.place][chunk.seen] = chunk.preview[chunk.seen]
        seen[chunk.place] |= chunk.seen
        waiting += chunk.pixels
        while len(waiting) >= classifier.batch_size:
            pass_on(classifier.batch_size)
    if waiting:
        pass_on(len(waiting))
    x, y = np.concatenate(places, axis=1) if places else np.empty((2, 0), np.int64)
    outputs = classifier.task.outputs
    answers = torch.cat(logits).float().cpu().numpy() if logits else np.empty((0, outputs), np.float32)
    if not np.isfinite(answers).all():
        raise ConfigurationError(
            f"{classifier.model.name} gives scores of {reader.raster.name} that are NaN or infinite",
            "Its weights may be damaged, or the precision too low.",
        )
    order = np.lexsort((x, y))
    return ScenePart(x[order], y[order], answers[order], empty, preview, seen, strip.start)


def write_part(path: Path, part: ScenePart) -> None:
    """Write a part as a file that has its name only when it is whole.

    Raises:
        ConfigurationError: It cannot be written.
    """
    remedy = "What is finished is kept; make room, and run again to go on."
    with whole_file(path, remedy) as partial, partial.open("wb") as file:
        np.savez(file, **{name: getattr(part, name) for name in ScenePart.__dataclass_fields__})


def read_part(path: Path) -> ScenePart:
    """Return the part in a file."""
    with np.load(path, allow_pickle=False) as stored:
        fields: dict[str, Any] = dict(stored)
    return ScenePart(**fields | {name: int(fields[name]) for name in ("empty", "top")})
