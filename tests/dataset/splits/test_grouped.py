import hashlib
import random
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlrsnet_hf.dataset.splits.protocols import GROUPED_PROTOCOLS, draw_split, split_ids
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.taxonomy import SCENES

PUBLISHED = {s.published: [f"{s.published}_{i:05d}" for i in range(1, s.images + 1)] for s in SCENES}
PERCENT = {"grouped20": 20, "grouped30": 30, "grouped40": 40}
DIGESTS = ["49726f455af152ec", "a4f4131a3542f6b2", "f5b520abc66ebce6", "898c55877cba0a5b", "2bd1b2031ff4441e"]
ENLARGED = ("airplane", "park", "cloud", "roundabout")


def runs(ids_by_scene: dict[str, list[str]], sizes: dict[str, int], seed: int = 0) -> dict[str, int]:
    """Return groups of up to `sizes[scene]` images drawn anywhere in the scene, single images elsewhere."""
    draw = random.Random(seed)
    groups: dict[str, int] = {}
    number = 0
    for scene, ids in ids_by_scene.items():
        left = draw.sample(ids, len(ids))
        while left:
            size = draw.randint(1, sizes.get(scene, 1))
            groups.update(dict.fromkeys(left[:size], number))
            left, number = left[size:], number + 1
    return groups


def assert_fair(splits: dict[str, tuple[str, ...]], groups: dict[str, int], percent: int) -> None:
    total = len(groups)
    assert sorted(i for ids in splits.values() for i in ids) == sorted(groups)
    split_of_group = defaultdict(set)
    for name, ids in splits.items():
        for image_id in ids:
            split_of_group[groups[image_id]].add(name)
    assert all(len(names) == 1 for names in split_of_group.values())
    for name, share in (("train", percent), ("validation", 10), ("test", 90 - percent)):
        assert abs(100 * len(splits[name]) - share * total) <= total + 100


@pytest.mark.parametrize("seed", range(5))
def test_published_sizes_with_enlarged_scenes(seed: int) -> None:
    groups = runs(PUBLISHED, dict.fromkeys(ENLARGED, 12))
    split = draw_split(PUBLISHED, "grouped40", seed, groups)
    assert_fair(split, groups, 40)
    # Single images fill what groups leave open, so that the totals are those of ratio40.
    assert {name: len(ids) for name, ids in split.items()} == {"train": 43_664, "validation": 10_916, "test": 54_581}
    trained = Counter(image_id.rpartition("_")[0] for image_id in split["train"])
    assert all(abs(trained[scene.published] - scene.images * 0.4) <= 12 for scene in SCENES)


def test_protocols_of_one_seed_are_nested_and_fixed_for_all_time() -> None:
    """Published results refer to these lists: a change here is a new protocol."""
    ids = {scene: names[:300] for scene, names in PUBLISHED.items()}
    groups = {name: i // 4 * 4 for i, name in enumerate(name for names in ids.values() for name in names)}
    digests = []
    for seed in range(5):
        splits = [draw_split(ids, protocol, seed, groups) for protocol in GROUPED_PROTOCOLS]
        assert len({split["validation"] for split in splits}) == 1
        assert set(splits[0]["train"]) < set(splits[1]["train"]) < set(splits[2]["train"])
        for percent, split in zip(PERCENT.values(), splits, strict=True):
            assert_fair(split, groups, percent)
        text = "\n".join(line for split in splits for name, part in split.items() for line in (name, *part))
        digests.append(hashlib.sha256(text.encode()).hexdigest()[:16])
    assert digests == DIGESTS


def test_draw_depends_on_seed_but_not_on_order_and_numbers() -> None:
    ids = {scene: PUBLISHED[scene][:200] for scene in ("airplane", "beach", "park")}
    groups = runs(ids, {"airplane": 5, "park": 3})
    shuffled = {scene: random.Random(3).sample(names, len(names)) for scene, names in ids.items()}
    renumbered = {name: 7 - 3 * groups[name] for name in reversed(list(groups))}
    assert split_ids(ids, "grouped30", 1, groups) == split_ids(shuffled, "grouped30", 1, renumbered)
    assert split_ids(ids, "grouped30", 1, groups) != split_ids(ids, "grouped30", 2, groups)


@settings(max_examples=50)
@given(
    sizes=st.lists(st.integers(40, 120), min_size=1, max_size=8),
    largest=st.integers(1, 6),
    seed=st.integers(0, 10**6),
    protocol=st.sampled_from(GROUPED_PROTOCOLS),
)
def test_sizes_hold_whatever_the_groups(sizes: list[int], largest: int, seed: int, protocol: str) -> None:
    ids = {
        scene.published: [f"{scene.id}_{i}" for i in range(size)] for scene, size in zip(SCENES, sizes, strict=False)
    }
    groups = runs(ids, dict.fromkeys(list(ids)[::2], largest), seed)
    try:
        splits = split_ids(ids, protocol, seed, groups)
    except ConfigurationError as error:
        # Only where no scene consists of single images, which fill every gap.
        assert "would hold" in str(error)
        assert len(ids) == 1
    else:
        assert_fair(splits, groups, PERCENT[protocol])


def test_groups_may_span_scenes() -> None:
    ids = {"airport": [f"a{i}" for i in range(50)], "airplane": [f"b{i}" for i in range(50)]}
    groups = {f"{scene}{i}": i for scene in "ab" for i in range(50)}
    splits = split_ids(ids, "grouped20", groups=groups)
    assert_fair(splits, groups, 20)
    assert {name: len(part) for name, part in splits.items()} == {"train": 20, "validation": 10, "test": 70}


def test_what_cannot_be_grouped_is_named() -> None:
    ids = {"beach": [f"beach_{i}" for i in range(100)]}
    with pytest.raises(ConfigurationError, match="'grouped20' needs the groups"):
        split_ids(ids, "grouped20")
    with pytest.raises(ConfigurationError, match="image 'beach_0' has no group"):
        split_ids(ids, "grouped20", groups={})
    with pytest.raises(ConfigurationError, match=r"train .* 0 of 100 images .* 20: .* 100 images"):
        split_ids(ids, "grouped20", groups=dict.fromkeys(ids["beach"], 0))
    with pytest.raises(ConfigurationError, match="0 images are too few"):
        split_ids({}, "grouped20", groups={})


def test_a_test_split_off_by_more_than_a_point_is_refused_too() -> None:
    """Train and validation may each be off by less, and both to one side."""
    ids = {"beach": [f"beach_{i:05d}" for i in range(2000)]}
    groups = {image_id: i // 49 for i, image_id in enumerate(ids["beach"])}
    refused = []
    for seed in range(10):
        try:
            sizes = [len(part) for part in split_ids(ids, "grouped40", seed, groups).values()]
        except ConfigurationError as error:
            refused.append(str(error))
        else:
            assert all(abs(size - target) <= 20 for size, target in zip(sizes, (800, 200, 1000), strict=True))
    assert any("test would hold" in message for message in refused)
