"""Scores of each label, and of the images of each scene, by each network: what heat maps show."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.benchmark.report.classification import percent_of, protocol_title, protocols_of
from mlrsnet_hf.benchmark.report.tables import Cell, Column, Table, count, nothing, words
from mlrsnet_hf.benchmark.results import Group
from mlrsnet_hf.metrics import metric_title
from mlrsnet_hf.metrics.means import over_repeats
from mlrsnet_hf.prediction.evaluation import EvaluationResult

SCENE_METRIC = "sample_f1"
"""Score of the images of a scene: of few images every label cannot be ranked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """A score of each row's name by each network."""

    name: str
    title: str
    what: str
    """What the rows are: label or scene."""
    rows: tuple[str, ...]
    images: tuple[int, ...]
    """Of the test split, in the first repetition that has some."""
    groups: tuple[Group, ...]
    values: npt.NDArray[np.float64]
    """(rows, networks) means over the repetitions; NaN where there is none."""
    deviations: npt.NDArray[np.float64]
    """(rows, networks); NaN where there are not two."""
    counts: npt.NDArray[np.int64]
    """(rows, networks) repetitions that have a value."""

    @property
    def columns(self) -> tuple[str, ...]:
        """What the networks are called."""
        return tuple(group.variant for group in self.groups)

    def table(self) -> Table:
        """Return the numbers."""
        columns = [Column(title=self.what, is_text=True), Column(title="images")]
        columns += [Column(title=group.variant) for group in self.groups]
        rows = []
        for place, name in enumerate(self.rows):
            cells = [self._cell(place, number) for number in range(len(self.groups))]
            rows.append([words(name), count(self.images[place]), *cells])
        return Table(name=self.name, title=self.title, columns=columns, rows=rows, folded=True)

    def _cell(self, row: int, column: int) -> Cell:
        value, deviation = self.values[row, column], self.deviations[row, column]
        if np.isnan(value):
            return nothing()
        return Cell(
            text=f"{value:.3f}",
            value=float(value),
            deviation=None if np.isnan(deviation) else float(deviation),
            count=int(self.counts[row, column]),
            anchor=self.groups[column].anchor,
        )


def heat_maps(groups: Sequence[Group], suffix: str = "") -> list[HeatMap]:
    """Return the heat maps of labels and of scenes, of the protocol that trains on most, or of the first there is."""
    protocols = [
        one for one in protocols_of(groups) if any(group.protocol == one and _evaluations(group) for group in groups)
    ]
    if not protocols:
        return []
    chosen = max(protocols, key=lambda one: percent_of(one) or 0)
    own = tuple(group for group in groups if group.protocol == chosen and _evaluations(group))
    where = f"{own[0].trained_on}, {protocol_title(chosen)}"
    scene = metric_title(SCENE_METRIC)
    made = [
        _heat_map(
            "label",
            suffix,
            f"Average precision of each label, {where}",
            own,
            lambda one: ((label.label, label.images, label.average_precision) for label in one.labels),
        ),
        _heat_map(
            "scene",
            suffix,
            f"{scene} in the images of each scene, {where}",
            own,
            lambda one: ((part.scene, part.images, part.scores.get(SCENE_METRIC, float("nan"))) for part in one.scenes),
        ),
    ]
    return [one for one in made if one.rows]


def _evaluations(group: Group) -> list[EvaluationResult]:
    return [row.evaluation for row in group.done if row.evaluation is not None]


def _heat_map(
    what: str,
    suffix: str,
    title: str,
    groups: tuple[Group, ...],
    scores: Callable[[EvaluationResult], Iterable[tuple[str, int, float]]],
) -> HeatMap:
    found: dict[str, dict[int, list[float]]] = {}
    images: dict[str, int] = {}
    for place, group in enumerate(groups):
        for evaluation in _evaluations(group):
            for row, number, value in scores(evaluation):
                images.setdefault(row, number)
                found.setdefault(row, {}).setdefault(place, [])
                if value == value:
                    found[row][place].append(value)
    rows = tuple(row for row, values in found.items() if any(values.values()))
    values = np.full((len(rows), len(groups)), np.nan)
    deviations = values.copy()
    counts = np.zeros(values.shape, dtype=np.int64)
    for place, row in enumerate(rows):
        for column, repeats in found[row].items():
            counts[place, column] = len(repeats)
            if repeats:
                values[place, column], deviations[place, column] = over_repeats(repeats)
    return HeatMap(
        name=f"heat-{what}{suffix}",
        title=title,
        what=what,
        rows=rows,
        images=tuple(images[row] for row in rows),
        groups=groups,
        values=values,
        deviations=deviations,
        counts=counts,
    )
