"""Keys are apart whatever names are, and those of MLRSNet's names easy to remember."""

from hypothesis import given
from hypothesis import strategies as st

from mlrsnet_hf.curation.label_studio.hotkeys import hotkeys
from mlrsnet_hf.taxonomy import LABELS, SCENES


def test_keys_of_mlrsnets_categories_are_letters_of_their_names() -> None:
    keys = hotkeys([scene.name for scene in SCENES])
    spelled = [name for name, key in keys.items() if key[-1] in name]
    initial = [name for name, key in keys.items() if any(word[0] == key[-1] for word in name.split("_"))]
    assert len(spelled) >= 43
    assert len(initial) >= 34


def test_each_of_mlrsnets_60_labels_has_a_key() -> None:
    assert len(hotkeys([label.name for label in LABELS])) == 60


@given(st.lists(st.text(min_size=1), unique=True, max_size=70))
def test_keys_are_apart_whatever_names_are(names: list[str]) -> None:
    keys = hotkeys(names)
    assert list(keys) == names[:60]
    assert len(set(keys.values())) == len(keys)
    assert "0" not in keys.values()


def test_of_names_alike_the_earlier_has_the_plain_letter() -> None:
    assert hotkeys(["beach", "bridge"]) == {"beach": "b", "bridge": "shift+b"}
    assert hotkeys(["Ökologie", "oak"]) == {"Ökologie": "o", "oak": "shift+o"}
