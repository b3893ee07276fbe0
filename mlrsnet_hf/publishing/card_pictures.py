"""The pictures of a dataset card, drawn with Pillow alone."""

from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont

_BAR, _LINE = (49, 104, 142), (222, 222, 222)
_ROW, _NAME_WIDTH, _COUNT_WIDTH, _BARS_WIDTH, _MARGIN = 22, 210, 80, 640, 20
_TITLE = 24


def label_distribution(images_per_label: Mapping[str, int]) -> Image.Image:
    """Draw how many images carry each label: one bar each, the most frequent label first."""
    counts = sorted(images_per_label.items(), key=lambda item: -item[1])
    highest = max([*images_per_label.values(), 1])
    top = _MARGIN + _TITLE + 16
    width = 2 * _MARGIN + _NAME_WIDTH + _BARS_WIDTH + _COUNT_WIDTH
    picture = Image.new("RGB", (width, top + len(counts) * _ROW + _MARGIN), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((_MARGIN, _MARGIN), "Images per label", fill="black", font=ImageFont.load_default(_TITLE))
    font = ImageFont.load_default(14)
    left = _MARGIN + _NAME_WIDTH
    draw.line([(left, top), (left, top + len(counts) * _ROW)], fill=_LINE, width=2)
    for i, (name, count) in enumerate(counts):
        middle = top + i * _ROW + _ROW // 2
        length = round(_BARS_WIDTH * count / highest)
        draw.text((left - 10, middle), name, fill="black", font=font, anchor="rm")
        draw.rectangle([(left, middle - 7), (left + length, middle + 7)], fill=_BAR if count else _LINE)
        draw.text((left + length + 8, middle), f"{count:,}", fill=(90, 90, 90), font=font, anchor="lm")
    return picture
