"""What a report rests on: images, protocols and seeds, code, libraries and machines; and its jobs."""

from collections import Counter
from collections.abc import Sequence

from mlrsnet_hf.benchmark.job import State
from mlrsnet_hf.benchmark.report.images import Copy
from mlrsnet_hf.benchmark.report.speed import device_of
from mlrsnet_hf.benchmark.report.tables import NONE, Cell, Column, Table, gap, number, words
from mlrsnet_hf.benchmark.results import Group, Results, Row
from mlrsnet_hf.metrics import metric_title
from mlrsnet_hf.published import IMAGERY, TOTAL_IMAGES

_DIGITS = 16
"""Of a fingerprint, on the page."""
_TOLD: dict[State, str] = {
    "failed": "failed",
    "waiting": "wait for a model that failed",
    "running": "are running",
    "left": "are not run yet",
}
"""What the first sentence says of jobs that are not done."""
_STATES = {"left": "not run yet", "running": "running", "waiting": "its model failed"}


def headline(results: Results) -> str:
    """Say how many jobs are done."""
    counts = Counter(row.state for row in results.rows)
    others = [f"{counts[state]:,} {told}" for state, told in _TOLD.items() if counts[state]]
    if not others:
        return f"All {len(results.rows):,} jobs are done."
    return f"{counts['done']:,} of {len(results.rows):,} jobs are done; {', '.join(others)}."


def notes(results: Results, copies: Sequence[Copy]) -> list[str]:
    """Return what a reader has to know before comparing, in sentences."""
    found = [
        "These results are self-reported: the labels of the test images are public. Each score can be computed again "
        "from the predictions that lie beside it."
    ]
    images = {name: one.images for name, one in results.benchmark.info().datasets.items()}
    for copy in copies:
        if copy.synthetic:
            found.append(f"The images of {copy.name!r} are drawn by a program; the paper's values are of others.")
        elif copy.name in images and not (copy.is_mlrsnet and images[copy.name] == TOTAL_IMAGES):
            found.append(
                f"{copy.name}: {images[copy.name]:,} images; the paper's values are of the {TOTAL_IMAGES:,} of MLRSNet."
            )
    weights = {row.training.weights for row in results.rows}
    if "random" in weights:
        found.append("Some networks began from random weights; the paper's began from those of ImageNet.")
    return found


def attribution(copies: Sequence[Copy]) -> str:
    """Say whose images they are; nothing where they are no imagery of the release."""
    return IMAGERY if any(copy.is_mlrsnet for copy in copies) else ""


def basis_table(results: Results, copies: Sequence[Copy]) -> Table:
    """Return what the numbers rest on."""
    info = results.benchmark.info()
    rows: list[list[Cell]] = []

    def add(name: str, text: str) -> None:
        rows.append([words(name), words(text)])

    for name, one in info.datasets.items():
        copy = next((copy for copy in copies if copy.name == name), None)
        told = [f"{one.images:,} images", f"fingerprint {one.fingerprint[:_DIGITS]}"]
        if one.label_version:
            told.append(f"labels {one.label_version}")
        if copy is not None and copy.is_mlrsnet:
            told.append("its rows are MLRSNet's, as published")
        elif copy is not None and copy.synthetic:
            told.append("synthetic scenes")
        if copy is not None and copy.found is not None and (repaired := copy.found.data.source.get("repaired")):
            told.append(f"{repaired:,} rows repaired")
        add(f"images: {name}", ", ".join(told))
    add("protocols", _listed(row.protocol or "the data's own splits" for row in results.rows))
    add("split seeds", _listed(str(row.repetition[0]) for row in results.rows))
    add("training seeds", _listed(str(row.repetition[1]) for row in results.rows))
    versions: dict[str, list[str]] = {}
    for row in results.rows:
        for library, version in (row.trained.run.versions if row.trained is not None else {}).items():
            if version not in versions.setdefault(library, []):
                versions[library].append(version)
    add("versions", ", ".join(f"{name} {' and '.join(found)}" for name, found in versions.items()) or NONE)
    add(
        "code",
        _listed(str(row.provenance["code"])[:_DIGITS] for row in results.rows if row.provenance.get("code"))
        or info.code[:_DIGITS],
    )
    precisions = [row.trained.run.precision for row in results.rows if row.trained is not None]
    add("mixed precision", _listed(precisions) or NONE)
    add("hardware", "; ".join(dict.fromkeys(device_of(row) for row in results.rows if row.trained is not None)) or NONE)
    add("grids", _listed(info.grids))
    return Table(
        name="basis",
        title="What this rests on",
        columns=[Column(title="what", is_text=True), Column(title="value", is_text=True)],
        rows=rows,
    )


def _listed(names: Sequence[str] | object) -> str:
    return ", ".join(dict.fromkeys(names))  # type: ignore[arg-type]


def job_table(group: Group) -> Table:
    """Return the jobs of a group, each with its seeds, scores, time and device."""
    columns = [Column(title="job", is_text=True), Column(title="split seed"), Column(title="seed")]
    metrics: tuple[str, ...] = (
        ("map", "sample_f1") if group.rows[0].model.task != "scene" else ("scene_accuracy", "macro_f1")
    )
    if group.kind == "retrieval":
        metrics = ()
    columns += [Column(title=metric_title(name)) for name in metrics]
    columns += [Column(title="minutes"), Column(title="device or state", is_text=True)]
    rows = []
    for row in group.rows:
        seconds = row.provenance.get("seconds") if row.trained is None else row.trained.run.seconds
        done = row.state == "done"
        state = words(device_of(row)) if done else gap(_state(row))
        rows.append(
            [
                words(row.name),
                *(Cell(text=str(seed), value=seed) for seed in row.repetition),
                *(number(row.score(name)) for name in metrics),
                number(seconds / 60, 1) if done and isinstance(seconds, int | float) else number(None),
                state,
            ]
        )
    return Table(name=group.anchor, title=group.title, columns=columns, rows=rows)


def _state(row: Row) -> str:
    if row.state == "failed":
        return f"failed: {row.reason}" if row.reason else "failed"
    return _STATES.get(row.state, row.state)


def failure_table(results: Results) -> Table:
    """Return the jobs that have failed, with their reasons."""
    failed = [row for row in results.rows if row.state == "failed"]
    anchors = {row.name: group.anchor for group in results.groups for row in group.rows}
    return Table(
        name="failures",
        title="Jobs that failed",
        columns=[Column(title="job", is_text=True), Column(title="reason", is_text=True)],
        rows=[[words(row.name, anchors[row.name]), words(row.reason or "not told")] for row in failed],
        notes=["mlrsnet benchmark retry takes them up again."],
    )
