"""A table, as CSV for programs and as Markdown for people."""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Value:
    """A measure, with its deviation over the repeats; NaN for one repeat."""

    mean: float
    deviation: float = math.nan

    @property
    def repeated(self) -> bool:
        """Whether the deviation is defined."""
        return not math.isnan(self.deviation)

    def __str__(self) -> str:
        return f"{self.mean:.4f} ± {self.deviation:.4f}" if self.repeated else f"{self.mean:.4f}"


Cell = str | int | float | Value | None
"""None is a value that is not defined."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table to be written in several forms."""

    name: str
    """Of its files."""
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    for_programs: bool = False
    """Whether there is too much of it to be read."""

    def write(self, folder: Path) -> None:
        """Write `<name>.csv` and, to be read, `<name>.md`."""
        with (folder / f"{self.name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(self._csv_rows())
        if not self.for_programs:
            (folder / f"{self.name}.md").write_text(self.markdown(), encoding="utf-8")

    def markdown(self) -> str:
        """Return the table as Markdown, with its title above."""
        lines = [self.header, ["---", *["---:"] * (len(self.header) - 1)], *self.rows]
        return f"{self.title}\n\n" + "".join(f"| {' | '.join(map(shown, line))} |\n" for line in lines)

    def _csv_rows(self) -> Iterator[list[str | int | float | None]]:
        """Yield header and rows at full precision; a column that has deviations becomes two."""
        by_column = zip(*self.rows, strict=True)
        double = [any(isinstance(cell, Value) and cell.repeated for cell in column) for column in by_column]
        names = zip(self.header, double, strict=True)
        yield [part for name, two in names for part in (name, f"{name} deviation")[: 1 + two]]
        for row in self.rows:
            parts = zip(map(_parts, row), double, strict=True)
            yield [part for both, two in parts for part in both[: 1 + two]]


def shown(cell: Cell) -> str:
    """Return a cell as people read it."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "-"
    if isinstance(cell, float):
        return f"{cell:.4f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def _parts(cell: Cell) -> tuple[str | int | float | None, float | None]:
    """Return a cell's value and its deviation, None where it has none."""
    if isinstance(cell, Value):
        return cell.mean, cell.deviation if cell.repeated else None
    return cell, None
