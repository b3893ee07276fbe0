"""How the rows of a split are cut into files, and the files dealt to processes."""

from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.retrieval.embedding_files import holds, shard_name


@dataclass(frozen=True, slots=True)
class Shard:
    """One file."""

    name: str
    rows: range

    def batches(self, size: int) -> list[list[int]]:
        """Return the rows in batches; none reaches over the end of the file, whoever computes it."""
        return [list(self.rows[start : start + size]) for start in range(0, len(self.rows), size)]


def plan_shards(split: str, rows: int, size: int) -> tuple[Shard, ...]:
    """Cut rows into files of fixed ranges.

    Args:
        split: Its name.
        rows: Of the split.
        size: Rows of a file.
    """
    starts = range(0, rows, size)
    return tuple(
        Shard(shard_name(split, number, len(starts)), range(start, min(start + size, rows)))
        for number, start in enumerate(starts)
    )


def missing_shards(folder: Path, shards: tuple[Shard, ...]) -> tuple[Shard, ...]:
    """Return the files that are not there; remove what a killed process left half-written."""
    folder.mkdir(exist_ok=True)
    whole = {shard.name for shard in shards if holds(folder / shard.name, len(shard.rows))}
    for path in folder.iterdir():
        if path.name not in whole:
            path.unlink()
    return tuple(shard for shard in shards if shard.name not in whole)
