import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.evaluation.intervals import Bounds, ScoreIntervals, SplitIntervals
from mlrsnet_hf.evaluation.scores import LabelScore
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.history import Epoch, read_history
from mlrsnet_hf.training.results import DataSummary, ModelSummary, RunSummary, SplitScores, TrainingResult, TunedScores
from mlrsnet_hf.training.run_folder import RunFolder

VALIDATION = {"sample_f1": 0.8, "map": 0.9}
TEST = {"sample_f1": 0.7, "map": math.nan}
RESULT = TrainingResult(
    recipe="modern",
    config=TrainingConfig(output_dir=Path("runs/a"), trackers=("tensorboard", "trackio")),
    data=DataSummary(
        source={"dataset": "mlrsnet", "protocol": "ratio20", "fingerprint": "abc"},
        label_names=("airport", "ship", "never"),
        scene_names=("airport",),
        images={"train": 7, "validation": 3, "test": 4},
    ),
    model=ModelSummary(
        name="resnet18.tv_in1k", architecture="resnet18", parameters=11, weights="pretrained", image_size=224
    ),
    task="labels",
    history=(Epoch(epoch=1, step=5, loss=0.1 + 0.2, learning_rate=1e-3, validation=VALIDATION),),
    scored_epoch=1,
    scores=SplitScores(validation=VALIDATION, test=TEST),
    tuned=TunedScores(
        thresholds={"airport": 0.25, "ship": 0.6, "never": 0.5},
        untuned=("never",),
        validation={"sample_f1": 0.85, "map": 0.9},
        test={"sample_f1": 0.75, "map": math.nan},
        few={"airport": 1, "ship": 2},
    ),
    eval_symmetries=8,
    labels=(
        LabelScore(label="airport", images=2, average_precision=1.0, f1=0.5, threshold=0.25),
        LabelScore(label="ship", images=1, average_precision=1 / 3, f1=0.0, threshold=0.6),
        LabelScore(label="never", images=0, average_precision=math.nan, f1=math.nan, threshold=0.5),
    ),
    run=RunSummary(
        processes=2,
        precision="bf16",
        device="cuda",
        batch={"global": 32, "per_process": 16, "accumulation": 2},
        seconds=12.3456,
        resumed=True,
        versions={"torch": "2.9"},
    ),
)
WITHOUT_TEST = replace(
    RESULT,
    data=replace(RESULT.data, images={"train": 7, "validation": 3}),
    scores=replace(RESULT.scores, test=None),
    tuned=None,
    eval_symmetries=1,
)


def test_the_file_has_the_documented_form(tmp_path: Path) -> None:
    RESULT.save(tmp_path / "results.json")
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    found = json.loads((tmp_path / "results.json").read_text())
    assert found.pop("config")["output_dir"] == "runs/a"
    assert found == {
        "format": 2,
        "recipe": "modern",
        "data": {
            "dataset": "mlrsnet",
            "protocol": "ratio20",
            "fingerprint": "abc",
            "label_names": ["airport", "ship", "never"],
            "scene_names": ["airport"],
            "images": {"train": 7, "validation": 3, "test": 4},
        },
        "model": {
            "name": "resnet18.tv_in1k",
            "architecture": "resnet18",
            "parameters": 11,
            "weights": "pretrained",
            "image_size": 224,
        },
        "task": "labels",
        "history": [
            {
                "epoch": 1,
                "step": 5,
                "loss": 0.30000000000000004,
                "learning_rate": 0.001,
                "validation": {"sample_f1": 0.8, "map": 0.9},
                "validation_loss": None,
            }
        ],
        "scored_epoch": 1,
        "scores": {"validation": {"sample_f1": 0.8, "map": 0.9}, "test": {"sample_f1": 0.7, "map": None}},
        "tuned": {
            "thresholds": {"airport": 0.25, "ship": 0.6, "never": 0.5},
            "untuned": ["never"],
            "validation": {"sample_f1": 0.85, "map": 0.9},
            "test": {"sample_f1": 0.75, "map": None},
            "few": {"airport": 1, "ship": 2},
        },
        "eval_symmetries": 8,
        "labels": [
            {"label": "airport", "images": 2, "average_precision": 1.0, "f1": 0.5, "threshold": 0.25},
            {"label": "ship", "images": 1, "average_precision": 0.3333333333333333, "f1": 0.0, "threshold": 0.6},
            {"label": "never", "images": 0, "average_precision": None, "f1": None, "threshold": 0.5},
        ],
        "run": {
            "processes": 2,
            "precision": "bf16",
            "device": "cuda",
            "batch": {"global": 32, "per_process": 16, "accumulation": 2},
            "seconds": 12.35,
            "resumed": True,
            "versions": {"torch": "2.9"},
        },
        "intervals": None,
    }


NO_BOUNDS = Bounds(low=math.nan, high=math.nan)
WITH_INTERVALS = replace(
    RESULT,
    intervals=ScoreIntervals(
        draws=1000,
        seed=0,
        confidence=0.95,
        validation=SplitIntervals(scores={"map": Bounds(low=0.8, high=0.95)}, tuned=None),
        test=SplitIntervals(
            scores={"sample_f1": Bounds(low=0.65, high=0.75), "map": NO_BOUNDS},
            tuned={"sample_f1": Bounds(low=0.7, high=0.8), "map": NO_BOUNDS},
        ),
    ),
)


def test_the_report_of_scores_with_intervals() -> None:
    assert WITH_INTERVALS.report().splitlines()[2:5] == [
        "  sample-F1 0.7000 (0.6500 to 0.7500), 0.7500 (0.7000 to 0.8000) with tuned thresholds",
        "  mAP not defined",
        "  in brackets the middle 95% of 1,000 bootstrap draws of the images (seed 0); what does not occur in a draw "
        "counts in no mean of that draw",
    ]


def test_results_of_before_intervals_were_measured_are_read() -> None:
    values = {name: value for name, value in RESULT.to_dict().items() if name != "intervals"}
    assert TrainingResult.from_dict(values).intervals is None


@pytest.mark.parametrize("result", [RESULT, WITHOUT_TEST, WITH_INTERVALS], ids=["test", "no test", "intervals"])
def test_what_is_saved_is_read_back(tmp_path: Path, result: TrainingResult) -> None:
    path = tmp_path / "results.json"
    result.save(path)
    found = TrainingResult.load(path)
    assert found.to_dict() == result.to_dict()
    assert found.config == result.config
    assert found.history == result.history
    assert found.labels[:2] == result.labels[:2]
    assert math.isnan(found.labels[2].f1)
    assert found.data == result.data
    assert found.report() == result.report()


def test_the_file_of_a_run_is_read_back(run: TrainingResult) -> None:
    found = TrainingResult.load(RunFolder(run.config.output_dir).results)
    assert found.to_dict() == run.to_dict()
    assert found.intervals.test.scores.keys() == run.scores.test.keys()
    assert found.config == run.config
    assert read_history(RunFolder(run.config.output_dir).history[0]) == found.history == run.history


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("{", "cannot be read"),
        ("[]", "no results"),
        ("{}", "format None, .* 2"),
        ('{"format": 3}', "format 3, .* 2"),
        (
            '{"format": 2, "recipe": null, "config": {}}',
            "data, model, task, .*, run",
        ),
    ],
)
def test_another_file_is_refused_by_name(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "results.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match=rf"results\.json: .*{message}"):
        TrainingResult.load(path)


@pytest.mark.parametrize("part", ["config", "model", "run", "labels", "tuned", "scores"])
def test_a_part_that_is_missing_is_named(part: str) -> None:
    values = {name: value for name, value in RESULT.to_dict().items() if name != part}
    with pytest.raises(ConfigurationError, match=part):
        TrainingResult.from_dict(values)


@pytest.mark.parametrize("part", ["config", "model", "run"])
def test_a_part_that_is_foreign_is_named(part: str) -> None:
    values = RESULT.to_dict()
    with pytest.raises(ConfigurationError, match="color"):
        TrainingResult.from_dict({**values, part: {**values[part], "color": "red"}})


def test_a_setting_that_cannot_be_used_is_named_with_the_file(tmp_path: Path) -> None:
    values = RESULT.to_dict()
    values["config"]["loss"] = "hinge"
    path = tmp_path / "results.json"
    path.write_text(json.dumps(values))
    with pytest.raises(ConfigurationError, match=r"results\.json: config\.loss='hinge'"):
        TrainingResult.load(path)


def test_the_report_of_a_run() -> None:
    assert RESULT.report() == (
        "Test split, 4 images, model of epoch 1:\n"
        "  logits averaged over 8 symmetries of each image\n"
        "  sample-F1 0.7000, 0.7500 with tuned thresholds\n"
        "  mAP not defined\n"
        "  1 of 3 labels do not occur there and count in no mean over labels\n"
        "  no validation image has never: threshold 0.5 kept\n"
        "  warning: fewer than 20 validation images with, or without, the label chose the threshold of airport (1), "
        "ship (2); on other images it may be far off"
    )


def test_the_report_without_a_test_split() -> None:
    assert WITHOUT_TEST.report().splitlines()[:4] == [
        "Validation split, 3 images, model of epoch 1:",
        "  there is no test split; these images chose the epoch too, so expect less on others",
        "  sample-F1 0.8000",
        "  mAP 0.9000",
    ]


def test_the_last_epoch_is_not_chosen_by_validation() -> None:
    last = replace(WITHOUT_TEST, config=replace(WITHOUT_TEST.config, keep="last"))
    assert last.report().splitlines()[1] == "  there is no test split"


def test_the_versions_are_those_of_this_machine() -> None:
    run = RunSummary(processes=1, precision="no", device="cpu", batch={}, seconds=1.0, resumed=False)
    assert {"python", "torch", "timm", "mlrsnet-hf"} <= set(run.versions)


def test_the_places_of_a_run() -> None:
    assert RunFolder(Path("runs/a")).parts_text() == (
        "model:   runs/a/model (for timm and transformers)\n"
        "results: runs/a/results.json\n"
        "history: runs/a/history.json, runs/a/history.csv\n"
        "curves:  runs/a/curves.png\n"
        "measure: mlrsnet evaluate runs/a (and what names the dataset)\n"
        "predict: mlrsnet predict runs/a IMAGES\n"
        "publish: mlrsnet publish runs/a USER/NAME"
    )
