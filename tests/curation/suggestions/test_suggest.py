"""What to label next: against brute force on small embeddings, and the command from end to end."""

import csv
import dataclasses
import html
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mlrsnet_hf.cli import main
from mlrsnet_hf.curation.suggestions.choice import entropy, suggest_tiles
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.prediction.predictions_file import (
    SavedPredictions,
    ScoredPredictions,
)
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingRows, write_json, write_rows
from mlrsnet_hf.retrieval.embeddings.info import INFO_FILE, LOCAL_FILE, EmbeddingInfo
from tests.prediction.test_predictions_file import made_info
from tests.reports.looking import look_at

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LABELS, SCENES = ("sea", "sand", "trees"), ("beach", "park")


def cosine_distance(one: np.ndarray, other: np.ndarray) -> float:
    return max(0.0, 1 - float(one @ other) / math.sqrt(float(one @ one) * float(other @ other)))


def by_brute_force(
    tiles: np.ndarray,
    labeled: np.ndarray,
    category: np.ndarray,
    eligible: np.ndarray,
    uncertainty: np.ndarray,
    count: int,
    weight: float,
    least: float,
) -> tuple[list[int], list[float]]:
    """Return rows and worth of the tiles, everything computed anew at each step."""
    rows: list[int] = []
    worths: list[float] = []
    while len(rows) < count:
        worth: dict[int, float] = {}
        for row, tile in enumerate(tiles):
            everything = [cosine_distance(tile, other) for other in (*labeled, *tiles[rows])]
            if row in rows or not eligible[row] or any(far < least for far in everything):
                continue
            near = [cosine_distance(tile, other) for other in (*labeled[category], *tiles[rows])]
            worth[row] = uncertainty[row] ** weight * (min(near) if near else 2.0) ** (1 - weight)
        if not worth:
            break
        # Products are rounded: the first of those that are equal but for that.
        rows.append(next(row for row in worth if worth[row] >= max(worth.values()) * (1 - 1e-5)))
        worths.append(worth[rows[-1]])
    return rows, worths


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([0.0, 0.05, 0.4]), st.integers(0, 8))
def test_against_brute_force(seed: int, weight: float, least: float, known: int) -> None:
    draw = np.random.default_rng(seed)
    tiles = draw.standard_normal((15, 3)).astype(np.float32)
    labeled = draw.standard_normal((known, 3)).astype(np.float32)
    tiles[3] = 2 * tiles[8]  # near-duplicates whatever their length
    category = draw.random(known) < 0.6
    if known:
        tiles[5], category[0] = labeled[-1], True
    eligible, uncertainty = draw.random(15) < 0.8, draw.random(15) + 0.01
    found = suggest_tiles(
        tiles,
        10,
        labeled=labeled if known else None,
        of_category=category if known else None,
        eligible=eligible,
        uncertainty=uncertainty,
        weight=weight,
        least_distance=least,
    )
    rows, worths = by_brute_force(tiles, labeled, category, eligible, uncertainty, 10, weight, least)
    if least > 0:  # else copies are chosen at a distance of zero, which rounding makes more or less
        assert found.rows.tolist() == rows
        assert found.worth == pytest.approx(worths, abs=1e-5)
    # What is told of each: the image that it is nearest to.
    before = [*labeled, *tiles]
    for place, (row, near) in enumerate(zip(found.rows, found.nearest, strict=True)):
        if near >= 0:
            assert found.distance[place] == pytest.approx(cosine_distance(tiles[row], before[near]), abs=1e-5)
            assert near < known or near - known in found.rows[:place]
        else:
            assert not known and place == 0 and found.distance[place] == 2
    taken = len(found.rows) + found.near_labeled + found.near_chosen
    assert taken == eligible.sum() or (len(found.rows) == 10 and taken <= eligible.sum())


def test_farthest_first_by_hand() -> None:
    # Angles of 0, 10, 60, 90 and 170 degrees; 0 is labeled.
    angles = np.radians([10, 60, 90, 170])
    tiles = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = suggest_tiles(tiles, 4, labeled=np.array([[1, 0]], np.float32), weight=0, least_distance=0.02)
    # 170 is farthest; then 90, 80 away from 170 and 90 from 0; then 60, 30 away from 90. 10 is 1 - cos 10 = 0.015 away.
    assert found.rows.tolist() == [3, 2, 1]
    assert found.distance == pytest.approx([1 - math.cos(math.radians(d)) for d in (170, 80, 30)], abs=1e-6)
    assert found.nearest.tolist() == [0, 1 + 3, 1 + 2]
    assert (found.near_labeled, found.near_chosen) == (1, 0)


def test_uncertainty_alone_leaves_near_duplicates_out() -> None:
    tiles = np.array([[1, 0], [1, 0.01], [0, 1], [1, 1]], np.float32)
    found = suggest_tiles(tiles, 4, uncertainty=np.array([0.9, 1.0, 0.1, 0.5]), weight=1)
    assert found.rows.tolist() == [1, 3, 2]
    assert found.near_chosen == 1


def test_entropy() -> None:
    p = np.array([[0.0, 1.0], [0.25, 0.5]])
    assert entropy(p) == pytest.approx([0, 1 - 0.25 * math.log2(0.25) - 0.75 * math.log2(0.75)])


def test_an_embedding_of_zero_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="tile 1 "):
        suggest_tiles(np.array([[1, 0], [0, 0]], np.float32), 1)


def folder_of(
    folder: Path,
    vectors: np.ndarray,
    prefix: str,
    labels: list[list[int]] | None = None,
    ids: list[str] | None = None,
    stored: np.ndarray | None = None,
    **changes: object,
) -> Path:
    values: dict[str, Any] = {
        "model": "net",
        "architecture": "resnet18",
        "model_fingerprint": "f" * 64,
        "layer": "pre_logits",
        "dimension": vectors.shape[1],
        "dtype": "float32",
        "normalized": False,
        "dataset_fingerprint": "0" * 64,
        "rows": len(vectors),
        "label_names": LABELS if labels else (),
        "scene_names": SCENES if labels else (),
    }
    if stored is not None:
        values["scores"] = LABELS
    info = EmbeddingInfo(**values | changes)
    (folder / "data").mkdir(parents=True)
    write_json(folder / INFO_FILE, info.to_json())
    rows = EmbeddingRows(
        ids=ids or [f"{prefix}{row}" for row in range(len(vectors))],
        embeddings=vectors.astype(np.float32),
        scenes=np.arange(len(vectors)) % 2 if labels else None,
        labels=labels,
        scores=None if stored is None else stored.astype(np.float32),
    )
    write_rows(rows, info, folder / "data" / "0.parquet")
    return folder


@pytest.fixture
def pool(tmp_path: Path) -> tuple[Path, np.ndarray, np.ndarray, np.ndarray]:
    """Write tiles, labeled images and predictions; return their folder and what they hold."""
    draw = np.random.default_rng(3)
    tiles, labeled, scores = draw.standard_normal((30, 4)), draw.standard_normal((8, 4)), draw.random((30, 3))
    tiles, labeled = tiles.astype(np.float32), labeled.astype(np.float32)
    tiles[4] = labeled[2]
    folder_of(tmp_path / "tiles", tiles, "t")
    folder_of(tmp_path / "labeled", labeled, "l", [[row % 3] for row in range(8)])
    columns: dict[str, Any] = {"id": [f"t{row}" for row in range(29, -1, -1)]}  # another order
    columns |= {f"score:{name}": pa.array(scores[::-1, place], pa.float32()) for place, name in enumerate(LABELS)}
    columns |= {"scene_score:beach": scores[::-1, 0], "scene_score:park": 1 - scores[::-1, 0]}
    pq.write_table(pa.table(columns), tmp_path / "predicted.parquet")
    return tmp_path, tiles, labeled, scores


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_command(pool: tuple[Path, np.ndarray, np.ndarray, np.ndarray], capsys: pytest.CaptureFixture[str]) -> None:
    folder, tiles, labeled, scores = pool
    words = ["curate", "suggest", str(folder / "tiles"), "--labeled", str(folder / "labeled"), "--count", "6"]
    predicted = ["--predictions", str(folder / "predicted.parquet")]
    main([*words, *predicted, "--output", str(folder / "all.csv")])
    assert str(folder / "all.csv") in capsys.readouterr().out
    uncertainty = entropy(scores)
    expected, _ = by_brute_force(
        tiles, labeled, np.ones(8, bool), np.ones(30, bool), uncertainty, 6, weight=0.5, least=0.05
    )
    found = read(folder / "all.csv")
    assert [row["image"] for row in found] == [f"t{row}" for row in expected]
    assert [float(row["uncertainty"]) for row in found] == pytest.approx(uncertainty[expected], abs=1e-4)
    assert all((row["nearest"][0] == "l") == (row["nearest_is_labeled"] == "1") for row in found)
    assert "t4" not in [row["image"] for row in found]

    main([*words, *predicted, "--label", "sand", "--least", "0.4", "--output", str(folder / "sand.csv")])
    own = scores[:, 1]
    expected, _ = by_brute_force(
        tiles, labeled, np.arange(8) % 3 == 1, own >= 0.4, entropy(own[:, None]), 6, weight=0.5, least=0.05
    )
    assert [row["image"] for row in read(folder / "sand.csv")] == [f"t{row}" for row in expected]

    main([*words, *predicted, "--scene", "park", "--output", str(folder / "park.csv")])
    own = 1 - scores[:, 0]
    expected, _ = by_brute_force(
        tiles, labeled, np.arange(8) % 2 == 1, own >= 0.25, entropy(own[:, None]), 6, weight=0.5, least=0.05
    )
    assert [row["image"] for row in read(folder / "park.csv")] == [f"t{row}" for row in expected]

    # Without predictions a tile may show what its nearest labeled image shows.
    main([*words, "--scene", "beach", "--output", str(folder / "beach.parquet")])
    nearest = np.array([min(range(8), key=lambda one: cosine_distance(tile, labeled[one])) for tile in tiles])
    expected, worth = by_brute_force(
        tiles, labeled, np.arange(8) % 2 == 0, nearest % 2 == 0, np.ones(30), 6, weight=0, least=0.05
    )
    table = pq.read_table(folder / "beach.parquet").to_pydict()
    assert table["image"] == [f"t{row}" for row in expected]
    assert table["worth"] == pytest.approx(worth, abs=1e-5) == table["distance"]


def test_scores_of_labels_say_nothing_of_scenes(pool: tuple[Path, np.ndarray, np.ndarray, np.ndarray]) -> None:
    """What is suggested of a scene is then what is suggested without scores, whatever the weight."""
    folder, tiles, _, scores = pool
    folder_of(folder / "scored", tiles, "t", stored=scores)
    common = ["--labeled", str(folder / "labeled"), "--scene", "beach", "--weight", "0.5", "--count", "6"]
    for name in ("tiles", "scored"):
        main(["curate", "suggest", str(folder / name), *common, "--output", str(folder / f"{name}.csv")])
    assert read(folder / "scored.csv") == read(folder / "tiles.csv")
    assert len(read(folder / "tiles.csv")) == 6
    with pytest.raises(SystemExit):  # without labeled images nothing tells
        main(["curate", "suggest", str(folder / "scored"), *common[2:], "--output", str(folder / "alone.csv")])


def test_tiles_without_a_prediction_are_left_out(pool: tuple[Path, np.ndarray, np.ndarray, np.ndarray]) -> None:
    folder, tiles, _, scores = pool
    asked = [row for row in range(30) if row % 3]
    task = Task(kind="labels", label_names=LABELS, scene_names=())
    saved = SavedPredictions(
        info=dataclasses.replace(made_info("labels", len(asked)), thresholds=dict.fromkeys(LABELS, 0.5), trained_on=0),
        ids=tuple(f"t{row}" for row in asked),
        task=task,
        predictions=ScoredPredictions.of_scores(np.zeros((len(asked), 3), np.float32), scores[asked]),
    )
    saved.write(folder / "predictions.parquet")
    main(["curate", "suggest", str(folder / "tiles"), "--predictions", str(folder), "--output", str(folder / "x.csv")])
    found = read(folder / "x.csv")
    assert len(found) > 10 and all(int(row["image"][1:]) % 3 for row in found)
    expected, _ = by_brute_force(
        tiles, tiles[:0], np.ones(0, bool), np.arange(30) % 3 > 0, entropy(scores), 30, weight=0.5, least=0.05
    )
    assert [row["image"] for row in found] == [f"t{row}" for row in expected]
    assert found[0]["distance"] == "" == found[0]["nearest"]


def test_faults(
    pool: tuple[Path, np.ndarray, np.ndarray, np.ndarray],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, tiles, *_ = pool
    monkeypatch.setenv("HOME", str(folder))
    folder_of(folder / "other", tiles, "o", model_fingerprint="e" * 64)
    (folder / "there.csv").touch()
    (folder / "damaged.parquet").write_bytes(b"PAR1 and no more")
    pq.write_table(pa.table({"id": ["t0"], "score:sea": [1.5]}), folder / "wrong.parquet")
    pq.write_table(pa.table({"id": ["t0"], "labels": [["sea"]]}), folder / "scoreless.parquet")
    pq.write_table(pa.table({"id": ["y"], "score:sea": [0.5]}), folder / "others.parquet")
    labeled, predicted = ["--labeled", str(folder / "labeled")], str(folder / "predicted.parquet")
    for words, named in (
        ([], "--labeled"),
        (["--labeled", str(folder / "other")], "embedded differently"),
        ([*labeled, "--label", "send"], "'sand'"),
        ([*labeled, "--label", "sand", "--scene", "park"], "not both"),
        ([*labeled, "--output", str(folder / "there.csv")], "there.csv"),
        ([*labeled, "--output", "x.txt"], ".parquet"),
        ([*labeled, "--output", "~/there.csv"], "there.csv"),
        (["--labeled", "nothing", "--output", str(folder / "none" / "a.csv")], "a.csv"),
        (["--labeled", "nothing", "--html", str(folder / "none" / "a.html")], "a.html"),
        ([*labeled, "--predictions", str(folder / "none.parquet")], "none.parquet"),
        ([*labeled, "--predictions", str(folder / "damaged.parquet")], "damaged.parquet"),
        ([*labeled, "--predictions", str(folder / "wrong.parquet")], "wrong.parquet"),
        ([*labeled, "--predictions", str(folder / "scoreless.parquet")], "scoreless.parquet"),
        ([*labeled, "--predictions", str(folder / "others.parquet")], "'t0'"),
        (["--predictions", predicted, "--label", "snow"], "snow"),
    ):
        with pytest.raises(SystemExit) as caught:
            main(["curate", "suggest", str(folder / "tiles"), *words])
        assert caught.value.code == 2
        assert named in capsys.readouterr().err


def with_pictures(folder: Path, prefix: str, count: int) -> None:
    """Draw the pictures of an embeddings folder, whose ids are their names, and say there where they lie."""
    pictures = folder / "pictures"
    pictures.mkdir()
    for row in range(count):
        Image.new("RGB", (20, 20), (8 * row % 256, 90, 120)).save(pictures / f"{prefix}{row}.png")
    write_json(folder / LOCAL_FILE, {"model": {"model": "net"}, "images": {"images": str(pictures)}})


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Write the page of 40 tiles beside 6 labeled images, of which one's picture is gone."""
    draw = np.random.default_rng(8)
    for prefix, count in (("tile", 40), ("known<i>", 6)):
        vectors = draw.standard_normal((count, 5))
        folder = folder_of(
            tmp_path / prefix[:4],
            vectors,
            prefix,
            [[0]] * count if count == 6 else None,
            ids=[f"{prefix}{row}.png" for row in range(count)],
        )
        with_pictures(folder, prefix, count)
    (tmp_path / "know" / "pictures" / "known<i>3.png").unlink()
    words = ["curate", "suggest", str(tmp_path / "tile"), "--labeled", str(tmp_path / "know"), "--count", "30"]
    main([*words, "--output", str(tmp_path / "list.csv"), "--html", str(tmp_path / "page.html")])
    return tmp_path / "page.html"


def test_the_page_shows_each_tile_and_what_it_is_nearest_to(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    cards = re.findall(r"<li><figure>(.*?)</figure></li>", text, re.DOTALL)
    rows = read(page.with_name("list.csv"))
    assert len(cards) == len(rows) == 30
    for card, row in zip(cards, rows, strict=True):
        names = [html.unescape(name) for name in re.findall(r'alt="([^"]*)"', card)]
        gone = row["nearest"] == "known<i>3.png"
        assert names == [row["image"], *[row["nearest"]] * (not gone)]
        assert ("labeled: known" in html.unescape(card)) == (row["nearest_is_labeled"] == "1")
        assert f"distance {float(row['distance']):.2f}" in card
        assert card.count("data:image/jpeg") == 2 - gone


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_fits_and_reads(browser: "Browser", page: Path, width: int, scheme: str) -> None:
    gone = sum(row["nearest"] == "known<i>3.png" for row in read(page.with_name("list.csv")))
    assert look_at(browser, page, width, scheme) == 2 * 30 - gone
    opened = browser.new_page(viewport={"width": width, "height": 800})
    opened.goto(page.as_uri())
    seen = "[...document.querySelectorAll('.grid > li')].filter(one => one.offsetWidth).length"
    at_once = 12 if width < 500 else 24
    assert opened.evaluate(seen) == at_once
    opened.click("#more")
    assert opened.evaluate(seen) == min(30, 2 * at_once)
    opened.close()


def test_a_page_needs_pictures(
    pool: tuple[Path, np.ndarray, np.ndarray, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, *_ = pool
    (folder / "others").mkdir()
    Image.new("RGB", (20, 20)).save(folder / "others" / "x.png")
    words = ["curate", "suggest", str(folder / "tiles"), "--labeled", str(folder / "labeled"), "--output"]
    target, page = folder / "list.csv", folder / "page.html"
    for more, named in (
        (["--html", str(page)], "--images"),
        (["--html", str(page), "--images", str(folder / "none")], "none"),
        (["--html", str(page), "--images", str(folder / "others")], "'t0'"),
        (["--images", str(folder / "others")], "--html"),
        (["--html", str(target)], "html"),
    ):
        with pytest.raises(SystemExit) as caught:
            main([*words, str(target), *more])
        assert caught.value.code == 2
        assert named in capsys.readouterr().err
        assert not target.exists() and not page.exists()
