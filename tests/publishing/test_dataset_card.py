from pathlib import Path

import pytest
import yaml

from mlrsnet_hf.publishing.dataset_card import (
    Copy,
    DatasetCard,
    Origin,
    StoredSplit,
    label_distribution,
    published_card,
)

CHECKOUT = Path(__file__).parents[2]


def test_card_of_the_loading_script_is_a_rendering_of_the_template() -> None:
    """To mend it: write `published_card().render()` into the file."""
    assert (CHECKOUT / "dataset_script/README.md").read_text(encoding="utf-8") == published_card().render()


def test_published_counts_are_table_1_but_for_one() -> None:
    table = published_card().render().partition("| label | images | Table 1 |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert len(rows) == 60
    assert [row for row in rows if row[1] != row[2]] == [["grass", "49,390", "49,391"]]


@pytest.mark.parametrize(
    ("origin", "license_name", "says"),
    [
        (
            "unknown",
            "unknown",
            "5 images in the layout of the MLRSNet release, whose names and labels are not those that it published.",
        ),
        ("synthetic", "apache-2.0", "5 drawn scenes in the layout of the MLRSNet release"),
    ],
)
def test_card_of_other_images_names_no_authors(origin: Origin, license_name: str, says: str) -> None:
    card = DatasetCard(
        images_per_scene={"beach": 5},
        images_per_label={"sea": 4, "sand": 0},
        most_labels=1,
        split_sizes={"all": {"train": 5}},
        origin=origin,
        copy=Copy(
            splits={
                "all": {"train": StoredSplit(paths="data/*", files=1, rows=5, data_bytes=70, file_bytes=60)},
            },
            label_version="as-published",
            repaired=0,
            without_labels=1,
            unusual_sizes={},
            unreadable={},
            left_out={},
            scenes_picture="scenes.jpg",
            labels_picture="labels.png",
        ),
    )
    text = card.render()
    header = yaml.safe_load(text.split("---\n")[1])
    assert (header["license"], header["pretty_name"]) == (license_name, card.title)
    assert f"# {card.title}\n" in text
    assert says in text
    assert "- The labels are those of the copy, unchanged.\n" in text
    assert "- In this copy 1 of the images carry no label.\n" in text
    for claim in ("Qi", "CC BY", "bibtex", "Table 1", "10,300", "109,161", "enlarged four scenes", "{", "None"):
        assert claim not in text.partition("\n---\n")[2], claim


def test_card_of_a_copy_says_what_is_particular_to_it() -> None:
    split = StoredSplit(paths="data/*-[a]-*.parquet", files=3, rows=5, data_bytes=70, file_bytes=60)
    copy = Copy(
        splits={"ratio20": {"train": split}, "all": {"train": split}},
        label_version="verified",
        repaired=1,
        without_labels=2,
        unusual_sizes={"beach_00001": (600, 400)},
        unreadable={"beach_00002": "cut short"},
        left_out={"retrieval05": "5 images are too few"},
        scenes_picture="scenes.jpg",
        labels_picture="labels.png",
    )
    sizes = {"ratio20": {"train": 5}, "all": {"train": 5}}
    card = DatasetCard(
        images_per_scene={"beach": 5},
        images_per_label={"sea": 4, "sand": 0},
        most_labels=1,
        split_sizes=sizes,
        copy=copy,
    )
    text = card.render()
    header = yaml.safe_load(text.split("---\n")[1])
    assert header["license"] == "cc-by-4.0"
    assert header["size_categories"] == ["n<1K"]
    assert header["configs"][0] == {
        "config_name": "ratio20",
        "default": True,
        "data_files": [{"split": "train", "path": "data/*-[a]-*.parquet"}],
    }
    info = header["dataset_info"][1]
    assert info["splits"] == [{"name": "train", "num_bytes": 70, "num_examples": 5}]
    assert (info["config_name"], info["download_size"], info["dataset_size"]) == ("all", 60, 70)
    for sentence in (
        "This copy holds 5 of the release's 109,161 images.",
        "To this copy the rules were applied that turn the labels of 2021 into those of 2020; 1 row was repaired, and "
        "marked as such.",
        "In the release, ten images carry no label",
        "- In this copy 2 of the images carry no label.",
        "- Images that are not 256x256, 1 in all: beach_00001 (600x400).",
        "- Left out as unreadable, 1 in all: beach_00002.",
        "each image carries up to 1 of 60 labels, 1 of which occur.",
        "On none of these images: sand.",
        "Not stored: `retrieval05`, because 5 images are too few.",
        "have fewer than 8 files",
        "| `ratio20` | train | 5 | 100.0% | 3 |",
        "![One image of each scene, with its labels](scenes.jpg)",
    ):
        assert sentence in text


def test_no_label_that_is_absent_has_a_row_or_a_bar() -> None:
    two, three = (label_distribution({"sea": 4, "sand": 1, "water": count}) for count in (0, 2))
    assert two.height < three.height and two.width == three.width <= 800
