from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from mlrsnet_hf.dataset.splits.split_files import read_split_file
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
        ("", "id column: no such column"),
        ("id,fold\nbeach_00001,train\n", "split column: no such column"),
        ("id,image,split\nbeach_00001,x,train\n", "id column: columns id, image"),
        ("id,split\nbeach_00001,tr\x00ain\n", "cannot name a split|not a CSV"),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_split_file(csv_file(tmp_path, text), IDS)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"split\.txt: "):
        read_split_file(tmp_path / "split.txt", IDS)
    with pytest.raises(ConfigurationError, match="no such file"):
        read_split_file(tmp_path / "none.csv", IDS)
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    with pytest.raises(ConfigurationError, match="not a Parquet file"):
        read_split_file(tmp_path / "bad.parquet", IDS)
    (tmp_path / "bad.csv").write_bytes(b"id,split\n\xff\xfe,train\n")
    with pytest.raises(ConfigurationError, match="not a CSV in UTF-8"):
        read_split_file(tmp_path / "bad.csv", IDS)
