"""The tab Classify: what a model says of a picture, where it saw a label, and what an index has that is like it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from mlrsnet_hf.apps.page import UploadError, clickable, gallery, note, picture, read_upload, told
from mlrsnet_hf.apps.parts import IndexPart, ModelPart, small_pictures
from mlrsnet_hf.inputs.pixels.decoding import ImageFile, decode_rgb, file_content
from mlrsnet_hf.inputs.pixels.thumbnails import Thumbnails
from mlrsnet_hf.prediction.classifier import Prediction
from mlrsnet_hf.reports.pages import render
from mlrsnet_hf.retrieval.embeddings.query import Filter

_LABELS_SHOWN = 12
_SCENES_SHOWN = 3
_NEIGHBORS = 8

_Given = tuple[str, str]
"""What a session looks at: `upload` and the path of a file, or `example` and its id."""


class ClassifyTab:
    """The tab, made where it is called.

    Args:
        part: The model.
        examples: Image files to try, by id.
        thumbnails: Make them small.
        index: Whose nearest images are shown beside; None shows none.
    """

    neighbors: gr.HTML | None = None
    """Gallery of the nearest images, if there is one: a click on it tells an id of the index."""

    def __init__(
        self, part: ModelPart, examples: Mapping[str, ImageFile], thumbnails: Thumbnails, index: IndexPart | None
    ) -> None:
        self._part = part
        self._examples = examples
        self._index = index if index is not None and index.embedder is not None else None
        given = gr.State(None)
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300):
                upload = gr.File(label="A picture: drop it here, or click to choose one", type="filepath", height=150)
                self._picture = gr.HTML(label="The picture")
                pictures = small_pictures(examples, thumbnails)
                rows = [{"id": name} for name in examples]
                with gr.Accordion("Examples", visible=bool(pictures)):
                    taken = clickable(gallery(rows, pictures, action="Classify", compact=True))
            with gr.Column(scale=3, min_width=300):
                self._message = gr.HTML(note("Drop a picture, or take an example, and the model says what it shows."))
                self._scores = clickable()
                self._scenes = gr.HTML()
            with gr.Column(scale=2, min_width=260):
                self._label = gr.Dropdown(label="Where was it seen?", choices=[], visible=False)
                self._heat = gr.HTML()
        outputs = [given, self._message, self._picture, self._scores, self._scenes, self._label, self._heat]
        if self._index is not None:
            self._nearest_message = gr.HTML()
            self.neighbors = clickable()
        cleared: dict[Any, Any] = {given: None, self._picture: "", self._scores: "", self._scenes: "", self._heat: ""}
        cleared |= {self._label: gr.Dropdown(choices=[], value=None, visible=False)}
        classify = told(self._classify, self._message, cleared)
        heat = told(self._show_heat, self._message, {self._heat: ""})

        def take(event: gr.EventData) -> _Given:
            return "example", event.id

        def take_upload(path: str | None) -> _Given | None:
            return None if path is None else ("upload", path)

        for begun in (upload.upload(take_upload, upload, given), taken.click(take, None, given)):
            done = begun.then(classify, given, outputs)
            done.then(heat, [given, self._label], [self._message, self._heat])
            if self.neighbors is not None:
                find = told(self._find, self._nearest_message, {self.neighbors: ""})
                done.then(find, given, [self._nearest_message, self.neighbors])

        def ask(event: gr.EventData) -> str:
            return event.id

        if part.heat_maps.available:
            self._scores.click(ask, None, self._label).then(heat, [given, self._label], [self._message, self._heat])
            self._label.input(heat, [given, self._label], [self._message, self._heat])

    def _content(self, given: _Given | None) -> tuple[str, bytes]:
        """Return the name of the picture of a session, and its file."""
        kind, place = given or ("upload", "")
        if kind == "upload":
            return Path(place).name, read_upload(place or None)
        if place not in self._examples:  # a browser may send any text, the path of a file here too
            raise UploadError("there is no such example", "Take one of those shown.")
        return place, file_content(self._examples[place], place)

    def _classify(self, given: _Given | None) -> dict[Any, Any]:
        name, content = self._content(given)
        (prediction,) = self._part.classifier.predict([{"bytes": content, "path": name}])
        shown = decode_rgb({"bytes": content, "path": name}, name)
        names = sorted(prediction.scores, key=prediction.scores.__getitem__, reverse=True)
        can_ask = self._part.heat_maps.available and bool(names)
        return {
            self._message: "",
            self._picture: picture(shown, name),
            self._scores: self._bars(prediction, "Say where it was seen" if can_ask else ""),
            self._scenes: _scene_bars(prediction),
            self._label: gr.Dropdown(choices=names, value=names[0] if names else None, visible=can_ask),
            self._heat: "",
        }

    def _bars(self, prediction: Prediction, action: str) -> str:
        thresholds = dict(zip(self._part.classifier.label_names, self._part.classifier.thresholds, strict=True))
        rows = [
            {"name": name, "score": score, "threshold": thresholds[name], "above": name in prediction.labels}
            for name, score in sorted(
                prediction.scores.items(), key=lambda item: (item[0] not in prediction.labels, -item[1])
            )
        ]
        shown = max(_LABELS_SHOWN, len(prediction.labels))
        title = f"Labels: {len(prediction.labels)} above their thresholds"
        return render("app_scores.html", rows=rows, title=title, shown=shown, action=action)

    def _show_heat(self, given: _Given | None, label: str | None) -> dict[Any, Any]:
        if given is None or not label or not self._part.heat_maps.available:
            return {self._heat: ""}
        name, content = self._content(given)
        mixed = self._part.heat_maps.overlay({"bytes": content, "path": name}, label, name)
        return {self._heat: picture(mixed, f"{label}: bright where it speaks for the label (Grad-CAM)")}

    def _find(self, given: _Given | None) -> dict[Any, Any]:
        assert self._index is not None and self._index.embedder is not None and self.neighbors is not None
        if given is None:  # it could not be classified
            return {self._nearest_message: "", self.neighbors: ""}
        name, content = self._content(given)
        vectors = self._index.embedder.embed_pictures([{"bytes": content, "path": name}])
        hits = self._index.index.nearest(vectors, min(_NEIGHBORS, len(self._index.index)), Filter())[0]
        prediction = self._part.classifier.predict([{"bytes": content, "path": name}])[0]
        shown = gallery(hits, self._index.jpegs(hits), action="Find images like this one", common=prediction.labels)
        return {self._nearest_message: "", self.neighbors: f"<h3>Nearest images of the index</h3>{shown}"}


def _scene_bars(prediction: Prediction) -> str:
    scores = prediction.scene_scores or {}
    rows = [
        {"name": name, "score": score, "threshold": None, "above": name == prediction.scene}
        for name, score in sorted(scores.items(), key=lambda item: -item[1])
    ]
    title = f"Scene: {prediction.scene}"
    return render("app_scores.html", rows=rows, title=title, shown=_SCENES_SHOWN, action="")
