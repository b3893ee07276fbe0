"""`mlrsnet curate diversity`: sets of known spread, scenes by several names, and what is refused."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import cosine

from mlrsnet_hf.cli import main
from mlrsnet_hf.curation.diversity.measure import set_names
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingRows, write_json, write_rows
from mlrsnet_hf.retrieval.embeddings.info import INFO_FILE, EmbeddingInfo
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable

pytest.importorskip("matplotlib")


def write_set(
    folder: Path,
    spread: float,
    scenes: tuple[str, ...],
    seed: int,
    images: int = 40,
    names: Sequence[str] | None = None,
    **changes: object,
) -> Path:
    """Write images of each scene around a center of its own, which is that of the scene's place in all sets."""
    draw = np.random.default_rng(seed)
    centers = np.random.default_rng(99).standard_normal((max(len(scenes), 3), 12))[: len(scenes)]
    ids = np.repeat(np.arange(len(scenes)), images)
    vectors = (centers[ids] + spread * draw.standard_normal((len(ids), 12))).astype(np.float32)
    values: dict[str, Any] = {
        "model": "net",
        "architecture": "resnet18",
        "model_fingerprint": "f" * 64,
        "layer": "pre_logits",
        "dimension": 12,
        "dtype": "float32",
        "normalized": False,
        "dataset_fingerprint": "0" * 64,
        "rows": len(ids),
        "scene_names": scenes,
    }
    info = EmbeddingInfo(**values | changes)
    (folder / "data").mkdir(parents=True)
    write_json(folder / INFO_FILE, info.to_json())
    rows = EmbeddingRows(
        ids=[*(names or map(str, range(len(ids))))], embeddings=vectors, scenes=ids if scenes else None, labels=None
    )
    write_rows(rows, info, folder / "data" / "0.parquet")
    return folder


@pytest.fixture
def sets(tmp_path: Path) -> list[str]:
    """Write three sets, the first the most diverse; their scenes are spelled differently."""
    scenes = [
        ("tennis_court", "Beach", "pond"),
        ("Tennis Court", "beach", "only here"),
        ("TENNIS-COURT", "beach", "lake"),
    ]
    spreads = {"wide": 1.5, "narrow": 0.9, "middle": 1.1}
    return [
        str(write_set(tmp_path / name, spread, scenes[number], number))
        for number, (name, spread) in enumerate(spreads.items())
    ]


def rows_of(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    with (folder / "diversity.csv").open(newline="") as file:
        return {(row["category"], row["set"]): row for row in csv.DictReader(file)}


def test_sets_of_known_spread(sets: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["curate", "diversity", *sets, "--output-dir", str(tmp_path / "found"), "--trials", "200"])
    assert str(tmp_path / "found") in capsys.readouterr().out
    found = rows_of(tmp_path / "found")
    assert {category for category, _ in found} == {"tennis_court", "Beach", "average"}
    for category in ("tennis_court", "Beach", "average"):
        values = {name: float(found[category, name]["diversity"]) for name in ("wide", "narrow", "middle")}
        assert sum(values.values()) == pytest.approx(2, abs=1e-3)
        assert values["wide"] > values["middle"] > values["narrow"]
        for name in values:
            row = found[category, name]
            assert float(row["low"]) <= values[name] <= float(row["high"])
            assert int(row["images"]) == (80 if category == "average" else 40)
    # Brute force on the beach, whose images are the second 40: two images drawn at a time, four times of each set.
    draw, picked = np.random.default_rng(7), [0, 0, 0]
    beaches = [EmbeddingTable.load(folder).embeddings[40:80] for folder in sets]
    for _ in range(3000):
        best = [max(1 - cosine(*of_set[draw.choice(40, 2, replace=False)]) for _ in range(4)) for of_set in beaches]
        picked[int(np.argmax(best))] += 1
    for name, count in zip(("wide", "narrow", "middle"), picked, strict=True):
        assert float(found["Beach", name]["diversity"]) == pytest.approx(1 - count / 3000, abs=0.1)
    mean = np.mean([float(found[category, "middle"]["diversity"]) for category in ("tennis_court", "Beach")])
    assert float(found["average", "middle"]["diversity"]) == pytest.approx(mean, abs=1e-4)
    with Image.open(tmp_path / "found" / "diversity.png") as picture:
        assert picture.width > 600


def test_equal_sets_and_a_seed(tmp_path: Path) -> None:
    sets = [str(write_set(tmp_path / str(number), 0.7, ("beach",), number, images=300)) for number in range(4)]
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        words = ["--output-dir", str(tmp_path / name), "--trials", "800", "--seed", seed]
        main(["curate", "diversity", *sets, *words])
    assert rows_of(tmp_path / "a") == rows_of(tmp_path / "b") != rows_of(tmp_path / "c")
    assert all(float(row["diversity"]) == pytest.approx(0.75, abs=0.1) for row in rows_of(tmp_path / "a").values())


def test_scenes_that_stand_for_others(sets: list[str], tmp_path: Path) -> None:
    (tmp_path / "merges.yaml").write_text("scenes:\n  lake: pond\n  only here: pond\n")
    words = ["--merges", str(tmp_path / "merges.yaml"), "--output-dir", str(tmp_path / "found")]
    main(["curate", "diversity", *sets, *words])
    assert {category for category, _ in rows_of(tmp_path / "found")} == {"tennis_court", "Beach", "pond", "average"}


def test_sets_are_told_from_each_other() -> None:
    assert set_names([Path("/a/x"), Path("/a/y")]) == ["x", "y"]
    assert set_names([Path("/a/x/e"), Path("/b/x/e"), Path("/b/y/e")]) == ["a/x/e", "b/x/e", "b/y/e"]


def test_faults(sets: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = write_set(tmp_path / "other", 1, ("beach",), 5, model_fingerprint="e" * 64)
    elsewhere = write_set(tmp_path / "elsewhere", 1, ("desert",), 6)
    single = write_set(tmp_path / "single", 1, ("beach",), 7, images=1)
    nameless = write_set(tmp_path / "nameless", 1, (), 8)
    (tmp_path / "there").mkdir()
    for words, named in (
        (sets[:1], "two or more"),
        ([sets[0], sets[0]], "twice"),
        ([sets[0], str(other)], "embedded differently"),
        ([sets[0], str(elsewhere)], "--merges"),
        ([sets[0], str(single)], "--merges"),
        ([sets[0], str(nameless)], "nameless"),
        ([sets[0], str(tmp_path / "none")], "none"),
        ([*sets, "--output-dir", str(tmp_path / "there")], "there"),
        ([*sets, "--merges", str(tmp_path / "none.yaml")], "none.yaml"),
    ):
        with pytest.raises(SystemExit) as caught:
            main(["curate", "diversity", *words])
        assert caught.value.code == 2
        assert named in capsys.readouterr().err
