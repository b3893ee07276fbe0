"""What the tabs of the app have in common: notes, galleries, and errors as sentences."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from mlrsnet_hf.errors import ImageError, MLRSNetError
from mlrsnet_hf.escaping import on_one_line
from mlrsnet_hf.reports.pages import render
from mlrsnet_hf.runtime.logs import get_logger

logger = get_logger(__name__)

CLICKS = """
element.addEventListener('click', (event) => {
  const chosen = event.target.closest('[data-id]');
  if (chosen) trigger('click', {id: chosen.dataset.id});
});
"""
"""Has a gallery, or bars, tell the name of what is clicked on; its buttons are reached by keyboard as all are."""
UNEXPECTED = "Something went wrong here that is not your doing; the app's own log tells more."


def clickable(value: str = "") -> gr.HTML:
    """Return a part of the page that tells by `event.id` on what it was clicked."""
    return gr.HTML(value, js_on_load=CLICKS)


def note(text: str, wrong: bool = False) -> str:
    """Return a sentence as a part of the page, read out when it changes."""
    return render("app_note.html", text=text, wrong=wrong)


def gallery(
    images: Sequence[Any],
    pictures: Mapping[str, bytes],
    *,
    action: str = "",
    common: Sequence[str] = (),
    first: int = 1,
    compact: bool = False,
    notes: Mapping[str, str] | None = None,
) -> str:
    """Return pictures as a part of the page.

    Args:
        images: Have an `id`, and may have a `scene`, `labels` and a `distance`.
        pictures: JPEG files by id.
        action: What a click does, in words; empty where it does nothing.
        common: Labels that are marked.
        first: Number of the first.
        compact: Whether the pictures are small, and nothing stands below them.
        notes: What else stands below a picture, by id.
    """
    return render(
        "app_gallery.html",
        images=images,
        pictures=pictures,
        action=action,
        common=set(common),
        first=first,
        compact=compact,
        notes=notes or {},
    )


def picture(shown: Image.Image, caption: str) -> str:
    """Return a picture as a part of the page, with what it shows under it."""
    return render("app_picture.html", picture=shown, caption=caption)


def told(handler: Callable[..., dict[Any, Any]], message: gr.HTML, cleared: Mapping[Any, Any]) -> Callable[..., Any]:
    """Have a handler's errors told in a sentence on the page.

    Args:
        handler: Returns values by component.
        message: Component that shows the sentence; a handler empties it.
        cleared: Values by component that an error leaves: results of an earlier query would pass for those of this.
    """

    @functools.wraps(handler)
    def guarded(*arguments: Any) -> dict[Any, Any]:  # noqa: ANN401 - what components hold
        try:
            return handler(*arguments)
        except ImageError as error:  # its remedy is for those who have the dataset
            sentence = f"{on_one_line(error.found).rstrip(chr(46))}. Give another file of a picture, whole."
            return {**cleared, message: note(sentence, wrong=True)}
        except MLRSNetError as error:
            return {**cleared, message: note(on_one_line(str(error)), wrong=True)}
        except Exception:  # the app goes on for all others
            logger.exception("the app failed at a request")
            return {**cleared, message: note(UNEXPECTED, wrong=True)}

    return guarded


def read_upload(path: str | None) -> bytes:
    """Return an uploaded file.

    Raises:
        UploadError: It is not there any more, or empty.
    """
    if path is None:
        raise UploadError("no picture is given", "Drop one, or take an example.")
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UploadError("the picture is not here any more", "Drop it again.") from error
    if not content:
        raise UploadError(f"{Path(path).name}: the file is empty", "Give a whole one.")
    return content


class UploadError(MLRSNetError, ValueError):
    """An upload that cannot be used."""
