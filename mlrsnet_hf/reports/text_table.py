"""Tables for the terminal."""

from collections.abc import Sequence

from mlrsnet_hf.escaping import on_one_line


def aligned(rows: Sequence[Sequence[str]], alignment: str) -> list[str]:
    """Return rows as lines of equally wide columns, each aligned left (<) or right (>)."""
    rows = [[on_one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, alignment, widths, strict=True)).rstrip()
        for row in rows
    ]
