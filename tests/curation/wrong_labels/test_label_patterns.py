"""What labels say of each other: by hand, against a regression, and on MLRSNet's damaged files."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta
from sklearn.linear_model import LinearRegression

from mlrsnet_hf.curation.vocabulary.vocabulary import Described, SceneVocabulary, Vocabulary, build_vocabulary
from mlrsnet_hf.curation.wrong_labels.label_patterns import (
    Rules,
    co_occurrence,
    scene_rates,
    vocabulary_rules,
    wrong_by_vocabulary,
)
from mlrsnet_hf.curation.wrong_labels.likely_scenes import given_scenes
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.release import open_labels
from mlrsnet_hf.taxonomy import LABEL_NAMES, SCENE_NAMES, SCENES

VOCABULARY = Vocabulary(scenes={"Swimming-Pool": SceneVocabulary(images=100, labels={"water": 100, "trees": 40})})


def test_rules_by_name() -> None:
    rules = vocabulary_rules(VOCABULARY, ["beach", "swimming_pool"], ["Trees", "water", "sand"])
    assert rules.carried.tolist() == [[0, 0, 0], [40, 100, 0]]
    assert rules.outside.tolist() == [[False] * 3, [False, False, True]]  # nothing is said of beach
    with pytest.raises(ConfigurationError, match="water"):
        vocabulary_rules(VOCABULARY, ["swimming pool"], ["trees"])
    with pytest.raises(ConfigurationError, match="no scene"):
        vocabulary_rules(VOCABULARY, ["beach"], ["trees", "water"])


@pytest.mark.parametrize(
    ("scenes", "named"),
    [
        ({"beach": SceneVocabulary(images=10, labels={"sea": 50})}, "sea"),
        ({"beach": SceneVocabulary(images=9, labels={}), "Beach": SceneVocabulary(images=9, labels={})}, "Beach"),
        ({"beach": SceneVocabulary(images=9, labels={"sea": 7, "Sea": 8})}, "Sea"),
    ],
)
def test_vocabularies_that_contradict_themselves(scenes: dict[str, SceneVocabulary], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        vocabulary_rules(Vocabulary(scenes=scenes), ["beach"], ["sea", "sand"])


def test_a_small_sample_says_nothing_of_what_it_lacks() -> None:
    """Of four images a label on all of them is dropped, as it is on five or fewer."""
    labels = np.ones((40, 2), bool)
    small = build_vocabulary([Described(f"{i}", "beach", ("sea", "sand")) for i in range(4)]).vocabulary
    rules = vocabulary_rules(small, ["beach"], ["sea", "sand"])
    assert not rules.outside.any() and (wrong_by_vocabulary(labels, np.zeros(40, int), rules) < 0.01).all()
    large = build_vocabulary([Described(f"{i}", "beach", ("sea",)) for i in range(50)]).vocabulary
    rules = vocabulary_rules(large, ["beach"], ["sea", "sand"])
    assert rules.outside.tolist() == [[False, True]]
    assert (wrong_by_vocabulary(labels, np.zeros(40, int), rules)[:, 1] >= 0.5).all()


def test_rates_of_labels_of_which_little_is_known() -> None:
    draw = np.random.default_rng(3)
    labels, judged = draw.random((30, 2)) < 0.4, draw.random((30, 2)) < 0.6
    judged[:, 1] = True
    scenes = draw.integers(0, 3, 30)
    found = scene_rates(labels & judged, given_scenes(scenes, 3), judged)
    for label in (0, 1):
        overall = labels[judged[:, label], label].mean()
        for row in range(30):
            others = [i for i in range(30) if i != row and scenes[i] == scenes[row] and judged[i, label]]
            rate = (labels[others, label].sum() + overall) / (len(others) + 1)
            assert found[row, label] == pytest.approx(rate)
    rules = Rules(np.array([[90.0, 90.0]] * 3), np.array([100.0] * 3))
    given = labels[judged[:, 0] & (scenes == 0), 0].mean()
    low = beta.ppf(0.025, 90.5, 10.5)
    wrong = wrong_by_vocabulary(labels & judged, scenes, rules, judged)
    assert wrong[(scenes == 0) & judged[:, 0] & ~labels[:, 0], 0] == pytest.approx((low - given) / (1 - given))


def test_wrong_by_vocabulary_by_hand() -> None:
    # Of 100 sampled images 40 carry a, all carry b, none c. Of the 10 images given, 8 carry a, none b, one c.
    rules = Rules(np.array([[40.0, 100.0, 0.0]]), np.array([100.0]))
    labels = np.zeros((11, 3), bool)
    labels[:8, 0] = True
    labels[9, 2] = True
    scenes = np.array([0] * 10 + [-1])
    labels[10] = True
    found = wrong_by_vocabulary(labels, scenes, rules)
    high = beta.ppf(0.975, 40.5, 60.5)  # 0.498
    low = beta.ppf(0.025, 100.5, 0.5)  # 0.975
    assert found[:8, 0] == pytest.approx((0.8 - high) / 0.8)
    assert found[8:10, 0].tolist() == [0, 0]  # those that lack a are too few, not too many
    assert found[:10, 1] == pytest.approx(low)  # (low - 0) / (1 - 0)
    # c is on a tenth of the images, and outside.
    assert found[9, 2] == pytest.approx((0.1 - beta.ppf(0.975, 0.5, 100.5)) / 0.1)
    assert found[0, 2] == 0
    assert (found[10] == 0).all()  # an image without a scene
    labels[9, 2] = False
    labels[0, 2] = True
    many = np.concatenate([labels[:10], np.zeros((990, 3), bool)])
    assert wrong_by_vocabulary(many, np.zeros(1000, int), rules)[0, 2] == 0.5  # one of a thousand, but outside


def test_scene_rates_leave_the_image_out() -> None:
    labels = np.array([[1, 0], [1, 0], [0, 1], [0, 0]], bool)
    rates = scene_rates(labels, given_scenes(np.array([0, 0, 0, -1]), 1))
    # All: 1/2 and 1/4. Image 0: of the two others one has the first label, one the second.
    assert rates[0] == pytest.approx([(1 + 0.5) / 3, (1 + 0.25) / 3])
    assert rates[3] == pytest.approx([0.5, 0.25])


@pytest.mark.parametrize("with_scenes", [False, True])
def test_co_occurrence_is_a_regression_on_the_other_columns(with_scenes: bool) -> None:
    generator = np.random.default_rng(0)
    common = generator.random((3000, 1))
    labels = generator.random((3000, 4)) < 0.2 + 0.6 * common
    scenes = generator.integers(0, 3, 3000)
    found = co_occurrence(labels, scenes if with_scenes else None, 3)
    for j in range(4):
        others = np.delete(labels, j, axis=1).astype(float)
        if with_scenes:
            others = np.concatenate([others, np.eye(3)[scenes]], axis=1)
        expected = np.clip(LinearRegression().fit(others, labels[:, j]).predict(others), 0, 1)
        assert np.abs(found[:, j] - expected).max() < 0.02


@pytest.mark.slow
def test_mlrsnets_damaged_files(shared: Path, tmp_path: Path) -> None:
    given = {}
    for year in ("2020", "2021"):
        shutil.unpack_archive(shared / f"data/mlrsnet_labels_{year}/labels.tar.xz", tmp_path / year)
        given[year] = open_labels(tmp_path / year, "as-published")
    labels = {year: np.zeros((len(part), len(LABEL_NAMES)), bool) for year, part in given.items()}
    for year, part in given.items():
        for row, entry in zip(labels[year], part, strict=True):
            row[list(entry.labels)] = True
    scenes = np.array([entry.scene.id for entry in given["2021"]])
    is_wrong = (labels["2020"] != labels["2021"]).any(axis=1)
    assert is_wrong.sum() == 10_300
    described = [
        Described(entry.id, entry.scene.name, tuple(LABEL_NAMES[label] for label in entry.labels))
        for entry in given["2020"]
    ]
    rules = vocabulary_rules(build_vocabulary(described).vocabulary, SCENE_NAMES, LABEL_NAMES)

    def found(wrong: np.ndarray) -> float:
        worst = np.argsort(-wrong.max(axis=1), kind="stable")[: is_wrong.sum()]
        return float(is_wrong[worst].mean())

    assert found(wrong_by_vocabulary(labels["2021"], scenes, rules)) > 0.97
    # Thousands of rows with the same spurious labels make these usual: what occurs together finds next to nothing.
    assert found(np.abs(labels["2021"] - co_occurrence(labels["2021"], scenes, len(SCENES)))) < 0.2
