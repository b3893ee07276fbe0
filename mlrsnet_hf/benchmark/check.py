"""`mlrsnet benchmark check`: whether published scores are those that the predictions beside them give."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mlrsnet_hf.benchmark.folder import FILE
from mlrsnet_hf.benchmark.job import JOB
from mlrsnet_hf.benchmark.results import Results, read_results
from mlrsnet_hf.benchmark.results_table import COLUMNS, TABLE, read_results_table
from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.escaping import quoted
from mlrsnet_hf.evaluation.scores import evaluate, label_scores
from mlrsnet_hf.hub_download import download_folder
from mlrsnet_hf.metrics import metric_title
from mlrsnet_hf.prediction.evaluation import EVALUATION, EvaluationResult
from mlrsnet_hf.prediction.predictions_file import PREDICTIONS, SavedPredictions, read_predictions

ROUNDING = 1e-6
"""How far a score may be from what the predictions give: published ones have six digits, and sums have an order."""
_REMEDY = "Do not rely on it; whoever published it can evaluate the model again."
_FORMS = "a job's folder, a benchmark's folder, USER/NAME/JOB or USER/NAME"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A row whose scores are those of its predictions."""

    job: str
    images: int
    scores: int
    """Values that were computed again, those of each label too."""

    def summary(self) -> str:
        """Return a line for the terminal."""
        return f"{self.job}: {self.scores:,} scores agree with the predictions of {self.images:,} images"


def check(row: str) -> Iterator[Checked]:
    """Compute scores again from saved predictions, and yield each job for which they agree.

    The labels are those that the predictions' file holds. A retrieval rests on embeddings, which are not kept: named
    by itself it is refused, among the rows of a benchmark it is passed over, as are jobs without a result.

    Args:
        row: A job's folder, or USER/NAME/JOB for one of a benchmark that was published; without the job all of them.

    Raises:
        ConfigurationError: A score is another than its predictions give, which names row, score and both values; or
            there is no such row, or it has no predictions.
    """
    path = Path(row).expanduser().absolute()
    if (path / JOB).is_file():
        yield _check_local(read_results(path.parent.parent), path.name)
    elif (path / FILE).is_file():
        results = read_results(path)
        names = [one.name for one in results.rows if one.predictions is not None]
        if not names:
            raise ConfigurationError(f"{path}: none of its jobs has predictions", "Run it first.")
        for name in names:
            yield _check_local(results, name)
    elif path.exists() or row.count("/") not in (1, 2) or row.startswith((".", "/", "~")):
        found = "no job and no benchmark" if path.exists() else "no such folder"
        raise ConfigurationError(f"{row}: {found}", f"Give {_FORMS}.")
    else:
        yield from _check_published(row)


def _check_local(results: Results, name: str) -> Checked:
    """Check the evaluation of a job's folder, which reports and tables take their numbers from."""
    found = next((one for one in results.rows if one.name == name), None)
    if found is None:
        raise ConfigurationError(f"{name}: another job has replaced it", "Check that one.")
    if found.job.kind == "retrieval":
        raise _rests_on_embeddings(name)
    if found.evaluation is None or found.predictions is None:
        told = f"has no result ({found.reason or found.state})" if found.evaluation is None else "keeps no predictions"
        raise ConfigurationError(f"{name}: the job {told}, so there is nothing to check", "Run it again.")
    return _compare(name, found.evaluation, read_predictions(found.predictions), {})


def _check_published(row: str) -> Iterator[Checked]:
    """Check rows of the Hub: the table's scores, and the evaluation in the model's repository."""
    owner, name, *job = row.split("/")
    repo_id = f"{owner}/{name}"
    path = download_folder(repo_id, "dataset", [TABLE]) / TABLE
    if not path.is_file():
        raise ConfigurationError(f"{repo_id}: holds no results of a benchmark", f"Give {_FORMS}.")
    rows = read_results_table(path)
    if job and job[0] not in rows:
        raise UnknownNameError(f"{repo_id}: there is no row {quoted(job[0])}", name_alternatives(job[0], rows))
    if job:
        found = rows[job[0]]
        if found.get("kind") == "retrieval":
            raise _rests_on_embeddings(job[0])
        if "predictions" not in found:
            raise ConfigurationError(f"{job[0]}: no predictions are published with it", "Check another row.")
        chosen = {job[0]: found}
    else:
        chosen = {name: one for name, one in rows.items() if "predictions" in one}
        if not chosen:
            raise ConfigurationError(f"{repo_id}: none of its rows has predictions", "Give another repository.")
    for name, one in chosen.items():
        folder = one["predictions"].rpartition("/")[0]
        wanted = [f"{folder}/{EVALUATION}", f"{folder}/{PREDICTIONS}"]
        leads_out = ".." in PurePosixPath(folder).parts or folder.startswith("/")  # whoever wrote the row
        if leads_out or one["predictions"] != wanted[1] or "model_repository" not in one:
            raise ConfigurationError(f"{name}: does not say where its predictions lie", "Check another row.")
        fetched = download_folder(one["model_repository"], "model", wanted) / folder
        scores = {column: value for column, value in one.items() if column not in COLUMNS}
        told = EvaluationResult.load(fetched / EVALUATION)
        yield _compare(name, told, read_predictions(fetched / PREDICTIONS), scores)


def _rests_on_embeddings(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"{name}: a retrieval rests on embeddings, which a benchmark does not keep",
        "Measure it again: mlrsnet retrieval --model MODEL.",
    )


def _compare(name: str, told: EvaluationResult, saved: SavedPredictions, table: Mapping[str, float]) -> Checked:
    """Compare what is told with what the predictions give.

    Args:
        name: Of the row.
        told: The evaluation that was written beside the predictions.
        saved: The predictions.
        table: Scores of the row in the table of results; empty for none.

    Raises:
        ConfigurationError: They differ.
    """
    for what in ("model", "data"):
        one, other = getattr(told.info, what).fingerprint, getattr(saved.info, what).fingerprint
        if one != other:
            raise ConfigurationError(
                f"{name}: its scores are said to be of the {what} {one[:12]}, and its predictions are of {other[:12]}",
                _REMEDY,
            )
    task, predictions = saved.task, saved.predictions
    own = saved.thresholds if task.label_outputs else None
    found = evaluate(predictions, task, every=True)
    pairs = _pairs(table, found) | _pairs(told.scores, found)
    for scores in (table, told.scores):
        _require_equal(name, _pairs(scores, found))
    if told.at_thresholds is not None and own is not None:
        tuned = _pairs(told.at_thresholds, evaluate(predictions, task, own, every=True))
        pairs |= {f"{metric} with its thresholds": values for metric, values in tuned.items()}
    what = "scene" if saved.info.kind == "scene" else "label"
    labels = {row.label: row for row in told.labels}
    for row in label_scores(predictions, task, own):
        if row.label in labels:
            said = labels[row.label]
            pairs[f"average precision of {what} {quoted(row.label)}"] = said.average_precision, row.average_precision
            pairs[f"F1 of {what} {quoted(row.label)}"] = said.f1, row.f1
    _require_equal(name, pairs)
    if not pairs:
        raise ConfigurationError(f"{name}: tells no score that this version computes", "Use the version that wrote it.")
    return Checked(job=name, images=len(saved.ids), scores=sum(not math.isnan(told) for told, _ in pairs.values()))


def _pairs(told: Mapping[str, float], found: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Return what is told and what was computed, by the metric's title, of metrics that both have."""
    return {metric_title(name): (told[name], value) for name, value in found.items() if name in told}


def _require_equal(name: str, pairs: Mapping[str, tuple[float, float]]) -> None:
    for metric, (told, computed) in pairs.items():
        undefined = math.isnan(told) + math.isnan(computed)
        if undefined == 1 or (not undefined and not abs(told - computed) <= ROUNDING):
            raise ConfigurationError(
                f"{name}: {metric} is said to be {_text(told)}, and the predictions give {_text(computed)}", _REMEDY
            )


def _text(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.8g}"
