"""Results of a benchmark as a table that can be published: Parquet, one row a job, with what it rests on.

Scores stand in columns of the metrics' names, those of retrieval behind the protocol's: `map`, `retrieval10_anmrr`.
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlrsnet_hf.benchmark.job import HOW_TRAINED, PLACES
from mlrsnet_hf.benchmark.results import Results, Row
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import quoted
from mlrsnet_hf.metrics import METRICS
from mlrsnet_hf.prediction.evaluation import EVALUATION
from mlrsnet_hf.prediction.predictions_file import PREDICTIONS
from mlrsnet_hf.publishing.model_repository import OF_BENCHMARK, public_value
from mlrsnet_hf.training.results import RESULTS

TABLE = "data/results.parquet"
"""The file's path in the dataset repository."""
_TEXT, _WHOLE, _NUMBER = pa.string(), pa.int64(), pa.float64()
COLUMNS: Mapping[str, tuple[pa.DataType, str]] = {
    "job": (_TEXT, "name of the job"),
    "kind": (_TEXT, "`train`, `evaluate` (of a trained model on other images or in another way) or `retrieval`"),
    "state": (_TEXT, "`done`, `failed`, `waiting` (its model failed), `running` or `left`"),
    "reason": (_TEXT, "why it failed"),
    "network": (_TEXT, "the paper's name of the network, else timm's"),
    "model": (_TEXT, "timm's name, as the settings have it"),
    "weights": (_TEXT, "what training began with"),
    "recipe": (_TEXT, "recipe that the settings began with"),
    "task": (_TEXT, "what is learned: `labels`, `scene` or `labels+scene`"),
    "trained_on": (_TEXT, "images that the model learned from"),
    "measured_on": (_TEXT, "images that it was measured on"),
    "protocol": (_TEXT, "division of the images that the model learned by"),
    "measured_split": (_TEXT, "split that was measured"),
    "split_seed": (_WHOLE, "seed of the division"),
    "seed": (_WHOLE, "seed of the training"),
    "images": (_WHOLE, "images that were measured"),
    "parameters": (_WHOLE, "of the network"),
    "image_size": (_WHOLE, "side in pixels of the square that the network sees"),
    "seconds": (_NUMBER, "of training, or of the measurement"),
    "processes": (_WHOLE, "that trained together"),
    "precision": (_TEXT, "of training, as Accelerate calls it"),
    "device": (_TEXT, "of the worker"),
    "machine": (_TEXT, "of the worker"),
    "when": (_TEXT, "the job ended"),
    "code": (_TEXT, "hash of the sources of mlrsnet-hf"),
    "versions": (_TEXT, "of libraries, as JSON"),
    "settings": (_TEXT, "that are not at their default, as JSON"),
    "label_version": (_TEXT, "of MLRSNet's labels"),
    "data_fingerprint": (_TEXT, "hash of all images that the model learned from, with labels"),
    "split_fingerprint": (_TEXT, "hash of ids, labels and scenes of the measured images"),
    "model_fingerprint": (_TEXT, "hash of weights and preprocessing"),
    "model_repository": (_TEXT, "of the model on the Hub"),
    "predictions": (_TEXT, "file of the predictions in that repository"),
}
"""What is told beside the scores: type, and what it is."""


def published_folder(row: Row) -> str:
    """Return the folder of a job in its model's repository."""
    return f"{OF_BENCHMARK}/{row.name}"


def published_files(row: Row) -> dict[str, Path]:
    """Return what a job adds to its model's repository: the path there -> the file here.

    Of a retrieval these are its results, of others scores and, where they are kept, predictions.
    """
    names = (RESULTS,) if row.job.kind == "retrieval" else (EVALUATION, PREDICTIONS)
    folder = row.result if row.job.kind == "retrieval" else row.evaluation_folder
    return {f"{published_folder(row)}/{name}": folder / name for name in names if (folder / name).is_file()}


def scores_of(row: Row) -> dict[str, float]:
    """Return the scores of a job by their columns, NaN where one is not defined; of retrieval means over repeats."""
    if row.retrieval is not None:
        return {
            f"{protocol.name}_{name}": protocol.model.mean(name)[0]
            for protocol in row.retrieval.protocols
            for name in protocol.model.names()
        }
    return dict(row.evaluation.scores) if row.evaluation is not None else {}


def results_table(results: Results, repositories: Mapping[str, str]) -> pa.Table:
    """Return the table.

    Args:
        results: The benchmark's.
        repositories: Name of a train job -> repository of its model on the Hub.
    """
    rows = [_plain(row, repositories.get(row.model_name)) for row in results.rows]
    scores = [scores_of(row) for row in results.rows]
    found = dict.fromkeys(name for one in scores for name in one)
    order = [name for name in METRICS if name in found]  # of the registry, whichever job comes first
    names = [*order, *(name for name in found if name not in order)]
    columns = {name: pa.array([row[name] for row in rows], kind) for name, (kind, _) in COLUMNS.items()}
    for name in names:
        values = [one.get(name, math.nan) for one in scores]
        columns[name] = pa.array([None if math.isnan(value) else value for value in values], _NUMBER)
    return pa.table(columns)


def write_results_table(table: pa.Table, path: Path) -> None:
    """Write the Parquet file; equal tables give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def read_results_table(path: Path) -> dict[str, dict[str, Any]]:
    """Read the Parquet file: a job's name -> its row, NaN for a score that is null, without other nulls.

    Raises:
        ConfigurationError: It is damaged, or no such table.
    """
    remedy = "Give a repository that `mlrsnet benchmark publish` wrote."
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        told = str(error).split("\n")[0][:200]
        raise ConfigurationError(f"{path.name}: cannot be read as Parquet ({told})", remedy) from error
    kinds = dict.fromkeys(table.column_names, _NUMBER) | {name: kind for name, (kind, _) in COLUMNS.items()}
    for name, kind in kinds.items():
        there = table.schema.field(name).type if table.column_names.count(name) == 1 else None
        if there != kind:
            raise ConfigurationError(f"{path.name}: column {quoted(name)} is {there} where it should be {kind}", remedy)
    rows = []
    for row in table.to_pylist():
        scores = {name: math.nan if row[name] is None else row[name] for name in kinds if name not in COLUMNS}
        rows.append(scores | {name: row[name] for name in COLUMNS if row[name] is not None})
    if any("job" not in row for row in rows):
        raise ConfigurationError(f"{path.name}: a job has no name", remedy)
    return {row["job"]: row for row in rows}


def public_text(text: str) -> str:
    """Return a sentence with each path of this machine cut to its last name.

    Examples:
        >>> public_text("/home/jane/data/x.jpg: cannot be read, and/or 1/2 of it; see https://host/a/b")
        'x.jpg: cannot be read, and/or 1/2 of it; see https://host/a/b'
    """
    return re.sub(r"(?<![\w.:/~])(?:~|\.\.)?/(?:[^\s/'\":;,)]+/)*(?=[^\s/'\":;,)])", "", text)


def _plain(row: Row, repository: str | None) -> dict[str, Any]:
    """Return the columns of a row but for its scores."""
    data, training = row.model.data_config(), row.training
    info = row.evaluation.info if row.evaluation is not None else None
    run = row.trained.run if row.trained is not None else None
    told = row.provenance
    has_predictions = repository is not None and row.state == "done" and row.predictions is not None
    texts = {name: str(told[name]) if isinstance(told.get(name), str) else None for name in ("device", "machine")}
    seconds = run.seconds if run is not None else told.get("seconds")
    versions = dict(run.versions) if run is not None else told.get("versions")
    return texts | {
        "job": row.name,
        "kind": row.job.kind,
        "state": row.state,
        "reason": public_text(row.reason) or None,
        "network": row.network,
        "model": public_value(training.model),
        "weights": public_value(training.weights),
        "recipe": row.model.recipe,
        "task": row.model.task,
        "trained_on": row.model.dataset,
        "measured_on": row.job.dataset if row.job.kind == "evaluate" else row.model.dataset,
        "protocol": row.protocol or None,
        "measured_split": info.data.split if info is not None else None,
        "split_seed": data.split_seed,
        "seed": training.seed,
        "images": info.data.images if info is not None else None,
        "parameters": row.trained.model.parameters if row.trained is not None else None,
        "image_size": info.model.image_size if info is not None else None,
        "seconds": float(seconds) if isinstance(seconds, int | float) else None,
        "processes": run.processes if run is not None else None,
        "precision": run.precision if run is not None else None,
        "when": str(told["when"]) if "when" in told else None,
        "code": str(told["code"]) if "code" in told else None,
        "versions": json.dumps(versions, sort_keys=True) if versions else None,
        "settings": _settings(row),
        "label_version": info.data.label_version if info is not None else data.label_version,
        "data_fingerprint": row.model.fingerprint,
        "split_fingerprint": info.data.fingerprint if info is not None else None,
        "model_fingerprint": info.model.fingerprint if info is not None else None,
        "model_repository": repository,
        "predictions": f"{published_folder(row)}/{PREDICTIONS}" if has_predictions else None,
    }


def _settings(row: Row) -> str:
    """Return the settings of a job, and of the training that it rests on, without places of the machine."""
    parts = {
        "data": {name: value for name, value in row.job.data.items() if name not in PLACES},
        "training": {name: value for name, value in (row.model.training or {}).items() if name not in HOW_TRAINED},
        "evaluation": dict(row.job.evaluation or {}),
        "retrieval": dict(row.job.retrieval or {}),
    }
    return json.dumps(public_value({name: part for name, part in parts.items() if part}), sort_keys=True)
