import hashlib
import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrsnet_hf.dataset.splits.protocols import PROTOCOLS, draw_split, split_ids
from mlrsnet_hf.errors import ConfigurationError, UnknownNameError
from mlrsnet_hf.taxonomy import SCENES

PUBLISHED = {s.published: [f"{s.published}_{i:05d}" for i in range(1, s.images + 1)] for s in SCENES}
EVERY_ID = [image_id for ids in PUBLISHED.values() for image_id in ids]
RATIO = ("ratio20", "ratio30", "ratio40")
RETRIEVAL = ("retrieval05", "retrieval10", "retrieval15")

# First 16 digits of the SHA-256 of every split's name, ids and line ends, for seeds 0 to 4.
DIGESTS = {
    "ratio20": "8440686db45d0248 2fc102066a76854a 1f5245ca140a52e2 a4631c8c840f26fe 785baf8538fce0fd",
    "ratio30": "df31f1eed9efff6b bafc718310424a96 989a26e1c01723e6 95f052052ff5cd07 ec2cd623c818103a",
    "ratio40": "0c1d6ef577d372d8 ef2b34501e779412 9198ba2544e6ad13 651eb1a10bf7e390 2e8ae6b658b1a758",
    "retrieval05": "1af5bdca4eb0de11 f6ad2b8af40cdea9 1a231115c1c4d98b aa1cbc73b56e133c d5298baf7bdad2ef",
    "retrieval10": "d587f1021a30417c 2682eafd10781588 2d7af83a8853ef41 4a62adbb0b2c1b2c 31b010ee38ba2dd6",
    "retrieval15": "4f9e21ea794996b7 a333c09809a4916d 6e4a23f2ef366306 12af485403b56e8c c27b3be7e36017d7",
    "all": "6437e7e24fb99faf 6437e7e24fb99faf 6437e7e24fb99faf 6437e7e24fb99faf 6437e7e24fb99faf",
}


def digest(splits: Mapping[str, tuple[str, ...]]) -> str:
    text = "\n".join(line for name, ids in splits.items() for line in (name, *ids))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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
def test_ratio_sizes(protocol: str, train: int, test: int) -> None:
    split = draw_split(PUBLISHED, protocol)
    assert {name: len(ids) for name, ids in split.items()} == {"train": train, "validation": 10_916, "test": test}
    assert sorted([*split["train"], *split["validation"], *split["test"]]) == sorted(EVERY_ID)
    percent = int(protocol[-2:])
    for scene, size in sizes_by_scene(split["train"]).items():
        assert abs(size - len(PUBLISHED[scene]) * percent / 100) < 1


@pytest.mark.parametrize(
    ("protocol", "query", "database"),
    [("retrieval05", 3_275, 62_222), ("retrieval10", 6_550, 58_947), ("retrieval15", 9_825, 55_672)],
)
def test_retrieval_sizes_are_those_of_table_8(protocol: str, query: int, database: int) -> None:
    split = draw_split(PUBLISHED, protocol)
    assert {name: len(ids) for name, ids in split.items()} == {"query": query, "database": database}
    ratio40 = draw_split(PUBLISHED, "ratio40")
    assert sorted([*split["query"], *split["database"]]) == sorted([*ratio40["validation"], *ratio40["test"]])
    assert set(split["query"]) <= set(ratio40["test"])


@pytest.mark.parametrize("seed", [0, 1, 4, -7, 2**70])
def test_protocols_of_one_seed_are_nested(seed: int) -> None:
    ratio = [draw_split(PUBLISHED, protocol, seed) for protocol in RATIO]
    assert len({split["validation"] for split in ratio}) == 1
    assert set(ratio[0]["train"]) < set(ratio[1]["train"]) < set(ratio[2]["train"])
    queries = [set(draw_split(PUBLISHED, protocol, seed)["query"]) for protocol in RETRIEVAL]
    assert queries[0] < queries[1] < queries[2]


def test_all_is_one_split_in_order() -> None:
    assert draw_split(PUBLISHED, "all", seed=3) == {"train": tuple(EVERY_ID)}


def test_seeds_draw_different_splits() -> None:
    first, second = (set(draw_split(PUBLISHED, seed=seed)["train"]) for seed in (0, 1))
    # Two independent draws of a fifth share a fifth: 0.2 * 21,832 = 4,366.
    assert 4_000 < len(first & second) < 4_750


def test_split_does_not_depend_on_the_order_of_the_files() -> None:
    shuffled = {scene: random.Random(7).sample(ids, len(ids)) for scene, ids in PUBLISHED.items()}
    for protocol in ("ratio20", "retrieval10", "all"):
        assert draw_split(shuffled, protocol) == draw_split(PUBLISHED, protocol)


def test_splits_are_in_the_order_of_the_rows_that_are_stored() -> None:
    """By scene; within one by where seed 0 puts an image: train before validation before test, by protocol; by id."""
    cuts = [draw_split(PUBLISHED, protocol, seed=0) for protocol in (*RATIO, *RETRIEVAL)]
    places = [{image_id: i for i, ids in enumerate(cut.values()) for image_id in ids} for cut in cuts]
    rank = {image_id: tuple(place.get(image_id, 2) for place in places) for image_id in EVERY_ID}
    scenes = [scene.published for scene in SCENES]
    for protocol, seed in (("ratio20", 0), ("retrieval10", 4), ("all", 0)):
        drawn = draw_split(PUBLISHED, protocol, seed)
        for name, ids in split_ids(PUBLISHED, protocol, seed).items():
            assert set(ids) == set(drawn[name])
            assert list(ids) == sorted(ids, key=lambda i: (scenes.index(i.rpartition("_")[0]), rank[i], i))


@pytest.mark.parametrize("protocol", DIGESTS)
def test_splits_are_fixed_for_all_time(protocol: str) -> None:
    """Published results refer to these lists: a change here is a new protocol."""
    assert [digest(draw_split(PUBLISHED, protocol, seed)) for seed in range(5)] == DIGESTS[protocol].split()


def test_the_first_published_lists_are_kept() -> None:
    splits = draw_split(PUBLISHED, "ratio20")
    digests = {name: hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16] for name, ids in splits.items()}
    assert digests == {
        "train": "207f110f9994e2e0",
        "validation": "8b597a642b478149",
        "test": "bcca41e0c26358ee",
    }


@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=46).filter(lambda sizes: sum(sizes) >= 16),
    protocol=st.sampled_from([*RATIO, *RETRIEVAL]),
)
def test_small_sets_split_without_loss_or_overlap(sizes: list[int], protocol: str) -> None:
    ids = {
        scene.published: [f"{scene.id}_{i}" for i in range(size)] for scene, size in zip(SCENES, sizes, strict=False)
    }
    splits = split_ids(ids, protocol)
    whole = [i for part in ids.values() for i in part]
    if protocol in RETRIEVAL:
        whole = [*split_ids(ids, "ratio40")["validation"], *split_ids(ids, "ratio40")["test"]]
    assert sorted(i for part in splits.values() for i in part) == sorted(whole)
    assert all(splits.values())


def test_bad_arguments_are_named() -> None:
    with pytest.raises(UnknownNameError, match=r"protocol 'ratio25' is not known\. Did you mean 'ratio20'"):
        split_ids(PUBLISHED, "ratio25")
    with pytest.raises(ConfigurationError, match=r"2 images .* 'ratio20': train"):
        split_ids({"beach": ["a", "b"]})
    with pytest.raises(ConfigurationError, match=r"15 images .* 'retrieval05': query"):
        split_ids({"beach": [str(i) for i in range(15)]}, "retrieval05")
    with pytest.raises(ConfigurationError, match=r"0 images .* 'all'"):
        split_ids({}, "all")
    with pytest.raises(ConfigurationError, match=r"seed=0\.0"):
        split_ids(PUBLISHED, seed=0.0)  # type: ignore[arg-type]


def test_protocol_names() -> None:
    assert {*RATIO, *RETRIEVAL, "all"} <= set(PROTOCOLS)
