"""Tables of candidates: names that people spell in two ways."""

from pathlib import Path

import pytest

from mlrsnet_hf.curation.vocabulary.vocabulary import SceneVocabulary, Vocabulary
from mlrsnet_hf.curation.votes.candidates import categories_of, little_known, perhaps_misspelled, read_candidates
from mlrsnet_hf.curation.votes.rounds import NO_CATEGORY, replay
from mlrsnet_hf.errors import ConfigurationError


def table(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "candidates.csv"
    path.write_text("\n".join(["image,category,truth", *rows]))
    return path


def test_spaces_between_words_tell_no_categories_apart(tmp_path: Path) -> None:
    path = table(tmp_path, "a  1.jpg,storage  tank, storage tank", "2.jpg,beach,storage   tank", "3.jpg,beach,")
    read = read_candidates(path, "scene")
    assert [(one.image, one.category, one.truth) for one in read] == [
        ("a  1.jpg", "storage tank", ("storage tank",)),
        ("2.jpg", "beach", ("storage tank",)),
        ("3.jpg", "beach", None),
    ]
    assert categories_of(read, None, "scene") == ("beach", "storage tank")


def test_an_image_that_is_known_to_show_none_of_the_categories(tmp_path: Path) -> None:
    path = table(tmp_path, "1.jpg,beach,none", "2.jpg,beach,beach", "3.jpg,beach,")
    read = read_candidates(path, "scene")
    assert [one.truth for one in read] == [(), ("beach",), None]
    assert categories_of(read, None, "scene") == ("beach",)
    assert replay(read).truth() == {"1.jpg": NO_CATEGORY, "2.jpg": "beach"}


def test_two_spellings_of_a_category_are_refused(tmp_path: Path) -> None:
    path = table(tmp_path, "1.jpg,storage_tank,Storage tank", "2.jpg,storage_tank,storage_tank")
    with pytest.raises(ConfigurationError, match="Storage tank"):
        categories_of(read_candidates(path, "scene"), None, "scene")


def test_categories_that_little_is_known_of(tmp_path: Path) -> None:
    rows = [f"{category}{i}.jpg,{category}," for category in ("beach", "lake", "sea") for i in range(2)]
    rows += [f"beach good {i}.jpg,beach,beach" for i in range(5)] + [f"beach bad {i}.jpg,beach,sea" for i in range(5)]
    rows += [f"lake good {i}.jpg,lake,lake" for i in range(9)] + [f"lake bad {i}.jpg,lake,sea" for i in range(4)]
    rows += ["known.jpg,desert,desert"]  # nobody votes on candidates of it
    assert little_known(read_candidates(table(tmp_path, *rows), "scene")) == ["lake", "sea"]


def test_names_that_may_be_misspelled_are_found(tmp_path: Path) -> None:
    rows = [
        "1.jpg,overpass,overpass",
        "2.jpg,overpas,",
        "3.jpg,chaparral,chaparral",
        "4.jpg,chaparral,overpasss",
        "5.jpg,chapparral,chaparral",
    ]
    read = read_candidates(table(tmp_path, *rows), "scene")
    assert perhaps_misspelled(read, None, "scene") == {
        "overpas": "overpass",
        "overpasss": "overpass",
        "chapparral": "chaparral",
    }
    images = SceneVocabulary(images=9, labels={})
    vocabulary = Vocabulary(scenes=dict.fromkeys(("overpass", "chaparral", "chapparral"), images))
    assert perhaps_misspelled(read, vocabulary, "scene").keys() == {"overpas", "overpasss"}
    # Names that are right are not taken for each other.
    both = [
        "1.jpg,dense_residential_area,dense_residential_area",
        "2.jpg,sparse_residential_area,sparse_residential_area",
    ]
    both += ["3.jpg,dense_residential_area,sparse_residential_area"]
    assert not perhaps_misspelled(read_candidates(table(tmp_path, *both), "scene"), None, "scene")
