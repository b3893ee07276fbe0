from mlrsnet_hf.retrieval.embeddings.config import ImageSet
from mlrsnet_hf.retrieval.protocol.config import RetrievalConfig
from mlrsnet_hf.retrieval.protocol.sources import _folder_name


def test_embeddings_of_earlier_versions_are_found_again() -> None:
    """The name was made before tables had settings of their own."""
    config = RetrievalConfig(model=("m",))
    name = _folder_name("runs/a", "f", ImageSet(dataset="x", split_seed=3), None, config)
    assert name == "a-pre_logits-e97229c08a30"
    for changes in ({"label_columns": ("a",)}, {"missing": "ignore"}, {"image_dir": "y"}):
        assert _folder_name("runs/a", "f", ImageSet(dataset="x", split_seed=3, **changes), None, config) != name
