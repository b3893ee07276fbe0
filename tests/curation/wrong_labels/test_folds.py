"""Folds: each image once, labels shared, near-duplicates together; and the whole road from folds to wrong labels."""

import csv
import io
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mlrsnet_hf.cli import main
from mlrsnet_hf.curation.wrong_labels.folds import assign_folds
from mlrsnet_hf.errors import ConfigurationError


def test_traits_are_shared_and_groups_stay() -> None:
    generator = np.random.default_rng(0)
    traits = generator.random((600, 8)) < np.array([0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.4, 0.01])
    folds = assign_folds(traits, 5)
    assert np.bincount(folds).tolist() == pytest.approx([120] * 5, abs=6)
    for trait in traits.T:
        shares = np.bincount(folds[trait], minlength=5)
        assert shares.max() - shares.min() <= max(2, 0.15 * shares.mean())
    groups = generator.integers(0, 150, 600)
    together = assign_folds(traits, 5, groups, seed=1)
    assert all(len(set(together[groups == group])) == 1 for group in groups)
    assert np.bincount(together).tolist() == pytest.approx([120] * 5, abs=15)
    assert assign_folds(traits, 5, groups, seed=1).tolist() == together.tolist()
    assert assign_folds(traits, 5, groups, seed=2).tolist() != together.tolist()
    # No fold is empty, however few images there are.
    assert sorted(assign_folds(np.ones((3, 1), bool), 3)) == [0, 1, 2]
    with pytest.raises(ConfigurationError, match="2 images, or groups"):
        assign_folds(traits[:4], 3, np.array([0, 0, 1, 1]))


def colored(level: int, column: int, size: int = 32) -> bytes:
    pixels = np.full((size, size, 3), 30, np.uint8)
    pixels[..., column] = level
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def colors(tmp_path: Path) -> Path:
    """Make images that are red, green or blue and labeled so; the first two of every color are the same file."""
    levels = [100 + 10 * max(number // 3, 1) for number in range(36)]
    rows = {
        "id": [f"={number}" if number == 0 else f"image {number}" for number in range(36)],
        "image": [{"bytes": colored(level, number % 3), "path": None} for number, level in enumerate(levels)],
        "labels": [[number % 3] for number in range(36)],
    }
    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "image": datasets.Image(),
            "labels": datasets.Sequence(datasets.ClassLabel(names=["red", "green", "blue"])),
        }
    )
    rows["labels"][35] = [0]  # which is blue
    dataset = datasets.Dataset.from_dict(rows, features=features)
    parts = {"train": dataset.select(range(20)), "test": dataset.select(range(20, 36))}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "set"))
    return tmp_path / "set"


def fold_lists(folder: Path) -> list[dict[str, str]]:
    made = []
    for path in sorted(folder.glob("fold_*.csv")):
        with path.open(newline="") as file:
            made.append({row["id"]: row["split"] for row in csv.DictReader(file)})
    return made


def test_lists_of_folds(colors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "folds"
    words = ["curate", "folds", "--dataset", str(colors), "--folds", "3", "--output-dir", str(folder)]
    main(words)
    told = capsys.readouterr().out
    assert "36 images in 3 folds of 12" in told and str(folder) in told
    lists = fold_lists(folder)
    assert len(lists) == 3 and "=0" in lists[0]
    for name in lists[0]:
        assert sorted(one[name] for one in lists) == ["test", "train", "train"]
    for one in lists:
        tested = [int(name.strip("image =")) for name, split in one.items() if split == "test"]
        assert np.bincount([number % 3 for number in tested]).tolist() == pytest.approx([4] * 3, abs=1)
        assert all((number in tested) == (number + 3 in tested) for number in range(3))  # the same file
    with (folder / "near_duplicates.csv").open(newline="") as file:
        groups = {row["id"]: row["group"] for row in csv.DictReader(file)}
    assert groups["=0"] == groups["image 3"] != groups["image 1"]
    main([*words[:-1], str(tmp_path / "again"), "--near-duplicates", str(folder / "near_duplicates.csv")])
    assert fold_lists(tmp_path / "again") == lists
    for more, named in ((["--output-dir", str(folder)], "exists"), (["--folds", "40"], "40 folds")):
        with pytest.raises(SystemExit) as caught:
            main([*words[:-1], str(tmp_path / "new"), *more])
        assert caught.value.code == 2
        assert named in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_from_folds_to_wrong_labels(colors: Path, tmp_path: Path) -> None:
    pytest.importorskip("cleanlab")
    data = ["--dataset", str(colors)]
    main(["curate", "folds", *data, "--folds", "2", "--near-duplicates", "none", "--output-dir", str(tmp_path / "f")])
    for fold in ("1", "2"):
        listed = [*data, "--split-file", str(tmp_path / "f" / f"fold_{fold}.csv")]
        network = ["--model", "resnet18", "--weights", "random", "--image-size", "32", "--batch-size", "8"]
        run, output = str(tmp_path / f"run{fold}"), str(tmp_path / f"evaluation_{fold}")
        main(["train", *listed, *network, "--epochs", "12", "--seed", "1", "--output-dir", run])
        main(["evaluate", run, *listed, "--no-page", "--draws", "2", "--output-dir", output])
    sources = [str(tmp_path / f"evaluation_{fold}") for fold in ("1", "2")]
    main(["curate", "find-errors", *sources, "--least", "1e-12", "--output", str(tmp_path / "wrong.parquet")])
    table = pq.read_table(tmp_path / "wrong.parquet").to_pydict()
    assert sorted(set(table["image"])) == sorted(["=0", *[f"image {number}" for number in range(1, 36)]])
    assert len(table["image"]) == 108
    # The mistake stands before most that is right.
    place = list(zip(table["image"], table["label"], strict=True)).index(("image 35", "red"))
    assert place < 20
