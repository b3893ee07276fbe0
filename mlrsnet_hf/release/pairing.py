"""Rows of a label file paired with image files, by the image that their names stand for."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlrsnet_hf.errors import ReleaseError
from mlrsnet_hf.release.label_files import LabelRow
from mlrsnet_hf.release.names import image_id


@dataclass(frozen=True, slots=True)
class Pairing:
    """What belongs together, and what is left over."""

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


def refuse_left_over(pairing: Pairing, label_file: str, images: str) -> None:
    """Refuse a scene whose rows and images do not all pair up.

    Args:
        pairing: Of the scene.
        label_file: Where the rows stand, for the error.
        images: Where the images lie, for the error.

    Raises:
        ReleaseError: An image stands twice, a row has no image, an image no row, or there is none of either.
    """
    if pairing.doubles:
        first, second = pairing.doubles[0]
        raise ReleaseError(f"{images}/{first} and {images}/{second}: two images of one name", "Keep one of the two.")
    if pairing.rows_without_image:
        row = pairing.rows_without_image[0]
        more = _and_more(pairing.rows_without_image)
        raise ReleaseError(
            f"{label_file}, line {row.line}: {row.file_name} is not in {images}{more}",
            "Add the image or delete the row.",
        )
    if pairing.images_without_row:
        more = _and_more(pairing.images_without_row)
        raise ReleaseError(
            f"{images}/{pairing.images_without_row[0]}: no row in {label_file}{more}",
            "Add the row or remove the image.",
        )
    if not pairing.pairs:
        raise ReleaseError(f"{images}: empty folder", "Add the scene's images, or remove it and its label file.")


def _and_more(found: Sequence[object]) -> str:
    return f" (and {len(found) - 1} more)" if len(found) > 1 else ""
