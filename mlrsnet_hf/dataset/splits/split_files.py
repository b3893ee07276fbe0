"""Custom splits: files of image names and their splits, as other benchmarks publish theirs, matched with a copy.

The forms are those of `split_lists`. A name may carry a folder and a suffix (`airplane/airplane_00001.jpg`).
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from mlrsnet_hf.dataset.splits.split_lists import FORMAT, ListedImage, SplitFiles, find_lists, read_list
from mlrsnet_hf.errors import ConfigurationError, name_alternatives
from mlrsnet_hf.release.names import IMAGE_SUFFIXES, image_id, image_scene, split_suffix

_SPLIT_NAME = re.compile(r"\w+(\.\w+)*")


@dataclass(frozen=True, slots=True)
class CustomSplit:
    """A split read from files, matched with the images that there are."""

    splits: dict[str, tuple[str, ...]]
    """Image ids by split, in the order of the files' first mention; ids in the order of scene and id. A split of whose
    images none is there is not among them."""
    left_out: int
    """Images that the files do not list; they are in no split."""
    absent: dict[str, tuple[str, ...]]
    """Names that the files list, by split, whose images are not in this copy, which is a part of the release."""

    def notes(self) -> list[str]:
        """Return in sentences what the splits lack."""
        notes = []
        for split, names in self.absent.items():
            found = len(self.splits.get(split, ()))
            notes.append(
                f"{len(names):,} of {len(names) + found:,} images of split {split!r} are not in this copy, such as "
                f"{names[0]}" + ("" if found else ": there is no such split")
            )
        return notes + ([f"{self.left_out:,} images are in no split"] if self.left_out else [])


def read_split_file(given: SplitFiles, ids_by_scene: Mapping[str, Sequence[str]]) -> CustomSplit:
    """Read split files and match them with the images that there are.

    Names match in any letter case, scenes in canonical and published spelling. Images that are not listed are left out,
    and counted. So are listed images that are not there, if the copy is a part of the release and they may be in the
    rest of it: names of the release's form, scene and number, of a scene that is not whole, or any names if all images
    that are there are listed. Other names are taken for misspelt, and refused.

    Args:
        given: A file, a folder of files, a pattern, several of these, or a mapping of split to file.
        ids_by_scene: The image ids of each scene, by published name.

    Raises:
        ConfigurationError: A file cannot be read, lacks a column, is empty, names no image that exists, one that is
            misspelt or one twice, or has a split name that `datasets` cannot take. The message names file and row.
    """
    known = {one.casefold(): one for ids in ids_by_scene.values() for one in ids}
    listed: dict[str, ListedImage] = {}
    split_of: dict[str, str] = {}
    absent: dict[str, ListedImage] = {}
    rows = [row for path, split in find_lists(given) for row in read_list(path, split)]
    for row in rows:
        if row.split == "all" or not _SPLIT_NAME.fullmatch(row.split):
            raise ConfigurationError(
                f"{row.place}: {row.split!r} cannot name a split", "Use letters, digits and underscores, not 'all'."
            )
        key = _published_id(row.name).casefold()
        first = listed.setdefault(key, row)
        if first is not row:
            raise ConfigurationError(
                f"{row.place}: image {row.name!r} is listed twice, in {first.place} too", "Remove one of the two rows."
            )
        if key in known:
            split_of[known[key]] = row.split
        else:
            absent[key] = row
    if not rows:
        raise ConfigurationError(f"{given}: no rows", FORMAT)
    _refuse_misspelt(absent, known, split_of, ids_by_scene)
    splits: dict[str, list[str]] = {row.split: [] for row in rows}
    for ids in ids_by_scene.values():
        for one in sorted(ids):
            if one in split_of:
                splits[split_of[one]].append(one)
    left_over: dict[str, list[str]] = {}
    for row in absent.values():
        left_over.setdefault(row.split, []).append(row.name)
    return CustomSplit(
        {name: tuple(ids) for name, ids in splits.items() if ids},
        len(known) - len(split_of),
        {name: tuple(names) for name, names in left_over.items()},
    )


def match_listed(given: SplitFiles, ids: Sequence[str]) -> dict[str, list[int]]:
    """Read split files and match them with the images of any dataset.

    A name is that of an image if it is its id, or else, without folder and suffix and in any letter case, that of one
    alone. Images that are not listed are in no split.

    Args:
        given: As `read_split_file` takes it.
        ids: Of the images, each another.

    Returns:
        The positions of each split's images in `ids`, ascending; splits in the order of the files' first mention.

    Raises:
        ConfigurationError: A file cannot be read, lacks a column, is empty, or names an image that there is not, or one
            twice. The message names file and row.
    """
    places = {name: place for place, name in enumerate(ids)}
    by_stem: dict[str, list[int]] = {}
    for place, name in enumerate(ids):
        by_stem.setdefault(_stem(name), []).append(place)
    splits: dict[str, list[int]] = {}
    listed: dict[int, ListedImage] = {}
    for row in (row for path, split in find_lists(given) for row in read_list(path, split)):
        alike = by_stem.get(_stem(row.name), [])
        if row.name in places:
            place = places[row.name]
        elif len(alike) == 1:
            place = alike[0]
        else:
            found = f"{len(alike)} images may be meant by {row.name!r}" if alike else f"there is no image {row.name!r}"
            raise ConfigurationError(
                f"{row.place}: {found}",
                name_alternatives(row.name, ids) if len(ids) <= 100 else "Correct or remove the row, or add the image.",
            )
        first = listed.setdefault(place, row)
        if first is not row:
            raise ConfigurationError(
                f"{row.place}: image {row.name!r} is listed twice, in {first.place} too", "Remove one of the two rows."
            )
        splits.setdefault(row.split, []).append(place)
    if not splits:
        raise ConfigurationError(f"{given}: no rows", FORMAT)
    return {split: sorted(found) for split, found in splits.items()}


def _stem(name: str) -> str:
    """Return a name without folder and suffix of an image, in one letter case."""
    name = PurePosixPath(name.replace("\\", "/")).name
    stem, suffix = split_suffix(name)
    return (stem if suffix in IMAGE_SUFFIXES else name).casefold()


def content_hash(given: SplitFiles) -> str:
    """Return a hash of what files say of splits: their content, and the names that may name splits."""
    digest = hashlib.sha256()
    for path, split in find_lists(given):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be read ({error.strerror})", "Check the path.") from error
        digest.update(repr((split or path.stem, path.suffix, hashlib.sha256(content).hexdigest())).encode())
    return digest.hexdigest()[:16]


def _refuse_misspelt(
    absent: Mapping[str, ListedImage],
    known: Mapping[str, str],
    split_of: Mapping[str, str],
    ids_by_scene: Mapping[str, Sequence[str]],
) -> None:
    """Refuse listed images that are not there, unless they may lie in the part of the release that is not there."""
    if not absent or (split_of and len(split_of) == len(known)):
        return
    digits = {len(one.rpartition("_")[2]) for one in known.values()}
    for key, row in absent.items():
        scene = image_scene(f"{key}.jpg")
        elsewhere = (
            scene is not None
            and len(key.rpartition("_")[2]) in digits
            and len(ids_by_scene.get(scene.published, ())) < scene.images
        )
        if not (split_of and elsewhere):
            others = f", nor do the {len(absent) - 1:,} others" if not split_of and len(absent) > 1 else ""
            raise ConfigurationError(
                f"{row.place}: image {row.name!r} does not exist{others}",
                name_alternatives(_published_id(row.name), known.values())
                if len(known) <= 100
                else "Correct or remove the row, or add the image.",
            )


def _published_id(name: str) -> str:
    """Return the id that a name stands for, with or without folder and image suffix.

    Examples:
        >>> _published_id("airplane/Airplane_00001.JPG"), _published_id("harbor_port_00002"), _published_id("v1.5")
        ('airplane_00001', 'harbor&port_00002', 'v1.5')
    """
    name = PurePosixPath(name.replace("\\", "/")).name
    return image_id(name if split_suffix(name)[1] in IMAGE_SUFFIXES else f"{name}.jpg")
