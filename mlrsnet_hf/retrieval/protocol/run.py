"""Every protocol and split seed, one after the other; a split's embeddings are let go of before the next."""

import importlib.metadata
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch

from mlrsnet_hf.retrieval.protocol.config import PERCENTS, RetrievalConfig
from mlrsnet_hf.retrieval.protocol.data import GIVEN, Source, compared_data, load_data, protocols
from mlrsnet_hf.retrieval.protocol.examples import choose_queries, example_queries, require_queries
from mlrsnet_hf.retrieval.protocol.measures import CommonLabels, Measured, compare_common_labels, measure, measure_title
from mlrsnet_hf.retrieval.protocol.query_database import QueryDatabase
from mlrsnet_hf.retrieval.protocol.results import (
    Examples,
    ModelResult,
    ProtocolResult,
    Repeat,
    RetrievalResult,
    summarize,
)
from mlrsnet_hf.retrieval.search.distances import Distance

_VERSIONS = ("mlrsnet-hf", "numpy", "torch", "timm")


def run_protocols(
    config: RetrievalConfig, sources: Sequence[Source], compared: Sequence[Source] = ()
) -> RetrievalResult:
    """Measure every protocol and split seed.

    Args:
        config: What to measure.
        sources: For each split seed, of `find_sources`.
        compared: Likewise of `find_compared`; none without a second model.

    Raises:
        MLRSNetError: Embeddings or the dataset cannot be used, or an example is no query.
    """
    run = _Run(config, sources, compared)
    results = [run.protocol(name) for name in protocols(config)]
    assert run.examples is not None, "the protocol shown is one of them"
    other = compared[0] if compared else None
    return RetrievalResult(
        name=sources[0].model,
        info=sources[0].folders[0].info,
        compared_name=None if other is None else other.model,
        compared_info=None if other is None else other.folders[0].info,
        distance=config.distance,
        protocols=results,
        examples=run.examples,
        notes=[*_seen(config, sources), *_seen(config, compared), *_notes(results)],
        versions={name: importlib.metadata.version(name) for name in _VERSIONS},
    )


class _Run:
    """One call of `run_protocols`."""

    def __init__(self, config: RetrievalConfig, sources: Sequence[Source], compared: Sequence[Source]) -> None:
        self.config = config
        self.sources = sources
        self.compared = compared
        self.examples: Examples | None = None
        names = protocols(config)
        self._shown = "retrieval10" if "retrieval10" in names else names[0]

    def protocol(self, name: str) -> ProtocolResult:
        """Measure one protocol with every split seed."""
        own: list[Repeat] = []
        other: list[Repeat] = []
        common: list[list[CommonLabels]] = []
        for number, seed in enumerate(self.config.split_seeds):
            data = load_data(self.config, name, seed, self.sources[number])
            shown = name == self._shown and number == 0
            if shown:
                require_queries(data.queries.ids, self.config.examples)
            first = self._measure(data, f"{name}, split seed {seed}")
            own.append(summarize(first, seed))
            second = None
            if self.compared:
                second = self._measure(compared_data(data, self.compared[number]), f"{name}, the compared model")
                other.append(summarize(second, seed))
                common.append(compare_common_labels(first, second))
            if shown:
                self.examples = self._examples(name, seed, first, second)
        return ProtocolResult(
            name=name,
            percent=PERCENTS.get(name),
            model=ModelResult(repeats=own),
            compared=ModelResult(repeats=other) if other else None,
            common_labels=common,
        )

    def _measure(self, data: QueryDatabase, title: str) -> Measured:
        print(f"{title}: {len(data.queries):,} queries search {len(data.database):,} images", flush=True)
        device: Any = "cuda" if torch.cuda.is_available() else None
        return measure(
            data,
            cast(Distance, self.config.distance),
            device=device,
            memory_megabytes=self.config.memory_megabytes,
            progress=True,
        )

    def _examples(self, name: str, seed: int, first: Measured, second: Measured | None) -> Examples:
        ids = choose_queries(first, self.config.examples)
        others = [] if second is None else example_queries(second, ids)
        return Examples(protocol=name, seed=seed, model=example_queries(first, ids), compared=others)


def _seen(config: RetrievalConfig, sources: Sequence[Source]) -> list[str]:
    """Say what is known of the images that the models were trained on."""
    shared = [source.trained.shared for source in sources if source.trained is not None]
    if any(shared):
        return [
            f"{sources[0].model} was trained on up to {max(shared):,} of the images that query or are searched, so "
            "that its values are too good."
        ]
    if len(shared) < len(sources) and not config.apart:
        return [f"Whether {sources[0].model} was trained on some of these images is not known here."]
    return []


def _notes(results: Sequence[ProtocolResult]) -> list[str]:
    """Say what was left out, each sentence once."""
    lines = [line for protocol in results for repeat in protocol.model.repeats for line in _left_out(protocol, repeat)]
    return list(dict.fromkeys(lines))


def _left_out(protocol: ProtocolResult, repeat: Repeat) -> Iterator[str]:
    where = "" if protocol.name == GIVEN else f" ({protocol.name}, split seed {repeat.seed})"
    if repeat.queries_without:
        count, scenes = sum(repeat.queries_without.values()), ", ".join(repeat.queries_without)
        are = "query is" if count == 1 else "queries are"
        yield f"{count:,} {are} left out, as the database has no image of their scene: {scenes}{where}."
    titles: dict[str, list[str]] = {}
    for name, reason in repeat.left_out.items():
        titles.setdefault(reason, []).append(measure_title(name))
    for reason, names in titles.items():
        yield f"Left out: {', '.join(names)}, as {reason}{where}."
