"""One Milvus collection of images: what it holds, how it is filled and asked. The same on a folder and on a server."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.configuration.json_file import parse_json
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingRows
from mlrsnet_hf.retrieval.embeddings.info import EmbeddingInfo
from mlrsnet_hf.retrieval.embeddings.query import Filter, Hit, IndexedImage, Listing, label_names
from mlrsnet_hf.retrieval.index import MOST_EFFORT
from mlrsnet_hf.retrieval.index.description import IndexDescription, read_description

_PROPERTY = "mlrsnet"
_MOST_BYTES = 4096
"""Of an id, and of the name of a label or scene."""
_MOST_LABELS = 4096
"""Of an image; what is appended later may know more labels."""
_BATCH_BYTES = 8 * 2**20
_FEW = 10_000
"""Up to so many images that pass a filter are compared one and all: a filtered walk of the graph would miss most."""
_MOST_ROWS = 16_384
"""Rows that a server gives at once."""
_LEAST_EFFORT = 128
"""Candidates kept while the graph is walked, or twice the images asked for: with fewer the last ones are chance."""
_QUERIES_AT_ONCE = 100
_GRAPH = {"M": 16, "efConstruction": 200}
"""Parameters of HNSW: neighbors of a node, and candidates looked at for each (Malkov and Yashunin, 2018)."""


@dataclass(frozen=True, slots=True)
class ImageCollection:
    """A collection by its name."""

    client: Any
    name: str

    def exists(self) -> bool:
        """Say whether it is there."""
        return bool(self.client.has_collection(self.name))

    def create(self, description: IndexDescription) -> None:
        """Make it, empty; what it holds stands in its description."""
        from pymilvus import DataType

        info, kind = description.info, description.kind
        names = {"element_type": DataType.VARCHAR, "max_length": _MOST_BYTES}
        fields: dict[str, dict[str, Any]] = {
            "id": {"datatype": DataType.VARCHAR, "is_primary": True, "max_length": _MOST_BYTES},
            "row": {"datatype": DataType.INT64},
            "scene": {"datatype": DataType.VARCHAR, "max_length": _MOST_BYTES},
            "labels": {"datatype": DataType.ARRAY, "max_capacity": _MOST_LABELS, **names},
            "embedding": {"datatype": DataType.FLOAT_VECTOR, "dim": info.dimension},
        }
        if info.scores:
            numbers = {"element_type": DataType.FLOAT, "max_capacity": len(info.scores)}
            fields["scores"] = {"datatype": DataType.ARRAY, **numbers}
        graph = _GRAPH if kind == "hnsw" else {}
        index = {"index_type": kind.upper(), "metric_type": "L2", "params": graph}
        create_collection(self.client, self.name, fields, {"embedding": index}, json.dumps(description.to_json()))

    def description(self) -> IndexDescription:
        """Return what it says of itself on a server.

        Raises:
            ConfigurationError: It was not made by this package, or by one of another format version.
        """
        text = next((text for text in read_descriptions(self.client, self.name) if text), "")
        try:
            content = parse_json(text, Any, "", "")
        except ConfigurationError:  # somebody else's words
            content = None
        return read_description(content, f"collection {self.name!r}")

    def describe(self, description: IndexDescription) -> None:
        """Have it say something else of itself on a server."""
        for _ in range(2):  # Milvus 2.3.5 answers with the last value, but has the one before when it starts again
            self.client.alter_collection_properties(self.name, {_PROPERTY: json.dumps(description.to_json())})

    def count(self, expression: str = "") -> int:
        """Return the number of images, or of those that pass a filter."""
        self.client.load_collection(self.name)
        return int(self.client.query(self.name, filter=expression, output_fields=["count(*)"])[0]["count(*)"])

    def put(self, rows: EmbeddingRows, first: int, info: EmbeddingInfo) -> None:
        """Store rows, numbered from `first` on; an id that is there is replaced, never stored twice."""
        self.put_at(rows, range(first, first + len(rows)), info)

    def put_at(self, rows: EmbeddingRows, numbers: Sequence[int], info: EmbeddingInfo) -> None:
        """Store rows under these numbers; `info` names their labels and scenes.

        Raises:
            ConfigurationError: An id or name is too long.
        """
        for text in (*rows.ids, *info.label_names, *info.scene_names):
            if len(text.encode()) > _MOST_BYTES:
                raise ConfigurationError(
                    f"{text[:40]!r}... is {len(text.encode()):,} bytes long, an index holds {_MOST_BYTES:,}",
                    "Give it a shorter name.",
                )
        entities: list[dict[str, Any]] = [
            {
                "id": image_id,
                "row": numbers[i],
                "scene": "" if rows.scenes is None else info.scene_names[rows.scenes[i]],
                "labels": [] if rows.labels is None else list(label_names(rows.labels[i], info) or ()),
                "embedding": rows.embeddings[i],
            }
            for i, image_id in enumerate(rows.ids)
        ]
        if rows.scores is not None:
            for entity, scores in zip(entities, rows.scores.tolist(), strict=True):
                entity["scores"] = scores
        self.client.upsert(self.name, entities)

    def complete(self) -> None:
        """Bring everything to the disk, and wait until all of it can be searched fast."""
        self.client.flush(self.name)
        # Milvus Lite builds the graph when it loads; until then it would compare with every image.
        self.client.release_collection(self.name)
        self.client.load_collection(self.name)

    def find(self, image_id: str, info: EmbeddingInfo) -> tuple[Hit, npt.NDArray[np.float32]] | None:
        """Return an image, at distance 0, with its (D,) embedding; None if it is not there."""
        fields = ["id", *_fields(info), "embedding"]
        # By `in`, for with `==` Milvus Lite looks at every row.
        found = self.client.query(self.name, filter=f"id in [{_quoted(image_id)}]", output_fields=fields)
        if not found:
            return None
        return _hit(found[0]["id"], 0.0, found[0], info), np.asarray(found[0]["embedding"], np.float32)

    def rows_of(self, ids: Sequence[str]) -> dict[str, int]:
        """Return the rows of those ids that are there."""
        names = ", ".join(map(_quoted, ids))
        found = self.client.query(self.name, filter=f"id in [{names}]", output_fields=["id", "row"])
        return {entity["id"]: entity["row"] for entity in found}

    def vectors(self, rows: Sequence[int]) -> npt.NDArray[np.float32]:
        """Return the (R, D) embeddings of ascending rows, of those that are there."""
        found = self.client.query(self.name, filter=f"row in {list(rows)}", output_fields=["row", "embedding"])
        return np.array([one["embedding"] for one in sorted(found, key=lambda one: one["row"])], np.float32)

    def batches(self, info: EmbeddingInfo) -> Iterator[EmbeddingRows]:
        """Yield all images by row; an image without a scene has scene -1."""
        ids, size = self._ids("", info, info.rows), batch_rows(info.dimension)
        fields = ["id", *_fields(info), "embedding"]
        of_label = {name: label for label, name in enumerate(info.label_names)}
        of_scene = {name: scene for scene, name in enumerate(info.scene_names)}
        for start in range(0, len(ids), size):
            # By id, for with `row` Milvus Lite looks at every row.
            within = f"id in [{', '.join(map(_quoted, ids[start : start + size]))}]"
            found = self.client.query(self.name, filter=within, output_fields=fields)
            found = sorted(found, key=lambda entity: entity["row"])
            yield EmbeddingRows(
                ids=[entity["id"] for entity in found],
                embeddings=np.array([entity["embedding"] for entity in found], np.float32),
                scenes=np.array([of_scene.get(entity["scene"], -1) for entity in found], np.int64),
                labels=[[of_label[name] for name in entity["labels"]] for entity in found],
                scores=np.array([entity["scores"] for entity in found], np.float32) if info.scores else None,
            )

    def search(
        self,
        queries: npt.NDArray[np.float32],
        k: int,
        wanted: Filter,
        info: EmbeddingInfo,
        kind: str,
        effort: int | None = None,
    ) -> list[list[Hit]]:
        """Return up to k images for each query, nearest first; ties by row. With a filter, k unless fewer pass it.

        `effort` is the number of candidates that a walk of the graph keeps, of those that pass the filter; None takes
        what `least_effort` says.
        """
        expression = _expression(wanted)
        passing = self.count(expression) if wanted else info.rows
        if not wanted or kind == "flat" or passing > _FEW:
            candidates = (effort or least_effort(k)) * info.rows / max(1, passing)
            found = self._walk(queries, k, expression, info, kind, candidates)
            if all(len(hits) == min(k, passing) for hits in found):
                return found
        return self._compare(queries, k, self._ids(expression, info, passing), info)

    def list_images(self, k: int, wanted: Filter, info: EmbeddingInfo, skip: int = 0) -> Listing:
        """Return k images that pass a filter, by row, after the first `skip`, and how many there are in all."""
        expression = _expression(wanted)
        chosen = list(itertools.islice(self._rows(expression, info), skip, skip + k))
        return Listing(images=self.images_at(chosen, info), total=self.count(expression))

    def images_at(self, rows: Sequence[int], info: EmbeddingInfo) -> list[IndexedImage]:
        """Return the images in ascending rows, those that are there."""
        images: list[IndexedImage] = []
        for start in range(0, len(rows), _MOST_ROWS):
            within = f"row in {list(rows[start : start + _MOST_ROWS])}"
            entities = self.client.query(self.name, filter=within, output_fields=["id", *_fields(info)])
            found = (IndexedImage(**_known(entity["id"], entity, info)) for entity in entities)
            images += sorted(found, key=lambda image: image.row)
        return images

    def _walk(
        self, queries: npt.NDArray[np.float32], k: int, expression: str, info: EmbeddingInfo, kind: str, ef: float
    ) -> list[list[Hit]]:
        """Search as the index does."""
        parameters = {"ef": int(max(k, min(ef, MOST_EFFORT)))} if kind == "hnsw" else {}
        asked: dict[str, Any] = {"limit": k, "filter": expression, "output_fields": _fields(info)}
        asked["search_params"] = {"metric_type": "L2", "params": parameters}
        # Where all images are compared Milvus Lite holds queries x images x dimensions.
        size = _QUERIES_AT_ONCE if kind == "hnsw" and not expression else 1
        answers = itertools.chain.from_iterable(
            self.client.search(self.name, data=list(queries[start : start + size]), **asked)
            for start in range(0, len(queries), size)
        )
        return [
            sorted((_hit(found["id"], found["distance"], found["entity"], info) for found in answer), key=_by_distance)
            for answer in answers
        ]

    def _rows(self, expression: str, info: EmbeddingInfo) -> Iterator[int]:
        """Yield the rows of the images that pass a filter, ascending."""
        for first in range(0, info.rows, _MOST_ROWS):
            within = f"row >= {first} and row < {first + _MOST_ROWS}" + (f" and {expression}" if expression else "")
            found = self.client.query(self.name, filter=within, output_fields=["row"])
            yield from sorted(entity["row"] for entity in found)

    def _ids(self, expression: str, info: EmbeddingInfo, passing: int) -> list[str]:
        """Return the ids of the images that pass a filter, by row; Milvus Lite looks at every row for each question."""
        bounds = [(first, first + _MOST_ROWS) for first in range(0, info.rows, _MOST_ROWS)]
        parts = [
            f"row >= {first} and row < {end}" + (f" and {expression}" if expression else "") for first, end in bounds
        ]
        found: list[Any] = []
        for part in [expression] if expression and passing < _MOST_ROWS else parts:
            found += self.client.query(self.name, filter=part, output_fields=["id", "row"])
        return [entity["id"] for entity in sorted(found, key=lambda entity: entity["row"])]

    def _compare(
        self, queries: npt.NDArray[np.float32], k: int, ids: Sequence[str], info: EmbeddingInfo
    ) -> list[list[Hit]]:
        """Return up to k of these images for each query, by comparing with all, a few at a time."""
        nearest: list[list[Hit]] = [[] for _ in queries]
        size = batch_rows(info.dimension)
        for start in range(0, len(ids), size):
            within = f"id in [{', '.join(map(_quoted, ids[start : start + size]))}]"
            entities = self.client.query(self.name, filter=within, output_fields=["id", *_fields(info), "embedding"])
            vectors = np.array([entity["embedding"] for entity in entities], np.float64)
            for place, query in enumerate(queries):
                squares = ((vectors - query) ** 2).sum(axis=1)
                hits = [
                    _hit(entity["id"], square, entity, info) for entity, square in zip(entities, squares, strict=True)
                ]
                nearest[place] = sorted(nearest[place] + hits, key=_by_distance)[:k]
        return nearest


def least_effort(k: int) -> int:
    """Return the candidates that a walk of the graph keeps for k images if nothing else is said."""
    return max(_LEAST_EFFORT, 2 * k)


def create_collection(
    client: Any,  # noqa: ANN401 - imported when needed
    name: str,
    fields: Mapping[str, Mapping[str, Any]],
    indexes: Mapping[str, Mapping[str, Any]],
    description: str,
) -> None:
    """Make a collection whose description is there to be read again."""
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False, description=description)
    for field, options in fields.items():
        schema.add_field(field, **options)
    parameters = client.prepare_index_params()
    for field, options in indexes.items():
        parameters.add_index(field, **options)
    client.create_collection(
        name,
        schema=schema,
        index_params=parameters,
        properties={_PROPERTY: description},  # a second place, for Milvus Lite forgets the first
        consistency_level="Strong",  # or a count right after the last rows may miss them
    )


def read_descriptions(client: Any, name: str) -> tuple[str | None, str | None]:  # noqa: ANN401 - imported when needed
    """Return what stands in the two places of a collection's description, first the one that can be changed."""
    described = client.describe_collection(name)
    return described.get("properties", {}).get(_PROPERTY), described["description"]


def batch_rows(dimension: int) -> int:
    """Return how many rows travel to Milvus at once."""
    return int(max(1, min(1000, _BATCH_BYTES // (4 * dimension))))


def _expression(wanted: Filter) -> str:
    """Return a filter in Milvus's language."""
    labels = ", ".join(_quoted(label) for label in wanted.labels)
    parts = [f"ARRAY_CONTAINS_ALL(labels, [{labels}])"] if wanted.labels else []
    return " and ".join(parts + ([f"scene == {_quoted(wanted.scene)}"] if wanted.scene is not None else []))


def _quoted(text: str) -> str:
    """Return text as Milvus reads it: Milvus Lite knows few escapes, and all other signs stand for themselves."""
    return f'"{text.translate(_ESCAPES)}"'


_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"})


def _fields(info: EmbeddingInfo) -> list[str]:
    return ["row", "scene", "labels", *(["scores"] if info.scores else [])]


def _known(image_id: str, entity: Mapping[str, Any], info: EmbeddingInfo) -> dict[str, Any]:
    """Return the fields of `IndexedImage`."""
    return {
        "id": image_id,
        "row": entity["row"],
        "scene": entity["scene"] if entity["scene"] or "" in info.scene_names else None,
        "labels": tuple(entity["labels"]) if info.label_names else None,
        "scores": tuple(entity["scores"]) if info.scores else None,
    }


def _hit(image_id: str, square: float, entity: Mapping[str, Any], info: EmbeddingInfo) -> Hit:
    # Milvus's L2 is squared.
    return Hit(**_known(image_id, entity, info), distance=float(np.sqrt(max(square, 0.0))))


def _by_distance(hit: Hit) -> tuple[float, int]:
    return hit.distance, hit.row
