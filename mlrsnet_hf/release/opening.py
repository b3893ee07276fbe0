"""Opening a source: find its parts, read its labels, match rows and images."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.errors import ReleaseError
from mlrsnet_hf.release.image_stores import ImageStore
from mlrsnet_hf.release.label_files import LabelRow
from mlrsnet_hf.release.layout import IMAGES, ParquetCopy, find_copy, find_part
from mlrsnet_hf.release.listing import Listing, SceneLabels, list_copy
from mlrsnet_hf.release.names import image_id
from mlrsnet_hf.release.parquet import open_parquet
from mlrsnet_hf.release.recognition import choose_label_version, recognize
from mlrsnet_hf.release.release import Entry, Release, ScenePart, make_entry, verified
from mlrsnet_hf.release.repair import LabelVersion, require_label_version
from mlrsnet_hf.release.scene_files import ByScene, find_images, find_label_files, find_scenes
from mlrsnet_hf.release.tree import is_archive
from mlrsnet_hf.runtime.logs import get_logger
from mlrsnet_hf.taxonomy import Scene

_TOLD = 10
"""Names of what is passed over that are told."""

logger = get_logger(__name__)


def open_release(source: str | Path, label_version: LabelVersion | None = None) -> Release:
    """Open MLRSNet in any of its published forms and match its rows with its images.

    The source is one of

    * a folder with `Images/<scene>/*.jpg` and `Labels/<scene>.csv`; in place of a scene's folder may stand
      `Images/<scene>.rar` or `Images/<scene>.zip`, in place of either part its archive, `Images.zip` or `Labels.zip`,
      and in place of the label files one table of all scenes, in `Labels` or beside `Images`;
    * an archive of such a folder, as the one ZIP from Mendeley, in which RAR files lie; TAR files, plain or by gzip or
      bzip2, will do as well;
    * Parquet files with the columns `image` and `label` or `labels`, as copies on the Hub have, or the folder that
      holds them; a repository made by `mlrsnet prepare` is one.

    Up to three folders may lie around all that, and around what a part holds, or the one archive with it in a folder.
    Any subset of the 46 scenes will do. Names match in any letter case, scenes by canonical or published name, images
    with the suffix .jpg, .jpeg, .png, .tif or .tiff, tables with .csv, .tsv, .tab or .txt; how spreadsheets rewrite
    tables is understood (see `parse_label_file`). What lies beside the parts is not looked at; what lies in them and is
    no part of the release (an open spreadsheet's `~$beach.csv`, a second download `beach (1).csv`, notes) is passed
    over, and its names are logged.

    Opening reads the labels and lists the images but reads none, except that an archive inside an archive is copied to
    a temporary file (see `TMPDIR`), one at a time, each time it is listed or read.

    Args:
        source: A folder or file.
        label_version: `verified` repairs the published faults (see `verified_labels`), `as-published` takes the labels
            as they are. By default `verified` if the copy is MLRSNet or a part of it (see `recognition`), else
            `as-published`.

    Raises:
        UnknownNameError: `label_version` is neither.
        ReleaseError: The source is missing, empty or not laid out like the release; a scene has images but no labels,
            or labels but no images, or either twice; a row has no image or an image no row; a label file is faulty; an
            archive is damaged, leads out of itself, or holds images or labels that are links or of absurd size; a
            Parquet file does not name its images.
    """
    require_label_version(label_version)
    source = Path(source)
    copy = find_copy(source)
    if isinstance(copy, ParquetCopy):
        _tell_passed_over(source, [str(file) for file in copy.passed_over])
        return open_parquet(source, copy.files, label_version)
    images = find_images(find_part(copy, IMAGES))
    if not (images.parts or images.faults or images.conflicts or images.strays):
        raise ReleaseError(f"{images.place}: empty folder", "Add Images/<scene>/*.jpg, or an archive of a scene.")
    listing = list_copy(copy, images)
    for error in listing.faults():
        raise error
    strays = sorted(listing.strays, key=lambda stray: stray.is_clutter)
    _tell_passed_over(source, [stray.place for stray in strays])
    parts = (_part(scene, labels, images.parts[scene]) for scene, labels in listing.labels.items())
    release = Release(source, tuple(parts))
    _refuse_repeated_ids(release)
    return release.in_label_version(label_version)


def open_labels(source: str | Path, label_version: LabelVersion | None = None) -> tuple[Entry, ...]:
    """Read the labels of a source, whose images need not be there.

    Args:
        source: What `open_release` takes, or the label files alone: a folder or archive with `<scene>.csv` files,
            directly or in a folder named `Labels`.
        label_version: As for `open_release`.

    Returns:
        By scene id, then by image id; file names are those of the label files.

    Raises:
        UnknownNameError: `label_version` is neither.
        ReleaseError: There are no label files, or one is faulty.
    """
    require_label_version(label_version)
    source = Path(source)
    copy = find_copy(source)
    if isinstance(copy, ParquetCopy):
        return open_parquet(source, copy.files, label_version).entries
    entries = _listed_entries(list_copy(copy, images=None))
    version = _chosen_version(label_version, entries, source)
    return tuple(map(verified, entries) if version == "verified" else entries)


def find_label_version(source: str | Path, asked: LabelVersion | None = None) -> LabelVersion:
    """Return the label version that `open_release` opens a source in; only its labels are read.

    Raises:
        UnknownNameError: `asked` is no label version.
        ReleaseError: The source is missing or not laid out like the release, or its labels cannot be read.
    """
    require_label_version(asked)
    source = Path(source)
    copy = find_copy(source)
    if isinstance(copy, ParquetCopy):
        return open_parquet(source, copy.files, asked).label_version
    find_part(copy, IMAGES)  # told before the lack of label files, as `open_release` does
    return _chosen_version(asked, _listed_entries(list_copy(copy, images=None)), source)


def _listed_entries(listing: Listing) -> list[Entry]:
    """Return the rows of all label files, by scene id, then by image id."""
    for error in listing.faults():
        raise error
    entries: list[Entry] = []
    for scene, labels in listing.labels.items():
        named = sorted((image_id(row.file_name), row) for row in labels.rows)
        entries += [make_entry(scene, row_id, row.file_name, row.labels) for row_id, row in named]
    return entries


def _chosen_version(asked: LabelVersion | None, entries: Sequence[Entry], source: Path) -> LabelVersion:
    return choose_label_version(asked, recognize((entry.id, entry.labels) for entry in entries), source)


def holds_images(source: str | Path) -> bool:
    """Return whether a source holds images, or label files alone.

    Raises:
        ReleaseError: There is no such source, or it is an archive that is refused.
    """
    copy = find_copy(Path(source))
    return isinstance(copy, ParquetCopy) or copy.images is not None


def holds_release(source: str | Path) -> bool:
    """Return whether a path is a folder or archive that is laid out like the release, with labels of its scenes."""
    source = Path(source)
    if not (source.is_dir() or (source.is_file() and is_archive(source.name))):
        return False
    try:
        copy = find_copy(source)
        if isinstance(copy, ParquetCopy) or copy.images is None or copy.labels is None:
            return False
        label_files = find_label_files(copy.labels)
        return bool(label_files.parts if isinstance(label_files, ByScene) else find_scenes(copy.images).parts)
    except ReleaseError:
        return False


def _tell_passed_over(source: Path, places: Sequence[str]) -> None:
    if places:
        names = [place.removeprefix(f"{source}{os.sep}") for place in places]
        more = f" and {len(names) - _TOLD:,} more" if len(names) > _TOLD else ""
        logger.warning("%s: passed over, as no part of the release: %s%s", source, ", ".join(names[:_TOLD]), more)


def _part(scene: Scene, labels: SceneLabels, images: ImageStore) -> ScenePart:
    pairing = pair(labels.rows, images.names)
    _refuse_left_over(pairing, labels.file.place, images.place)
    return ScenePart(
        entries=tuple(make_entry(scene, row_id, name, row.labels) for row_id, row, name in pairing.pairs),
        image_names=tuple(name for _, _, name in pairing.pairs),
        images=images,
        label_file=labels.file,
        label_digest=labels.digest,
    )


def _refuse_repeated_ids(release: Release) -> None:
    places: dict[str, str] = {}
    for part in release.parts:
        for entry, name in zip(part.entries, part.image_names, strict=True):
            here = f"{part.images.place}/{name}"
            first = places.setdefault(entry.id.casefold(), here)
            if first is not here:
                raise ReleaseError(f"{first} and {here}: one id in two scenes", "Rename one, in its label file too.")


@dataclass(frozen=True, slots=True)
class Pairing:
    """Rows and images that belong together, and what is left over."""

    pairs: list[tuple[str, LabelRow, str]]
    """Image id, row and name of the image file, by id."""
    rows_without_image: list[LabelRow]
    images_without_row: list[str]
    doubles: list[tuple[str, str]]
    """Names of image files that stand for one image; the first is taken."""


def pair(rows: Sequence[LabelRow], image_names: Sequence[str]) -> Pairing:
    """Pair a scene's rows and images; letter case, spelling and suffix may differ."""
    images: dict[str, str] = {}
    doubles: list[tuple[str, str]] = []
    for name in image_names:
        taken = images.setdefault(image_id(name).casefold(), name)
        if taken is not name:
            doubles.append((taken, name))
    pairs: list[tuple[str, LabelRow, str]] = []
    rows_without_image: list[LabelRow] = []
    for row in rows:
        row_id = image_id(row.file_name)
        if row_id.casefold() in images:
            pairs.append((row_id, row, images.pop(row_id.casefold())))
        else:
            rows_without_image.append(row)
    return Pairing(sorted(pairs), rows_without_image, list(images.values()), doubles)


def _refuse_left_over(pairing: Pairing, label_file: str, images: str) -> None:
    """Refuse a scene whose rows and images do not all pair up, naming the places of both."""
    if pairing.doubles:
        first, second = pairing.doubles[0]
        raise ReleaseError(f"{images}/{first} and {images}/{second}: two images of one name", "Keep one of the two.")
    if pairing.rows_without_image:
        row, *more = pairing.rows_without_image
        raise ReleaseError(
            f"{label_file}, line {row.line}: {row.file_name} is not in {images}{_and_more(more)}",
            "Add the image or delete the row.",
        )
    if pairing.images_without_row:
        name, *others = pairing.images_without_row
        raise ReleaseError(
            f"{images}/{name}: no row in {label_file}{_and_more(others)}", "Add the row or remove the image."
        )
    if not pairing.pairs:
        raise ReleaseError(f"{images}: empty folder", "Add the scene's images, or remove it and its label file.")


def _and_more(left: Sequence[object]) -> str:
    return f" (and {len(left)} more)" if left else ""
