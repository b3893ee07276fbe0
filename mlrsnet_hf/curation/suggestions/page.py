"""The page of `mlrsnet curate suggest`: the tiles, each beside the image that it is nearest to."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlrsnet_hf.curation.page_images import PageImages, open_images
from mlrsnet_hf.errors import MLRSNetError
from mlrsnet_hf.files import whole_file
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.reports.pages import render

MOST_TILES = 300


@dataclass(frozen=True, slots=True)
class _Card:
    """A suggested tile."""

    id: str
    picture: str | None
    uncertainty: float | None
    distance: float | None
    nearest: str | None
    nearest_picture: str | None
    nearest_is_labeled: bool


def labeled_pictures(labeled: Path | None) -> PageImages | None:
    """Return the pictures of the labeled images, where these are still where they were embedded."""
    with contextlib.suppress(MLRSNetError):  # the page is of the tiles: of the others their ids will do
        return None if labeled is None else PageImages(open_images(ImageSet(), labeled))
    return None


def write_suggest_page(
    path: Path,
    *,
    title: str,
    about: Sequence[str],
    columns: Mapping[str, Sequence[Any]],
    tiles: PageImages,
    labeled: PageImages | None,
) -> None:
    """Write the page of the first tiles, as many as there is room for, whole or not at all.

    Args:
        path: The HTML file.
        title: Of the page.
        about: What was asked and found, in lines.
        columns: Those of the list of suggestions.
        tiles: Pictures of the tiles.
        labeled: Pictures of the labeled images; None where they are not at hand.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    cards: list[_Card] = []
    for row, name in enumerate(columns["image"][:MOST_TILES]):
        nearest, is_labeled = columns["nearest"][row], bool(columns["nearest_is_labeled"][row])
        of_nearest = labeled if is_labeled else tiles
        if not tiles.fits(name) or (nearest is not None and of_nearest is not None and not of_nearest.fits(nearest)):
            break
        cards.append(
            _Card(
                name,
                tiles.address(name),
                columns["uncertainty"][row] if "uncertainty" in columns else None,
                columns["distance"][row],
                nearest,
                None if nearest is None or of_nearest is None else of_nearest.address(nearest),
                is_labeled,
            )
        )
    content = render(
        "suggestions.html",
        title=title,
        about=about,
        cards=cards,
        all_tiles=len(columns["image"]),
        attribution=tiles.attribution or (labeled.attribution if labeled is not None else ""),
    )
    with whole_file(path) as partial:
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(content, encoding="utf-8")
