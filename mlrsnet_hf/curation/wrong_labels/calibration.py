"""Probabilities from scores of networks, which say how sure one is in a language of its own.

The k networks of a cross-validation end at different places, and losses such as the asymmetric one move all scores to
one side. A logistic curve (Platt 1999) of each fold makes the folds comparable, then one of each label brings its
scores to how often it is given. Curves of each label in each fold have too few images that carry a rare one: of
networks of the same kind they found fewer wrong labels, as no curves did. Needs scikit-learn, which the extra `curate`
brings.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import logit

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]

MOST_SURE = 1e-6
"""How near to 0 and 1 a probability may come."""
_PENALTY = 1e-4


def calibrated(scores: Scores, labels: Labels, folds: npt.NDArray[np.int64], unknown: Labels | None = None) -> Scores:
    """Return scores as probabilities, each fold of the same meaning.

    Args:
        scores: (N, L), 0 to 1, of networks that have not seen the image.
        labels: (N, L), as given.
        folds: (N,) numbers, one for each network.
        unknown: (N, L), labels of which nothing is known, and nothing is learned; None where all are known.

    Returns:
        (N, L), above 0 and below 1.
    """
    logits = logit(np.clip(scores, MOST_SURE, 1 - MOST_SURE))
    known = np.ones(labels.shape, bool) if unknown is None else ~unknown
    for fold in np.unique(folds):
        rows = folds == fold
        found = logistic_curve(logits[rows].ravel(), labels[rows].ravel(), known[rows].ravel())
        logits[rows] = logit(found).reshape(logits[rows].shape)
    columns = zip(logits.T, labels.T, known.T, strict=True)
    return np.stack([logistic_curve(*column) for column in columns], axis=1)


def logistic_curve(values: Scores, labels: Labels, known: Labels | None = None) -> Scores:
    """Return the probability of each value by the logistic curve that fits what is known best.

    Args:
        values: (N,).
        labels: (N,), whether each has the label.
        known: (N,), whether that is known; None for all.

    Returns:
        (N,), above 0 and below 1; the share of those that have it where all or none do.
    """
    from sklearn.linear_model import LogisticRegression

    fitted = np.ones(len(values), bool) if known is None else known
    truth = labels[fitted]
    if truth.all() or not truth.any():
        return np.full(len(values), (truth.sum() + 0.5) / (len(truth) + 1))
    curve = LogisticRegression(C=1 / _PENALTY).fit(values[fitted, None], truth)
    found: Scores = np.clip(curve.predict_proba(values[:, None])[:, 1], MOST_SURE, 1 - MOST_SURE)
    return found
