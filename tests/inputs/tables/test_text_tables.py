"""Tables as programs and people write them, all with the same cells."""

import gzip
from pathlib import Path

import pytest

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.tables.text_tables import read_text_table, typed

CELLS = {"image": ["0", "1"], "bare soil": ["1", "0"], "sea": ["0", "1"]}


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        ("csv", "image,bare soil,sea\n0,1,0\n1,0,1\n"),
        ("csv", "image;bare soil;sea\r\n0;1;0\r\n1;0;1"),
        ("txt", "image\tbare soil\tsea\n0\t1\t0\n1\t0\t1\n"),
        ("TSV", "image,bare soil,sea\n\n0,1,0\n,,\n1,0,1\n"),  # the suffix decides nothing
        ("csv", " image , bare soil ,sea \n 0 , 1,0\n1,0 , 1 \n"),
        ("csv", '"image"|"bare soil"|"sea"\n"0"|"1"|"0"\n"1"|"0"|"1"\n'),
        ("txt", 'image  "bare soil" sea\n0 1 0\n1 0 1\n'),
        ("csv", "sep=;\nimage;bare soil;sea\n0;1;0\n1;0;1\n"),
        ("csv", "image,bare soil,sea,,\n0,1,0,,\n1,0,1,,\n"),
        ("csv", "image,bare soil,sea,\n0,1,0\n1,0,1\n"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_way_of_writing_gives_the_same_cells(tmp_path: Path, suffix: str, content: str, encoding: str) -> None:
    path = tmp_path / f"table.{suffix}"
    path.write_bytes(content.encode(encoding))
    assert read_text_table(path).columns == CELLS
    packed = tmp_path / f"table.{suffix}.gz"
    packed.write_bytes(gzip.compress(content.encode(encoding)))
    assert read_text_table(packed).columns == CELLS


def test_a_separator_in_names_separates_nothing(tmp_path: Path) -> None:
    """What stands between labels is not what stands between cells."""
    path = tmp_path / "table.csv"
    for content in ("file,tags\na,x;y|z w\nb,x;y|z w\n", "file;tags\na;x,y z\nb;x\n", 'file,tags\na,"x,y"\nb,"x\ny"\n'):
        path.write_text(content)
        assert list(read_text_table(path).columns) == ["file", "tags"]
    assert read_text_table(path).columns["tags"] == ["x,y", "x\ny"]


def test_a_column_without_a_name(tmp_path: Path) -> None:
    """As pandas writes its index."""
    path = tmp_path / "table.csv"
    path.write_text(",image,sea\n0,a.png,1\n1,b.png,0\n")
    assert list(read_text_table(path).columns) == ["Unnamed: 0", "image", "sea"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"image,labels\n", "one line"),
        (b"image,labels\na.png,sea,sand\n", r"line 2: 3 cells, but the header has 2 \(separator: ','\)"),
        (b"image,sea,sand\na.png,1,0\n\nb.png,1\n", "line 4: 2 cells"),
        (b"image,sea,sea\na.png,1,0\n", "two columns are named 'sea'"),
        (b"a.png,1,0\nb.png,0,1\n", "'a.png, 1, 0', names no columns"),
        (b"agricultural00\t0\t0\t1\nagricultural01\t0\t0\t1\n", "names no columns"),
        (b"image,labels\na.png,\xe9t\xe9\n", "not text in UTF-8"),
        (b"image,labels\na.png,\x00\n", "zero bytes"),
        (b"PK\x03\x04 and so on", "Excel"),
        (b"PAR1 and so on", "Parquet"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer"),
        (b"\x1f\x8b\x08 cut", "cannot be read"),
        (gzip.compress(b"image,labels\na.png,sea\n")[:-12] + b"\xff" * 12, "cannot be read"),
        (b"/annex/objects/SHA256E-s10--00.csv\n", "git-annex pointer"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=rf"table\.csv.*{message}"):
        read_text_table(path)


def test_types_are_those_of_all_splits(tmp_path: Path) -> None:
    text = {
        "train": "image,id,n,x,b,labels,zeros,e\n1,7,1,1,true,NA,007,\n2,8,-1,0.5,False,None,1,\n",
        "test": "image,id,n,x,b,zeros,e\n3,9,NaN,,,2,\n",
    }
    tables = {}
    for name, content in text.items():
        (tmp_path / f"{name}.csv").write_text(content)
        tables[name] = [read_text_table(tmp_path / f"{name}.csv")]
    found = typed(tables, {"image", "id"})
    [train], [test] = found["train"], found["test"]
    assert train[:] == {
        "image": ["1", "2"],
        "id": ["7", "8"],
        "n": [1, -1],
        "x": [1.0, 0.5],
        "b": [True, False],
        "labels": ["NA", "None"],
        "zeros": ["007", "1"],
        "e": [None, None],
    }
    assert test[0] == {"image": "3", "id": "9", "n": None, "x": None, "b": None, "zeros": "2", "e": None}
    assert {name: train.features[name] for name in test.column_names} == test.features
