"""A dataset to look through: selections and counts are those of a loop over its rows."""

import itertools

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from datasets import Image as ImageFeature
from datasets import Sequence as ListFeature

from mlrsnet_hf.errors import UnknownNameError
from mlrsnet_hf.inputs.catalog import Catalog
from mlrsnet_hf.inputs.task import ImageData

LABELS, SCENES = ("water", "ships", "trees"), ("beach", "harbor")


def make_data(with_scenes: bool = True, with_labels: bool = True) -> ImageData:
    draw = np.random.default_rng(3)
    splits = {}
    for name, images in (("train", 17), ("validation", 1), ("test", 9)):
        rows = {
            "id": [f"{name}_{number}" for number in range(images)],
            "image": [{"bytes": f"{name} {number}".encode(), "path": None} for number in range(images)],
            "labels": [np.flatnonzero(draw.random(3) < 0.5).tolist() if with_labels else [] for _ in range(images)],
            "scene": draw.integers(0, 2, images).tolist(),
        }
        labels = ListFeature(ClassLabel(names=list(LABELS))) if with_labels else ListFeature(Value("int64"))
        kinds = {"id": Value("string"), "image": ImageFeature(), "labels": labels}
        kinds["scene"] = ClassLabel(names=list(SCENES))
        made = Dataset.from_dict(rows, features=Features(kinds))
        made = made.select(range(images - 1, -1, -1))  # the order of the rows is not that of the file
        splits[name] = made if with_scenes else made.remove_columns("scene")
    names = LABELS if with_labels else ()
    return ImageData(splits=splits, label_names=names, scene_names=SCENES if with_scenes else (), source={})


def rows_of(data: ImageData) -> list[tuple[str, dict]]:
    return [
        (name, row)
        for name, split in data.splits.items()
        for row in split.cast_column("image", ImageFeature(decode=False))
    ]


def test_selections_are_those_of_a_loop() -> None:
    data = make_data()
    catalog, rows = Catalog(data), rows_of(data)
    assert len(catalog) == len(rows) == 27
    choices = [names for size in range(3) for names in itertools.combinations(LABELS, size)]
    for split, scene, labels in itertools.product((None, "train", "test"), (None, *SCENES), choices):
        wanted = {LABELS.index(label) for label in labels}
        expected = [
            place
            for place, (name, row) in enumerate(rows)
            if split in (None, name) and scene in (None, SCENES[row["scene"]]) and wanted <= set(row["labels"])
        ]
        assert catalog.select(split, scene, labels).tolist() == expected
        counts = catalog.count(catalog.select(split, scene, labels))
        assert counts.images == len(expected)
        for first, second in itertools.product(range(3), range(3)):
            both = sum({first, second} <= set(rows[place][1]["labels"]) for place in expected)
            assert counts.cooccurrence[first, second] == both
        assert counts.images_per_scene.tolist() == [
            sum(rows[place][1]["scene"] == number for place in expected) for number in range(2)
        ]
        assert counts.images_per_label_count.tolist() == [
            sum(len(rows[place][1]["labels"]) == number for place in expected) for number in range(4)
        ]


def test_images_come_with_what_is_known_of_them() -> None:
    data = make_data()
    catalog, rows = Catalog(data), rows_of(data)
    for place, image in enumerate(catalog.images(range(27))):
        name, row = rows[place]
        assert (image.id, image.row, image.split, image.file) == (row["id"], place, name, row["image"])
        assert image.scene == SCENES[row["scene"]]
        assert image.labels == tuple(LABELS[label] for label in sorted(row["labels"]))
    assert catalog.rows_of(["test_3", "nobody", "train_0"]) == [
        [row["id"] for _, row in rows].index("test_3"),
        None,
        [row["id"] for _, row in rows].index("train_0"),
    ]


def test_data_without_scenes_or_labels() -> None:
    catalog = Catalog(make_data(with_scenes=False))
    assert catalog.count(catalog.select("test")).images_per_scene.tolist() == [9]
    assert catalog.images([0])[0].scene is None
    bare = Catalog(make_data(with_labels=False))
    assert bare.count(bare.select()).images == 27 and bare.images([3])[0].labels == ()


def test_unknown_names_are_told() -> None:
    catalog = Catalog(make_data())
    for wrong in ({"split": "tset"}, {"scene": "baech"}, {"labels": ["watter"]}):
        with pytest.raises(UnknownNameError, match="Did you mean"):
            catalog.select(**wrong)
