"""Groups of near-duplicates: images of one piece of ground, turned, mirrored, resized, cropped or recompressed.

The paper enlarged four scenes by random rotation, resizing and cropping (Qi et al. 2020), so a random split puts copies
of one image on both sides. Found here: the eight symmetries of the square, with up to about a tenth of each side
cropped and rotations of a few degrees, at any size and usual JPEG quality. Found in part: rotations by more than that
(8 in 10 copies turned by up to 10 degrees, 2 in 10 turned by any angle, of which little more than half the ground
remains). Not found: altered copies of flat images (open sea, bare field), which show nothing to know them by.

Three steps, all exact in that none draws at random: every image becomes a thumbnail and a perceptual hash; the nearest
hashes of each image propose pairs; `alignment` accepts a pair if the aligned textures correlate. Accepted pairs join
into groups, and so do all files of the same bytes, whatever they show.
"""

import csv
import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from mlrsnet_hf.dataset.near_duplicates.alignment import same_ground
from mlrsnet_hf.dataset.near_duplicates.perceptual_hash import identity_placement, placements, responses, thumbnail
from mlrsnet_hf.dataset.splits.protocols import draw_split, ids_by_scene
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import for_csv
from mlrsnet_hf.files import only_writer, whole_file
from mlrsnet_hf.parallel import available_cores
from mlrsnet_hf.release import Release, open_release
from mlrsnet_hf.runtime.logs import progress_bar

GROUPS_VERSION = 2
"""Raise it whenever other groups are found in the same images."""

NEIGHBORS = 12
"""How many of the nearest hashes are proposed to each image."""
LEAST_SIMILARITY = 0.4
"""Similarity of two hashes, as a cosine, to be proposed at all, among more than `FEW_IMAGES`."""
FEW_IMAGES = 1000
"""Up to so many, the nearest hashes are proposed however near: too few to tell what is usual."""
LEAST_AGREEMENT = 0.8
"""Agreement of the patterns' responses, as a cosine under the best placement, to be aligned at all."""
LEAST_CORRELATION = 0.72
"""Correlation of the aligned textures of near-duplicates; unrelated real images reach 0.6, copies 0.8 to 1."""
_MOST_GROUPS = 2**31
_BATCH = 64
_PAIRS = 256
_ROWS = 256
_COLUMNS = 64

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class NearDuplicateReport:
    """What the groups say about a data set and about a split of it."""

    images: int
    groups: int
    """Groups of more than one image."""
    grouped_images: int
    """Images in them."""
    largest_group: int
    test_images: int
    leaking_test_images: int
    """Test images with a near-duplicate in train."""

    def __str__(self) -> str:
        """Return two sentences."""
        share = 100 * self.leaking_test_images / max(self.test_images, 1)
        return (
            f"{self.grouped_images:,} of {self.images:,} images are in {self.groups:,} groups of near-duplicates; the "
            f"largest holds {self.largest_group:,}. {self.leaking_test_images:,} of {self.test_images:,} test images "
            f"({share:.1f}%) have a near-duplicate in train."
        )


def near_duplicate_groups(images: Iterable[tuple[str, bytes]], threads: int | None = None) -> dict[str, int]:
    """Group images by the ground they show.

    Images stream: a thumbnail of 4 KB and the hash of each are held. All of MLRSNet takes about 1.6 GB at its peak.

    Args:
        images: Id and image file of each image; ids are unique.
        threads: How many work at once; by default as many as there are cores.

    Returns:
        The number of each image's group, by id, in the order given; groups are numbered from 0 in the order of their
        first images.

    Raises:
        ImageError: An image cannot be decoded.
        ConfigurationError: An id occurs twice, or there are no images.
    """
    with ThreadPoolExecutor(threads or available_cores()) as pool:
        ids, thumbnails, hashes, own, digests = _hash_all(images, pool)
        neighbors = _propose(hashes, pool)
        placement = _best_placements(neighbors, thumbnails, own, pool)
        numbers = _group(neighbors, placement, thumbnails, digests, pool)
    return dict(zip(ids, numbers, strict=True))


def leak_report(source: str | Path, protocol: str, seed: int, output: Path | None = None) -> NearDuplicateReport:
    """Find the near-duplicates of a release, and count those that a protocol parts; `output` is a CSV of the groups.

    Raises:
        MLRSNetError: The release, the protocol or the file cannot be used.
    """
    release = open_release(source)
    split = draw_split(ids_by_scene(release.entries), protocol, seed)
    groups = release_groups(release)
    if output:
        write_groups({str(for_csv(image_id)): group for image_id, group in groups.items()}, output)
    return report(groups, split["train"], split["test"])


def release_groups(release: Release, cache_dir: str | Path | None = None, threads: int | None = None) -> dict[str, int]:
    """Return the groups of a release's near-duplicates; see `cached_groups`.

    Args:
        release: The release; a changed image makes a new search.
        cache_dir: Where the groups are kept; by default where `datasets` keeps its cache.
        threads: How many search at once; by default as many as there are cores.
    """
    if cache_dir is None:
        import datasets

        cache_dir = datasets.config.HF_DATASETS_CACHE
    images = ((record.id, record.image) for record in release.records())
    return cached_groups(cache_dir, release.images_fingerprint(), images, threads)


def cached_groups(
    cache_dir: str | Path, fingerprint: str, images: Iterable[tuple[str, bytes]], threads: int | None = None
) -> dict[str, int]:
    """Return the group number of each image, from a file in the cache if an earlier call has written it.

    Args:
        cache_dir: The cache of `datasets`.
        fingerprint: What tells these images from others; their labels do not matter.
        images: Id and image file of each image; read only where there is no such file.
        threads: How many search at once; by default as many as there are cores.

    Raises:
        ImageError: An image cannot be read or decoded.
        ConfigurationError: The file cannot be written or read.
    """
    path = _place(cache_dir, fingerprint)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with only_writer(path, patience=-1):
            if not path.is_file():
                write_groups(near_duplicate_groups(images, threads), path)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be written ({error.strerror or error})", "Choose another cache folder or disk."
        ) from error
    return read_groups(path)


def kept_groups(cache_dir: str | Path, fingerprint: str) -> dict[str, int] | None:
    """Return the groups that an earlier call of `cached_groups` has written; None where there are none.

    Raises:
        ConfigurationError: The file cannot be read.
    """
    path = _place(cache_dir, fingerprint)
    return read_groups(path) if path.is_file() else None


def _place(cache_dir: str | Path, fingerprint: str) -> Path:
    return Path(cache_dir) / "mlrsnet" / f"near-duplicates-{GROUPS_VERSION}-{fingerprint[:16]}.csv"


def write_groups(groups: Mapping[str, int], path: str | Path) -> None:
    """Write a CSV of id and group; it appears when it is whole."""
    with whole_file(Path(path)) as partial:
        partial.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["id", "group"])
            writer.writerows(groups.items())


def read_groups(path: str | Path) -> dict[str, int]:
    """Read what `write_groups` wrote."""
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            groups = {row["id"]: int(row["group"]) for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise ConfigurationError(f"{path}: not a file of groups ({error})", "Remove it and find them anew.") from error
    if not all(groups) or not all(abs(number) < _MOST_GROUPS for number in groups.values()):
        raise ConfigurationError(f"{path}: not a file of groups (no id, or no number)", "Remove it and find them anew.")
    return groups


def report(groups: Mapping[str, int], train: Iterable[str] = (), test: Sequence[str] = ()) -> NearDuplicateReport:
    """Count the groups of more than one image, and the test images that have a near-duplicate in train, by ids."""
    sizes = [size for size in Counter(groups.values()).values() if size > 1]
    seen = {groups[image_id] for image_id in train}
    return NearDuplicateReport(
        images=len(groups),
        groups=len(sizes),
        grouped_images=sum(sizes),
        largest_group=max(sizes, default=0),
        test_images=len(test),
        leaking_test_images=sum(groups[image_id] in seen for image_id in test),
    )


def _hash_all(
    images: Iterable[tuple[str, bytes]], pool: ThreadPoolExecutor
) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray, list[bytes]]:
    """Return ids, thumbnails, hashes, the unplaced patterns' responses (of unit length) and files' digests."""
    ids: dict[str, None] = {}
    digests: list[bytes] = []
    parts = []
    with progress_bar(description="hashing images", unit="image") as bar:
        for batch_ids, batch_digests, *arrays in _in_order(pool, _hash_batch, _batches(images)):
            for image_id in batch_ids:
                if image_id in ids:
                    raise ConfigurationError(f"image id {image_id!r} occurs twice", "Make ids unique.")
                ids[image_id] = None
            parts.append(arrays)
            digests += batch_digests
            bar.update(len(batch_ids))
    if not parts:
        raise ConfigurationError("no images to compare", "Pass at least one.")
    thumbnails, hashes, own = (np.concatenate([arrays.pop(0) for arrays in parts]) for _ in range(3))
    return list(ids), thumbnails, hashes, own, digests


def _hash_batch(
    batch: list[tuple[str, bytes]],
) -> tuple[list[str], list[bytes], np.ndarray, np.ndarray, np.ndarray]:
    thumbnails = np.stack([thumbnail(data, image_id) for image_id, data in batch])
    answers = responses(thumbnails)
    digests = [hashlib.sha256(data).digest() for _, data in batch]
    hashes, own = answers.max(1), _unit(answers[:, identity_placement()])
    return [image_id for image_id, _ in batch], digests, thumbnails, hashes, own


def _propose(hashes: np.ndarray, pool: ThreadPoolExecutor) -> np.ndarray:
    """Return for each image the images of the nearest hashes: (n, neighbors), -1 where there is none near enough."""
    count = len(hashes)
    padded = np.zeros((-(-count // _COLUMNS) * _COLUMNS, hashes.shape[1]), np.float32)
    padded[:count] = _unit(_whitened(hashes))
    starts = range(0, count, _ROWS)
    blocks = _in_order(pool, lambda start: _nearest(padded, range(start, min(start + _ROWS, count)), count), starts)
    return np.concatenate(list(progress_bar(blocks, "comparing hashes", total=len(starts), unit="block")))


def _whitened(hashes: np.ndarray) -> np.ndarray:
    """Return hashes without mean, their principal components of about equal weight."""
    centered = (hashes - hashes.mean(0)).astype(np.float64)
    spread, directions = np.linalg.eigh(centered.T @ centered / max(len(hashes) - 1, 1))
    return (centered @ (directions / np.sqrt(spread + 0.02 * spread[-1] + 1e-12))).astype(np.float32)


def _nearest(hashes: np.ndarray, numbers: range, count: int) -> np.ndarray:
    """Return the nearest hashes to those numbered, exactly: the best of the columns with the best maxima.

    The hashes are of unit length, the rows from `count` on padding. The result is (numbers, neighbors), nearest first,
    -1 where there is none near enough.
    """
    rows = np.arange(len(numbers))
    similarity = hashes[numbers.start : numbers.stop] @ hashes.T
    similarity[rows, rows + numbers.start] = -2
    similarity[:, count:] = -2
    table = similarity.reshape(len(rows), _COLUMNS, -1)
    columns = _best(table.max(1))
    index = (columns[:, None, :] + np.arange(_COLUMNS)[:, None] * table.shape[2]).reshape(len(rows), -1)
    chosen = np.take_along_axis(index, _best(np.take_along_axis(similarity, index, 1)), 1)
    nearest_first = np.argsort(-np.take_along_axis(similarity, chosen, 1), axis=1, kind="stable")
    chosen = np.take_along_axis(chosen, nearest_first, 1)
    least = LEAST_SIMILARITY if count > FEW_IMAGES else -1.5
    return np.where(np.take_along_axis(similarity, chosen, 1) < least, -1, chosen)


def _best(values: np.ndarray) -> np.ndarray:
    """Return the positions of the greatest values of each row, in no order."""
    if values.shape[1] <= NEIGHBORS:
        return np.tile(np.arange(values.shape[1]), (len(values), 1))
    return np.argpartition(values, -NEIGHBORS, axis=1)[:, -NEIGHBORS:]


def _best_placements(
    neighbors: np.ndarray, thumbnails: np.ndarray, own: np.ndarray, pool: ThreadPoolExecutor
) -> np.ndarray:
    """Return the best placement for each image and neighbor, -1 where they are not worth aligning."""
    batches = [np.arange(i, min(i + _BATCH, len(neighbors))) for i in range(0, len(neighbors), _BATCH)]

    def placed(batch: np.ndarray) -> np.ndarray:
        agreement = _unit(responses(thumbnails[batch])) @ own[neighbors[batch]].transpose(0, 2, 1)
        worth = (neighbors[batch] >= 0) & (agreement.max(1) >= LEAST_AGREEMENT)
        return np.where(worth, agreement.argmax(1), -1).astype(np.int16)

    bar = progress_bar(_in_order(pool, placed, batches), "placing pairs", total=len(batches), unit="batch")
    return np.concatenate(list(bar))


def _group(
    neighbors: np.ndarray,
    placement: np.ndarray,
    thumbnails: np.ndarray,
    digests: Sequence[bytes],
    pool: ThreadPoolExecutor,
) -> list[int]:
    """Return the number of each image's group, nearest neighbors first; what is connected is not compared again."""
    components = _Components(len(neighbors))
    first_of: dict[bytes, int] = {}
    for image, digest in enumerate(digests):
        components.join(first_of.setdefault(digest, image), image)

    def accepted(pairs: tuple[np.ndarray, np.ndarray, np.ndarray]) -> list[tuple[int, int]]:
        images, others, maps = pairs
        correlation = same_ground(thumbnails[others], thumbnails[images], maps)
        return [
            pair
            for pair, c in zip(zip(images, others, strict=True), correlation, strict=True)
            if c >= LEAST_CORRELATION
        ]

    def open_pairs() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for column in progress_bar(range(neighbors.shape[1]), "aligning pairs", unit="neighbor"):
            worth = np.nonzero(placement[:, column] >= 0)[0]
            for start in range(0, len(worth), _PAIRS):
                images = worth[start : start + _PAIRS]
                others = neighbors[images, column]
                apart = [components.find(i) != components.find(j) for i, j in zip(images, others, strict=True)]
                yield images[apart], others[apart], placements()[placement[images, column]][apart]

    for pairs in _in_order(pool, accepted, open_pairs()):
        for first, second in pairs:
            components.join(first, second)
    return components.numbers()


class _Components:
    """Connected components of a graph whose edges come one by one (union-find)."""

    def __init__(self, count: int) -> None:
        self._root = list(range(count))

    def find(self, element: int) -> int:
        root = self._root
        while root[element] != element:
            root[element] = root[root[element]]
            element = root[element]
        return element

    def join(self, first: int, second: int) -> None:
        low, high = sorted((self.find(first), self.find(second)))
        self._root[high] = low

    def numbers(self) -> list[int]:
        """Return the number of each element's component, numbered from 0 by first elements."""
        numbers: dict[int, int] = {}
        return [numbers.setdefault(self.find(element), len(numbers)) for element in range(len(self._root))]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-9)


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _in_order(pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield the results in order; few items wait, so that a stream stays a stream."""
    waiting: deque[Future[R]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > 4:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
