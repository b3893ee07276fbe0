"""Retrieval results as tables beside the paper's values: written as CSV and Markdown, and printed."""

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.escaping import for_csv
from mlrsnet_hf.models.paper_networks import paper_name
from mlrsnet_hf.paper_tables import RETRIEVAL_METRICS, TABLE8_SIZES, TABLE9_RETRIEVAL
from mlrsnet_hf.publishing.cards import table
from mlrsnet_hf.reports.text_table import aligned
from mlrsnet_hf.retrieval.protocol.measures import LABEL_MEASURES, SCENE_MEASURES, measure_title
from mlrsnet_hf.retrieval.protocol.results import ModelResult, ProtocolResult, RetrievalResult


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


MEASURED, COMPARED = "measured", "measured, compared"
"""What Table 9 calls the values of this run."""

Cell = str | int | float | Value | None
"""None is a value that is not defined."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table to be written in several forms."""

    name: str
    """Name of its files."""
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    for_programs: bool = False
    """Whether there is too much of it to be read."""

    def write(self, folder: Path) -> None:
        """Write `<name>.csv` and, to be read, `<name>.md`."""
        with (folder / f"{self.name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(map(for_csv, row) for row in self._csv_rows())
        if not self.for_programs:
            (folder / f"{self.name}.md").write_text(self.markdown(), encoding="utf-8")

    def markdown(self) -> str:
        """Return the table as Markdown, with its title above."""
        return f"{self.title}\n\n{table(self.header, [list(map(shown, row)) for row in self.rows])}\n"

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


def tables(result: RetrievalResult) -> list[Table]:
    """Return every table of a run."""
    other_measures = [name for name in SCENE_MEASURES if name not in RETRIEVAL_METRICS]
    common = "ACG@k: mean number of labels that the first k results have in common with the query"
    made = [
        table8(result),
        table9(result),
        measure_table(result, "scene_measures", "Retrieval by scene, measures beside the paper's", other_measures),
        measure_table(result, "label_measures", f"Retrieval by labels; {common}", LABEL_MEASURES),
    ]
    if any(protocol.common_labels for protocol in result.protocols):
        made.append(common_label_table(result))
    return [*(table for table in made if table.rows), per_scene_table(result), curve_table(result)]


def table8(result: RetrievalResult) -> Table:
    """Table 8: how many images query and are searched."""
    rows: list[Sequence[Cell]] = []
    for protocol in result.protocols:
        published = TABLE8_SIZES.get(protocol.percent or 0, (None, None))
        rows += [
            (_percent(protocol), one.seed, one.queries, one.database, *published) for one in protocol.model.repeats
        ]
    header = ("queries' share", "split seed", "queries", "database", "queries (paper)", "database (paper)")
    return Table("table8", "Images that query and images that are searched (paper, Table 8)", header, rows)


def table9(result: RetrievalResult) -> Table:
    """Table 9: this model's row, and the paper's for the same network, or for all eight if it has not this one."""
    rows = [(_percent(protocol), *row) for protocol in result.protocols for row in table9_rows(result, protocol)]
    return Table("table9", "Retrieval by scene (paper, Table 9); ANMRR: lower is better", table9_header(), rows)


def table9_header() -> Sequence[str]:
    """Return the names of the columns of Table 9."""
    return ("queries' share", "model", "values", *map(measure_title, RETRIEVAL_METRICS))


def table9_rows(result: RetrievalResult, protocol: ProtocolResult) -> list[Sequence[Cell]]:
    """Return one protocol's rows of Table 9, without the first column."""
    rows: list[Sequence[Cell]] = [(result.name, MEASURED, *_values(protocol.model, RETRIEVAL_METRICS))]
    if protocol.compared is not None:
        rows.append((result.compared_name, COMPARED, *_values(protocol.compared, RETRIEVAL_METRICS)))
    reachable = [protocol.model.best_possible(name) for name in RETRIEVAL_METRICS[1:]]
    if min(reachable) < 1:
        there = [
            value if name in protocol.model.names() else None
            for name, value in zip(RETRIEVAL_METRICS[1:], reachable, strict=True)
        ]
        rows.append(("a perfect ranking of these images", "best possible", 0.0, *there))
    published = TABLE9_RETRIEVAL.get(protocol.percent or 0, {})
    own = paper_name(result.info.architecture)
    for network, values in published.items():
        if own in (None, network):
            rows.append((network, "paper", *(values[name] for name in RETRIEVAL_METRICS)))
    return rows


def measure_table(result: RetrievalResult, name: str, title: str, measures: Iterable[str]) -> Table:
    """Return measures that the paper does not have, of each model; no rows where none is defined."""
    known = [measure for measure in measures if measure in result.protocols[0].model.names()]
    rows = [(_percent(protocol), model_name, *_values(model, known)) for protocol, model_name, model in _models(result)]
    header = ("queries' share", "model", *map(measure_title, known))
    return Table(name, title, header, rows if known else [])


def common_label_table(result: RetrievalResult) -> Table:
    """Figs. 13 and 14 in numbers: labels in common with the query, by two models."""
    rows: list[Sequence[Cell]] = []
    for protocol in result.protocols:
        for repeat, depths in zip(protocol.model.repeats, protocol.common_labels, strict=False):
            for one in depths:
                values = one.first, one.second, one.difference, one.interval.low, one.interval.high
                rows.append((_percent(protocol), repeat.seed, one.k, *values))
    models = result.name, str(result.compared_name)
    header = ("queries' share", "split seed", "first k", *models, "difference", "95% from", "to")
    title = "Mean number of labels in common with the query, by two models (paper, Figs. 13 and 14)"
    return Table("common_labels", title, header, rows)


def per_scene_table(result: RetrievalResult) -> Table:
    """Every measure of every scene (Fig. 11), in the mean over the split seeds."""
    rows: list[Sequence[Cell]] = []
    names = result.protocols[0].model.names()
    for protocol, name, model in _models(result):
        for scene in model.scenes():
            counts = next(repeat.scenes[scene] for repeat in model.repeats if scene in repeat.scenes)
            values = [Value(*model.of_scene(scene, measure)) if measure in model.names() else None for measure in names]
            rows.append((_percent(protocol), name, scene, counts.queries, counts.relevant, *values))
    header = ("queries' share", "model", "scene", "queries", "relevant", *map(measure_title, names))
    return Table("per_scene", "Measures per scene (paper, Fig. 11)", header, rows)


def curve_table(result: RetrievalResult) -> Table:
    """The points of the precision-recall curves (Figs. 10 and 12), of all queries and of each scene."""
    rows: list[Sequence[Cell]] = []
    for protocol, name, model in _models(result):
        curves = {"all": model.curve()} | {scene: model.scene_curve(scene) for scene in model.scenes()}
        for scene, curve in curves.items():
            rows += [
                (_percent(protocol), name, scene, level / (len(curve) - 1), float(precision))
                for level, precision in enumerate(curve)
            ]
    header = ("queries' share", "model", "scene", "recall", "precision")
    return Table("curves", "Interpolated precision at levels of recall (paper, Figs. 10 and 12)", header, rows, True)


def _models(result: RetrievalResult) -> Iterator[tuple[ProtocolResult, str, ModelResult]]:
    for protocol in result.protocols:
        yield protocol, result.name, protocol.model
        if protocol.compared is not None:
            yield protocol, str(result.compared_name), protocol.compared


def _values(model: ModelResult, names: Sequence[str]) -> list[Value | None]:
    return [Value(*model.mean(name)) if name in model.names() else None for name in names]


def _percent(protocol: ProtocolResult) -> str:
    return protocol.name if protocol.percent is None else f"{protocol.percent}%"


def printed(result: RetrievalResult) -> str:
    """Return Table 9's row beside the paper's, for the terminal."""
    lines = []
    for protocol in result.protocols:
        repeat = protocol.model.repeats[0]
        share = protocol.name if protocol.percent is None else f"{protocol.percent}% of the pool query"
        lines.append(f"{share}: {repeat.queries:,} queries, {repeat.database:,} images searched")
        header = ("", "", *map(measure_title, RETRIEVAL_METRICS))
        rows = [header, *([shown(cell) for cell in row] for row in table9_rows(result, protocol))]
        lines += [f"  {line}" for line in aligned(rows, "<<" + ">" * len(RETRIEVAL_METRICS))]
    return "\n".join(lines)
