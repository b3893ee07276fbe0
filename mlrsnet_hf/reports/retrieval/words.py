"""What retrieval results say, in sentences."""

from mlrsnet_hf.paper_tables import RETRIEVAL_METRICS, TABLE8_SIZES, TABLE9_RETRIEVAL
from mlrsnet_hf.reports.retrieval.tables import Value, paper_network, shown, table9_rows
from mlrsnet_hf.retrieval.protocol.measures import measure_title
from mlrsnet_hf.retrieval.protocol.results import ProtocolResult, RetrievalResult


def headline(result: RetrievalResult) -> str:
    """Say how good retrieval is, beside the paper's value where it has one."""
    protocol = result.shown
    value = Value(*protocol.model.mean("anmrr"))
    first = "retrieval_map" if "retrieval_map" in protocol.model.names() else "average_precision"
    text = f"ANMRR {value} (lower is better), {measure_title(first)} {Value(*protocol.model.mean(first))}"
    network = paper_network(result.info)
    if network and protocol.percent is not None:
        paper = TABLE9_RETRIEVAL[protocol.percent][network]
        text += f"; the paper's {network}: ANMRR {paper['anmrr']:.4f}, mAP {paper['retrieval_map']:.4f}"
    share = "" if protocol.percent is None else f" with {protocol.percent}% of the pool as queries"
    return f"{text}{share}."


def notes(result: RetrievalResult) -> list[str]:
    """Return what a reader has to know before he compares."""
    lines = [*result.notes]
    sizes = [
        (repeat.queries, repeat.database) == TABLE8_SIZES.get(protocol.percent)
        for protocol in result.protocols
        if protocol.percent is not None
        for repeat in protocol.model.repeats
    ]
    if not all(sizes):
        lines.append("These are not the sizes of the paper's Table 8: its values are shown, but are of other images.")
    if any(repeat.best_possible for protocol in result.protocols for repeat in protocol.model.repeats):
        lines.append(
            "Some scenes have fewer images in the database than the depths of the paper's measures; the row 'best "
            "possible' says what a perfect ranking would score here."
        )
    return lines


def scenes_sentence(result: RetrievalResult) -> str:
    """Name the scenes that are found best and worst."""
    model = result.shown.model
    ordered = sorted(model.scenes(), key=lambda scene: model.of_scene(scene, "anmrr")[0])
    ends = [
        f"{name.replace('_', ' ')} {model.of_scene(name, 'anmrr')[0]:.3f}" for name in (*ordered[:3], *ordered[-3:])
    ]
    if len(ordered) < 6:
        return "Lower is better."
    return f"Lower is better. Best: {', '.join(ends[:3])}; worst: {', '.join(ends[3:])}."


def comparison_sentence(result: RetrievalResult) -> str:
    """Say which model's results have more labels in common with their queries."""
    protocol = result.shown
    sentences = []
    for one in protocol.common_labels[0]:
        interval = f"95% interval {one.interval.low:+.3f} to {one.interval.high:+.3f}"
        sentences.append(
            f"The first {one.k} results of {result.name} have {one.first:.3f} labels in common with the query, those "
            f"of {result.compared_name} {one.second:.3f}: {one.verdict} ({one.difference:+.3f}, {interval})."
        )
    return " ".join(sentences) + " The interval is a paired bootstrap over the queries."


def printed(result: RetrievalResult) -> str:
    """Return Table 9's row beside the paper's, for the terminal."""
    lines = []
    names = [measure_title(name) for name in RETRIEVAL_METRICS]
    for protocol in result.protocols:
        lines.append(_share(protocol))
        rows = [("", "", *names), *([shown(cell) for cell in row] for row in table9_rows(result, protocol))]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            cells = [
                cell.ljust(width) if i < 2 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append(f"  {'  '.join(cells)}".rstrip())
    return "\n".join(lines)


def _share(protocol: ProtocolResult) -> str:
    repeat = protocol.model.repeats[0]
    share = protocol.name if protocol.percent is None else f"{protocol.percent}% of the pool query"
    return f"{share}: {repeat.queries:,} queries, {repeat.database:,} images searched"
