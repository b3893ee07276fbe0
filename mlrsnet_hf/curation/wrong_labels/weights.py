"""How much each kind of evidence counts: as much as it tells of the labels that are given.

A network that is nearly always right must not be outvoted by neighbors that see little, nor the other way round. The
weights are those of a logistic regression of all labels on the logits of each kind, none below 0. The labels hold the
mistakes that are looked for: a share of them is taken for turned by chance, so that what lies far from all evidence
pulls at no weight, where a plain regression learns the mistakes too.
"""

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

Scores = npt.NDArray[np.float64]

_TURNED = 0.02
"""Share of labels that is taken for turned."""


def weighed(logits: Scores, labels: npt.NDArray[np.bool_]) -> tuple[Scores, float]:
    """Return the weight of each kind of evidence, and the offset, under which the labels are most probable.

    A label is there with the probability t + (1 - 2 t) / (1 + exp(-z)), where z is the weighed sum of the logits and t
    the share of turned labels.

    Args:
        logits: (N, K), of each kind of evidence for each label.
        labels: (N,), as given.

    Returns:
        (K,) weights of 0 and above, and the offset of z.
    """
    kinds = logits.shape[1]

    def cost(values: Scores) -> tuple[float, Scores]:
        """Return the negative mean log-likelihood, and its slope."""
        inner = expit(np.clip(logits @ values[:-1] + values[-1], -60, 60))
        told = np.where(labels, inner, 1 - inner)
        seen = _TURNED + (1 - 2 * _TURNED) * told
        slope = np.where(labels, 1, -1) * (1 - 2 * _TURNED) * told * (1 - told) / seen
        return float(-np.log(seen).mean()), -np.r_[slope @ logits, slope.sum()] / len(labels)

    first = np.r_[np.full(kinds, 1 / kinds), 0.0]
    bounds = [(0, None)] * kinds + [(None, None)]
    found: Scores = minimize(cost, first, jac=True, bounds=bounds, method="L-BFGS-B").x
    return found[:-1], float(found[-1])
