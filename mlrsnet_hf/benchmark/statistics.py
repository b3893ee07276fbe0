"""Whether one network is better than another: over repetitions, and on the images of one test set.

Over repetitions the corrected resampled t test (Nadeau and Bengio 2003) says how sure a difference is where split and
training are drawn anew; on one test set a paired bootstrap over groups of near-duplicates says how sure it is for the
two models at hand. Where many pairs are compared, Holm's procedure (1979) keeps the chance of any false finding.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.configuration.json_file import Defined, Name
from mlrsnet_hf.configuration.settings import CountOrZero
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.evaluation.intervals import CONFIDENCE, Bounds, interval

_UNDEFINED = Bounds(low=float("nan"), high=float("nan"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How much higher one score is than another, and how sure that is."""

    value: Defined
    """The difference; NaN where there is none."""
    bounds: Bounds
    """Its interval at the confidence `CONFIDENCE`; NaN where there is none."""
    p_value: Defined
    """Two-sided, of the hypothesis that there is no difference; NaN where it cannot be tested."""
    samples: CountOrZero
    """Repetitions, or draws of the images, that it rests on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTest:
    """Two networks compared over repetitions, as one pair of several."""

    first: Name
    second: Name
    difference: Difference
    """First less second."""
    holm_p_value: Defined
    """The p-value of the pair, adjusted for the number of pairs."""


def corrected_t_test(differences: npt.ArrayLike, training_images: int, test_images: int) -> Difference:
    """Corrected resampled t test of two networks over repetitions that each draw their own split.

    For J differences d_j with mean m and sample variance s^2 (of J - 1),

        t = m / sqrt((1 / J + n_test / n_train) * s^2),

    with J - 1 degrees of freedom. The interval is m -+ q * sqrt((1 / J + n_test / n_train) * s^2), q the quantile of
    that t distribution. The splits of the repetitions overlap, so that their differences are not independent, and the
    plain test, without n_test / n_train, finds too much. Where the repetitions share one split and training alone is
    drawn anew, nothing overlaps by chance: give 0 test images for the plain test, which then speaks of that split only.

    Args:
        differences: (J,) score of the first network less that of the second, trained and tested on the same split;
            NaN where a repetition lacks one of them, which is left out.
        training_images: n_train, images of a repetition that a network learns from.
        test_images: n_test, images of a repetition that it is tested on.

    Returns:
        The test. With fewer than two differences, or where all are the same, there is no deviation to measure them
        by: p-value and interval are NaN, save where all are 0, which is a p-value of 1 and an interval of 0 to 0.

    Raises:
        ConfigurationError: There are no training images, or the numbers of images are negative.

    References:
        C. Nadeau and Y. Bengio, "Inference for the Generalization Error", Machine Learning 52, 2003, section 3.2; with
        `n_test` and `n_train` as in R. R. Bouckaert and E. Frank, "Evaluating the Replicability of Significance Tests
        for Comparing Learning Algorithms", PAKDD 2004.

    Examples:
        Differences 1, 2, 3: m = 2, s^2 = 1; with n_test / n_train = 2/3 the factor is 1/3 + 2/3 = 1 and t = 2, whose
        two-sided p-value with 2 degrees of freedom is 1 - 2 / sqrt(2 + 2^2):

        >>> round(corrected_t_test([1.0, 2.0, 3.0], training_images=30, test_images=20).p_value, 4)
        0.1835
    """
    if training_images < 1 or test_images < 0:
        raise ConfigurationError(
            f"a test of {test_images:,} test images and {training_images:,} training images",
            "Give the numbers of images that a repetition learns from and is tested on.",
        )
    values = np.asarray(differences, dtype=np.float64)
    values = values[~np.isnan(values)]
    count = len(values)
    mean = float(values.mean()) if count else float("nan")
    if count < 2 or np.ptp(values) == 0:
        same = count >= 2 and mean == 0
        return Difference(
            value=mean,
            bounds=Bounds(low=0.0, high=0.0) if same else _UNDEFINED,
            p_value=1.0 if same else float("nan"),
            samples=count,
        )
    from scipy import stats  # of the extra `benchmark`, which the pages of others do without

    error = math.sqrt((1 / count + test_images / training_images) * values.var(ddof=1))
    half = error * float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1))
    return Difference(
        value=mean,
        bounds=Bounds(low=mean - half, high=mean + half),
        p_value=float(2 * stats.t.sf(abs(mean) / error, count - 1)),
        samples=count,
    )


def holm(p_values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Holm's step-down adjustment of p-values, which bounds the chance of one false finding among all.

    Of m p-values in ascending order p_1 <= ... <= p_m, the adjusted i-th is the largest of min(1, (m - j + 1) * p_j)
    over j <= i. A hypothesis is rejected at a level if its adjusted p-value is at or below it.

    Args:
        p_values: (m,) p-values in any order; NaN stands for what could not be tested, and counts as no hypothesis.

    Returns:
        (m,) adjusted p-values in the order given; NaN stays NaN.

    References:
        S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6, 1979.

    Examples:
        Ascending 0.01, 0.03, 0.04 times 3, 2, 1 are 0.03, 0.06, 0.04, of which the last rises to 0.06:

        >>> holm([0.04, 0.01, 0.03]).round(4).tolist()
        [0.06, 0.03, 0.06]
    """
    values = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(values.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factors * values[order]))
    return adjusted


def compare_pairs(scores: Mapping[str, npt.ArrayLike], training_images: int, test_images: int) -> tuple[PairTest, ...]:
    """Compare each network with each other over repetitions: `corrected_t_test` of each pair, `holm` over the pairs.

    Args:
        scores: (J,) score of each network in each repetition, by its name; the same place of two networks is the same
            split. NaN where a run is missing or failed: a pair is compared over the repetitions that both have.
        training_images: Images of a repetition that a network learns from.
        test_images: Images of a repetition that it is tested on.

    Returns:
        The pairs in the order of the networks: first with second, first with third, and so on.

    Raises:
        ConfigurationError: See `corrected_t_test`, or two networks have another number of repetitions.
    """
    arrays = {name: np.asarray(values, dtype=np.float64) for name, values in scores.items()}
    if len({values.shape for values in arrays.values()}) > 1:
        told = ", ".join(f"{name} {len(values)}" for name, values in arrays.items())
        raise ConfigurationError(
            f"networks with different numbers of repetitions ({told})",
            "Give each network a place for each repetition, NaN where it has no score.",
        )
    tests = [
        PairTest(
            first=first,
            second=second,
            difference=corrected_t_test(arrays[first] - arrays[second], training_images, test_images),
            holm_p_value=float("nan"),
        )
        for first, second in combinations(arrays, 2)
    ]
    adjusted = holm([test.difference.p_value for test in tests])
    return tuple(replace(test, holm_p_value=float(p)) for test, p in zip(tests, adjusted, strict=True))


def paired_bootstrap(
    difference: float, first_draws: npt.NDArray[np.float64], second_draws: npt.NDArray[np.float64]
) -> Difference:
    """Paired bootstrap of the difference of two models' scores on one test set.

    Both models are measured in the same D draws, so that what makes some images hard for both does not count. The
    interval is the middle `CONFIDENCE` of the D differences d_i; the p-value is the level at which such an interval
    reaches 0,

        p = min(1, 2 * min(1 + #{d_i <= 0}, 1 + #{d_i >= 0}) / (D + 1)).

    The models are the same in every draw: it says nothing of how training varies.

    Args:
        difference: Score of the first model less that of the second, on the whole test set.
        first_draws: (D,) score of the first model in each draw, as `draw_scores` gives them; for draws of whole groups
            of near-duplicates with its `groups`, since the images of a group are no independent evidence.
        second_draws: (D,) of the second model, with the same draws.

    Returns:
        The difference. Draws in which a score is not defined are left out; without any, p-value and interval are NaN.

    Raises:
        ConfigurationError: The two have different numbers of draws.

    References:
        B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, sections 13.3 and 15.4; the 1 added to
        the counts as in A. C. Davison and D. V. Hinkley, "Bootstrap Methods and their Application", 1997, section 4.2.
    """
    if first_draws.shape != second_draws.shape:
        raise ConfigurationError(
            f"{len(first_draws):,} draws of one model and {len(second_draws):,} of the other",
            "Draw the scores of both models alike.",
        )
    drawn = first_draws - second_draws
    drawn = drawn[~np.isnan(drawn)]
    tail = 1 + min(np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0))
    return Difference(
        value=difference,
        bounds=interval(drawn),
        p_value=min(1.0, 2 * tail / (len(drawn) + 1)) if len(drawn) else float("nan"),
        samples=len(drawn),
    )
