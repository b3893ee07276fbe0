"""Whether a copy is MLRSNet: its rows, image name and labels, beside those that were published.

The layout says little: UC Merced and other data sets lie on disks in it, and the rules that repair MLRSNet's labels
would spoil theirs. `published_rows.npz` holds 32 bits of a hash for each row of the label files of 2020 and of 2021, so
that partial copies, filtered label files and Parquet with either version of the labels are known too, and a few altered
rows do no harm. A row of other data is taken for a published one by chance in 1 of 36,000 cases; where names and labels
coincide (9 of 1,214 rows of UC Merced with MLRSNet's labels), the share that is asked for decides.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np

from mlrsnet_hf.release.names import image_id
from mlrsnet_hf.release.repair import LabelVersion
from mlrsnet_hf.runtime.logs import get_logger, is_main_process

LEAST_SHARE = 0.95
"""Share of a copy's rows that are published ones, if the copy is MLRSNet."""
PUBLISHED_ROWS = "published_rows.npz"
"""Made by `tests/release/make_published_rows.py`: sorted digests `both`, `only_2020` and `only_2021`."""
_BYTES = 4
_KEY = b"mlrsnet row"

PublishedVersion = Literal["2020", "2021"]
"""The year of publication."""

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Recognition:
    """How many rows there are, and how many of them are published ones, in either version."""

    rows: int
    known: int

    @property
    def is_mlrsnet(self) -> bool:
        """Whether the rows are MLRSNet's, or a part of them."""
        return self.rows > 0 and self.known >= LEAST_SHARE * self.rows

    def __str__(self) -> str:
        """Return the counts in words."""
        return f"{self.known:,} of {self.rows:,} rows are published ones"


def recognize(rows: Iterable[tuple[str, Iterable[int]]]) -> Recognition:
    """Count the rows that were published.

    Args:
        rows: Name of the image, with or without folder and suffix, and label ids of each row.
    """
    digests = row_digests(rows)
    known = np.zeros(len(digests), bool)
    for published in published_digests().values():
        known |= _among(digests, published)
    return Recognition(len(digests), int(known.sum()))


def matching_versions(rows: Iterable[tuple[str, Iterable[int]]]) -> frozenset[PublishedVersion]:
    """Return the published versions that all of the rows are of: none, one, or both where they are the same."""
    digests, published = row_digests(rows), published_digests()
    if not len(digests):
        return frozenset()
    in_both = _among(digests, published["both"])
    only: Mapping[PublishedVersion, str] = {"2020": "only_2020", "2021": "only_2021"}
    return frozenset(year for year, name in only.items() if (in_both | _among(digests, published[name])).all())


def row_digests(rows: Iterable[tuple[str, Iterable[int]]]) -> np.ndarray:
    """Return 32 bits of a keyed BLAKE2b hash of each row: the image's id in lower case and its label ids, ascending.

    Examples:
        >>> row_digests([("lake_00001.jpg", (57, 22)), ("Lake/LAKE_00001", (22, 57))]).tolist()
        [2226362264, 2226362264]
    """
    digests = bytearray()
    for name, labels in rows:
        text = f"{image_id(name.rpartition('/')[2]).casefold()} {' '.join(map(str, sorted(labels)))}"
        digests += hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=_BYTES, key=_KEY).digest()
    return np.frombuffer(bytes(digests), np.dtype(f"<u{_BYTES}"))


@cache
def published_digests() -> Mapping[str, np.ndarray]:
    """Return the digests of the rows that are the same in both versions, and of those that only one has."""
    with (files("mlrsnet_hf.release") / PUBLISHED_ROWS).open("rb") as file, np.load(file, allow_pickle=False) as stored:
        return dict(stored)


def _among(digests: np.ndarray, published: np.ndarray) -> np.ndarray:
    """Tell which digests are among those published, which ascend."""
    places = np.searchsorted(published, digests).clip(max=len(published) - 1)
    return np.asarray(published[places] == digests)


def choose_label_version(
    asked: LabelVersion | None, recognition: Recognition, place: object, holds_repaired: bool = False
) -> LabelVersion:
    """Return the label version that a copy is opened in, and say once what a user may not expect.

    Args:
        asked: None for `verified` where the copy is MLRSNet, and for `as-published` elsewhere.
        recognition: Of the copy's rows.
        place: The copy, to be named.
        holds_repaired: Whether labels of the copy were repaired when it was prepared; as these cannot be undone,
            `verified` is what they are.
    """
    if asked is None:
        if recognition.is_mlrsnet:
            return "verified"
        if holds_repaired:
            _say_once(
                f"{place}: not recognized as MLRSNet ({recognition}), but its labels were repaired when it was prepared"
            )
            return "verified"
        _say_once(
            f"{place}: not recognized as MLRSNet ({recognition}), so its labels are taken as they are (label_version)"
        )
        return "as-published"
    if asked == "verified" and not recognition.is_mlrsnet and not holds_repaired:
        _say_once(
            f"{place}: not recognized as MLRSNet ({recognition}), but label_version='verified' changes its labels by "
            "the rules for MLRSNet; 'as-published' leaves them as they are"
        )
    return asked


@cache
def _say_once(message: str) -> None:
    """Warn, but not again where one copy is opened several times; standard output is left to what was asked for."""
    if is_main_process():
        logger.warning(message)
