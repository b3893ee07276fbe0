"""load_dataset("mlrsnet") as its users call it, row by row against the records of the release."""

import os
import pickle
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from datasets import ClassLabel, Dataset, Image, ReadInstruction, get_dataset_config_names, load_dataset
from datasets import load_dataset_builder as load_builder
from PIL import Image as PillowImage
from torch.utils.data import DataLoader

from mlrsnet_hf import FEATURES, open_release
from mlrsnet_hf.dataset import PROTOCOLS, split_ids
from mlrsnet_hf.dataset.repository.parts import repository_order
from mlrsnet_hf.dataset.source import ReleaseSource
from mlrsnet_hf.dataset.splits.protocols import ids_by_scene
from mlrsnet_hf.errors import ConfigurationError, ImageError, MLRSNetError, ReleaseError, UnknownNameError
from mlrsnet_hf.taxonomy import GROUP_NAMES, LABEL_NAMES, SCENE_NAMES

MakeRelease = Callable[..., Path]
Row = tuple[str, bytes, str, int, int, list[int], bool]


@pytest.fixture
def cache(tmp_path: Path) -> str:
    return str(tmp_path / "cache")


def stored_rows(rows: Iterable[dict[str, Any]]) -> list[Row]:
    """Return rows whose images are not decoded, in comparable form."""
    return [
        (
            row["id"],
            row["image"]["bytes"],
            row["image"]["path"],
            row["group"],
            row["scene"],
            row["labels"],
            row["repaired"],
        )
        for row in rows
    ]


def undecoded(dataset: Dataset) -> list[Row]:
    return stored_rows(dataset.cast_column("image", Image(decode=False)))


def expected_rows(root: Path, labels: str = "verified") -> dict[str, Row]:
    """Return the rows by id, in the order of a repository."""
    rows = {
        record.id: (
            record.id,
            next(root.glob(f"Images/*/{record.id}.jpg")).read_bytes(),
            f"{record.id}.jpg",
            record.scene.group.id,
            record.scene.id,
            list(record.labels),
            record.repaired,
        )
        for record in open_release(root, labels).records()
    }
    order = repository_order(ids_by_scene(open_release(root).entries))
    return {image_id: rows[image_id] for ids in order.values() for image_id in ids}


def cache_state(cache: str) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in Path(cache).rglob("*.arrow")}


def test_features_are_final() -> None:
    assert list(FEATURES) == ["id", "image", "group", "scene", "labels", "repaired"]
    assert FEATURES["group"] == ClassLabel(names=list(GROUP_NAMES))
    assert FEATURES["scene"] == ClassLabel(names=list(SCENE_NAMES))
    assert FEATURES["labels"].feature == ClassLabel(names=list(LABEL_NAMES))


def test_configurations_are_listed() -> None:
    assert get_dataset_config_names("mlrsnet") == [*PROTOCOLS, "demo", "custom"]


@pytest.mark.usefixtures("known_as_mlrsnet")
@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("protocol", [None, "ratio40", "retrieval15", "all"])
def test_every_row_of_every_split(make_release: MakeRelease, cache: str, protocol: str | None, seed: int) -> None:
    root = make_release({"stadium": 12, "beach": 11, "harbor&port": 10}, labels=["habor", "buildings", "water"])
    loaded = load_dataset("mlrsnet", protocol, data_dir=str(root), seed=seed, cache_dir=cache)
    expected = expected_rows(root)
    ids = {scene: [i for i in expected if i.startswith(scene)] for scene in ("beach", "harbor&port", "stadium")}
    splits = split_ids(ids, protocol or "ratio20", seed)
    assert list(loaded) == list(splits)
    for name, split in loaded.items():
        assert undecoded(split) == [expected[image_id] for image_id in splits[name]]
        assert split.features == FEATURES
        assert split.split == name
        assert split.info.splits[name].num_examples == len(split)
    stadiums = [row for row in expected.values() if row[0].startswith("stadium")]
    assert all(row[-1] and LABEL_NAMES.index("stadium") in row[-2] for row in stadiums)


def test_splits_of_ones_own(make_release: MakeRelease, cache: str, tmp_path: Path) -> None:
    options = {"data_dir": str(make_release({"beach": 6})), "cache_dir": cache}
    split_file = tmp_path / "splits.csv"
    split_file.write_text("id,split\nbeach_00003,train\nbeach_00001,train\nbeach_00002,held_out\n")
    loaded = load_dataset("mlrsnet", split_file=str(split_file), **options)
    ids = {name: sorted(split["id"]) for name, split in loaded.items()}
    assert ids == {"train": ["beach_00001", "beach_00003"], "held_out": ["beach_00002"]}
    split_file.write_text("id,split\nbeach_00006,train\n")
    loaded = load_dataset("mlrsnet", "custom", split_file=str(split_file), streaming=True, **options)
    assert [row["id"] for row in loaded["train"]] == ["beach_00006"]
    split_file.write_text("id,split\nbeach_00007,train\n")
    with pytest.raises(ConfigurationError, match="'beach_00007' does not exist"):
        load_dataset("mlrsnet", split_file=str(split_file), **options)


def test_near_duplicates_never_part(make_release: MakeRelease, cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_release({"forest": 30})
    for number in range(30):
        pixels = np.random.default_rng(number // 3).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        turned = np.rot90(np.kron(pixels, np.ones((4, 4, 1), np.uint8)), number % 3)
        PillowImage.fromarray(turned).save(root / "Images" / "forest" / f"forest_{number + 1:05d}.jpg", quality=90)
    options = {"data_dir": str(root), "cache_dir": cache}
    loaded = load_dataset("mlrsnet", "grouped40", **options)
    numbers = {name: {(int(i[-5:]) - 1) // 3 for i in split["id"]} for name, split in loaded.items()}
    assert sum(len(of_split) for of_split in numbers.values()) == 10
    monkeypatch.setattr("mlrsnet_hf.dataset.near_duplicates.groups.near_duplicate_groups", None)
    assert len(load_dataset("mlrsnet", "grouped40", seed=1, **options)) == 3
    streamed = load_dataset("mlrsnet", "grouped40", streaming=True, **options)
    assert [row["id"] for row in streamed["test"]] == list(loaded["test"]["id"])


def test_labels_as_published(make_release: MakeRelease, cache: str) -> None:
    root = make_release({"stadium": 5, "beach": 5}, labels=["buildings", "sea"])
    for labels in ("as-published", "verified"):
        whole = load_dataset("mlrsnet", "all", data_dir=str(root), label_version=labels, cache_dir=cache, split="train")
        assert undecoded(whole) == list(expected_rows(root, labels).values())
        assert any(whole["repaired"]) == (labels == "verified")
        by_old_name = load_dataset("mlrsnet", "all", data_dir=str(root), labels=labels, cache_dir=cache, split="train")
        assert (by_old_name.cache_files, by_old_name._fingerprint) == (whole.cache_files, whole._fingerprint)


def test_other_data_keeps_its_labels_and_shares_no_cache(
    make_release: MakeRelease, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_release({"stadium": 5, "beach": 5}, labels=["buildings", "sea"])
    options = {"data_dir": str(root), "cache_dir": cache, "split": "train"}
    default = load_dataset("mlrsnet", "all", **options)
    assert undecoded(default) == list(expected_rows(root, "as-published").values())
    assert (default.info.license, default.info.homepage) == ("", "")
    again = load_dataset("mlrsnet", "all", label_version="as-published", **options)
    assert again.cache_files == default.cache_files
    monkeypatch.setattr("mlrsnet_hf.release.recognition.LEAST_SHARE", 0)
    recognized = load_dataset("mlrsnet", "all", **options)
    assert undecoded(recognized) == list(expected_rows(root, "verified").values())
    assert recognized.info.license == "CC BY 4.0"


def test_images_decode_to_the_published_pixels(make_release: MakeRelease, cache: str) -> None:
    root = make_release({"beach": 5})
    row = load_dataset("mlrsnet", data_dir=str(root), cache_dir=cache)["test"][0]
    pixels = np.asarray(PillowImage.open(root / "Images" / "beach" / f"{row['id']}.jpg"))
    np.testing.assert_array_equal(np.asarray(row["image"]), pixels)


def test_the_cache_holds_every_image_once(make_release: MakeRelease, cache: str) -> None:
    root = make_release({"beach": 20, "forest": 20})
    for number, path in enumerate(root.glob("Images/*/*.jpg")):
        noise = np.random.default_rng(number).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        PillowImage.fromarray(noise).save(path)
    for config in PROTOCOLS:
        for seed in range(3):
            loaded = load_dataset("mlrsnet", config, data_dir=str(root), seed=seed, cache_dir=cache)
            assert all(len(split[0]["image"].getbands()) == 3 for split in loaded.values())
    stored = [path.read_bytes() for path in Path(cache).rglob("*") if path.is_file()]
    for image in root.glob("Images/*/*.jpg"):
        assert sum(content.count(image.read_bytes()) for content in stored) == 1


def test_a_second_call_reads_no_image_and_writes_nothing(
    make_release: MakeRelease, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_release({"beach": 10})
    first = load_dataset("mlrsnet", data_dir=str(root), cache_dir=cache)
    state = cache_state(cache)
    monkeypatch.setattr("mlrsnet_hf.dataset.source.open_release", None)
    monkeypatch.setattr("mlrsnet_hf.dataset.builder.draw_split", None)
    second = load_dataset("mlrsnet", data_dir=str(root), cache_dir=cache)
    assert cache_state(cache) == state
    assert second["train"]._fingerprint == first["train"]._fingerprint
    assert undecoded(second["test"]) == undecoded(first["test"])


def test_the_cache_does_not_depend_on_where_the_source_lies(make_release: MakeRelease, cache: str) -> None:
    root = make_release({"beach": 10})
    before = load_dataset("mlrsnet", data_dir=str(root), cache_dir=cache)
    state = cache_state(cache)
    moved = root.rename(root.with_name("elsewhere"))
    after = load_dataset("mlrsnet", data_dir=str(moved), cache_dir=cache)
    assert cache_state(cache) == state
    assert after["train"]["id"] == before["train"]["id"]


def change_label(root: Path) -> None:
    label_file = root / "Labels" / "beach.csv"
    label_file.write_text(label_file.read_text().replace("beach_00001.jpg,0", "beach_00001.jpg,1"))


def change_image(root: Path) -> None:
    image = root / "Images" / "beach" / "beach_00001.jpg"
    PillowImage.new("RGB", (20, 20)).save(image)


@pytest.mark.parametrize("change", [change_label, change_image])
def test_a_changed_source_is_seen(make_release: MakeRelease, cache: str, change: Callable[[Path], None]) -> None:
    root = make_release({"beach": 10})
    options = {"data_dir": str(root), "cache_dir": cache, "label_version": "as-published"}
    before = undecoded(load_dataset("mlrsnet", "all", split="train", **options))
    change(root)
    after = undecoded(load_dataset("mlrsnet", "all", split="train", **options))
    assert after == list(expected_rows(root, "as-published").values())
    assert [new[0] for new, old in zip(after, before, strict=True) if new != old] == ["beach_00001"]


def test_a_source_that_changes_while_it_is_read_leaves_nothing(
    make_release: MakeRelease, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_release({"beach": 10})
    read = ReleaseSource.read

    def read_and_change(*arguments: Any) -> Any:  # noqa: ANN401
        yield from read(*arguments)
        change_label(root)

    monkeypatch.setattr(ReleaseSource, "read", read_and_change)
    with pytest.raises(ReleaseError, match="changed while it was read"):
        load_dataset("mlrsnet", data_dir=str(root), cache_dir=cache)
    assert cache_state(cache) == {}


def test_forced_to_build_again(make_release: MakeRelease, cache: str) -> None:
    options = {"data_dir": str(make_release({"beach": 10})), "cache_dir": cache}
    load_dataset("mlrsnet", **options)
    state = cache_state(cache)
    load_dataset("mlrsnet", download_mode="force_redownload", **options)
    renewed = cache_state(cache)
    assert state.keys() == renewed.keys()
    assert all(renewed[path] > state[path] for path in state)


def test_sums_and_slices_of_splits(make_release: MakeRelease, cache: str) -> None:
    options = {"data_dir": str(make_release({"beach": 40})), "cache_dir": cache}
    parts = load_dataset("mlrsnet", **options)
    train, test = list(parts["train"]["id"]), list(parts["test"]["id"])
    assert list(load_dataset("mlrsnet", split="train[:50%]+test", **options)["id"]) == train[:4] + test
    assert list(load_dataset("mlrsnet", split="test[-3:]", **options)["id"]) == test[-3:]
    assert list(load_dataset("mlrsnet", split=ReadInstruction("train", to=2, unit="abs"), **options)["id"]) == train[:2]
    assert len(load_dataset("mlrsnet", split="all", **options)) == 40
    in_memory = load_dataset("mlrsnet", split="test", keep_in_memory=True, **options)
    assert undecoded(in_memory) == undecoded(parts["test"])


def test_several_processes_build_the_same(make_release: MakeRelease, cache: str, tmp_path: Path) -> None:
    root = str(make_release({"beach": 20, "forest": 20, "stadium": 7}))
    one = load_dataset("mlrsnet", "all", data_dir=root, cache_dir=cache, split="train")
    two = load_dataset("mlrsnet", "all", data_dir=root, cache_dir=str(tmp_path / "two"), num_proc=2, split="train")
    assert len(two.cache_files) == 2
    assert undecoded(one) == undecoded(two)


def label_count(row: dict[str, Any]) -> dict[str, int]:
    return {"count": len(row["labels"])}


def test_splits_travel_between_processes(make_release: MakeRelease, cache: str) -> None:
    train = load_dataset("mlrsnet", data_dir=str(make_release({"beach": 40})), cache_dir=cache, split="train")
    assert undecoded(pickle.loads(pickle.dumps(train))) == undecoded(train)
    assert train.map(label_count, num_proc=2)["count"] == [2] * 8
    loader = DataLoader(train.with_format("torch"), batch_size=4, num_workers=2)
    scenes = torch.cat([batch["scene"] for batch in loader])
    assert scenes.tolist() == train["scene"]


def test_streaming_gives_the_same_rows(make_release: MakeRelease, cache: str) -> None:
    root = str(make_release({"beach": 20, "harbor&port": 20}))
    built = load_dataset("mlrsnet", "ratio30", data_dir=root, seed=2, cache_dir=cache)
    streamed = load_dataset("mlrsnet", "ratio30", data_dir=root, seed=2, cache_dir=cache, streaming=True)
    assert list(streamed) == list(built)
    for name, split in streamed.items():
        assert split.features == FEATURES
        assert stored_rows(split.cast_column("image", Image(decode=False))) == undecoded(built[name])
    assert next(iter(streamed["train"]))["image"].size == (16, 16)
    shuffled = [row["id"] for row in streamed["test"].shuffle(seed=1, buffer_size=5)]
    assert sorted(shuffled) == sorted(built["test"]["id"]) != shuffled


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes")
def test_streaming_gives_every_worker_data(make_release: MakeRelease, cache: str) -> None:
    root = str(make_release({"beach": 40}))
    split = load_dataset("mlrsnet", "all", data_dir=root, cache_dir=cache, streaming=True, split="train")
    split = split.remove_columns(["image"]).map(with_worker)
    split = pickle.loads(pickle.dumps(split))
    loader = DataLoader(split, batch_size=None, num_workers=3)
    rows = [(row["worker"], row["id"]) for row in loader]
    assert {worker for worker, _ in rows} == {0, 1, 2}
    assert sorted(image_id for _, image_id in rows) == [f"beach_{i:05d}" for i in range(1, 41)]


def with_worker(row: dict[str, Any]) -> dict[str, Any]:
    worker = torch.utils.data.get_worker_info()
    return {**row, "worker": worker.id if worker else -1}


def test_streaming_goes_on_where_it_stopped(make_release: MakeRelease, cache: str) -> None:
    root = make_release({"beach": 40})
    split = load_dataset("mlrsnet", "all", data_dir=str(root), cache_dir=cache, streaming=True, split="train")
    rows = iter(split)
    first = [next(rows)["id"] for _ in range(13)]
    split.load_state_dict(split.state_dict())
    assert first + [row["id"] for row in split] == list(expected_rows(root))


def test_rows_can_be_written_as_parquet(make_release: MakeRelease, cache: str, tmp_path: Path) -> None:
    options = {"data_dir": str(make_release({"beach": 20})), "cache_dir": cache}
    load_builder("mlrsnet", **options).download_and_prepare(str(tmp_path / "out"), file_format="parquet")
    ids = pq.read_table(tmp_path / "out" / "mlrsnet-train.parquet")["id"].to_pylist()
    assert ids == list(load_dataset("mlrsnet", split="train", **options)["id"])


def test_the_builder_tells_what_the_cache_holds(make_release: MakeRelease, cache: str) -> None:
    options = {"data_dir": str(make_release({"beach": 20})), "cache_dir": cache}
    assert load_builder("mlrsnet", **options).info.features == FEATURES
    load_dataset("mlrsnet", **options)
    info = load_builder("mlrsnet", **options).info
    assert {name: split.num_examples for name, split in info.splits.items()} == {
        "train": 4,
        "validation": 2,
        "test": 14,
    }
    assert (info.builder_name, info.config_name, str(info.version)) == ("mlrsnet", "ratio20", "1.0.0")


@pytest.mark.parametrize("options", [{}, {"num_proc": 2}, {"streaming": True}], ids=["one", "two", "streaming"])
def test_our_errors_come_as_themselves(make_release: MakeRelease, cache: str, options: dict[str, Any]) -> None:
    root = make_release({"beach": 9, "forest": 9})
    (root / "Images/beach/beach_00004.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ImageError, match=r"beach_00004.jpg: truncated") as caught:
        for split in load_dataset("mlrsnet", data_dir=str(root), cache_dir=cache, **options).values():
            list(split)
    assert caught.value.remedy
    assert cache_state(cache) == {}


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"name": "ratio2"}, UnknownNameError, "'ratio2' .* 'ratio20'"),
        ({"sed": 1}, ConfigurationError, "'sed'. .* 'seed'"),
        ({"seed": 0.5}, ConfigurationError, "seed=0.5"),
        ({"label_version": "verifed"}, UnknownNameError, "label_version='verifed' .* 'verified'"),
        ({"protocol": "ratio20"}, ConfigurationError, r'load_dataset\("mlrsnet", "ratio20"\)'),
        ({"data_files": "*.jpg"}, ConfigurationError, "data_files"),
        ({"name": "demo"}, ConfigurationError, "data_dir"),
        ({"name": "demo", "data_dir": None, "protocol": "ratio2"}, UnknownNameError, "protocol 'ratio2'"),
        ({"name": "custom"}, ConfigurationError, "split_file=None .* 'custom'"),
        ({"name": "all", "split_file": "x"}, ConfigurationError, "split_file='x' .* 'all'"),
        ({"split_file": "gone.csv"}, ConfigurationError, "gone.csv: "),
        ({"data_dir": "gone"}, ReleaseError, "gone: "),
    ],
)
def test_bad_arguments_are_named(
    make_release: MakeRelease, cache: str, options: dict[str, Any], kind: type[MLRSNetError], message: str
) -> None:
    arguments = {"data_dir": str(make_release({"beach": 5})), "cache_dir": cache} | options
    with pytest.raises(kind, match=message):
        load_dataset("mlrsnet", **arguments)


def test_the_environment_names_the_source(
    make_release: MakeRelease, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_release({"beach": 5})
    monkeypatch.setenv("MLRSNET_DATA_DIR", os.path.relpath(root))
    assert len(load_dataset("mlrsnet", "all", cache_dir=cache, split="train")) == 5
    monkeypatch.setenv("MLRSNET_DATA_DIR", "/gone")
    with pytest.raises(ConfigurationError, match="MLRSNET_DATA_DIR=/gone"):
        load_dataset("mlrsnet", cache_dir=cache)


def test_a_lost_cache_of_the_images_is_built_again(make_release: MakeRelease, cache: str) -> None:
    options = {"data_dir": str(make_release({"beach": 20})), "cache_dir": cache}
    before = undecoded(load_dataset("mlrsnet", split="test", **options))
    shutil.rmtree(next(Path(cache).glob("mlrsnet/all-*")))
    assert undecoded(load_dataset("mlrsnet", split="test", **options)) == before


@pytest.mark.slow
def test_demo_needs_nothing(cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlrsnet_hf.dataset.source.SyntheticSource.IMAGES_PER_SCENE", 2)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("MLRSNET_DATA_DIR", "/gone")
    # 92 images: 9 for validation (9.2), 18 for training (18.4), 65 left.
    demo = load_dataset("mlrsnet", "demo", cache_dir=cache)
    assert demo.num_rows == {"train": 18, "validation": 9, "test": 65}
    assert demo["train"][0]["image"].size == (256, 256)
    state = cache_state(cache)
    # The pool is 92 - 37 = 55 images, 15 percent of them 8.25.
    retrieval = load_dataset("mlrsnet", "demo", protocol="retrieval15", seed=1, cache_dir=cache)
    assert retrieval.num_rows == {"query": 8, "database": 47}
    assert len(cache_state(cache)) == len(state) + 2
    streamed = load_dataset("mlrsnet", "demo", cache_dir=cache, streaming=True)["validation"]
    assert stored_rows(streamed.cast_column("image", Image(decode=False))) == undecoded(demo["validation"])
    scenes = load_dataset("mlrsnet", "demo", protocol="all", cache_dir=cache, split="train")["scene"]
    assert scenes == [scene for scene in range(46) for _ in range(2)]
