"""The best network beside each other on the same images: how sure the differences are for one repetition's models."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from mlrsnet_hf.benchmark.report.classification import LEVEL, protocol_title
from mlrsnet_hf.benchmark.report.tables import Cell, Column, Table, number, p_value, words
from mlrsnet_hf.benchmark.results import Group
from mlrsnet_hf.benchmark.statistics import holm, paired_bootstrap
from mlrsnet_hf.errors import MLRSNetError
from mlrsnet_hf.evaluation.intervals import draw_scores
from mlrsnet_hf.metrics import metric_title
from mlrsnet_hf.prediction.predictions_file import SavedPredictions, read_predictions
from mlrsnet_hf.runtime.logs import progress_bar

DRAWS, DRAWS_OF_A_PAIR = 500, 50
"""Least draws of the images, and draws for each pair: of fewer no adjusted p-value could be small. 500 draws of a test
split of MLRSNet take half a minute for each network."""
_METRICS = ("map", "sample_f1")


def same_image_table(
    groups: Sequence[Group], near_duplicates: Mapping[str, int] | None, suffix: str = ""
) -> Table | None:
    """Compare the best network with each other on the test images of one repetition.

    Args:
        groups: Of one protocol, on one set of images.
        near_duplicates: The number of each image's group of near-duplicates by its id; None where they are not known,
            and each image is drawn for itself.
        suffix: Of the table's name.

    Returns:
        None where no two networks have predictions of the same images.
    """
    repetition, saved = _of_one_repetition(groups)
    if len(saved) < 2:
        return None
    ids = next(iter(saved.values())).ids
    units = None
    if near_duplicates is not None and all(image in near_duplicates for image in ids):
        units = np.array([near_duplicates[image] for image in ids])
    draws = max(DRAWS, DRAWS_OF_A_PAIR * (len(saved) - 1))
    bar = progress_bar(saved.items(), "drawing images", total=len(saved), unit="network")
    drawn = {variant: draw_scores(one.predictions, one.task, None, draws, groups=units).scores for variant, one in bar}
    whole = {group.variant: _scores(group, repetition) for group in groups}
    anchors = {group.variant: group.anchor for group in groups}
    rows: list[list[Cell]] = []
    sections = {}
    for metric in _METRICS:
        sections[len(rows)] = metric_title(metric)
        best = max(saved, key=lambda variant: whole[variant][metric])
        pairs = [(best, other) for other in saved if other != best]
        found = [
            paired_bootstrap(whole[one][metric] - whole[other][metric], drawn[one][metric], drawn[other][metric])
            for one, other in pairs
        ]
        for (one, other), difference, adjusted in zip(pairs, found, holm([one.p_value for one in found]), strict=True):
            look: Literal["sure", ""] = "sure" if adjusted < LEVEL else ""
            rows.append(
                [
                    words(one, anchors[one]),
                    words(other, anchors[other]),
                    number(difference.value, signed=True, look=look),
                    number(difference.bounds.low, signed=True),
                    number(difference.bounds.high, signed=True),
                    p_value(difference.p_value),
                    p_value(float(adjusted), look),
                ]
            )
    columns = [*(Column(title=title, is_text=True) for title in ("first", "second"))]
    columns += [Column(title=title) for title in ("difference", "95% from", "to", "p", "p, Holm")]
    drawn_units = "images" if units is None else "groups of near-duplicates"
    told = [
        f"Paired bootstrap: {draws:,} draws of the test split's {drawn_units}, in each of which both networks see the "
        "same; it speaks of these trained networks, and not of how training varies. The best was chosen by these very "
        "images, which favors it a little. p is adjusted for the number of pairs by Holm (1979).",
    ]
    if units is None:
        told.append(
            "Near-duplicates are not known here, and each image is drawn for itself, which makes intervals too short "
            "where there are some; mlrsnet near-duplicates finds them."
        )
    split_seed, seed = repetition
    where = f"{groups[0].trained_on}, {protocol_title(groups[0].protocol)}"
    return Table(
        name=f"pairs-same-images{suffix}",
        title=f"The best network on the same images as each other, {where}, split seed {split_seed}, seed {seed}",
        columns=columns,
        rows=rows,
        notes=told,
        folded=True,
        sections=sections,
    )


def _of_one_repetition(groups: Sequence[Group]) -> tuple[tuple[int, int], dict[str, SavedPredictions]]:
    """Return the repetition of which the most networks have predictions, the first of these, and the predictions."""
    there: dict[tuple[int, int], int] = {}
    for group in groups:
        for row in group.done:
            if row.predictions is not None:
                there[row.repetition] = there.get(row.repetition, 0) + 1
    if not there:
        return (0, 0), {}
    chosen = min(there, key=lambda repetition: (-there[repetition], repetition))
    found: dict[str, SavedPredictions] = {}
    for group in groups:
        for row in group.done:
            if row.repetition != chosen or row.predictions is None:
                continue
            try:
                saved = read_predictions(row.predictions)
            except MLRSNetError:  # damaged: the others are compared all the same
                continue
            first = next(iter(found.values()), saved)
            if saved.ids == first.ids and saved.task.label_names == first.task.label_names:
                found[group.variant] = saved
    return chosen, found


def _scores(group: Group, repetition: tuple[int, int]) -> Mapping[str, float]:
    """Return the scores of a group in a repetition."""
    evaluations = [row.evaluation for row in group.done if row.repetition == repetition]
    return next((one.scores for one in evaluations if one is not None), {})
