"""`mlrsnet curate vocabulary`: the sheet that people fill in, and the folder with what came of it."""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from mlrsnet_hf.curation.table_file import SEPARATOR, TEXT_SUFFIXES, cell_name, cell_names, read_table
from mlrsnet_hf.curation.vocabulary.vocabulary import (
    Built,
    Described,
    Merges,
    build_vocabulary,
    draw_sample,
    merges_text,
    propose_merges,
    read_merges,
    to_decide,
    write_vocabulary,
)
from mlrsnet_hf.errors import ConfigurationError, ReleaseError
from mlrsnet_hf.escaping import for_csv
from mlrsnet_hf.files import require_new_file, whole_file, whole_folder
from mlrsnet_hf.inputs.tables.image_files import images_below
from mlrsnet_hf.release import LabelVersion, open_labels
from mlrsnet_hf.runtime.logs import get_logger
from mlrsnet_hf.taxonomy import LABEL_NAMES

logger = get_logger(__name__)

COLUMNS = ("image", "scene", "labels")
"""Of the sheet."""
NOTHING = "none"
"""Stands in the sheet for the labels of an image that shows nothing; an empty cell is of one that nobody described."""
VOCABULARY, MERGES, DROPPED = "vocabulary.yaml", "merges.yaml", "dropped.csv"


def write_sheet(source: Path, sheet: Path, per_scene: int, seed: int) -> str:
    """Draw images of each scene and write the table in which people say what they see on them.

    Args:
        source: Folder with a folder of images for each scene.
        sheet: CSV file to create.
        per_scene: Images of each scene.
        seed: Of the draws.

    Returns:
        What came out.

    Raises:
        ConfigurationError: There are no scenes with images, or the file exists or cannot be written.
    """
    sheet = sheet.expanduser()
    require_new_file(sheet)
    drawn = draw_images(source, per_scene, seed)
    write_rows(sheet, ((name, scene, "") for scene, names in drawn.items() for name in names))
    count = sum(map(len, drawn.values()))
    return (
        f"{count:,} images of {len(drawn)} scenes to describe: {sheet}\n"
        f"write what each shows into the column labels, with {SEPARATOR} between the words, or {NOTHING}; then run "
        f"mlrsnet curate vocabulary {sheet}"
    )


def write_rows(sheet: Path, rows: Iterable[tuple[str, str, str]]) -> None:
    """Write a sheet: image, scene and labels of each row, these empty where nobody has described the image.

    Raises:
        ConfigurationError: It cannot be written.
    """
    with whole_file(sheet) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(map(for_csv, row) for row in rows)


def draw_images(source: Path, per_scene: int, seed: int) -> dict[str, list[str]]:
    """Return images of each scene at random, as their names below a folder; what is hidden is left out.

    Args:
        source: Folder with a folder of images for each scene.
        per_scene: Images of each scene.
        seed: Of the draws.

    Raises:
        ConfigurationError: It cannot be read, a name in it is not UTF-8, or there are no scenes with images.
    """
    source = source.expanduser()
    try:
        folders = sorted(path for path in source.iterdir() if _may_hold_images(path.name) and path.is_dir())
        images = {
            folder.name: [
                path.relative_to(source).as_posix()
                for path in images_below(folder)
                if all(map(_may_hold_images, path.relative_to(source).parts))
            ]
            for folder in folders
        }
    except OSError as error:
        raise ConfigurationError(
            f"{source}: cannot be read ({error.strerror or error})",
            "Give the folder that holds a folder of each scene.",
        ) from error
    images = {scene: names for scene, names in images.items() if names}
    for name in (name for names in images.values() for name in names):
        if any("\ud800" <= sign <= "\udfff" for sign in name):  # what is no text stands so in a path
            raise ConfigurationError(
                f"{source}: the name {name!r} is not UTF-8, and no table can hold it", "Rename it."
            )
    if not images:
        raise ConfigurationError(
            f"{source}: holds no folders with images", "Give the folder that holds a folder of each scene."
        )
    return draw_sample(images, per_scene, seed)


def _may_hold_images(name: str) -> bool:
    """Tell whether a file or folder is one of the collection: thumbnails and the like are not."""
    return not name.startswith((".", "__MACOSX"))


def read_described(source: Path, label_version: LabelVersion | None = None) -> list[Described]:
    """Return what people see on images: of a sheet, of a Parquet file with the same columns, or MLRSNet's labels.

    Args:
        source: Table with the columns image, scene and labels, these with a semicolon between them or, in Parquet, as
            lists; or a copy of the release or of its label files. A row of empty labels is told and left out: nobody
            has described the image yet; `NOTHING` or an empty list says that it shows nothing.
        label_version: Of the release; see `open_labels`.

    Raises:
        ConfigurationError: It cannot be read, or lacks a column.
        ReleaseError: It is no copy of the release.
    """
    source = source.expanduser()
    if not source.is_dir() and source.suffix.lower() in (".parquet", *TEXT_SUFFIXES):
        columns = read_table(source, COLUMNS)
    else:
        try:
            entries = open_labels(source, label_version)
        except ReleaseError as error:
            raise ReleaseError(
                error.found, f"{error.remedy} A table of your own ends in .csv, .tsv or .parquet."
            ) from error
        return [
            Described(entry.id, entry.scene.name, tuple(LABEL_NAMES[label] for label in entry.labels))
            for entry in entries
        ]
    described = []
    empty = 0
    for row, (image, scene, labels) in enumerate(zip(*(columns[name] for name in COLUMNS), strict=True), 1):
        names = cell_names(source, row, "labels", labels)
        if not names and not isinstance(labels, list):
            empty += 1
            continue
        named = tuple(name for name in names if name.casefold() != NOTHING)
        described.append(
            Described(cell_name(source, row, "image", image), cell_name(source, row, "scene", scene), named)
        )
    if empty and described:
        logger.warning("%s: %s rows are not described, and do not count", source, f"{empty:,}")
    return described


def write_vocabulary_folder(
    described: Sequence[Described], target: Path, merges: Path | None, per_scene: int, least_images: int, seed: int
) -> str:
    """Write the vocabulary, the list of names to review, and what was left out.

    Args:
        described: What people see on images.
        target: The folder to create.
        merges: The reviewed list; without one, names that differ in case and separators alone are merged.
        per_scene: Images of each scene that count.
        least_images: Fewest images on which a label stays.
        seed: Of the draws.

    Returns:
        What came out, in a few lines.

    Raises:
        ConfigurationError: The list cannot be used, nothing is described, or the folder exists or cannot be written.
    """
    same_labels, near_labels = propose_merges(Counter(label for one in described for label in one.labels))
    same_scenes, near_scenes = propose_merges(Counter(one.scene for one in described))
    reviewed = read_merges(merges) if merges is not None else Merges(labels=same_labels, scenes=same_scenes)
    built = build_vocabulary(described, reviewed, per_scene, least_images, seed)
    with whole_folder(target) as folder:
        write_vocabulary(built.vocabulary, folder / VOCABULARY)
        labels, scenes = same_labels | near_labels, same_scenes | near_scenes
        text = merges_text(reviewed, labels, scenes)
        (folder / MERGES).write_text(text, encoding="utf-8")
        _write_dropped(built, folder / DROPPED)
    undecided = len(to_decide(reviewed.labels, labels)) + len(to_decide(reviewed.scenes, scenes))
    return "\n".join(_summary(built, reviewed, undecided, least_images, target))


def _write_dropped(built: Built, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("scene", "label", "images"))
        writer.writerows([for_csv(scene), for_csv(label), images] for (scene, label), images in built.dropped.items())


def _summary(built: Built, merges: Merges, undecided: int, least_images: int, target: Path) -> Iterable[str]:
    scenes = built.vocabulary.scenes
    images = sum(scene.images for scene in scenes.values())
    pairs = sum(len(scene.labels) for scene in scenes.values())
    yield f"{images:,} images of {len(scenes)} scenes: {len(built.vocabulary.labels)} labels, {pairs:,} in their scenes"
    yield f"left out, on fewer than {least_images} images of a scene: {len(built.dropped):,}"
    yield f"names merged: {len(merges.labels) + len(merges.scenes)}; to look at in {MERGES}: {undecided}"
    yield f"written to {target}: {VOCABULARY}, {MERGES}, {DROPPED}"
