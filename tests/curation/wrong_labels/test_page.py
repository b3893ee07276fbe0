"""The page of wrong labels: what its cards say, which images it has room for, and how it looks in a browser."""

import html
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import pytest
from PIL import Image

from mlrsnet_hf.cli import main
from mlrsnet_hf.curation.page_images import PageImages
from mlrsnet_hf.curation.wrong_labels import page as find_errors_page
from mlrsnet_hf.curation.wrong_labels.label_patterns import Rules
from mlrsnet_hf.curation.wrong_labels.page import write_find_errors_page
from mlrsnet_hf.curation.wrong_labels.ranking import LabeledImages, WrongLabels
from mlrsnet_hf.inputs.images import ImageSplit
from mlrsnet_hf.published import IMAGERY
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingRows, write_json, write_rows
from mlrsnet_hf.retrieval.embeddings.info import INFO_FILE, LOCAL_FILE, EmbeddingInfo
from tests.reports.looking import look_at

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("bare_soil", "<b>cars</b>", "dock", "trees with a rather long name", "water")
SCENES = ("harbor&port", "airport")


class Suspects(HTMLParser):
    """What each card says: its scene's id, and label, kind and probability of its suspects, then its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cards: list[dict[str, Any]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if "data-suspects" in values:
            parts = [part.split(" ") for part in str(values["data-suspects"]).split(";")]
            found = [(int(label), kind, float(wrong)) for label, kind, wrong in parts]
            self.cards.append({"scene": values["data-scene"], "suspects": found, "text": "", "has_picture": False})
        if self.cards and tag == "img":
            self.cards[-1] |= {"id": values["alt"], "has_picture": str(values["src"]).startswith("data:image/jpeg")}

    def handle_endtag(self, tag: str) -> None:
        if tag == "body":
            self.cards = [card for card in self.cards if card["suspects"]]

    def handle_data(self, data: str) -> None:
        if self.cards:
            self.cards[-1]["text"] += data


class Judged:
    """Drawn images, what is said of their labels, and the page of them."""

    def __init__(self, folder: Path, images: int = 60, source: str = "made up") -> None:
        draw = np.random.default_rng(1)
        labels = draw.random((images, len(NAMES))) < 0.4
        model, near = draw.random(labels.shape), draw.random(labels.shape)
        wrong = np.where(labels, 1 - model, model)
        self.images = LabeledImages(
            ids=[f"image_{row:03d}" for row in range(images)],
            label_names=NAMES,
            labels=labels,
            scene_names=SCENES,
            scenes=draw.integers(-1, 2, images),
        )
        self.result = WrongLabels(wrong=wrong, found=wrong > 0.9, evidence={"model": model, "neighbors": near})
        self.places = self.result.ranked(0.7)
        pixels = draw.integers(0, 256, (images, 24, 24, 3), dtype=np.uint8)
        features = datasets.Features({"id": datasets.Value("string"), "image": datasets.Image()})
        # In another order than the images, and the first is not there.
        rows = {"id": self.images.ids[:0:-1], "image": [Image.fromarray(one) for one in pixels[:0:-1]]}
        self.split = ImageSplit(datasets.Dataset.from_dict(rows, features=features), (), (), {"name": source})
        self.path = folder / "pages" / "wrong.html"

    def write(self, rules: Rules | None = None) -> list[dict[str, Any]]:
        write_find_errors_page(
            self.path,
            title="Labels",
            about=["285 of 300 labels are probably wrong."],
            images=self.images,
            result=self.result,
            places=self.places,
            pictures=PageImages(self.split),
            rules=rules,
        )
        return Suspects(self.path.read_text(encoding="utf-8")).cards


def test_cards_say_what_is_known(tmp_path: Path) -> None:
    judged = Judged(tmp_path)
    sampled = np.array([100.0, 0.0])
    cards = judged.write(Rules(np.array([[0, 60, 100, 3, 0], [0] * 5], float), sampled))
    assert "<b>cars" not in judged.path.read_text(encoding="utf-8")
    by_row: dict[int, list[int]] = {}
    for row, column in judged.places:
        by_row.setdefault(row, []).append(column)
    assert len(cards) == len(by_row)
    for card, (row, columns) in zip(cards, by_row.items(), strict=True):
        labels, scene = judged.images.labels[row], judged.images.scenes[row]  # type: ignore[index]
        assert card["suspects"] == [
            (
                column,
                "given" if labels[column] else "missing",
                pytest.approx(judged.result.wrong[row, column], abs=1e-6),
            )
            for column in columns
        ]
        assert card["scene"] == str(scene)
        assert card["has_picture"] == (row != 0)
        if row != 0:
            assert card["id"] == judged.images.ids[row]
        for column in columns:
            assert f"the model gives it {judged.result.evidence['model'][row, column]:.0%}" in card["text"]
            near = judged.result.evidence["neighbors"][row, column]
            assert f"the nearest images give it {near:.0%}" in card["text"]
        assert ("not in the vocabulary" in card["text"]) == (scene == 0 and bool({0, 4} & set(columns)))
        assert ("vocabulary 60 of 100" in card["text"]) == (scene == 0 and 1 in columns)
        others = [name for column, name in enumerate(NAMES) if labels[column] and column not in columns]
        assert all(name.replace("_", " ") in card["text"] for name in others)


def test_each_label_is_seen_where_there_is_room_for_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = Judged(tmp_path)
    monkeypatch.setattr(find_errors_page, "MOST_IMAGES", 12)
    monkeypatch.setattr(find_errors_page, "OF_EACH", 1)
    # One label's mistakes are all surer than those of another.
    judged.result.wrong[:, 3] *= 1e-3
    judged.places = judged.result.ranked(0.7) + [(row, 3) for row in range(9)]
    cards = judged.write()
    assert len(cards) == 12
    kinds = {(label, kind) for card in cards for label, kind, _ in card["suspects"]}
    assert {(3, "given"), (3, "missing")} <= kinds
    worst = [max(wrong for *_, wrong in card["suspects"]) for card in cards]
    assert worst == sorted(worst, reverse=True)
    assert str(len({row for row, _ in judged.places})) in judged.path.read_text(encoding="utf-8")


def test_the_imagery_is_attributed(tmp_path: Path) -> None:
    judged = Judged(tmp_path)
    judged.write()
    assert IMAGERY not in html.unescape(judged.path.read_text(encoding="utf-8"))
    judged = Judged(tmp_path, source="mlrsnet")
    judged.write()
    assert IMAGERY in html.unescape(judged.path.read_text(encoding="utf-8"))


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_fits_and_reads(browser: "Browser", tmp_path: Path, width: int, scheme: str) -> None:
    judged = Judged(tmp_path)
    cards = judged.write()
    assert look_at(browser, judged.path, width, scheme) == sum(card["has_picture"] for card in cards)


@pytest.mark.browser
def test_filters_and_pieces(browser: "Browser", tmp_path: Path) -> None:
    judged = Judged(tmp_path)
    cards = judged.write()
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.goto(judged.path.as_uri())
    seen = "[...document.querySelectorAll('#gallery > li')].filter(one => one.offsetWidth)"
    assert len(cards) > 24
    assert page.evaluate(f"{seen}.length") == 24
    page.click("#more")
    assert page.evaluate(f"{seen}.length") == min(48, len(cards))
    # A number of the table shows its images, the worst of them first.
    page.click("#label-table a[data-label='4'][data-kind='missing']")
    told = int(page.inner_text("#label-table a[data-label='4'][data-kind='missing']"))
    fitting = sorted(
        (wrong for card in cards for label, kind, wrong in card["suspects"] if (label, kind) == (4, "missing")),
        reverse=True,
    )
    assert told == len(fitting) <= 24
    shown = page.evaluate(f"{seen}.map(one => one.dataset.suspects)")
    assert [float(re.search(r"4 missing ([\d.]+)", one)[1]) for one in shown] == fitting  # type: ignore[index]
    page.select_option("select[name=scene]", "1")
    count = sum(card["scene"] == "1" and any(one[:2] == (4, "missing") for one in card["suspects"]) for card in cards)
    assert page.evaluate(f"{seen}.length") == count
    page.click("button[type=reset]")
    page.wait_for_function(f"{seen}.length === 24")
    page.close()


def embedded_folder(folder: Path, pictures: Path) -> Path:
    """Write 40 pictures, and embeddings of them that know where they lie."""
    draw = np.random.default_rng(0)
    truth = draw.random((40, 2)) < 0.5
    vectors = (truth @ draw.standard_normal((2, 6)) + 0.1 * draw.standard_normal((40, 6))).astype(np.float32)
    labels = truth.copy()
    labels[3, 0] = not labels[3, 0]
    pictures.mkdir()
    ids = [f"{row}.png" for row in range(40)]
    for name in ids:
        Image.new("RGB", (20, 20), "teal").save(pictures / name)
    info = EmbeddingInfo(
        model="net",
        architecture="resnet18",
        model_fingerprint="f" * 64,
        layer="pre_logits",
        dimension=6,
        dtype="float32",
        normalized=False,
        dataset_fingerprint="0" * 64,
        rows=40,
        label_names=("sea", "sand"),
    )
    (folder / "data").mkdir(parents=True)
    write_json(folder / INFO_FILE, info.to_json())
    write_json(folder / LOCAL_FILE, {"model": {"model": "net"}, "images": {"images": str(pictures)}})
    rows = EmbeddingRows(
        ids=ids, embeddings=vectors, scenes=None, labels=[np.flatnonzero(row).tolist() for row in labels]
    )
    write_rows(rows, info, folder / "data" / "0.parquet")
    return folder


def test_the_command_finds_the_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cleanlab")
    folder = embedded_folder(tmp_path / "embeddings", tmp_path / "pictures")
    words = ["curate", "find-errors", str(folder), "--output"]
    for number, more in enumerate(([], ["--images", str(tmp_path / "pictures")])):
        page = tmp_path / f"{number}.html"
        main([*words, str(tmp_path / f"{number}.csv"), "--html", str(page), *more])
        assert str(page) in capsys.readouterr().out
        cards = Suspects(page.read_text(encoding="utf-8")).cards
        assert cards[0]["id"] == "3.png" and all(card["has_picture"] for card in cards)
    (tmp_path / "pictures").rename(tmp_path / "moved")
    (tmp_path / "others").mkdir()
    Image.new("RGB", (20, 20)).save(tmp_path / "others" / "x.png")
    for more, named in (
        (["--html", str(tmp_path / "new.html")], "pictures"),
        (["--html", str(tmp_path / "new.html"), "--images", str(tmp_path / "others")], "'0.png'"),
        (["--html", str(tmp_path / "0.html")], "0.html"),
        (["--images", str(tmp_path / "moved")], "--html"),
        (["--html", str(tmp_path / "new.html"), "--images", str(tmp_path / "none")], "none"),
    ):
        with pytest.raises(SystemExit) as caught:
            main([*words, str(tmp_path / "new.csv"), *more])
        assert caught.value.code == 2
        assert named in capsys.readouterr().err
    assert not (tmp_path / "new.csv").exists() and not (tmp_path / "new.html").exists()
