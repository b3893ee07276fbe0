"""Datasets of many shapes, saved and loaded as users have them, brought to one form."""

import contextlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from datasets import Sequence as ListFeature
from PIL import Image as PillowImage

from mlrsnet_hf.cli import Train
from mlrsnet_hf.configuration.command_line import parse
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError, UnknownNameError
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.load import data_from_splits, load_data, load_split
from mlrsnet_hf.inputs.pixels.decoding import ImageFiles, decode_pixels
from mlrsnet_hf.inputs.task import ImageData
from mlrsnet_hf.release import holds_release
from mlrsnet_hf.synthetic.release import CONTACT_SHEET

LABELS = ListFeature(ClassLabel(names=["sand", "sea", "trees"]))
FEATURES = Features({"id": Value("string"), "image": Image(), "labels": LABELS, "scene": Value("string")})


def png(level: int) -> bytes:
    buffer = io.BytesIO()
    PillowImage.new("RGB", (4, 4), (level, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def rows(name: str, count: int) -> dict[str, list]:
    return {
        "id": [f"{name}{i}" for i in range(count)],
        "image": [{"bytes": png(i), "path": f"{name}_{i}.png"} for i in range(count)],
        "labels": [[i % 3] for i in range(count)],
        "scene": ["beach" if i % 2 else "forest" for i in range(count)],
    }


def split(name: str, count: int, without: tuple[str, ...] = ()) -> Dataset:
    return Dataset.from_dict(rows(name, count), features=FEATURES).remove_columns(list(without))


def arranged(splits: dict[str, Dataset], **config: object) -> tuple[ImageData, list[str]]:
    """Return the data, and the lines of the log."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        data = data_from_splits(splits, DataConfig(**{"dataset": "user/name"} | config))
    return data, told.getvalue().splitlines()


def levels(images: Dataset) -> list[int]:
    """Return the red level of each image, which its bytes alone tell."""
    return [image.getpixel((0, 0))[0] for image in images["image"]]


def test_columns_are_the_standard_ones() -> None:
    data, said = arranged({"train": split("a", 6), "validation": split("b", 3), "test": split("c", 2)})
    for name, images in data.splits.items():
        assert set(images.column_names) == {"id", "image", "labels", "scene"}, name
    train = data.splits["train"]
    assert (train["id"][4], train["labels"][4], train["scene"][3], levels(train)[5]) == ("a4", [1], 0, 5)
    assert (data.label_names, data.scene_names) == (("sand", "sea", "trees"), ("beach", "forest"))
    [line] = said
    for fact in ("6 train", "3 validation", "2 test", "3 labels", "column 'labels'", "2 scenes", "column 'id'"):
        assert fact in line


def test_columns_of_other_names() -> None:
    names = {"id": "file", "image": "picture", "labels": "tags", "scene": "land_use"}
    splits = {name: split(name, 4).rename_columns(names) for name in ("train", "validation")}
    given = {f"{role}_column": name for role, name in names.items()}
    data, _ = arranged(splits, **given)
    plain, _ = arranged({name: split(name, 4) for name in ("train", "validation")})
    assert data.splits["train"].to_dict() == plain.splits["train"].to_dict()
    assert data.source["fingerprint"] == plain.source["fingerprint"]


def test_validation_is_held_out_by_seed_and_ids_alone() -> None:
    train = split("a", 20)
    data, said = arranged({"train": train, "test": split("c", 2)}, validation_share=0.25)
    held = data.splits["validation"]["id"][:]
    assert len(held) == 5
    assert sorted([*held, *data.splits["train"]["id"][:]]) == sorted(train["id"][:])
    assert any("5 training images" in line and "split_seed" in line for line in said)
    shuffled, _ = arranged({"train": train.shuffle(seed=1)}, validation_share=0.25)
    assert sorted(shuffled.splits["validation"]["id"][:]) == sorted(held)
    other, _ = arranged({"train": train}, validation_share=0.25, split_seed=1)
    assert sorted(other.splits["validation"]["id"][:]) != sorted(held)
    assert data.source["held_out"] == 5


def test_no_test_split_is_said() -> None:
    data, said = arranged({"train": split("a", 4), "val": split("b", 3)})
    assert set(data.splits) == {"train", "validation"}
    assert any("no test split" in line for line in said)
    assert data.source["held_out"] == 0


@pytest.mark.parametrize(
    ("paths", "ids", "said"),
    [
        (["x/1.png", "y/2.png", "3.png"], ["1.png", "2.png", "3.png"], "the files' names"),
        (["x/1.png", "y/1.png", "3.png"], ["train/0", "train/1", "train/2"], "the rows' numbers"),
        ([None, None, None], ["train/0", "train/1", "train/2"], "the rows' numbers"),
    ],
)
def test_ids_where_there_are_none(paths: list, ids: list[str], said: str) -> None:
    values = rows("a", 3)
    del values["id"]
    values["image"] = [{"bytes": png(i), "path": path} for i, path in enumerate(paths)]
    train = Dataset.from_dict(values, features=Features({k: v for k, v in FEATURES.items() if k != "id"}))
    data, lines = arranged({"train": train, "validation": split("b", 3, without=("id",))})
    assert data.splits["train"]["id"][:] == ids
    assert lines[0].endswith(f"ids from {said}")


def test_ids_that_occur_twice_are_an_error_only_where_they_are_asked_for() -> None:
    train = Dataset.from_dict(rows("a", 3) | {"id": ["x", "y", "x"]}, features=FEATURES)
    splits = {"train": train, "validation": split("b", 3)}
    with pytest.raises(ConfigurationError, match=r"train .*'x' .*'id'.* 0 and 2"):
        arranged(splits, id_column="id")
    data, said = arranged(splits)
    assert data.splits["train"]["id"][:] == ["a_0.png", "a_1.png", "a_2.png"]
    assert any("column 'id'" in line and "'x'" in line and "0 and 2" in line for line in said)


UNKNOWN = {
    "null": (LABELS, [None, None, None]),
    "class -1": (LABELS, [[-1], [-1], [-1]]),
    "empty": (LABELS, [[], [], []]),
    "names": (ListFeature(Value("string")), [None, None, None]),
}


@pytest.mark.parametrize("form", UNKNOWN)
@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_split_without_labels_is_left_out(part: str, form: str) -> None:
    feature, values = UNKNOWN[form]
    features = Features(FEATURES | {"labels": feature})
    unlabeled = Dataset.from_dict(rows("c", 3) | {"labels": values}, features=features)
    data, said = arranged({"train": split("a", 20), part: unlabeled})
    assert {name: len(images) for name, images in data.splits.items()} == {"train": 18, "validation": 2}
    assert f"data: the {part} split" in said[0]


def test_a_split_without_the_column_of_labels_is_left_out() -> None:
    splits = {"train": split("a", 20), "validation": split("b", 3), "test": split("c", 3, without=("labels",))}
    data, _ = arranged(splits)
    assert set(data.splits) == {"train", "validation"}
    with pytest.raises(ConfigurationError, match=r"test .*'labels'"):
        arranged(splits, test_split="test")


def test_splits_that_are_there_can_be_left_out() -> None:
    splits = {"train": split("a", 20), "validation": split("b", 3), "test": split("c", 3)}
    data, _ = arranged(splits, test_split=None, validation_split=None)
    assert {name: len(images) for name, images in data.splits.items()} == {"train": 18, "validation": 2}
    settings = parse(Train, None, ["--test-split", "none", "--validation-split", "none"])
    assert settings.data == DataConfig(test_split=None, validation_split=None)


def test_rows_without_labels_are_left_out_and_counted() -> None:
    train = Dataset.from_dict(rows("a", 4) | {"labels": [[0], None, [], [2]]}, features=FEATURES)
    data, said = arranged({"train": train, "validation": split("b", 3)})
    assert data.splits["train"]["id"][:] == ["a0", "a2", "a3"]
    assert levels(data.splits["train"]) == [0, 2, 3]
    assert any("1 rows of the train split" in line and "'labels'" in line for line in said)
    nothing = Dataset.from_dict(rows("a", 2) | {"labels": [None, None]}, features=FEATURES)
    with pytest.raises(ConfigurationError, match=r"train .*'labels'"):
        arranged({"train": nothing})


def test_scenes_that_nobody_asked_for_need_not_be_in_order() -> None:
    train = Dataset.from_dict(rows("a", 3) | {"scene": ["beach", None, "forest"]}, features=FEATURES)
    splits = {"train": train, "validation": split("b", 3)}
    data, said = arranged(splits)
    assert data.scene_names == ()
    assert any("split train, row 1: column 'scene'" in line for line in said)
    with pytest.raises(ConfigurationError, match="split train, row 1: column 'scene'"):
        arranged(splits, scene_column="scene")


def test_the_format_of_a_dataset_does_not_matter() -> None:
    numbers = Features(FEATURES | {"labels": ListFeature(Value("int64"))})
    train = Dataset.from_dict(rows("a", 20), features=numbers)
    plain, _ = arranged({"train": train})
    data, _ = arranged({"train": train.with_format("torch")})
    assert data.label_names == ("0", "1", "2")
    assert data.source["fingerprint"] == plain.source["fingerprint"]


def test_ids_in_two_splits_are_pointed_out() -> None:
    _, said = arranged({"train": split("a", 4), "validation": split("a", 2), "test": split("c", 2)})
    assert all(fact in said[-1] for fact in ("2 ids", "train", "validation", "'a0'"))


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({"train_split": "trian"}, UnknownNameError, r"'trian' \(train_split\).* 'train'\?"),
        ({"test_split": "all"}, UnknownNameError, r"'all' \(test_split\).* train, validation"),
        ({"test_split": "validation"}, ConfigurationError, "'validation' .* validation and test"),
        (
            {"image_column": "img"},
            ConfigurationError,
            "'img' .* id, image, .*--image-column image",
        ),
        ({"labels_column": "tags"}, ConfigurationError, "'tags' .*--labels-column labels"),
        ({"scene_column": "scenes"}, ConfigurationError, "--scene-column.* 'scene'"),
        ({"image_column": "scene", "scene_column": "id"}, ConfigurationError, "no image of 4 .*--image-dir"),
        ({"image_column": "labels", "labels_column": "image"}, ConfigurationError, "--image-column image"),
    ],
)
def test_what_is_not_there_is_named(config: dict, error: type[MLRSNetError], message: str) -> None:
    splits = {"train": split("a", 4), "validation": split("b", 3)}
    with pytest.raises(error, match=message):
        arranged(splits, **config)


def test_an_empty_split_is_named() -> None:
    with pytest.raises(ConfigurationError, match="validation"):
        arranged({"train": split("a", 4), "validation": split("b", 0)})


def test_scenes_alone() -> None:
    splits = {name: split(name, 4, without=("labels",)) for name in ("train", "validation")}
    data, _ = arranged(splits, labels_column=None)
    assert (data.label_names, data.scene_names) == ((), ("beach", "forest"))
    assert data.splits["train"]["labels"][:] == [[], [], [], []]


def test_image_bytes_are_not_copied() -> None:
    """The rows of a drawn split point into the table that was loaded."""
    data, _ = arranged({"train": split("a", 20)})
    tables = [data.splits[name].data.column("image") for name in ("train", "validation")]
    addresses = {table.chunk(0).field("bytes").buffers()[-1].address for table in tables}
    assert len(addresses) == 1


def save_parquet(folder: Path) -> None:
    for name in ("train", "test"):
        split(name, 4).to_parquet(folder / f"{name}.parquet")


def save_disk(folder: Path) -> None:
    DatasetDict({name: split(name, 4) for name in ("train", "test")}).save_to_disk(str(folder))


def save_image_folder(folder: Path) -> None:
    for name in ("train", "test"):
        (folder / name).mkdir()
        lines = []
        for i in range(4):
            (folder / name / f"{name}{i}.png").write_bytes(png(i))
            lines.append(json.dumps({"file_name": f"{name}{i}.png", "labels": [["sand", "sea", "trees"][i % 3]]}))
        (folder / name / "metadata.jsonl").write_text("\n".join(lines))


def save_zipped_folder(folder: Path) -> None:
    """Images in an archive, as many sets on the Hub have them; `datasets` does not unpack it."""
    for name in ("train", "test"):
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            lines = []
            for i in range(4):
                archive.writestr(f"{i}.png", png(i))
                lines.append(json.dumps({"file_name": f"{i}.png", "labels": [["sand", "sea", "trees"][i % 3]]}))
            archive.writestr("metadata.jsonl", "\n".join(lines))


@pytest.mark.parametrize("save", [save_parquet, save_disk, save_image_folder, save_zipped_folder])
def test_local_folders(tmp_path: Path, save: Callable[[Path], None]) -> None:
    folder = tmp_path / "my scenes"
    folder.mkdir()
    save(folder)
    data = load_data(DataConfig(dataset=str(folder), validation_share=0.5))
    assert {name: len(images) for name, images in data.splits.items()} == {"train": 2, "validation": 2, "test": 4}
    assert data.label_names == ("sand", "sea", "trees")
    assert levels(data.splits["test"]) == [0, 1, 2, 3]
    files = ImageFiles(data.splits["test"])
    assert [decode_pixels(files[i], "x")[0, 0, 0] for i in range(4)] == [0, 1, 2, 3]
    assert len(set(data.splits["test"]["id"][:])) == 4
    assert data.splits["test"]["labels"][:] == [[0], [1], [2], [0]]
    assert data.source["dataset"] == "my scenes"
    assert str(tmp_path) not in str(data.source)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_table_of_paths(tmp_path: Path, suffix: str) -> None:
    """The paths lead from the table's folder, whatever the working folder is."""
    (tmp_path / "tiles").mkdir()
    rows = [{"file": f"tiles/{i}.png", "tags": ["sand; sea", "trees", "sea"][i % 3]} for i in range(4)]
    for i in range(4):
        (tmp_path / f"tiles/{i}.png").write_bytes(png(i))
    table = tmp_path / f"scenes.{suffix}"
    lines = (
        ["file,tags", *(f"{row['file']},{row['tags']}" for row in rows)] if suffix == "csv" else map(json.dumps, rows)
    )
    table.write_text("\n".join(lines))
    names = {"image_column": "file", "labels_column": "tags", "label_separator": ";"}
    data = load_data(DataConfig(dataset=str(table), validation_share=0.25, **names))
    assert data.label_names == ("sand", "sea", "trees")
    both = [(name, images) for name, images in data.splits.items()]
    labels = {i: tags for _, images in both for i, tags in zip(images["id"], images["labels"], strict=True)}
    assert labels == {"0.png": [0, 1], "1.png": [2], "2.png": [1], "3.png": [0, 1]}
    assert sorted(level for _, images in both for level in levels(images)) == [0, 1, 2, 3]


def test_bytes_and_paths_in_other_types(tmp_path: Path) -> None:
    values = rows("a", 3)
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for i, file in enumerate(files):
        file.write_bytes(png(i))
    contents = [png(i) for i in range(3)]
    forms = {
        "large_binary": (Value("large_binary"), contents),
        "large_string": (Value("large_string"), [str(file) for file in files]),
        "bytes alone": ({"bytes": Value("binary")}, [{"bytes": content} for content in contents]),
    }
    for form, (kind, images) in forms.items():
        train = Dataset.from_dict(values | {"image": images}, features=Features(FEATURES | {"image": kind}))
        data, _ = arranged({"train": train}, validation_split=None, validation_share=0.3)
        assert sorted(levels(data.splits["train"]) + levels(data.splits["validation"])) == [0, 1, 2], form


def test_a_split_of_another_name_is_pointed_out() -> None:
    splits = {"train": split("a", 6), "val": split("b", 3), "eval": split("c", 2), "extra": split("d", 2)}
    _, said = arranged(splits)
    assert "eval, extra;" in said[0]
    _, said = arranged(splits, test_split="eval")
    assert "extra;" in said[0]
    assert "eval" not in said[0]


def test_what_a_card_calls_the_dataset(tmp_path: Path) -> None:
    """Neither a path of this machine nor the name of a reader."""
    folder = tmp_path / "my scenes"
    folder.mkdir()
    save_image_folder(folder)
    config = DataConfig(dataset="imagefolder", data_dir=str(folder), validation_share=0.5)
    source = load_data(config).source
    assert (source["dataset"], source["hub_id"]) == ("my scenes", None)
    source = arranged({"train": split("a", 4)})[0].source
    assert (source["dataset"], source["hub_id"]) == ("user/name", "user/name")


def test_one_parquet_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split("a", 4).to_parquet(tmp_path / "scenes.parquet")
    monkeypatch.setenv("HOME", str(tmp_path))
    data = load_data(DataConfig(dataset="~/scenes.parquet"))
    assert (data.source["dataset"], data.source["hub_id"]) == ("scenes.parquet", None)
    assert {name: len(images) for name, images in data.splits.items()} == {"train": 3, "validation": 1}


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"empty'.* 'mlrsnet', a dataset on the Hub"):
        (tmp_path / "empty").mkdir()
        load_data(DataConfig(dataset=str(tmp_path / "empty")))


@pytest.mark.parametrize("form", ["folder", "wrapped", "zip", "one table"])
def test_a_copy_of_the_release_is_no_dataset_but_data_dir(
    make_release: Callable[..., Path], tmp_path: Path, form: str
) -> None:
    root = make_release({"beach": 2}, root="copy/release" if form == "wrapped" else "copy")
    given = Path(shutil.make_archive(str(tmp_path / "copy"), "zip", root)) if form == "zip" else tmp_path / "copy"
    if form == "one table":
        (root / "Labels" / "beach.csv").rename(root / "Labels" / "all.csv")
    with pytest.raises(ConfigurationError, match=f"--data-dir {given}"):
        load_data(DataConfig(dataset=str(given)))


def test_folders_named_images_and_labels_are_no_release(tmp_path: Path) -> None:
    """As detectors have them, with a text file of boxes for each picture."""
    for folder, name in (("images", "1.jpg"), ("labels", "1.txt"), ("labels", "classes.csv")):
        (tmp_path / "boxes" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "boxes" / folder / name).write_bytes(b"0 0.5 0.5 1 1")
    assert not holds_release(tmp_path / "boxes")
    assert not holds_release(tmp_path / "nowhere")


def test_splits_of_ones_own_are_trained_on(
    make_release: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    root = make_release({"beach": 4})
    for split, names in {"train": ["beach_00003", "beach_00001"], "val": ["beach_00004", "lake_00001"]}.items():
        (tmp_path / f"{split}.txt").write_text("".join(f"./beach/{name}.jpg\n" for name in names))
    data = load_data(DataConfig(data_dir=str(root), split_file=str(tmp_path)))
    assert {name: split["id"][:] for name, split in data.splits.items()} == {
        "train": ["beach_00001", "beach_00003"],
        "validation": ["beach_00004"],
    }
    assert data.source["protocol"] == "custom"
    told = capsys.readouterr().err
    assert "1 of 2 images of split 'val' are not in this copy, such as ./beach/lake_00001.jpg" in told
    assert "1 images are in no split" in told
    with pytest.raises(ConfigurationError, match="with no protocol but 'custom'"):
        DataConfig(split_file=str(tmp_path), protocol="ratio20")


@pytest.mark.parametrize("ids", ["ids", "files", "rows"])
def test_splits_of_ones_own_of_any_dataset(tmp_path: Path, capsys: pytest.CaptureFixture, ids: str) -> None:
    """The dataset's own splits count for nothing; names are ids, files of any folder, or numbers of rows."""
    splits = DatasetDict(train=split("a", 4), test=split("b", 3))
    if ids != "ids":
        splits = splits.remove_columns("id")
    if ids == "rows":
        pictures = [{"bytes": png(level), "path": None} for level in range(7)]
        splits = DatasetDict(
            train=splits["train"].remove_columns("image").add_column("image", pictures[:4], feature=Image()),
            test=splits["test"].remove_columns("image").add_column("image", pictures[4:], feature=Image()),
        )
    splits.save_to_disk(str(tmp_path / "set"))
    first, second, third, *_ = {
        "ids": ("b1", "a0", "a3"),
        "files": ("folder/B_1", "a_0.png", "x/a_3.JPG"),
        "rows": ("train+test/5", "train+test/0", "train+test/3"),
    }[ids]
    (tmp_path / "fold.csv").write_text(f"id,split\n{first},train\n{second},test\n{third},train\n")
    config = DataConfig(
        dataset=str(tmp_path / "set"),
        split_file=str(tmp_path / "fold.csv"),
        validation_split=None,
        validation_share=0.5,
    )
    data = load_data(config)
    learned = [*levels(data.splits["train"]), *levels(data.splits["validation"])]
    assert sorted(learned) == sorted([3, {"ids": 1, "files": 1, "rows": 5}[ids]])
    assert levels(data.splits["test"]) == [0]
    assert data.splits["test"]["labels"][:] == [[0]]
    assert data.source["protocol"] == "custom"
    assert "4 images are in no split" in capsys.readouterr().out
    test = load_split(config, "test")
    assert test.role == "test" and test.rows["id"][:] == data.splits["test"]["id"][:]
    assert test.training_fingerprint == data.source["fingerprint"]
    expected = {"ids": "a0", "files": "a_0.png", "rows": "train+test/0"}[ids]
    assert test.rows["id"][:] == [expected]


def test_lists_that_do_not_fit_a_dataset(tmp_path: Path) -> None:
    DatasetDict(train=split("a", 4)).save_to_disk(str(tmp_path / "set"))
    for content, named in (
        ("a0,train\nc9,test", "row 3: there is no image 'c9'"),
        ("a0,train\nA0,test", "row 3: image 'A0' is listed twice"),
        ("", "no rows"),
    ):
        (tmp_path / "fold.csv").write_text(f"id,split\n{content}\n")
        with pytest.raises(ConfigurationError, match=named):
            load_data(DataConfig(dataset=str(tmp_path / "set"), split_file=str(tmp_path / "fold.csv")))


@pytest.mark.usefixtures("known_as_mlrsnet")
def test_repairs_are_said_once(make_release: Callable[..., Path], capsys: pytest.CaptureFixture) -> None:
    """The fake release labels forests with ships, which no forest carries; the builder would warn of it too."""
    root = make_release({"beach": 11, "forest": 11, "harbor&port": 11}, labels=("water", "ships"))
    data = load_data(DataConfig(data_dir=str(root), split_seed=2))
    printed = capsys.readouterr()
    assert (printed.out + printed.err).count("repaired labels") == 1
    assert data.source["repaired"] > 0
    assert data.source | {"fingerprint": ""} == {
        "dataset": "mlrsnet",
        "hub_id": None,
        "protocol": "ratio20",
        "split_seed": 2,
        "held_out": 0,
        "labels": "verified",
        "repaired": data.source["repaired"],
        "is_mlrsnet": True,
        "synthetic": False,
        "fingerprint": "",
    }
    assert len(data.label_names) == 60
    assert len(data.scene_names) == 46
    as_published = load_data(DataConfig(data_dir=str(root), label_version="as-published"))
    assert as_published.source["repaired"] == 0
    assert as_published.source["fingerprint"] != data.source["fingerprint"]


def test_drawn_images_are_told_apart(make_release: Callable[..., Path], tmp_path: Path) -> None:
    """The contact sheet is what this package leaves in a folder that it drew."""
    (make_release({"beach": 11}) / CONTACT_SHEET).write_bytes(b"")
    root = str(tmp_path / "release")
    assert load_data(DataConfig(data_dir=root)).source["synthetic"] is True


def test_real_images_of_another_set(shared: Path) -> None:
    data = load_data(DataConfig(dataset=str(shared / "data/ucm_multilabel")))
    assert {name: len(images) for name, images in data.splits.items()} == {"train": 1285, "validation": 395}
    assert (len(data.label_names), len(data.scene_names)) == (17, 21)
    assert data.splits["train"][0]["image"].size == (256, 256)


def test_one_split_is_what_training_takes_it_for(tmp_path: Path) -> None:
    splits = {"train": split("a", 20), "test": split("b", 3), "extra": split("c", 2)}
    DatasetDict(splits).save_to_disk(str(tmp_path / "data"))
    config = DataConfig(dataset=str(tmp_path / "data"), validation_share=0.25)
    whole = load_data(config)
    for name, rows in whole.splits.items():
        one = load_split(config, name)
        assert one.rows["id"][:] == rows["id"][:]
        assert (one.role, one.training_fingerprint) == (name, whole.source["fingerprint"])
        assert one.label_names == whole.label_names
    other = load_split(config, "extra+test")
    assert other.rows["id"][:] == [*splits["extra"]["id"][:], *splits["test"]["id"][:]]
    assert (other.role, other.training_fingerprint) == (None, None)
    assert other.label_names == whole.label_names
    with pytest.raises(UnknownNameError, match="extra"):
        load_split(config, "extr")


@pytest.mark.parametrize("own", [(), ("validation",)])
def test_the_splits_there_are_are_named_validation_first(tmp_path: Path, own: tuple[str, ...]) -> None:
    """Not `train`, as the name nearest to `test`: scores on that say nothing."""
    splits = {name: split(name, 20) for name in ("extra", "train", *own)}
    DatasetDict(splits).save_to_disk(str(tmp_path / "data"))
    with pytest.raises(UnknownNameError) as caught:
        load_split(DataConfig(dataset=str(tmp_path / "data")), "test")
    places = [caught.value.remedy.index(name) for name in ("validation", "train", "extra")]
    assert places == sorted(places)


def test_splits_of_mlrsnet_are_joined(make_release: Callable[..., Path]) -> None:
    root = make_release({"beach": 20, "airport": 20})
    config = DataConfig(data_dir=str(root), protocol="retrieval10")
    joined = load_split(config, "query+database")
    parts = [load_split(config, name).rows["id"][:] for name in ("query", "database")]
    assert joined.rows["id"][:] == [*parts[0], *parts[1]]
    assert joined.source["protocol"] == "retrieval10"
