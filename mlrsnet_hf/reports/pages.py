"""HTML pages that need no other file and no network, from the templates beside this module."""

import base64
import io
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from mlrsnet_hf.escaping import for_terminal


def render(template: str, **values: Any) -> str:  # noqa: ANN401 - whatever the template shows
    """Return the page that a template makes of values; their text is escaped."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    loader = PackageLoader("mlrsnet_hf.reports")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: for_terminal(value) if type(value) is str else value,  # direction marks reach far
    )
    environment.filters |= {"png": png, "jpeg": jpeg, "thumbnail": thumbnail}
    return environment


def png(content: bytes) -> str:
    """Return the address of a PNG that is part of the page."""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def jpeg(content: bytes) -> str:
    """Return the address of a JPEG that is part of the page."""
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"


def thumbnail(picture: Image.Image, side: int = 224) -> str:
    """Return the address of a picture that is part of the page: a JPEG, at most so many pixels wide and high."""
    small = picture.convert("RGB")
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return jpeg(buffer.getvalue())
