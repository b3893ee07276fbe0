import json

from datasets import Features

from mlrsnet_hf.dataset.repository.schema import ARROW_SCHEMA, FEATURES, card_features


def test_stored_features_are_those_of_every_other_form() -> None:
    assert Features.from_arrow_schema(ARROW_SCHEMA) == FEATURES
    assert Features._from_yaml_list(card_features()) == FEATURES
    assert ARROW_SCHEMA.remove_metadata() == FEATURES.arrow_schema.remove_metadata()


def test_lists_are_named_as_every_version_knows_them() -> None:
    stored = json.loads(ARROW_SCHEMA.metadata[b"huggingface"])
    assert stored["info"]["features"]["labels"]["_type"] == "Sequence"
