"""JSON in the ways in which people write tables."""

import json
from pathlib import Path

import pytest
from datasets import Sequence as ListFeature
from datasets import Value

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.tables.json_tables import json_content, json_table, typed_json

ROWS = [{"image": "2019-01-01.png", "labels": ["a"]}, {"image": "b.png", "labels": []}]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        "\n".join(map(json.dumps, ROWS)),
        "\r\n".join(map(json.dumps, ROWS)) + "\r\n\r\n",
        json.dumps({"version": 1, "data": ROWS}),
        json.dumps({"image": ["2019-01-01.png", "b.png"], "labels": [["a"], []]}),
        json.dumps({" image ": ["2019-01-01.png", "b.png"], "labels": [["a"], []]}),
        json.dumps({"2019-01-01.png": ["a"], "b.png": []}),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_way_of_writing_gives_the_same_columns(tmp_path: Path, content: str, encoding: str) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(content.encode(encoding))
    [found] = typed_json({"train": [json_table(path, json_content(path))]})["train"]
    assert found.to_list() == ROWS
    assert found.features["image"] == Value("string")  # not a date


def test_types_are_those_of_all_splits() -> None:
    tables = {
        "train": [json_table(Path("a"), [{"image": "x", "n": 1, "labels": [1, 0]}, {"image": "y", "late": "z"}])],
        "test": [json_table(Path("b"), [{"image": "z", "n": 0.5, "labels": None}])],
    }
    found = typed_json(tables)
    [train], [test] = found["train"], found["test"]
    assert train.to_list()[1] == {"image": "y", "n": None, "labels": None, "late": "z"}
    assert train.features["n"] == test.features["n"] == Value("float64")
    assert train.features["labels"] == test.features["labels"] == ListFeature(Value("int64"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds nothing"),
        ("7", "no table"),
        ('["a.png"]', "no table"),
        ("[]", "no table"),
        ('{"image": "a.png"}\n{"image": ', "line 2: cannot be read as JSON"),
        ("[" * 100_000, "line 1: .*nested too deeply"),
        ('{"image": ' + "[" * 500 + "]" * 500 + "}", "'image' of record 0 is nested too deeply"),
        ('{"image": ' + "9" * 5000 + "}", "line 1"),
        ('[{"image": "a", "labels": ["a"]}, {"image": "b", "labels": "a"}]', "'labels' holds values of several kinds"),
        ('[{"image": "a", "labels": [' + "9" * 30 + "]}]", "'labels'"),
        ('[{"image": "a", " image": "b"}]', "two columns"),
        ("version https://git-lfs.github.com/spec/v1", "Git LFS"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "t.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=rf"t\.json.*{message}"):
        typed_json({"train": [json_table(path, json_content(path))]})
