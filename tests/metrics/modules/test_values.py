"""Every module in every configuration against scikit-learn, a brute force, or a sum worked by hand."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score

from mlrsnet_hf.taxonomy import LABEL_NAMES, LABELS

RNG = np.random.default_rng(20)
TARGETS = (RNG.random((70, 60)) < 0.1).astype(int)
TARGETS[5] = 0
SCORES = (0.6 * RNG.random((70, 60)) + 0.4 * TARGETS * RNG.random((70, 60))).astype(np.float32)
DECISIONS = SCORES > 0.5

SCENES = RNG.integers(0, 5, 12)
DATABASE = np.sort(RNG.integers(0, 5, 80))
RANKED = np.stack([RNG.permutation(DATABASE) for _ in SCENES])

Load = Callable[..., Any]


def ids(matrix: np.ndarray) -> list[list[int]]:
    return [np.flatnonzero(row).tolist() for row in matrix]


def names(matrix: np.ndarray) -> list[list[str]]:
    return [[LABELS[i].published for i in row] for row in ids(matrix)]


REFERENCES = {"multi_hot": TARGETS, "label_ids": ids(TARGETS), "label_names": names(TARGETS)}
DECIDED = {"multi_hot": DECISIONS.astype(int), "label_ids": ids(DECISIONS), "label_names": names(DECISIONS)}


@pytest.mark.parametrize("form", REFERENCES)
@pytest.mark.parametrize("from_scores", [True, False])
def test_sample_f1_is_scikit_learns(load: Load, form: str, from_scores: bool) -> None:
    inputs = {"predictions": SCORES, "threshold": 0.5} if from_scores else {"predictions": DECIDED[form]}
    results = load("sample_f1", form).compute(references=REFERENCES[form], **inputs)
    wanted = {"average": "samples", "zero_division": 0}
    assert results["sample_f1"] == pytest.approx(f1_score(TARGETS, DECISIONS, **wanted), abs=1e-12)
    precision, recall = (score(TARGETS, DECISIONS, **wanted) for score in (precision_score, recall_score))
    assert (results["sample_precision"], results["sample_recall"]) == pytest.approx((precision, recall), abs=1e-12)
    assert results["f1_of_means"] == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-12)


def test_sample_f1_leaves_out_what_it_says(load: Load) -> None:
    # Image 1: |P & T| = 1, |P| + |T| = 3, F1 = 2/3. Image 2 has neither labels nor predictions.
    inputs = {"predictions": [[0, 1], []], "references": [[0], []]}
    options = {"num_labels": 3, "per_image": True}
    skipped = load("sample_f1", "label_ids").compute(**inputs, **options, zero_division="skip")
    assert (skipped["sample_f1"], skipped["sample_f1_left_out"]) == (pytest.approx(2 / 3), 1)
    assert skipped["sample_f1_per_image"] == pytest.approx([2 / 3, float("nan")], nan_ok=True)
    assert load("sample_f1", "label_ids").compute(**inputs, **options)["sample_f1"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("form", REFERENCES)
def test_multilabel_map_is_scikit_learns(load: Load, form: str) -> None:
    results = load("multilabel_map", form).compute(predictions=SCORES, references=REFERENCES[form], per_label=True)
    occurs = TARGETS.any(axis=0)
    wanted = average_precision_score(TARGETS[:, occurs], SCORES[:, occurs], average=None)
    assert results["multilabel_map"] == pytest.approx(wanted.mean(), abs=1e-12)
    assert np.array(results["multilabel_map_per_label"])[occurs] == pytest.approx(wanted, abs=1e-12)
    assert results["multilabel_map_left_out"] == np.count_nonzero(~occurs)


def test_multilabel_map_has_scikit_learns_averages(load: Load) -> None:
    for average in ("micro", "weighted"):
        value = load("multilabel_map").compute(predictions=SCORES, references=TARGETS, average=average)
        wanted = average_precision_score(TARGETS, SCORES, average=average)
        assert value["multilabel_map"] == pytest.approx(wanted, abs=1e-12)


def test_number_of_labels_is_the_users(load: Load) -> None:
    module = load("multilabel_map", "label_ids")
    results = module.compute(predictions=SCORES[:, :7], references=ids(TARGETS[:, :7]), num_labels=7)
    assert results == load("multilabel_map").compute(predictions=SCORES[:, :7], references=TARGETS[:, :7])


def brute_anmrr(hits: np.ndarray, counts: np.ndarray) -> float:
    values = []
    for row, count in zip(hits, counts, strict=True):
        cut = min(4 * count, 2 * max(counts))
        ranks = [rank for rank, hit in enumerate(row, 1) if hit and rank <= cut]
        average = (sum(ranks) + (count - len(ranks)) * 1.25 * cut) / count
        values.append((average - 0.5 * (1 + count)) / (1.25 * cut - 0.5 * (1 + count)))
    return float(np.mean(values))


HITS = SCENES[:, None] == RANKED
COUNTS = HITS.sum(axis=1)
PRECISIONS = HITS.cumsum(axis=1) / np.arange(1, 81)
DEPTH = int(2 * COUNTS.max())
WHOLE = {
    "scenes": (RANKED, SCENES, {}),
    "relevance": (HITS, COUNTS, {}),
    "ranks": ([np.flatnonzero(row) + 1 for row in HITS], COUNTS, {}),
}
CUT = {
    "scenes": (RANKED[:, :DEPTH], SCENES, {"relevant": Counter(DATABASE.tolist())}),
    "relevance": (HITS[:, :DEPTH], COUNTS, {}),
    "ranks": ([np.flatnonzero(row[:DEPTH]) + 1 for row in HITS], COUNTS, {"depth": DEPTH}),
}


@pytest.mark.parametrize("form", WHOLE)
@pytest.mark.parametrize("rankings", [WHOLE, CUT], ids=["whole", "cut"])
def test_retrieval_is_the_brute_force(load: Load, form: str, rankings: dict[str, Any]) -> None:
    ranked, references, options = rankings[form]
    inputs = {"predictions": ranked, "references": references, **options}
    assert load("anmrr", form).compute(**inputs)["anmrr"] == pytest.approx(brute_anmrr(HITS, COUNTS), abs=1e-12)
    precision = load("precision_at_k", form).compute(**inputs, k=[1, 5, 20])
    for k in (1, 5, 20):
        assert precision[f"precision_at_{k}"] == pytest.approx(PRECISIONS[:, k - 1].mean(), abs=1e-12)
    value = load("retrieval_map", form).compute(**inputs, up_to=20)["retrieval_map"]
    assert value == pytest.approx(PRECISIONS[:, :20].mean(), abs=1e-12)


def test_values_per_query_and_per_scene(load: Load) -> None:
    results = load("precision_at_k").compute(
        predictions=RANKED, references=SCENES, k=10, per_query=True, per_scene=True
    )
    assert results["precision_at_10_per_query"] == pytest.approx(PRECISIONS[:, 9].tolist())
    assert set(results["precision_at_10_per_scene"]) == set(SCENES.tolist())
    for scene, value in results["precision_at_10_per_scene"].items():
        assert value == pytest.approx(PRECISIONS[scene == SCENES, 9].mean())


def test_anmrr_by_hand(load: Load) -> None:
    # Query 1: NG = 2, GTM = 2, K = 4, ranks 1 and 3, AVR = 2, NMRR = (2 - 1.5) / (5 - 1.5) = 1/7. Query 2: NG = 1,
    # K = min(4, 4) = 4, rank 2, NMRR = (2 - 1) / (5 - 1) = 1/4. Query 3 has no relevant item.
    inputs = {"predictions": [[1, 3], [2], []], "references": [2, 1, 0]}
    results = load("anmrr", "ranks").compute(**inputs)
    assert results == {"anmrr": pytest.approx((1 / 7 + 1 / 4) / 2), "anmrr_left_out": 1}
    # Where another query has 4 relevant items, K of query 1 is min(8, 8) = 8, NMRR = (2 - 1.5) / (10 - 1.5).
    wider = load("anmrr", "ranks").compute(**inputs, gtm=4, per_query=True)["anmrr_per_query"]
    assert wider[0] == pytest.approx((2 - 1.5) / (10 - 1.5))


def test_a_database_that_holds_the_queries_is_whole_too(load: Load) -> None:
    # Each of three items queries the other two: the rows differ by the query itself.
    results = load("anmrr").compute(predictions=[[0, 1], [0, 1], [0, 0]], references=[0, 0, 1])
    assert results == {"anmrr": 0.0, "anmrr_left_out": 1}


def test_names_of_all_labels(load: Load) -> None:
    one_each = [[name] for name in LABEL_NAMES]
    assert load("sample_f1", "label_names").compute(predictions=one_each, references=one_each)["sample_f1"] == 1.0
