"""COCO's JSON, and what is not."""

import json
from pathlib import Path

import pytest

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.tables.coco import is_coco, read_coco
from mlrsnet_hf.inputs.tables.json_tables import json_content

IMAGES = [
    {"id": 12, "file_name": "b.jpg", "width": 5},
    {"id": 4, "file_name": "x/a.jpg"},
    {"id": "s", "file_name": "c"},
]
CATEGORIES = [{"id": 90, "name": " ship "}, {"id": 3, "name": "harbor", "supercategory": "x"}, {"id": 5, "name": "dam"}]
ANNOTATIONS = [(12, 90), (12, 3), (12, 90), ("s", 5)]


def coco(**changes: object) -> dict[str, object]:
    annotations = [{"id": i, "image_id": image, "category_id": kind} for i, (image, kind) in enumerate(ANNOTATIONS)]
    return {"images": IMAGES, "annotations": annotations, "categories": CATEGORIES, "info": {}} | changes


@pytest.mark.parametrize("indent", [None, 2])
def test_labels_are_the_categories_of_the_annotations(tmp_path: Path, indent: int | None) -> None:
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(coco(), indent=indent), encoding="utf-8-sig")
    content = json_content(path)
    assert is_coco(content)
    found = read_coco(path, content)
    assert found["image"][:] == ["b.jpg", "x/a.jpg", "c"]
    assert found.features["labels"].feature.names == ["harbor", "dam", "ship"]  # by id, not by place
    assert found["labels"][:] == [[0, 2], [], [1]]


def test_images_that_nobody_annotated() -> None:
    content = coco()
    del content["annotations"]
    assert is_coco(content)
    assert read_coco(Path("image_info_test.json"), content).column_names == ["image"]


def test_other_json_is_left_to_others() -> None:
    for content in ([{"image": "a"}], {"images": []}, {"images": ["a"], "labels": [["x"]]}, "images", None):
        assert not is_coco(content)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"annotations": [{"image_id": 77, "category_id": 3}]}, r"annotations\[0\]: image_id 77"),
        ({"annotations": [{"image_id": 4, "category_id": 4}]}, r"annotations\[0\]: category_id 4"),
        ({"annotations": [{"image_id": 4}]}, r"annotations\[0\]: 'category_id'"),
        ({"annotations": [{"image_id": [4], "category_id": 3}]}, r"annotations\[0\]: 'image_id'"),
        ({"annotations": {"a": 1}}, "no list of annotations"),
        ({"annotations": [7]}, r"annotations\[0\]: no object"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}, r"categories\[1\]: id 2 or name 'a'"),
        ({"categories": [{"id": "1", "name": "a"}]}, r"categories\[0\]: 'id'"),
        ({"images": [*IMAGES, IMAGES[0]]}, r"images\[3\]: id 12"),
        ({"images": [{"id": 1}]}, r"images\[0\]: 'file_name'"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"x\.json.*{message}"):
        read_coco(Path("x.json"), coco(**changes))


def test_a_file_without_categories_is_named() -> None:
    content = coco()
    del content["categories"]
    with pytest.raises(ConfigurationError, match="no categories"):
        read_coco(Path("x.json"), content)
