"""Ranking of blocks of queries by torch, for a GPU: one matrix product and one stable sort of all rows of a block.

What float32 leaves open is decided on the processor, where the vectors lie as they were given.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from mlrsnet_hf.retrieval.search.database import Database
from mlrsnet_hf.retrieval.search.doubt import Doubt, Query
from mlrsnet_hf.retrieval.search.rankings import Block, BlockRanking, Wanted
from mlrsnet_hf.retrieval.search.relevance import Relevance

Settled = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float64]]
"""Places, the items that belong there, and their distances."""


class TorchBackend:
    """Ranks blocks of queries against a database, whose vectors a device of torch may hold, 4 N D bytes."""

    def __init__(self, database: Database, device: torch.device | str, *, hold: bool) -> None:
        self._database, self._device = database, torch.device(device)
        self._offsets, self._copies, self._firsts = (
            torch.from_numpy(array).to(device) for array in (database.offsets, database.copies, database.firsts)
        )
        self._held = torch.empty(database.source.shape, dtype=torch.float32, device=device) if hold else None
        if self._held is not None:
            for rows, part in database.parts():
                self._held[rows].copy_(torch.from_numpy(part))

    def rank(self, blocks: Iterable[Block], wanted: Wanted) -> Iterator[BlockRanking]:
        """Yield the ranking of each block, in order."""
        doubt = Doubt(self._database)
        for block in blocks:
            yield self._rank(block, wanted, doubt)

    @torch.inference_mode()
    def _rank(self, block: Block, wanted: Wanted, doubt: Doubt) -> BlockRanking:
        distances = self._distances(block.prepared)
        queries = doubt.queries(block)
        for row in doubt.measured_rows(block):
            doubt.measure(queries[row], distances[row].cpu().numpy())
        values, order = torch.sort(distances, dim=1, stable=True)
        relevant = None if wanted.relevance is None else self._relevant(block, wanted.relevance)
        # Copies: on a CPU these would be views, and the first k would keep all of the block.
        nearest = order[:, : wanted.k].cpu().numpy().copy()
        terms = np.array([query.term for query in queries])
        squares = values[:, : wanted.k].cpu().numpy() + terms[:, None]
        for row, (places, items, exact) in self._settled(queries, values, order, wanted, relevant):
            first = np.searchsorted(places, wanted.k)
            nearest[row, places[:first]], squares[row, places[:first]] = items[:first], exact[:first]
        ranks = [] if relevant is None else _ranks(relevant, order[:, : wanted.depth])
        return BlockRanking(ranks, nearest, squares)

    def _settled(
        self,
        queries: Sequence[Query],
        values: torch.Tensor,
        order: torch.Tensor,
        wanted: Wanted,
        relevant: torch.Tensor | None,
    ) -> list[tuple[int, Settled]]:
        """Return what `Query.settled` does, of each row that float32 leaves open, and put it into (B, N) `order`.

        The device is waited for a few times a block, not for each query.
        """
        rows = [row for row, query in enumerate(queries) if not query.certain]
        last = max(wanted.k, (wanted.depth or order.shape[1]) if relevant is not None else 0) - 1
        ends = values[:, [0, last]].cpu().numpy()
        margins = np.zeros(len(queries))
        for row in rows:
            margins[row] = queries[row].margin(float(ends[row, 0]), float(ends[row, 1]))
        limits = torch.from_numpy(ends[:, 1] + margins.astype(np.float32))
        within = torch.count_nonzero(values <= limits[:, None].to(self._device), dim=1).tolist()
        widest = max((within[row] for row in rows), default=0)
        near, items = values[:, :widest].cpu().numpy(), order[:, :widest].cpu().numpy()
        flags = None if relevant is None else relevant.gather(1, order[:, :widest]).cpu().numpy()

        settled = []
        for row in rows:
            number = within[row]
            decisive = np.arange(1, number) <= wanted.k
            if flags is not None:
                decisive |= flags[row, 1:number] != flags[row, : number - 1]
            found = queries[row].settled(items[row, :number], near[row, :number], float(margins[row]), decisive)
            if len(found[0]):
                settled.append((row, found))
        if settled:
            repeated = np.repeat([row for row, _ in settled], [len(places) for _, (places, _, _) in settled])
            places, changed = (np.concatenate([found[part] for _, found in settled]) for part in (0, 1))
            at = tuple(torch.from_numpy(index).to(self._device) for index in (repeated, places))
            order[at] = torch.from_numpy(changed).to(self._device)
        return settled

    def _relevant(self, block: Block, relevance: Relevance) -> torch.Tensor:
        """Return (B, N) whether an item is relevant."""
        flags = np.zeros((len(block), len(self._database)), dtype=bool)
        for row in range(len(block)):
            flags[row, relevance(block.first + row)] = True
        return torch.from_numpy(flags).to(self._device)

    def _distances(self, queries: npt.NDArray[np.float32]) -> torch.Tensor:
        placed = torch.from_numpy(queries).to(self._device)
        products = torch.empty(len(queries), len(self._database), device=self._device)
        with _full_float32(self._device):
            for columns, part in self._parts():
                torch.mm(placed, part.T, out=products[:, columns])
        distances = torch.sub(self._offsets, products, out=products)
        if len(self._copies):
            distances[:, self._copies] = distances[:, self._firsts]
        return distances

    def _parts(self) -> Iterator[tuple[slice, torch.Tensor]]:
        if self._held is not None:
            yield slice(0, len(self._database)), self._held
            return
        for rows, part in self._database.parts():
            yield rows, torch.from_numpy(part).to(self._device)


def _ranks(relevant: torch.Tensor, order: torch.Tensor) -> list[npt.NDArray[np.int64]]:
    """Return the ranks of the relevant items, (B, N) flags, in (B, depth) orders."""
    found = relevant.gather(1, order)
    ranks, numbers = found.nonzero()[:, 1].add_(1).cpu().numpy(), found.sum(1).cpu().numpy()
    return np.split(ranks, np.cumsum(numbers)[:-1])


@contextlib.contextmanager
def _full_float32(device: torch.device) -> Iterator[None]:
    """Keep TF32, bfloat16 and autocast, which a training run may have switched on, out of the product."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
