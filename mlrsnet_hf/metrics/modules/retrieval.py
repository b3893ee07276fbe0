"""Inputs of the retrieval modules: ranked scene ids, ranked relevance, ranks of the relevant items."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.metrics.arguments import whole_number
from mlrsnet_hf.metrics.means import Mean
from mlrsnet_hf.metrics.modules.inputs import Form, Inputs, Rows, floats, integer_column
from mlrsnet_hf.metrics.relevant_ranks import RelevantRanks
from mlrsnet_hf.taxonomy import find_scene

_DATABASE_COUNT = "the number of relevant items in the database"
SCENES = Form(
    name="scenes",
    predictions="the scene ids of the items that a query found, best first (names: mlrsnet_hf.find_scene(name).id)",
    references="the query's scene id",
    example={"predictions": [[0, 1, 0, 1], [1, 1, 0, 0]], "references": [0, 1]},
    features={"predictions": "[int32]", "references": "int32"},
)
RELEVANCE = Form(
    name="relevance",
    predictions="1 for relevant and 0 for other items that a query found, best first",
    references=_DATABASE_COUNT,
    example={"predictions": [[1, 0, 1, 0], [1, 1, 0, 0]], "references": [2, 2]},
    features={"predictions": "[int8]", "references": "int32"},
)
RANKS = Form(
    name="ranks",
    predictions="the ranks, from 1 and ascending, at which a query found relevant items",
    references=_DATABASE_COUNT,
    example={"predictions": [[1, 3], [1, 2]], "references": [2, 2]},
    features={"predictions": "[int32]", "references": "int32"},
)
_COUNT_REMEDY = (
    "Pass relevant={scene id or name: number of its items in the database}, such as "
    "collections.Counter(database_scenes)."
)


class RetrievalInputs(Inputs):
    """Inputs of the modules on rankings."""

    forms = (SCENES, RELEVANCE, RANKS)
    options = ("relevant", "depth", "k", "up_to", "gtm", "variant", "empty", "per_query", "per_scene")

    def columns(self, predictions: Any, references: Any) -> dict[str, list[Any]]:  # noqa: ANN401
        """Return rankings and references as lists of whole numbers."""
        rows = self.rows("predictions", predictions).integers(at_least=int(self.form is RANKS))
        if self.form is RELEVANCE and (rows.flat > 1).any():
            raise ConfigurationError(f"{rows.at(int(np.argmax(rows.flat > 1)))}, neither 0 nor 1", self.remedy)
        return {"predictions": rows.lists(), "references": integer_column("references", references, self.remedy)}

    def ranks(
        self,
        predictions: Sequence[Any],
        references: Sequence[int],
        relevant: Mapping[Any, int] | None,
        depth: int | None,
        *,
        top: int | None,
    ) -> RelevantRanks:
        """Return the ranks of the relevant items, from what `columns` returned and the module's options of that name.

        `top` is how many items of a ranking the measure looks at; None if it depends on all relevant items.
        """
        self.require_some(references)
        self._refuse_option_of("scenes", "relevant", relevant, "Here the references are the numbers of relevant items.")
        self._refuse_option_of("ranks", "depth", depth, "Here the length of a row tells how deep it is.")
        given = np.array(references, dtype=np.int64)
        if self.form is RANKS:
            return _from_ranks(predictions, given, depth)
        rows = self.rows("predictions", predictions)
        if self.form is RELEVANCE:
            return _from_hits(rows.flat == 1, rows, given)
        hits = rows.flat == np.repeat(given, rows.lengths)
        if relevant is not None:
            return _from_hits(hits, rows, _counts(relevant, references))
        if top is None or top > rows.lengths.min():  # the measure depends on what lies deeper
            _require_whole(rows, given, hits)
        return _from_hits(hits, rows, None)

    def results(
        self, name: str, mean: Mean, references: Sequence[int], *, per_query: bool, per_scene: bool
    ) -> dict[str, Any]:
        """Return a measure by name, with its values per query and per scene where they are wanted."""
        results: dict[str, Any] = {name: float(mean)}
        if per_query:
            results[f"{name}_per_query"] = floats(mean.values)
        if per_scene:
            if self.form is not SCENES:
                raise ConfigurationError(
                    f"configuration {self.form.name!r} does not know the queries' scenes",
                    "Load configuration 'scenes', or ask for per_query=True.",
                )
            results[f"{name}_per_scene"] = {scene: float(value) for scene, value in mean.by(references).items()}
        return results

    def _refuse_option_of(self, form: str, option: str, value: object, remedy: str) -> None:
        if value is not None and self.form.name != form:
            raise ConfigurationError(f"{option}= belongs to configuration {form!r}, this is {self.form.name!r}", remedy)


def _from_ranks(predictions: Sequence[Any], counts: np.ndarray, depth: int | None) -> RelevantRanks:
    found = np.array([len(row) for row in predictions], dtype=np.int64)
    missing = np.flatnonzero(found < counts)
    if depth is None and len(missing):
        query = missing[0]
        raise ConfigurationError(
            f"predictions[{query}] hold {found[query]} ranks of {counts[query]} relevant items",
            "Pass depth=, the number of items of each ranking that were looked at.",
        )
    return RelevantRanks.from_ranks(predictions, counts, depth)


def _from_hits(hits: np.ndarray, rows: Rows, counts: np.ndarray | None) -> RelevantRanks:
    """Return the ranks of hits; rankings that show every relevant item may have several lengths."""
    matrix = hits.reshape(-1, rows.width) if rows.width else np.split(hits, np.cumsum(rows.lengths)[:-1])
    found = np.array([np.count_nonzero(row) for row in matrix], dtype=np.int64)
    whole = counts is None or np.array_equal(found, counts)
    return RelevantRanks.from_relevance(matrix, None if whole else counts)


def _require_whole(rows: Rows, queries: np.ndarray, hits: np.ndarray) -> None:
    """Refuse rankings of which it shows that they are cut.

    Whole rankings order one database, or one that holds the queries themselves too, so all hold the same items; and a
    database has items of several scenes, where the top of a good ranking has those of one.
    """
    width = rows.width
    if width is not None:
        items = rows.flat.reshape(-1, width)
        with_query = np.concatenate([items, queries[:, None]], axis=1)
    if width is None or not any(
        (ordered == ordered[0]).all() for ordered in (np.sort(items, axis=1), np.sort(with_query, axis=1))
    ):
        raise ConfigurationError("the rankings do not hold the same items, so they are not whole", _COUNT_REMEDY)
    only_relevant = np.flatnonzero(hits.reshape(-1, width).all(axis=1)) if width else np.empty(0, int)
    if len(only_relevant):
        query = only_relevant[0]
        raise ConfigurationError(
            f"predictions[{query}] hold only scene {queries[query]}, so nothing shows that the rankings are whole",
            _COUNT_REMEDY,
        )


def _counts(relevant: Mapping[Any, int], references: Sequence[int]) -> np.ndarray:
    """Return each query's number of relevant items, from numbers by scene id (in JSON, ids are text) or name."""
    if not isinstance(relevant, Mapping):
        raise ConfigurationError(f"relevant={relevant!r} is no dictionary", _COUNT_REMEDY)
    known: dict[int, int] = {}
    for scene, count in relevant.items():
        if isinstance(scene, str):
            id_ = int(scene) if scene.isdecimal() else find_scene(scene).id
        else:
            id_ = whole_number("a scene in relevant", scene, at_least=0)
        if id_ in known:
            raise ConfigurationError(f"relevant has two numbers for scene {id_}", "Name each scene once.")
        known[id_] = whole_number(f"relevant[{scene!r}]", count, at_least=0)
    missing = sorted(set(references) - set(known))
    if missing:
        raise ConfigurationError(f"relevant has no number for scene {missing[0]}", "Pass one for every query's scene.")
    return np.array([known[scene] for scene in references], dtype=np.int64)
