"""The tab Explore: a dataset's images by split, scene and labels, what there are of each, and a model's errors."""

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
import numpy as np

from mlrsnet_hf.apps.page import clickable, gallery, note, told
from mlrsnet_hf.apps.parts import DataPart, EvaluationPart
from mlrsnet_hf.dataset.statistics import LabelStatistics
from mlrsnet_hf.evaluation.decisions import ErrorKind, hardest_images
from mlrsnet_hf.reports.pages import render

IMAGES = "All images"
_KINDS: Mapping[str, ErrorKind] = {"Wrongly said": "wrong", "Missed": "missed"}
_SAID = {"Wrongly said": "wrongly says", "Missed": "misses"}
_ALL = ""
_PAGE = 24
_PAIRED = 15
"""Labels of the table of pairs, at most: the most frequent."""


class ExploreTab:
    """The tab, made where it is called.

    Args:
        part: The dataset.
    """

    def __init__(self, part: DataPart) -> None:
        self._part = part
        catalog = part.catalog
        self._number = gr.State(1)
        with gr.Row(equal_height=False):
            with gr.Column(scale=1, min_width=300):
                splits = [("all", _ALL), *((name, name) for name in catalog.split_names)]
                self._kind = gr.Radio(
                    [IMAGES, *_KINDS], value=IMAGES, label="Show", visible=part.evaluation is not None
                )
                self._label = gr.Dropdown(
                    _error_choices(part, "wrong"), label="Errors of the label, most first", visible=False
                )
                self._split = gr.Radio(splits, value=_ALL, label="Split")
                scenes = [("any", _ALL), *((name, name) for name in sorted(catalog.scene_names))]
                self._scene = gr.Dropdown(scenes, value=_ALL, label="Scene", visible=bool(catalog.scene_names))
                self._labels = gr.Dropdown(
                    sorted(catalog.label_names),
                    multiselect=True,
                    label="With all of these labels",
                    visible=bool(catalog.label_names),
                )
            with gr.Column(scale=3, min_width=300):
                self._message = gr.HTML()
                with gr.Accordion("Counts of these images", open=False):
                    self._counts = gr.HTML()
                self._results = clickable()
                with gr.Row(visible=False) as self._pager:
                    self._back = gr.Button("Previous page", size="sm")
                    self._place = gr.HTML()
                    self._forth = gr.Button("Next page", size="sm")
        inputs: list[Any] = [self._kind, self._label, self._split, self._scene, self._labels]
        outputs = [self._message, self._results, self._pager, self._place, self._back, self._forth, self._number]
        cleared = {self._results: "", self._counts: "", self._pager: gr.Row(visible=False)}
        begin = told(self._begin, self._message, cleared)
        turn = told(self._turn, self._message, {})
        for chosen in inputs[1:]:
            chosen.input(begin, inputs, [*outputs, self._counts])
        shown = self._kind.input(self._offer, self._kind, self._label)
        shown.then(begin, inputs, [*outputs, self._counts])
        self.begin = (begin, inputs, [*outputs, self._counts])
        """What the page does when it is opened."""
        for button, step in ((self._back, -1), (self._forth, 1)):
            moved = button.click(lambda number, step=step: number + step, self._number, self._number)
            moved.then(turn, [*inputs, self._number], outputs)

    def _offer(self, kind: str) -> gr.Dropdown:
        """Show the labels that a kind of error was made with."""
        if kind == IMAGES:
            return gr.Dropdown(visible=False)
        choices = _error_choices(self._part, _KINDS[kind])
        return gr.Dropdown(choices, value=choices[0][1] if choices else None, visible=True)

    def _begin(
        self, kind: str, label: str | None, split: str, scene: str, labels: Sequence[str] | None
    ) -> dict[Any, Any]:
        rows = self._part.catalog.select(split or None, scene or None, labels or ())
        counts = _counts(self._part.catalog.count(rows), self._part)
        return {self._counts: counts} | self._turn(kind, label, split, scene, labels, 1)

    def _turn(
        self, kind: str, label: str | None, split: str, scene: str, labels: Sequence[str] | None, number: int
    ) -> dict[Any, Any]:
        rows = self._part.catalog.select(split or None, scene or None, labels or ()).tolist()
        text = f"{len(rows):,} of {len(self._part.catalog):,} images"
        notes: dict[int, str] = {}
        if kind != IMAGES and label is not None and self._part.evaluation is not None:
            rows, notes = _errors(self._part.evaluation, _KINDS[kind], label, set(rows))
            text = f"{len(rows):,} images of which {self._part.evaluation.model} {_SAID[kind]} {label}, the worst first"
        pages = max(1, -(-len(rows) // _PAGE))
        number = max(1, min(number, pages))
        first = (number - 1) * _PAGE
        images = self._part.catalog.images(rows[first : first + _PAGE])
        shown = gallery(
            images,
            self._part.jpegs(images),
            common=labels or (),
            first=first + 1,
            notes={image.id: notes[image.row] for image in images if image.row in notes},
        )
        return {
            self._message: note(text if rows else f"{text}: ask for fewer labels, or for another scene or split"),
            self._results: shown,
            self._pager: gr.Row(visible=pages > 1),
            self._place: render("app_place.html", first=first + 1, last=first + len(images), total=len(rows)),
            self._back: gr.Button(interactive=number > 1),
            self._forth: gr.Button(interactive=number < pages),
            self._number: number,
        }


def _error_choices(part: DataPart, kind: ErrorKind) -> list[tuple[str, str]]:
    """Return the labels that errors of a kind were made with, with their number, most first."""
    if part.evaluation is None:
        return []
    decisions = part.evaluation.decisions
    counts = (decisions.wrong if kind == "wrong" else decisions.missed).sum(axis=0)
    order = [label for label in np.argsort(-counts, kind="stable") if counts[label]]
    return [(f"{decisions.names[label]}: {counts[label]:,}", decisions.names[label]) for label in order]


def _errors(
    evaluation: EvaluationPart, kind: ErrorKind, label: str, wanted: set[int]
) -> tuple[list[int], dict[int, str]]:
    """Return the places of the images with an error, the worst first, and what stands with each."""
    place, decisions = evaluation.decisions.names.index(label), evaluation.decisions
    limit = f", threshold {evaluation.thresholds[label]:.3f}" if label in evaluation.thresholds else ""
    rows, notes = [], {}
    for error in hardest_images(decisions, place, kind, len(decisions.true)):
        row = evaluation.rows[error.image]
        if row is not None and row in wanted:
            rows.append(row)
            notes[row] = f"score {error.score:.3f}{limit}"
    return rows, notes


def _counts(counts: LabelStatistics, part: DataPart) -> str:
    """Return the counts of some images as a part of the page, the most frequent first."""
    catalog = part.catalog
    order = np.argsort(-counts.images_per_label, kind="stable")
    order = order[counts.images_per_label[order] > 0]
    paired = order[:_PAIRED]
    together = counts.cooccurrence[np.ix_(paired, paired)]
    scenes = [
        (name, int(count)) for name, count in zip(catalog.scene_names, counts.images_per_scene, strict=False) if count
    ]
    return render(
        "app_counts.html",
        images=counts.images,
        labels=[(catalog.label_names[label], int(counts.images_per_label[label])) for label in order],
        scenes=sorted(scenes, key=lambda entry: -entry[1]),
        together_names=[catalog.label_names[label] for label in paired],
        together=together.tolist() if len(paired) > 1 else [],
        most=int(together.max(initial=1)),
    )
