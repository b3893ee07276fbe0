"""The report as one HTML page that needs no other file, and as Markdown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from mlrsnet_hf.benchmark.report.basis import job_table
from mlrsnet_hf.benchmark.report.figures import Drawing
from mlrsnet_hf.benchmark.report.heat import HeatMap
from mlrsnet_hf.benchmark.report.images import Annotated, Sample
from mlrsnet_hf.benchmark.report.tables import Cell, Table
from mlrsnet_hf.benchmark.results import Group, Results, Row
from mlrsnet_hf.escaping import for_markdown
from mlrsnet_hf.reports.pages import render

JOBS = "../jobs"
"""Where the jobs lie, from the report's folder."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure that a job has made already."""

    name: str
    title: str
    content: bytes
    """A PNG file."""
    anchor: str
    """Of the job's group."""


@dataclass(frozen=True, slots=True)
class Part:
    """Something of the report that stands in a section, in the order of the report."""

    title: str
    tables: Sequence[Table] = ()
    drawings: Sequence[Drawing] = ()
    pictures: Sequence[Picture] = ()
    heats: Sequence[HeatMap] = ()
    samples: Sequence[Sample] = ()
    annotated: Annotated | None = None
    gaps: Sequence[str] = ()
    """What is missing here, in sentences."""

    @property
    def name(self) -> str:
        """Of its place on the page."""
        return "part-" + "-".join(self.title.lower().split())

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (
            self.tables or self.drawings or self.pictures or self.heats or self.samples or self.annotated or self.gaps
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that a report shows."""

    title: str
    results: Results
    headline: str
    notes: Sequence[str]
    attribution: str
    parts: Sequence[Part]

    def tables(self) -> list[Table]:
        """Return all tables, those of the heat maps too."""
        return [table for part in self.parts for table in [*part.tables, *(heat.table() for heat in part.heats)]]


def job_place(row: Row) -> str:
    """Return the address of a job, from the report's folder."""
    return f"{JOBS}/{quote(row.name)}/"


def render_page(
    report: Report, place: Callable[[Row], str] = job_place, links: Callable[[Row], Mapping[str, str]] | None = None
) -> str:
    """Return the page.

    Args:
        report: What it shows.
        place: Gives a job's address; by default that of its folder here.
        links: Gives the addresses of a job's parts by what they are called, as `job_links` does.
    """
    return render(
        "benchmark.html",
        title=report.title,
        report=report,
        parts=[part for part in report.parts if not part.is_empty],
        groups=[(group, job_table(group)) for group in report.results.groups],
        kinds={"train": "Trainings", "evaluate": "Further evaluations", "retrieval": "Retrievals"},
        links=links or job_links,
        elsewhere=links is not None,
        heat_cells=heat_cells,
        place=place,
        zip=partial(zip, strict=True),
        signs={"right": "+", "wrong": "\u00d7", "missed": "\u2212"},
    )


def job_links(row: Row) -> Mapping[str, str]:
    """Return the addresses of a job's parts that are there, from the report's folder, by what they are called."""
    names = {
        "settings": "result/settings.yaml",
        "results": "result/results.json",
        "predictions": "",
        "failure": "failure.json",
    }
    if row.predictions is not None:
        names["predictions"] = row.predictions.relative_to(row.folder).as_posix()
    found = {"job": f"{job_place(row)}job.json"}
    return found | {
        title: f"{job_place(row)}{path}" for title, path in names.items() if path and (row.folder / path).is_file()
    }


def heat_cells(heat: HeatMap) -> list[tuple[str, int, list[tuple[Cell, float | None]]]]:
    """Return name, images, and cells with their shade from 0 to 1 of each row of a heat map."""
    made = []
    for place, row in enumerate(heat.table().rows):
        shades = [None if value != value else min(1.0, max(0.0, float(value))) for value in heat.values[place]]
        made.append((row[0].text, heat.images[place], list(zip(row[2:], shades, strict=True))))
    return made


def markdown(report: Report) -> str:
    """Return the report as Markdown, with its figures as files beside it."""
    lines = [f"# {for_markdown(report.title)}", "", for_markdown(report.headline), ""]
    lines += [f"- {for_markdown(note)}" for note in report.notes]
    lines += ["", for_markdown(report.attribution)] if report.attribution else []
    for part in report.parts:
        if part.is_empty:
            continue
        lines += ["", f"## {for_markdown(part.title)}", ""]
        lines += [f"*{for_markdown(gap)}*\n" for gap in part.gaps]
        lines += [table.markdown() for table in part.tables]
        figures = [(one.name, one.title) for one in part.drawings] + [(one.name, one.title) for one in part.pictures]
        for name, title in figures:
            lines += [f"![{for_markdown(title)}](figures/{name}.png)", "", for_markdown(title), ""]
        if part.annotated is not None:
            lines += ["![Fig. 9](figures/fig9.png)", "", f"Fig. 9. {for_markdown(part.annotated.variant)}", ""]
        lines += [heat.table().markdown() for heat in part.heats]
    lines += ["", "## Jobs", ""]
    for group in report.results.groups:
        lines += [f'<a id="{group.anchor}"></a>', "", _job_markdown(group), ""]
    return "\n".join(lines).rstrip() + "\n"


def _job_markdown(group: Group) -> str:
    table = job_table(group)
    text = table.markdown()
    for row in group.rows:
        name = for_markdown(row.name)
        text = text.replace(f"| {name} |", f"| [{name}]({job_place(row)}) |", 1)
    return text
