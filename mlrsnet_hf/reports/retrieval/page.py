"""What retrieval results say, in sentences; and the HTML page that shows all of a run and needs no other file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from mlrsnet_hf.models.paper_networks import paper_name
from mlrsnet_hf.paper_tables import TABLE8_SIZES, TABLE9_RETRIEVAL
from mlrsnet_hf.reports.pages import render
from mlrsnet_hf.reports.retrieval.tables import COMPARED, MEASURED, Table, Value, shown, table9_header, table9_rows
from mlrsnet_hf.retrieval.protocol.measures import measure_title
from mlrsnet_hf.retrieval.protocol.results import RetrievalResult


def render_page(
    result: RetrievalResult,
    tables: Sequence[Table],
    figures: Mapping[str, Path],
    pictures: Mapping[str, Image.Image],
) -> str:
    """Return the page.

    Args:
        result: What was measured.
        tables: Of `tables.tables`.
        figures: The PNG files by name, which the page takes into itself.
        pictures: Of the examples, by id.
    """
    return render(
        "retrieval.html",
        title=f"Image retrieval: {result.name} on {result.info.dataset.get('name', '')}",
        result=result,
        headline=headline(result),
        notes=notes(result),
        repeated=len(result.shown.model.repeats) > 1,
        table9_header=table9_header()[1:],
        table9_rows=table9_rows,
        own_rows=(MEASURED, COMPARED),
        shown=shown,
        tables={table.name: table for table in tables},
        figures={name: path.read_bytes() for name, path in figures.items()},
        scenes=scenes_sentence(result),
        comparison=comparison_sentence(result) if result.shown.common_labels else "",
        pictures=pictures,
        provenance=_provenance(result),
    )


def headline(result: RetrievalResult) -> str:
    """Say how good retrieval is, beside the paper's value where it has one."""
    protocol = result.shown
    first = "retrieval_map" if "retrieval_map" in protocol.model.names() else "average_precision"
    anmrr, precision = (Value(*protocol.model.mean(name)) for name in ("anmrr", first))
    text = f"ANMRR {anmrr} (lower is better), {measure_title(first)} {precision}"
    network = paper_name(result.info.architecture)
    if network and protocol.percent is not None:
        paper = TABLE9_RETRIEVAL[protocol.percent][network]
        text += f"; the paper's {network}: ANMRR {paper['anmrr']:.4f}, mAP {paper['retrieval_map']:.4f}"
    share = "" if protocol.percent is None else f" with {protocol.percent}% of the pool as queries"
    return f"{text}{share}."


def notes(result: RetrievalResult) -> list[str]:
    """Return what a reader has to know before comparing."""
    lines = [*result.notes]
    repeats = [(protocol, repeat) for protocol in result.protocols for repeat in protocol.model.repeats]
    if not all(
        (repeat.queries, repeat.database) == TABLE8_SIZES.get(protocol.percent)
        for protocol, repeat in repeats
        if protocol.percent is not None
    ):
        lines.append("These are not the sizes of the paper's Table 8: its values are shown, but are of other images.")
    if any(repeat.best_possible for _, repeat in repeats):
        lines.append(
            "Some scenes have fewer images in the database than the depths of the paper's measures; the row 'best "
            "possible' says what a perfect ranking would score here."
        )
    return lines


def scenes_sentence(result: RetrievalResult) -> str:
    """Name the scenes that are found best and worst."""
    values = {scene: result.shown.model.of_scene(scene, "anmrr")[0] for scene in result.shown.model.scenes()}
    ordered = [f"{scene.replace('_', ' ')} {values[scene]:.3f}" for scene in sorted(values, key=values.__getitem__)]
    if len(ordered) < 6:
        return "Lower is better."
    return f"Lower is better. Best: {', '.join(ordered[:3])}; worst: {', '.join(ordered[-3:])}."


def comparison_sentence(result: RetrievalResult) -> str:
    """Say which model's results have more labels in common with their queries."""
    sentences = []
    for one in result.shown.common_labels[0]:
        interval = f"95% interval {one.interval.low:+.3f} to {one.interval.high:+.3f}"
        sentences.append(
            f"The first {one.k} results of {result.name} have {one.first:.3f} labels in common with the query, those "
            f"of {result.compared_name} {one.second:.3f}: {one.verdict} ({one.difference:+.3f}, {interval})."
        )
    return " ".join(sentences) + " The interval is a paired bootstrap over the queries."


def _provenance(result: RetrievalResult) -> list[str]:
    models = {"Measured": result.info, "Compared": result.compared_info}
    lines = [
        f"{what}: {info.described()}; fingerprint {info.model_fingerprint[:16]}."
        for what, info in models.items()
        if info is not None
    ]
    distance = "Euclidean" if result.distance == "euclidean" else "cosine"
    lines.append(f"{distance} distance, exact search; equal distances rank by the database's order.")
    images = ", ".join(f"{name} {value}" for name, value in result.info.dataset.items())
    lines.append(f"Images: {images}; fingerprint {result.info.dataset_fingerprint[:16]}.")
    lines.append(", ".join(f"{name} {version}" for name, version in result.versions.items()) + ".")
    return lines
