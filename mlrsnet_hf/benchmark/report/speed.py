"""How long trainings took, and how good the networks are for it."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlrsnet_hf.benchmark.report.classification import protocol_title, score_cell
from mlrsnet_hf.benchmark.report.tables import Column, Table, mean, words
from mlrsnet_hf.benchmark.results import Group, Row
from mlrsnet_hf.metrics import metric_title
from mlrsnet_hf.training.results import TrainingResult

METRIC = "map"


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """A group's training, in the mean over its repetitions."""

    group: Group
    score: float
    images_per_second: float
    seconds: float
    devices: tuple[str, ...]


def images_per_second(result: TrainingResult) -> float:
    """Return the training images that a run has seen in a second, its evaluations among that time."""
    return result.data.images.get("train", 0) * len(result.history) / max(result.run.seconds, 1e-9)


def device_of(row: Row) -> str:
    """Return what a job ran on, as far as it is known."""
    told = row.provenance.get("device")
    kind = row.trained.run.device if row.trained is not None else ""
    name = str(told) if isinstance(told, str) and told not in ("", "cpu") else ""
    if not name:
        machine = row.provenance.get("machine")
        name = f"{kind or 'cpu'}, {machine}" if isinstance(machine, str) and machine else kind or "not known"
    processes = row.trained.run.processes if row.trained is not None else 1
    return f"{processes} x {name}" if processes > 1 else name


def speeds_of(groups: Sequence[Group]) -> list[Speed]:
    """Return the speed of each group of trainings that has results."""
    found = []
    for group in groups:
        rows = [row for row in group.done if row.trained is not None and row.score(METRIC) is not None]
        results = [row.trained for row in rows if row.trained is not None]
        if not results:
            continue
        values = group.values(METRIC)
        found.append(
            Speed(
                group=group,
                score=sum(values) / len(values),
                images_per_second=sum(map(images_per_second, results)) / len(results),
                seconds=sum(result.run.seconds for result in results) / len(results),
                devices=tuple(dict.fromkeys(map(device_of, rows))),
            )
        )
    return found


def speed_table(speeds: Sequence[Speed]) -> Table:
    """Return score, speed, time and device of each group."""
    columns = [Column(title="network", is_text=True), Column(title="protocol", is_text=True)]
    columns += [Column(title=title) for title in (metric_title(METRIC), "images per second", "minutes")]
    columns.append(Column(title="device", is_text=True))
    rows = []
    for one in speeds:
        results = [row.trained for row in one.group.done if row.trained is not None]
        wanted, anchor = len(one.group.rows), one.group.anchor
        rows.append(
            [
                words(one.group.variant),
                words(protocol_title(one.group.protocol)),
                score_cell(one.group, METRIC),
                mean([images_per_second(result) for result in results], wanted, 1, anchor),
                mean([result.run.seconds / 60 for result in results], wanted, 1, anchor),
                words("; ".join(one.devices)),
            ]
        )
    notes = [
        "Images per second and minutes are of the whole run, from the first step to the last metric, evaluations among "
        "them; those of different devices do not compare, nor do those of jobs that shared one.",
    ]
    return Table(name="score-and-speed", title="Score and speed of training", columns=columns, rows=rows, notes=notes)
