import dataclasses
import hashlib
import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrsnet_hf.dataset.protocols import allot, split_ids
from mlrsnet_hf.errors import ConfigurationError, UnknownNameError
from mlrsnet_hf.taxonomy import SCENES

PUBLISHED = {s.published: [f"{s.published}_{i:05d}" for i in range(1, s.images + 1)] for s in SCENES}


def sizes_by_scene(ids: tuple[str, ...]) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for image_id in ids:
        scene = image_id.rpartition("_")[0]
        counts[scene] = counts.get(scene, 0) + 1
    return counts


@pytest.mark.parametrize(
    ("protocol", "train", "test"),
    [("ratio20", 21_832, 76_413), ("ratio30", 32_748, 65_497), ("ratio40", 43_664, 54_581)],
)
def test_global_sizes(protocol: str, train: int, test: int) -> None:
    split = split_ids(PUBLISHED, protocol)
    assert (len(split.train), len(split.validation), len(split.test)) == (train, 10_916, test)
    together = [*split.train, *split.validation, *split.test]
    assert sorted(together) == sorted(i for ids in PUBLISHED.values() for i in ids)
    percent = int(protocol[-2:])
    for scene, size in sizes_by_scene(split.train).items():
        assert abs(size - len(PUBLISHED[scene]) * percent / 100) < 1


@pytest.mark.parametrize("seed", range(5))
def test_protocols_of_one_seed_are_nested(seed: int) -> None:
    splits = [split_ids(PUBLISHED, protocol, seed) for protocol in ("ratio20", "ratio30", "ratio40")]
    assert len({split.validation for split in splits}) == 1
    assert set(splits[0].train) < set(splits[1].train) < set(splits[2].train)


def test_seeds_draw_different_splits() -> None:
    first, second = (set(split_ids(PUBLISHED, seed=seed).train) for seed in (0, 1))
    # Two independent draws of a fifth share a fifth: 0.2 * 21,832 = 4,366.
    assert 4_000 < len(first & second) < 4_750


def test_split_does_not_depend_on_the_order_of_the_files() -> None:
    shuffled = {scene: random.Random(7).sample(ids, len(ids)) for scene, ids in PUBLISHED.items()}
    assert split_ids(shuffled) == split_ids(PUBLISHED)


def test_split_is_fixed_for_all_time() -> None:
    """Published results refer to these lists: a change here is a new protocol."""
    digests = {
        name: hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]
        for name, ids in dataclasses.asdict(split_ids(PUBLISHED)).items()
    }
    assert digests == {
        "train": "207f110f9994e2e0",
        "validation": "8b597a642b478149",
        "test": "bcca41e0c26358ee",
    }


@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=46).filter(lambda sizes: sum(sizes) >= 5),
    protocol=st.sampled_from(["ratio20", "ratio30", "ratio40"]),
)
def test_small_sets_split_without_loss_or_overlap(sizes: list[int], protocol: str) -> None:
    ids = {
        scene.published: [f"{scene.id}_{i}" for i in range(size)] for scene, size in zip(SCENES, sizes, strict=False)
    }
    split = split_ids(ids, protocol)
    assert sorted([*split.train, *split.validation, *split.test]) == sorted(i for part in ids.values() for i in part)
    assert split.train
    assert split.validation


@given(weights=st.lists(st.integers(1, 3000), min_size=1, max_size=46), percent=st.integers(0, 100))
def test_allotment_is_within_one_of_the_exact_share(weights: list[int], percent: int) -> None:
    total = sum(weights) * percent // 100
    shares = allot(total, weights, weights)
    assert sum(shares) == total
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share - weight * total / sum(weights)) < 1


def test_allotment_by_hand() -> None:
    # Shares of 7 by 3:3:4 are 2.1, 2.1, 2.8; the one left goes to the largest remainder.
    assert allot(7, [3, 3, 4], [3, 3, 4]) == [2, 2, 3]
    # 2 by 1:1:1:1 leave remainders of a half each; ties go to the earlier.
    assert allot(2, [1, 1, 1, 1], [1, 1, 1, 1]) == [1, 1, 0, 0]


def test_bad_arguments_are_named() -> None:
    with pytest.raises(UnknownNameError, match=r"protocol 'ratio25' is not known\. Did you mean 'ratio20'"):
        split_ids(PUBLISHED, "ratio25")
    with pytest.raises(ConfigurationError, match="2 images are too few for protocol 'ratio20'"):
        split_ids({"beach": ["a", "b"]})
