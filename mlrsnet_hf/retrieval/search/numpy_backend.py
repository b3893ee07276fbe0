"""Ranking of blocks of queries on the processor, by NumPy: the rows of one while the product of the next is made."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.metrics.sorting import descending_keys
from mlrsnet_hf.retrieval.search.database import Database
from mlrsnet_hf.retrieval.search.doubt import Doubt, Query
from mlrsnet_hf.retrieval.search.rankings import Block, BlockRanking, Wanted


class NumpyBackend:
    """Ranks blocks of up to `rows` queries against a database; two blocks are held.

    One thread ranks. Each of its steps is too short for several: they would pass Python's lock to and fro for longer
    than they compute. The product, which does not need the lock, has all cores meanwhile but for the share of this one.
    """

    def __init__(self, database: Database, rows: int) -> None:
        self._database = database
        self._products = [np.empty((rows, len(database)), dtype=np.float32) for _ in range(2)]
        self._memory = RowMemory(len(database))

    def rank(self, blocks: Iterable[Block], wanted: Wanted) -> Iterator[BlockRanking]:
        """Yield the ranking of each block, in order."""
        doubt = Doubt(self._database)
        with ThreadPoolExecutor(1) as ranker:
            before: Future[BlockRanking] | None = None
            for number, block in enumerate(blocks):
                products = self._multiply(block.prepared, self._products[number % 2])
                if before is not None:
                    yield before.result()
                before = ranker.submit(self._rank, block, products, wanted, doubt)
            if before is not None:
                yield before.result()

    def _multiply(self, queries: npt.NDArray[np.float32], products: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return (B, N) products of queries and items."""
        for columns, part in self._database.parts():
            np.matmul(queries, part.T, out=products[: len(queries), columns])
        return products[: len(queries)]

    def _rank(self, block: Block, products: npt.NDArray[np.float32], wanted: Wanted, doubt: Doubt) -> BlockRanking:
        ranks = []
        indices = np.empty((len(products), wanted.k), dtype=np.int64)
        values = np.empty((len(products), wanted.k))
        queries = doubt.queries(block)
        for row in doubt.measured_rows(block):
            doubt.measure(queries[row], self._distances(products[row].copy()))
        for row, (query, of_row) in enumerate(zip(queries, products, strict=True)):
            distances = self._distances(of_row)
            if wanted.k:
                indices[row], values[row] = nearest_in_row(distances, wanted.k, query)
            if wanted.relevance is not None:
                members = wanted.relevance(block.first + row)
                ranks.append(ranks_in_row(distances, members, wanted.depth, self._memory, query))
        return BlockRanking(ranks, indices, values)

    def _distances(self, products: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Turn a row of products into distances, up to what is the same for all items."""
        distances = np.subtract(self._database.offsets, products, out=products)
        if len(self._database.copies):
            distances[self._database.copies] = distances[self._database.firsts]
        return distances


_INDEX_BITS = np.uint64(32)
_INDEX_MASK = np.uint64(2**32 - 1)
_MOST_STEPS = 2**16
_SAMPLED = 16
"""The k-th distance is guessed from every 16th item."""
_WORTH_LEAVING_OUT = 2
"""Items beyond are left out if the others are fewer than one in two."""
_WORD = 8
"""Flags that are looked at together."""
_FEW = 10
"""Fewer flags than one in ten are found by words: NumPy looks for these one by one, mispredicting a branch at each."""


class RowMemory:
    """Memory to work in: to ask the system for it again for every row would take longer."""

    def __init__(self, items: int) -> None:
        self.scaled = np.empty(items, dtype=np.float32)
        self.steps = np.empty(items, dtype=np.intp)
        self._words = np.zeros(-(-items // _WORD), dtype=np.uint64)
        self.flags = self._words.view(bool)[:items]

    def flagged(self, number: int) -> npt.NDArray[np.intp]:
        """Return the ascending positions of the `number` flags that are set."""
        if _FEW * number >= len(self.flags):
            return np.flatnonzero(self.flags)
        words = np.flatnonzero(self._words != 0)
        places = np.flatnonzero(self._words.take(words).view(bool))
        # Shifts and masks: NumPy divides whole numbers slowly.
        return (words.take(places >> 3) << 3) | (places & (_WORD - 1))


def ranks_in_row(
    distances: npt.NDArray[np.float32],
    members: npt.NDArray[np.int64],
    depth: int | None = None,
    memory: RowMemory | None = None,
    query: Query | None = None,
) -> npt.NDArray[np.int64]:
    """Return the ranks of some items in the stable ascending order of all, that is with ties by index.

    Args:
        distances: (N,) finite, N below 2^32.
        members: (n,) indices of the items in question, each once.
        depth: The last rank of interest, from 1; None for all.
        memory: To work in.
        query: What decides where the distances are too near each other; None to take them as they are.

    Returns:
        Ranks from 1, ascending; those beyond the depth are left out.

    Examples:
        >>> ranks_in_row(np.array([3, 1, 2, 1], dtype=np.float32), np.array([0, 3])).tolist()
        [2, 4]
    """
    memory = memory or RowMemory(len(distances))
    wanted = distances[members]
    if depth is not None and depth < len(distances):
        reach = _reach(distances, depth)
        within_reach = wanted <= reach + _margin(query, reach, reach)
        members, wanted = members[within_reach], wanted[within_reach]
    if not len(members):
        return np.empty(0, dtype=np.int64)
    margin = _margin(query, wanted.min(), wanted.max())
    np.less_equal(distances, wanted.max() + margin, out=memory.flags)
    within = int(np.count_nonzero(memory.flags))
    items = None
    if _WORTH_LEAVING_OUT * within < len(distances):
        items = memory.flagged(within)
        distances, members = distances[items], np.searchsorted(items, members)
    ranks = _count(distances, members, memory, items, margin, query)
    return ranks if depth is None else ranks[: np.searchsorted(ranks, depth, side="right")]


def nearest_in_row(
    distances: npt.NDArray[np.float32], k: int, query: Query | None = None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the (k,) indices of the nearest items, nearest first, ties by index, and their distances.

    With a query, the distances have its term.

    Examples:
        >>> nearest_in_row(np.array([3, 1, 2, 1], dtype=np.float32), 3)[0].tolist()
        [1, 3, 2]
    """
    reach = _reach(distances, k)
    items = _in_order(distances, np.flatnonzero(distances <= reach + _margin(query, reach, reach)))
    ordered = distances[items]
    if query is None:
        return items[:k], ordered[:k].astype(np.float64)
    values = query.squares(ordered)
    margin = query.margin(float(ordered[0]), float(ordered[-1]))
    places, settled, exact = query.settled(items, ordered, margin, np.arange(1, len(items)) <= k)
    items[places], values[places] = settled, exact
    return items[:k], values[:k]


def _margin(query: Query | None, nearest: np.float32, farthest: np.float32) -> float:
    return 0.0 if query is None else query.margin(float(nearest), float(farthest))


def _reach(distances: npt.NDArray[np.float32], k: int) -> np.float32:
    """Return a distance that at least k items do not exceed, and seldom many more."""
    sample = distances[::_SAMPLED]
    expected = k / _SAMPLED
    place = int(expected + 4 * np.sqrt(expected) + 4)
    if place < len(sample):
        guess = np.partition(sample, place)[place]
        if np.count_nonzero(distances <= guess) >= k:
            return guess
    return np.partition(distances, k - 1)[k - 1]


def _count(
    distances: npt.NDArray[np.float32],
    members: npt.NDArray[np.int64],
    memory: RowMemory,
    items: npt.NDArray[np.intp] | None,
    margin: float,
    query: Query | None,
) -> npt.NDArray[np.int64]:
    """Return (n,) ranks of the members, from a histogram of all; `items` are the indices of the distances."""
    wanted, flags = distances[members], memory.flags[: len(distances)]
    steps_of = _Steps(wanted.min() - margin, wanted.max() + margin, len(distances))
    steps = steps_of(distances, memory.scaled[: len(distances)], memory.steps[: len(distances)])
    counts = np.bincount(steps)
    in_question = np.zeros(len(counts), dtype=bool)
    in_question[steps[members]] = True
    if query is not None and margin:
        _mark_between(in_question, *(steps_of(wanted + beside) for beside in (-margin, margin)))
    order = _in_order(distances, np.flatnonzero(in_question.take(steps, out=flags, mode="clip")))
    flags.fill(False)
    flags[members] = True
    if query is not None and margin:
        found = flags[order]
        places, settled, _ = query.settled(
            order if items is None else items[order], distances[order], margin, found[1:] != found[:-1]
        )
        order[places] = settled if items is None else np.searchsorted(items, settled)
    places = np.flatnonzero(flags[order])
    # Before an item stand those of nearer steps that were left out, and those that were sorted before it.
    counts[in_question] = 0
    left_out = np.cumsum(counts, out=counts)
    return left_out[steps[order[places]]] + places + 1


class _Steps:
    """Numbers of steps that never descend where the distance ascends, finest between two distances."""

    def __init__(self, nearest: np.float32, farthest: np.float32, items: int) -> None:
        self._nearest, self._farthest = nearest, farthest
        self._number = min(1 << (items - 1).bit_length(), _MOST_STEPS)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            self._per_distance = np.float32(self._number - 1) / (farthest - nearest)

    def __call__(
        self,
        distances: npt.NDArray[np.float32],
        scaled: npt.NDArray[np.float32] | None = None,
        steps: npt.NDArray[np.intp] | None = None,
    ) -> npt.NDArray[np.intp]:
        """Return the (N,) steps of distances, in the memory that is given."""
        if not np.isfinite(self._per_distance):
            # All but equal: one step for them, one for what is nearer and one for what is farther.
            return (distances >= self._nearest).astype(np.intp) + (distances > self._farthest)
        scaled = np.subtract(distances, self._nearest, out=scaled)
        # What overflows is cut like all beyond the wanted ones: one step for what is nearer, one for what is farther.
        with np.errstate(over="ignore"):
            scaled *= self._per_distance
        np.clip(scaled, -1, self._number, out=scaled)
        scaled += 1
        if steps is None:
            return scaled.astype(np.intp)
        np.copyto(steps, scaled, casting="unsafe")
        return steps


def _mark_between(marks: npt.NDArray[np.bool_], first: npt.NDArray[np.intp], last: npt.NDArray[np.intp]) -> None:
    """Set the marks from each first to its last; beyond the end there is nothing to be set."""
    last = np.minimum(last, len(marks) - 1)
    if (last - first).max() <= 1:
        marks[first] = marks[last] = True
        return
    changes = np.bincount(first, minlength=len(marks) + 1) - np.bincount(last + 1, minlength=len(marks) + 1)
    marks |= np.cumsum(changes)[:-1] > 0


def _in_order(distances: npt.NDArray[np.float32], items: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return items by distance, equal ones by index: one sort of integers that hold the distance, then the index."""
    keys = (~descending_keys(distances[items])).astype(np.uint64)
    keys <<= _INDEX_BITS
    keys |= items.astype(np.uint64)
    keys.sort()
    keys &= _INDEX_MASK
    return keys.astype(np.intp)
