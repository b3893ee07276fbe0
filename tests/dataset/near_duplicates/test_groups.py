import io
import random
import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlrsnet_hf.cli import main
from mlrsnet_hf.dataset.near_duplicates import groups as near_duplicates
from mlrsnet_hf.dataset.near_duplicates.alignment import same_ground
from mlrsnet_hf.dataset.near_duplicates.groups import (
    near_duplicate_groups,
    read_groups,
    release_groups,
    report,
    write_groups,
)
from mlrsnet_hf.dataset.near_duplicates.perceptual_hash import identity_placement, placements, responses, thumbnail
from mlrsnet_hf.errors import ConfigurationError, ImageError
from mlrsnet_hf.release import open_release
from mlrsnet_hf.synthetic import synthetic_records

MakeRelease = Callable[..., Path]
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "bench_near_duplicates.py"
disguised = runpy.run_path(str(BENCHMARK))["disguised"]


def jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def with_copies(originals: dict[str, bytes], **how: float) -> dict[str, bytes]:
    draw = random.Random(11)
    return {**originals, **{f"{name}+": disguised(data, draw, **how) for name, data in originals.items()}}


def recall_and_strangers(originals: dict[str, bytes], **how: float) -> tuple[float, set[frozenset[str]]]:
    """Return the share of copies grouped with their original, and the sets of originals that share a group."""
    groups = near_duplicate_groups(with_copies(originals, **how).items())
    members: dict[int, set[str]] = {}
    for name, group in groups.items():
        members.setdefault(group, set()).add(name.removesuffix("+"))
    found = sum(groups[name] == groups[f"{name}+"] for name in originals)
    return found / len(originals), {frozenset(names) for names in members.values() if len(names) > 1}


@pytest.fixture(scope="module")
def synthetic() -> dict[str, bytes]:
    return {record.id: record.image for record in synthetic_records(3, seed=4)}


@pytest.mark.slow
def test_disguised_real_images_are_found_and_others_are_not_merged(shared: Path) -> None:
    folder = shared / "data" / "ucm_release" / "Images"
    originals = {path.stem: path.read_bytes() for path in sorted(folder.glob("*/*.jpg"))[::3]}
    assert len(originals) > 350
    recall, strangers = recall_and_strangers(originals, crop=0.1)
    assert recall >= 0.95
    # Of these no two show the same ground.
    assert strangers == set()


def test_the_one_overlap_among_the_real_images_is_found(shared: Path) -> None:
    folder = shared / "data" / "ucm_release" / "Images" / "sparse_residential_area"
    groups = near_duplicate_groups((path.stem, path.read_bytes()) for path in sorted(folder.glob("*.jpg")))
    # Both show the same house; the second is shifted by about 10 pixels.
    assert groups["sparse_residential_area_00050"] == groups["sparse_residential_area_00053"]
    assert len(set(groups.values())) == len(groups) - 1


def test_disguised_synthetic_images_are_found(synthetic: dict[str, bytes]) -> None:
    recall, strangers = recall_and_strangers(synthetic, crop=0.08)
    assert recall >= 0.95
    assert strangers == set()


def test_small_rotations_are_found(synthetic: dict[str, bytes]) -> None:
    recall, strangers = recall_and_strangers(dict(list(synthetic.items())[::3]), crop=0.03, degrees=4)
    assert recall >= 0.85
    assert strangers == set()


def test_flat_images_are_not_taken_for_each_other() -> None:
    draw = np.random.default_rng(0)
    y, x = np.mgrid[:256, :256] / 256
    images = {}
    for number in range(40):
        a, b, level = draw.uniform(-30, 30), draw.uniform(-30, 30), draw.uniform(60, 190)
        sea = level + a * x + b * y + draw.normal(0, 2, (256, 256))
        images[str(number)] = jpeg(np.repeat(sea[:, :, None], 3, 2))
    assert len(set(near_duplicate_groups(images.items()).values())) == len(images)


def test_striped_fields_are_not_taken_for_each_other() -> None:
    """Stripes of any period align with stripes of another; what lies on them tells fields apart."""
    draw = np.random.default_rng(1)
    x = np.mgrid[:256, :256][1]
    images = {}
    for number in range(30):
        stripes = 120 + 40 * np.sin(x / draw.uniform(4, 8) + draw.uniform(0, 6))
        spots = np.kron(draw.normal(0, 12, (32, 32)), np.ones((8, 8)))
        images[str(number)] = jpeg(np.repeat(np.clip(stripes + spots, 0, 255)[:, :, None], 3, 2))
    assert len(set(near_duplicate_groups(images.items()).values())) == len(images)


def test_groups_do_not_depend_on_threads_and_number_by_first_images(synthetic: dict[str, bytes]) -> None:
    some = with_copies(dict(list(synthetic.items())[:20]))
    groups = near_duplicate_groups(some.items(), threads=1)
    assert groups == near_duplicate_groups(some.items(), threads=3)
    assert list(groups) == list(some)
    assert list(groups.values())[:20] == list(range(20))


def test_files_of_the_same_bytes_are_one_group_though_they_are_flat() -> None:
    """Fog or open water shows nothing to align; two files of one gray that differ in a byte are told apart."""
    fog, water = (jpeg(np.full((64, 64, 3), gray, np.uint8)) for gray in (200, 90))
    images = [("a", fog), ("b", water), ("c", fog), ("d", water + b"."), ("e", water), ("f", fog)]
    assert near_duplicate_groups(images) == {"a": 0, "b": 1, "c": 0, "d": 2, "e": 1, "f": 0}


def test_few_images(synthetic: dict[str, bytes]) -> None:
    (name, data), *_ = synthetic.items()
    assert near_duplicate_groups([(name, data)]) == {name: 0}
    assert near_duplicate_groups([("a", data), ("b", data)]) == {"a": 0, "b": 0}
    with pytest.raises(ConfigurationError, match="no images"):
        near_duplicate_groups([])
    with pytest.raises(ConfigurationError, match="image id 'a' occurs twice"):
        near_duplicate_groups([("a", data), ("a", data)])
    with pytest.raises(ImageError, match="bad: cannot be decoded"):
        near_duplicate_groups([("bad", data[:100])])


def test_nearest_hashes_equal_brute_force() -> None:
    draw = np.random.default_rng(2)
    vectors = draw.normal(size=(640, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -1)
    expected = np.argsort(-similarity, axis=1)[:, : near_duplicates.NEIGHBORS]
    found = np.concatenate([near_duplicates._nearest(vectors, range(i, i + 64), 640) for i in range(0, 640, 64)])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_hash_is_the_same_under_the_symmetries(synthetic: dict[str, bytes], turns: int, mirrored: bool) -> None:
    thumbnails = np.stack([thumbnail(data) for data in list(synthetic.values())[:4]])
    turned = np.rot90(thumbnails, turns, axes=(1, 2))
    turned = turned[:, :, ::-1] if mirrored else turned
    np.testing.assert_allclose(responses(turned).max(1), responses(thumbnails).max(1), atol=1e-4)


def test_alignment_recovers_a_known_shift() -> None:
    draw = np.random.default_rng(3)
    ground = np.kron(draw.uniform(0, 255, (40, 40)), np.ones((8, 8)))
    whole = np.stack([thumbnail(jpeg(ground[y : y + 256, x : x + 256])) for y, x in ((20, 20), (28, 8))])
    maps = placements()[[identity_placement()]]
    # The second lies 8 pixels lower and 12 further left: of 128 per half side, (0.094, -0.0625).
    assert same_ground(whole[:1], whole[1:], maps)[0] > 0.95
    assert same_ground(whole[:1], whole[1:, ::-1], maps)[0] == 0


def test_report_counts_by_hand() -> None:
    groups = {"a": 0, "b": 0, "c": 1, "d": 2, "e": 2, "f": 2, "g": 3}
    found = report(groups, train=["a", "d"], test=["b", "c", "e", "g"])
    # Groups {a, b} and {d, e, f}; of the test images b leaks from a, and e from d.
    assert (found.images, found.groups, found.grouped_images, found.largest_group) == (7, 2, 5, 3)
    assert (found.test_images, found.leaking_test_images) == (4, 2)
    assert "2 of 4 test images (50.0%) have a near-duplicate in train" in str(found)


def test_groups_of_a_release_are_found_once(
    make_release: MakeRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_release({"beach": 3, "airport": 2})
    groups = release_groups(open_release(root), tmp_path / "cache")
    assert list(groups) == [entry.id for entry in open_release(root).entries]
    with monkeypatch.context() as patch:
        patch.setattr("mlrsnet_hf.dataset.near_duplicates.groups.near_duplicate_groups", None)
        assert release_groups(open_release(root), tmp_path / "cache") == groups
    (path,) = (tmp_path / "cache").glob("mlrsnet/*.csv")
    (root / "Images/beach/beach_00001.jpg").write_bytes(jpeg(np.zeros((16, 16, 3))))
    release_groups(open_release(root), tmp_path / "cache")
    assert len(list((tmp_path / "cache").glob("mlrsnet/*.csv"))) == 2
    path.write_text("id,group\nx,y\n")
    with pytest.raises(ConfigurationError, match="not a file of groups"):
        read_groups(path)


def test_group_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_groups({"a": 0}, tmp_path / "file" / "groups.csv")


def test_command_reports_and_writes_groups(
    make_release: MakeRelease, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_release({"beach": 12})
    main(["near-duplicates", str(root), "--output", str(tmp_path / "groups.csv")])
    assert capsys.readouterr().out.startswith("4 of 12 images are in 2 groups of near-duplicates")
    assert list(read_groups(tmp_path / "groups.csv")) == [f"beach_{i:05d}" for i in range(1, 13)]


def test_labels_make_no_new_search(make_release: MakeRelease, tmp_path: Path) -> None:
    root = make_release({"beach": 3})
    before = open_release(root)
    label_file = root / "Labels/beach.csv"
    label_file.write_text(label_file.read_text().replace("beach_00001.jpg,0", "beach_00001.jpg,1"))
    after = open_release(root)
    assert after.fingerprint() != before.fingerprint()
    assert after.images_fingerprint() == before.images_fingerprint()


def test_a_cache_that_cannot_be_written_is_named(make_release: MakeRelease, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"file/cache"):
        release_groups(open_release(make_release({"beach": 2})), tmp_path / "file" / "cache")
