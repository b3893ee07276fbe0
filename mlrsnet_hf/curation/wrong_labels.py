"""How probably each label of each image is wrong, from what a model, its neighbors and its scene say of it.

Four kinds of evidence give the probability that an image has a label: scores of a model that has not seen the image;
the labels of its nearest neighbors in embedding space; those of the other images of its scene; its own other labels. A
logistic regression on the labels as they are weighs them against each other (stacking, Wolpert 1992). Confident
learning (Northcutt et al. 2021, in cleanlab) finds labels that are sure to be wrong, and so tells how often those of
each class are. A label that is unlikely by the evidence is wrong with the probability that follows from both: somebody
has given it after all, and unusual is not wrong. A vocabulary, whose sample somebody has looked at, counts besides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.curation.label_patterns import (
    Labels,
    Rules,
    Scenes,
    Scores,
    co_occurrence,
    scene_rates,
    wrong_by_vocabulary,
)
from mlrsnet_hf.retrieval.search.exact import Search

NEIGHBORS = 10
_MOST_SURE = 1e-4
"""How near to 0 and 1 a single kind of evidence may come."""
_LABELS_BESIDES = 100
"""Labels, one of them wrong, that each class has besides its own: none is without fault."""
_FITTED = 1_000_000
"""Labels that the weights are fitted on; more make them no better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledImages:
    """Images with labels of which some may be wrong, and what is known of them."""

    ids: Sequence[str]
    label_names: Sequence[str]
    labels: Labels
    """(N, L)."""
    unknown: Labels | None = None
    """(N, L), labels of which nothing is known; they are not judged. None where all are known."""
    scene_names: Sequence[str] = ()
    scenes: Scenes | None = None
    """(N,) ids, -1 for an image without a scene; None where the data names none."""
    scores: Scores | None = None
    """(N, L) scores of a model that has seen none of the images, or out of its fold."""
    embeddings: npt.NDArray[np.float32] | None = None
    """(N, D), rows of zeros for images without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongLabels:
    """What speaks against each label; (N, L) each."""

    wrong: Scores
    """Probability of being wrong, of labels that are given and of those that are not."""
    found: Labels
    """Whether confident learning or the vocabulary finds it."""
    probable: Scores
    """Probability of having the label, by the weighed evidence."""
    evidence: Mapping[str, Scores] = field(default_factory=dict)
    """Probability of having the label, by each kind of evidence that there is."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Weight of each kind."""

    def ranked(self, least: float) -> list[tuple[int, int]]:
        """Return rows and columns of labels that are found, or wrong with this probability, the worst first."""
        rows, columns = np.nonzero(self.found | (self.wrong >= least))
        order = np.lexsort((columns, rows, -self.wrong[rows, columns]))
        return list(zip(rows[order].tolist(), columns[order].tolist(), strict=True))


def find_wrong_labels(images: LabeledImages, rules: Rules | None = None, neighbors: int = NEIGHBORS) -> WrongLabels:
    """Return what speaks against each label of some images.

    Needs cleanlab and scikit-learn, which the extra `curate` brings.

    Args:
        images: The images.
        rules: The vocabulary of their scenes, if there is one.
        neighbors: Number of nearest neighbors that are asked.
    """
    from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class
    from cleanlab.multilabel_classification.rank import get_label_quality_scores_per_class

    labels = images.labels
    judged = np.ones_like(labels) if images.unknown is None else ~images.unknown
    evidence: dict[str, Scores] = {}
    if images.scores is not None:
        evidence["model"] = images.scores
    if images.embeddings is not None:
        evidence["neighbors"] = neighbor_shares(images.embeddings, labels, neighbors)
    if images.scenes is not None:
        evidence["scene"] = scene_rates(labels, images.scenes, len(images.scene_names))
    evidence["other labels"] = co_occurrence(labels, images.scenes, len(images.scene_names))
    probable, weights = _weighed(evidence, labels, judged)
    given = [np.flatnonzero(row).tolist() for row in labels]
    unlikely = 1 - get_label_quality_scores_per_class(given, probable)
    found = find_multilabel_issues_per_class(given, probable) & judged
    wrong = _posterior(unlikely, _noise_rates(found, labels, judged))
    if rules is not None and images.scenes is not None:
        ruled = wrong_by_vocabulary(labels, images.scenes, rules)
        wrong = 1 - (1 - wrong) * (1 - ruled)
        found = found | (ruled > 0.5)
    return WrongLabels(
        wrong=np.where(judged, wrong, 0),
        found=found & judged,  # of the vocabulary too
        probable=probable,
        evidence=evidence,
        weights=weights,
    )


def _noise_rates(found: Labels, labels: Labels, judged: Labels) -> Scores:
    """Return how often labels like each are wrong: of its class, and given or not given as it is; (N, L)."""
    rates = np.empty(labels.shape)
    for is_given in (True, False):
        alike = judged & (labels == is_given)
        share = ((found & alike).sum(axis=0) + 1) / (alike.sum(axis=0) + _LABELS_BESIDES)
        rates = np.where(labels == is_given, np.minimum(share, 0.5), rates)
    return rates


def _posterior(unlikely: Scores, rates: Scores) -> Scores:
    """Return P(wrong), where labels are wrong at some rates, and the evidence makes what is given unlikely."""
    wrong: Scores = rates * unlikely / (rates * unlikely + (1 - rates) * (1 - unlikely))
    return wrong


def neighbor_shares(embeddings: npt.NDArray[np.float32], labels: Labels, neighbors: int = NEIGHBORS) -> Scores:
    """Return the share of the nearest other images, by cosine, that carry each label.

    One image with the usual rates counts among them. An image whose embedding is zero has these alone, and is nobody's
    neighbor.

    Args:
        embeddings: (N, D).
        labels: (N, L).
        neighbors: How many are asked.

    Returns:
        (N, L).
    """
    rates = labels.mean(axis=0)
    shares: Scores = np.tile(rates, (len(labels), 1))
    rows = np.flatnonzero(np.linalg.norm(embeddings, axis=1) > 0)
    asked = min(neighbors, len(rows) - 1)
    if asked < 1:
        return shares
    there = np.ascontiguousarray(embeddings[rows])
    nearest = Search(there, "cosine").top(there, asked + 1).indices
    for place, row in enumerate(rows):
        # Of two equal images either may stand first: the image itself is left out wherever it is, else the last.
        others = nearest[place][nearest[place] != place][:asked]
        shares[row] = (labels[rows[others]].sum(axis=0) + rates) / (len(others) + 1)
    return shares


def _weighed(evidence: Mapping[str, Scores], labels: Labels, judged: Labels) -> tuple[Scores, dict[str, float]]:
    """Return the probability of each label by all evidence together, and the weight of each kind."""
    from sklearn.linear_model import LogisticRegression

    clipped = [np.clip(part, _MOST_SURE, 1 - _MOST_SURE) for part in evidence.values()]
    features = np.stack([np.log(part / (1 - part)) for part in clipped], axis=-1)
    places = np.flatnonzero(judged)
    if len(places) > _FITTED:
        places = np.random.default_rng(0).choice(places, _FITTED, replace=False)
    flat = features.reshape(-1, len(clipped))
    truth = labels.reshape(-1)[places]
    if truth.all() or not truth.any():
        return np.full(labels.shape, labels.mean()), dict.fromkeys(evidence, 0.0)
    model = LogisticRegression().fit(flat[places], truth)
    probable: Scores = model.predict_proba(flat)[:, 1].reshape(labels.shape)
    return probable, dict(zip(evidence, model.coef_[0].tolist(), strict=True))
