from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from mlrsnet_hf.dataset.splits.split_files import content_hash, read_split_file
from mlrsnet_hf.errors import ConfigurationError

IDS = {"beach": ["beach_00002", "beach_00001"], "river": ["river_00001", "river_00002", "river_00003"]}


def csv_file(folder: Path, text: str) -> Path:
    path = folder / "split.csv"
    path.write_bytes(text.encode())
    return path


def test_csv(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "id,split\nriver_00002,test\nbeach_00002,train\nbeach_00001,train\nriver_00001,test\n")
    custom = read_split_file(path, IDS)
    assert custom.splits == {"test": ("river_00001", "river_00002"), "train": ("beach_00001", "beach_00002")}
    assert list(custom.splits) == ["test", "train"]
    assert custom.left_out == 1


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffid,split\r\nbeach_00001,train\r\nriver_00001,test",
        "split,notes,image\ntrain,,beach/beach_00001.jpg\n\ntest,x,Images\\river\\River_00001.JPG\n",
        "Filename,Subset\nbeach_00001.tif, train\nriver_00001.png,test \n",
        "sep=;\r\nid;split\r\nbeach_00001;train\r\n;\r\nriver_00001;test\r\n",
        "id|split\nbeach_00001|train\nriver_00001|test\n",
    ],
)
def test_spellings(tmp_path: Path, text: str) -> None:
    custom = read_split_file(csv_file(tmp_path, text), IDS)
    assert custom.splits == {"train": ("beach_00001",), "test": ("river_00001",)}
    assert custom.left_out == 3


def test_canonical_and_published_spelling(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "id,split\nharbor_port_00001.jpg,train\nharbor&port_00002,test\n")
    custom = read_split_file(path, {"harbor&port": ["harbor&port_00001", "harbor&port_00002"]})
    assert custom.splits == {"train": ("harbor&port_00001",), "test": ("harbor&port_00002",)}


def text_file(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(text.encode())
    return path


TRAIN_AND_TEST = {"train": ("beach_00001", "beach_00002"), "test": ("river_00001", "river_00003")}
LISTS = {
    "paths": ("./beach/beach_00002.jpg\nbeach/beach_00001.jpg\n", "./river/river_00003.jpg\nriver/river_00001.jpg"),
    "classes": ("beach/beach_00002.jpg 5\nbeach/beach_00001.jpg 5\n", "river_00003.PNG,33\r\nriver_00001.tif;33\r\n"),
    "bare names": ("\ufefffilename\n# mine\nbeach_00002\n\nbeach_00001\n", "river_00001 1\nriver_00003 1\n"),
    "Windows": (
        "C:\\My Data\\beach\\beach_00001.jpg\r\nbeach\\beach_00002.jpg",
        "'a b/river_00001.jpg'\nriver_00003\n",
    ),
    "tables": (
        "path,scene\nbeach_00001.jpg,5\nbeach_00002.jpg,5\n",
        "image_path\triver\nriver_00001\t0\nriver_00003\t0\n",
    ),
}


@pytest.mark.parametrize("form", LISTS)
def test_a_list_for_each_split(tmp_path: Path, form: str) -> None:
    train, test = LISTS[form]
    folder = tmp_path / "lists"
    paths = text_file(folder, "mlrsnet_test.txt", test), text_file(folder, "mlrsnet_train.txt", train)
    text_file(folder, "README.txt", "how they were drawn")
    text_file(folder, "classes.txt", "beach\nriver\n")
    custom = read_split_file(folder, IDS)
    assert (custom.splits, custom.left_out, custom.absent) == (TRAIN_AND_TEST, 1, {})
    assert list(custom.splits) == ["train", "test"]
    assert read_split_file(str(folder / "mlrsnet_*.txt"), IDS).splits == TRAIN_AND_TEST
    assert read_split_file(list(paths), IDS).splits == TRAIN_AND_TEST
    by_name = read_split_file({"a": paths[1], "b": str(paths[0])}, IDS).splits
    assert by_name == {"a": TRAIN_AND_TEST["train"], "b": TRAIN_AND_TEST["test"]}
    assert read_split_file(paths[1], IDS).splits == {"train": TRAIN_AND_TEST["train"]}
    assert len({content_hash(given) for given in (folder, list(paths), paths[1], {"a": paths[1]})}) == 4


def test_a_split_behind_each_path_and_json(tmp_path: Path) -> None:
    lines = "beach_00001.jpg train\nbeach_00002.jpg train\nriver_00001.jpg test\nriver_00003.jpg\ttest\n"
    assert read_split_file(text_file(tmp_path, "split.txt", lines), IDS).splits == TRAIN_AND_TEST
    content = '{"train": ["beach/beach_00001.jpg", "beach_00002"], "test": ["river_00001", "./river_00003.jpg"]}'
    assert read_split_file(text_file(tmp_path, "split.json", content), IDS).splits == TRAIN_AND_TEST


@pytest.mark.parametrize(
    "header", ["path", "image_path", "Image Path", "filepath", "filename", "img_name", "id;path", "path\tid", "name,id"]
)
def test_names_of_columns(tmp_path: Path, header: str) -> None:
    """Of several columns that may name the images, the one that does."""
    sign = next((sign for sign in ",;\t" if sign in header), ",")
    columns = header.split(sign)
    rows = [("beach/beach_00001.jpg", "train"), ("x/beach_00002.jpg", "train"), ("river_00001.jpg", "test")]
    lines = [sign.join(["split", *columns])] + [
        sign.join([split, *(str(number) if column == "id" else name for column in columns)])
        for number, (name, split) in enumerate([*rows, ("river_00003.jpg", "test")])
    ]
    assert read_split_file(csv_file(tmp_path, "\n".join(lines)), IDS).splits == TRAIN_AND_TEST


def test_a_full_list_with_a_part_of_the_images(tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    text_file(lists, "train.txt", "lake/lake_00001.jpg\nbeach/beach_00001.jpg\nbeach/beach_02500.jpg\n")
    text_file(lists, "val.txt", "forest/forest_01000.jpg\nforest/forest_01001.jpg\n")
    text_file(lists, "test.txt", "river/river_00001.jpg\n")
    custom = read_split_file(lists, IDS)
    assert custom.splits == {"train": ("beach_00001",), "test": ("river_00001",)}
    assert custom.absent == {
        "train": ("lake/lake_00001.jpg", "beach/beach_02500.jpg"),
        "val": ("forest/forest_01000.jpg", "forest/forest_01001.jpg"),
    }
    assert custom.notes() == [
        "2 of 3 images of split 'train' are not in this copy, such as lake/lake_00001.jpg",
        "2 of 2 images of split 'val' are not in this copy, such as forest/forest_01000.jpg: there is no such split",
        "3 images are in no split",
    ]


def test_names_of_ones_own_may_be_absent_where_nothing_is_misspelt(tmp_path: Path) -> None:
    """An image that is misspelt in a list would be there and not listed."""
    ids = {"beach": ["my-beach", "other"]}
    path = csv_file(tmp_path, "id,split\nmy-beach,train\nother,test\nelsewhere,test\n")
    assert read_split_file(path, ids).absent == {"test": ("elsewhere",)}
    with pytest.raises(ConfigurationError, match=r"row 4: image 'elsewhere' does not exist"):
        read_split_file(path, {"beach": ["my-beach", "other", "elsewere"]})


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("lake_00001\nforest_01000\n", r"row 1: image 'lake_00001' does not exist, nor do the 1 others"),
        ("beach_00001\nbeech_00002\n", r"row 2: image 'beech_00002' does not exist\. Did you mean 'beach_00002'"),
        ("beach_00001\nbeach_2\n", r"row 2: image 'beach_2' does not exist"),
        ("beach_00001\nbeach_00001.jpg\n", r"row 2: image 'beach_00001.jpg' is listed twice, in .*row 1 too"),
    ],
)
def test_lists_that_cannot_be_meant(tmp_path: Path, names: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_split_file(text_file(tmp_path, "train.txt", names), IDS)


def test_names_of_a_whole_scene_are_not_absent(tmp_path: Path) -> None:
    """All 2,500 beaches are there; number 2,501 does not exist, while other scenes may lie elsewhere."""
    ids = {"beach": [f"beach_{number:05}" for number in range(1, 2501)]}
    path = text_file(tmp_path, "train.txt", "beach_00001\nlake_00001\n")
    assert read_split_file(path, ids).absent == {"train": ("lake_00001",)}
    with pytest.raises(ConfigurationError, match=r"row 2: image 'beach_02501' does not exist\. Correct"):
        read_split_file(text_file(tmp_path, "train.txt", "beach_00001\nbeach_02501\n"), ids)


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "split.parquet"
    table = {"split": ["test", "train"], "image_id": ["river_00001.jpg", "beach_00001"], "score": [1.0, 2.0]}
    parquet.write_table(pa.table(table), path)
    assert read_split_file(path, IDS).splits == {"test": ("river_00001",), "train": ("beach_00001",)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,split\nbeach_00009,train\n", r"row 2: image 'beach_00009' does not exist\. Did you mean 'beach_0000"),
        ("id,split\nbeach_00001,train\nbeach_00001.jpg,test\n", r"row 3: image 'beach_00001\.jpg'"),
        ("id,split\nbeach_00001,all\n", "row 2: 'all' cannot name a split"),
        ("id,split\nbeach_00001,a/b\n", "row 2: 'a/b' cannot name a split"),
        ("id,split\nbeach_00001,\n", "row 2: '' cannot name a split"),
        ("id,split\nbeach_00001\n", "row 2: 1 values where the header has 2"),
        ("id,split\n", "no rows"),
        ("", "empty file"),
        ("id,fold\nbeach_00001,train\n", "split column: no such column"),
        ("id,split\nbeach_00001,tr\x00ain\n", "cannot name a split|not a CSV"),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_split_file(csv_file(tmp_path, text), IDS)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"split\.xlsx: none of"):
        read_split_file(text_file(tmp_path, "split.xlsx", "PK"), IDS)
    with pytest.raises(ConfigurationError, match=r"no list of a split in it, such as train\.txt"):
        read_split_file(tmp_path, IDS)
    with pytest.raises(ConfigurationError, match="not JSON"):
        read_split_file(text_file(tmp_path, "split.json", "["), IDS)
    with pytest.raises(ConfigurationError, match="'train' is no list"):
        read_split_file(text_file(tmp_path, "split.json", '{"train": {"a": 1}}'), IDS)
    with pytest.raises(ConfigurationError, match="no such file"):
        read_split_file(tmp_path / "none.csv", IDS)
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    with pytest.raises(ConfigurationError, match="not a Parquet file"):
        read_split_file(tmp_path / "bad.parquet", IDS)
    (tmp_path / "bad.csv").write_bytes(b"id,split\n\xff,train\n")
    with pytest.raises(ConfigurationError, match="not text in UTF-8"):
        read_split_file(tmp_path / "bad.csv", IDS)
