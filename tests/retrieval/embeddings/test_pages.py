"""Results page by page: one after the other they are all that one search gives."""

from collections.abc import Callable

import pytest

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval.embeddings import pages
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingFolder
from mlrsnet_hf.retrieval.embeddings.pages import Query, result_page
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable

MakeEmbeddings = Callable[..., EmbeddingFolder]


def walked(table: EmbeddingTable, query: Query, size: int) -> list[str]:
    found: list[str] = []
    for number in range(1, 100):
        page = result_page(table, query, number, size)
        assert page.number == number and page.first == len(found) + 1
        found += [image.id for image in page.images]
        if page.is_last:
            return found
    raise AssertionError("no last page")


@pytest.mark.parametrize("size", [1, 7, 30, 60, 61])
def test_pages_are_all_results(make_embeddings: MakeEmbeddings, size: int) -> None:
    table = EmbeddingTable.load(make_embeddings())
    wanted, none = table.filter(["water"]), table.filter()
    vector = table.vector("image_005")
    everything = [hit.id for hit in table.search(vector, 60)[0]]
    assert walked(table, Query(title="", vector=vector, wanted=none), size) == everything
    with_water = [hit.id for hit in table.search(vector, 60, ["water"])[0]]
    assert walked(table, Query(title="", vector=vector, wanted=wanted), size) == with_water
    listed = table.list_images(["water"], k=60)
    assert walked(table, Query(title="", wanted=wanted), size) == [image.id for image in listed.images]
    assert result_page(table, Query(title="", wanted=wanted), 1, size).total == listed.total


def test_pages_end_at_the_deepest(make_embeddings: MakeEmbeddings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "DEEPEST", 20)
    table = EmbeddingTable.load(make_embeddings())
    query = Query(title="", vector=table.vector("image_000"), wanted=table.filter())
    assert len(walked(table, query, 7)) == 20
    assert result_page(table, query, 99, 7).number == 3
    assert result_page(table, query, -5, 7).number == 1


def test_nothing_to_search_for(make_embeddings: MakeEmbeddings) -> None:
    table = EmbeddingTable.load(make_embeddings())
    with pytest.raises(ConfigurationError):
        result_page(table, Query(title="", wanted=table.filter()))
