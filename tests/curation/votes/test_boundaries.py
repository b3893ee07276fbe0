"""What was agreed on about pairs of categories, as a file that people write in."""

from pathlib import Path

import pytest
import yaml

from mlrsnet_hf.curation.votes.agreement import Confusion
from mlrsnet_hf.curation.votes.boundaries import ask_for_boundaries, read_boundaries
from mlrsnet_hf.errors import ConfigurationError

CATEGORIES = ("beach", "desert", "desert | Sahara", "lake")
PAIRS = [Confusion("beach", "desert", 0.3, 9), Confusion("beach", "desert | Sahara", 0.2, 9)]


def test_pairs_are_asked_for_until_somebody_writes_a_text(tmp_path: Path) -> None:
    path = tmp_path / "boundaries.yaml"
    assert read_boundaries(path, CATEGORIES) == {}
    assert ask_for_boundaries(path, CATEGORIES, PAIRS) == PAIRS
    texts = yaml.safe_load(path.read_text())
    assert len(texts) == 2 and not any(texts.values())
    texts[next(pair for pair in texts if "Sahara" in pair)] = " no shore "
    path.write_text(yaml.safe_dump(texts))
    assert read_boundaries(path, CATEGORIES) == {frozenset(("beach", "desert | Sahara")): "no shore"}
    assert ask_for_boundaries(path, CATEGORIES, PAIRS) == PAIRS[:1]
    assert read_boundaries(path, CATEGORIES) == {frozenset(("beach", "desert | Sahara")): "no shore"}


@pytest.mark.parametrize("pair", ["beach", "beach | dessert", "beach | desert | lake", "beach | beach"])
def test_what_is_no_pair_of_categories(pair: str, tmp_path: Path) -> None:
    path = tmp_path / "boundaries.yaml"
    path.write_text(yaml.safe_dump({pair: "a text"}))
    with pytest.raises(ConfigurationError, match=r"boundaries\.yaml"):
        read_boundaries(path, CATEGORIES)
