"""The report's tables, each one set of cells that is written as CSV, Markdown, LaTeX and HTML."""

import csv
import io
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from mlrsnet_hf.escaping import for_csv, for_file_name, for_markdown
from mlrsnet_hf.metrics.means import over_repeats

Look = Literal["", "best", "paper", "gap", "sure"]
NONE = "-"
"""How a table shows what there is nothing to say of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What stands in one place of a table."""

    text: str
    """As people read it; a deviation stands behind ±."""
    value: float | int | str | None = None
    """At full precision, for programs; None where there is none."""
    deviation: float | None = None
    """Over the repetitions."""
    count: int | None = None
    """Repetitions that the value rests on."""
    anchor: str = ""
    """Name of the group of jobs that it comes from; empty where it comes from none."""
    look: Look = ""

    @property
    def is_number(self) -> bool:
        """Whether a program reads a number here."""
        return isinstance(self.value, int | float)


def slug(text: str) -> str:
    """Return text as a part of a file's name.

    Examples:
        >>> slug("sample-F1"), slug("my images, as-published")
        ('sample-f1', 'my-images-as-published')
    """
    return for_file_name(text).lower().replace("_", "-")


def suffixes(names: Iterable[str]) -> dict[str, str]:
    """Return what tells the files of each set of images from those of the others; nothing where there is but one."""
    found: dict[str, str] = {}
    for place, name in enumerate(names := list(dict.fromkeys(names))):
        own = f"-{slug(name)}" if len(names) > 1 else ""
        found[name] = f"{own}-{place}" if own in found.values() else own
    return found


def words(text: str, anchor: str = "") -> Cell:
    """Return a cell of text."""
    return Cell(text=text, value=text, anchor=anchor)


def count(number: int | None, look: Look = "", anchor: str = "") -> Cell:
    """Return a cell of a whole number."""
    return nothing() if number is None else Cell(text=f"{number:,}", value=number, look=look, anchor=anchor)


def number(value: float | None, digits: int = 4, *, signed: bool = False, look: Look = "", anchor: str = "") -> Cell:
    """Return a cell of a number with so many digits; one that is not defined is none."""
    if value is None or math.isnan(value):
        return nothing()
    return Cell(text=f"{value:{'+' if signed else ''}.{digits}f}", value=value, look=look, anchor=anchor)


def p_value(value: float, look: Look = "") -> Cell:
    """Return a cell of a p-value with four digits; what is less than these show is said to be less."""
    if 0 <= value < 0.00005:
        return Cell(text="<0.0001", value=value, look=look)
    return number(value, look=look)


def nothing() -> Cell:
    """Return a cell where there is nothing to say."""
    return Cell(text=NONE)


def gap(reason: str, anchor: str = "") -> Cell:
    """Return a cell whose number is not there, with the reason in its place."""
    return Cell(text=reason, anchor=anchor, look="gap")


def mean(values: Sequence[float], wanted: int, digits: int = 4, anchor: str = "") -> Cell:
    """Return a cell of a mean over repetitions, with its deviation where there are two or more.

    Args:
        values: One or more; those that are not defined are left out.
        wanted: Repetitions that there should be; where there are fewer, the cell says so.
        digits: Digits behind the point.
        anchor: Of the jobs.
    """
    there = [value for value in values if not math.isnan(value)]
    if not there:
        return gap("not defined", anchor)
    middle, deviation = over_repeats(there)
    text = f"{middle:.{digits}f}" + ("" if math.isnan(deviation) else f" ± {deviation:.{digits}f}")
    if len(there) < wanted:
        text += f" ({len(there)} of {wanted})"
    return Cell(
        text=text,
        value=middle,
        deviation=None if math.isnan(deviation) else deviation,
        count=len(there),
        anchor=anchor,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table."""

    title: str
    above: str = ""
    """Title over this column and its neighbors of the same; empty for none."""
    is_text: bool = False
    """Whether it is aligned left."""
    best: Literal["", "highest", "lowest"] = ""
    """Which of its means are set in bold."""

    @property
    def name(self) -> str:
        """What the column is called where each has one title."""
        return f"{self.above}: {self.title}" if self.above else self.title


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of the report."""

    name: str
    """Name of its files, and of its place on the page."""
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    """What a reader has to know, in whole sentences."""
    folded: bool = False
    """Whether the page shows it only when asked."""
    sections: Mapping[int, str] = field(default_factory=dict)
    """Title of a part of the table by the number of its first row."""

    @property
    def is_text(self) -> bool:
        """Whether it holds words more than numbers, so that a narrow screen shows its rows as lists."""
        return 2 * sum(column.is_text for column in self.columns) >= len(self.columns)

    def with_best(self) -> "Table":
        """Return the table with the best mean of each column marked that has a best, in each part of the table."""
        rows = [list(row) for row in self.rows]
        starts = sorted({0, *self.sections, len(rows)})
        for place, column in enumerate(self.columns):
            if not column.best:
                continue
            take = max if column.best == "highest" else min
            for start, end in itertools.pairwise(starts):
                own = [row[place] for row in rows[start:end] if row[place].count is not None]
                if len(own) > 1:
                    best = take(float(cell.value) for cell in own if cell.is_number)  # type: ignore[arg-type]
                    for row in rows[start:end]:
                        if row[place].count is not None and row[place].value == best:
                            row[place] = replace(row[place], look="best")
        return replace(self, rows=rows)

    def csv(self) -> str:
        """Return header and rows at full precision; a column of means has its deviation and repetitions beside it."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        spread = [any(row[place].count is not None for row in self.rows) for place in range(len(self.columns))]
        linked = any(cell.anchor for row in self.rows for cell in row)
        header: list[object] = ["part"] if self.sections else []
        for column, has_count in zip(self.columns, spread, strict=True):
            header.append(column.name)
            header += [f"{column.name}, deviation", f"{column.name}, repetitions"] if has_count else []
        writer.writerow([*map(for_csv, header), *(["jobs"] if linked else [])])
        part = ""
        for place, row in enumerate(self.rows):
            part = self.sections.get(place, part)
            cells: list[object] = [part] if self.sections else []
            for cell, has_count in zip(row, spread, strict=True):
                cells.append(cell.text if cell.look == "gap" else cell.value)
                cells += [cell.deviation, cell.count] if has_count else []
            anchors = " ".join(dict.fromkeys(cell.anchor for cell in row if cell.anchor))
            writer.writerow([*map(for_csv, cells), *([anchors] if linked else [])])
        return file.getvalue()

    def markdown(self) -> str:
        """Return title, table and notes; what comes from jobs is a link to their place in the same document."""
        lines = [f"### {for_markdown(self.title)}", ""]
        parts = self.sections or {0: ""}
        ends = [*list(parts)[1:], len(self.rows)]
        for (start, title), end in zip(parts.items(), ends, strict=True):
            lines += [f"**{for_markdown(title)}**", ""] if title else []
            lines.append(_markdown_row(for_markdown(column.name) for column in self.columns))
            lines.append(_markdown_row("---" if column.is_text else "---:" for column in self.columns))
            lines += [_markdown_row(map(_markdown_cell, row)) for row in self.rows[start:end]]
            lines.append("")
        lines += [f"- {for_markdown(note)}" for note in self.notes]
        return "\n".join(lines).rstrip() + "\n"

    def spans(self) -> list[tuple[str, int]]:
        """Return the titles over the columns with the number of columns below each; no list where there are none."""
        found: list[tuple[str, int]] = []
        for column in self.columns:
            if found and column.above and found[-1][0] == column.above:
                found[-1] = (column.above, found[-1][1] + 1)
            else:
                found.append((column.above, 1))
        return found if any(title for title, _ in found) else []


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(cell: Cell) -> str:
    text = for_markdown(cell.text)
    if cell.anchor:
        text = f"[{text}](#{cell.anchor})"
    return f"**{text}**" if cell.look == "best" else text
