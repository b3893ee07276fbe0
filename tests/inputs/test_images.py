"""Images to embed or predict: the same splits as those of evaluation and training."""

import shutil
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from datasets import Sequence as ListFeature

from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.inputs.images import ImageSplit, load_images
from mlrsnet_hf.inputs.load import load_data, load_split
from tests.inputs.test_load import png

LABELS = ListFeature(ClassLabel(names=["sand", "sea"]))


def saved(folder: Path, *splits: str, unlabeled: int = 0, with_ids: bool = True) -> Path:
    """Save splits of 40 images each, the first of which may have no labels."""
    made = {}
    for split in splits:
        rows = {
            "image": [{"bytes": png(number), "path": None} for number in range(40)],
            "labels": [None if number < unlabeled else [number % 2] for number in range(40)],
        }
        features = {"image": Image(), "labels": LABELS}
        if with_ids:
            rows["id"] = [f"{split}{number}" for number in range(40)]
            features["id"] = Value("string")
        made[split] = Dataset.from_dict(rows, features=Features(features))
    DatasetDict(made).save_to_disk(str(folder))
    return folder


def reds(rows: Dataset) -> list[int]:
    return [image.getpixel((0, 0))[0] for image in rows["image"]]


@pytest.mark.parametrize("with_labels", [False, True])
@pytest.mark.parametrize("with_ids", [False, True])
@pytest.mark.parametrize("unlabeled", [0, 7])
def test_splits_are_those_of_training(tmp_path: Path, unlabeled: int, with_ids: bool, with_labels: bool) -> None:
    """`train` is what a run learns from, `validation` what it holds out, whatever else the rows are read for."""
    folder = saved(tmp_path / "set", "train", "test", unlabeled=unlabeled, with_ids=with_ids)
    trained = load_data(DataConfig(dataset=str(folder))).splits
    assert len(trained["validation"]) == (4 if not unlabeled else 3)
    for split in ("train", "validation", "test"):
        images = load_images(ImageSet(dataset=str(folder), split=split), with_labels)
        others = [] if with_labels or split == "validation" else list(range(unlabeled))  # they need no labels here
        assert reds(images.rows) == others + reds(trained[split])
        assert reds(load_split(DataConfig(dataset=str(folder)), split).rows) == reds(trained[split])
    whole = load_images(ImageSet(dataset=str(folder), split="train+validation"), with_labels)
    assert len(whole.rows) == 40 - unlabeled * with_labels


def test_what_is_held_out_is_told(tmp_path: Path) -> None:
    folder = saved(tmp_path / "set", "train", "test")
    for split in ("train", "validation"):
        (note,) = load_images(ImageSet(dataset=str(folder), split=split)).notes
        assert "4 of the 40 images" in note
    assert not load_images(ImageSet(dataset=str(folder), split="test")).notes
    assert not load_images(ImageSet(dataset=str(folder))).notes
    assert len(load_images(ImageSet(dataset=str(folder))).rows) == 80


def test_where_labels_cannot_be_read_all_are_taken_and_it_is_told(tmp_path: Path) -> None:
    """By what separates the labels, training tells which rows have some, and so which it holds out."""
    for number in range(20):
        (tmp_path / f"{number}.png").write_bytes(png(number))
    lines = [f"{number}.png,{'sea; sand' if number else ''}" for number in range(20)]
    (tmp_path / "t.csv").write_text("\n".join(["filename,labels", *lines]))
    given = {"dataset": str(tmp_path / "t.csv"), "split": "train"}
    images = load_images(ImageSet(**given), with_labels=False)
    assert len(images.rows) == 20 and any("all are taken" in note for note in images.notes)
    images = load_images(ImageSet(**given, label_separator=";"), with_labels=False)
    assert len(images.rows) == 18 and any("2 of the 20" in note for note in images.notes)


def test_several_splits_are_joined_alike(tmp_path: Path) -> None:
    folder = saved(tmp_path / "set", "train", "test")
    images = load_images(ImageSet(dataset=str(folder), split="train+test"))
    measured = load_split(DataConfig(dataset=str(folder)), "train+test")
    assert images.rows["id"][:] == measured.rows["id"][:]
    assert len(images.rows) == 76


def test_a_validation_split_of_its_own_holds_nothing_out(tmp_path: Path) -> None:
    folder = saved(tmp_path / "set", "train", "validation")
    for split in ("train", "validation", "train+validation"):
        images = load_images(ImageSet(dataset=str(folder), split=split))
        assert images.rows["id"][:] == [f"{name}{number}" for name in split.split("+") for number in range(40)]
        assert not images.notes


def test_a_stamp_changes_when_an_image_is_written_anew(tmp_path: Path) -> None:
    """Of files row by row, of images in a saved dataset with its files, in memory with the bytes; none is opened."""
    (tmp_path / "files").mkdir()
    for number in range(3):
        (tmp_path / "files" / f"{number}.png").write_bytes(png(number))
    before = load_images(ImageSet(images=str(tmp_path / "files"))).stamps()
    (tmp_path / "files" / "1.png").write_bytes(png(200) + b"more")
    (tmp_path / "files" / "2.png").chmod(0)  # nobody reads it
    after = load_images(ImageSet(images=str(tmp_path / "files"))).stamps()
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True]

    def stamps(split: str | None = None) -> list[str]:
        return load_images(ImageSet(dataset=str(folder), split=split)).stamps()

    folder = saved(tmp_path / "set", "train")
    first = stamps()
    assert first == stamps() and len(first) == 40 and len(stamps("train")) == 36
    shutil.rmtree(folder)
    saved(folder, "train")
    assert not set(first) & set(stamps())

    def in_memory(level: int) -> ImageSplit:
        rows = {"id": ["a", "b"], "image": [{"bytes": png(number), "path": "x.png"} for number in (1, level)]}
        features = Features({"id": Value("string"), "image": Image()})
        return ImageSplit(Dataset.from_dict(rows, features=features), (), (), {})

    one, other = in_memory(2).stamps(), in_memory(3).stamps()
    assert one[0] == other[0] and one[1] != other[1]


def test_all_images_without_labels_are_taken(tmp_path: Path) -> None:
    """Such as those of a Space, which stand in one split, train: no training holds any of them out."""
    values = {"id": [f"{number:02}" for number in range(20)], "image": [{"bytes": png(0), "path": None}] * 20}
    rows = Dataset.from_dict(values, features=Features({"id": Value("string"), "image": Image()}))
    rows.to_parquet(tmp_path / "images.parquet")
    split = load_images(ImageSet(dataset=str(tmp_path / "images.parquet"), split="train"))
    assert split.rows["id"][:] == [f"{number:02}" for number in range(20)]


def test_images_are_called_as_a_table_may_call_them(tmp_path: Path) -> None:
    (tmp_path / "photos" / "below").mkdir(parents=True)
    for name in ("photos/below/0.png", "elsewhere.png"):
        (tmp_path / name).write_bytes(png(0))
    files = [
        {"path": str(tmp_path / "photos" / "below" / "0.png"), "bytes": None},
        {"path": str(tmp_path / "elsewhere.png"), "bytes": None},
        {"path": "zip://0.png::https://example.org/photos.zip", "bytes": None},
        {"path": "0.png", "bytes": png(0)},
        {"path": None, "bytes": png(0)},
    ]
    rows = Dataset.from_dict(
        {"id": list("abcde"), "image": files}, features=Features({"id": Value("string"), "image": Image()})
    )
    whole = (tmp_path / "elsewhere.png").as_posix()
    expected = ["below/0.png", whole, "zip://0.png::https://example.org/photos.zip", None, None]
    assert ImageSplit(rows, (), (), {}, folder=tmp_path / "photos").image_names() == expected
    assert ImageSplit(rows, (), (), {}).image_names()[0] == (tmp_path / "photos" / "below" / "0.png").as_posix()
