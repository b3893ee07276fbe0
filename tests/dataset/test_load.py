import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Image
from PIL import Image as PillowImage

from mlrsnet_hf.dataset import FEATURES, load_release
from mlrsnet_hf.errors import ImageError, UnknownNameError
from mlrsnet_hf.taxonomy import GROUP_NAMES, LABEL_NAMES, SCENE_NAMES

MakeRelease = Callable[..., Path]


def test_features_are_final() -> None:
    assert list(FEATURES) == ["id", "image", "group", "scene", "labels", "repaired"]
    assert FEATURES["group"] == ClassLabel(names=list(GROUP_NAMES))
    assert FEATURES["scene"] == ClassLabel(names=list(SCENE_NAMES))
    assert FEATURES["labels"].feature == ClassLabel(names=list(LABEL_NAMES))


def test_rows_and_splits(make_release: MakeRelease, tmp_path: Path) -> None:
    root = make_release({"harbor&port": 10, "beach": 10}, labels=["habor", "ships"])
    dataset = load_release(root, cache_dir=tmp_path / "cache", labels="as-published")
    assert {name: len(split) for name, split in dataset.items()} == {"train": 4, "validation": 2, "test": 14}
    assert [str(split.split) for split in dataset.values()] == ["train", "validation", "test"]
    ids = [i for split in dataset.values() for i in split["id"]]
    assert sorted(ids) == sorted(path.stem for path in root.glob("Images/*/*.jpg"))
    for split in dataset.values():
        assert split.features == FEATURES
        for row in split:
            scene = SCENE_NAMES[row["scene"]]
            assert row["id"].startswith({"harbor_port": "harbor&port", "beach": "beach"}[scene])
            assert [LABEL_NAMES[i] for i in row["labels"]] == ["harbor", "ships"]
            assert GROUP_NAMES[row["group"]].startswith("man-made" if scene == "harbor_port" else "natural")
            assert row["repaired"] is False


def test_image_bytes_are_untouched(make_release: MakeRelease, tmp_path: Path) -> None:
    root = make_release({"beach": 5})
    test = load_release(root, cache_dir=tmp_path / "cache")["test"]
    stored = test.cast_column("image", Image(decode=False))[0]["image"]
    original = root / "Images/beach" / stored["path"]
    assert stored["bytes"] == original.read_bytes()
    pixels = np.asarray(PillowImage.open(io.BytesIO(original.read_bytes())))
    np.testing.assert_array_equal(np.asarray(test[0]["image"]), pixels)


def test_second_load_is_served_from_the_cache(make_release: MakeRelease, tmp_path: Path) -> None:
    root = make_release({"beach": 10})
    cache = tmp_path / "cache"
    first = load_release(root, cache_dir=cache)
    files = {path: path.stat().st_mtime_ns for path in cache.rglob("*.arrow")}
    second = load_release(root, "ratio40", seed=3, cache_dir=cache)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.arrow")} == files
    assert len(second["train"]) == 4
    assert first["test"].cache_files == second["test"].cache_files


def test_changed_labels_are_seen(make_release: MakeRelease, tmp_path: Path) -> None:
    root = make_release({"beach": 5}, labels=["sea"])
    before = load_release(root, cache_dir=tmp_path / "cache", labels="as-published")
    label_file = root / "Labels/beach.csv"
    label_file.write_text(label_file.read_text().replace(".jpg,0", ".jpg,1"))
    after = load_release(root, cache_dir=tmp_path / "cache", labels="as-published")
    names = [[LABEL_NAMES[i] for i in part["test"][0]["labels"]] for part in (before, after)]
    assert names == [["sea"], ["airplane", "sea"]]


def test_bad_input_leaves_nothing_in_the_cache(make_release: MakeRelease, tmp_path: Path) -> None:
    root = make_release({"beach": 5})
    (root / "Images/beach/beach_00004.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ImageError, match=r"beach_00004.jpg: truncated JPEG"):
        load_release(root, cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.arrow"))
    with pytest.raises(UnknownNameError, match="protocol 'ratio2'"):
        load_release(root, "ratio2")
