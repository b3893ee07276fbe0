"""How probably each label of each image is wrong, from what a model, its neighbors and its scene say of it.

Three kinds of evidence give the probability that an image has a label: scores of a model that has not seen the image,
the labels of its nearest neighbors in embedding space, and those of the other images of its scene. Their logits are
weighed by how much each kind tells of the labels (`weights`), and confident learning (Northcutt et al. 2021, in
cleanlab) says on how many images they speak against a label so surely that it counts as found. Which these are is
judged by how mistakes are made in this set (`mistakes`), with the scene and without it, beside what all evidence
plainly says. A vocabulary, whose sample somebody has looked at, counts besides.

The scene is the one that an image is most probably of: what it looks like counts beside the scene that it is given,
since images that are filed in a wrong scene have its labels.

Near-duplicates are not asked as neighbors, as copies may be made with their labels. Where their labels differ, they are
stronger evidence than all other, since they show one piece of ground.

Without images a vocabulary alone is asked; without that what is left is how unusual a label is beside the image's other
labels and in its scene. Unusual is not wrong: what speaks against each label is made a probability of being wrong by
one shift of all logits, such that the probabilities sum to the number that is found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from mlrsnet_hf.curation.wrong_labels.label_patterns import (
    Labels,
    Rules,
    Scenes,
    Scores,
    co_occurrence,
    judged_together,
    label_rates,
    scene_rates,
    wrong_by_vocabulary,
)
from mlrsnet_hf.curation.wrong_labels.likely_scenes import (
    given_scenes,
    likely_scenes,
    seen_scenes,
    wrong_scene_odds,
)
from mlrsnet_hf.curation.wrong_labels.mistakes import Misfiled, find_mistakes
from mlrsnet_hf.curation.wrong_labels.weights import weighed
from mlrsnet_hf.retrieval.search.exact import Search

NEIGHBORS = 10
_MOST_SURE = 1e-4
"""How near to 0 and 1 a single kind of evidence may come."""
_SPARE = 10
"""Images that are looked up beside the neighbors of each, since some are of its own group."""
_DEEPER = 10
"""How many times as many neighbors are looked through where labels of some are not known."""
_AT_ONCE = 256
"""Images of large groups that are looked up together, whose many neighbors would fill memory."""
_NEAREST = 1e-12
"""How near all together may."""
_PLAIN = 1 / 3
"""How much what all evidence says counts beside what is learned of mistakes."""
_OTHER_LABELS, _SCENE_RATE = "other labels", "scene rate"


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
    scene_scores: Scores | None = None
    """(N, S) probabilities of each scene by models that have not seen the image, or out of its fold; None where the
    scenes are not doubted."""
    scores: Scores | None = None
    """(N, L) scores of a model that has seen none of the images, or out of its fold."""
    embeddings: npt.NDArray[np.float32] | None = None
    """(N, D), rows of zeros for images without."""
    groups: npt.NDArray[np.int64] | None = None
    """(N,) numbers of the groups of near-duplicates, whose labels do not speak for each other; None where nothing is
    known of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongLabels:
    """What speaks against each label; (N, L) each."""

    wrong: Scores
    """Probability of being wrong, of labels that are given and of those that are not."""
    found: Labels
    """Whether it is among those that confident learning counts, or the vocabulary finds it."""
    evidence: Mapping[str, Scores] = field(default_factory=dict)
    """Probability of having the label, by each kind of evidence that there is."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """How much each kind counts."""
    scenes: Scenes | None = None
    """(N,) ids of the scenes that the images are most probably of; None where they are not doubted."""

    def ranked(self, least: float) -> list[tuple[int, int]]:
        """Return rows and columns of labels that are found, or wrong with this probability, the worst first."""
        rows, columns = np.nonzero(self.found | (self.wrong >= least))
        order = np.lexsort((columns, rows, -self.wrong[rows, columns]))
        return list(zip(rows[order].tolist(), columns[order].tolist(), strict=True))


def find_wrong_labels(
    images: LabeledImages, rules: Rules | None = None, neighbors: int = NEIGHBORS, with_scene_rates: bool = True
) -> WrongLabels:
    """Return what speaks against each label of some images.

    Needs cleanlab, which the extra `curate` brings.

    Args:
        images: The images.
        rules: The vocabulary of their scenes, if there is one.
        neighbors: Number of nearest neighbors that are asked.
        with_scene_rates: Whether the other images of the scene are asked.
    """
    labels = images.labels
    judged = np.ones_like(labels) if images.unknown is None else ~images.unknown
    likely = _likely_scenes(images)
    evidence = _evidence(images, rules is not None, neighbors, likely if with_scene_rates else None)
    wrong, found = np.zeros(labels.shape), np.zeros(labels.shape, bool)
    weights: dict[str, float] = {}
    if evidence:
        teaching = dict(evidence)
        if _SCENE_RATE in evidence and images.scenes is not None and images.scene_scores is not None:
            # The scene that is given shares the mistakes of images that are filed in a wrong one.
            teaching[_SCENE_RATE] = scene_rates(labels, seen_scenes(images.scene_scores, images.scenes), judged)
        probable, weights = _together(evidence, teaching, labels, judged)
        if images.groups is not None:
            probable = _by_near_duplicates(probable, labels, judged, images.groups)
        wrong, found = _against(probable, labels, judged)
        if _is_seen(evidence) and _has_both(labels, judged):
            wrong = np.where(judged, _by_mistakes(wrong, evidence, teaching, images, judged), 0)
            found = _worst(wrong, (found & judged).sum(axis=0))
    if rules is not None and images.scenes is not None:
        ruled = wrong_by_vocabulary(labels, images.scenes, rules, judged)
        wrong = 1 - (1 - wrong) * (1 - ruled)
        found = found | (ruled > 0.5)
    scenes = None
    if likely is not None and images.scenes is not None and images.scene_scores is not None:
        scenes = np.where(images.scenes >= 0, likely.argmax(axis=1), -1)
    return WrongLabels(
        wrong=np.where(judged, wrong, 0), found=found & judged, evidence=evidence, weights=weights, scenes=scenes
    )


def _likely_scenes(images: LabeledImages) -> Scores | None:
    if images.scenes is None:
        return None
    if images.scene_scores is None:
        return given_scenes(images.scenes, len(images.scene_names))
    return likely_scenes(images.scene_scores, images.scenes)


def _evidence(images: LabeledImages, has_rules: bool, neighbors: int, likely: Scores | None) -> dict[str, Scores]:
    """Return the probability of having each label by each kind of evidence that there is."""
    evidence: dict[str, Scores] = {}
    known = None if images.unknown is None else ~images.unknown
    if images.scores is not None:
        evidence["model"] = images.scores
    if images.embeddings is not None:
        evidence["neighbors"] = neighbor_shares(images.embeddings, images.labels, neighbors, images.groups, known)
    if not evidence and has_rules:
        return {}
    if not evidence:
        evidence[_OTHER_LABELS] = co_occurrence(images.labels, images.scenes, len(images.scene_names))
    if likely is not None:
        evidence[_SCENE_RATE] = scene_rates(images.labels, likely, known)
    return evidence


def _together(
    evidence: Mapping[str, Scores], teaching: Mapping[str, Scores], labels: Labels, judged: Labels
) -> tuple[Scores, dict[str, float]]:
    """Return the probability of each label by all evidence, and the weight of each kind, learned from the teaching."""
    logits = _logits(evidence)
    weights: Scores = np.full(len(evidence), 1 / len(evidence))
    offset = 0.0
    # The other labels of an image are no evidence of their own: a regression on them has learned the mistakes.
    if len(evidence) > 1 and _OTHER_LABELS not in evidence and _has_both(labels, judged):
        weights, offset = weighed(_logits(teaching)[judged], labels[judged])
    probable: Scores = np.clip(expit(logits @ weights + offset), _NEAREST, 1 - _NEAREST)
    return probable, dict(zip(evidence, weights.tolist(), strict=True))


def _is_seen(evidence: Mapping[str, Scores]) -> bool:
    """Return whether any evidence is of what the images show."""
    return not evidence.keys() <= {_OTHER_LABELS, _SCENE_RATE}


def _has_both(labels: Labels, judged: Labels) -> bool:
    return bool(labels[judged].any() and not labels[judged].all())


def _by_mistakes(
    plain: Scores, evidence: Mapping[str, Scores], teaching: Mapping[str, Scores], images: LabeledImages, judged: Labels
) -> Scores:
    """Return how probably each label is wrong, by how mistakes are made in the set.

    That is learned with the scene, and without it, which may be wrong itself. Where the wrong thing is learned, as with
    labels that are taken for each other, what all evidence plainly says is the better guess: it is the third.

    Args:
        plain: (N, L), what all evidence says plainly.
        evidence: Each kind.
        teaching: The evidence that weights are learned with.
        images: The images.
        judged: (N, L), false where nothing is known of a label.
    """
    labels, scenes, groups = images.labels, images.scenes, images.groups
    misfiled = None
    if _SCENE_RATE in evidence and scenes is not None and images.scene_scores is not None:
        rates = scene_rates(labels, given_scenes(scenes, len(images.scene_names)), judged)
        misfiled = Misfiled(rates, wrong_scene_odds(images.scene_scores, scenes))

    def changed(present: Scores) -> Scores:
        return present if groups is None else _by_near_duplicates(present, labels, judged, groups)

    found = find_mistakes(_logits(evidence), labels, judged, _logits(teaching), misfiled, changed)
    if _SCENE_RATE in evidence:
        seen = {kind: part for kind, part in evidence.items() if kind != _SCENE_RATE}
        found = (found + find_mistakes(_logits(seen), labels, judged, changed=changed)) / 2
    return (1 - _PLAIN) * found + _PLAIN * _shifted(plain, max(float(found[judged].sum()), 1.0))


def _worst(wrong: Scores, counts: npt.NDArray[np.int64]) -> Labels:
    """Return whether each image is among so many of which a label is most probably wrong; a count for each label."""
    found = np.zeros(wrong.shape, bool)
    for label, count in enumerate(counts):
        found[np.argsort(-wrong[:, label], kind="stable")[:count], label] = True
    return found


def _logits(evidence: Mapping[str, Scores]) -> Scores:
    """Return (N, L, kinds)."""
    return np.stack([logit(np.clip(part, _MOST_SURE, 1 - _MOST_SURE)) for part in evidence.values()], axis=-1)


def _by_near_duplicates(probable: Scores, labels: Labels, judged: Labels, groups: npt.NDArray[np.int64]) -> Scores:
    """Return the probability of each label: where near-duplicates differ in it, what the others of the group say.

    One of them is wrong; all other evidence counts as one more of them. Where they agree nothing is said.
    """
    members = np.unique(groups, return_inverse=True)[1]

    def of_group(values: Labels) -> Scores:
        counts = np.zeros((members.max() + 1, values.shape[1]))
        np.add.at(counts, members, values)
        return counts[members]

    carried, known = of_group(labels & judged), of_group(judged)
    others = (carried - (labels & judged) + probable) / (known - judged + 1)
    return np.where((carried > 0) & (carried < known), others, probable)


def _against(probable: Scores, labels: Labels, judged: Labels) -> tuple[Scores, Labels]:
    """Return how probably each label is wrong, and whether confident learning finds it; of what is judged."""
    from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class
    from cleanlab.multilabel_classification.rank import get_label_quality_scores_per_class

    found = np.zeros(labels.shape, bool)
    against = np.where(judged, np.where(labels, 1 - probable, probable), 0)
    for images, columns in judged_together(labels.shape, judged):
        own = labels[images][:, columns]
        differ = own.any(axis=0) & ~own.all(axis=0)
        if differ.any():  # cleanlab refuses a label that all images carry
            given = [np.flatnonzero(row).tolist() for row in own[:, differ]]
            places = np.ix_(images, columns[differ])
            against[places] = 1 - get_label_quality_scores_per_class(given, probable[places])
            # In one process: a pool of cleanlab's, forked from a program that takes signals itself, never ended.
            found[places] = find_multilabel_issues_per_class(given, probable[places], n_jobs=1)
    return _shifted(against, float(found.sum()) + 1), found


def _shifted(against: Scores, expected: float) -> Scores:
    """Return probabilities in the same order that sum to so many, by one shift of their logits."""
    logits = logit(against)
    low, high = -40.0, 40.0
    for _ in range(60):
        shift = (low + high) / 2
        if expit(logits + shift).sum() < expected:
            low = shift
        else:
            high = shift
    shifted: Scores = expit(logits + low)
    return shifted


def neighbor_shares(
    embeddings: npt.NDArray[np.float32],
    labels: Labels,
    neighbors: int = NEIGHBORS,
    groups: npt.NDArray[np.int64] | None = None,
    judged: Labels | None = None,
) -> Scores:
    """Return the share of the nearest other images, by cosine, that carry each label.

    Of a label those are asked of which it is known, among ten times as many. One image with the usual rates counts
    among them. An image whose embedding is zero has these alone, and is nobody's neighbor.

    Args:
        embeddings: (N, D).
        labels: (N, L).
        neighbors: How many are asked.
        groups: (N,) of images that are not asked for each other; None for images alone.
        judged: (N, L), false where nothing is known of a label, of which the image is not asked; None for all.

    Returns:
        (N, L).
    """
    rates = label_rates(labels, judged)
    told = np.ones_like(labels) if judged is None else judged
    shares: Scores = np.tile(rates, (len(labels), 1))
    rows = np.flatnonzero(np.linalg.norm(embeddings, axis=1) > 0)
    own = np.arange(len(rows)) if groups is None else np.unique(groups[rows], return_inverse=True)[1]
    if len(rows) < 2:
        return shares
    there = np.ascontiguousarray(embeddings[rows])
    search = Search(there, "cosine")

    def ask(places: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
        """Look up so many images beside each, fill in the shares, and return the places that have too few others."""
        few = []
        for place, near in zip(places, search.top(there[places], min(most, len(rows))).indices, strict=True):
            others = rows[near[own[near] != own[place]]]
            asked = told[others] & (told[others].cumsum(axis=0) <= neighbors)
            shares[rows[place]] = ((labels[others] & asked).sum(axis=0) + rates) / (asked.sum(axis=0) + 1)
            if len(others) < neighbors and most < len(rows):
                few.append(place)
        return np.array(few, np.int64)

    few = ask(np.arange(len(rows)), (neighbors if told.all() else _DEEPER * neighbors) + _SPARE)
    # So many at most are no others: the image itself, wherever it stands among equal ones, and those of its group.
    sizes = np.bincount(own)
    few = few[np.argsort(sizes[own[few]], kind="stable")]
    for start in range(0, len(few), _AT_ONCE):
        places = few[start : start + _AT_ONCE]
        ask(places, neighbors + int(sizes[own[places]].max()))
    return shares
