"""Relative diversity: by hand, on observers whose sets are known, and the coverage of its intervals."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from PIL import Image

from mlrsnet_hf.curation.diversity.measure import write_results
from mlrsnet_hf.curation.diversity.plot import plot_diversity
from mlrsnet_hf.curation.diversity.relative import (
    Choice,
    choices_from_embeddings,
    draw_trial,
    relative_diversity,
)
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.paper_tables import DIVERSITY_AVERAGE
from tests.curation.diversity.simulated_observers import simulated_choices

SETS = ("ours", "theirs", "another")
TRUE = {"ours": 0.8, "theirs": 0.5, "another": 0.7}


def test_by_hand() -> None:
    picked = ["theirs", "theirs", "another", "ours"]
    found = relative_diversity([Choice("beach", str(i), "a", name) for i, name in enumerate(picked)], SETS)
    assert {name: one.value for name, one in found.categories["beach"].items()} == {
        "ours": 0.75,
        "theirs": 0.5,
        "another": 0.75,
    }
    assert found.chance == pytest.approx(2 / 3)


@given(st.lists(st.tuples(*(st.integers(0, 2) for _ in range(4))), min_size=1, max_size=30))
def test_values_sum_to_the_number_of_sets_less_one(drawn: list[tuple[int, int, int, int]]) -> None:
    choices = [Choice(str(c), str(t), str(o), SETS[s]) for c, t, o, s in drawn]
    found = relative_diversity(choices, SETS, draws=20)
    for values in (*found.categories.values(), found.average):
        assert sum(one.value for one in values.values()) == pytest.approx(2)
        assert all(0 <= one.low <= one.high <= 1 for one in values.values())


def test_the_papers_averages_do_not_sum_to_two() -> None:
    assert sum(DIVERSITY_AVERAGE.values()) == pytest.approx(2.03)


def test_known_diversity_is_found_and_intervals_cover_it() -> None:
    covered = 0
    for seed in range(100):
        found = relative_diversity(simulated_choices("beach", TRUE, seed=seed), SETS, draws=300, seed=seed)
        one = found.categories["beach"]["theirs"]
        covered += one.low <= 0.5 <= one.high
        if seed == 0:
            assert all(found.average[name].value == pytest.approx(value, abs=0.12) for name, value in TRUE.items())
    assert 88 <= covered <= 99  # of nominal 95; choices as if all were independent would cover 73
    long = relative_diversity(simulated_choices("beach", TRUE, trials=3000), SETS, draws=50)
    assert all(long.average[name].value == pytest.approx(value, abs=0.02) for name, value in TRUE.items())


def test_the_interval_is_that_of_trials_and_observers() -> None:
    # All observers say the same in each trial: ten of them are worth one.
    ten = relative_diversity(simulated_choices("beach", TRUE, trial_share=1.0), SETS).average["theirs"]
    one = relative_diversity(simulated_choices("beach", TRUE, trial_share=1.0, observers=1), SETS).average["theirs"]
    assert ten.high - ten.low == pytest.approx(one.high - one.low, abs=0.08)
    free = relative_diversity(simulated_choices("beach", TRUE, trial_share=0.0), SETS).average["theirs"]
    assert free.high - free.low < 0.7 * (ten.high - ten.low)


def test_trials_show_each_pair_alike() -> None:
    generator = np.random.default_rng(0)
    shown: Counter[tuple[int, int]] = Counter()
    first: Counter[str] = Counter()
    for _ in range(3000):
        trial = draw_trial({"ours": 4, "theirs": 9}, generator)
        assert Counter(pair.set for pair in trial) == {"ours": 4, "theirs": 4}
        assert len(set(trial)) == 8 and all(0 <= pair.first < pair.second for pair in trial)
        shown.update((pair.first, pair.second) for pair in trial if pair.set == "ours")
        first[trial[0].set] += 1
    assert len(shown) == 6  # pairs of four images, 4 of 6 in each trial
    assert all(count == pytest.approx(2000, rel=0.08) for count in shown.values())
    assert first["ours"] == pytest.approx(1500, rel=0.1)
    assert len(draw_trial({"ours": 2}, generator)) == 4  # the only pair again and again
    for _ in range(50):  # three pairs, all of which stand before one stands again
        times = Counter(draw_trial({"ours": 3}, generator, 5)).values()
        assert sorted(times) == [1, 2, 2]
    with pytest.raises(ConfigurationError):
        draw_trial({"ours": 1}, generator)


def test_embeddings_that_are_spread_more_are_more_diverse() -> None:
    generator = np.random.default_rng(1)
    center = generator.standard_normal(16)
    spreads = {"ours": 1.5, "theirs": 0.5, "another": 0.9}
    embeddings = {name: center + s * generator.standard_normal((60, 16)) for name, s in spreads.items()}
    found = relative_diversity(choices_from_embeddings("beach", embeddings, trials=400), SETS).average
    assert found["ours"].value > found["another"].value > found["theirs"].value
    noisy = choices_from_embeddings("beach", embeddings, noise=1e6, observers=10)
    assert all(one.value == pytest.approx(2 / 3, abs=0.08) for one in relative_diversity(noisy, SETS).average.values())
    alike = {name: generator.standard_normal((60, 16)) for name in SETS}
    same = relative_diversity(choices_from_embeddings("beach", alike, trials=2000), SETS, draws=20).average
    assert all(one.value == pytest.approx(2 / 3, abs=0.05) for one in same.values())


def test_dot_plot(tmp_path: Path) -> None:
    choices = [*simulated_choices("sparse_residential_area", TRUE), *simulated_choices("$beach", TRUE, seed=1)]
    plot_diversity(relative_diversity(choices, SETS), tmp_path / "diversity.png")
    with Image.open(tmp_path / "diversity.png") as picture:
        assert picture.width > 600 and len(picture.convert("RGB").getcolors(10**6)) > 50


def test_a_scene_called_average_is_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choices = [
        Choice(scene, str(trial), "o", chosen)
        for scene, chosen in (("average", "a"), ("beach", "b"))
        for trial in range(5)
    ]
    result = relative_diversity(choices, ["a", "b"])
    write_results(tmp_path, result, {scene: {"a": 3, "b": 4} for scene in ("average", "beach")})
    with (tmp_path / "diversity.csv").open(newline="") as file:
        found = {(row["category"], row["set"]): float(row["diversity"]) for row in csv.DictReader(file)}
    assert len(found) == 6
    assert found["average", "a"] == 0 and found["average", "b"] == 1
    shown: list[list[float]] = []
    plot = Axes.plot

    def seen(axes: Axes, values: list[float], *more: Any, **settings: Any) -> Any:  # noqa: ANN401
        shown.append(list(values))
        return plot(axes, values, *more, **settings)

    monkeypatch.setattr(Axes, "plot", seen)
    plot_diversity(result, tmp_path / "again.png")
    assert shown == [[1, 0, 0.5], [0, 1, 0.5]]  # beach, the scene called average, and the mean of both


def test_faults() -> None:
    with pytest.raises(ConfigurationError, match="none of the sets"):
        relative_diversity([Choice("beach", "1", "a", "fourth")], SETS)
    with pytest.raises(ConfigurationError, match="no choices"):
        relative_diversity([], SETS)


def test_a_study_that_has_just_begun_has_intervals() -> None:
    """Each of many categories was seen by one of several observers: most draws miss some category."""
    choices = [Choice(f"c{i}", "0", f"o{i % 5}", "a" if i % 5 < 2 else "b") for i in range(30)]
    average = relative_diversity(choices, ["a", "b"]).average
    assert average["a"].value == pytest.approx(0.6)
    assert 0 <= average["a"].low < 0.4
    assert 0.8 < average["a"].high <= 1
