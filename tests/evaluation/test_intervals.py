"""Bootstrap intervals, against draws that are made one by one and scored by scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, precision_score, recall_score

from mlrsnet_hf.evaluation.intervals import SEED, Bounds, bootstrap_scores, draw_scores, rankings, weighted_map
from mlrsnet_hf.evaluation.scores import FURTHER_METRICS, Predictions, evaluate
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.metrics import METRICS

LABELS = ("often", "seldom", "once", "never")
TASKS = {
    kind: Task(kind=kind, label_names=LABELS, scene_names=("s", "t", "u"))
    for kind in ("labels", "labels+scene", "scene")
}
THRESHOLDS = np.array([0.3, 0.6, 0.4, 0.5])


def drawn(task: Task, images: int = 25) -> Predictions:
    """Return predictions with equal scores, with a label that many draws lack and one that occurs nowhere."""
    draw = np.random.default_rng(3)
    targets = (draw.random((images, 4)) < [0.5, 0.2, 0, 0]).astype(np.float32)
    targets[7, 2] = 1
    logits = (draw.normal(size=(images, 4)) + targets).round(0).astype(np.float32)
    scenes = np.append(draw.integers(2, size=images - 1), 2)
    return Predictions(
        targets=targets[:, : task.label_outputs],
        logits=logits[:, : task.label_outputs],
        scenes=scenes if task.scene_outputs else None,
        scene_logits=draw.normal(size=(images, 3)).astype(np.float32) if task.scene_outputs else None,
    )


def rows_of(predictions: Predictions, rows: np.ndarray) -> Predictions:
    return Predictions(
        targets=predictions.targets[rows],
        logits=predictions.logits[rows],
        scenes=None if predictions.scenes is None else predictions.scenes[rows],
        scene_logits=None if predictions.scene_logits is None else predictions.scene_logits[rows],
    )


def one_by_one(predictions: Predictions, draws: int) -> list[Predictions]:
    """Return the drawn images themselves."""
    draw, images = np.random.default_rng(SEED), len(predictions.targets)
    return [rows_of(predictions, draw.integers(images, size=images)) for _ in range(draws)]


def interval(values: list[float]) -> tuple[float, float]:
    low, high = np.nanquantile(values, [0.025, 0.975])
    return low, high


def map_by_scikit_learn(predictions: Predictions) -> float:
    occurring = predictions.targets.any(axis=0)
    if not occurring.any():
        return math.nan
    return average_precision_score(predictions.targets[:, occurring], predictions.scores[:, occurring])


@given(st.integers(0, 2**32 - 1))
def test_a_weight_counts_as_that_many_copies_of_an_image(seed: int) -> None:
    draw = np.random.default_rng(seed)
    true = draw.random((30, 3)) < 0.1
    scores = draw.integers(0, 8, (30, 3)) / 8  # some are equal
    weights = draw.integers(0, 4, (2, 30))
    for weight, value in zip(weights, weighted_map(rankings(true, scores), weights), strict=True):
        rows = np.repeat(np.arange(30), weight)
        present = np.flatnonzero(true[rows].any(axis=0))
        expected = [average_precision_score(true[rows, k], scores[rows, k]) for k in present]
        np.testing.assert_allclose(value, np.mean(expected) if expected else np.nan)


def test_map_is_that_of_draws_scored_by_scikit_learn() -> None:
    predictions = drawn(TASKS["labels"])
    draws = one_by_one(predictions, 120)
    assert 0 < sum(not draw.targets[:, 2].any() for draw in draws) < 120  # left out of some means, not of all
    found = bootstrap_scores({"validation": predictions}, TASKS["labels"], draws=120).validation.scores["map"]
    assert (found.low, found.high) == pytest.approx(interval([map_by_scikit_learn(draw) for draw in draws]))


def test_scene_accuracy_is_that_of_draws_scored_by_scikit_learn() -> None:
    predictions = drawn(TASKS["scene"])
    draws = one_by_one(predictions, 70)
    found = bootstrap_scores({"validation": predictions}, TASKS["scene"], draws=70).validation.scores
    accuracies = [accuracy_score(draw.scenes, draw.scene_logits.argmax(axis=1)) for draw in draws]
    macro = [
        f1_score(draw.scenes, draw.scene_logits.argmax(axis=1), labels=np.unique(draw.scenes), average="macro")
        for draw in draws
    ]
    assert (found["scene_accuracy"].low, found["scene_accuracy"].high) == pytest.approx(interval(accuracies))
    assert (found["macro_f1"].low, found["macro_f1"].high) == pytest.approx(interval(macro))


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("tuned", [False, True])
@pytest.mark.parametrize("kind", TASKS)
def test_every_score_has_the_interval_of_draws_made_one_by_one(kind: str, tuned: bool, unknown: bool) -> None:
    task = TASKS[kind]
    predictions = drawn(task)
    if unknown:
        predictions.targets[::3, :2] = np.nan
        predictions.targets[:2] = np.nan
    thresholds = THRESHOLDS if tuned and task.label_outputs else None
    found = bootstrap_scores({"validation": predictions, "test": predictions}, task, thresholds, draws=60)
    assert (found.draws, found.test) == (60, found.validation)
    draws = one_by_one(predictions, 60)
    for intervals, used in ((found.validation.scores, None), (found.validation.tuned, thresholds)):
        if intervals is None:
            assert used is None
            continue
        values = [evaluate(draw, task, used) for draw in draws]
        assert intervals.keys() == values[0].keys()
        for name, bounds in intervals.items():
            assert (bounds.low, bounds.high) == pytest.approx(interval([value[name] for value in values])), name


def test_what_is_never_known_has_no_interval() -> None:
    predictions = drawn(TASKS["labels"])
    predictions.targets[:] = np.nan
    found = bootstrap_scores({"validation": predictions}, TASKS["labels"], draws=3)
    assert found.test is None
    assert found.validation.scores.keys() == evaluate(predictions, TASKS["labels"]).keys()
    assert all(math.isnan(bounds.low) and math.isnan(bounds.high) for bounds in found.validation.scores.values())


def test_a_perfect_ranking_is_perfect_in_every_draw() -> None:
    targets = np.eye(4, dtype=np.float32)[np.arange(20) % 4]
    predictions = Predictions(targets=targets, logits=8 * targets - 4)
    found = bootstrap_scores({"validation": predictions}, TASKS["labels"], draws=20).validation.scores
    assert set(map(repr, found.values())) == {repr(Bounds(low=1.0, high=1.0))}


@pytest.mark.parametrize("unknown", [0, 1, 5])
def test_further_metrics_are_those_of_draws_one_by_one(unknown: int) -> None:
    """Against the registry's functions, on the known decisions of each draw alone."""
    predictions, task, draws = drawn(TASKS["labels"]), TASKS["labels"], 12
    for number in range(unknown):
        predictions.targets[3 * number, number % 4] = np.nan
    if unknown > 1:
        predictions.targets[20] = np.nan
    found = draw_scores(predictions, task, THRESHOLDS, draws, every=True)
    assert found.tuned is not None
    for number, one in enumerate(one_by_one(predictions, draws)):
        known = ~np.isnan(one.targets)
        true, scores = one.targets[known], one.scores[known]
        for thresholds, values in ((0.5, found.scores), (THRESHOLDS, found.tuned)):
            decided = one.scores > thresholds
            some = known.any(axis=1)
            wrong = ((decided != (one.targets == 1)) & known)[some]
            assert values["hamming_loss"][number] == pytest.approx(np.mean((decided != (one.targets == 1))[known]))
            assert values["subset_accuracy"][number] == pytest.approx(np.mean(~wrong.any(axis=1)))
            error = METRICS["calibration_error"].function(true[:, None], scores[:, None])
            assert values["calibration_error"][number] == pytest.approx(float(error))
            given = np.where(known, decided, False)[some], np.where(known, one.targets, 0)[some]
            precision = precision_score(given[1], given[0], average="samples", zero_division=0)
            recall = recall_score(given[1], given[0], average="samples", zero_division=0)
            assert values["sample_precision"][number] == pytest.approx(precision)
            assert values["sample_recall"][number] == pytest.approx(recall)
            whole = evaluate(one, task, None if isinstance(thresholds, float) else thresholds, every=True)
            for name in FURTHER_METRICS:
                assert values[name][number] == pytest.approx(whole[name])


@pytest.mark.parametrize("kind", TASKS)
def test_draws_of_whole_groups(kind: str) -> None:
    """Each draw has the images of as many groups as there are, drawn with replacement."""
    task = TASKS[kind]
    predictions = drawn(task, images=30)
    groups = np.random.default_rng(1).integers(9, size=30) * 7 + 3
    found = draw_scores(predictions, task, draws=20, every=True, groups=groups)
    draw, names = np.random.default_rng(SEED), np.unique(groups)
    for number in range(20):
        rows = np.concatenate([np.flatnonzero(groups == name) for name in draw.choice(names, size=len(names))])
        expected = evaluate(rows_of(predictions, rows), task, every=True)
        assert {name: values[number] for name, values in found.scores.items()} == pytest.approx(
            dict(expected), nan_ok=True
        )


def test_copies_of_images_in_one_group_tell_nothing_new() -> None:
    task = TASKS["labels"]
    once = drawn(task)
    copies = np.repeat(np.arange(25), 3)
    one, three = draw_scores(once, task, draws=40), draw_scores(rows_of(once, copies), task, draws=40, groups=copies)
    for name, values in one.scores.items():
        assert three.scores[name] == pytest.approx(values, nan_ok=True)
    # Drawn for themselves, the copies would pass for three times as many images.
    alone = draw_scores(rows_of(once, copies), task, draws=40)
    assert np.std(alone.scores["sample_f1"]) < 0.8 * np.std(one.scores["sample_f1"])
