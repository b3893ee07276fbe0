import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mlrsnet_hf.errors import UnknownNameError
from mlrsnet_hf.release import open_release, read_label_file, verified_labels
from mlrsnet_hf.taxonomy import Scene, find_label, find_scene

MakeRelease = Callable[..., Path]
PublishedRows = dict[str, tuple[Scene, tuple[int, ...]]]


def published_rows(archive: Path, folder: Path) -> PublishedRows:
    """Return scene and labels of all 109,161 images as published, by id."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder)
    rows: PublishedRows = {}
    for path in folder.glob("labels/*.csv"):
        rows |= {Path(row.file_name).stem: (find_scene(path.stem), row.labels) for row in read_label_file(path)}
    return rows


@pytest.mark.slow
def test_both_versions_give_the_labels_of_2020(shared: Path, tmp_path: Path) -> None:
    of_2020, of_2021 = (
        published_rows(shared / f"data/mlrsnet_labels_{year}/labels.tar.xz", tmp_path / year)
        for year in ("2020", "2021")
    )
    right = {image_id: labels for image_id, (_, labels) in of_2020.items()}
    assert len(right) == 109_161
    for rows, repaired in ((of_2020, 0), (of_2021, 10_300)):
        verified = {image_id: verified_labels(scene, image_id, labels) for image_id, (scene, labels) in rows.items()}
        assert verified == right
        assert sum(verified[image_id] != labels for image_id, (_, labels) in rows.items()) == repaired


@pytest.mark.usefixtures("known_as_mlrsnet")
def test_records_say_whether_they_were_repaired(make_release: MakeRelease) -> None:
    root = make_release({"beach": 1, "stadium": 1}, labels=["water", "sea"])
    water, sea, stadium = (find_label(name).id for name in ("water", "sea", "stadium"))
    beach, arena = open_release(root).records()
    assert (set(beach.labels), beach.repaired) == ({water, sea}, False)
    assert (set(arena.labels), arena.repaired) == ({water, stadium}, True)  # sea is none of a stadium's labels
    published = list(open_release(root, label_version="as-published").records())
    assert [(set(record.labels), record.repaired) for record in published] == [({water, sea}, False)] * 2


def test_unknown_labels_are_refused(make_release: MakeRelease) -> None:
    with pytest.raises(
        UnknownNameError, match=r"label_version='as_published' is not known\. Did you mean 'as-published'"
    ):
        open_release(make_release(), label_version="as_published")
