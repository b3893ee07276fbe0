"""A sheet of small pictures with their scenes and labels."""

import io
import textwrap
from collections.abc import Iterable

from PIL import Image, ImageDraw, ImageFont

from mlrsnet_hf.release import Record
from mlrsnet_hf.taxonomy import LABELS

TITLE = "MLRSNet synthetic demo"

_GAP = 10
_HEAD = 44
_NAME_SIZE, _LABEL_SIZE = 14, 10
_LABEL_LINES = 4


def contact_sheet(records: Iterable[Record], columns: int = 8, tile: int = 192, title: str = TITLE) -> Image.Image:
    """Lay out records on a sheet, each with its scene and labels beneath.

    Args:
        records: The records, in reading order.
        columns: Pictures in a row.
        tile: Width and height of a picture, in pixels.
        title: Stands above the pictures.

    Returns:
        The sheet, mode "RGB".
    """
    records = list(records)
    rows = max(-(-len(records) // columns), 1)
    cell_height = tile + _NAME_SIZE + _LABEL_LINES * (_LABEL_SIZE + 2) + _GAP + 6
    sheet = Image.new("RGB", (_GAP + columns * (tile + _GAP), _HEAD + rows * cell_height), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, 10), title, fill="black", font=ImageFont.load_default(22))
    for i, record in enumerate(records):
        row, column = divmod(i, columns)
        _place(sheet, record, _GAP + column * (tile + _GAP), _HEAD + row * cell_height, tile)
    return sheet


def _place(sheet: Image.Image, record: Record, x: int, y: int, tile: int) -> None:
    """Put one record's picture, scene and labels on the sheet."""
    draw = ImageDraw.Draw(sheet)
    with Image.open(io.BytesIO(record.image)) as image:
        sheet.paste(image.convert("RGB").resize((tile, tile), Image.Resampling.LANCZOS), (x, y))
    name = record.scene.name.replace("_", " ")
    draw.text((x, y + tile + 2), name, fill="black", font=ImageFont.load_default(_NAME_SIZE))
    labels = ", ".join(LABELS[i].name for i in record.labels)
    lines = textwrap.wrap(labels, max(tile * 2 // _LABEL_SIZE, 10))[:_LABEL_LINES]
    top = y + tile + _NAME_SIZE + 5
    for line in lines:
        draw.text((x, top), line, fill=(90, 90, 90), font=ImageFont.load_default(_LABEL_SIZE))
        top += _LABEL_SIZE + 2
