"""A job: one trained network, or one measurement of it; its folder's name tells what defines it.

jobs/ResNet50-paper-ratio20-split0-seed0-3f2a90c41b7d/
  job.json        what the job is
  attempts/1/     what a worker is making, or a dead one has left
  result/         what came out; it is there when it is whole
  failure.json    why nothing came out
  replaced.json   by which other job `retry` has replaced it
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from mlrsnet_hf.configuration.json_file import Name, json_as, read_json
from mlrsnet_hf.configuration.settings import Settings, changed_settings
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.escaping import quoted
from mlrsnet_hf.files import is_held, whole_file
from mlrsnet_hf.inputs.config import DataConfig, TaskKind
from mlrsnet_hf.prediction.config import EvaluationConfig
from mlrsnet_hf.retrieval.protocol.config import RetrievalConfig
from mlrsnet_hf.training.config import AUTO, TrainingConfig

Kind = Literal["train", "evaluate", "retrieval"]
State = Literal["done", "failed", "running", "waiting", "left", "replaced"]
"""`waiting` is for a job whose model has failed; `left` for one that nobody has begun, or whose worker has died."""
STATES: tuple[State, ...] = get_args(State)

JOB, FAILURE, REPLACED = "job.json", "failure.json", "replaced.json"
RESULT, ATTEMPTS = "result", "attempts"
PROVENANCE = "provenance.json"
"""In a result: where, when, in how many seconds, by which code it was made."""
EVALUATION = "evaluation"
"""Folder of a train job's result in which the evaluation of its test split lies."""
LINGER = 10.0
"""Seconds: the reading processes of a worker that was killed notice it within five, and hold its lock until then."""
FORMAT = 1
PLACES = frozenset({"data_dir", "image_dir", "streaming"})
"""Settings of data that say where it lies; what it is, its fingerprint says."""
HOW_TRAINED = frozenset(
    {
        *("output_dir", "overwrite", "resume", "family"),
        *("cpu_threads", "num_workers", "cache", "cache_dir", "cache_megabytes", "eval_batch_size"),
        *("checkpoint_steps", "checkpoint_minutes", "keep_checkpoints", "log_every", "trackers"),
    }
)
"""Training settings that leave the result as it is, and so define no job. `accumulation` does: it changes what batch
normalization learns from."""
HOW_MEASURED = frozenset({"batch_size", "num_workers", "output_dir", "page", "to_fiftyone", "to_label_studio"}) | {
    *("save_predictions", "embeddings_dir", "memory_megabytes", "model", "embeddings", "compare", "data_dir"),
}
"""The same of evaluation and retrieval."""
_HASHED = 12
"""Hexadecimal digits in a folder's name: of a million jobs two are alike with a chance of 1 in 500."""
_MOST = 200
"""Characters of a label in a folder's name, of which systems take 255 in all."""
_AS_WRITTEN = "Use it as mlrsnet benchmark wrote it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a job does; equal jobs have equal names."""

    kind: Kind
    label: Name
    """The readable part of the name; it defines nothing."""
    network: Name
    """As the grid calls it."""
    recipe: Name
    task: TaskKind
    dataset: Name
    """What the benchmark calls the images that are learned from, or measured."""
    fingerprint: Name
    """Of these images."""
    data: Mapping[Name, Any]
    """Settings of `DataConfig` but `PLACES`, those that are not at their default."""
    training: Mapping[Name, Any] | None = None
    """Of a train job, the settings of `TrainingConfig` that are not at their default."""
    evaluation: Mapping[Name, Any] | None = None
    """Of an evaluate job, those of `EvaluationConfig`."""
    retrieval: Mapping[Name, Any] | None = None
    """Of a retrieval job, those of `RetrievalConfig`."""
    needs: tuple[Name, ...] = ()
    """Names of the train jobs whose models are measured; of two the second is compared with the first."""

    @property
    def digest(self) -> str:
        """SHA-256 of what defines the job; the order of settings, and those at their default, count for nothing."""
        settings = self.training or {}
        defining: dict[str, Any] = {
            "kind": self.kind,
            "fingerprint": self.fingerprint,
            "data": dict(self.data),
            "training": _without(settings, HOW_TRAINED),
            "evaluation": _without(self.evaluation or {}, HOW_MEASURED),
            "retrieval": _without(self.retrieval or {}, HOW_MEASURED),
            "needs": [hash_in(name) for name in self.needs],
        }
        if settings.get("learning_rate") == AUTO:  # whose trials begin from the rate of the recipe
            defining["recipe"] = self.recipe
        return hashlib.sha256(json.dumps(defining, sort_keys=True).encode()).hexdigest()

    @property
    def name(self) -> str:
        """Name of the folder."""
        return f"{self.label[:_MOST]}-{self.digest[:_HASHED]}"

    def training_config(self, **changes: Any) -> TrainingConfig:  # noqa: ANN401 - any setting
        """Return the settings of a train job."""
        return TrainingConfig(**{**(self.training or {}), **changes})

    def data_config(self, **places: Any) -> DataConfig:  # noqa: ANN401 - any setting
        """Return the settings of the images, which lie where `places` say."""
        return DataConfig(**{**self.data, **places})

    def evaluation_config(self, **changes: Any) -> EvaluationConfig:  # noqa: ANN401 - any setting
        """Return the settings of an evaluate job."""
        return EvaluationConfig(**{**(self.evaluation or {}), **changes})

    def retrieval_config(self, **changes: Any) -> RetrievalConfig:  # noqa: ANN401 - any setting
        """Return the settings of a retrieval job."""
        return RetrievalConfig(**{**(self.retrieval or {}), **changes})

    def write(self, folder: Path) -> None:
        """Write job.json into the folder, which is made if it is not there.

        Raises:
            ConfigurationError: It cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"{folder}: cannot be written ({error.strerror})", "Choose another folder or disk."
            ) from error
        values = {"format": FORMAT, "name": self.name, "digest": self.digest, **asdict(self)}
        with whole_file(folder / JOB) as partial:
            partial.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Job":
        """Read the job.json of a folder.

        Raises:
            ConfigurationError: There is none, or it is damaged.
        """
        values = read_json(folder / JOB, Any, "Give the folder of a job, in jobs/ of a benchmark.")
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise ConfigurationError(f"{folder / JOB}: holds no job of this version", _AS_WRITTEN)
        content = {name: value for name, value in values.items() if name not in ("format", "name", "digest")}
        job: Job = json_as(content, cls, str(folder / JOB), _AS_WRITTEN)
        # They become names of folders, in which a worker writes; the file may be anybody's.
        for name in (job.label, *job.needs):
            if not _is_plain(name):
                raise ConfigurationError(f"{folder / JOB}: {quoted(name)} is no name of a job", _AS_WRITTEN)
        return job


def defining_settings(settings: Settings, left_out: frozenset[str]) -> dict[str, Any]:
    """Return the settings that are not at their default, as plain values; some are left out."""
    values = settings.to_dict()
    return {name: values[name] for name in sorted(changed_settings(settings) - left_out)}


def hash_in(name: str) -> str:
    """Return the hash at the end of a job's name, which equal jobs have in common, whatever they are called."""
    return name.rpartition("-")[2]


def state_of(folder: Path) -> State:
    """Return how far a job is, from its folder alone."""
    if (folder / RESULT).is_dir():
        return "done"
    if (folder / REPLACED).is_file():
        return "replaced"
    if (folder / FAILURE).is_file():
        return "failed"
    return "running" if any(is_held(attempt) for attempt in attempts_of(folder)) else "left"


def attempts_of(folder: Path) -> list[Path]:
    """Return the attempts at a job that are there, the newest first."""
    found = [path for path in (folder / ATTEMPTS).glob("[0-9]*") if path.name.isdecimal()]
    return sorted(found, key=lambda path: int(path.name), reverse=True)


def told_beside(path: Path) -> Mapping[str, Any]:
    """Return what a file of JSON beside a job's result tells; nothing where it is not there or damaged."""
    try:
        content: Mapping[str, Any] = read_json(path, Mapping[str, Any], "")
    except MLRSNetError:
        return {}
    return content


def _is_plain(name: str) -> bool:
    """Tell whether a name is one of a file in a folder, of the signs that `grid` makes labels of."""
    return bool(name.strip(".")) and all(sign.isalnum() or sign in "._-" for sign in name)


def _without(settings: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in names}
