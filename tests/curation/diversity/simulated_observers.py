"""Simulated observers of sets whose relative diversity is known: what measured diversity is checked on."""

from collections.abc import Mapping

import numpy as np

from mlrsnet_hf.curation.diversity.relative import PAIRS, TRIALS, Choice


def simulated_choices(
    category: str,
    diversity: Mapping[str, float],
    trials: int = TRIALS,
    observers: int = 10,
    trial_share: float = 0.5,
    pairs: int = PAIRS,
    seed: int = 0,
) -> list[Choice]:
    """Return the choices of simulated observers of sets whose relative diversity is known.

    A pair looks as similar as its set's utility plus Gumbel noise, so that the pair of set s is the most similar with
    probability exp(u_s) / sum exp(u) (Luce's choice), which is 1 - its diversity.

    Args:
        category: Of the choices.
        diversity: Of each set; they sum to the number of sets less one.
        trials: Number of trials.
        observers: Number of observers, who all see the same trials.
        trial_share: Share of the choices in which an observer picks what the trial itself makes most similar, the same
            for all; the others are the observer's own.
        pairs: Pairs of each set in a trial.
        seed: Of the choices.
    """
    generator = np.random.default_rng(seed)
    names = list(diversity)
    utilities = np.repeat(np.log([1 - diversity[name] for name in names]), pairs)

    def most_similar() -> str:
        return names[int((utilities + generator.gumbel(size=len(utilities))).argmax()) // pairs]

    found = []
    for trial in range(trials):
        common = most_similar()
        for observer in range(observers):
            chosen = common if generator.random() < trial_share else most_similar()
            found.append(Choice(category, str(trial), f"observer {observer}", chosen))
    return found
