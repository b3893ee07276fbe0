import itertools

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, precision_recall_curve

from mlrsnet_hf.evaluation.decisions import (
    Decisions,
    calibration,
    confused_images,
    confusion_counts,
    hardest_images,
    precision_recall,
    ranked_confusions,
    worst_errors,
)
from mlrsnet_hf.evaluation.scores import Predictions
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.metrics import calibration_error

IMAGES, NAMES = 80, ("a", "b", "c", "d")


def made_up(seed: int, unknown: float = 0.1) -> tuple[Predictions, Task, np.ndarray]:
    """Return predictions with tied scores and unknown labels, of labels and scenes."""
    draw = np.random.default_rng(seed)
    targets = (draw.random((IMAGES, len(NAMES))) < 0.4).astype(np.float32)
    targets[draw.random(targets.shape) < unknown] = np.nan
    logits = draw.integers(-3, 4, targets.shape).astype(np.float32)
    scenes = draw.integers(0, 3, IMAGES)
    task = Task(kind="labels+scene", label_names=NAMES, scene_names=("x", "y", "z"))
    predictions = Predictions(targets, logits, scenes, draw.standard_normal((IMAGES, 3)).astype(np.float32))
    return predictions, task, draw.uniform(0.2, 0.8, len(NAMES))


@pytest.mark.parametrize("seed", range(3))
def test_the_curve_is_that_of_scikit_learn(seed: int) -> None:
    draw = np.random.default_rng(seed)
    true, scores = draw.random(200) < 0.2, draw.integers(0, 30, 200) / 30
    own = precision_recall(true, scores)
    precision, recall, thresholds = precision_recall_curve(true, scores)
    first = np.flatnonzero(recall == 1).max()  # scikit-learn goes on below the last one found
    assert own.precision[::-1] == pytest.approx(precision[first:-1])
    assert own.recall[::-1] == pytest.approx(recall[first:-1])
    assert own.scores[::-1] == pytest.approx(thresholds[first:])
    steps = np.diff(np.append(0.0, own.recall))
    assert steps @ own.precision == pytest.approx(average_precision_score(true, scores))


def test_the_curve_of_one_score_for_all_is_a_point() -> None:
    curve = precision_recall(np.array([True, False, False, False]), np.full(4, 0.5))
    assert (curve.precision.tolist(), curve.recall.tolist()) == ([0.25], [1.0])


@pytest.mark.parametrize("bins", [5, 10])
def test_calibration_is_that_of_scikit_learn(bins: int) -> None:
    draw = np.random.default_rng(0)
    scores = draw.random(500)
    true = draw.random(500) < scores**2
    found = calibration(true, scores, bins)
    shares, means = calibration_curve(true, scores, n_bins=bins)  # without the empty bins; no score is on an edge
    there = found.counts > 0
    assert found.counts.sum() == 500
    assert found.shares[there] == pytest.approx(shares) and found.mean_scores[there] == pytest.approx(means)


def test_calibration_at_the_edges_is_that_of_the_metric() -> None:
    draw = np.random.default_rng(1)
    scores, true = draw.integers(0, 11, 300) / 10, draw.random(300) < 0.5
    found = calibration(true, scores, 10)
    assert found.error == pytest.approx(calibration_error(true[:, None].astype(int), scores[:, None], bins=10))
    assert np.isnan(calibration(np.zeros(0, bool), np.zeros(0)).error)


def test_what_is_not_known_is_no_error() -> None:
    predictions, task, thresholds = made_up(0, unknown=0.5)
    decisions = Decisions.of_labels(predictions, task, thresholds)
    unknown = np.isnan(predictions.targets)
    assert unknown.any() and not (decisions.wrong | decisions.missed | decisions.true | decisions.said)[unknown].any()


@pytest.mark.parametrize("seed", range(3))
def test_errors_and_confusions_by_brute_force(seed: int) -> None:
    predictions, task, thresholds = made_up(seed)
    decisions = Decisions.of_labels(predictions, task, thresholds)
    wrong: list[tuple[int, int]] = []
    missed: list[tuple[int, int]] = []
    for image, label in itertools.product(range(IMAGES), range(len(NAMES))):
        target, says = predictions.targets[image, label], predictions.scores[image, label] > thresholds[label]
        if target == 0 and says:
            wrong.append((image, label))
        if target == 1 and not says:
            missed.append((image, label))
    assert np.argwhere(decisions.wrong).tolist() == [list(one) for one in wrong]
    assert np.argwhere(decisions.missed).tolist() == [list(one) for one in missed]

    counts = np.zeros((len(NAMES), len(NAMES)), int)
    for (one, lost), (other, said) in itertools.product(missed, wrong):
        counts[lost, said] += one == other
    assert confusion_counts(decisions).tolist() == counts.tolist()
    pairs = ranked_confusions(decisions)
    assert sorted((pair.missed, pair.said, pair.images) for pair in pairs) == [
        (row, column, counts[row, column])
        for row, column in itertools.product(range(4), range(4))
        if counts[row, column]
    ]
    assert [pair.images for pair in pairs] == sorted((pair.images for pair in pairs), reverse=True)
    first = pairs[0]
    lost = sum(label == first.missed for _, label in missed)
    said = sum(label == first.said for _, label in wrong)
    assert first.share == pytest.approx(first.images / lost) and first.expected == pytest.approx(lost * said / IMAGES)
    both = {image for image, label in missed if label == first.missed} & {
        image for image, label in wrong if label == first.said
    }
    found = confused_images(decisions, first, 100)
    assert set(found) == both
    assert confused_images(decisions, first, 1) == found[:1]
    scores = [predictions.scores[image, first.said] for image in found]
    assert scores == sorted(scores, reverse=True)

    for label in range(len(NAMES)):
        worst = hardest_images(decisions, label, "wrong", 5)
        expected = sorted((-predictions.scores[image, of], image) for image, of in wrong if of == label)[:5]
        assert [(-one.score, one.image) for one in worst] == expected
        worst = hardest_images(decisions, label, "missed", 5)
        expected = sorted((predictions.scores[image, of], image) for image, of in missed if of == label)[:5]
        assert [(one.score, one.image) for one in worst] == expected


def test_a_scene_taken_for_another_is_both_errors() -> None:
    predictions, task, _ = made_up(3)
    decisions = Decisions.of_scenes(predictions, task)
    matrix = np.zeros((3, 3), int)
    for true, logits in zip(predictions.scenes, predictions.scene_logits, strict=True):
        matrix[true, logits.argmax()] += true != logits.argmax()
    assert confusion_counts(decisions).tolist() == matrix.tolist()


def test_all_labels_get_a_worst_image_before_any_gets_its_second() -> None:
    predictions, task, thresholds = made_up(4, unknown=0)
    decisions = Decisions.of_labels(predictions, task, thresholds)
    all_first = [hardest_images(decisions, label, kind, 1) for label in range(4) for kind in ("wrong", "missed")]
    firsts = {one.image for found in all_first for one in found}
    kept = worst_errors(decisions, per_label=6, images=len(firsts))
    assert {one.image for one in kept} == firsts
    assert [one.rank for one in kept] == sorted(one.rank for one in kept)
    assert len({one.image for one in worst_errors(decisions, per_label=6, images=3)}) == 3
    assert max(one.rank for one in worst_errors(decisions, per_label=6, images=1000)) == 5
