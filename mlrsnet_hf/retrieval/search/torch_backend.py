"""Ranking of blocks of queries by torch, for a GPU: one matrix product and one stable sort of all rows of a block."""

import contextlib
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import torch

from mlrsnet_hf.retrieval.search.database import Database
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
        for first, queries in blocks:
            yield self._rank(first, queries, wanted)

    @torch.inference_mode()
    def _rank(self, first: int, queries: npt.NDArray[np.float32], wanted: Wanted) -> BlockRanking:
        values, order = torch.sort(self._distances(queries), dim=1, stable=True)
        ranks = [] if wanted.relevance is None else self._ranks(order[:, : wanted.depth], first, wanted.relevance)
        # Copies: on a CPU these would be views, and the first k would keep all of the block.
        nearest, distances = (found[:, : wanted.k].cpu().numpy().copy() for found in (order, values))
        return BlockRanking(ranks, nearest, distances)

    def _ranks(self, order: torch.Tensor, first: int, relevance: Relevance) -> list[npt.NDArray[np.int64]]:
        """Return the ranks of the relevant items in (B, depth) orders."""
        flags = np.zeros((len(order), len(self._database)), dtype=bool)
        for row in range(len(order)):
            flags[row, relevance(first + row)] = True
        found = torch.from_numpy(flags).to(self._device).gather(1, order)
        ranks, numbers = found.nonzero()[:, 1].add_(1).cpu().numpy(), found.sum(1).cpu().numpy()
        return np.split(ranks, np.cumsum(numbers)[:-1])

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
