import fnmatch
import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mlrsnet_hf.dataset.repository.parts import (
    MIN_FILES,
    cut_parts,
    plan_files,
    repository_order,
)
from mlrsnet_hf.dataset.splits.protocols import STORED_PROTOCOLS, split_ids
from mlrsnet_hf.taxonomy import SCENES

PUBLISHED = {s.published: [f"{s.published}_{i:05d}" for i in range(1, s.images + 1)] for s in SCENES}
NAMES = {scene.published: scene.name for scene in SCENES}


def test_the_release_has_eight_parts_and_every_split_enough_files() -> None:
    parts = cut_parts(PUBLISHED)
    files = plan_files(PUBLISHED, NAMES, parts)
    # Validation 10,916; training of 20, 30, 40 percent: 21,832, then 10,916 more twice; queries: 3,275 three times.
    sizes = sorted(len(part.ids) for part in parts.parts)
    assert sizes == [3_275, 3_275, 3_275, 10_916, 10_916, 10_916, 21_832, 44_756]
    assert (
        list(parts.splits)
        == list(STORED_PROTOCOLS)
        == [*(f"ratio{p}" for p in (20, 30, 40)), *(f"retrieval{p}" for p in ("05", "10", "15")), "all"]
    )
    assert sum(len(file.ids) for file in files) == 109_161
    order = [image_id for ids in repository_order(PUBLISHED).values() for image_id in ids]
    assert [image_id for file in files for image_id in file.ids] == order
    for protocol, splits in parts.splits.items():
        expected = split_ids(PUBLISHED, protocol)
        for split, letters in splits.items():
            chosen = [file for file in files if fnmatch.fnmatch(file.name, f"*-[{letters}]-*.parquet")]
            assert len(chosen) >= MIN_FILES
            ids = [image_id for file in sorted(chosen, key=lambda file: file.name) for image_id in file.ids]
            assert tuple(ids) == expected[split]


@given(sizes=st.lists(st.integers(1, 90), min_size=1, max_size=46))
def test_no_image_is_lost_or_stored_twice(sizes: list[int]) -> None:
    ids = {scene.published: [f"{scene.id}_{i:02}" for i in range(n)] for scene, n in zip(SCENES, sizes, strict=False)}
    parts = cut_parts(ids)
    files = plan_files(ids, NAMES, parts)
    files_per_scene = math.ceil(MIN_FILES / len(sizes))
    assert sorted(i for file in files for i in file.ids) == sorted(i for part in ids.values() for i in part)
    assert set(parts.splits) | set(parts.left_out) == set(STORED_PROTOCOLS)
    for splits in parts.splits.values():
        for letters in splits.values():
            chosen = [file for file in files if file.letter in letters]
            rows = Counter(image_id.split("_")[0] for file in chosen for image_id in file.ids)
            assert rows
            # A scene lacks a file only where it has no image left to put there.
            assert len(chosen) >= sum(min(files_per_scene, n) for n in rows.values())
