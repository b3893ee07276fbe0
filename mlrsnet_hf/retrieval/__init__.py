"""Exact search: the rankings that retrieval measures need, without ever holding queries x database."""

from mlrsnet_hf.retrieval.exact import Search
from mlrsnet_hf.retrieval.neighbours import Neighbours, Ranking
from mlrsnet_hf.retrieval.relevance import CommonLabels, Relevance, SameClass, table9_depth

__all__ = ["CommonLabels", "Neighbours", "Ranking", "Relevance", "SameClass", "Search", "table9_depth"]
