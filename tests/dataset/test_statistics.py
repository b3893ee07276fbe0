import io
import math
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import multilabel_confusion_matrix
from sklearn.preprocessing import MultiLabelBinarizer

from mlrsnet_hf.dataset.statistics import (
    LabelStatistics,
    PixelStatistics,
    label_statistics,
    pixel_statistics,
    pixel_statistics_of_records,
)
from mlrsnet_hf.errors import ImageError
from mlrsnet_hf.release import Entry, Record, open_labels, open_release
from mlrsnet_hf.taxonomy import LABELS, SCENES, find_label, find_scene


def entry(scene: str, *labels: str) -> Entry:
    ids = tuple(sorted(find_label(name).id for name in labels))
    return Entry("x_1", "x_1.jpg", find_scene(scene), ids, repaired=False)


def test_counts_worked_by_hand() -> None:
    counted = label_statistics(
        [entry("beach", "sea", "sand"), entry("beach", "sea"), entry("lake", "water", "sand"), entry("island")]
    )
    sea, sand, water = (find_label(name).id for name in ("sea", "sand", "water"))
    assert {SCENES[i].name: int(n) for i, n in enumerate(counted.images_per_scene) if n} == {
        "beach": 2,
        "lake": 1,
        "island": 1,
    }
    assert {i: int(n) for i, n in enumerate(counted.images_per_label) if n} == {sea: 2, sand: 2, water: 1}
    assert counted.images_per_label_count[:4].tolist() == [1, 1, 2, 0]
    assert [int(counted.cooccurrence[a, b]) for a, b in ((sea, sand), (sand, sea), (sand, water), (sea, water))] == [
        1,
        1,
        1,
        0,
    ]
    assert counted.images == 4
    assert counted.labels_per_image == 5 / 4


def test_no_images() -> None:
    counted = label_statistics([])
    assert counted.images == 0
    assert math.isnan(counted.labels_per_image)


@given(st.lists(st.tuples(st.sampled_from(SCENES), st.sets(st.integers(0, 59), max_size=13)), max_size=30))
def test_counts_equal_a_matrix_product(drawn: list) -> None:
    counted = label_statistics([Entry("x", "x.jpg", scene, tuple(sorted(ids)), False) for scene, ids in drawn])
    matrix = MultiLabelBinarizer(classes=range(60)).fit_transform([ids for _, ids in drawn] or [set()])
    np.testing.assert_array_equal(counted.cooccurrence, matrix.T @ matrix)
    np.testing.assert_array_equal(counted.images_per_label, matrix.sum(0))
    lengths = [len(ids) for _, ids in drawn]
    np.testing.assert_array_equal(counted.images_per_label_count, np.bincount(lengths, minlength=61)[:61])
    scenes = [scene.id for scene, _ in drawn]
    np.testing.assert_array_equal(counted.images_per_scene, np.bincount(scenes, minlength=46)[:46])


def statistics_of(archive: Path, folder: Path) -> LabelStatistics:
    with tarfile.open(archive) as tar:
        tar.extractall(folder)
    return label_statistics(open_labels(folder))


@pytest.mark.parametrize("year", ["2020", "2021"])
def test_table_1_comes_out_but_for_one_image_with_grass(shared: Path, tmp_path: Path, year: str) -> None:
    counted = statistics_of(shared / f"data/mlrsnet_labels_{year}/labels.tar.xz", tmp_path)
    differences = {
        label.name: (int(n), label.images)
        for label, n in zip(LABELS, counted.images_per_label, strict=True)
        if n != label.images
    }
    assert differences == {"grass": (49_390, 49_391)}
    assert counted.images_per_scene.tolist() == [scene.images for scene in SCENES]
    assert counted.images_per_label_count.sum() == counted.images == 109_161
    assert counted.images_per_label_count[0] == 10
    assert np.flatnonzero(counted.images_per_label_count).max() == 13


def test_real_counts_equal_those_of_scikit_learn(shared: Path) -> None:
    entries = open_release(shared / "data/ucm_release", label_version="as-published").entries
    counted = label_statistics(entries)
    matrix = MultiLabelBinarizer(classes=range(60)).fit_transform([e.labels for e in entries])
    np.testing.assert_array_equal(counted.images_per_label, multilabel_confusion_matrix(matrix, matrix)[:, 1, 1])
    np.testing.assert_array_equal(counted.cooccurrence, matrix.T @ matrix)


def assert_moments(statistics: PixelStatistics, pixels: Sequence[np.ndarray]) -> None:
    """Compare with NumPy's moments of all pixels, given as arrays of shape (n, 3)."""
    stacked = np.concatenate(pixels).astype(float)
    np.testing.assert_allclose(statistics.mean, stacked.mean(0), rtol=1e-12)
    np.testing.assert_allclose(statistics.std, stacked.std(0), rtol=1e-9)


def test_pixels_worked_by_hand() -> None:
    """Two black pixels and two with red 255, green 100: red 127.5 ± 127.5, green 50 ± 50, blue 0 ± 0."""
    images = [Image.new("RGB", (2, 1)), Image.new("RGB", (1, 2), (255, 100, 0))]
    statistics = pixel_statistics(images)
    assert statistics.mean.tolist() == [127.5, 50, 0]
    assert statistics.std.tolist() == [127.5, 50, 0]
    assert statistics.histogram.sum(1).tolist() == [4, 4, 4]


def test_images_of_any_size_and_mode() -> None:
    dice = np.random.default_rng(0)
    color = [dice.integers(0, 256, (h, w, 3), np.uint8) for h, w in ((7, 5), (256, 256), (1, 30))]
    gray = dice.integers(0, 256, (9, 4), np.uint8)
    statistics = pixel_statistics([*map(Image.fromarray, color), Image.fromarray(gray)])
    assert_moments(statistics, [*(pixels.reshape(-1, 3) for pixels in color), np.repeat(gray.reshape(-1, 1), 3, 1)])


def test_no_pixels() -> None:
    assert np.isnan(pixel_statistics([]).mean).all()
    assert np.isnan(pixel_statistics([]).std).all()


def test_large_sums_are_exact() -> None:
    """As many pixels as MLRSNet has (7.2e9), nearly all alike: floating-point sums of squares would be off."""
    histogram = np.zeros((3, 256), np.int64)
    histogram[:, 255] = 109_161 * 256 * 256
    histogram[:, 254] = 1
    n = 109_161 * 256 * 256 + 1
    assert PixelStatistics(histogram).std[0] == pytest.approx(math.sqrt(n - 1) / n, rel=1e-12)


def record(name: str, image: bytes) -> Record:
    return Record(id=name, file_name=f"{name}.jpg", scene=SCENES[0], labels=(), image=image)


def test_records_in_any_number_of_processes(shared: Path) -> None:
    release = open_release(shared / "data/ucm_release")
    some = release.entries[::12]
    pixels = [np.asarray(Image.open(io.BytesIO(r.image)).convert("RGB")).reshape(-1, 3) for r in release.records(some)]
    alone = pixel_statistics_of_records(release.records(some))
    assert_moments(alone, pixels)
    np.testing.assert_array_equal(
        pixel_statistics_of_records(release.records(some), processes=2).histogram, alone.histogram
    )


@pytest.mark.parametrize("processes", [1, 2])
def test_an_image_that_cannot_be_decoded_is_named(processes: int) -> None:
    with pytest.raises(ImageError, match=r"x_1\.jpg: .* mlrsnet audit"):
        pixel_statistics_of_records([record("x_1", b"\xff\xd8\xff\xd9")], processes)
