"""What a retrieval run found, without its embeddings: what tables, figures, the page and `results.json` are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlrsnet_hf.configuration.json_file import Defined, Name, json_as, read_json
from mlrsnet_hf.configuration.settings import CountOrZero
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import quoted
from mlrsnet_hf.files import nulls_for_nan
from mlrsnet_hf.metrics.means import over_repeats
from mlrsnet_hf.retrieval.embeddings.info import EmbeddingInfo, info_from_json
from mlrsnet_hf.retrieval.embeddings.query import Hit
from mlrsnet_hf.retrieval.protocol.measures import LabelComparison

FORMAT = 1
_LEVELS = 101
"""Levels of recall of a curve."""
_REMEDY = "Give the results.json that `mlrsnet retrieval` wrote."


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneResult:
    """The queries of one scene."""

    queries: CountOrZero
    relevant: CountOrZero
    """Images of the scene in the database."""
    values: Mapping[Name, Defined]
    curve: tuple[Defined, ...]
    """Interpolated precision at 101 levels of recall."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """One split seed."""

    seed: int
    queries: CountOrZero
    database: CountOrZero
    values: Mapping[Name, Defined]
    """Measures by name, means over the queries."""
    best_possible: Mapping[Name, Defined]
    left_out: Mapping[Name, str]
    queries_without: Mapping[Name, CountOrZero]
    curve: tuple[Defined, ...]
    scenes: Mapping[Name, SceneResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResult:
    """One model on one protocol, over all split seeds."""

    repeats: Sequence[Repeat]

    def names(self) -> list[str]:
        """Return the measures that every repeat has."""
        return [name for name in self.repeats[0].values if all(name in repeat.values for repeat in self.repeats)]

    def mean(self, name: str) -> tuple[float, float]:
        """Return mean and sample deviation of a measure over the repeats; the deviation of one is NaN."""
        return over_repeats([repeat.values[name] for repeat in self.repeats])

    def best_possible(self, name: str) -> float:
        """Return what a perfect ranking scores, in the mean over the repeats."""
        return over_repeats([repeat.best_possible.get(name, 1.0) for repeat in self.repeats])[0]

    def curve(self) -> np.ndarray:
        """Return the (101,) precision in the mean over the repeats."""
        return np.mean([repeat.curve for repeat in self.repeats], axis=0)

    def scenes(self) -> list[str]:
        """Return the scenes that query, in the taxonomy's order."""
        return list(dict.fromkeys(scene for repeat in self.repeats for scene in repeat.scenes))

    def of_scene(self, scene: str, name: str) -> tuple[float, float]:
        """Return mean and deviation of a scene's measure over the repeats that have it."""
        return over_repeats([r.scenes[scene].values[name] for r in self.repeats if scene in r.scenes])

    def scene_curve(self, scene: str) -> np.ndarray:
        """Return a scene's (101,) precision in the mean over the repeats."""
        return np.mean([r.scenes[scene].curve for r in self.repeats if scene in r.scenes], axis=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolResult:
    """One protocol."""

    name: str
    percent: int | None
    """Share of the pool that queries; None where queries and database were given."""
    model: ModelResult
    compared: ModelResult | None
    common_labels: Sequence[Sequence[LabelComparison]]
    """Comparisons for each repeat, one for each depth; empty without a second model."""


@dataclass(frozen=True, slots=True)
class ExampleQuery:
    """A query, and what was found; distances are to it."""

    query: Hit
    results: tuple[Hit, ...]

    def common(self, result: Hit) -> frozenset[str]:
        """Return the labels that a result has in common with the query."""
        return frozenset(self.query.labels or ()) & frozenset(result.labels or ())

    def labels(self, result: Hit) -> list[str]:
        """Return the labels of a result, those in common with the query first."""
        common = self.common(result)
        return sorted(result.labels or (), key=lambda name: (name not in common, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """The queries that are shown, with the results of the model and of the second one."""

    protocol: str
    seed: int
    model: Sequence[ExampleQuery]
    compared: Sequence[ExampleQuery]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalResult:
    """A whole run."""

    name: str
    """The measured model, as it was named."""
    info: EmbeddingInfo
    compared_name: str | None
    compared_info: EmbeddingInfo | None
    distance: str
    protocols: Sequence[ProtocolResult]
    examples: Examples
    notes: Sequence[str]
    """What a reader has to know, in whole sentences."""
    versions: Mapping[str, str]

    @property
    def shown(self) -> ProtocolResult:
        """The protocol of the figures per scene: 10 percent as in the paper, if it is there."""
        return next((protocol for protocol in self.protocols if protocol.percent == 10), self.protocols[0])

    def to_json(self) -> dict[str, Any]:
        """Return the run as JSON has it; what is not defined is null."""
        second = self.compared_info
        content: dict[str, Any] = {
            "format": FORMAT,
            "model": {"name": self.name, **self.info.to_json()},
            "compared": None if second is None else {"name": self.compared_name, **second.to_json()},
            "distance": self.distance,
            "protocols": {protocol.name: _protocol_json(protocol) for protocol in self.protocols},
            "examples": {
                "protocol": self.examples.protocol,
                "split_seed": self.examples.seed,
                "model": [_example_json(example) for example in self.examples.model],
                "compared": [_example_json(example) for example in self.examples.compared],
            },
            "notes": list(self.notes),
            "versions": dict(self.versions),
        }
        defined: dict[str, Any] = nulls_for_nan(content)
        return defined


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalScores:
    """What `results.json` holds of a run, but for the pictures of its examples."""

    name: str
    """The measured model, as it was named."""
    info: EmbeddingInfo
    compared_name: str | None
    distance: str
    protocols: tuple[ProtocolResult, ...]
    notes: tuple[str, ...]
    versions: Mapping[str, str]


def read_scores(path: Path) -> RetrievalScores:
    """Read the `results.json` of a retrieval run.

    Raises:
        ConfigurationError: There is none, it is damaged, or it has another format; the message names the file.
    """
    content = read_json(path, Mapping[str, Any], _REMEDY)
    if content.get("format") != FORMAT:
        raise ConfigurationError(
            f"{path}: retrieval results of format {quoted(content.get('format'))}, this version reads {FORMAT}",
            "Measure again, or use the version of mlrsnet-hf that wrote them.",
        )
    source = str(path)

    def part(kind: Any, *names: str) -> Any:  # noqa: ANN401 - whatever the file has there
        value: Any = content
        for name in names:
            value = json_as(value, Mapping[str, Any], source, _REMEDY).get(name)
        return json_as(value, kind, source, _REMEDY)

    def repeats(*names: str) -> ModelResult | None:
        there = part(Mapping[str, Any] | None, *names)
        return None if there is None else ModelResult(repeats=part(tuple[Repeat, ...], *names, "repeats"))

    protocols = []
    for name in part(Mapping[Name, Any], "protocols"):
        place = ("protocols", name)
        model, compared = repeats(*place, "model"), repeats(*place, "compared")
        for one in (model, *([] if compared is None else [compared])):
            if fault := _fault(one):
                raise ConfigurationError(f"{path}: protocol {quoted(name)}: {fault}", _REMEDY)
        assert model is not None, "it has repeats"
        common = [
            [
                json_as({key: one[key] for key in one if key not in _DERIVED}, LabelComparison, source, _REMEDY)
                for one in of
            ]
            for of in part(tuple[tuple[Mapping[str, Any], ...], ...], *place, "common_labels")
        ]
        protocols.append(
            ProtocolResult(
                name=name,
                percent=part(CountOrZero | None, *place, "percent"),
                model=model,
                compared=compared,
                common_labels=common,
            )
        )
    info = dict(part(Mapping[str, Any], "model"))
    name = json_as(info.pop("name", None), Name, source, _REMEDY)
    second = part(Mapping[str, Any] | None, "compared")
    return RetrievalScores(
        name=name,
        info=info_from_json(info, source),
        compared_name=None if second is None else part(Name, "compared", "name"),
        distance=part(Name, "distance"),
        protocols=tuple(protocols),
        notes=part(tuple[str, ...], "notes"),
        versions=part(Mapping[Name, Name], "versions"),
    )


def _fault(model: ModelResult | None) -> str:
    """Say what does not fit together in the repeats of a model; "" if all does."""
    if model is None or not model.repeats:
        return "it has no repeat"
    for repeat in model.repeats:
        if "anmrr" not in repeat.values:
            return "a repeat has no anmrr"
        if any(scene.values.keys() != repeat.values.keys() for scene in repeat.scenes.values()):
            return "a scene has other measures than its repeat"
        if {len(repeat.curve), *(len(scene.curve) for scene in repeat.scenes.values())} != {_LEVELS}:
            return f"a curve has not {_LEVELS} levels"
    return ""


_DERIVED = ("difference", "verdict")
"""What a comparison of labels tells in the file beside what it is made of."""


def _protocol_json(protocol: ProtocolResult) -> dict[str, Any]:
    return {
        "percent": protocol.percent,
        "model": _model_json(protocol.model),
        "compared": None if protocol.compared is None else _model_json(protocol.compared),
        "common_labels": [
            [asdict(one) | {"difference": one.difference, "verdict": one.verdict} for one in repeat]
            for repeat in protocol.common_labels
        ],
    }


def _model_json(model: ModelResult) -> dict[str, Any]:
    means = {name: dict(zip(("mean", "deviation"), model.mean(name), strict=True)) for name in model.names()}
    return {"values": means, "repeats": [asdict(repeat) for repeat in model.repeats]}


def _example_json(example: ExampleQuery) -> dict[str, Any]:
    results = [_hit_json(hit) | {"common": sorted(example.common(hit))} for hit in example.results]
    return {"query": _hit_json(example.query), "results": results}


def _hit_json(hit: Hit) -> dict[str, Any]:
    labels = None if hit.labels is None else list(hit.labels)
    return {"id": hit.id, "scene": hit.scene, "labels": labels, "distance": hit.distance}
