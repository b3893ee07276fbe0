import csv
import io
import json
import pickle
import tarfile
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mlrsnet_hf import published
from mlrsnet_hf.errors import UnknownNameError
from mlrsnet_hf.taxonomy import GROUPS, LABEL_NAMES, LABELS, SCENE_NAMES, SCENES, find_label, find_scene


def test_sizes_are_those_of_the_paper() -> None:
    assert (len(GROUPS), len(SCENES), len(LABELS)) == (3, 46, 60)
    assert sum(scene.images for scene in SCENES) == published.TOTAL_IMAGES == 109_161
    assert [sum(scene.group is group for scene in SCENES) for group in GROUPS] == [14, 9, 23]


def test_ids_count_from_zero_in_their_order() -> None:
    for entries in (GROUPS, SCENES, LABELS):
        assert [entry.id for entry in entries] == list(range(len(entries)))
    assert (find_label("airplane").id, find_label("wind turbine").id) == (0, 59)
    assert [scene.published for scene in SCENES] == sorted(scene.published for scene in SCENES)


def test_names_are_correct_english_and_published_spelling_is_kept() -> None:
    assert {s.name: s.published for s in SCENES if s.name != s.published} == {
        "harbor_port": "harbor&port",
        "swimming_pool": "swimmimg_pool",
    }
    assert {x.name: x.published for x in LABELS if x.name != x.published} == {"harbor": "habor"}
    assert "snowberg" in SCENE_NAMES
    assert "snowberg" in LABEL_NAMES


def test_paper_names_the_group_of_sixteen_scenes() -> None:
    # Section 2.2: "(e.g., commercial area, farmland, forest, industrial area, mountain)", "(e.g., beach, cloud,
    # island, lake, river, chaparral)", "(e.g., airplane, airport, bridge, freeway, overpass)".
    named = {
        0: {"commercial_area", "farmland", "forest", "industrial_area", "mountain"},
        1: {"beach", "cloud", "island", "lake", "river", "chaparral"},
        2: {"airplane", "airport", "bridge", "freeway", "overpass"},
    }
    assert {
        group.id: {s.name for s in SCENES if s.group is group and s.group_source == "paper"} for group in GROUPS
    } == named


@pytest.mark.parametrize("name", ["swimmimg_pool", "swimming_pool", "Swimming Pool", "SWIMMIMG-POOL"])
def test_scene_is_found_by_either_spelling(name: str) -> None:
    assert find_scene(name).name == "swimming_pool"


@pytest.mark.parametrize("name", ["harbor&port", "harbor_port", "Harbor & Port"])
def test_ampersand_separates_words(name: str) -> None:
    assert find_scene(name).published == "harbor&port"


@pytest.mark.parametrize(
    ("variant", "published"),
    [
        ("sparse_residential", "sparse_residential_area"),
        ("Sparse Residential", "sparse_residential_area"),
        ("habor&port", "harbor&port"),
    ],
)
def test_variants_of_scenes_in_circulation(variant: str, published: str) -> None:
    assert find_scene(variant).published == published


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        ("habor", "harbor"),
        ("Chapparral", "chaparral"),
        ("swimmimg pool", "swimming pool"),
        ("sparse_residential", "sparse residential area"),
    ],
)
def test_variants_of_labels_in_circulation(variant: str, name: str) -> None:
    assert find_label(variant).name == name


def test_every_name_finds_itself() -> None:
    for scene in SCENES:
        assert find_scene(scene.name) is find_scene(scene.published) is scene
    for label in LABELS:
        assert find_label(label.name) is find_label(label.published) is label


def test_scenes_stay_one_object_between_processes() -> None:
    assert all(pickle.loads(pickle.dumps(scene)) is scene for scene in SCENES)


def test_unknown_name_lists_near_ones() -> None:
    with pytest.raises(
        UnknownNameError, match=r"'wind turbin' is not one of .* 60 labels. Did you mean 'wind turbine'"
    ):
        find_label("wind turbin")
    with pytest.raises(UnknownNameError, match="airplane, airport"):
        find_scene("qqq")


def test_facts_equal_the_published_tables(shared: Path) -> None:
    tables = json.loads((shared / "paper/tables.json").read_text())
    counts = json.loads((shared / "paper/scene_label_counts.json").read_text())
    assert tables["table1_images_per_label"] == published.TABLE1_IMAGES_PER_LABEL
    assert tables["images_per_scene"] == published.IMAGES_PER_SCENE
    assert counts == published.LABELS_PER_SCENE


def test_label_ids_are_the_order_of_the_release_header(shared: Path) -> None:
    with tarfile.open(shared / "data/mlrsnet_labels_2021/labels.tar.xz") as archive:
        member = archive.extractfile("labels/airplane.csv")
        assert member is not None
        header = next(csv.reader(io.TextIOWrapper(member, encoding="utf-8")))
    assert header == ["image", *(label.published for label in LABELS)]


def test_label_counts_add_up_to_table_1_but_for_grass() -> None:
    totals = [sum(scene.label_counts.get(label.id, 0) for scene in SCENES) for label in LABELS]
    differing = {x.name: (total, x.images) for x, total in zip(LABELS, totals, strict=True) if total != x.images}
    assert differing == {"grass": (49_390, 49_391)}


def test_vocabularies_are_the_release_sheet_and_the_pairs_that_it_lacks(shared: Path) -> None:
    """Read from the spreadsheet's XML, which a base install has no library for."""
    name = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    with zipfile.ZipFile(shared / "data/mlrsnet_labels_2020/Categories_names.xlsx") as archive:
        texts = ElementTree.fromstring(archive.read("xl/sharedStrings.xml"))
        sheet = ElementTree.fromstring(archive.read("xl/worksheets/sheet2.xml"))
    strings = ["".join(text.itertext()) for text in texts.iter(f"{name}si")]
    listed: dict[str, set[str]] = {}
    for row in sheet.iter(f"{name}row"):
        cells = [strings[int(cell.findtext(f"{name}v"))] for cell in row if cell.get("t") == "s"]
        if row.get("r") not in ("1", "2"):
            listed[find_scene(cells[0]).name] = {find_label(label).name for label in cells[1:]}
    listed["airplane"].add("runway")
    listed["baseball_diamond"].add("parking lot")
    listed["transmission_tower"].add("trail")
    assert listed == {scene.name: {LABEL_NAMES[label] for label in scene.vocabulary} for scene in SCENES}
