"""Work on many rows as Parquet files of fixed ranges: dealt to processes, each whole or not there, made once.

Which process makes a file does not change its content, and a later run makes those that are missing.
"""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:  # an index opens without torch
    from mlrsnet_hf.runtime.collectives import Collectives

Rows = TypeVar("Rows")


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of a fixed range of rows."""

    name: str
    rows: range

    def batches(self, size: int) -> list[list[int]]:
        """Return the rows in batches; none reaches over the end of the file, whoever computes it."""
        return [list(self.rows[start : start + size]) for start in range(0, len(self.rows), size)]


def plan_shards(split: str, rows: int, size: int) -> tuple[Shard, ...]:
    """Cut the rows of a split into files of `size` rows; by their names `datasets` knows that they belong together."""
    starts = range(0, rows, size)
    return tuple(
        Shard(f"{split}-{number:05d}-of-{len(starts):05d}.parquet", range(start, min(start + size, rows)))
        for number, start in enumerate(starts)
    )


def has_all_rows(path: Path, shard: Shard) -> bool:
    """Tell whether a file holds as many rows as its shard."""
    return count_rows(path) == len(shard.rows)


def missing_shards(
    folder: Path, shards: Sequence[Shard], is_whole: Callable[[Path, Shard], bool] = has_all_rows
) -> list[Shard]:
    """Return the files that are not there; remove what a killed process left half-written, and what is of no shard."""
    folder.mkdir(exist_ok=True)
    whole = {shard.name for shard in shards if is_whole(folder / shard.name, shard)}
    for path in folder.iterdir():
        if path.name not in whole:
            path.unlink()
    return [shard for shard in shards if shard.name not in whole]


def count_rows(path: Path) -> int | None:
    """Return how many rows a file has; None if it is not there, or not whole."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException, UnicodeDecodeError):
        return None


def write_shards(
    processes: "Collectives",
    missing: Sequence[Shard],
    make_rows: Callable[[Sequence[Shard]], Generator[Rows, None, None]],
    write: Callable[[Rows, Shard], None],
) -> None:
    """Write this process's share of the missing shards, each while the next one is computed.

    After each round of one shard for every process, all know whether one has failed, and end together: whoever went on
    alone would compute in vain, or wait for a process that is gone.

    Args:
        processes: Among which the shards are dealt; all of them call this.
        missing: The shards that are not there, the same on every process.
        make_rows: Yields the rows of each of some shards.
        write: Writes the rows of a shard; called in a thread, one at a time.

    Raises:
        MLRSNetError: Making or writing failed, here or in another process.
    """
    own = missing[processes.index :: processes.processes]
    # Closed, so that the bar is ended before an error is told.
    with ThreadPoolExecutor(1) as writer, closing(make_rows(own)) as rows_of_shards:
        made = zip(own, rows_of_shards, strict=True) if own else iter(())
        pending: Future[None] | None = None

        def next_shard() -> None:
            nonlocal pending
            shard, rows = next(made, (None, None))
            if pending is not None:
                pending.result()
            pending = None
            if shard is not None and rows is not None:
                pending = writer.submit(write, rows, shard)

        for _ in range(-(-len(missing) // processes.processes) + 1):  # and once more, for the last to be written
            processes.run_on_all(next_shard)
