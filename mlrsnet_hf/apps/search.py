"""The tab Search: the images of an index that are like one, or that have labels, page by page."""

from pathlib import Path
from typing import Any

import gradio as gr

from mlrsnet_hf.apps.page import clickable, gallery, note, picture, read_upload, told
from mlrsnet_hf.apps.parts import IndexPart
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.pixels.decoding import decode_rgb
from mlrsnet_hf.reports.pages import render
from mlrsnet_hf.retrieval.embeddings.pages import Query, result_page

PICTURE, IMAGE, WORDS, LABELS = "A picture", "An image of the index", "Words", "Labels alone"
_PAGE = 24


class SearchTab:
    """The tab, made where it is called; `open_at` has another tab ask it.

    Args:
        part: The index.
    """

    def __init__(self, part: IndexPart) -> None:
        self._part = part
        info = part.index.info
        ways = [PICTURE] * (part.embedder is not None) + [IMAGE]
        ways += [WORDS] * (part.embedder is not None and part.embedder.network.knows_text)
        ways += [LABELS] * bool(info.label_names or info.scene_names)
        self._query, self._number = gr.State(None), gr.State(1)
        with gr.Row(equal_height=False):
            with gr.Column(scale=1, min_width=300):
                self._way = gr.Radio(ways, value=ways[0], label="Search by")
                self._upload = gr.File(
                    label="A picture: drop it here, or click to choose one",
                    type="filepath",
                    height=150,
                    visible=ways[0] == PICTURE,
                )
                self._id = gr.Textbox(label="Id of an image", visible=ways[0] == IMAGE, max_lines=1)
                self._words = gr.Textbox(
                    label="What the images show", placeholder="harbor with ships", visible=False, max_lines=1
                )
                self._labels = gr.Dropdown(
                    sorted(info.label_names),
                    multiselect=True,
                    label="With all of these labels",
                    visible=bool(info.label_names),
                )
                self._scene = gr.Dropdown(
                    [("any", ""), *((name, name) for name in sorted(info.scene_names))],
                    value="",
                    label="Of the scene",
                    visible=bool(info.scene_names),
                )
                button = gr.Button("Search", variant="primary")
                self._asked = gr.HTML()
            with gr.Column(scale=3, min_width=300):
                self._message = gr.HTML(note(f"{len(part.index):,} images: {info.described()}"))
                self._results = clickable()
                with gr.Row(visible=False) as self._pager:
                    back = gr.Button("Previous page", size="sm")
                    self._place = gr.HTML()
                    forth = gr.Button("Next page", size="sm")
        self._back, self._forth = back, forth
        inputs = [self._way, self._upload, self._id, self._words, self._labels, self._scene]
        cleared = {self._results: "", self._asked: "", self._pager: gr.Row(visible=False), self._query: None}
        self._outputs = [
            self._message,
            self._results,
            self._asked,
            self._pager,
            self._place,
            back,
            forth,
            self._query,
            self._number,
        ]
        self._search = told(self._begin, self._message, cleared)
        turned = told(self._turn, self._message, {})
        for trigger in (button.click, self._id.submit, self._words.submit, self._upload.upload):
            trigger(self._search, inputs, self._outputs)
        back.click(lambda number: number - 1, self._number, self._number).then(
            turned, [self._query, self._number], self._outputs
        )
        forth.click(lambda number: number + 1, self._number, self._number).then(
            turned, [self._query, self._number], self._outputs
        )
        self._way.change(_shown_for, self._way, [self._upload, self._id, self._words])
        self.open_at(self._results)

    def open_at(self, clicked: gr.HTML, *, tabs: gr.Tabs | None = None, tab: str = "") -> None:
        """Have a click on a gallery search for images like the one that is clicked on; `tabs` then shows this tab."""

        def take(event: gr.EventData) -> tuple[str, str]:
            return IMAGE, event.id

        inputs = [self._way, self._upload, self._id, self._words, self._labels, self._scene]
        begun = clicked.click(take, None, [self._way, self._id])
        if tabs is not None:
            begun = begun.then(lambda: (gr.Tabs(selected=tab), [], ""), None, [tabs, self._labels, self._scene])
        begun.then(self._search, inputs, self._outputs)

    def _begin(
        self, way: str, upload: str | None, image_id: str, words: str, labels: list[str] | None, scene: str | None
    ) -> dict[Any, Any]:
        index, embedder = self._part.index, self._part.embedder
        wanted = index.filter(labels or (), scene or None)
        asked = ""
        if way == PICTURE and embedder is not None:
            content, name = read_upload(upload), Path(upload or "").name
            file: Any = {"bytes": content, "path": name}
            (vector,) = embedder.embed_pictures([file])
            query = Query(title=f"Images like {name}", vector=vector, wanted=wanted)
            asked = picture(decode_rgb(file, name), name)
        elif way == IMAGE:
            if not image_id.strip():
                raise ConfigurationError("no id is given", "Write the id of an image, or click on one.")
            found, vector = index.find(image_id.strip())
            query = Query(title=f"Images like {found.id}", vector=vector, wanted=wanted, labels=found.labels or ())
            asked = gallery([found], self._part.jpegs([found]), action="Find images like this one")
        elif way == WORDS and embedder is not None:
            (vector,) = embedder.embed_texts([words])
            query = Query(title=f"Images for {words.strip()!r}", vector=vector, wanted=wanted)
        else:
            query = Query(title="Images", wanted=wanted)
        return {self._asked: asked} | self._turn(query, 1)

    def _turn(self, query: Query | None, number: int) -> dict[Any, Any]:
        if query is None:
            raise ConfigurationError("nothing is searched for", "Search first.")
        page = result_page(self._part.index, query, number, _PAGE)
        pictures = self._part.jpegs(page.images)
        told_filter = f" with {query.wanted}" if query.wanted else ""
        count = "" if page.total is None else f": {page.total:,}"
        common = query.labels or query.wanted.labels
        shown = gallery(page.images, pictures, action="Find images like this one", common=common, first=page.first)
        end = page.first + len(page.images) - 1
        return {
            self._message: note(f"{query.title}{told_filter}{count}"),
            self._results: shown,
            self._pager: gr.Row(visible=page.number > 1 or not page.is_last),
            self._place: render("app_place.html", first=page.first, last=end, total=page.total),
            self._back: gr.Button(interactive=page.number > 1),
            self._forth: gr.Button(interactive=not page.is_last),
            self._query: query,
            self._number: page.number,
        }


def _shown_for(way: str) -> tuple[Any, Any, Any]:
    """Show what a way to search needs."""
    return gr.File(visible=way == PICTURE), gr.Textbox(visible=way == IMAGE), gr.Textbox(visible=way == WORDS)
