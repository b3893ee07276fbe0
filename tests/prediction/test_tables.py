"""Tables of predictions: worked by hand, in each form."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.prediction.tables import PredictedRows, TableForm, open_table, refuse_ambiguous

TASK = Task(kind="labels+scene", label_names=("sea", "sand", "=ship"), scene_names=("beach", "port"))
ROWS = PredictedRows(
    ids=["a.png", "b.png", "torn.png"],
    scores=np.array([[0.2, 0.9, 0.5], [0.1, 0.2, 0.3], [np.nan] * 3], np.float32),
    scene_scores=np.array([[0.25, 0.75], [0.5, 0.5], [np.nan] * 2], np.float32),
    errors=[None, None, "cannot be read: torn"],
)
# Above 0.1, 0.5 and 0.4: of a sand, =ship and sea, the highest first; of b nothing, as 0.1 is not above 0.1.
THRESHOLDS = np.array([np.float32(0.1), 0.5, 0.4])


def written(path: Path, all_scores: bool = False) -> Path:
    with open_table(path, path.suffix, TableForm(TASK, THRESHOLDS, all_scores)) as table:
        table.write(table.form.columns(ROWS))
        table.write(table.form.columns(ROWS))
    return path


def test_csv(tmp_path: Path) -> None:
    rows = [
        "a.png,sand;=ship;sea,0.9;0.5;0.2,port,0.75,",
        "b.png,,,beach,0.5,",
        "torn.png,,,,,cannot be read: torn",
    ]
    expected = "\n".join(["id,labels,scores,scene,scene_score,error", *rows, *rows, ""])
    assert written(tmp_path / "out.csv").read_bytes().decode() == expected
    header, row = written(tmp_path / "all.csv", all_scores=True).read_text().splitlines()[:2]
    assert header.endswith("score:sea,score:sand,score:=ship,scene_score:beach,scene_score:port,error")
    assert row.endswith(",0.2,0.9,0.5,0.25,0.75,")


def test_json_lines(tmp_path: Path) -> None:
    lines = written(tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines[:3]] == [
        {
            "id": "a.png",
            "labels": ["sand", "=ship", "sea"],
            "scores": [0.9, 0.5, 0.2],
            "scene": "port",
            "scene_score": 0.75,
            "error": None,
        },
        {"id": "b.png", "labels": [], "scores": [], "scene": "beach", "scene_score": 0.5, "error": None},
        {
            "id": "torn.png",
            "labels": None,
            "scores": None,
            "scene": None,
            "scene_score": None,
            "error": "cannot be read: torn",
        },
    ]
    assert lines[3:] == lines[:3]


def test_parquet(tmp_path: Path) -> None:
    table = pq.read_table(written(tmp_path / "out.parquet", all_scores=True))
    assert table.schema.field("labels").type == pa.list_(pa.string())
    assert table["labels"].to_pylist()[:3] == [["sand", "=ship", "sea"], [], None]
    assert table["scores"].to_pylist()[0] == [np.float32(0.9), 0.5, np.float32(0.2)]
    assert table["score:sand"].to_pylist()[:3] == [np.float32(0.9), np.float32(0.2), None]
    assert table["scene_score"].to_pylist()[:3] == [0.75, 0.5, None]
    assert table["error"].null_count == 4


def test_labels_that_hold_what_stands_between_them() -> None:
    form = TableForm(Task(kind="labels", label_names=("sea;sand",)), np.array([0.5]))
    with pytest.raises(ConfigurationError, match="'sea;sand'"):
        refuse_ambiguous(".csv", form)
    refuse_ambiguous(".jsonl", form)
    refuse_ambiguous(".parquet", form)
