"""`mlrsnet benchmark report`: read a benchmark's folder, and write its tables, figures and page."""

from collections.abc import Callable, Sequence
from pathlib import Path

from mlrsnet_hf.benchmark.report import figures
from mlrsnet_hf.benchmark.report.basis import attribution, basis_table, failure_table, headline, notes
from mlrsnet_hf.benchmark.report.classification import classification_tables, leakage_table
from mlrsnet_hf.benchmark.report.heat import HeatMap, heat_maps
from mlrsnet_hf.benchmark.report.images import Copy, annotate, best_group, image_tables, look_at, near_duplicates
from mlrsnet_hf.benchmark.report.latex import latex_document, latex_table
from mlrsnet_hf.benchmark.report.page import Part, Picture, Report, markdown, render_page
from mlrsnet_hf.benchmark.report.retrieval import retrieval_tables, searched
from mlrsnet_hf.benchmark.report.same_images import same_image_table
from mlrsnet_hf.benchmark.report.speed import speed_table, speeds_of
from mlrsnet_hf.benchmark.report.tables import suffixes
from mlrsnet_hf.benchmark.results import Group, Results, Row, read_results
from mlrsnet_hf.errors import MLRSNetError
from mlrsnet_hf.files import whole_folder
from mlrsnet_hf.runtime.logs import get_logger, print_result

PAGE, MARKDOWN, LATEX = "index.html", "report.md", "tables.tex"
TABLES, FIGURES = "tables", "figures"
_OF_JOBS = {
    "fig13_examples": "Fig. 13. Queries and their first results",
    "fig14_examples_compared": "Fig. 14. The same queries by the model that is compared",
}
"""Figures that each retrieval has drawn, by the names of their files."""
_PNG = b"\x89PNG\r\n\x1a\n"
_HIDDEN = "Pictures are not shown here, as their license is not known."

_SCORES = {
    "Networks and settings": (("table4", "table5"), ()),
    "mAP": (("table6",), ("fig7",)),
    "F1": (("table7",), ("fig8",)),
    "Pairs of networks": (("pairs",), ()),
}
"""Parts of the report, with the names of the tables and figures that stand in each."""

logger = get_logger(__name__)


def write_report(folder: Path) -> Path:
    """Write the report of a benchmark into its folder, in place of an earlier one, and print where it lies.

    The folder `report` holds `index.html`, which shows all of it and needs no other file, `report.md`, each table as
    CSV and LaTeX and each figure as PNG and PDF. What is missing or has failed is a gap that says so.

    Raises:
        ConfigurationError: It is no benchmark, or the report cannot be written.
    """
    results = read_results(folder.expanduser())
    target = results.benchmark.report_folder
    with whole_folder(target, replace=True) as partial:
        (partial / FIGURES).mkdir()
        report = make_report(results, partial / FIGURES, look_at(results))
        write_tables(report, partial / TABLES)
        (partial / MARKDOWN).write_text(markdown(report), encoding="utf-8")
        (partial / PAGE).write_text(render_page(report), encoding="utf-8")
    print_result(report.headline)
    print_result(f"report: {target}, to be looked at: {target / PAGE}")
    return target


def write_tables(report: Report, folder: Path) -> None:
    """Write each table of a report as CSV and LaTeX, and a document of all, into a new folder."""
    folder.mkdir()
    tables = report.tables()
    for table in tables:
        (folder / f"{table.name}.csv").write_text(table.csv(), encoding="utf-8")
        (folder / f"{table.name}.tex").write_text(latex_table(table), encoding="utf-8")
    (folder / LATEX).write_text(latex_document([table.name for table in tables]), encoding="utf-8")


def make_report(
    results: Results, figures_folder: Path, copies: Sequence[Copy], shows: Callable[[str], bool] = lambda _: True
) -> Report:
    """Return everything that the report shows; figures are written as files on the way.

    Args:
        results: The benchmark's.
        figures_folder: A folder for the figures.
        copies: Of `look_at`.
        shows: Tells of a dataset's name whether its pictures are shown.
    """
    parts = [
        Part("What this rests on", tables=[basis_table(results, copies)]),
        *_classification_parts(results, figures_folder, shows),
        *_retrieval_parts(results, figures_folder, shows),
        _speed_part(results, figures_folder),
        _images_part(copies, shows),
        _failures_part(results),
    ]
    names = ", ".join(results.benchmark.info().grids) or results.benchmark.root.absolute().name
    return Report(
        title=f"Benchmark {names}",
        results=results,
        headline=headline(results),
        notes=notes(results, copies),
        attribution=attribution(copies),
        parts=parts,
    )


def _classification_parts(results: Results, folder: Path, shows: Callable[[str], bool]) -> list[Part]:
    """Return tables, figures and heat maps of the scores of labels."""
    trained = results.of_kind("train")
    tables = classification_tables(results, _depth)
    leakage = leakage_table(trained)
    if leakage is not None:
        tables.append(leakage)
    drawings: list[figures.Drawing] = []
    heats: list[HeatMap] = []
    for images, suffix in suffixes(group.trained_on for group in trained).items():
        labeled = [group for group in _labeled(trained) if group.trained_on == images]
        drawings += _written(figures.classification_drawings(labeled, suffix), folder)
        heats += heat_maps(labeled, suffix)
        if (best := best_group(labeled)) is not None:
            rivals = [group for group in labeled if group.protocol == best.protocol]
            same = same_image_table(rivals, near_duplicates(best.rows[0], results), suffix)
            tables += [] if same is None else [same]
    for heat in heats:
        figures.heat_drawing(heat).write(folder)
    parts = []
    for title, (names, figure) in _SCORES.items():
        own = [table for table in tables if table.name.startswith(names)]
        parts.append(Part(title, tables=own, drawings=[one for one in drawings if one.name.startswith(figure)]))
        tables = [table for table in tables if table not in own]
    parts += [Part("Other scores", tables=tables), Part("Labels and scenes", heats=heats)]
    best = best_group(_labeled(trained))
    if best is not None:
        shown = annotate(best, results, folder / "fig9.png") if shows(best.rows[0].model.dataset) else _HIDDEN
        title = "Images and what the best network says of them"
        parts.append(Part(title, gaps=[shown]) if isinstance(shown, str) else Part(title, annotated=shown))
    return parts


def _labeled(groups: Sequence[Group]) -> list[Group]:
    return [group for group in groups if group.rows[0].model.task != "scene"]


def _retrieval_parts(results: Results, folder: Path, shows: Callable[[str], bool]) -> list[Part]:
    groups = results.of_kind("retrieval")
    if not groups:
        return []
    drawings: list[figures.Drawing] = []
    pictures: list[Picture] = []
    for images, suffix in suffixes(group.trained_on for group in groups).items():
        found = searched([group for group in groups if group.trained_on == images])
        drawings += _written(figures.retrieval_drawings(found, suffix), folder)
        done = [one for one in found if one.found]
        if done:
            best = min(done, key=lambda one: one.model.mean("anmrr")[0])
            if shows(best.group.rows[0].model.dataset):
                pictures += _examples(best.group, suffix, folder)
    return [Part("Retrieval", tables=retrieval_tables(results), drawings=drawings, pictures=pictures)]


def _examples(group: Group, suffix: str, folder: Path) -> list[Picture]:
    """Return Figs. 13 and 14 as the first retrieval of a group has drawn them."""
    found = []
    for name, title in _OF_JOBS.items():
        row = next((row for row in group.done if (row.result / f"{name}.png").is_file()), None)
        content = b"" if row is None else (row.result / f"{name}.png").read_bytes()
        if content.startswith(_PNG):  # no other file goes into a page, whatever a folder calls it
            short = f"{name.partition('_')[0]}{suffix}"
            (folder / f"{short}.png").write_bytes(content)
            found.append(Picture(short, f"{title}, {group.variant}", content, group.anchor))
    return found


def _speed_part(results: Results, folder: Path) -> Part:
    speeds = speeds_of(_labeled(results.of_kind("train")))
    if not speeds:
        return Part("Speed")
    return Part("Speed", tables=[speed_table(speeds)], drawings=_written([figures.speed_drawing(speeds)], folder))


def _images_part(copies: Sequence[Copy], shows: Callable[[str], bool]) -> Part:
    samples = [sample for copy in copies for sample in copy.samples if shows(copy.name)]
    hidden = [f"{copy.name}: {_HIDDEN}" for copy in copies if copy.samples and not shows(copy.name)]
    return Part("Images", tables=image_tables(copies), samples=samples, gaps=hidden)


def _failures_part(results: Results) -> Part:
    table = failure_table(results)
    return Part("Failures", tables=[table] if table.rows else [])


def _written(drawings: Sequence[figures.Drawing], folder: Path) -> Sequence[figures.Drawing]:
    for drawing in drawings:
        drawing.write(folder)
    return drawings


def _depth(row: Row) -> int | None:
    """Return the layers of a trained network; None where its model is not there, or cannot be read."""
    from mlrsnet_hf.models.depth import weighted_layers
    from mlrsnet_hf.models.saved_model import load_model
    from mlrsnet_hf.training.run_folder import RunFolder

    try:
        saved = load_model(RunFolder(row.result).model)
        return weighted_layers(saved.model, saved.preprocessing.image_size, saved.preprocessing.channels)
    except MLRSNetError as error:
        logger.info("%s: layers are not counted, as %s", row.name, error.found)
        return None
