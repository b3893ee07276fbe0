"""Distances by a matrix product in float32, as exact as it can be: vectors are checked and seen from their center.

A squared distance is |q|^2 + |x|^2 - 2 q.x, a small difference of large numbers where all vectors lie far from the
origin, as the pooled features of a network do. Moving them all by one vector s leaves their distances as they are. To
move the queries alone does most of it, and needs no copy of the database:

    |q - x|^2 = |x + s|^2 - 2 (q + s).x + |q + s|^2 - 2 (q + s).s

where the first two terms rank the items.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError

Distance = Literal["euclidean", "cosine", "inner_product"]
DISTANCES = ("euclidean", "cosine", "inner_product")

_SAMPLE = 1024
_FAR = 4
"""If the center is so many times as far as the vectors lie about it, they are moved too."""
_SHORTEST, _LONGEST = 2.0**-50, 2.0**60
"""Squares of other lengths would not fit float32 with room for their sums and digits."""
_BYTES_AT_ONCE = 2**19
"""Rows are prepared so many at a time that they stay in a core's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Distances:
    """How vectors enter the product, and how the product becomes distances."""

    kind: Distance
    shift: npt.NDArray[np.float32]
    """(D,) minus the center; 0 where a move would not help."""
    moved: bool
    """Whether the database's vectors are moved as well as the queries."""

    @classmethod
    def around_center(cls, database: np.ndarray, kind: Distance) -> "Distances":
        """Choose the move for a database from an even sample of its rows; refuse vectors too short for float32."""
        unmoved = cls(kind, np.zeros(database.shape[1], dtype=np.float32), moved=False)
        sample = np.asarray(database[:: -(-len(database) // _SAMPLE)], dtype=np.float64)
        lengths = np.linalg.norm(sample, axis=1)
        if 0 < lengths.max() < _SHORTEST and kind != "cosine":
            raise ConfigurationError("the database's vectors are too short for float32", "Scale the embeddings up.")
        if not (np.isfinite(lengths).all() and lengths.min() > 0):
            return unmoved
        sample = _unit(sample) if kind == "cosine" else sample
        center = sample.mean(axis=0)
        distance, spread = np.linalg.norm(center), np.median(np.linalg.norm(sample - center, axis=1))
        far = bool(distance > _FAR * spread)
        # A vector much shorter than the center would lose its digits by the move.
        shortest = 1.0 if kind == "cosine" else _shortest(database)
        if distance > 2 * shortest or (kind == "inner_product" and not far):
            return unmoved
        return cls(kind, unmoved.shift - _coarse(center).astype(np.float32), moved=far)

    def are_prepared(self, vectors: np.ndarray) -> bool:
        """Return whether vectors of a database can enter the product as they are, without a copy."""
        unchanged = self.kind != "cosine" and not self.moved
        return unchanged and vectors.dtype == np.float32 and vectors.flags.c_contiguous

    def prepare(
        self, rows: np.ndarray, name: str, first: int = 0, ids: Sequence[Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """Return (n, D) vectors of the database as they enter the product, and their squared distances from the center.

        These are float32 without negative zeros, and (n,) float64. What cannot be used is refused by its index, counted
        from `first`, and its id: a value that is NaN or infinite, a vector too long for float32 or, for the cosine, of
        length zero.
        """
        prepared = np.empty(rows.shape, dtype=np.float32)
        squares = np.empty(len(rows))
        step = max(1, _BYTES_AT_ONCE // (8 * rows.shape[1]))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            source, out = rows[part], prepared[part]
            with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
                if self.kind == "cosine":
                    source = _unit(source)
                np.add(source, self.shift if self.moved else 0.0, out=out, casting="same_kind")
                exact = out.astype(np.float64)
                if not self.moved:
                    exact += self.shift
                squares[part] = np.einsum("nd,nd->n", exact, exact)
            if not (squares[part] < _LONGEST**2).all():
                row = start + int(np.argmin(squares[part] < _LONGEST**2))
                raise _unusable(rows[row], name, first + row, ids)
        return prepared, squares

    def prepare_queries(
        self, queries: np.ndarray, first: int = 0
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """Return queries as they enter the product, (n, D) float32, and their terms, (n,) float64.

        An item's offset minus its product with a query ranks like the distance. With the query's term added it is the
        squared distance as the product sees the vectors, or the negative inner product.
        """
        shift = self.shift.astype(np.float64)
        if self.kind == "inner_product":
            prepared, _ = Distances(self.kind, np.zeros_like(self.shift), moved=True).prepare(queries, "queries", first)
            return prepared, prepared.astype(np.float64) @ shift
        prepared, squares = dataclasses.replace(self, moved=True).prepare(queries, "queries", first)
        terms = squares if self.moved else squares - 2 * (prepared.astype(np.float64) @ shift)
        prepared *= 2
        return prepared, terms

    def offsets(self, squares: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Return (N,) what the products are subtracted from, given the items' squared distances from the center."""
        return (np.zeros_like(squares) if self.kind == "inner_product" else squares).astype(np.float32)

    def from_squares(self, squares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return distances for squared distances as the product sees the vectors."""
        # Of unit vectors, |u - v|^2 = 2 - 2 cos.
        return squares / 2 if self.kind == "cosine" else np.sqrt(squares)

    def squared(self, query: np.ndarray, rows: np.ndarray) -> npt.NDArray[np.float64]:
        """Return (n,) squared distances of one vector to n others, in float64 and without cancellation."""
        query, rows = query.astype(np.float64)[None], rows.astype(np.float64)
        if self.kind == "cosine":
            query, rows = _unit(query), _unit(rows)
        difference = rows - query
        return np.einsum("nd,nd->n", difference, difference)


def _unit(rows: np.ndarray) -> npt.NDArray[np.float64]:
    """Return rows at length 1; that of zero is NaN."""
    exact = rows.astype(np.float64)
    return exact / np.sqrt(np.einsum("nd,nd->n", exact, exact))[:, None]


def _shortest(rows: np.ndarray) -> float:
    """Return the least length; of all rows, as a few short ones among many would be missed in a sample."""
    step = max(1, _BYTES_AT_ONCE // (8 * rows.shape[1]))
    parts = (rows[start : start + step].astype(np.float32, copy=False) for start in range(0, len(rows), step))
    with np.errstate(over="ignore", invalid="ignore"):  # `prepare` names what is not finite
        return float(np.sqrt(min(np.einsum("nd,nd->n", part, part).min() for part in parts)))


def _coarse(center: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Round to four binary digits of the largest value, so that small whole numbers stay exact when moved."""
    largest = np.abs(center).max()
    if largest == 0:
        return center
    grid = 2.0 ** (np.floor(np.log2(largest)) - 3)
    return np.rint(center / grid) * grid


def _unusable(row: np.ndarray, name: str, index: int, ids: Sequence[Any] | None) -> ConfigurationError:
    where = f"{name}[{index}]" + (f" ({ids[index]})" if ids is not None else "")
    finite = np.isfinite(row)
    if not finite.all():
        column = int(np.argmin(finite))
        return ConfigurationError(f"{where} is {row[column]} at dimension {column}", "Embeddings must be finite.")
    if not row.any():
        return ConfigurationError(f"{where} is zero, which has no cosine", "Remove it, or choose another distance.")
    return ConfigurationError(f"{where} is too long for float32", "Scale the embeddings down.")
