"""How labels get wrong, learned from labels that were made wrong in known ways, against what is exactly so."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score

from mlrsnet_hf.curation.wrong_labels.mistakes import Misfiled, find_mistakes


def drawn(seed: int, images: int = 1500, labels: int = 8, sharp: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Return evidence (N, L, 1) whose logits are right, and labels that are drawn by it."""
    generator = np.random.default_rng(seed)
    logits = sharp * generator.standard_normal((images, labels)) - 1
    return logits[..., None], generator.random(logits.shape) < expit(logits)


def precision(is_wrong: np.ndarray, wrong: np.ndarray) -> float:
    return float(average_precision_score(is_wrong.ravel(), wrong.ravel()))


@pytest.mark.parametrize(("left_out", "added"), [(0.3, 0.0), (0.1, 0.05), (0.0, 0.1)])
def test_shares_are_learned(left_out: float, added: float) -> None:
    logits, truth = drawn(0)
    chance = np.random.default_rng(1).random(truth.shape)
    labels = np.where(truth, chance >= left_out, chance < added)
    wrong = find_mistakes(logits, labels, np.ones_like(labels))
    # Bayes: P(there | given) = (1 - left_out) s / (added (1 - s) + (1 - left_out) s), and so on.
    there = expit(logits[..., 0])
    given = added * (1 - there) + (1 - left_out) * there
    exact = np.where(labels, added * (1 - there) / given, left_out * there / (1 - given))
    assert np.abs(wrong - exact).mean() < 0.02
    assert wrong.sum() == pytest.approx((labels != truth).sum(), rel=0.2)
    assert precision(labels != truth, wrong) > precision(labels != truth, exact) - 0.02


def test_a_label_that_is_left_out_more_often_than_others() -> None:
    logits, truth = drawn(2)
    labels = truth.copy()
    labels[np.random.default_rng(3).random(len(labels)) < 0.5, 2] = False
    wrong = find_mistakes(logits, labels, np.ones_like(labels))
    assert wrong[labels != truth].mean() > 0.35
    assert np.delete(wrong, 2, axis=1).mean() < 0.015


def test_images_whose_labels_are_those_of_others() -> None:
    logits, truth = drawn(4, labels=12)
    order = np.arange(len(truth))
    order[:150] = np.roll(order[:150], 1)
    labels = truth[order]
    is_wrong = labels != truth
    wrong = find_mistakes(logits, labels, np.ones_like(labels))
    plain = np.abs(labels - expit(logits[..., 0]))
    assert precision(is_wrong, wrong) > precision(is_wrong, plain) + 0.1
    assert wrong[is_wrong].mean() > 0.6 and wrong[~is_wrong].mean() < 0.03


def test_images_in_a_wrong_scene_whose_scene_confirms_their_labels() -> None:
    generator = np.random.default_rng(5)
    true = generator.integers(0, 5, 1500)
    rates = np.where(generator.random((5, 10)) < 0.4, 0.9, 0.05)
    truth = generator.random((1500, 10)) < rates[true]
    given = true.copy()
    given[:120] = (true[:120] + 1) % 5
    labels = truth.copy()
    labels[:120] = generator.random((120, 10)) < rates[given[:120]]
    looks = 1.5 * (2 * truth - 1) + generator.standard_normal(truth.shape)
    by_scene = np.log(rates / (1 - rates))
    evidence, teaching = (np.stack([looks, by_scene[scene]], axis=-1) for scene in (given, true))
    odds = np.where(given == true, -4.0, 4.0) + generator.standard_normal(1500)
    is_wrong = labels != truth
    everything = np.ones_like(labels)
    with_odds = find_mistakes(evidence, labels, everything, teaching, Misfiled(rates[given], odds))
    without = find_mistakes(evidence, labels, everything, teaching)
    assert precision(is_wrong, with_odds) > precision(is_wrong, without) + 0.05
    assert with_odds[is_wrong].mean() > 0.6
    # Images without a scene are never in a wrong one.
    none = find_mistakes(evidence, labels, everything, teaching, Misfiled(rates[given], np.full(1500, -np.inf)))
    assert none == pytest.approx(without, abs=0.02)


def test_labels_without_mistakes_keep_their_order() -> None:
    logits, labels = drawn(6)
    wrong = find_mistakes(logits, labels, np.ones_like(labels))
    assert wrong.mean() < 0.01
    plain = np.abs(labels - expit(logits[..., 0]))
    top = np.argsort(-plain.ravel())[:100]
    assert np.isin(top, np.argsort(-wrong.ravel())[:200]).mean() > 0.8


def test_what_is_not_judged_teaches_nothing() -> None:
    logits, truth = drawn(7, images=300)
    judged = np.random.default_rng(8).random(truth.shape) < 0.8
    first = find_mistakes(logits, truth, judged)
    second = find_mistakes(logits, truth ^ ~judged, judged)
    assert first[judged] == pytest.approx(second[judged])


def test_very_many_images_are_learned_from_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlrsnet_hf.curation.wrong_labels import mistakes as module

    logits, truth = drawn(9)
    labels = truth & (np.random.default_rng(10).random(truth.shape) >= 0.2)
    whole = find_mistakes(logits, labels, np.ones_like(labels))
    monkeypatch.setattr(module, "_TAUGHT", 500)
    part = find_mistakes(logits, labels, np.ones_like(labels))
    assert part.shape == whole.shape and np.abs(part - whole).mean() < 0.02
