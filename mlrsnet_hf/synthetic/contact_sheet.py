"""A sheet of small pictures with their scenes and labels."""

import io
from collections.abc import Iterable

from PIL import Image, ImageDraw, ImageFont

from mlrsnet_hf.release import Record
from mlrsnet_hf.taxonomy import LABELS

TITLE = "MLRSNet synthetic demo"

_GAP = 10
_HEAD = 48
_NAME_SIZE, _LABEL_SIZE = 15, 13
_NAME_LINE, _LABEL_LINE = 20, 16
"""Pixels of a line."""


def contact_sheet(records: Iterable[Record], columns: int = 8, tile: int = 192, title: str = TITLE) -> Image.Image:
    """Lay out records on a sheet, each with its scene and all its labels beneath.

    Args:
        records: The records, in reading order.
        columns: Pictures in a row.
        tile: Width and height of a picture, in pixels.
        title: Stands above the pictures.

    Returns:
        The sheet, mode "RGB".
    """
    records = list(records)
    rows = [records[start : start + columns] for start in range(0, len(records), columns)]
    # Each row is as high as its longest list of labels.
    heights = [
        tile + _NAME_LINE + _LABEL_LINE * max(len(_label_lines(record, tile)) for record in row) + _GAP for row in rows
    ]
    sheet = Image.new("RGB", (_GAP + columns * (tile + _GAP), _HEAD + (sum(heights) or tile)), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, 12), title, fill="black", font=ImageFont.load_default(22))
    top = _HEAD
    for row, height in zip(rows, heights, strict=True):
        for column, record in enumerate(row):
            _place(sheet, record, _GAP + column * (tile + _GAP), top, tile)
        top += height
    return sheet


def _label_lines(record: Record, width: int) -> list[str]:
    """Return a record's labels in lines of at most so many pixels; a longer name has a line of its own."""
    font = ImageFont.load_default(_LABEL_SIZE)
    lines: list[str] = []
    for place, label in enumerate(record.labels):
        name = LABELS[label].name + ("," if place + 1 < len(record.labels) else "")
        if lines and font.getlength(f"{lines[-1]} {name}") <= width:
            lines[-1] += f" {name}"
        else:
            lines.append(name)
    return lines


def _place(sheet: Image.Image, record: Record, x: int, y: int, tile: int) -> None:
    """Put one record's picture, scene and labels on the sheet."""
    draw = ImageDraw.Draw(sheet)
    with Image.open(io.BytesIO(record.image)) as image:
        sheet.paste(image.convert("RGB").resize((tile, tile), Image.Resampling.LANCZOS), (x, y))
    name = record.scene.name.replace("_", " ")
    draw.text((x, y + tile + 2), name, fill="black", font=ImageFont.load_default(_NAME_SIZE))
    top = y + tile + _NAME_LINE
    for line in _label_lines(record, tile):
        draw.text((x, top), line, fill=(70, 70, 70), font=ImageFont.load_default(_LABEL_SIZE))
        top += _LABEL_LINE
