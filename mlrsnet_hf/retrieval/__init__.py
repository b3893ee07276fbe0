"""Retrieval: exact search, embeddings and their index, and the paper's protocol. These names load when first used."""

import importlib
from typing import Any

_PUBLIC = {
    "Search": "mlrsnet_hf.retrieval.search.exact",
    "Neighbors": "mlrsnet_hf.retrieval.search.rankings",
    "Ranking": "mlrsnet_hf.retrieval.search.rankings",
    "CommonLabels": "mlrsnet_hf.retrieval.search.relevance",
    "Relevance": "mlrsnet_hf.retrieval.search.relevance",
    "SameClass": "mlrsnet_hf.retrieval.search.relevance",
    "table9_depth": "mlrsnet_hf.retrieval.search.relevance",
    "EmbeddingConfig": "mlrsnet_hf.retrieval.embeddings.config",
    "ImageSet": "mlrsnet_hf.retrieval.embeddings.config",
    "EmbeddingTable": "mlrsnet_hf.retrieval.embeddings.table",
    "embed": "mlrsnet_hf.retrieval.embeddings.embed",
    "build_index": "mlrsnet_hf.retrieval.index.build",
    "open_index": "mlrsnet_hf.retrieval.index.index",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any public object
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
