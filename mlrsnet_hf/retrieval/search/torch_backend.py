"""Ranking of blocks of queries by torch, for a GPU: one matrix product and one stable sort of all rows of a block.

What float32 leaves open is decided on the processor, where the vectors lie as they were given.
"""

import contextlib
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import torch

from mlrsnet_hf.retrieval.search.database import Database
from mlrsnet_hf.retrieval.search.doubt import Doubt, Query
from mlrsnet_hf.retrieval.search.rankings import Block, BlockRanking, Wanted
from mlrsnet_hf.retrieval.search.relevance import Relevance


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
        for row, query in enumerate(queries):
            if not query.certain:
                places, items, exact = self._settled(query, values[row], order[row], wanted, relevant, row)
                first = np.searchsorted(places, wanted.k)
                nearest[row, places[:first]], squares[row, places[:first]] = items[:first], exact[:first]
                order[row, torch.from_numpy(places).to(self._device)] = torch.from_numpy(items).to(self._device)
        ranks = [] if relevant is None else _ranks(relevant, order[:, : wanted.depth])
        return BlockRanking(ranks, nearest, squares)

    def _settled(
        self,
        query: Query,
        values: torch.Tensor,
        order: torch.Tensor,
        wanted: Wanted,
        relevant: torch.Tensor | None,
        row: int,
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float64]]:
        """Return what `Query.settled` does, of one row."""
        last = max(wanted.k, (wanted.depth or len(order)) if relevant is not None else 0) - 1
        margin = query.margin(float(values[0]), float(values[last]))
        within = int(torch.count_nonzero(values <= values[last] + margin))
        values, order = values[:within], order[:within]
        decisive = np.arange(1, within) <= wanted.k
        if relevant is not None:
            found = relevant[row].gather(0, order).cpu().numpy()
            decisive |= found[1:] != found[:-1]
        return query.settled(order.cpu().numpy(), values.cpu().numpy(), margin, decisive)

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
