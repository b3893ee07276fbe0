"""Files of a dataset: which there are, what reads them, and that every form says the same."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import datasets
import hypothesis
import pyarrow.feather
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.inputs.images import load_images
from mlrsnet_hf.inputs.load import load_data
from mlrsnet_hf.inputs.named_dataset import dataset_name, load_rows
from mlrsnet_hf.inputs.pixels.reading import RGB
from mlrsnet_hf.inputs.tables.image_files import open_first_images
from mlrsnet_hf.inputs.tables.tables import find_files

NAMES = ("sea", "bare soil", "never")
# Of eight images; the fourth is uncertain of soil, of the fifth nobody said whether it shows the sea.
COLUMNS = {
    "sea": [1, 0, 1, 0, None, 0, 1, 0],
    "bare soil": [0, 0, 1, -1, 1, 0, 0, 1],
    "never": [0] * 8,
    "fold": [0, 1] * 4,
}
PRESENT = [[0], [], [0, 1], [], [1], [], [0], [1]]
UNKNOWN = [[], [], [], [1], [0], [], [], []]


def picture(level: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (level, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with eight images."""
    (tmp_path / "data").mkdir()
    for i in range(8):
        (tmp_path / "data" / f"{i}.png").write_bytes(picture(i))
    return tmp_path / "data"


def text(separator: str, header: str = "image", ending: str = ".png") -> str:
    rows = [[header, *COLUMNS]]
    for i in range(8):
        cells = ["" if cells[i] is None else str(cells[i]) for cells in COLUMNS.values()]
        rows.append([f"{i}{ending}", *cells])
    return "\n".join(separator.join(row) for row in rows)


def table(header: str = "image", ending: str = ".png") -> Dataset:
    return Dataset.from_dict({header: [f"{i}{ending}" for i in range(8)], **COLUMNS})


def save_image_folder(folder: Path) -> Path:
    (folder / "metadata.csv").write_text(text(",", "file_name"))
    return folder


def save_json_folder(folder: Path) -> Path:
    rows = [{"file_name": f"{i}.png", **{name: cells[i] for name, cells in COLUMNS.items()}} for i in range(8)]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def save_uc_merced(folder: Path) -> Path:
    """Images in a folder of their scene, called without suffix; the table elsewhere, with tabs."""
    for i in range(8):
        scene = folder / "Images" / ("beach" if i % 2 else "forest")
        scene.mkdir(parents=True, exist_ok=True)
        (folder / f"{i}.png").rename(scene / f"{i}.png")
    path = folder / "LandUse_Multilabeled.txt"
    path.write_text(text("\t", "IMAGE\\LABEL", ""))
    return path


def written(name: str, save: Callable[[Path], object]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        save(folder / name)
        return folder / name

    write.__name__ = name
    return write


FORMS = [
    written("t.csv", lambda path: path.write_text(text(","))),
    written("t.TSV", lambda path: path.write_text(text("\t", "filename"))),
    written("t.txt", lambda path: path.write_text(text(";", " image ", ""), encoding="utf-8-sig")),
    written("t.parquet", lambda path: table().to_parquet(path)),
    written("t[1].PARQUET", lambda path: table("path").to_parquet(path)),
    written("t.feather", lambda path: pyarrow.feather.write_feather(table("img", "").data.table, path)),
    written("t.jsonl", lambda path: table().to_json(path)),
    written("t.JSON", lambda path: path.write_text(json.dumps(table().to_list(), indent=1))),
    save_image_folder,
    save_json_folder,
    save_uc_merced,
]


def unknown(split: Dataset) -> list[list[int]]:
    return split["unknown_labels"][:] if "unknown_labels" in split.column_names else [[]] * len(split)


def file_of(write: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


PARQUET = file_of(lambda buffer: table().to_parquet(buffer))
ARROW = file_of(lambda buffer: pyarrow.feather.write_feather(table().data.table, buffer))


@pytest.mark.parametrize("save", FORMS)
def test_one_column_per_class_in_every_form(folder: Path, save: Callable[[Path], Path]) -> None:
    place = str(save(folder))
    with pytest.raises(ConfigurationError, match=r"1 of 8 rows .*'bare soil'.*1 of 8 rows .*'sea'"):
        load_data(DataConfig(dataset=place))
    settings = {"dataset": place, "uncertain": "ignore", "missing": "ignore"}
    data = load_data(DataConfig(**settings, validation_share=0.3))
    assert data.label_names == NAMES
    found = {
        image.getpixel((0, 0))[0]: (name, labels, left_out)
        for split in data.splits.values()
        for image, name, labels, left_out in zip(
            split["image"], split["id"], split["labels"], unknown(split), strict=True
        )
    }
    assert found == {i: (f"{i}.png", PRESENT[i], UNKNOWN[i]) for i in range(8)}
    assert sum(data.source["unknown_labels"].values()) == 2
    # What is embedded is read in the same way.
    images = load_images(ImageSet(**settings))
    assert (images.label_names, images.rows["labels"][:]) == (NAMES, PRESENT)
    assert images.rows["id"][:] == [f"{i}.png" for i in range(8)]
    assert set(images.rows.column_names) == {"id", "image", "labels"}


def test_a_planet_table(tmp_path: Path) -> None:
    """Names of images without a suffix, or with backslashes, and the images elsewhere."""
    images = tmp_path / "disk" / "train-jpg"
    images.mkdir(parents=True)
    for i in range(4):
        (images / f"train_{i}.jpg").write_bytes(picture(i))
    path = tmp_path / "train_v2.csv"
    settings = {"dataset": str(path), "labels_column": "tags", "label_separator": " ", "validation_share": 0.5}
    for name in ("train_{}", "train-jpg\\train_{}.jpg", "/kaggle/input/train-jpg/train_{}.jpg"):
        path.write_text("image_name,tags\n" + "".join(f"{name.format(i)},clear p{i}\n" for i in range(4)))
        (tmp_path / "work").mkdir(exist_ok=True)
        with pytest.raises(ConfigurationError, match=r"train_v2\.csv: no image of 4 .*looked in .*work.*--image-dir"):
            load_data(DataConfig(**settings, image_dir=str(tmp_path / "work")))
        data = load_data(DataConfig(**settings, image_dir=str(images)))
        assert data.label_names == ("clear", "p0", "p1", "p2", "p3")
        assert sorted(name for split in data.splits.values() for name in split["id"]) == [
            f"train_{i}.jpg" for i in range(4)
        ]


def test_the_first_images_are_opened_at_once(folder: Path) -> None:
    (folder / "t.csv").write_text(text(","))
    (folder / "1.png").write_bytes(b"<html>")
    settings = {"dataset": str(folder / "t.csv"), "uncertain": "negative", "missing": "negative"}
    with pytest.raises(MLRSNetError, match=r"'1\.png' .*1\.png\) cannot be read"):
        load_data(DataConfig(**settings, validation_share=0.2))
    with pytest.raises(
        MLRSNetError, match=r"'1\.png' .*1\.png\) cannot be read"
    ):  # as `embed` does, once it has a model
        open_first_images([load_images(ImageSet(**settings)).rows], RGB)


def test_a_mistyped_table_is_not_looked_for_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlrsnet_hf.inputs.named_dataset.load_dataset", None)
    for name in ("train_v3.csv", "planet/train.PARQUET", "x.xlsx"):
        with pytest.raises(ConfigurationError, match=f"{name}: no such file"):
            load_data(DataConfig(dataset=name))


def test_whole_numbers_with_a_decimal_comma_are_labels(folder: Path) -> None:
    lines = ["image;sea;ice", *(f"{i}.png;{i % 2},0;{1 - i % 2},0" for i in range(4))]
    (folder / "comma.csv").write_text("\n".join(lines))
    data = load_data(DataConfig(dataset=str(folder / "comma.csv"), validation_share=0.3))
    assert data.label_names == ("sea", "ice")
    found = {
        name: ids for split in data.splits.values() for name, ids in zip(split["id"], split["labels"], strict=True)
    }
    assert found == {f"{i}.png": [1 - i % 2] for i in range(4)}


def files(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("image,a\n")


@pytest.mark.parametrize(
    ("names", "pattern", "splits"),
    [
        (["a.csv", "b.csv"], "*.csv", {"train": ["a.csv", "b.csv"]}),
        (
            ["train_1.csv", "train-2.csv", "val.csv", "my.test.csv"],
            "*.csv",
            {"train": ["train-2.csv", "train_1.csv"], "validation": ["val.csv"], "test": ["my.test.csv"]},
        ),
        (["test_a.csv", "test_b.csv"], "test_*.csv", {"train": ["test_a.csv", "test_b.csv"]}),
        (
            ["train/x/labels.csv", "Valid/x/labels.csv"],
            "**/*.csv",
            {"train": ["train/x/labels.csv"], "validation": ["Valid/x/labels.csv"]},
        ),
        (["trainval.csv", "northwest.csv"], "*.csv", {"train": ["northwest.csv", "trainval.csv"]}),
    ],
)
def test_files_of_a_pattern(tmp_path: Path, names: list[str], pattern: str, splits: dict[str, list[str]]) -> None:
    root = tmp_path / "testing train"  # what all have in common says nothing
    files(root, *names)
    files(root / ".ipynb_checkpoints", "train-checkpoint.csv")
    for dataset in (str(root / pattern), str(root)):
        found = find_files(DataConfig(dataset=dataset))
        assert found is not None
        assert {name: [file.relative_to(root).as_posix() for file in part] for name, part in found.items()} == splits


def test_a_pattern_of_splits_and_others_is_refused(tmp_path: Path) -> None:
    files(tmp_path, "train.csv", "more.csv")
    with pytest.raises(ConfigurationError, match=r"train\.csv says .*more\.csv does not"):
        find_files(DataConfig(dataset=str(tmp_path / "*.csv")))
    with pytest.raises(ConfigurationError, match="no file matches"):
        find_files(DataConfig(dataset=str(tmp_path / "*.tsv")))


def test_what_is_for_datasets_to_find(tmp_path: Path) -> None:
    files(tmp_path / "pictures", "labels.csv", "a.png")
    files(tmp_path / "card", "labels.csv")
    files(tmp_path / "packed", "metadata.csv", "images.zip")
    (tmp_path / "card" / "README.md").write_text("---\nconfigs: []\n---\n")
    for dataset in (
        "user/name",
        str(tmp_path / "pictures"),
        str(tmp_path / "card"),
        str(tmp_path / "packed"),
        str(tmp_path / "nowhere"),
    ):
        assert find_files(DataConfig(dataset=dataset)) is None


def test_a_table_beside_images_is_pointed_out(folder: Path) -> None:
    (folder / "t.csv").write_text(text(","))
    with pytest.raises(ConfigurationError, match=r"--dataset .*t\.csv"):
        load_data(DataConfig(dataset=str(folder)))


def test_a_pattern_is_no_name_of_a_repository(tmp_path: Path) -> None:
    assert dataset_name(DataConfig(dataset=str(tmp_path / "tables" / "*.csv"))) == ("tables/*.csv", None)


def test_splits_of_a_pattern_find_their_own_images(tmp_path: Path) -> None:
    """The same names in two folders, each with a table."""
    for level, name in enumerate(("train", "test")):
        (tmp_path / name).mkdir()
        for i in range(3):
            (tmp_path / name / f"{i}.png").write_bytes(picture(100 * level + i))
        (tmp_path / name / "labels.csv").write_text("image,sea\n0,1\n1,0\n2,1\n")
    data = load_data(DataConfig(dataset=str(tmp_path / "*" / "labels.csv")))
    assert [image.getpixel((0, 0))[0] for image in data.splits["test"]["image"]] == [100, 101, 102]
    rows = load_rows(DataConfig(dataset=str(tmp_path / "*" / "labels.csv")), "train+test")
    assert rows["sea"][:] == [1, 0, 1, 1, 0, 1]
    every = load_images(ImageSet(dataset=str(tmp_path / "*" / "labels.csv"), label_columns=("sea",)))
    assert sorted(image.getpixel((0, 0))[0] for image in every.rows["image"]) == [0, 1, 2, 100, 101, 102]
    assert set(every.source["split"].split("+")) == {"train", "test"}


def test_a_test_table_without_labels(folder: Path) -> None:
    (folder / "x_train.csv").write_text(text(",").replace("-1", "0"))
    (folder / "x_test.csv").write_text("image\n0.png\n1.png\n")
    data = load_data(DataConfig(dataset=str(folder / "x_*.csv"), missing="negative", validation_share=0.3))
    assert set(data.splits) == {"train", "validation"}
    (folder / "x_test.csv").write_text("image,sea,bare soil,never\n0.png,0,0,0\n1.png,0,1,0\n")
    data = load_data(DataConfig(dataset=str(folder / "x_*.csv"), missing="negative", validation_share=0.3))
    assert data.splits["test"]["labels"][:] == [[], [1]]


def test_metadata_of_all_splits_in_one_table(tmp_path: Path) -> None:
    rows = ["file_name,labels"]
    for name in ("train", "test"):
        (tmp_path / name).mkdir()
        for i in range(2):
            (tmp_path / name / f"{name}{i}.png").write_bytes(picture(i))
            rows.append(f"{name}/{name}{i}.png,NA|sea")
    (tmp_path / "metadata.csv").write_text("\n".join(rows))
    settings = {"label_separator": "|", "validation_share": 0.5}
    data = load_data(DataConfig(dataset=str(tmp_path), **settings))
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 1, "validation": 1, "test": 2}
    assert data.label_names == ("NA", "sea")
    by_reader = load_data(DataConfig(dataset="imagefolder", data_dir=str(tmp_path), **settings))
    assert by_reader.source["fingerprint"] == data.source["fingerprint"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.xlsx", b"PK", "as CSV"),
        ("x.ODS", b"PK", "as CSV"),
        ("x.zip", b"PK", "Unpack it.*--data-dir"),
        ("x.png", b"x", "folder of the images"),
        ("x.dat", b"x", r"kind \.dat are not read.*\.tsv"),
        ("x", b"x", "without a suffix are not read"),
        ("x.parquet.gz", b"x", r"kind \.gz are not read"),
        ("x.parquet", b"", "empty"),
        ("x.csv", b"", "empty"),
        ("x.parquet", b"hello", "cannot be read as Parquet"),
        ("x.arrow", b"hello", "cannot be read as Arrow"),
        ("x.json", b'{"a": ', "cannot be read as JSON"),
        ("x.jsonl", b"[" * 2000, "cannot be read as JSON"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_data(DataConfig(dataset=str(tmp_path / name)))
    assert name in caught.value.found
    assert "find any data file" not in str(caught.value)


def test_files_that_do_not_go_together(folder: Path) -> None:
    (folder / "a.csv").write_text("image,sea\n0.png,1\n")
    (folder / "b.csv").write_text("image,ice\n1.png,1\n")
    with pytest.raises(ConfigurationError, match=r"b\.csv and .*a\.csv differ in columns: ice, sea"):
        load_data(DataConfig(dataset=str(folder / "?.csv")))
    table().to_parquet(folder / "c.parquet")
    with pytest.raises(ConfigurationError, match="two kinds"):
        load_data(DataConfig(dataset=str(folder / "[ac].*")))


def test_near_equal_names_get_a_note(folder: Path, capsys: pytest.CaptureFixture) -> None:
    (folder / "t.csv").write_text("image,labels\n0.png,Water\n1.png, water |sea\n2.png,sea \n3.png,Water\n")
    data = load_data(DataConfig(dataset=str(folder / "t.csv"), label_separator="|"))
    assert data.label_names == ("Water", "sea", "water")
    assert "'Water' and 'water'" in capsys.readouterr().out


def test_nothing_known_of_a_split(folder: Path) -> None:
    (folder / "t.csv").write_text("image,sea\n0.png,-1\n1.png,-1\n2.png,-1\n")
    with pytest.raises(ConfigurationError, match="nothing is known of the labels of the train split"):
        load_data(DataConfig(dataset=str(folder / "t.csv"), uncertain="ignore"))


def test_ids_may_name_the_images(folder: Path) -> None:
    (folder / "t.csv").write_text("id,sea,ice\n0,1,0\n1,0,1\n2,1,1\n")
    data = load_data(DataConfig(dataset=str(folder / "t.csv"), validation_share=0.3))
    assert sorted(name for split in data.splits.values() for name in split["id"]) == ["0.png", "1.png", "2.png"]


def test_booleans_are_labels_where_it_is_said(folder: Path) -> None:
    (folder / "t.csv").write_text("image,sea,ice\n0.png,True,False\n1.png,false,TRUE\n2.png,True,True\n")
    with pytest.raises(ConfigurationError, match=r"no column 'labels'.*--label-columns sea,ice"):
        load_data(DataConfig(dataset=str(folder / "t.csv")))
    data = load_data(DataConfig(dataset=str(folder / "t.csv"), label_columns=("sea,ice",), validation_share=0.3))
    labels = dict(row for split in data.splits.values() for row in zip(split["id"], split["labels"], strict=True))
    assert labels == {"0.png": [0], "1.png": [1], "2.png": [0, 1]}


def test_settings_that_say_nothing_of_the_data_are_refused(folder: Path) -> None:
    (folder / "t.csv").write_text(text(","))
    with pytest.raises(ConfigurationError, match=r"data_dir=x .*image_dir"):
        load_data(DataConfig(dataset=str(folder / "t.csv"), data_dir="x"))
    with pytest.raises(ConfigurationError, match="image_dir=nowhere: no such folder"):
        load_data(DataConfig(dataset=str(folder / "t.csv"), image_dir="nowhere"))
    bytes_of = Dataset.from_dict({"image": [{"bytes": picture(0), "path": None}], "labels": [["a"]]})
    bytes_of.cast_column("image", datasets.Image()).to_parquet(folder / "t.parquet")
    with pytest.raises(ConfigurationError, match="'image' holds images, not their names"):
        load_data(DataConfig(dataset=str(folder / "t.parquet"), image_dir=str(folder)))
    with pytest.raises(ConfigurationError, match="label_columns and label_separator exclude each other"):
        DataConfig(dataset="x", label_columns=("a",), label_separator=",")


def test_an_image_in_several_rows_is_said(folder: Path, capsys: pytest.CaptureFixture) -> None:
    """As tables have it that name one label a row."""
    (folder / "t.csv").write_text("image,sea\n0.png,1\n0.png,0\n1.png,0\n")
    load_data(DataConfig(dataset=str(folder / "t.csv"), validation_share=0.3))
    assert "2 rows name the image" in capsys.readouterr().out


DAMAGE = [b",", b'"', b"\n", b"\x00", b"\xff", b"[", b"{", b"null", b"-1", b"1e999", b"9" * 30, b"../", b"[" * 3000]


@pytest.mark.parametrize("name", ["t.csv", "t.json", "coco.json", "t.parquet", "t.arrow"])
@given(
    cuts=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), st.sampled_from(DAMAGE)), min_size=1, max_size=3),
    separator=st.sampled_from([None, ";"]),
)
@hypothesis.settings(max_examples=25, suppress_health_check=list(hypothesis.HealthCheck))
def test_damaged_files_end_in_one_sentence(folder: Path, name: str, cuts: list, separator: str | None) -> None:
    whole = {
        "t.csv": b"image,labels,sea\n0.png,\"['a' 'b']\",1\n1.png,\"['a']\",0\n2.png,\"[]\",1\n",
        "t.json": json.dumps([{"image": f"{i}.png", "labels": ["a", "b"]} for i in range(3)]).encode(),
        "coco.json": json.dumps(
            {
                "images": [{"id": i, "file_name": f"{i}.png"} for i in range(3)],
                "annotations": [{"image_id": 1, "category_id": 5}],
                "categories": [{"id": 5, "name": "ship"}],
            }
        ).encode(),
        "t.parquet": PARQUET,
        "t.arrow": ARROW,
    }[name]
    for place, length, inserted in cuts:
        start = int(place * len(whole))
        whole = whole[:start] + inserted + whole[start + length :]
    (folder / name).write_bytes(whole)
    try:
        load_data(DataConfig(dataset=str(folder / name), label_separator=separator, validation_share=0.3))
    except MLRSNetError as error:
        assert len(str(error)) < 2000


def test_tables_that_are_not_for_training(folder: Path) -> None:
    for name in ("val", "test"):
        (folder / f"{name}.csv").write_text("image,sea\n0.png,1\n1.png,0\n")
    with pytest.raises(MLRSNetError, match="no split 'train'"):
        load_data(DataConfig(dataset=str(folder / "*.csv")))
    assert len(load_rows(DataConfig(dataset=str(folder / "*.csv")), "validation+test")) == 4


def test_metadata_without_names_of_files(folder: Path) -> None:
    (folder / "metadata.csv").write_text("sea,ice\n1,0\n0,1\n")
    with pytest.raises(ConfigurationError, match="no column 'image'"):
        load_data(DataConfig(dataset=str(folder)))
