"""One Milvus collection of images: what it holds, how it is filled and asked. The same on a folder and on a server."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingRows
from mlrsnet_hf.retrieval.embeddings.info import EmbeddingInfo
from mlrsnet_hf.retrieval.embeddings.query import Filter, Hit, IndexedImage, Listing, label_names

FORMAT = 1
KINDS = ("hnsw", "flat")

_PROPERTY = "mlrsnet"
_MOST_ID_BYTES = 1024
_MOST_NAME_BYTES = 128
_BATCH_BYTES = 8 * 2**20
_FEW = 10_000
"""Up to so many images that pass a filter are compared one and all: a filtered walk of the graph would miss most."""
_MOST_ROWS = 16_384
"""Rows that a server gives at once."""
_MOST_CANDIDATES = 32_768
"""Candidates that a server looks at while it walks the graph."""
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

    def create(self, info: EmbeddingInfo, kind: str) -> None:
        """Make it, empty; what it holds stands in its description."""
        from pymilvus import DataType

        names = {"element_type": DataType.VARCHAR, "max_length": _MOST_NAME_BYTES}
        fields: dict[str, dict[str, Any]] = {
            "id": {"datatype": DataType.VARCHAR, "is_primary": True, "max_length": _MOST_ID_BYTES},
            "row": {"datatype": DataType.INT64},
            "scene": {"datatype": DataType.VARCHAR, "max_length": _MOST_NAME_BYTES},
            "labels": {"datatype": DataType.ARRAY, "max_capacity": max(1, len(info.label_names)), **names},
            "embedding": {"datatype": DataType.FLOAT_VECTOR, "dim": info.dimension},
        }
        if info.scores:
            numbers = {"element_type": DataType.FLOAT, "max_capacity": len(info.scores)}
            fields["scores"] = {"datatype": DataType.ARRAY, **numbers}
        graph = _GRAPH if kind == "hnsw" else {}
        index = {"index_type": kind.upper(), "metric_type": "L2", "params": graph}
        description = json.dumps(index_description(info, kind))
        create_collection(self.client, self.name, fields, {"embedding": index}, description)

    def description(self) -> dict[str, Any]:
        """Return what `index_description` gave when it was made on a server.

        Raises:
            ConfigurationError: It was not made by this package, or by one of another format version.
        """
        text = next((text for text in read_descriptions(self.client, self.name) if text), "")
        try:
            content: dict[str, Any] = json.loads(text)
            version = content["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(
                f"collection {self.name!r} was not made by `mlrsnet index`", "Give another collection."
            ) from error
        refuse_other_format(version, f"collection {self.name!r}")
        return content

    def count(self, expression: str = "") -> int:
        """Return the number of images, or of those that pass a filter."""
        self.client.load_collection(self.name)
        return int(self.client.query(self.name, filter=expression, output_fields=["count(*)"])[0]["count(*)"])

    def put(self, rows: EmbeddingRows, first: int, info: EmbeddingInfo) -> None:
        """Store rows; an id that is there is replaced, never stored twice."""
        entities: list[dict[str, Any]] = [
            {
                "id": image_id,
                "row": first + i,
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
        found = self.client.query(self.name, filter=f"id == {_quoted(image_id)}", output_fields=fields)
        if not found:
            return None
        return _hit(found[0]["id"], 0.0, found[0], info), np.asarray(found[0]["embedding"], np.float32)

    def search(
        self, queries: npt.NDArray[np.float32], k: int, wanted: Filter, info: EmbeddingInfo, kind: str
    ) -> list[list[Hit]]:
        """Return up to k images for each query, nearest first; ties by row. With a filter, k unless fewer pass it."""
        expression = _expression(wanted)
        passing = self.count(expression) if wanted else info.rows
        if not wanted or kind == "flat" or passing > _FEW:
            found = self._walk(queries, k, expression, info, kind, info.rows / max(1, passing))
            if all(len(hits) == min(k, passing) for hits in found):
                return found
        return self._compare(queries, k, list(self._rows(expression, info)), info)

    def list_images(self, k: int, wanted: Filter, info: EmbeddingInfo) -> Listing:
        """Return the first k images that pass a filter, by row, and how many there are."""
        expression = _expression(wanted)
        chosen = list(itertools.islice(self._rows(expression, info), k))
        images: list[IndexedImage] = []
        for start in range(0, len(chosen), _MOST_ROWS):
            within = f"row in {chosen[start : start + _MOST_ROWS]}"
            entities = self.client.query(self.name, filter=within, output_fields=["id", *_fields(info)])
            found = (IndexedImage(**_known(entity["id"], entity, info)) for entity in entities)
            images += sorted(found, key=lambda image: image.row)
        return Listing(images=images, total=self.count(expression))

    def _walk(
        self, queries: npt.NDArray[np.float32], k: int, expression: str, info: EmbeddingInfo, kind: str, share: float
    ) -> list[list[Hit]]:
        """Search as the index does; one of `share` images passes the filter."""
        # Candidates kept while the graph is walked: more than k, or the last ones found are chance.
        candidates = int(max(k, min(max(128, 2 * k) * share, _MOST_CANDIDATES)))
        parameters = {"ef": candidates} if kind == "hnsw" else {}
        asked: dict[str, Any] = {"limit": k, "filter": expression, "output_fields": _fields(info)}
        asked["search_params"] = {"metric_type": "L2", "params": parameters}
        # One at a time: Milvus Lite may hold queries x images x dimensions.
        answers = [self.client.search(self.name, data=[query], **asked)[0] for query in queries]
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

    def _compare(
        self, queries: npt.NDArray[np.float32], k: int, rows: Sequence[int], info: EmbeddingInfo
    ) -> list[list[Hit]]:
        """Return up to k of these rows for each query, by comparing with all; memory grows with k alone."""
        nearest: list[list[Hit]] = [[] for _ in queries]
        size = batch_rows(info.dimension)
        for start in range(0, len(rows), size):
            within = f"row in {list(rows[start : start + size])}"
            entities = self.client.query(self.name, filter=within, output_fields=["id", *_fields(info), "embedding"])
            vectors = np.array([entity["embedding"] for entity in entities], np.float64)
            for place, query in enumerate(queries):
                squares = ((vectors - query) ** 2).sum(axis=1)
                hits = [
                    _hit(entity["id"], square, entity, info) for entity, square in zip(entities, squares, strict=True)
                ]
                nearest[place] = sorted(nearest[place] + hits, key=_by_distance)[:k]
        return nearest


def index_description(info: EmbeddingInfo, kind: str) -> dict[str, Any]:
    """Return what an index says of itself, as JSON."""
    return {"format": FORMAT, "kind": kind, "embeddings": info.to_json()}


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
    """Return what stands in the two places of a collection's description."""
    described = client.describe_collection(name)
    return described["description"], described.get("properties", {}).get(_PROPERTY)


def batch_rows(dimension: int) -> int:
    """Return how many rows travel to Milvus at once."""
    return int(max(1, min(1000, _BATCH_BYTES // (4 * dimension))))


def refuse_other_format(version: object, location: str) -> None:
    """Refuse an index that another version of this package made.

    Raises:
        ConfigurationError: It is one.
    """
    if version != FORMAT:
        raise ConfigurationError(
            f"{location}: an index of format {version}, this version of mlrsnet-hf reads format {FORMAT}",
            "Build it again with `mlrsnet index`, or install the version that made it.",
        )


def _expression(wanted: Filter) -> str:
    """Return a filter in Milvus's language."""
    labels = ", ".join(_quoted(label) for label in wanted.labels)
    parts = [f"ARRAY_CONTAINS_ALL(labels, [{labels}])"] if wanted.labels else []
    return " and ".join(parts + ([f"scene == {_quoted(wanted.scene)}"] if wanted.scene is not None else []))


def _quoted(text: str) -> str:
    # Milvus knows no \u escapes.
    return json.dumps(text, ensure_ascii=False)


def _fields(info: EmbeddingInfo) -> list[str]:
    return ["row", "scene", "labels", *(["scores"] if info.scores else [])]


def _known(image_id: str, entity: Mapping[str, Any], info: EmbeddingInfo) -> dict[str, Any]:
    """Return the fields of `IndexedImage`."""
    return {
        "id": image_id,
        "row": entity["row"],
        "scene": entity["scene"] or None,
        "labels": tuple(entity["labels"]) if info.label_names else None,
        "scores": tuple(entity["scores"]) if info.scores else None,
    }


def _hit(image_id: str, square: float, entity: Mapping[str, Any], info: EmbeddingInfo) -> Hit:
    # Milvus's L2 is squared.
    return Hit(**_known(image_id, entity, info), distance=float(np.sqrt(max(square, 0.0))))


def _by_distance(hit: Hit) -> tuple[float, int]:
    return hit.distance, hit.row
