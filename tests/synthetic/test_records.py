import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from mlrsnet_hf.synthetic import synthetic_record, synthetic_records
from mlrsnet_hf.taxonomy import SCENES, find_scene

SOME_SCENES = tuple(find_scene(name) for name in ("harbor_port", "swimming_pool", "desert"))


def test_a_record_is_as_in_the_release() -> None:
    record = synthetic_record(find_scene("harbor_port"), 7, seed=3)
    assert record.id == "harbor&port_00007"
    assert record.file_name == "harbor&port_00007.jpg"
    assert record.scene is find_scene("harbor_port")
    assert not record.repaired
    with Image.open(io.BytesIO(record.image)) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (256, 256), "RGB")


def test_records_come_scene_by_scene() -> None:
    records = list(synthetic_records(dict.fromkeys(SOME_SCENES, 2)))
    assert [record.id for record in records] == [
        f"{scene.published}_{index:05d}" for scene in SOME_SCENES for index in (1, 2)
    ]


def test_every_scene_is_drawn() -> None:
    assert [record.scene for record in synthetic_records(1)] == list(SCENES)


def test_a_record_does_not_depend_on_the_order() -> None:
    in_order = list(synthetic_records(dict.fromkeys(SOME_SCENES, 3), seed=5))
    backwards = [synthetic_record(scene, index, 5) for scene in SOME_SCENES[::-1] for index in (3, 2, 1)]
    assert in_order == backwards[::-1]


def test_a_record_does_not_depend_on_the_number_of_processes() -> None:
    # 60 records make four batches: more than the two that one process may have under way.
    alone = list(synthetic_records(dict.fromkeys(SOME_SCENES, 20), seed=1))
    together = list(synthetic_records(dict.fromkeys(SOME_SCENES, 20), seed=1, processes=2))
    assert alone == together


@pytest.mark.parametrize("change", [{"seed": 4}, {"index": 8}, {"scene": find_scene("lake")}], ids=str)
def test_seed_index_and_scene_each_change_the_image(change: dict) -> None:
    arguments = {"scene": find_scene("desert"), "index": 7, "seed": 3}
    assert synthetic_record(**arguments).image != synthetic_record(**arguments | change).image


def test_a_script_without_guard_is_told_so(tmp_path: Path) -> None:
    """Its processes run the script once more instead of drawing, and die of it."""
    script = tmp_path / "unguarded.py"
    script.write_text("from mlrsnet_hf.synthetic import synthetic_records as draw\nlist(draw(1, processes=2))")
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=100)
    assert run.returncode == 1
    assert 'guard its main part with `if __name__ == "__main__":`' in run.stderr
