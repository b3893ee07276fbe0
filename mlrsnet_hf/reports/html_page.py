"""Parts of an HTML page that needs no other file and no network."""

import base64
import html
import io
from collections.abc import Sequence

from PIL import Image

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff; margin: 2rem auto; max-width: 64rem;
  padding: 0 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .4rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p, ul { margin: .4rem 0; max-width: 46rem; }
.headline { font-size: 1.1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; margin: .5rem 0; }
th, td { padding: .3rem .7rem .3rem 0; text-align: right; white-space: nowrap; border-bottom: 1px solid #ddd; }
th { border-bottom-color: #888; font-weight: 600; }
th:first-child, td:first-child, .words { text-align: left; }
tr.own td { font-weight: 600; }
.chart img { display: block; width: 100%; height: auto; }
.grid { list-style: none; padding: 0; max-width: none; display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(10.2rem, 1fr)); }
.grid figure, .query figure { margin: 0; font-size: .8rem; line-height: 1.4; }
.query figure { max-width: 11rem; }
.query img { outline: 3px solid #0072B2; }
.grid img, .query img, .none { display: block; width: 100%; aspect-ratio: 1; object-fit: cover; background: #eee; }
.none { display: grid; place-items: center; color: #555; }
.common { color: #00694d; font-weight: 600; }
.other { color: #666; }
.wrong { color: #b3261e; }
.about { color: #555; font-size: .9rem; }
@media (max-width: 40rem) { .words { white-space: normal; overflow-wrap: break-word; min-width: 6rem; } }
"""


def page(title: str, body: Sequence[str], style: str = _STYLE) -> str:
    """Return a page of sections of HTML."""
    content = "\n".join(body)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>{style}</style>
</head>
<body>
<h1>{html.escape(title)}</h1>
{content}
</body>
</html>
"""


def paragraph(text: str, kind: str = "") -> str:
    """Return text as a paragraph of a class of the style."""
    return f"<p{_class(kind)}>{html.escape(text)}</p>"


def bullets(lines: Sequence[str]) -> str:
    """Return lines as a list."""
    return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1, own: Sequence[int] = ()) -> str:
    """Return a table that scrolls by itself where the screen is narrow.

    Args:
        header: Names of the columns.
        rows: Text of the cells; it may have several lines.
        words: How many columns, from the left, hold words; the others are numbers.
        own: Rows to emphasize.
    """
    kinds = ["words" if column < words else "" for column in range(len(header))]
    head = "".join(f"<th{_class(kind)}>{html.escape(name)}</th>" for name, kind in zip(header, kinds, strict=True))
    lines = []
    for number, row in enumerate(rows):
        cells = "".join(f"<td{_class(kind)}>{_lines(cell)}</td>" for cell, kind in zip(row, kinds, strict=True))
        lines.append(f"<tr{_class('own' if number in own else '')}>{cells}</tr>")
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def chart(png: bytes, description: str, least_width: int = 0) -> str:
    """Return a figure; one that is small print scrolls where the screen is narrower than `least_width` pixels."""
    image = f'<img src="data:image/png;base64,{base64.b64encode(png).decode()}" alt="{html.escape(description)}">'
    return f'<div class="wide"><div class="chart" style="min-width: {least_width}px">{image}</div></div>'


def thumbnail(picture: Image.Image, name: str, side: int = 224) -> str:
    """Return a picture as JPEG, at most so many pixels wide and high."""
    small = picture.convert("RGB")
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img src="data:image/jpeg;base64,{data}" alt="{html.escape(name)}">'


def _lines(text: str) -> str:
    return html.escape(text).replace("\n", "<br>")


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
