"""Exact search: the rankings that retrieval measures need, without ever holding queries x database."""

from mlrsnet_hf.retrieval.search.exact import Search
from mlrsnet_hf.retrieval.search.rankings import Neighbors, Ranking
from mlrsnet_hf.retrieval.search.relevance import CommonLabels, Relevance, SameClass, table9_depth

__all__ = ["CommonLabels", "Neighbors", "Ranking", "Relevance", "SameClass", "Search", "table9_depth"]
