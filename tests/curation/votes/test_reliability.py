"""Annotators weighted by Dawid and Skene: against the exact posterior of votes whose rates are known."""

import math

import numpy as np
import pytest

from mlrsnet_hf.curation.votes.event_log import Claim
from mlrsnet_hf.curation.votes.reliability import Ballot, weighted_confidence
from mlrsnet_hf.errors import ConfigurationError

pytest.importorskip("crowdkit")
RATES = {"careful": (0.95, 0.05), "fair": (0.8, 0.3), "lenient": (0.98, 0.6), "coin": (0.5, 0.5)}
"""How often each accepts good images and bad ones."""


def votes(images: int, seed: int = 0) -> tuple[list[Ballot], dict[Claim, bool]]:
    generator = np.random.default_rng(seed)
    truth = {(str(i), "beach"): bool(generator.random() < 0.6) for i in range(images)}
    return [
        Ballot(image, name, bool(generator.random() < rates[not is_good]))
        for image, is_good in truth.items()
        for name, rates in RATES.items()
    ], truth


def test_approaches_the_exact_posterior() -> None:
    ballots, truth = votes(1500)
    known = dict(list(truth.items())[:300])
    found = weighted_confidence(ballots, known)
    for name, (good, bad) in RATES.items():
        assert found.annotators[name].accepts_good == pytest.approx(good, abs=0.04)
        assert found.annotators[name].accepts_bad == pytest.approx(bad, abs=0.04)
    by_image: dict[Claim, list[Ballot]] = {}
    for vote in ballots:
        by_image.setdefault(vote.claim, []).append(vote)
    off = []
    for image in list(truth)[300:]:
        odds = 0.6 / 0.4
        for vote in by_image[image]:
            good, bad = RATES[vote.annotator]
            odds *= good / bad if vote.accepted else (1 - good) / (1 - bad)
        off.append(abs(found.claims[image] - odds / (1 + odds)))
    assert np.mean(off) < 0.04 and max(off) < 0.2
    assert all(found.claims[image] == pytest.approx(float(is_good), abs=1e-6) for image, is_good in known.items())


def test_nobody_is_infallible_after_three_votes() -> None:
    found = weighted_confidence(
        [Ballot((str(i), "b"), "a", True) for i in range(3)], {(str(i), "b"): True for i in range(3)}
    )
    # Four accepts of five good images, and one of two bad ones: those that everybody is held to have judged besides.
    assert found.annotators["a"].accepts_good == pytest.approx(4 / 5)
    assert found.annotators["a"].accepts_bad == pytest.approx(1 / 2)


def test_without_votes() -> None:
    with pytest.raises(ConfigurationError):
        weighted_confidence([])
    assert math.isclose(sum(weighted_confidence([Ballot(("1", "b"), "a", True)]).claims.values()), 0.5, abs_tol=0.3)
