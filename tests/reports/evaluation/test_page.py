import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import pytest
from PIL import Image

from mlrsnet_hf.evaluation.decisions import Decisions
from mlrsnet_hf.evaluation.intervals import Bounds
from mlrsnet_hf.evaluation.scores import Predictions, evaluate
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.reports.evaluation import page as page_module
from mlrsnet_hf.reports.evaluation import pictures as pictures_module
from mlrsnet_hf.reports.evaluation.figure import write_example_figure
from mlrsnet_hf.reports.evaluation.page import (
    Difference,
    EvaluatedModel,
    PageTable,
    ScoreColumn,
    ScoreTable,
    write_evaluation_page,
)
from mlrsnet_hf.reports.evaluation.pictures import typical_images
from tests.reports.looking import look_at

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

IMAGES = 90
NAMES = ("bare_soil", "<b>cars</b>", "dock", "never", "pavement", "trees with a rather long name", "water")
NEVER = NAMES.index("never")
SCENES = ("harbor_port", "airport")


class Split:
    """Drawn images, the predictions of two models on them, and a page of both."""

    def __init__(self, folder: Path, kind: str = "labels+scene", images: int = IMAGES) -> None:
        draw = np.random.default_rng(5)
        targets = (draw.random((images, len(NAMES))) < 0.35).astype(np.float32)
        targets[:, NEVER] = 0
        scenes = draw.integers(0, 2, images)
        self.task = Task(kind=kind, label_names=NAMES, scene_names=SCENES)
        self.models = [self._answers(draw, targets, scenes, noise) for noise in (2.5, 4.0)]
        self.thresholds = np.full(len(NAMES), 0.5)
        self.ids = [f"image_{row:03d}" for row in range(images)]
        features = datasets.Features({"id": datasets.Value("string"), "image": datasets.Image()})
        pixels = draw.integers(0, 256, (images, 24, 24, 3), dtype=np.uint8)
        rows = {"id": self.ids, "image": [Image.fromarray(one) for one in pixels]}
        self.rows = datasets.Dataset.from_dict(rows, features=features)
        self.path = folder / "evaluation.html"

    def _answers(self, draw: np.random.Generator, targets: np.ndarray, scenes: np.ndarray, noise: float) -> Predictions:
        logits = 4 * (targets - 0.5) + noise * draw.standard_normal(targets.shape)
        scene_logits = 2 * np.eye(2)[scenes] + draw.standard_normal((len(scenes), 2))
        return Predictions(targets, logits.astype(np.float32), scenes, scene_logits.astype(np.float32))

    @property
    def decisions(self) -> Decisions:
        return Decisions.of_labels(self.models[0], self.task, self.thresholds)

    def write(self, two: bool = False, **changes: object) -> str:
        names = ["one<net>", "other"]
        models = [
            EvaluatedModel(name=name, predictions=predictions, thresholds=self.thresholds)
            for name, predictions in zip(names, self.models, strict=True)
        ]
        scores = [evaluate(predictions, self.task) for predictions in self.models]
        around = [{name: Bounds(low=value - 0.04, high=value + 0.03) for name, value in own.items()} for own in scores]
        columns = [
            ScoreColumn(title=name, scores=own, intervals=bounds, is_compared=name == "other")
            for name, own, bounds in zip(names, scores, around, strict=True)
        ]
        options: dict[str, Any] = {"scores": [ScoreTable(columns=columns[:1])]}
        if two:
            gaps = {name: scores[0][name] - scores[1][name] for name in scores[0]}
            differences = {
                name: Difference(value=gap, interval=Bounds(low=gap - 0.01, high=gap + 0.01))
                for name, gap in gaps.items()
            }
            tables = [ScoreTable(title=title, columns=columns, differences=differences) for title in ("half", "tuned")]
            options = {"scores": tables, "compared": models[1]}
        write_evaluation_page(
            self.path,
            title="one<net> on made up",
            task=self.task,
            ids=self.ids,
            rows=self.rows,
            model=models[0],
            **options | changes,
        )
        return self.path.read_text(encoding="utf-8")


@pytest.fixture
def split(tmp_path: Path) -> Split:
    return Split(tmp_path)


class Gallery(HTMLParser):
    """What each card of the worst errors says: id, and label, kind of each line."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cards: list[dict[str, Any]] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if "data-errors" in values:
            self.inside = True
            errors = [part.split(" ") for part in str(values["data-errors"]).split(";")]
            self.cards.append(
                {
                    "errors": {(int(label), kind): float(score) for label, kind, score, _ in errors},
                    "both": {(int(label), kind) for label, kind, _, of in errors if of == "both"},
                }
            )
        if self.inside and tag == "img":
            self.cards[-1]["id"] = values["alt"]
        if self.inside and "data-label" in values:
            lines = self.cards[-1].setdefault("lines", set())
            lines.add((int(str(values["data-label"])), values["class"]))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.inside = False


def test_cards_tell_the_truth_and_hold_the_worst_of_each_label(split: Split) -> None:
    cards = {card["id"]: card for card in Gallery(split.write()).cards}
    true, scores = split.models[0].targets > 0, split.models[0].scores
    said = scores > 0.5
    for name, card in cards.items():
        row = split.ids.index(name)
        expected = {
            (label, "right" if true[row, label] and said[row, label] else "wrong" if said[row, label] else "missed")
            for label in range(len(NAMES))
            if true[row, label] or said[row, label]
        }
        assert card["lines"] == expected
        assert card["errors"] == {
            (label, kind): pytest.approx(scores[row, label], abs=1e-6) for label, kind in expected if kind != "right"
        }
    for label in range(len(NAMES)):
        wrong = sorted(np.flatnonzero(said[:, label] & ~true[:, label]), key=lambda row: -scores[row, label])
        missed = sorted(np.flatnonzero(true[:, label] & ~said[:, label]), key=lambda row: scores[row, label])
        assert {split.ids[row] for row in (*wrong[:8], *missed[:8])} <= set(cards)


def test_only_labels_that_occur_have_rows_and_curves(split: Split) -> None:
    text = split.write()
    table = text[text.index('id="label-table"') : text.index('id="curves"')]
    assert re.findall(r'<th scope="row">(.*?)</th>', table) == [
        "bare soil",
        "&lt;b&gt;cars&lt;/b&gt;",
        "dock",
        "pavement",
        "trees with a rather long name",
        "water",
    ]
    charts = text[text.index('<ul class="charts">') : text.index('id="confused"')]
    assert "never" not in re.findall(r"<h3>(.*?)</h3>", charts) and charts.count("<h3>") == len(NAMES) - 1
    assert f"never of {int((split.models[0].scores[:, NEVER] > 0.5).sum())} images" in text


def test_names_of_others_are_text(split: Split) -> None:
    text = split.write(two=True, about=["<script>x</script>"], attribution="<i>me</i>")
    assert "<b>cars" not in text and "one<net>" not in text and "<script>x" not in text and "<i>me" not in text


def test_scores_stand_with_intervals_and_differences(split: Split) -> None:
    text = split.write(two=True)
    own, other = (evaluate(predictions, split.task) for predictions in split.models)
    for name in own:
        assert f"{own[name]:.4f}" in text and f"{other[name]:.4f}" in text
        gap = own[name] - other[name]
        assert f"{gap:+.4f} ({gap - 0.01:+.4f} to {gap + 0.01:+.4f})" in text


@pytest.mark.parametrize("kind", ["labels", "scene"])
def test_other_tasks_have_a_page(tmp_path: Path, kind: str) -> None:
    split = Split(tmp_path, kind)
    text = split.write(two=True, tables=[PageTable(title="Each scene", header=("scene", "F1"), rows=[("x", "0.5")])])
    shown = SCENES if kind == "scene" else [name for name in NAMES if name not in ("never", "<b>cars</b>")]
    assert all(name.replace("_", " ") in text for name in shown)
    assert ("threshold</th>" in text) == (kind == "labels")


def test_a_perfect_model_and_one_image_have_a_page(tmp_path: Path) -> None:
    split = Split(tmp_path, images=1)
    targets = split.models[0].targets
    perfect = Predictions(targets, 9 * (targets - 0.5), np.zeros(1, np.int64), np.array([[1, 0]], np.float32))
    split.models = [perfect, perfect]
    text = split.write(two=True)
    assert 'id="errors"' not in text and 'id="confused"' not in text


def test_a_page_without_its_images_still_tells_the_errors(split: Split, tmp_path: Path) -> None:
    gone = [{"bytes": None, "path": str(tmp_path / f"{name}.jpg")} for name in split.ids]
    split.rows = datasets.Dataset.from_dict(
        {"id": split.ids, "image": gone},
        features=datasets.Features({"id": datasets.Value("string"), "image": datasets.Image()}),
    )
    text = split.write()
    assert "<img" not in text and text.count("picture not found") == text.count("<figure>") > 0


def test_pictures_are_bounded_in_number_and_size(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "MOST_IMAGES", 7)
    monkeypatch.setattr(page_module, "_PAIRS", 0)
    assert len(Gallery(split.write()).cards) == 7
    monkeypatch.setattr(page_module, "MOST_IMAGES", 600)
    one = len(re.search(r'src="(data:image[^"]+)"', split.write())[1])
    monkeypatch.setattr(pictures_module, "MOST_CHARACTERS", 20 * one)
    assert 18 <= len(set(re.findall(r'src="(data:image[^"]+)"', split.write()))) <= 22


def test_typical_images_are_of_every_sort(split: Split) -> None:
    rows, sorts = typical_images(split.decisions, 3)
    wrong, missed = split.decisions.wrong.any(axis=1), split.decisions.missed.any(axis=1)
    sort = np.where(wrong, "wrong", np.where(missed, "missed", "right"))
    assert [str(sort[row]) for row in rows] == ["right"] * 3 + ["missed"] * 3 + ["wrong"] * 3
    assert sorts == {name: int((sort == name).sum()) for name in ("right", "missed", "wrong")}


def test_figure_9_is_a_png(split: Split, tmp_path: Path) -> None:
    path = tmp_path / "fig9.png"
    write_example_figure(path, split.ids, split.rows, split.decisions)
    with Image.open(path) as image:
        assert image.format == "PNG"
        colors = {color for _, color in image.convert("RGB").getcolors(image.width * image.height)}
    assert {(0, 0, 0), (0xB3, 0x26, 0x1E), (0, 0x69, 0x4D)} <= colors


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 780, 1200])
def test_the_page_fits_and_reads(browser: "Browser", split: Split, width: int, scheme: str) -> None:
    split.write(two=True)
    assert look_at(browser, split.path, width, scheme) > 9


def shown_ids(page: "Page") -> list[str]:
    return page.eval_on_selector_all("#gallery > li:not([hidden]) img", "all => all.map(one => one.alt)")


@pytest.mark.browser
def test_filters_work_by_keyboard(browser: "Browser", split: Split) -> None:
    split.write()
    page = browser.new_page()
    page.goto(split.path.as_uri())
    cards = Gallery(split.path.read_text(encoding="utf-8")).cards
    assert len(shown_ids(page)) == min(24, len(cards))

    def expected(label: int, kind: str, low: float = 0, high: float = 1) -> list[str]:
        found = [
            (score if of == "wrong" else 1 - score, card["id"])
            for card in cards
            for (which, of), score in card["errors"].items()
            if (which, of) == (label, kind) and low <= score <= high
        ]
        return [name for _, name in sorted(found, key=lambda one: -one[0])]

    label = NAMES.index("water")
    page.focus("#filters select[name=label]")
    page.keyboard.type("water")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")  # from any to wrong
    assert page.evaluate("document.activeElement.value") == "wrong"
    assert shown_ids(page) == expected(label, "wrong")[:24]
    page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type("0.8")
    assert shown_ids(page) == expected(label, "wrong", 0.8)[:24]
    assert str(len(expected(label, "wrong", 0.8))) in page.inner_text("#shown")
    page.focus("#filters button[type=reset]")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelectorAll('#gallery > li:not([hidden])').length === 24")

    link = page.locator("#label-table a[data-kind=missed]").last
    link.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.id === 'errors'")
    assert shown_ids(page) == expected(label, "missed")[:24]
    pair = page.locator("#confused ~ ol a").first
    missed, said = pair.get_attribute("data-label"), pair.get_attribute("data-with")
    pair.focus()
    page.keyboard.press("Enter")
    page.wait_for_function(f"document.querySelector('select[name=with]').value === {json.dumps(said)}")
    both = {
        card["id"]
        for card in cards
        if {(int(missed), "missed"), (int(said.split()[0]), "wrong")} <= set(card["errors"])
    }
    assert set(shown_ids(page)) == both != set()
    page.close()


@pytest.mark.browser
def test_errors_of_both_models_are_told_from_those_of_one(browser: "Browser", split: Split) -> None:
    split.write(two=True)
    first, second = (
        (predictions.scores > 0.5, predictions.targets > 0)  # said, true
        for predictions in split.models
    )
    cards = Gallery(split.path.read_text(encoding="utf-8")).cards
    for card in cards:
        row = split.ids.index(card["id"])
        same = {(label, kind) for label, kind in card["errors"] if first[0][row, label] == second[0][row, label]}
        assert card["both"] == same
    page = browser.new_page()
    page.goto(split.path.as_uri())
    page.select_option("select[name=other]", "one")
    fitting = {card["id"] for card in cards if set(card["errors"]) - card["both"]}
    assert set(shown_ids(page)) <= fitting and f"of {len(fitting)} images" in page.inner_text("#shown")
    page.close()


@pytest.mark.browser
def test_more_images_and_the_order_of_the_table(browser: "Browser", split: Split) -> None:
    split.write()
    page = browser.new_page()
    page.goto(split.path.as_uri())
    cards = Gallery(split.path.read_text(encoding="utf-8")).cards
    page.focus("#more")
    page.keyboard.press("Enter")
    assert len(shown_ids(page)) == min(48, len(cards))
    page.select_option("#order", "precision")
    cells = page.eval_on_selector_all("#label-table td:nth-child(3)", "all => all.map(one => Number(one.innerText))")
    assert cells == sorted(cells)
    page.close()


@pytest.mark.browser
def test_without_scripts_all_is_there(browser: "Browser", split: Split) -> None:
    split.write()
    page = browser.new_page(java_script_enabled=False)
    page.goto(split.path.as_uri())
    assert page.locator("#gallery > li:visible").count() == len(Gallery(split.path.read_text(encoding="utf-8")).cards)
    assert not page.locator("#filters").is_visible()
    page.close()
