"""The page of `mlrsnet predict`: read as HTML, and looked at in a browser."""

import shutil
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest
import timm
import torch
from PIL import Image

from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.preprocessing import model_preprocessing
from mlrsnet_hf.models.saved_model import save_model
from mlrsnet_hf.prediction.config import PredictionConfig
from mlrsnet_hf.reports import predictions as module
from tests.reports.looking import look_at

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LABELS = ("water", "<b>ships</b>", "trees with quite a long name that must be broken somewhere", "sand")
SCENES = ("beach", "harbor_port")
IMAGES = 30


class Page(HTMLParser):
    """The cards of a page, and all addresses that it asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.cards: list[dict[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        self.addresses += [told[name] for name in ("src", "href") if name in told]
        if tag == "li" and "data-labels" in told:
            self.cards.append(told)
        if tag == "img":
            self.cards[-1]["id"] = told["alt"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `out.parquet` and the page `out.html` of 30 images in a folder and an archive, two of them torn."""
    folder = tmp_path_factory.mktemp("predictions")
    torch.manual_seed(3)
    model = timm.create_model("test_resnet", num_classes=6).eval()
    torch.nn.init.normal_(model.fc.weight, std=3)
    task = Task(kind="labels+scene", label_names=LABELS, scene_names=SCENES)
    save_model(model, folder / "run" / "model", model_preprocessing(model, 32, 1.0), task)
    (folder / "<i>tiles").mkdir()
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        for number in range(IMAGES):
            draw = np.random.default_rng(number)
            path = folder / "<i>tiles" / f"{number:02d}.png"
            color = draw.integers(0, 256, 3)
            pixels = (color + draw.integers(0, 60, (40, 50, 3))).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(path)
            if number % 10 == 3:
                path.write_bytes(b"torn")
            if number > 20:
                archive.write(path, path.name)
                path.unlink()
    config = PredictionConfig(
        model=str(folder / "run"),
        sources=(str(folder / "<i>tiles"), str(folder / "more.zip")),
        output=folder / "out.parquet",
        html=folder / "out.html",
        batch_size=4,
        shard_images=7,
    )
    module.write_predictions(config, ImageSet())
    return folder


def test_the_page_shows_what_the_table_says(written: Path) -> None:
    text = (written / "out.html").read_text(encoding="utf-8")
    page = Page(text)
    rows = {row["id"]: row for row in pq.read_table(written / "out.parquet").to_pylist()}
    readable = [name for name, row in rows.items() if row["error"] is None]
    assert [card["id"] for card in page.cards] == readable
    assert len(readable) == IMAGES - 3
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    choices = dict.fromkeys(label for row in rows.values() for label in row["labels"] or ())
    counts = {name: sum(name in (row["labels"] or ()) for row in rows.values()) for name in choices}
    order = sorted(counts, key=lambda name: -counts[name])
    for card in page.cards:
        told = [counts[order[int(place)]] for place in card["data-labels"].split()]
        assert told == [counts[name] for name in rows[card["id"]]["labels"]]
    assert "<b>ships" not in text and "<i>tiles" not in text
    assert text.count("cannot be read") == 3


def test_a_page_of_many_images_shows_some_evenly_spread(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = module.shown_images
    monkeypatch.setattr(module, "shown_images", lambda predicted: whole(predicted, most=5))
    page = tmp_path / "out.html"
    module.write_predictions(
        PredictionConfig(
            model=str(written / "run"),
            sources=(str(written / "<i>tiles"),),
            output=tmp_path / "out.csv",
            html=page,
            shard_images=4,
        ),
        ImageSet(),
    )
    shown = [Path(card["id"]).stem for card in Page(page.read_text(encoding="utf-8")).cards]
    there = [f"{number:02d}" for number in range(21) if number % 10 != 3]  # 19, of which 0, 19/5, ... are shown
    assert shown == [there[place * 19 // 5] for place in range(5)]


def test_names_begin_no_line_and_command_no_terminal(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = tmp_path / "odd"
    odd.mkdir()
    shutil.copy(written / "<i>tiles" / "00.png", odd)
    try:
        (odd / "a\npredictions: elsewhere\x1b[31m.png").write_bytes(b"torn")
    except OSError:
        pytest.skip("this file system takes no such name")
    config = PredictionConfig(model=str(written / "run"), sources=(str(odd),), output=tmp_path / "out.jsonl")
    module.write_predictions(config, ImageSet())
    told = capsys.readouterr().out
    assert [line for line in told.splitlines() if line.startswith("predictions:")] == [f"predictions: {config.output}"]
    assert "\x1b" not in told and r"\x1b[31m" in told


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_it_fits_and_reads(browser: "Browser", written: Path, width: int, scheme: str) -> None:
    assert look_at(browser, written / "out.html", width, scheme) == IMAGES - 3


@pytest.mark.browser
def test_pictures_by_label_and_in_pieces(browser: "Browser", written: Path) -> None:
    page = browser.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto((written / "out.html").as_uri())
    shown = page.locator(".grid > li:visible")
    assert shown.count() == 24 and page.inner_text("#shown") == f"24 of {IMAGES - 3} shown"
    page.focus("#more")
    page.keyboard.press("Enter")
    assert shown.count() == IMAGES - 3 and not page.locator("#more").is_visible()
    assert page.evaluate("document.activeElement === document.querySelectorAll('.grid > li')[24]")
    rows = pq.read_table(written / "out.parquet").to_pylist()
    names = page.eval_on_selector_all("option", "all => all.map(one => one.textContent)")[1:]
    assert set(names) <= set(LABELS)
    for name in names:
        page.select_option("select", label=name)
        found = page.eval_on_selector_all(".grid > li:not([hidden]) img", "all => all.map(one => one.alt)")
        assert found == [row["id"] for row in rows if name in (row["labels"] or ())][:24]
    assert not faults
    page.close()
