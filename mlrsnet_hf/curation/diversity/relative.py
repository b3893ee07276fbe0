"""How diverse datasets are beside each other: the relative diversity of Zhou et al. (2017), as in Qi et al. (2020).

An observer sees some pairs of images from each of several sets, all of one category, and picks the most similar pair
without knowing which set it is from. The more diverse a set, the more seldom its pairs are the most alike:

    diversity(set) = 1 - share of the trials in which the most similar pair is of the set.

Of K sets the values sum to K - 1, and sets that are equally diverse have 1 - 1/K: with three sets 2 and 2/3. (The
averages that the paper prints, 0.78, 0.56 and 0.69, sum to 2.03.) The value depends on what a set is compared with.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError

PAIRS = 4
"""Pairs that a trial shows of each set (section 2.2.3 of the paper)."""
TRIALS = 50
"""Trials of a category."""
DRAWS = 2000
CONFIDENCE = 0.95

Matrix = npt.NDArray[np.float32] | npt.NDArray[np.float64]


class Choice(NamedTuple):
    """The set whose pair an observer picked as the most similar in a trial."""

    category: str
    trial: str
    observer: str
    chosen: str


class Pair(NamedTuple):
    """Two images of a set, by the rows of its category."""

    set: str
    first: int
    second: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Diversity:
    """Relative diversity of one set, in one category or on average."""

    value: float
    low: float
    """Lower end of the interval; as `value` where a single trial is all there is."""
    high: float


@dataclass(frozen=True, slots=True)
class RelativeDiversity:
    """Relative diversities of some sets."""

    sets: Sequence[str]
    categories: Mapping[str, Mapping[str, Diversity]]
    """Category -> set -> diversity."""
    average: Mapping[str, Diversity]
    """Set -> mean over the categories, each counted alike."""

    @property
    def average_name(self) -> str:
        """What the average is called beside the categories, of which one may be called so too."""
        name = "average"
        while name in self.categories:
            name += " of all"
        return name

    @property
    def chance(self) -> float:
        """What sets have that are equally diverse."""
        return 1 - 1 / len(self.sets)


def relative_diversity(
    choices: Iterable[Choice], sets: Sequence[str], draws: int = DRAWS, seed: int = 0
) -> RelativeDiversity:
    """Return the relative diversity of each set, with intervals by cluster bootstrap.

    Choices of one observer are alike, and so are those of one trial, which several observers see. A draw takes as many
    observers and as many trials of each category as there are, with replacement; a choice counts as often as both were
    drawn (Owen 2007). An interval is the middle 95% of the draws. The observers are drawn alike for all categories.

    Args:
        choices: What was chosen.
        sets: All sets, in the order of reports.
        draws: How many draws.
        seed: Of the draws.

    Raises:
        ConfigurationError: There are no choices, or one is none of the sets.
    """
    by_category: dict[str, list[Choice]] = defaultdict(list)
    for choice in choices:
        if choice.chosen not in sets:
            raise ConfigurationError(f"a choice of {choice.chosen!r}, which is none of the sets", "Name all sets.")
        by_category[choice.category].append(choice)
    if not by_category:
        raise ConfigurationError("there are no choices", "Have observers pick pairs first.")
    generator = np.random.default_rng(seed)
    observers = sorted({choice.observer for part in by_category.values() for choice in part})
    of_observers = _times_drawn(len(observers), draws, generator)
    values, drawn = [], []
    for _, part in sorted(by_category.items()):
        trials = {name: row for row, name in enumerate(sorted({choice.trial for choice in part}))}
        rows = np.array([trials[choice.trial] for choice in part])
        columns = np.array([observers.index(choice.observer) for choice in part])
        chosen = np.array([list(sets).index(choice.chosen) for choice in part])
        weights = _times_drawn(len(trials), draws, generator)[:, rows] * of_observers[:, columns]
        picked = np.eye(len(sets))[chosen]
        totals = weights.sum(axis=1, keepdims=True)
        # A draw may miss every choice where few observers saw a category; such a draw says nothing of it.
        shares = np.divide(weights @ picked, totals, out=np.full((draws, len(sets)), np.nan), where=totals > 0)
        values.append(1 - picked.mean(axis=0))
        drawn.append(1 - shares)
    return RelativeDiversity(
        tuple(sets),
        {
            name: _with_intervals(sets, value, draw)
            for name, value, draw in zip(sorted(by_category), values, drawn, strict=True)
        },
        # A draw is the mean of the categories that it says something of.
        _with_intervals(sets, np.mean(values, axis=0), np.ma.masked_invalid(drawn).mean(axis=0).filled(np.nan)),
    )


def _times_drawn(count: int, draws: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return how often each of so many is drawn, (draws, count)."""
    return generator.multinomial(count, np.full(count, 1 / count), draws).astype(np.float64)


def _with_intervals(sets: Sequence[str], values: np.ndarray, drawn: np.ndarray) -> dict[str, Diversity]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(drawn, [tail, 1 - tail], axis=0)
    return {
        name: Diversity(value=float(values[i]), low=float(low[i]), high=float(high[i])) for i, name in enumerate(sets)
    }


def draw_trial(sizes: Mapping[str, int], generator: np.random.Generator, pairs: int = PAIRS) -> list[Pair]:
    """Return the pairs of a trial in the order in which they are shown, which tells nothing of their sets.

    Args:
        sizes: Images of the category in each set; two at least.
        generator: Of random numbers.
        pairs: Pairs of each set; where there are not so many, all stand once before any stands again.
    """
    shown: list[Pair] = []
    for name, size in sizes.items():
        if size < 2:
            raise ConfigurationError(f"set {name!r} has {size} images of a category", "Two make a pair.")
        possible = size * (size - 1) // 2
        drawn: list[int] = []
        while len(drawn) < pairs:
            drawn += generator.choice(possible, min(possible, pairs - len(drawn)), replace=False).tolist()
        for number in drawn:
            # Number the pairs (0, 1), (0, 2), (1, 2), (0, 3), ...: those whose second is s begin at s (s - 1) / 2.
            second = int((1 + np.sqrt(1 + 8 * number)) // 2)
            shown.append(Pair(name, number - second * (second - 1) // 2, second))
    return [shown[place] for place in generator.permutation(len(shown))]


def choices_from_embeddings(
    category: str,
    embeddings: Mapping[str, Matrix],
    trials: int = TRIALS,
    pairs: int = PAIRS,
    noise: float = 0.0,
    observers: int = 1,
    seed: int = 0,
) -> list[Choice]:
    """Return what an observer would choose that takes the pair of the highest cosine similarity.

    It stands in for people as far as the network sees what they see. All sets have to be embedded by one network, at
    one size of the images: of a smaller or blurred image the embedding tells less, and less looks alike.

    Args:
        category: Of all images.
        embeddings: (N, D) of each set.
        trials: Number of trials.
        pairs: Pairs of each set in a trial.
        noise: Standard deviation of what each observer adds to a similarity; observers differ in nothing else.
        observers: Number of observers, who all see the same trials.
        seed: Of trials and noise.
    """
    generator = np.random.default_rng(seed)
    unit = {name: rows / np.linalg.norm(rows, axis=1, keepdims=True) for name, rows in embeddings.items()}
    sizes = {name: len(rows) for name, rows in embeddings.items()}
    found = []
    for trial in range(trials):
        shown = draw_trial(sizes, generator, pairs)
        similar = np.array([float(unit[pair.set][pair.first] @ unit[pair.set][pair.second]) for pair in shown])
        seen = similar + noise * generator.standard_normal((observers, len(shown)))
        for observer, row in enumerate(seen):
            found.append(Choice(category, str(trial), f"observer {observer}", shown[int(row.argmax())].set))
    return found
