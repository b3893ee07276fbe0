"""Shards of rows: planned, found again, and written by turns."""

from collections.abc import Generator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from accelerate import Accelerator

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.runtime.collectives import Collectives
from mlrsnet_hf.runtime.shards import Shard, missing_shards, plan_shards, write_shards


def write(rows: Sequence[int], path: Path) -> None:
    pq.write_table(pa.table({"row": list(rows)}), path)


def test_what_is_missing(tmp_path: Path) -> None:
    shards = plan_shards("some", 7, 3)
    assert [list(shard.rows) for shard in shards] == [[0, 1, 2], [3, 4, 5], [6]]
    assert shards[2].name == "some-00002-of-00003.parquet"
    assert missing_shards(tmp_path / "data", shards) == list(shards)
    write(shards[1].rows, tmp_path / "data" / shards[1].name)
    (tmp_path / "data" / shards[0].name).write_bytes(b"PAR1 cut short")
    (tmp_path / "data" / ".x.partial").write_bytes(b"")
    assert missing_shards(tmp_path / "data", shards) == [shards[0], shards[2]]
    assert [path.name for path in (tmp_path / "data").iterdir()] == [shards[1].name]
    assert missing_shards(tmp_path / "data", shards, lambda *_: False) == list(shards)


def test_each_is_written_while_the_next_is_made(tmp_path: Path) -> None:
    shards, told = plan_shards("some", 9, 3), []

    def make(own: Sequence[Shard]) -> Generator[list[int], None, None]:
        for shard in own:
            told.append(f"made {shard.rows.start}")
            yield list(shard.rows)

    def full(rows: list[int], shard: Shard) -> None:
        if shard is shards[1]:
            raise ConfigurationError("no room", "Make room.")
        write(rows, tmp_path / shard.name)
        told.append(f"wrote {rows[0]}")

    processes = Collectives(Accelerator())
    with pytest.raises(ConfigurationError, match="no room"):
        write_shards(processes, shards, make, full)
    assert {"made 0", "made 3", "wrote 0"} <= set(told)
    told.clear()
    write_shards(processes, shards[1:], make, lambda rows, shard: write(rows, tmp_path / shard.name))
    assert [pq.read_table(tmp_path / shard.name)["row"].to_pylist() for shard in shards] == [
        [0, 1, 2],
        [3, 4, 5],
        [6, 7, 8],
    ]
    write_shards(processes, [], make, full)
