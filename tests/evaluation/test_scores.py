import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, f1_score

from mlrsnet_hf.evaluation.scores import (
    Predictions,
    evaluate,
    evaluate_splits,
    few_images,
    is_better,
    label_scores,
    tune_thresholds,
)
from mlrsnet_hf.inputs.task import Task

LABELS = ("red", "green", "blue", "striped", "never")
TASK = Task(kind="labels", label_names=LABELS)
BOTH = Task(kind="labels+scene", label_names=LABELS, scene_names=("s", "t", "u"))
SCENE = Task(kind="scene", label_names=LABELS, scene_names=("s", "t", "u"))


def drawn(task: Task, images: int = 30) -> Predictions:
    """Return predictions in which the last label never occurs and scene 2 neither."""
    draw = np.random.default_rng(0)
    targets = (draw.random((images, task.label_outputs)) < 0.4).astype(np.float32)
    targets[:, -1:] = 0
    scenes = draw.integers(2, size=images) if task.scene_outputs else None
    logits = draw.normal(size=(images, task.outputs)).astype(np.float32)
    return Predictions(
        targets=targets,
        logits=logits[:, : task.label_outputs] + targets,
        scenes=scenes,
        scene_logits=logits[:, task.label_outputs :] if task.scene_outputs else None,
    )


def test_label_metrics_are_scikit_learns() -> None:
    predictions = drawn(TASK)
    thresholds = np.array([0.3, 0.4, 0.5, 0.6, 0.7])
    targets, scores = predictions.targets[:, :4].astype(int), predictions.scores[:, :4]
    for given, used in ((None, np.full(5, 0.5)), (thresholds, thresholds)):
        found = evaluate(predictions, TASK, given)
        assert list(found) == ["sample_f1", "f1_of_means", "map", "micro_f1", "macro_f1"]
        decided = predictions.scores > used
        whole = predictions.targets.astype(int)
        assert found["map"] == pytest.approx(average_precision_score(targets, scores, average="macro"))
        assert found["sample_f1"] == pytest.approx(f1_score(whole, decided, average="samples", zero_division=0))
        assert found["micro_f1"] == pytest.approx(f1_score(whole, decided, average="micro"))
        assert found["macro_f1"] == pytest.approx(f1_score(targets, decided[:, :4], average="macro"))


def test_scene_metrics_are_scikit_learns() -> None:
    predictions = drawn(SCENE)
    assert predictions.scene_logits is not None
    predicted = predictions.scene_logits.argmax(axis=1)
    found = evaluate(predictions, SCENE)
    assert list(found) == ["scene_accuracy", "macro_f1"]
    assert found["scene_accuracy"] == pytest.approx(accuracy_score(predictions.scenes, predicted))
    assert found["macro_f1"] == pytest.approx(f1_score(predictions.scenes, predicted, labels=[0, 1], average="macro"))


def test_both_tasks_are_measured() -> None:
    predictions = drawn(BOTH)
    found = evaluate(predictions, BOTH)
    labels = evaluate(Predictions(targets=predictions.targets, logits=predictions.logits), TASK)
    scenes = evaluate(
        Predictions(
            targets=np.zeros((30, 0), np.float32),
            logits=np.zeros((30, 0), np.float32),
            scenes=predictions.scenes,
            scene_logits=predictions.scene_logits,
        ),
        SCENE,
    )
    assert found == labels | {"scene_accuracy": scenes["scene_accuracy"]}


def test_metrics_and_labels_by_hand() -> None:
    # Label a is ranked perfectly, b has its positive at rank 2, c does not occur.
    task = Task(kind="labels", label_names=("a", "b", "c"))
    predictions = Predictions(
        targets=np.array([[1, 0, 0], [0, 1, 0]], np.float32), logits=np.array([[4, 2, -9], [-4, 1, -9]], np.float32)
    )
    # F1 of the first image: predicted a and b, true a: 2/3; of the second: 1.
    # Mean precision (1/2 + 1) / 2, mean recall 1: F1 of means 2 * 3/4 / (7/4) = 6/7.
    # In all 2 hits of 3 predicted and 2 true: 4/5. By label: a 1, b 2/3; c does not occur and is left out.
    assert evaluate(predictions, task) == pytest.approx(
        {"sample_f1": 5 / 6, "f1_of_means": 6 / 7, "map": 0.75, "micro_f1": 4 / 5, "macro_f1": 5 / 6}
    )
    a, b, c = label_scores(predictions, task)
    assert (a.label, a.images, a.average_precision, a.f1, a.threshold) == ("a", 1, 1.0, 1.0, 0.5)
    assert (b.label, b.images, b.average_precision, b.threshold) == ("b", 1, 0.5, 0.5)
    assert b.f1 == pytest.approx(2 / 3)
    assert (c.label, c.images) == ("c", 0)
    assert math.isnan(c.average_precision)
    assert math.isnan(c.f1)
    # Above 0.9 b is predicted for no image: sigmoid(2) = 0.88.
    stricter = label_scores(predictions, task, np.array([0.5, 0.9, 0.5]))[1]
    assert (stricter.f1, stricter.threshold) == (0.0, 0.9)


def test_the_table_of_scenes_by_hand() -> None:
    # Scene s: three images, of which two are found; one t is taken for s; u does not occur.
    task = Task(kind="scene", label_names=(), scene_names=("s", "t", "u"))
    empty = np.zeros((5, 0), np.float32)
    logits = np.array([[3, 0, 0], [2, 0, 0], [0, 1, 0], [1, 0, 0], [0, 5, 0]], np.float32)
    predictions = Predictions(targets=empty, logits=empty, scenes=np.array([0, 0, 0, 1, 1]), scene_logits=logits)
    s, t, u = label_scores(predictions, task)
    assert (s.label, s.images, s.threshold) == ("s", 3, None)
    # 2 hits of 3 predicted and 3 true; 1 of 2 and 2.
    assert (s.f1, t.f1) == pytest.approx((2 / 3, 1 / 2))
    # By softmax s ranks its images 1, 2 and 4: (1 + 1 + 3/4) / 3.
    assert s.average_precision == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert (u.images, math.isnan(u.f1)) == (0, True)


def test_scores_are_sigmoids_even_far_out() -> None:
    predictions = Predictions(
        targets=np.zeros((1, 4), np.float32), logits=np.array([[-1e30, -200.0, 0.0, 200.0]], np.float32)
    )
    assert predictions.scores[0].tolist() == pytest.approx([0.0, 0.0, 0.5, 1.0])


def test_scene_scores_are_a_softmax_even_far_out() -> None:
    empty = np.zeros((1, 0), np.float32)
    predictions = Predictions(
        targets=empty,
        logits=empty,
        scenes=np.array([0]),
        scene_logits=np.array([[1e30, 0.0], [math.log(3.0), 0.0]], np.float32),
    )
    np.testing.assert_allclose(predictions.scene_scores, [[1, 0], [0.75, 0.25]], rtol=1e-6)


def test_better_follows_the_metrics_direction() -> None:
    assert is_better("map", 0.6, 0.5)
    assert not is_better("map", 0.5, 0.6)
    assert is_better("scene_accuracy", 0.6, 0.5)
    assert is_better("hamming_loss", 0.5, 0.6)
    assert not is_better("map", math.nan, math.nan)


def test_thresholds_by_hand() -> None:
    # a: positives at 0.8 and 0.3, negatives at 0.2: best cut half-way between 0.3 and 0.2. b: everywhere, so any
    # threshold below all scores; 0. c: nowhere, so 0.5 stays.
    scores = np.array([[0.8, 0.6, 0.9], [0.3, 0.4, 0.1], [0.2, 0.9, 0.2]])
    targets = np.array([[1, 1, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    predictions = Predictions(targets=targets, logits=np.log(scores / (1 - scores)).astype(np.float32))
    thresholds = tune_thresholds(predictions)
    assert thresholds.tolist() == pytest.approx([0.25, 0.0, 0.5], abs=1e-6)
    tuned = evaluate_splits(
        {"validation": predictions}, Task(kind="labels", label_names=("a", "b", "c")), tune=True
    ).tuned
    assert tuned.untuned == ("c",)
    assert tuned.few == {"a": 1, "b": 0}, "two with and one without; three with and none without"
    assert tuned.thresholds == dict(zip("abc", thresholds, strict=True))


def test_enough_images_are_not_few() -> None:
    targets = np.zeros((60, 3), np.float32)
    targets[:20, 0] = targets[:19, 1] = targets[:, 2] = 1
    targets[19:25, 1] = targets[25:50, 2] = np.nan
    task = Task(kind="labels", label_names=("a", "b", "c"))
    assert few_images(Predictions(targets, np.zeros_like(targets)), task) == {"b": 19, "c": 0}


def test_a_label_whose_score_vanishes_is_predicted_at_its_threshold() -> None:
    # The sigmoid of -10,000 is 0 in any floating point; all images have the label.
    predictions = Predictions(targets=np.ones((2, 1), np.float32), logits=np.float32([[-10_000], [3]]))
    assert predictions.scores[0, 0] == 0
    [threshold] = tune_thresholds(predictions)
    assert (predictions.scores > threshold).all()


def with_unknown(share: float = 0.3) -> Predictions:
    """Return predictions with targets that are not known; of the last two images nothing, of the fourth label all."""
    predictions = drawn(TASK)
    targets = predictions.targets.copy()
    targets[np.random.default_rng(1).random(targets.shape) < share] = np.nan
    targets[-2:] = np.nan
    targets[:, 3] = predictions.targets[:, 3]
    targets[-2:, 3] = np.nan
    return Predictions(targets=targets, logits=predictions.logits)


@pytest.mark.parametrize("tuned", [False, True])
def test_labels_that_are_not_known_count_in_no_metric(tuned: bool) -> None:
    predictions = with_unknown()
    used = tune_thresholds(predictions) if tuned else np.full(5, 0.5)
    known = ~np.isnan(predictions.targets)
    found = evaluate(predictions, TASK, used if tuned else None)
    table = label_scores(predictions, TASK, used if tuned else None)
    targets, scores = predictions.targets, predictions.scores
    average_precisions, f1 = [], []
    for label in range(4):
        rows = known[:, label]
        true, decided = targets[rows, label].astype(int), scores[rows, label] > used[label]
        average_precisions.append(average_precision_score(true, scores[rows, label]))
        f1.append(f1_score(true, decided))
        assert (table[label].images, table[label].f1) == (true.sum(), pytest.approx(f1[-1]))
        assert table[label].average_precision == pytest.approx(average_precisions[-1])
    of_images = [
        f1_score(targets[row, known[row]].astype(int), scores[row, known[row]] > used[known[row]], zero_division=0)
        for row in range(28)
    ]
    assert found["map"] == pytest.approx(np.mean(average_precisions))
    assert found["macro_f1"] == pytest.approx(np.mean(f1))
    assert found["sample_f1"] == pytest.approx(np.mean(of_images))
    all_known = known[:28]
    decided = (scores > used)[:28][all_known]
    assert found["micro_f1"] == pytest.approx(f1_score(targets[:28][all_known].astype(int), decided))


def test_thresholds_are_those_of_the_known_labels_alone() -> None:
    predictions = with_unknown()
    thresholds = tune_thresholds(predictions)
    for label in range(5):
        rows = ~np.isnan(predictions.targets[:, label])
        alone = Predictions(targets=predictions.targets[rows][:, [label]], logits=predictions.logits[rows][:, [label]])
        assert tune_thresholds(alone)[0] == thresholds[label]
    tuned = evaluate_splits({"validation": predictions}, TASK, tune=True).tuned
    assert tuned is not None
    assert tuned.untuned == ("never",)


def test_a_split_of_which_nothing_is_known_has_no_map() -> None:
    nothing = Predictions(targets=np.full((3, 5), np.nan, np.float32), logits=np.zeros((3, 5), np.float32))
    assert math.isnan(evaluate(nothing, TASK)["map"])
    assert tune_thresholds(nothing).tolist() == [0.5] * 5


def test_no_other_threshold_has_a_higher_f1() -> None:
    draw = np.random.default_rng(0)
    targets = (draw.random((40, 3)) < 0.3).astype(np.float32)
    predictions = Predictions(targets=targets, logits=(2 * targets + draw.normal(size=(40, 3)) - 1).astype(np.float32))
    chosen = tune_thresholds(predictions)
    for label in range(3):
        column = predictions.scores[:, label]
        found = f1_score(targets[:, label], column > chosen[label])
        assert found >= max(f1_score(targets[:, label], column > t) for t in np.linspace(0, 0.99, 50))


@pytest.mark.parametrize("tune", [False, True])
@pytest.mark.parametrize("task", [TASK, BOTH, SCENE], ids=lambda task: task.kind)
def test_an_evaluation_holds_what_its_parts_give(task: Task, tune: bool) -> None:
    predictions = {"validation": drawn(task, 20), "test": drawn(task, 30)}
    found = evaluate_splits(predictions, task, tune)
    assert found.scores.validation == evaluate(predictions["validation"], task)
    assert found.scores.test == evaluate(predictions["test"], task)
    thresholds = tune_thresholds(predictions["validation"]) if tune and task is not SCENE else None
    assert repr(found.labels) == repr(label_scores(predictions["test"], task, thresholds))
    assert (found.tuned is None) == (thresholds is None)
    if found.tuned is not None:
        assert found.tuned.test == evaluate(predictions["test"], task, thresholds)
    alone = evaluate_splits({"validation": predictions["validation"]}, task)
    assert alone.scores.test is None
    assert repr(alone.labels) == repr(label_scores(predictions["validation"], task))
