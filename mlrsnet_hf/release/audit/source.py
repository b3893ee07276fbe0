"""The image files of a source one after another, and which published version its rows are of."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlrsnet_hf.errors import ImageError, ReleaseError
from mlrsnet_hf.release.image_stores import ImageStore
from mlrsnet_hf.release.label_files import LabelRow
from mlrsnet_hf.release.layout import ParquetCopy, find_copy
from mlrsnet_hf.release.listing import Listing, SceneLabels, list_copy
from mlrsnet_hf.release.names import image_id
from mlrsnet_hf.release.parquet import open_parquet
from mlrsnet_hf.release.scene_files import Stray, find_images
from mlrsnet_hf.release.tree import DiskFile
from mlrsnet_hf.taxonomy import Scene, find_scene


@dataclass(frozen=True, slots=True)
class AuditedFile:
    """An image file as it lies in the source."""

    scene: Scene
    name: str
    data: bytes
    fault: str | None = None
    """Why it could not be read from the source, if so."""


def list_source(source: str | Path, with_images: bool = True) -> Listing:
    """List what `open_release` or `open_labels` takes, faults and all; without images, `images` is None.

    Raises:
        ReleaseError: There are no labels at all, images lie beside them under a name that is not looked for, or the
            source is an archive or a Parquet file that cannot be read.
    """
    path = Path(source)
    copy = find_copy(path)
    if isinstance(copy, ParquetCopy):
        return _parquet_listing(path, copy)
    return list_copy(copy, find_images(copy.images) if copy.images and with_images else None)


def read_images(listing: Listing) -> Iterator[AuditedFile]:
    """Read the image files one after another."""
    for scene, store in (listing.images or {}).items():
        yield from _read(scene, store)


def _read(scene: Scene, store: ImageStore) -> Iterator[AuditedFile]:
    """Read a scene's images; those that do not come are told as such."""
    left, reason = dict.fromkeys(store.names), "no longer there"
    try:
        for name, content in store.read(list(left)):
            left.pop(name, None)
            if isinstance(content, ImageError):
                yield AuditedFile(scene, name, b"", content.found)
            else:
                yield AuditedFile(scene, name, content)
    except ReleaseError as error:
        reason = error.found
    yield from (AuditedFile(scene, name, b"", reason) for name in left)


def _parquet_listing(source: Path, copy: ParquetCopy) -> Listing:
    try:
        release = open_parquet(source, copy.files, "as-published")
    except ReleaseError:  # a repository of ours may hold repaired labels only
        release = open_parquet(source, copy.files, "verified")
    parts = {part.entries[0].scene: part for part in release.parts}
    labels = {
        scene: SceneLabels(
            tuple(LabelRow(name, entry.labels, 0) for entry, name in zip(part.entries, part.image_names, strict=True)),
            DiskFile(copy.files[0]),
            "",
        )
        for scene, part in parts.items()
    }
    images = {scene: part.images for scene, part in parts.items()}
    strays = tuple(Stray(str(file), "a Parquet file without images") for file in copy.passed_over)
    return Listing(labels, {}, images, {}, (), strays)


Version = Literal["2020", "2021"]
"""The year of publication."""

# `row_digest` of the label files as published: at github.com/cugbrs/MLRSNet, cd5ca1c (2020-06-30), and of those that
# differ in ed8afc6 (2021-05-21). The tests compute them again from the files.
_OF_2020 = """
airplane 7f8f4752a8c341d0, airport 1a8f55c986b86022, bareland fe144e62f9298905,
baseball_diamond d96892cf855fd0d5, basketball_court d565bbde84626ac2, beach 4e449ef409d87a75,
bridge de4a0238c1274da2, chaparral 671a912ad405df69, cloud 62ec3dff0de4bff4, commercial_area 2f93f5e6ed1b7146,
dense_residential_area cdbe57cad8359f31, desert 4537eac00f39b7fe, eroded_farmland 94ff64af21a294d6,
farmland 886b7035d5cb5c7b, forest 7bd4c364d39dd7ca, freeway 2e24ba2da6a8cb10, golf_course 012cacc108ff4ee7,
ground_track_field 48350e5796059fea, harbor&port bb3e28440a991a55, industrial_area fb10f175a8feb5ae,
intersection d8f681e3a98eaa55, island c066d51299f663a1, lake 765395eb1b692e90, meadow 262c8907d2109fbe,
mobile_home_park 1371c0db2bbc4656, mountain 38494288fd83a268, overpass bbb37de0ce339558, park d39e30a10e3b4d8d,
parking_lot 06199bcc41b9deb8, parkway c309c82a73168dda, railway 797bcdfdd32963cd,
railway_station 5288cc189eb91018, river cce83788623b4e16, roundabout 0bf13af1138bad92,
shipping_yard 9506b6e5146f157a, snowberg a247a0f86fb843d5, sparse_residential_area 6a58f3890813fef7,
stadium e37f656beab369e9, storage_tank 55aae0d19d006a76, swimmimg_pool 962171bca2b61f54,
tennis_court 0f756cf557205ccb, terrace 7b145e1da1e365cf, transmission_tower ffbbdff26da2c067,
vegetable_greenhouse 6b39d86cce358984, wetland 0a7ef6bd72b6b518, wind_turbine f167737f33ac3776
"""
_CHANGED_IN_2021 = """
airplane c251ef41cfeee46e, golf_course 94def031710035c1, harbor&port 93804c55861fdb85,
intersection a67b2ab40e457982, parkway cb2e50daeb752fa4, railway f5969d4fba0727a6,
railway_station c65bcaefa6273b56, sparse_residential_area f9826c7d980e9772, stadium b7095d702941c2a9,
storage_tank 427718302f1d66bb, vegetable_greenhouse b64df966e25ff435
"""


def _parse(text: str) -> dict[Scene, str]:
    """Read "scene digest, scene digest, ..."."""
    return {find_scene(scene): digest for scene, digest in (pair.split() for pair in text.split(","))}


DIGESTS: dict[Version, dict[Scene, str]] = {
    "2020": _parse(_OF_2020),
    "2021": _parse(_OF_2020) | _parse(_CHANGED_IN_2021),
}


def row_digest(rows: Iterable[LabelRow]) -> str:
    """Return 64 bits of the SHA-256 of a scene's rows: image ids in lower case with their label ids, sorted.

    Examples:
        >>> row_digest([LabelRow("lake_00001.jpg", (22, 57), 2), LabelRow("lake_00002.jpg", (), 3)])
        'd7b3c9a4fa096c2c'
    """
    lines = sorted(f"{image_id(row.file_name).casefold()} {' '.join(map(str, row.labels))}\n" for row in rows)
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def matching_versions(scene: Scene, rows: Iterable[LabelRow]) -> frozenset[Version]:
    """Return the versions that hold exactly these rows for a scene: none, one, or both where they are the same."""
    digest = row_digest(rows)
    return frozenset(version for version, digests in DIGESTS.items() if digests[scene] == digest)
