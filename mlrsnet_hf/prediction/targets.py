"""The files that predictions of images become: a table, and a page that is written before the table has its name."""

from pathlib import Path
from typing import Any

from mlrsnet_hf.configuration.settings import changed_settings
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.files import refuse_existing
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.prediction.config import PredictionConfig
from mlrsnet_hf.resumable_folder import notes_of_unfinished, refuse_finished

_PAGE = "page"
"""Key of the note that a run writes before its page."""


def page_note(page: Path) -> dict[str, Any]:
    """Return the note that a run is about to write its page."""
    return {_PAGE: str(page)}


def notes_of_pages(table: Path) -> list[dict[str, Any]]:
    """Return the notes of the pages that unfinished runs of a table have written, or were about to."""
    return [note for note in notes_of_unfinished(table) if isinstance(note.get(_PAGE), str)]


def refuse_early(config: PredictionConfig, data: ImageSet) -> None:
    """Refuse, before anything is loaded, what cannot be written, and images that are named twice or not at all.

    The page that an unfinished run of the same table left is taken up.

    Raises:
        ConfigurationError: The table or the page exists, or a dataset stands beside images, or there is neither.
    """
    config.require_table()
    table = config.table.expanduser().absolute()
    refuse_finished(table)
    page = None if config.html is None else config.html.expanduser().absolute()
    if page is not None and page_note(page) not in notes_of_pages(table):
        refuse_existing(page)
    named = sorted(changed_settings(data))
    if config.sources and named:
        raise ConfigurationError(
            f"images and a dataset are given: {config.sources[0]} and {named[0]}={getattr(data, named[0])!r}",
            "Leave one of them out.",
        )
    if not config.sources and not named:
        raise ConfigurationError(
            "no image is given", "Name files, folders, archives or URLs, or a dataset by --dataset or --data-dir."
        )
