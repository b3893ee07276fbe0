"""A retrieval run as one HTML page that needs no other file."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlrsnet_hf.metrics import METRICS
from mlrsnet_hf.paper_tables import RETRIEVAL_METRICS
from mlrsnet_hf.reports.html_page import bullets, chart, page, paragraph, table, thumbnail
from mlrsnet_hf.reports.retrieval.pictures import Pictures
from mlrsnet_hf.reports.retrieval.tables import Cell, Table, shown, table9_rows
from mlrsnet_hf.reports.retrieval.words import comparison_sentence, headline, notes, scenes_sentence
from mlrsnet_hf.retrieval.embeddings.query import Hit
from mlrsnet_hf.retrieval.protocol.examples import ExampleQuery
from mlrsnet_hf.retrieval.protocol.results import RetrievalResult


def render_page(
    result: RetrievalResult, tables: Sequence[Table], figures: Mapping[str, Path], pictures: Pictures
) -> str:
    """Return the page.

    Args:
        result: What was measured.
        tables: Of `retrieval_tables.tables`.
        figures: The PNG files by name, which the page takes into itself.
        pictures: Of the examples, by id.
    """
    by_name = {one.name: one for one in tables}
    data = result.info.dataset.get("name", "")
    body = [
        paragraph(headline(result), "headline"),
        paragraph(result.info.described(), "about"),
        bullets(notes(result)),
        *_table9(result),
        "<h2>Images that query and are searched (Table 8)</h2>",
        _plain(by_name["table8"]),
        "<h2>Precision and recall (Fig. 10)</h2>",
        _chart(
            figures,
            "fig10_precision_recall",
            f"Interpolated precision by recall, for each share of queries. {headline(result)}",
            320 * len(result.protocols),
        ),
        "<h2>ANMRR of each scene (Fig. 11)</h2>",
        paragraph(scenes_sentence(result)),
        _chart(figures, "fig11_anmrr_per_scene", f"ANMRR of each scene as bars. {scenes_sentence(result)}", 480),
        f"<details><summary>Every measure of every scene</summary>{_plain(by_name['per_scene'], 3)}</details>",
        "<h2>Precision and recall of each scene (Fig. 12)</h2>",
        _chart(figures, "fig12_precision_recall_per_scene", "A small precision-recall curve for each scene", 720),
        *_labels(result, by_name),
        *_examples(result, pictures),
        "<h2>How this was made</h2>",
        bullets(_provenance(result)),
    ]
    return page(f"Image retrieval: {result.name} on {data}", body)


def _table9(result: RetrievalResult) -> list[str]:
    parts = ["<h2>Retrieval by scene (Table 9)</h2>"]
    parts.append(
        paragraph(
            "Relevant is what shows the query's scene. ANMRR: lower is better; mAP is the paper's, the mean of P@1 to "
            "P@100; all are means over the queries"
            + (", ± the deviation over the split seeds." if len(result.shown.model.repeats) > 1 else ".")
        )
    )
    header = ("model", "values", *(METRICS[name].title for name in RETRIEVAL_METRICS))
    for protocol in result.protocols:
        if protocol.percent is not None:
            parts.append(f"<h3>{protocol.percent}% of the pool query</h3>")
        rows = table9_rows(result, protocol)
        own = [number for number, row in enumerate(rows) if str(row[1]).startswith("ours")]
        parts.append(table(header, _cells(rows), words=2, own=own))
    return parts


def _labels(result: RetrievalResult, by_name: Mapping[str, Table]) -> list[str]:
    parts = []
    if "scene_measures" in by_name:
        parts += ["<h2>Measures beside the paper's</h2>", _plain(by_name["scene_measures"], 2)]
    if "label_measures" in by_name:
        text = "ACG@k is the mean number of labels that the first k results have in common with the query."
        parts += [paragraph(text), _plain(by_name["label_measures"], 2)]
    if "common_labels" in by_name:
        parts += [
            "<h2>Labels in common, by two models (Figs. 13 and 14)</h2>",
            paragraph(comparison_sentence(result)),
            _plain(by_name["common_labels"]),
        ]
    return parts


def _examples(result: RetrievalResult, pictures: Pictures) -> list[str]:
    text = "Labels in common with the query are green and bold; another scene than the query's is red."
    parts = [f"<h2>Queries and their first results (Fig. 13): {html.escape(result.name)}</h2>", paragraph(text)]
    parts += [_example(example, pictures) for example in result.examples.model]
    if result.examples.compared:
        parts.append(f"<h2>The same queries (Fig. 14): {html.escape(str(result.compared_name))}</h2>")
        parts += [_example(example, pictures) for example in result.examples.compared]
    return parts


def _example(example: ExampleQuery, pictures: Pictures) -> str:
    scene = (example.query.scene or example.query.id).replace("_", " ")
    found = "".join(
        f"<li>{_figure(f'{rank}.', hit, example, pictures)}</li>" for rank, hit in enumerate(example.results, start=1)
    )
    query = _figure("query", example.query, example, pictures)
    return f'<h3>{html.escape(scene)}</h3><div class="query">{query}</div><ol class="grid">{found}</ol>'


def _figure(title: str, hit: Hit, example: ExampleQuery, pictures: Pictures) -> str:
    picture = pictures.get(hit.id)
    image = '<div class="none">picture not found</div>' if picture is None else thumbnail(picture, hit.id)
    common = example.common(hit)
    is_query = hit is example.query
    kind = ' class="wrong"' if hit.scene != example.query.scene else ""
    labels = ", ".join(
        html.escape(name)
        if is_query
        else f'<span class="{"common" if name in common else "other"}">{html.escape(name)}</span>'
        for name in sorted(hit.labels or (), key=lambda name: (name not in common, name))
    )
    scene = html.escape((hit.scene or "").replace("_", " "))
    shared = "" if is_query or hit.labels is None else f" · {len(common)} in common"
    caption = f"<b>{title}</b> <span{kind}>{scene}</span>{shared}<br>{labels}"
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _plain(made: Table, words: int = 1) -> str:
    return table([*made.header], _cells(made.rows), words)


def _cells(rows: Sequence[Sequence[Cell]]) -> list[list[str]]:
    """Return cells as text; a deviation goes below its value, which keeps the table narrow."""
    return [[shown(cell).replace(" ± ", "\n± ") for cell in row] for row in rows]


def _chart(figures: Mapping[str, Path], name: str, description: str, least_width: int) -> str:
    return chart(figures[name].read_bytes(), description, least_width)


def _provenance(result: RetrievalResult) -> list[str]:
    lines = [f"Measured: {result.info.described()}; fingerprint {result.info.model_fingerprint[:16]}."]
    if result.compared_info is not None:
        lines.append(
            f"Compared: {result.compared_info.described()}; fingerprint {result.compared_info.model_fingerprint[:16]}."
        )
    distance = "Euclidean" if result.distance == "euclidean" else "cosine"
    lines.append(f"{distance} distance, exact search; equal distances rank by the database's order.")
    images = ", ".join(f"{name} {value}" for name, value in result.info.dataset.items())
    lines.append(f"Images: {images}; fingerprint {result.info.dataset_fingerprint[:16]}.")
    lines.append(", ".join(f"{name} {version}" for name, version in result.versions.items()) + ".")
    return lines
