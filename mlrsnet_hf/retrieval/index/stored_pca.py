"""The principal components of an index on a server: a small collection beside that of the images.

A picture that is searched for must be projected as the images were, from whatever machine it is asked. The file of
`Pca.save` goes as it is, in pieces of text.
"""

import base64
import io
import json
from typing import Any

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval.embeddings.pca import Pca, load_pca
from mlrsnet_hf.retrieval.index.collection import create_collection, read_descriptions

_SUFFIX = "_projection"
_DESCRIPTION = json.dumps({"format": 1, "holds": "principal components"})
_PIECE = 60_000
"""Signs of a piece; a text of Milvus has 65,535 at most."""
_PIECES_AT_ONCE = 100


def refuse_taken(client: Any, images: str) -> None:  # noqa: ANN401 - imported when needed
    """Refuse a name of a collection of images beside which no principal components can be stored.

    Raises:
        ConfigurationError: The collection that would hold them is there, and holds something else.
    """
    name = images + _SUFFIX
    if client.has_collection(name) and not _is_ours(client, name):
        raise ConfigurationError(
            f"the principal components of {images!r} need the name {name!r}, which another collection has",
            "Choose another --collection.",
        )


def store_pca(client: Any, images: str, content: bytes | None) -> None:  # noqa: ANN401 - imported when needed
    """Store the principal components of a collection of images, in place of those of an earlier one of that name.

    `content` is the file that `Pca.save` wrote; None leaves none behind.
    """
    from pymilvus import DataType

    name = images + _SUFFIX
    if _is_ours(client, name):
        client.drop_collection(name)
    if content is None:
        return
    fields: dict[str, dict[str, Any]] = {
        "piece": {"datatype": DataType.INT64, "is_primary": True},
        "content": {"datatype": DataType.VARCHAR, "max_length": _PIECE},
        "nothing": {"datatype": DataType.FLOAT_VECTOR, "dim": 2},  # Milvus has no collection without a vector
    }
    create_collection(client, name, fields, {"nothing": {"index_type": "FLAT", "metric_type": "L2"}}, _DESCRIPTION)
    text = base64.b64encode(content).decode()
    pieces = [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
    entities = [{"piece": i, "content": piece, "nothing": [0.0, 0.0]} for i, piece in enumerate(pieces)]
    for start in range(0, len(entities), _PIECES_AT_ONCE):
        client.upsert(name, entities[start : start + _PIECES_AT_ONCE])
    client.flush(name)


def read_pca(client: Any, images: str) -> Pca | None:  # noqa: ANN401 - imported when needed
    """Return the principal components of a collection of images; None if none are stored.

    Raises:
        ConfigurationError: They are damaged.
    """
    name = images + _SUFFIX
    if not _is_ours(client, name):
        return None
    client.load_collection(name)
    pieces: list[str] = []
    while True:
        within = f"piece >= {len(pieces)} and piece < {len(pieces) + _PIECES_AT_ONCE}"
        found = client.query(name, filter=within, output_fields=["piece", "content"])
        pieces += (entity["content"] for entity in sorted(found, key=lambda entity: entity["piece"]))
        if len(found) < _PIECES_AT_ONCE:
            break
    try:
        content = base64.b64decode("".join(pieces), validate=True)
    except ValueError as error:
        raise ConfigurationError(f"collection {name!r} is damaged ({error})", "Build the index again.") from error
    return load_pca(io.BytesIO(content), f"collection {name!r}")


def _is_ours(client: Any, name: str) -> bool:  # noqa: ANN401 - imported when needed
    """Say whether a collection is there and holds principal components."""
    return client.has_collection(name) and _DESCRIPTION in read_descriptions(client, name)
