"""The app in a browser: what it shows is what the model and brute force say, for one user at a time and for two."""

import io
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlrsnet_hf import Classifier
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable
from tests.apps.conftest import LABELS, SCENES, THRESHOLDS, Made

pytest.importorskip("gradio", reason="the extra app is not installed")
pytest.importorskip("milvus_lite")

pytestmark = pytest.mark.browser

OpenPage = Callable[..., Any]


def upload(page: Any, path: Path) -> None:  # noqa: ANN401
    """Give a file to the upload that is shown."""
    page.locator("input[type=file]:not([disabled])").locator("visible=true").or_(
        page.get_by_role("tabpanel").locator("visible=true").locator("input[type=file]")
    ).first.set_input_files(path)


def note(page: Any) -> Any:  # noqa: ANN401
    """The sentence that is shown."""
    return page.locator(".note:visible").first


def ids(page: Any) -> list[str]:  # noqa: ANN401
    """The ids of the gallery of results that is shown."""
    return page.locator(".gallery:not(.compact):visible").last.locator(".name").all_inner_texts()


@pytest.fixture
def query(made: Made, tmp_path: Path) -> Path:
    """A picture of the training split, which the index does not hold."""
    path = tmp_path / "query.jpg"
    path.write_bytes(made.rows["train"][3]["image"]["bytes"])
    return path


def test_classify_shows_what_the_classifier_says(open_page: OpenPage, made: Made, query: Path) -> None:
    page = open_page()
    upload(page, query)
    page.get_by_text("above their thresholds").wait_for()
    (prediction,) = Classifier.from_pretrained(made.run).predict([query])
    rows = page.locator(".scores").first.locator("li")
    shown = {row.locator("button").inner_text(): row.locator(".number").inner_text() for row in rows.all()}
    above = {name for name, text in shown.items() if "✓" in text}
    assert above == set(prediction.labels) and set(shown) == set(LABELS)
    for name, text in shown.items():
        assert float(text.removeprefix("✓ ")) == pytest.approx(prediction.scores[name], abs=6e-4)
    for name, threshold in zip(LABELS, THRESHOLDS, strict=True):
        bar = page.locator(".scores li", has=page.get_by_role("button", name=name, exact=True)).locator(".bar")
        assert f"threshold {threshold:.3f}" in bar.get_attribute("aria-label")
    page.get_by_role("heading", name=f"Scene: {prediction.scene}").wait_for()
    page.get_by_alt_text(re.compile("Grad-CAM")).wait_for()
    table = EmbeddingTable.load(made.embeddings)
    nearest = page.get_by_role("heading", name="Nearest images of the index")
    nearest.wait_for()
    assert ids(page) == by_brute_force(made, table, query)[:8]


def by_brute_force(made: Made, table: EmbeddingTable, picture: Path, passing: Any = None) -> list[str]:  # noqa: ANN401
    """The ids of the index from the nearest to the farthest, by a loop over timm's own transform and network."""
    import timm
    import torch

    from mlrsnet_hf.models.choice import ModelChoice
    from mlrsnet_hf.models.named_model import load_named_model

    named = load_named_model(ModelChoice(model=str(made.run)))
    transform = timm.data.create_transform(**named.preprocessing.timm_config(), is_training=False)
    with torch.inference_mode():
        network: Any = named.model
        features = network.forward_features(transform(Image.open(picture).convert("RGB"))[None])
        vector = network.forward_head(features, pre_logits=True)[0].numpy()
    far = ((table.embeddings - vector) ** 2).sum(axis=1)
    return [table.ids[row] for row in np.argsort(far, kind="stable") if passing is None or row in passing]


def test_an_example_is_classified_and_a_neighbor_searched_for(open_page: OpenPage) -> None:
    page = open_page()
    page.locator(".gallery.compact [data-id]").first.click()
    page.get_by_text("above their thresholds").wait_for()
    page.get_by_role("heading", name="Nearest images of the index").wait_for()
    name = ids(page)[1]
    page.get_by_role("button", name=f"Find images like this one: {name}").click()
    page.get_by_text(f"Images like {name}").wait_for()
    assert ids(page)[0] == name  # nearest to itself
    assert page.get_by_role("tab", name="Search").get_attribute("aria-selected") == "true"


def test_search_by_picture_with_filters_and_pages(open_page: OpenPage, made: Made, query: Path) -> None:
    table = EmbeddingTable.load(made.embeddings)
    page = open_page("Search")
    upload(page, query)
    page.get_by_text("Images like query.jpg").wait_for()
    expected = by_brute_force(made, table, query)
    assert ids(page) == expected[:24]
    page.get_by_role("button", name="Next page").locator("visible=true").click()
    page.get_by_text("25 to 30").wait_for()
    assert ids(page) == expected[24:]
    choose(page, "With all of these labels", LABELS[1])
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_text(f"Images like query.jpg with labels {LABELS[1]}").wait_for()
    passing = {row for row, labels in enumerate(made.rows["test"]["labels"]) if 1 in labels}
    assert ids(page) == by_brute_force(made, table, query, passing)[:24]
    marked = page.locator(".gallery:visible").last.locator(".common").all_inner_texts()
    assert len(marked) == len(passing) and all(LABELS[1] in text for text in marked)


def choose(page: Any, box: str, name: str) -> None:  # noqa: ANN401
    """Choose a name of a list with a keyboard."""
    field = page.get_by_label(box).locator("visible=true").first
    field.click()
    field.fill(name)
    page.get_by_role("option", name=name, exact=True).locator("visible=true").click()
    page.keyboard.press("Escape")


def test_labels_alone_and_an_unknown_id(open_page: OpenPage, made: Made) -> None:
    page = open_page("Search")
    page.get_by_label("Labels alone").check()
    choose(page, "With all of these labels", LABELS[2])
    choose(page, "Of the scene", SCENES[1])
    page.get_by_role("button", name="Search", exact=True).click()
    rows = made.rows["test"]
    passing = [
        name
        for name, labels, scene in zip(rows["id"], rows["labels"], rows["scene"], strict=True)
        if 2 in labels and scene == 1
    ]
    page.get_by_text(f"scene {SCENES[1]}: {len(passing)}").wait_for()
    assert ids(page) == passing
    page.get_by_label("An image of the index").check()
    page.get_by_label("Id of an image").fill("no such id")
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_text("'no such id'").wait_for()
    assert note(page).get_attribute("role") == "alert" and page.locator(".gallery:visible").count() == 0


def test_explore_counts_what_is_there(open_page: OpenPage, made: Made) -> None:
    page = open_page("Explore")
    total = sum(map(len, made.rows.values()))
    page.get_by_text(f"{total} of {total} images").wait_for()
    page.get_by_role("button", name="Counts of these images").click()
    page.get_by_label("test", exact=True).check()
    rows = made.rows["test"]
    page.get_by_text(f"{len(rows)} of {total} images").wait_for()
    table = page.locator(".counts table").first
    counts = {name: sum(label in labels for labels in rows["labels"]) for label, name in enumerate(LABELS)}
    shown = [row.locator("td").all_inner_texts() for row in table.locator("tbody tr").all()]
    assert [(name, int(count)) for name, count, _ in shown] == sorted(counts.items(), key=lambda entry: -entry[1])
    choose(page, "With all of these labels", LABELS[0])
    with_red = [name for name, labels in zip(rows["id"], rows["labels"], strict=True) if 0 in labels]
    page.get_by_text(f"{len(with_red)} of {total} images").wait_for()
    assert ids(page) == with_red[:24]
    pairs = page.locator(".counts-table").last.locator("tbody tr")
    both = {name: sum({0, label} <= set(labels) for labels in rows["labels"]) for label, name in enumerate(LABELS)}
    for row in pairs.all():
        name = row.locator("th").inner_text()
        assert int(row.locator("td").first.inner_text() or 0) == both[name]  # red has all of them, and stands first


def test_two_users_do_not_see_each_other(open_page: OpenPage, made: Made) -> None:
    first, second = open_page("Search"), open_page("Search")
    names = made.rows["test"]["id"]
    for turn in range(3):
        for page, name in ((first, names[turn]), (second, names[10 + turn])):
            page.get_by_label("An image of the index").check()
            page.get_by_label("Id of an image").fill(name)
            page.get_by_role("button", name="Search", exact=True).click()
        for page, name in ((second, names[10 + turn]), (first, names[turn])):
            page.get_by_text(f"Images like {name}").wait_for()
            assert ids(page)[0] == name
    for page, name in ((first, names[2]), (second, names[12])):  # the page is turned for the own query
        page.get_by_role("button", name="Next page").locator("visible=true").click()
        page.get_by_text("25 to 30").wait_for()
        page.get_by_text(f"Images like {name}").wait_for()
    third = open_page("Search")
    assert third.locator(".gallery:visible").count() == 0


def huge_png() -> bytes:
    """A PNG file that says to be of 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def tiff_of_16_bits() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.linspace(0, 60_000, 4096).astype(np.uint16).reshape(64, 64)).save(buffer, "TIFF")
    return buffer.getvalue()


@pytest.mark.parametrize("tab", ["Classify", "Search"])
def test_odd_uploads_end_in_a_sentence(open_page: OpenPage, made: Made, tmp_path: Path, tab: str) -> None:
    whole = made.rows["train"][0]["image"]["bytes"]
    odd = {
        "notes.txt": b"no picture",
        "empty.jpg": b"",
        "cut.jpg": whole[: len(whole) // 2],
        "huge.png": huge_png(),
        "deep.tif": tiff_of_16_bits(),
        "<b>&amp; ${6*7}.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "too_much.bin": bytes(1_500_000),
    }
    for name, content in odd.items():
        path = tmp_path / name
        path.write_bytes(content)
        page = open_page(tab)
        upload(page, path)
        if name == "too_much.bin":
            page.get_by_text("exceed the maximum allowed size").first.wait_for()
            continue
        page.locator(".note.wrong:visible").wait_for()
        sentence = note(page).inner_text()
        assert re.fullmatch(r"[^\n]+\. [A-Z][^\n]+\.", sentence) and str(tmp_path) not in sentence, sentence
        assert page.locator(".scores:visible").count() == 0
    page = open_page(tab)  # all others go on
    whole_file = tmp_path / "whole.jpg"
    whole_file.write_bytes(whole)
    upload(page, whole_file)
    page.get_by_text("above their thresholds" if tab == "Classify" else "Images like whole.jpg").wait_for()


def test_all_is_reached_by_keyboard(open_page: OpenPage, made: Made) -> None:
    page = open_page("Search")
    page.get_by_label("An image of the index").check()
    name = made.rows["test"]["id"][4]
    page.get_by_label("Id of an image").fill(name)
    page.keyboard.press("Enter")
    page.get_by_text(f"Images like {name}").wait_for()
    other = ids(page)[3]
    target = page.get_by_role("button", name=f"Find images like this one: {other}")
    for _ in range(40):
        page.keyboard.press("Tab")
        if target.evaluate("button => button === document.activeElement"):
            break
    assert target.evaluate("button => getComputedStyle(button).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.get_by_text(f"Images like {other}").wait_for()


CONTRASTS = """
() => {
  const numbers = (color) => {
    const canvas = document.createElement('canvas'); canvas.width = canvas.height = 1;
    const context = canvas.getContext('2d', {willReadFrequently: true});
    context.fillStyle = color; context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const over = (top, below) => top.slice(0, 3).map((value, i) => value * top[3] / 255 + below[i] * (1 - top[3] / 255));
  const light = (color) => color.map((value) => value / 255)
    .map((value) => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    if (!text || !element.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    if (element.closest('script, style, footer, .told, :disabled')) continue;
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.unshift(numbers(getComputedStyle(at).backgroundColor));
    const background = layers.reduce((below, layer) => over(layer, below), [255, 255, 255]);
    const style = getComputedStyle(element), color = over(numbers(style.color), background);
    const [dark, bright] = [light(background), light(color)].sort((a, b) => a - b);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    const ratio = (bright + 0.05) / (dark + 0.05);
    if (ratio < (large ? 3 : 4.5)) found.push([text.slice(0, 40), style.color, background, ratio]);
  }
  return found;
}
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_text_can_be_read(open_page: OpenPage, made: Made, query: Path, width: int, dark: bool) -> None:
    page = open_page("Classify", width, dark)
    upload(page, query)
    page.get_by_role("heading", name="Nearest images of the index").wait_for()
    for tab in ("Classify", "Search", "Explore"):
        page.get_by_role("tab", name=tab).click()
        if tab == "Search":
            page.get_by_label("Labels alone").check()
            choose(page, "With all of these labels", LABELS[0])
            page.get_by_role("button", name="Search", exact=True).click()
            page.get_by_text("Images with").wait_for()
        if tab == "Explore":
            page.get_by_role("button", name="Counts of these images").click()
            page.locator(".counts:visible").wait_for()
        page.wait_for_timeout(400)  # until nothing moves any more
        assert page.evaluate(CONTRASTS) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"
