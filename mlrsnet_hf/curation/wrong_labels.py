"""How probably each label of each image is wrong, from what a model, its neighbors and its scene say of it.

Three kinds of evidence give the probability that an image has a label: scores of a model that has not seen the image,
the labels of its nearest neighbors in embedding space, and those of the other images of its scene. Their logits are
averaged, each kind counting alike: weights that are fitted to the labels as they are learn the mistakes too, and found
fewer. Confident learning (Northcutt et al. 2021, in cleanlab) says which labels they speak against so surely that these
count as found. Unusual is not wrong: what speaks against each label is made a probability of being wrong by one shift
of all logits, such that the probabilities sum to the number that is found. A vocabulary, whose sample somebody has
looked at, counts besides.

Without images a vocabulary alone is asked; without that what is left is how unusual a label is beside the image's other
labels and in its scene.
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
    evidence: Mapping[str, Scores] = field(default_factory=dict)
    """Probability of having the label, by each kind of evidence that there is."""

    def ranked(self, least: float) -> list[tuple[int, int]]:
        """Return rows and columns of labels that are found, or wrong with this probability, the worst first."""
        rows, columns = np.nonzero(self.found | (self.wrong >= least))
        order = np.lexsort((columns, rows, -self.wrong[rows, columns]))
        return list(zip(rows[order].tolist(), columns[order].tolist(), strict=True))


def find_wrong_labels(images: LabeledImages, rules: Rules | None = None, neighbors: int = NEIGHBORS) -> WrongLabels:
    """Return what speaks against each label of some images.

    Needs cleanlab, which the extra `curate` brings.

    Args:
        images: The images.
        rules: The vocabulary of their scenes, if there is one.
        neighbors: Number of nearest neighbors that are asked.
    """
    labels = images.labels
    judged = np.ones_like(labels) if images.unknown is None else ~images.unknown
    evidence = _evidence(images, rules is not None, neighbors)
    wrong, found = np.zeros(labels.shape), np.zeros(labels.shape, bool)
    if evidence:
        wrong, found = _against(_averaged(evidence), labels)
    if rules is not None and images.scenes is not None:
        ruled = wrong_by_vocabulary(labels, images.scenes, rules)
        wrong = 1 - (1 - wrong) * (1 - ruled)
        found = found | (ruled > 0.5)
    return WrongLabels(wrong=np.where(judged, wrong, 0), found=found & judged, evidence=evidence)


def _evidence(images: LabeledImages, has_rules: bool, neighbors: int) -> dict[str, Scores]:
    """Return the probability of having each label by each kind of evidence that there is."""
    evidence: dict[str, Scores] = {}
    if images.scores is not None:
        evidence["model"] = images.scores
    if images.embeddings is not None:
        evidence["neighbors"] = neighbor_shares(images.embeddings, images.labels, neighbors)
    if not evidence and has_rules:
        return {}
    if not evidence:
        evidence["other labels"] = co_occurrence(images.labels, images.scenes, len(images.scene_names))
    if images.scenes is not None:
        evidence["scene rate"] = scene_rates(images.labels, images.scenes, len(images.scene_names))
    return evidence


def _averaged(evidence: Mapping[str, Scores]) -> Scores:
    """Return the probability of each label by all evidence, the mean of the logits."""
    clipped = [np.clip(part, _MOST_SURE, 1 - _MOST_SURE) for part in evidence.values()]
    logits = np.mean([np.log(part / (1 - part)) for part in clipped], axis=0)
    probable: Scores = 1 / (1 + np.exp(-logits))
    return probable


def _against(probable: Scores, labels: Labels) -> tuple[Scores, Labels]:
    """Return how probably each label is wrong, and whether confident learning finds it."""
    from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class
    from cleanlab.multilabel_classification.rank import get_label_quality_scores_per_class

    if not labels.any():  # cleanlab asks for a label at least
        return probable, np.zeros(labels.shape, bool)
    given = [np.flatnonzero(row).tolist() for row in labels]
    against = 1 - get_label_quality_scores_per_class(given, probable)
    # In one process: a pool of cleanlab's, forked from a program that takes signals itself, never ended.
    found = find_multilabel_issues_per_class(given, probable, n_jobs=1)
    return _shifted(against, float(found.sum()) + 1), found


def _shifted(against: Scores, expected: float) -> Scores:
    """Return probabilities in the same order that sum to so many, by one shift of their logits."""
    logits = np.log(against / (1 - against))
    low, high = -40.0, 40.0
    for _ in range(60):
        shift = (low + high) / 2
        if (1 / (1 + np.exp(-logits - shift))).sum() < expected:
            low = shift
        else:
            high = shift
    shifted: Scores = 1 / (1 + np.exp(-logits - low))
    return shifted


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
