"""What follows the network: length 1, and principal components.

In the order of Jégou and Chum (2012), "Negative evidences and co-occurences in image retrieval: the benefit of PCA and
whitening", ECCV: normalize, project, whiten, normalize again.
"""

import itertools
import math
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Any, TypedDict

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.configuration.settings import Count, CountOrZero, Range
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import shortened
from mlrsnet_hf.files import whole_file

PCA_FILE = "pca.npz"
_MOST_BYTES = 2**31
"""Of principal components; 4,096 of 65,536 dimensions in float64."""


def unit_length(embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return (N, D) embeddings scaled to length 1; a zero vector stays zero."""
    lengths = np.linalg.norm(embeddings.astype(np.float64), axis=1, keepdims=True)
    return (embeddings / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)


class PcaInfo(TypedDict):
    """What `embeddings.json` says of principal components."""

    components: Count
    whitened: bool
    fitted_on: CountOrZero
    """Images."""
    explained: Annotated[float, Range(0, 1)]
    """Share of the variance."""


@dataclass(frozen=True, slots=True)
class Pca:
    """Principal components, fitted."""

    mean: npt.NDArray[np.float64]
    """(D,)."""
    components: npt.NDArray[np.float64]
    """(C, D), orthonormal rows; the largest entry of each by absolute value is positive."""
    variances: npt.NDArray[np.float64]
    """(C,), falling."""
    whitened: bool
    explained: float
    """Share of the whole variance."""
    fitted_on: int
    """Number of embeddings."""

    def project(self, embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return (N, D) embeddings as (N, C), each component of variance 1 if whitened."""
        projected = (embeddings - self.mean) @ self.components.T
        if self.whitened:
            projected /= np.sqrt(self.variances)
        return projected.astype(np.float32)

    def to_json(self) -> PcaInfo:
        """Return what `embeddings.json` says of it."""
        return {
            "components": len(self.components),
            "whitened": self.whitened,
            "fitted_on": self.fitted_on,
            "explained": round(self.explained, 6),
        }

    def save(self, path: Path) -> None:
        """Write it as a NumPy archive, which has its name only when it is whole.

        Raises:
            ConfigurationError: It cannot be written.
        """
        arrays: dict[str, Any] = {name: np.asarray(getattr(self, name)) for name in self.__slots__}
        with whole_file(path) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)


def load_pca(file: Path | IO[bytes], name: str | None = None) -> Pca:
    """Read what `Pca.save` wrote, from its path or an open file; `name` is what errors call it, the path if unset.

    Raises:
        ConfigurationError: The file is missing or damaged.
    """
    try:
        with np.load(file, allow_pickle=False) as stored:
            _refuse_huge(stored.zip)
            values = {name: stored[name] for name in Pca.__slots__}
        scalars: dict[str, Any] = {
            name: kind(values[name].item())
            for name, kind in (("whitened", bool), ("explained", float), ("fitted_on", int))
        }
        pca = Pca(**(values | scalars))
        count, size = pca.components.shape
        fits = (pca.mean.shape, pca.variances.shape) == ((size,), (count,))
        if not fits or not all(np.isfinite(values[name]).all() for name in ("mean", "components", "variances")):
            raise ValueError("arrays that do not fit each other, or are not finite")
    # The reader of the archive raises many types, as do arrays that hold something else.
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        EOFError,
        NotImplementedError,
        MemoryError,
        OverflowError,
        RuntimeError,
        SyntaxError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ConfigurationError(
            f"{name or file}: cannot be read ({shortened(str(error), 200)})", "Make the embeddings again."
        ) from error
    return pca


def _refuse_huge(archive: zipfile.ZipFile) -> None:
    """Refuse arrays of a size that no embeddings have, of however small an archive."""
    if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
        raise ValueError(f"more than {_MOST_BYTES:,} bytes")
    for entry in archive.infolist():
        with archive.open(entry) as array:
            version = np.lib.format.read_magic(array)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, kind = read(array)
            if math.prod(shape) * kind.itemsize > entry.file_size:
                raise ValueError("an array that is larger than its file")


def fit_pca(batches: Iterable[npt.NDArray[np.float32]], components: int, whiten: bool, limit: int = 0) -> Pca:
    """Fit principal components on embeddings that come in batches.

    Mean and covariance are summed in float64, batch by batch and about the first batch's mean, so that memory is that
    of one D x D matrix; the result depends on the order of the rows alone.

    Args:
        batches: (N, D) each.
        components: How many to keep.
        whiten: Whether projections are scaled to variance 1.
        limit: Fit on so many rows only, the first; 0 is all.

    Raises:
        ConfigurationError: There are fewer rows or dimensions than components, or fewer with any variance.
    """
    parts = iter(batches)
    first = next(parts, np.empty((0, 0), np.float32))
    size = first.shape[1]
    shift = first.astype(np.float64).mean(axis=0) if len(first) else np.zeros(size)
    total, products = np.zeros(size), np.zeros((size, size))
    rows = 0
    for batch in itertools.chain([first], parts):
        part = batch[: limit - rows if limit else None].astype(np.float64) - shift
        total += part.sum(axis=0)
        products += part.T @ part
        rows += len(part)
        if limit and rows >= limit:
            break
    if rows <= components or size < components:
        raise ConfigurationError(
            f"{components} components cannot be fitted on {rows:,} embeddings of {size:,} dimensions", "Ask for fewer."
        )
    covariance = (products - np.outer(total, total) / rows) / (rows - 1)

    values, vectors = np.linalg.eigh(covariance)
    order = np.argsort(values, kind="stable")[::-1][:components]
    chosen, axes = values[order], vectors[:, order].T
    if whiten and chosen[-1] <= values.max() * 1e-10:
        usable = int((values > values.max() * 1e-10).sum())
        raise ConfigurationError(
            f"only {usable} of {components} components vary, the rest cannot be whitened", f"Ask for at most {usable}."
        )
    largest = axes[np.arange(components), np.abs(axes).argmax(axis=1)]
    axes *= np.where(largest < 0, -1.0, 1.0)[:, None]
    spread = max(values.sum(), 0.0)
    explained = float(chosen.sum() / spread) if spread else 0.0
    return Pca(shift + total / rows, axes, chosen, whiten, explained, rows)
