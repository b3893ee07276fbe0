"""Distances by a matrix product in float32: vectors are checked and seen from their center, in float64.

A squared distance is |q|^2 + |x|^2 - 2 q.x, a small difference of large numbers where all vectors lie far from the
origin, as the pooled features of a network do. Moving them all by one vector s leaves their distances as they are. To
move the queries alone does most of it, and needs no copy of the database:

    |q - x|^2 = |x + s|^2 - 2 (q + s).x + |q + s|^2 - 2 (q + s).s

where the first two terms rank the items. What float32 cannot tell apart all the same, `doubt.py` decides by
`Distances.exact`.
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
_OUTLIER = 16
"""Vectors so many times as long as the median say nothing about the center."""
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
    shift: npt.NDArray[np.float64]
    """(D,) minus the center; 0 where a move would not help."""
    moved: bool
    """Whether the database's vectors are moved as well as the queries."""

    @classmethod
    def around_center(cls, database: np.ndarray, kind: Distance) -> "Distances":
        """Choose the move for a database from an even sample of its rows; refuse vectors too short for float32."""
        unmoved = cls(kind, np.zeros(database.shape[1]), moved=False)
        sample = np.asarray(database[:: -(-len(database) // _SAMPLE)], dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):  # `prepare` names what is not finite
            lengths = np.linalg.norm(sample, axis=1)
        if 0 < lengths.max() < _SHORTEST and kind != "cosine":
            raise ConfigurationError("the database's vectors are too short for float32", "Scale the embeddings up.")
        if not np.isfinite(lengths).all() or (kind == "cosine" and not lengths.all()):
            return unmoved
        sample = _unit(sample) if kind == "cosine" else sample[lengths <= _OUTLIER * np.median(lengths)]
        center = _rounded_center(sample)
        distance, spread = np.linalg.norm(center), np.median(np.linalg.norm(sample - center, axis=1))
        far = bool(distance > _FAR * spread)
        return unmoved if kind == "inner_product" and not far else cls(kind, -center, moved=far)

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
        if self.kind == "inner_product":
            prepared, _ = Distances(self.kind, np.zeros_like(self.shift), moved=True).prepare(queries, "queries", first)
            return prepared, prepared.astype(np.float64) @ self.shift
        prepared, squares = dataclasses.replace(self, moved=True).prepare(queries, "queries", first)
        terms = squares if self.moved else squares - 2 * (prepared.astype(np.float64) @ self.shift)
        prepared *= 2
        return prepared, terms

    def exact(self, query: np.ndarray, rows: np.ndarray) -> npt.NDArray[np.float64]:
        """Return (n,) squared distances of one vector and n others as they were given, in float64 and by differences.

        Of the inner product, its negative as seen from the center: without the query's term.
        """
        query, rows = query.astype(np.float64)[None], rows.astype(np.float64)
        if self.kind == "inner_product":
            return -np.einsum("nd,d->n", rows + self.shift, query[0])
        if self.kind == "cosine":
            query, rows = _unit(query), _unit(rows)
        difference = rows - query
        return np.einsum("nd,nd->n", difference, difference)


def _unit(rows: np.ndarray) -> npt.NDArray[np.float64]:
    """Return rows at length 1; that of zero is NaN."""
    exact = rows.astype(np.float64)
    return exact / np.sqrt(np.einsum("nd,nd->n", exact, exact))[:, None]


def _rounded_center(sample: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the mean; to four binary digits of the largest deviation, so that whole numbers stay exact when moved."""
    center = sample.mean(axis=0)
    if (sample == np.rint(sample)).all():
        center = np.rint(center)
    elif (widest := sample.std(axis=0).max()) > 0:
        grid = 2.0 ** (np.floor(np.log2(widest)) - 3)
        center = np.rint(center / grid) * grid
    # A dimension that is the same everywhere changes no distance: none of it is to be left.
    return np.where((sample == sample[0]).all(axis=0), sample[0], center)


def _unusable(row: np.ndarray, name: str, index: int, ids: Sequence[Any] | None) -> ConfigurationError:
    where = f"{name}[{index}]" + (f" ({ids[index]})" if ids is not None else "")
    finite = np.isfinite(row)
    if not finite.all():
        column = int(np.argmin(finite))
        return ConfigurationError(f"{where} is {row[column]} at dimension {column}", "Embeddings must be finite.")
    if not row.any():
        return ConfigurationError(f"{where} is zero, which has no cosine", "Remove it, or choose another distance.")
    return ConfigurationError(f"{where} is too long for float32", "Scale the embeddings down.")
