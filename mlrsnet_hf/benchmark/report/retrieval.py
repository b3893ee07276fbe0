"""Tables 8 and 9 over repetitions, and what Figs. 10 to 14 are drawn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mlrsnet_hf.benchmark.report.tables import Cell, Column, Table, count, gap, mean, number, suffixes, words
from mlrsnet_hf.benchmark.results import Group, Results, Row
from mlrsnet_hf.metrics import METRICS
from mlrsnet_hf.paper_tables import RETRIEVAL_METRICS, TABLE8_SIZES, TABLE9_RETRIEVAL
from mlrsnet_hf.retrieval.protocol.config import PERCENTS
from mlrsnet_hf.retrieval.protocol.measures import measure_title
from mlrsnet_hf.retrieval.protocol.results import ModelResult, ProtocolResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """A group's results by one protocol of retrieval, over its repetitions."""

    group: Group
    protocol: str
    found: tuple[ProtocolResult, ...]
    """One for each job that is done."""

    @property
    def model(self) -> ModelResult:
        """All repetitions as those of one model."""
        return ModelResult(repeats=[repeat for one in self.found for repeat in one.model.repeats])

    @property
    def wanted(self) -> int:
        """Repetitions that there should be."""
        return len(self.group.rows)


def searched(groups: Sequence[Group]) -> list[Searched]:
    """Return the results of groups of retrievals by protocol, those protocols first that the paper has."""
    protocols = dict.fromkeys(name for group in groups for row in group.rows for name in _asked(row))
    order = {name: place for place, name in enumerate(PERCENTS)}
    made = []
    for protocol in sorted(protocols, key=lambda name: (order.get(name, len(order)), name)):
        for group in groups:
            found = tuple(
                one for row in group.done if row.retrieval for one in row.retrieval.protocols if one.name == protocol
            )
            if found or any(protocol in _asked(row) for row in group.rows):
                made.append(Searched(group=group, protocol=protocol, found=found))
    return made


def _asked(row: Row) -> Sequence[str]:
    """Return the protocols that a retrieval has measured, or is to measure."""
    if row.retrieval is not None:
        return [one.name for one in row.retrieval.protocols]
    return row.job.retrieval_config(model=("model",)).protocol


def share_title(protocol: str) -> str:
    """Return a protocol of retrieval in words.

    Examples:
        >>> share_title("retrieval05")
        '5% query'
    """
    return f"{PERCENTS[protocol]}% query" if protocol in PERCENTS else protocol


def retrieval_tables(results: Results) -> list[Table]:
    """Return the tables of retrieval, those with something to say."""
    groups = results.of_kind("retrieval")
    made = []
    for images, suffix in suffixes(group.trained_on for group in groups).items():
        found = searched([group for group in groups if group.trained_on == images])
        made += [size_table(found, images, suffix), measure_table(found, images, suffix)]
        made.append(common_label_table(found, images, suffix))
    return [table for table in made if table.rows]


def size_table(found: Sequence[Searched], images: str, suffix: str) -> Table:
    """Table 8: how many images query and are searched; seeds that draw as many share a row."""
    columns = [Column(title="protocol", is_text=True), Column(title="split seeds", is_text=True)]
    for part in ("queries", "database"):
        columns += [Column(title=part), Column(title=f"{part}, paper")]
    seeds: dict[tuple[str, int, int], set[int]] = {}
    anchors: dict[str, str] = {}
    for one in found:
        anchors.setdefault(one.protocol, one.group.anchor)
        for repeat in one.model.repeats:
            seeds.setdefault((one.protocol, repeat.queries, repeat.database), set()).add(repeat.seed)
    rows = []
    for (protocol, queries, database), drawn in seeds.items():
        published = TABLE8_SIZES.get(PERCENTS.get(protocol, 0), (None, None))
        rows.append(
            [
                words(share_title(protocol), anchors[protocol]),
                words(", ".join(map(str, sorted(drawn)))),
                count(queries),
                count(published[0], "paper"),
                count(database),
                count(published[1], "paper"),
            ]
        )
    return Table(
        name=f"table8{suffix}",
        title=f"Table 8. Images that query and images that are searched, {images}",
        columns=columns,
        rows=rows,
    )


def measure_table(found: Sequence[Searched], images: str, suffix: str) -> Table:
    """Table 9: the measures of each network and share of queries, beside the paper's values and the differences."""
    columns = [Column(title="network", is_text=True), Column(title="values", is_text=True)]
    for name in RETRIEVAL_METRICS:
        best: Literal["highest", "lowest"] = "highest" if METRICS[name].higher_is_better else "lowest"
        columns.append(Column(title=measure_title(name), best=best))
    rows: list[list[Cell]] = []
    sections: dict[int, str] = {}
    for one in found:
        title = share_title(one.protocol)
        if title not in sections.values():
            sections[len(rows)] = title
        anchor = one.group.anchor
        own = [_measured(one, name) for name in RETRIEVAL_METRICS]
        rows.append([words(one.group.variant, anchor), words("here"), *own])
        published = TABLE9_RETRIEVAL.get(PERCENTS.get(one.protocol, 0), {}).get(one.group.network)
        if published:
            printed = [number(published[name], look="paper") for name in RETRIEVAL_METRICS]
            rows.append(
                [
                    Cell(text="", value=one.group.variant, look="paper"),
                    Cell(text="paper", value="paper", look="paper"),
                    *printed,
                ]
            )
            gained = [
                number(float(cell.value) - published[name] if cell.is_number else None, signed=True, look="paper")  # type: ignore[arg-type]
                for name, cell in zip(RETRIEVAL_METRICS, own, strict=True)
            ]
            if any(cell.is_number for cell in gained):
                rows.append(
                    [
                        Cell(text="", value=one.group.variant, look="paper"),
                        Cell(text="difference", value="difference", look="paper"),
                        *gained,
                    ]
                )
    notes = [
        "Relevant is what shows the query's scene. ANMRR: lower is better; mAP is the paper's, the mean of P@1 to "
        "P@100. Means over the repetitions, ± their standard deviation; each repetition has its own model and split.",
    ]
    return Table(
        name=f"table9{suffix}",
        title=f"Table 9. Retrieval by scene, {images}",
        columns=columns,
        rows=rows,
        notes=notes,
        sections=sections,
    ).with_best()


def _measured(one: Searched, name: str) -> Cell:
    values = [repeat.values[name] for result in one.found for repeat in result.model.repeats if name in repeat.values]
    anchor = one.group.anchor
    if not values:
        return gap("too few images" if one.found else one.group.gap, anchor)
    return mean(values, one.wanted, anchor=anchor)


def common_label_table(found: Sequence[Searched], images: str, suffix: str) -> Table:
    """Figs. 13 and 14 in numbers: labels in common with the query, by a model and by the one it is compared with."""
    columns = [Column(title=title, is_text=True) for title in ("network", "queries")]
    columns += [Column(title=title) for title in ("first k", "its own", "compared", "difference", "intervals beyond 0")]
    rows = []
    for one in found:
        by_depth: dict[int, list] = {}
        for result in one.found:
            for repeat in result.common_labels:
                for compared in repeat:
                    by_depth.setdefault(compared.k, []).append(compared)
        for depth, values in by_depth.items():
            sure = sum(value.verdict != "neither more nor fewer" for value in values)
            rows.append(
                [
                    words(one.group.variant, one.group.anchor),
                    words(share_title(one.protocol)),
                    count(depth),
                    mean([value.first for value in values], one.wanted),
                    mean([value.second for value in values], one.wanted),
                    mean([value.difference for value in values], one.wanted),
                    Cell(text=f"{sure} of {len(values)}", value=sure),
                ]
            )
    return Table(
        name=f"common-labels{suffix}",
        title=f"Labels in common with the query, by two models (Figs. 13 and 14), {images}",
        columns=columns,
        rows=rows,
        notes=["Mean number of labels that the first k results have in common with their query."],
    )
