"""Which copies are MLRSNet, whole or in part, altered a little, in every form; and which are not."""

import random
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlrsnet_hf.release import find_label_version, open_labels, open_release
from mlrsnet_hf.release.recognition import Recognition, matching_versions, published_digests, recognize
from mlrsnet_hf.taxonomy import LABELS, find_label

MakeRelease = Callable[..., Path]
Row = tuple[str, list[int]]

# Four rows as published; the first two are the same in both versions.
BEACH = ("beach_00004.jpg", "beach, sand, sea, water")
FARMLAND = ("eroded_farmland_01038.jpg", "")
TANKS_OF_2020 = ("storage_tank_00001.jpg", "bare soil, buildings, pavement, road, tanks, trees, water")
TANKS_OF_2021 = ("storage_tank_00001.jpg", "bare soil, buildings, pavement, road, trees, water")


def row(published: tuple[str, str]) -> Row:
    """Return file name and label ids of a row that is written as text."""
    name, labels = published
    return name, [find_label(label).id for label in labels.split(", ") if label]


def test_rows_of_both_versions_are_known_in_any_spelling() -> None:
    both, of_2020, of_2021 = [BEACH, FARMLAND], [BEACH, TANKS_OF_2020], [FARMLAND, TANKS_OF_2021]
    assert recognize(map(row, [*both, *of_2020, *of_2021])) == Recognition(6, 6)
    assert matching_versions(map(row, both)) == {"2020", "2021"}
    assert matching_versions(map(row, of_2020)) == {"2020"}
    assert matching_versions(map(row, of_2021)) == {"2021"}
    assert matching_versions(map(row, [*of_2020, TANKS_OF_2021])) == matching_versions([]) == frozenset()
    name, labels = row(BEACH)
    for spelling in ("Beach/BEACH_00004.PNG", "./beach_00004", "a/b/beach_00004.tif"):
        assert recognize([(spelling, reversed(labels))]).known == 1
    altered = [(name, labels[1:]), (name, [*labels, 0]), ("beach_00005x.jpg", labels), ("lake_00004.jpg", labels)]
    assert recognize(altered) == Recognition(4, 0)


@pytest.mark.parametrize(
    ("rows", "known", "is_mlrsnet"), [(0, 0, False), (20, 19, True), (100, 95, True), (100, 94, False), (1, 1, True)]
)
def test_a_copy_is_mlrsnet_from_95_percent_on(rows: int, known: int, is_mlrsnet: bool) -> None:
    assert Recognition(rows, known).is_mlrsnet is is_mlrsnet


def test_chance_knows_one_row_in_36_000() -> None:
    """A million rows of images that there are not: 27.8 expected, 60 are six standard deviations more."""
    assert sum(map(len, published_digests().values())) == 109_161 - 2 + 10_300  # two digests occur twice
    names = (f"beach_{number}.jpg" for number in range(100_000, 1_100_000))
    assert recognize((name, ()) for name in names).known < 60


def test_labels_of_other_data_stay_as_they_are(make_release: MakeRelease, capsys: pytest.CaptureFixture[str]) -> None:
    """A stadium without the label, as in other data sets; asked for, MLRSNet's rules are applied, with a warning."""
    root = make_release({"stadium": 3}, labels=["water", "sea"])
    release = open_release(root)
    assert (release.label_version, release.is_mlrsnet) == ("as-published", False)
    assert {entry.labels for entry in release.entries} == {tuple(sorted(row(("", "water, sea"))[1]))}
    assert not any(entry.repaired for entry in release.entries)
    assert open_labels(root / "Labels") == release.entries
    assert find_label_version(root) == "as-published"
    told = capsys.readouterr()
    assert (told.err.count(f"{root}: not recognized as MLRSNet (0 of 3 rows are published ones), so"), told.out) == (
        1,
        "",
    )
    verified = open_release(root, "verified")
    assert all(entry.repaired for entry in verified.entries)
    assert find_label_version(root, "verified") == "verified"
    told = capsys.readouterr()
    assert (told.err.count(f"{root}: not recognized as MLRSNet (0 of 3 rows are published ones), but"), told.out) == (
        1,
        "",
    )
    open_release(root, "as-published")
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def label_folders(shared: Path, tmp_path: Path) -> dict[str, Path]:
    """The label files as published, by year."""
    for year in ("2020", "2021"):
        shutil.unpack_archive(shared / f"data/mlrsnet_labels_{year}/labels.tar.xz", tmp_path / year)
    return {year: tmp_path / year / "labels" for year in ("2020", "2021")}


def test_the_stored_digests_are_those_of_the_published_files(label_folders: dict[str, Path]) -> None:
    make = runpy.run_path(str(Path(__file__).with_name("make_published_rows.py")))
    made = make["published_rows"](label_folders["2020"], label_folders["2021"])
    stored = published_digests()
    assert {name: digests.tolist() for name, digests in made.items()} == {k: v.tolist() for k, v in stored.items()}
    assert [len(stored[name]) for name in ("only_2020", "only_2021")] == [10_300, 10_300]
    assert all(digests.dtype == np.uint32 for digests in stored.values())


def filtered(folder: Path, target: Path, scenes: list[str], share: float, altered: int = 0) -> list[str]:
    """Write some rows of some scenes, a few of them with another label; return the lines without their headers."""
    dice = random.Random(0)
    target.mkdir()
    lines = []
    for scene in scenes:
        header, *rows = (folder / f"{scene}.csv").read_text().splitlines()
        kept = dice.sample(rows, round(share * len(rows)))
        for i in range(altered):
            kept[i] = kept[i][:-1] + str(1 - int(kept[i][-1]))
        (target / f"{scene}.csv").write_text("\n".join([header, *kept]) + "\n")
        lines += kept
    return lines


@pytest.mark.parametrize("year", ["2020", "2021"])
def test_parts_and_altered_files_are_known(label_folders: dict[str, Path], tmp_path: Path, year: str) -> None:
    """A tenth of two scenes; of its 500 rows 24 may be altered, and 26 are too many."""
    scenes, folder = ["stadium", "lake"], label_folders[year]
    stadiums = 246  # a tenth of 2,462, and all of 2021 lack the label
    for altered, expected in ((0, "verified"), (12, "verified"), (13, "as-published")):
        target = tmp_path / f"part-{altered}"
        lines = filtered(folder, target, scenes, 0.1, altered)
        entries = open_labels(target)
        assert len(entries) == len(lines) == stadiums + 250
        right = sum(find_label("stadium").id in entry.labels for entry in entries)
        assert right == (stadiums if expected == "verified" or year == "2020" else 0)


def test_parquet_with_labels_of_2021_is_known(label_folders: dict[str, Path], tmp_path: Path) -> None:
    filtered(label_folders["2021"], tmp_path / "part", ["storage_tank"], 0.05)
    published = open_labels(tmp_path / "part", "as-published")
    table = pa.table(
        {
            "image": [{"bytes": b"", "path": entry.file_name} for entry in published],
            "labels": [[LABELS[i].published for i in entry.labels] for entry in published],
        }
    )
    pq.write_table(table, tmp_path / "copy.parquet")
    release = open_release(tmp_path / "copy.parquet")
    assert (release.recognition, release.label_version) == (Recognition(125, 125), "verified")
    assert [entry.repaired for entry in release.entries] == [True] * 125


def test_uc_merced_in_this_layout_is_not_mlrsnet(shared: Path) -> None:
    """Nine rows coincide in name and labels, by a comparison of the label files with those of both versions."""
    release = open_release(shared / "data/ucm_release")
    assert (release.recognition, release.label_version) == (Recognition(1214, 9), "as-published")
    assert sum(entry.repaired for entry in open_release(shared / "data/ucm_release", "verified").entries) == 244
