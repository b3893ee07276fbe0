"""Labels are matched by name, whatever their place."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlrsnet_hf.prediction.matching import match_labels, match_scenes
from mlrsnet_hf.taxonomy import LABEL_NAMES, LABELS

NAMES = st.lists(st.sampled_from(["sea", "Sea", "sand dune", "sand-dune", "habor", "harbor", "x", "y"]), unique=True)


@given(NAMES, NAMES)
def test_every_name_is_matched_once_or_listed(model: list[str], data: list[str]) -> None:
    match = match_labels(model, data)
    assert sorted([*match.names, *match.only_in_data]) == sorted(data)
    assert sorted([*(model[output] for output in match.outputs), *match.only_in_model]) == sorted(model)
    assert len(set(match.outputs.tolist())) == len(match.outputs)
    assert match.names == tuple(data[number] for number in match.ids)
    assert match.ids.tolist() == sorted(match.ids.tolist())
    for name, output in zip(match.names, match.outputs, strict=True):
        assert name == model[output] or (name not in model and model[output] not in data)


def test_published_spellings_are_the_labels_of_the_taxonomy() -> None:
    published = [label.published.upper().replace(" ", "_") for label in LABELS]
    match = match_labels(LABEL_NAMES, published[::-1])
    np.testing.assert_array_equal(match.outputs, np.arange(60)[::-1])
    assert match_scenes(["harbor_port"], ["Harbor&Port"]).outputs.tolist() == [0]


def test_a_spelling_that_may_be_two_labels_is_none() -> None:
    match = match_labels(["water"], ["Water", "WATER"])
    assert (match.names, match.only_in_data) == ((), ("Water", "WATER"))
    assert match_labels(["water"], ["Water", "water"]).names == ("water",)
