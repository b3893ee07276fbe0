"""What a search holds within its cap on memory."""

from dataclasses import dataclass

from mlrsnet_hf.errors import ConfigurationError

_PART_BYTES = 2**25
"""Vectors that are not held are prepared so many at a time."""
_FEW_QUERIES = 64
"""If a copy of the database leaves room for fewer, it is not held: the product needs the room more."""
_BLOCK_BYTES = 8
"""Per query and item on the processor: two blocks of products, of which one is ranked while the other is made."""
_ROW_BYTES = 32
"""Per item, for the histogram, the steps and the flags of the row that is ranked."""
_DEVICE_BYTES = 40
"""Per query and item on a GPU: distances, sorted distances and their order, as much again for the sort, and flags."""


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How a cap on memory is spent."""

    hold: bool
    """Whether a prepared copy of the database is held."""
    part_rows: int
    """How many vectors are prepared at a time if not."""
    queries: int
    """How many queries a block may have."""

    @classmethod
    def within(cls, megabytes: float, items: int, dimensions: int, *, on_device: bool, as_it_is: bool) -> "MemoryPlan":
        """Plan for a database, which needs no copy where it is ready as it is and in the processor's memory.

        Raises:
            ConfigurationError: Not even one query fits.
        """
        vector = 4 * dimensions
        copy, part = items * vector, min(items * vector, max(vector, _PART_BYTES))
        needed = 0 if as_it_is and not on_device else copy
        query = items * (_DEVICE_BYTES if on_device else _BLOCK_BYTES)
        row = 0 if on_device else items * _ROW_BYTES
        room = megabytes * 2**20 - row
        hold = needed == 0 or room >= needed + _FEW_QUERIES * query
        queries = int((room - (needed if hold else min(needed, part))) // query)
        if queries < 1:
            least = -(-(row + min(needed, part) + query) // 2**20)
            raise ConfigurationError(
                f"memory_megabytes={megabytes} does not hold one query by {items:,} items of {dimensions:,} dimensions",
                f"Give at least {least:,}.",
            )
        return cls(hold, part // vector, queries)
