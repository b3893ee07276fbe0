"""Which parts the app has, how it ends, and what it says of what cannot be opened."""

import dataclasses
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlrsnet_hf.apps.config import AppConfig
from mlrsnet_hf.cli import main
from mlrsnet_hf.evaluation.scores import Predictions
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.prediction.predictions_file import (
    SavedPredictions,
    ScoredPredictions,
)
from tests.apps.conftest import LABELS, Made
from tests.prediction.test_predictions_file import made_info

pytest.importorskip("gradio", reason="the extra app is not installed")
pytest.importorskip("milvus_lite")

Serve = Callable[..., Any]


def tabs(address: str) -> list[str]:
    """The names of the tabs, as the page's own description has them."""
    with urllib.request.urlopen(f"{address}config") as answer:
        content = json.load(answer)
    return [one["props"]["label"] for one in content["components"] if one["type"] == "tabitem"]


def test_each_part_has_a_tab(made: Made, serve: Serve, tmp_path: Path) -> None:
    own = shutil.copytree(made.index, tmp_path / "index")  # that of the other tests may be open
    for model, index, data, expected in (
        (made.run, None, None, ["Classify"]),
        (None, own, None, ["Search"]),
        (None, None, made.data, ["Explore"]),
        (made.run, own, made.data, ["Classify", "Search", "Explore"]),
    ):
        config = AppConfig(model=model and str(model), index=index and str(index))
        with serve(config, data and DataConfig(dataset=str(data))) as address:
            assert tabs(address) == expected
            assert re.match(r"http://127\.0\.0\.1:\d+/$", address)


def refused(arguments: list[str], capsys: pytest.CaptureFixture) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["app", *arguments])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert len(told.strip().splitlines()) == 1
    return told


def test_what_cannot_be_opened(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert "nowhere" in refused(["--index", str(tmp_path / "nowhere")], capsys)
    assert "nowhere" in refused(["--model", str(tmp_path / "nowhere")], capsys)
    assert "--data-dir" in refused(["--model", str(made.run), "--evaluation", str(tmp_path)], capsys)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert port in refused(["--model", str(made.run), "--port", port], capsys)


def test_the_command_serves_and_ends(made: Made) -> None:
    command = [sys.executable, "-m", "mlrsnet_hf", "app", "--model", str(made.run)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    assert process.stdout is not None
    said = next(line for line in process.stdout if line.startswith("app: "))
    address = said.split()[1]
    assert tabs(address) == ["Classify"]
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130 and "nothing is lost" in told and "Traceback" not in told


@pytest.fixture
def evaluation(made: Made, tmp_path: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """Predictions of the test split, without its last image; with targets and scores."""
    draw = np.random.default_rng(0)
    rows = made.rows["test"]
    targets = np.zeros((29, len(LABELS)), np.float32)
    for row, labels in enumerate(rows["labels"][:29]):
        targets[row, labels] = 1
    logits = draw.normal(size=targets.shape).astype(np.float32)
    scores = Predictions(targets, logits, None, None).scores
    info = made_info("labels", 29)
    model = dataclasses.replace(info.model, name="net")
    info = dataclasses.replace(info, model=model, thresholds=dict.fromkeys(LABELS, 0.5))
    saved = SavedPredictions(
        info=info,
        ids=tuple(rows["id"][:29]),
        task=Task(kind="labels", label_names=LABELS),
        predictions=ScoredPredictions.of_scores(targets, scores),
    )
    saved.write(tmp_path / "predictions.parquet")
    return tmp_path, targets, scores


@pytest.mark.browser
def test_errors_stand_worst_first(
    made: Made, serve: Serve, open_page: Callable, evaluation: tuple[Path, np.ndarray, np.ndarray]
) -> None:
    folder, targets, scores = evaluation
    names = made.rows["test"]["id"]
    config, data = AppConfig(evaluation=folder), DataConfig(dataset=str(made.data))
    with serve(config, data) as address:
        page = open_page("Explore", at=address)
        page.get_by_text("82 of 82 images").wait_for()
        for kind, wrong, order in (
            ("Wrongly said", (scores > 0.5) & (targets == 0), -scores),
            ("Missed", (scores <= 0.5) & (targets == 1), scores),
        ):
            page.get_by_label(kind).check()
            counts = wrong.sum(axis=0)
            label = int(np.argmax(counts))
            page.get_by_text(f"{counts[label]} images of which net").wait_for()
            expected = [names[row] for row in np.argsort(order[:, label], kind="stable") if wrong[row, label]]
            assert page.locator(".gallery .name").all_inner_texts() == expected
            told = page.locator(".gallery figcaption").first.inner_text()
            assert f"score {scores[names.index(expected[0]), label]:.3f}, threshold 0.500" in told


def test_a_click_takes_no_file_that_is_no_example(made: Made, tmp_path: Path, picture: Callable) -> None:
    """What a click tells comes from the browser, and may be any text."""
    import gradio as gr

    from mlrsnet_hf.apps.classify import ClassifyTab
    from mlrsnet_hf.apps.page import UploadError
    from mlrsnet_hf.apps.parts import open_parts

    picture([0], 1).save(tmp_path / "private.png")
    config = AppConfig(model=str(made.run))
    with open_parts(config, DataConfig(dataset=str(made.data))) as parts, gr.Blocks():
        assert parts.model is not None
        examples = parts.examples()
        tab = ClassifyTab(parts.model, examples, parts.thumbnails, None)
        with pytest.raises(UploadError):
            tab._content(("example", str(tmp_path / "private.png")))
        name = next(iter(examples))
        assert tab._content(("example", name))[0] == name
