"""A wrong form of input gets an error that shows the right one."""

from collections.abc import Callable
from typing import Any

import pytest

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError
from mlrsnet_hf.metrics.modules.classification import DECISION_FORMS, SCORE_FORMS
from mlrsnet_hf.metrics.modules.retrieval import RetrievalInputs
from mlrsnet_hf.taxonomy import find_scene

Load = Callable[..., Any]

HOT = [[1, 0, 0], [0, 1, 1]]
SCORES = [[0.9, 0.6, 0.1], [0.2, 0.8, 0.7]]
MULTI_HOT = "references .*references=\\[\\[1, 0, 0\\], \\[0, 1, 1\\]\\].*'label_ids' or 'label_n"
IDS = "references .*label ids"
NAMES = "references .*label names.*'airplane'"
SCENES = r"scene ids .*find_scene.*=\[\[0, 1, 0, 1\], \[1, 1, 0, 0\]\], references=\[0, 1\]"

WRONG_CLASSIFICATION = [
    ("multi_hot", SCORES, [[0], [1, 2]], f"references\\[1\\] has 2 .*{MULTI_HOT}"),
    ("multi_hot", SCORES, [[0, 2, 1], [1, 2, 3]], f"references\\[0\\]\\[1\\] is 2.*{MULTI_HOT}"),
    ("multi_hot", SCORES, [["airplane"], ["water"]], f"references\\[0\\]\\[0\\] is 'airplane'.*{MULTI_HOT}"),
    ("multi_hot", SCORES, [0, 1], f"references\\[0\\] is 0.*{MULTI_HOT}"),
    ("multi_hot", SCORES, "airplane", f"references are 'airplane'.*{MULTI_HOT}"),
    ("multi_hot", SCORES, None, f"references are missing.*{MULTI_HOT}"),
    ("multi_hot", [[["a"]], [["b"]]], HOT, "predictions\\[0\\] has shape"),
    ("multi_hot", [["a"], ["b"]], HOT, "predictions\\[0\\]\\[0\\] is 'a'"),
    ("multi_hot", [[0.1, float("nan"), 0.3], [0.1, 0.2, 0.3]], HOT, "predictions\\[0\\]\\[1\\] is nan"),
    ("multi_hot", SCORES[:1], HOT, "1 predictions .*2 references"),
    ("label_ids", SCORES, [[0], ["water"]], f"references\\[0\\]\\[0\\] is '0'.*{IDS}"),
    ("label_ids", SCORES, [[0], [0.5]], f"references\\[1\\]\\[0\\] is 0.5.*{IDS}"),
    ("label_ids", SCORES, [[0], [-1]], f"references\\[1\\]\\[0\\] is -1.*{IDS}"),
    ("label_ids", SCORES, [0, 1], f"references\\[0\\] is 0.*{IDS}"),
    ("label_ids", SCORES, [[1, 0, 0], [0, 1, 1]], f"references\\[0\\]\\[2\\] is 0.*'multi_hot'.*{IDS}"),
    ("label_ids", SCORES, [[5], [1, 4, 1]], f"references\\[1\\]\\[2\\] is 1.*{IDS}"),
    (
        "label_names",
        SCORES,
        [["sea"], ["sea", "sea"]],
        f"\\[1\\]\\[1\\] is 'sea'.*{NAMES}",
    ),
    ("label_names", SCORES, [["dock"], ["harbor", "habor"]], "\\[1\\]\\[1\\] is 'habor'"),
    ("label_names", SCORES, [["airplane", None], ["water"]], "is None"),
    ("label_names", SCORES, [["airplan"], ["water"]], "'airplan'.*'airplane'"),
    ("label_names", SCORES, ["airplane", "water"], f"references\\[0\\] is 'airplane'.*{NAMES}"),
    ("label_names", SCORES, [[0], [1]], f"references\\[0\\]\\[0\\] is 0.*{NAMES}"),
]


@pytest.mark.parametrize(("form", "predictions", "references", "message"), WRONG_CLASSIFICATION)
@pytest.mark.parametrize("module", ["sample_f1", "multilabel_map"])
def test_classification(
    load: Load, module: str, form: str, predictions: object, references: object, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"(?s){message}"):
        load(module, form).add_batch(predictions=predictions, references=references)


WRONG_DECISIONS = [
    ("sample_f1", "multi_hot", SCORES, HOT, {}, "0.9.*threshold"),
    ("sample_f1", "multi_hot", [[1, 0], [0, 1]], HOT, {}, "predictions .*2 .*3 labels"),
    ("sample_f1", "label_ids", SCORES, [[0], [1, 2]], {"num_labels": 3}, "is 0.9.*threshold="),
    ("sample_f1", "label_ids", [[0], [1, 2]], [[0], [1]], {"threshold": 0.5}, "several lengths"),
    ("sample_f1", "label_ids", [[0], [60]], [[0], [1]], {}, "is 60, .*60 labels.*0 to 59"),
    (
        "sample_f1",
        "label_ids",
        HOT,
        [[0], [1, 2]],
        {"num_labels": 3},
        "predictions\\[0\\]\\[2\\] is 0.*'multi_hot'",
    ),
    ("sample_f1", "label_names", HOT, [["sea"], ["water"]], {}, "predictions\\[0\\]\\[2\\] is 0.*'multi_hot'"),
    ("sample_f1", "multi_hot", SCORES, HOT, {"threshold": float("nan")}, "threshold=nan"),
    ("sample_f1", "multi_hot", SCORES, HOT, {"threshold": "0.5"}, "threshold='0.5'"),
    ("sample_f1", "multi_hot", SCORES, HOT, {"threshold": [0.5, 0.5]}, "3 labels"),
    ("sample_f1", "label_ids", [[0]], [[0]], {"num_labels": "3"}, "num_labels='3'"),
    ("multilabel_map", "multi_hot", SCORES, HOT, {"average": None}, "average=None.*per_label=True"),
    ("multilabel_map", "multi_hot", SCORES, HOT, {"average": "mean"}, "average='mean'"),
    ("multilabel_map", "label_ids", [[0], [1, 2]], [[0], [1]], {}, "several lengths.*60 labels"),
    ("multilabel_map", "label_ids", SCORES, [[0], [3]], {"num_labels": 3}, "is 3, .*3 labels"),
]


@pytest.mark.parametrize(("module", "form", "predictions", "references", "options", "message"), WRONG_DECISIONS)
def test_classification_when_computed(
    load: Load, module: str, form: str, predictions: object, references: object, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"(?s){message}"):
        load(module, form, keep_in_memory=True).compute(predictions=predictions, references=references, **options)


def test_names_are_no_scores(load: Load) -> None:
    with pytest.raises(ConfigurationError, match=r"'water'.*scores"):
        load("multilabel_map", "label_names").add_batch(predictions=[["water"]], references=[["water"]])


WRONG_RETRIEVAL = [
    ("scenes", [["beach", "park"]], [0], {}, f"predictions\\[0\\]\\[0\\] is 'beach'.*{SCENES}"),
    ("scenes", [[0.1, 0.7]], [0], {}, f"is 0.1.*{SCENES}"),
    ("scenes", [0, 1], [0, 1], {}, f"predictions\\[0\\] is 0.*{SCENES}"),
    ("scenes", [[0, 1]], [[0]], {}, f"references has shape \\(1, 1\\).*{SCENES}"),
    ("scenes", [[0, 1]], ["beach"], {}, f"references\\[0\\] is 'beach'.*{SCENES}"),
    ("scenes", [[0, 1]], [0, 1], {}, "1 predictions .*2 references"),
    ("scenes", [[0, 1], [1, 2]], [0, 1], {}, "relevant=.*Counter"),
    ("scenes", [[0, 1], [1, 2]], [0, 1], {"relevant": {0: 2}}, "relevant .*scene 1"),
    ("scenes", [[0, 1], [1, 2]], [0, 1], {"relevant": {0: 2, 1: 1}}, "rankings .*2"),
    (
        "scenes",
        [[3] * 10, [3] * 10],
        [3, 3],
        {},
        "predictions\\[0\\] .*scene 3.*relevant=.*Counter",
    ),
    ("scenes", [[0, 1]], [0], {"relevant": [4, 4]}, "relevant=\\[4, 4\\].*Counter"),
    ("scenes", [[0, 1]], [0], {"relevant": {0: 2.5}}, "relevant\\[0\\]=2.5"),
    ("scenes", [[0, 1]], [0], {"relevant": {0.5: 2}}, "a scene in relevant=0.5"),
    ("scenes", [[0, 1]], [0], {"relevant": {0: 1, "airplane": 1}}, "relevant .*two .*scene 0"),
    ("ranks", [[1, 3]], [5], {"depth": "9"}, "depth='9'"),
    ("scenes", [[0, 1]], [0], {"depth": 5}, "depth=.*'ranks'"),
    ("relevance", [[0, 2]], [1], {}, "predictions\\[0\\]\\[1\\] is 2.*1 for relevant"),
    ("relevance", [[0, 1]], [1], {"relevant": {0: 1}}, "relevant=.*'scenes'"),
    ("relevance", [[0, 1]], [4], {}, "rankings .*2"),
    ("relevance", [[1, 1]], [1], {}, "query 0 .*1 .*2"),
    ("ranks", [[0, 1]], [2], {}, "predictions\\[0\\]\\[0\\] is 0.*ranks, from 1"),
    ("ranks", [[3, 1]], [2], {}, "\\[0\\] .*ascend"),
    ("ranks", [[1, 3]], [5], {}, "2 .*5 .*depth="),
    ("ranks", [[1, 3]], [2], {"per_scene": True}, "'ranks'.*scenes"),
]


@pytest.mark.parametrize(("form", "predictions", "references", "options", "message"), WRONG_RETRIEVAL)
@pytest.mark.parametrize("module", ["anmrr", "retrieval_map"])
def test_retrieval(
    load: Load, module: str, form: str, predictions: object, references: object, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"(?s){message}"):
        load(module, form, keep_in_memory=True).compute(predictions=predictions, references=references, **options)


def test_a_top_that_is_deep_enough_needs_no_counts(load: Load) -> None:
    # P@1 of both queries is 1 whatever comes behind; leaving queries out would need to know more.
    inputs = {"predictions": [[0, 1], [1, 2]], "references": [0, 1], "k": 1}
    assert load("precision_at_k").compute(**inputs)["precision_at_1"] == 1.0
    with pytest.raises(ConfigurationError, match="relevant="):
        load("precision_at_k", keep_in_memory=True).compute(**inputs, empty="skip")


def test_scenes_of_relevant_have_names_or_ids(load: Load) -> None:
    beach, park = find_scene("beach").id, find_scene("park").id
    # NG = 3 of beach, K = 2 GTM = 6; ranks 1, 2 and 5: AVR = 8/3, NMRR = (8/3 - 2) / (7.5 - 2).
    inputs = {"predictions": [[beach, beach, park, park, beach, park]], "references": [beach]}
    for relevant in ({"beach": 3}, {beach: 3}, {str(beach): 3}, {"Beach": 3, park: 9}):
        results = load("anmrr", keep_in_memory=True).compute(**inputs, relevant=relevant)
        assert results["anmrr"] == pytest.approx((8 / 3 - 2) / 5.5)
    with pytest.raises(UnknownNameError, match=r"'beech'.*'beach'"):
        load("anmrr", keep_in_memory=True).compute(**inputs, relevant={"beech": 3})


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        ("precision_at_k", {"k": []}, "k=\\[\\]"),
        ("precision_at_k", {"k": "10"}, "k='10'"),
        ("precision_at_k", {"k": [1, 2.5]}, "k=2.5"),
        ("precision_at_k", {"k": None}, "k=None"),
        ("retrieval_map", {"up_to": "10"}, "up_to='10'"),
        ("retrieval_map", {"up_to": 0}, "up_to=0 .*at least 1"),
        ("anmrr", {"gtm": "10"}, "gtm='10'"),
        ("anmrr", {"empty": "drop"}, "empty='drop'"),
    ],
)
def test_options_of_retrieval(load: Load, module: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load(module, keep_in_memory=True).compute(predictions=[[0, 1]], references=[0], **options)


def test_the_top_of_a_good_ranking_is_not_taken_as_whole(load: Load) -> None:
    # The first ten items are all relevant; with 30 relevant items and K = 60 nothing is known of the other 20.
    top = {"predictions": [[3] * 10, [3] * 10], "references": [3, 3]}
    for module in ("anmrr", "precision_at_k", "retrieval_map"):
        with pytest.raises(ConfigurationError, match="scene 3"):
            load(module, keep_in_memory=True).compute(**top)
    with pytest.raises(ConfigurationError, match=r"ANMRR .*60 .*10"):
        load("anmrr", keep_in_memory=True).compute(**top, relevant={3: 30})
    assert load("precision_at_k", keep_in_memory=True).compute(**top, k=10)["precision_at_10"] == 1.0


def test_unknown_names(load: Load) -> None:
    with pytest.raises(UnknownNameError, match=r"'label_id'.*'label_ids'"):
        load("sample_f1", "label_id")
    with pytest.raises(UnknownNameError, match=r"'treshold'.*'threshold'"):
        load("sample_f1", keep_in_memory=True).compute(predictions=HOT, references=HOT, treshold=0.5)
    with pytest.raises(ConfigurationError, match="scenes"):
        load("anmrr").compute(predictions=[], references=[])


@pytest.mark.parametrize("module", ["sample_f1", "multilabel_map", "anmrr", "precision_at_k", "retrieval_map"])
def test_the_forms_that_errors_show_are_right(
    load: Load, example_values: Callable[[str, str], dict[str, float]], module: str
) -> None:
    options = {"precision_at_k": {"k": [1, 2, 4]}, "retrieval_map": {"up_to": 4}}.get(module, {})
    for form in load(module).forms:
        loaded = load(module, form.name)
        assert f"predictions={form.example['predictions']}"[:24] in loaded.inputs_description
        assert loaded.compute(**form.example, **options) == pytest.approx(example_values(module, form.name))


def test_families_have_the_same_columns() -> None:
    for decisions, scores in zip(DECISION_FORMS, SCORE_FORMS, strict=True):
        assert (decisions.name, decisions.features) == (scores.name, scores.features)
    assert [form.name for form in RetrievalInputs.forms] == ["scenes", "relevance", "ranks"]
