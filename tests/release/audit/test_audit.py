import csv
import io
import random
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mlrsnet_hf.errors import MLRSNetError, ReleaseError
from mlrsnet_hf.release import LabelVersion, open_release
from mlrsnet_hf.release.audit.audit import Audit, audit_repairs, audit_source
from mlrsnet_hf.release.audit.findings import Severity
from mlrsnet_hf.taxonomy import LABELS, SCENES, find_label, find_scene

MakeRelease = Callable[..., Path]
IMAGE_CHECKS = {"missing_image", "surplus_image", "unreadable_image", "image_size", "image_mode", "duplicate"}


def picture(seed: int, size: tuple[int, int] = (256, 256), mode: str = "RGB", kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (2 * seed, 99, 7)).convert(mode).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def release(make_release: MakeRelease) -> Path:
    """Three beaches and three rivers, with images of the published size."""
    root = make_release({"beach": 3, "river": 3}, labels=["water"])
    for number, path in enumerate(sorted(root.glob("Images/*/*.jpg"))):
        path.write_bytes(picture(20 * number))
    return root


@pytest.fixture
def published(shared: Path, tmp_path: Path) -> dict[str, Path]:
    """The folders of label files of both versions."""
    folders = {}
    for year in ("2020", "2021"):
        with tarfile.open(shared / f"data/mlrsnet_labels_{year}/labels.tar.xz") as archive:
            archive.extractall(tmp_path / year)
        folders[year] = tmp_path / year / "labels"
    return folders


def found(audit: Audit, *, but: Iterable[str] = ("absent_scene", "image_count", "label_version")) -> dict[str, list]:
    """Return place and detail of the findings by check, without those that every small source has."""
    checks: dict[str, list] = {}
    for finding in audit.findings:
        if finding.check.name not in but:
            checks.setdefault(finding.check.name, []).append((finding.where, finding.detail))
    return checks


def test_a_part_of_the_release_is_told_apart_from_the_whole(release: Path) -> None:
    audit = audit_source(release)
    assert found(audit) == {}
    assert [(s.scene.name, s.rows, s.images) for s in audit.scenes] == [("beach", 3, 3), ("river", 3, 3)]
    assert [dict(s.labels) for s in audit.scenes] == [{find_label("water").id: 3}] * 2
    rest = found(audit, but=())
    assert len(rest["absent_scene"]) == 44
    assert rest["image_count"] == [("beach", "3 instead of 2,500"), ("river", "3 instead of 2,500")]
    assert rest["label_version"] == [("beach", ""), ("river", "")]
    assert (audit.version, audit.severity, audit.exit_code) == ("neither", Severity.INFORMATIVE, 1)


def beach(root: Path, name: str = "beach_00002.jpg") -> Path:
    return root / "Images/beach" / name


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def scramble(path: Path) -> None:
    """Damage the inside of a PNG, whose checksum Pillow looks at; header and end stay whole."""
    data = picture(1, kind="PNG")
    path.write_bytes(data[:45] + bytes(20) + data[65:])


DAMAGES: dict[str, tuple[Callable[[Path], object], dict[str, list], int]] = {
    "missing": (lambda r: beach(r).unlink(), {"missing_image": [("beach/beach_00002.jpg", "")]}, 2),
    "surplus": (
        lambda r: beach(r, "beach_9.jpg").write_bytes(picture(77)),
        {"surplus_image": [("beach/beach_9.jpg", "")]},
        2,
    ),
    "no images of a scene": (
        lambda r: [path.unlink() for path in (r / "Images/beach").iterdir()] + [(r / "Images/beach").rmdir()],
        {"missing_image": [(f"beach/beach_0000{i}.jpg", "") for i in (1, 2, 3)]},
        2,
    ),
    "no labels of a scene": (
        lambda r: (r / "Labels/beach.csv").unlink(),
        {"surplus_image": [(f"beach/beach_0000{i}.jpg", "") for i in (1, 2, 3)]},
        2,
    ),
    "cut": (
        lambda r: cut(beach(r)),
        {"unreadable_image": [("beach/beach_00002.jpg", "truncated JPEG file (no end marker)")]},
        2,
    ),
    "empty": (
        lambda r: beach(r).write_bytes(b""),
        {"unreadable_image": [("beach/beach_00002.jpg", "empty file")]},
        2,
    ),
    "not a file": (
        lambda r: (beach(r).unlink(), beach(r).mkdir()),
        {"unreadable_image": [("beach/beach_00002.jpg", "BEACH/beach_00002.jpg: cannot be read (Is a directory)")]},
        2,
    ),
    "size": (
        lambda r: beach(r).write_bytes(picture(70, (600, 300))),
        {"image_size": [("beach/beach_00002.jpg", "600x300")]},
        1,
    ),
    "mode": (
        lambda r: beach(r).write_bytes(picture(70, mode="L")),
        {"image_mode": [("beach/beach_00002.jpg", "L")]},
        1,
    ),
    "duplicate in another scene": (
        lambda r: (r / "Images/river/river_00003.jpg").write_bytes(beach(r).read_bytes()),
        {"duplicate": [("beach/beach_00002.jpg", "same file as river/river_00003.jpg")]},
        1,
    ),
    "two of one name": (
        lambda r: beach(r, "beach_00002.jpeg").write_bytes(picture(70)),
        {"layout": [("beach/beach_00002.jpg", "stands for the same image as beach/beach_00002.jpeg")]},
        2,
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_nothing_else(release: Path, damage: str) -> None:
    act, expected, exit_code = DAMAGES[damage]
    act(release)
    audit = audit_source(release)
    told = {
        check: [(w, d.replace(str(release / "Images/beach"), "BEACH")) for w, d in f]
        for check, f in found(audit).items()
    }
    assert told == expected
    assert audit.exit_code == exit_code
    if damage in ("size", "mode", "duplicate in another scene"):
        list(open_release(release).records())
    else:
        with pytest.raises(MLRSNetError):
            list(open_release(release).records())


def test_an_image_that_only_decoding_shows_to_be_damaged(release: Path) -> None:
    beach(release).unlink()
    scramble(beach(release, "beach_00002.png"))
    list(open_release(release).records())
    audit = audit_source(release)
    ((where, detail),) = found(audit).pop("unreadable_image")
    assert where == "beach/beach_00002.png"
    assert detail.startswith("cannot be decoded (")
    assert audit.exit_code == 2


def test_faulty_labels_and_strangers_are_findings_among_others(release: Path) -> None:
    label_file = release / "Labels/river.csv"
    label_file.write_text(label_file.read_text().replace("river_00002.jpg,0", "river_00002.jpg,7"))
    (release / "Images/beech").mkdir()
    (release / "Images/readme.txt").write_text("x")
    (release / "Images/river/notes.txt").write_text("x")
    cut(beach(release))
    checks = found(audit_source(release))
    assert set(checks) == {"passed_over", "label_file", "unreadable_image"}
    ((scene, detail),) = checks["label_file"]
    assert (scene, "river.csv, line 3: label 'airplane' is '7'" in detail) == ("river", True)
    images = release / "Images"
    assert checks["passed_over"] == [
        (f"{images}/beech", "'beech' is not one of MLRSNet's 46 scenes"),
        (f"{images}/readme.txt", "neither a folder nor an archive of a scene"),
        (f"{images}/river/notes.txt", "no image"),
    ]


@pytest.mark.parametrize("missing", ["Labels", "Images and Labels", "everything"])
def test_a_source_without_labels_is_refused(release: Path, missing: str) -> None:
    for name in ("Images", "Labels"):
        if missing == "everything" or name in missing:
            (release / name).rename(release.with_name(name))
    with pytest.raises(ReleaseError):
        audit_source(release if missing != "everything" else release / "nothing")


def write_rows(path: Path, rows: dict[str, set[str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", *(label.name for label in LABELS)])
        writer.writerows([name, *(int(label.name in labels) for label in LABELS)] for name, labels in rows.items())


@pytest.mark.usefixtures("known_as_mlrsnet")
def test_labels_that_are_wrong_or_remarkable(tmp_path: Path) -> None:
    stadium = {LABELS[i].name for i in find_scene("stadium").vocabulary}
    write_rows(
        tmp_path / "stadium.csv",
        {
            "stadium_00001.jpg": {"stadium", "grass"},
            "stadium_00002.jpg": {"grass"},
            "stadium_00003.jpg": stadium | {"sea"},
            "stadium_00004.jpg": set(),
        },
    )
    write_rows(tmp_path / "airplane.csv", {"airplane_01550.jpg": {"airplane", "airport"}, "airplane_00001.jpg": set()})
    audit = audit_source(tmp_path)
    assert len(stadium) == 13
    assert found(audit) == {
        "outside_vocabulary": [("stadium/stadium_00003.jpg", "sea")],
        "lost_label": [("stadium/stadium_00002.jpg", "stadium"), ("stadium/stadium_00004.jpg", "stadium")],
        "known_error": [("airplane/airplane_01550.jpg", "airport")],
        "too_many_labels": [("stadium/stadium_00003.jpg", "14 labels")],
        "no_labels": [("airplane/airplane_00001.jpg", ""), ("stadium/stadium_00004.jpg", "")],
    }
    assert (audit.exit_code, audit.severity, audit.images_checked) == (1, Severity.REPAIRABLE, False)
    lines = [str(repair) for repair in audit_repairs(tmp_path)]
    assert len(lines) == audit.repaired_rows == 4
    assert lines[0] == "airplane/airplane_01550.jpg: -airport"
    assert lines[2:] == ["stadium/stadium_00003.jpg: -sea", "stadium/stadium_00004.jpg: +stadium"]
    by_label = {scene.scene.name: scene for scene in audit.scenes}["stadium"]
    sea, own = find_label("sea").id, find_label("stadium").id
    assert (by_label.labels[sea], by_label.labels[own]) == (1, 2)
    assert (by_label.repaired_labels[sea], by_label.repaired_labels[own]) == (0, 4)


def test_other_data_has_no_faults_by_the_rules_for_mlrsnet(make_release: MakeRelease) -> None:
    """Stadiums without the label `stadium`, and more than 13 labels, which MLRSNet never has."""
    names = [label.name for label in LABELS if label.name != "stadium"][:14]
    audit = audit_source(make_release({"stadium": 2}, labels=names), processes=1)
    assert (audit.recognition.known, audit.recognition.rows, audit.repaired_rows) == (0, 2, 0)
    assert set(found(audit)) <= IMAGE_CHECKS
    assert list(audit_repairs(audit.source)) == []


def test_every_scene_allows_at_most_thirteen_labels() -> None:
    """So that more than 13 are always repaired, as the check says."""
    assert max(len(scene.vocabulary) for scene in SCENES) == 13


@pytest.mark.parametrize("form", ["zip of all", "zip of a scene", "label files in a zip", "two processes"])
def test_other_forms_give_the_same_findings(release: Path, tmp_path: Path, form: str) -> None:
    cut(beach(release))
    (release / "Images/river/river_00001.jpg").write_bytes(picture(70, (300, 300)))
    expected = found(audit_source(release))
    assert set(expected) == {"unreadable_image", "image_size"}
    processes = 2 if form == "two processes" else 1
    source = release
    if form != "two processes":
        inside = {"zip of a scene": release / "Images/river", "label files in a zip": release / "Labels"}.get(form)
        source = tmp_path / "all.zip" if inside is None else inside.with_name(f"{inside.name}.zip")
        with zipfile.ZipFile(source, "w") as archive:
            for path in sorted((inside or release).rglob("*.*")):
                archive.write(path, path.relative_to(inside or release))
        if inside:
            inside.rename(tmp_path / "unpacked")
            source = release
    assert found(audit_source(source, processes)) == expected


def test_a_damaged_member_of_an_archive(release: Path, make_rar5: Callable, rar_member: Callable) -> None:
    folder = release / "Images/river"
    members = {f"river/{path.name}": path.read_bytes() for path in sorted(folder.iterdir())}
    members["river/river_00002.jpg"] = rar_member(members["river/river_00002.jpg"], crc=1)
    folder.rename(release / "unpacked")
    (release / "Images/river.rar").write_bytes(make_rar5(members))
    checks = found(audit_source(release))
    ((where, detail),) = checks.pop("unreadable_image")
    assert where == "river/river_00002.jpg"
    assert "damaged" in detail
    assert checks == {}


@pytest.mark.usefixtures("known_as_mlrsnet")
@pytest.mark.parametrize("labels", ["as-published", "verified"])
def test_parquet_copies(make_release: MakeRelease, tmp_path: Path, labels: LabelVersion) -> None:
    """A copy with the published labels, and a repository of ours with the repaired ones."""
    root = make_release({"stadium": 2, "lake": 2}, labels=["water"])
    cut(root / "Images/lake/lake_00002.jpg")
    rows = [
        {
            "image": {"bytes": (root / "Images" / e.scene.published / e.file_name).read_bytes(), "path": e.file_name},
            "labels": list(e.labels),
            "repaired": e.repaired,
        }
        for e in open_release(root, label_version=labels).entries
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "copy.parquet")
    checks = found(audit_source(tmp_path / "copy.parquet"))
    del checks["duplicate"]  # the images of make_release are small and may be alike
    assert checks.pop("image_size") == [
        (f"{n}/{n}_0000{i}.jpg", "16x16") for n, i in (("lake", 1), ("stadium", 1), ("stadium", 2))
    ]
    assert checks.pop("unreadable_image") == [("lake/lake_00002.jpg", "truncated JPEG file (no end marker)")]
    lost = [(f"stadium/stadium_0000{i}.jpg", "stadium") for i in (1, 2)]
    assert checks == ({"lost_label": lost} if labels == "as-published" else {})


def test_repairs_do_not_look_at_images(release: Path) -> None:
    """An archive that cannot be opened would be a finding of the audit."""
    (release / "Images/lake.rar").write_bytes(b"no archive")
    assert list(audit_repairs(release)) == []
    assert [where for where, _ in found(audit_source(release))["layout"]] == ["lake"]


def test_progress_is_told_how_many_images_there_are(release: Path) -> None:
    seen = []

    def progress(files: Iterable, count: int) -> Iterable:
        seen.append(count)
        return files

    audit_source(release, progress=progress)
    assert seen == [6]


# --- the published label files -------------------------------------------------------------------------------------


def shuffled(path: Path, target: Path, blank: str | None, seed: int = 0) -> None:
    """Rewrite a label file with its columns and rows permuted, and one header cell blanked."""
    dice = random.Random(seed)
    with path.open(newline="") as file:
        header, *rows = list(csv.reader(file))
    order = [0, *dice.sample(range(1, len(header)), len(header) - 1)]
    dice.shuffle(rows)
    header = ["" if name.strip() == blank else name for name in header]
    with target.open("w", newline="") as file:
        csv.writer(file).writerows([row[i] for i in order] for row in (header, *rows))


def test_versions_are_known_by_the_rows_alone(published: dict[str, Path], tmp_path: Path) -> None:
    """Ten scenes that differ between the versions and two that do not, columns and rows permuted, headers blanked."""
    scenes = ["airplane", "golf_course", "stadium", "storage_tank", "lake", "beach"]
    for version, folder in published.items():
        target = tmp_path / f"permuted-{version}"
        target.mkdir()
        for seed, scene in enumerate(scenes):
            # storage_tank of 2020 has a blank header already.
            blank = None if scene == "storage_tank" else "water"
            shuffled(folder / f"{scene}.csv", target / f"{scene}.csv", blank, seed)
        audit = audit_source(target)
        assert audit.version == version
        versions = {scene.scene.name: scene.versions for scene in audit.scenes}
        assert versions == {s: {version} if s not in ("lake", "beach") else {"2020", "2021"} for s in scenes}


def test_either_mixed_and_neither(published: dict[str, Path], tmp_path: Path) -> None:
    def copy(year: str, scene: str) -> None:
        (tmp_path / "some").mkdir(exist_ok=True)
        (tmp_path / "some" / f"{scene}.csv").write_bytes((published[year] / f"{scene}.csv").read_bytes())

    copy("2020", "lake")
    assert audit_source(tmp_path / "some").version == "either"
    copy("2021", "stadium")
    assert audit_source(tmp_path / "some").version == "2021"
    copy("2020", "airplane")
    assert audit_source(tmp_path / "some").version == "mixed"
    *lines, last = (published["2020"] / "island.csv").read_text().splitlines()
    (tmp_path / "some/island.csv").write_text("\n".join(lines))  # a part of the rows has their version
    assert audit_source(tmp_path / "some").version == "mixed"
    altered = last[:-1] + str(1 - int(last[-1]))
    (tmp_path / "some/island.csv").write_text("\n".join([*lines, altered]))
    assert audit_source(tmp_path / "some").version == "neither"


def published_values(folder: Path) -> dict[str, pd.DataFrame]:
    """Read label files with pandas: for each scene a row per file name, 60 columns in the order of the taxonomy."""
    values = {}
    for path in folder.glob("*.csv"):
        table = pd.read_csv(path, index_col="image").rename(columns=lambda name: name.strip() or "snowberg")
        values[path.stem] = table[[label.published for label in LABELS]]
    return values


def test_the_labels_of_2021_beside_those_of_2020(published: dict[str, Path]) -> None:
    """Every repaired row and every count, against a comparison of the two versions with pandas."""
    right, wrong = published_values(published["2020"]), published_values(published["2021"])
    names = np.array([label.name for label in LABELS])
    expected = {}
    for scene, of_2020 in right.items():
        change = wrong[scene].loc[of_2020.index].to_numpy() - of_2020.to_numpy()
        for row in np.flatnonzero(change.any(1)):
            spurious, lost = names[change[row] > 0], names[change[row] < 0]
            expected[f"{scene}/{of_2020.index[row]}"] = {*(f"-{n}" for n in spurious), *(f"+{n}" for n in lost)}
    lines = [str(repair).split(": ") for repair in audit_repairs(published["2021"])]
    assert len(lines) == 10_300
    assert {place: set(changes.split(", ")) for place, changes in lines} == expected

    audit = audit_source(published["2021"])
    sums = [{scene: values.sum() for scene, values in version.items()} for version in (right, wrong)]
    assert {name: len(findings) for name, findings in found(audit, but=()).items()} == {
        "outside_vocabulary": 10_300 - 2_500 - 2_462 - 1,  # the repaired rows without those that lost a label, but one
        "lost_label": 2_500 + 2_462,
        "known_error": 1,
        "too_many_labels": 3_471,
        "no_labels": 10,
        "label_count": sum(int((sums[0][scene] != sums[1][scene]).sum()) for scene in right),
    }
    assert sum(int((values.sum(axis=1) > 13).sum()) for values in wrong.values()) == 3_471
    assert (audit.version, audit.severity, audit.exit_code) == ("2021", Severity.REPAIRABLE, 1)
    assert audit.repaired_rows == 10_300
    for scene in audit.scenes:
        of_2020, of_2021 = (version[scene.scene.published] for version in sums)
        assert [scene.labels[i] for i in range(60)] == of_2021.tolist()
        assert [scene.repaired_labels[i] for i in range(60)] == of_2020.tolist()


def test_the_labels_of_2020_are_clean(published: dict[str, Path]) -> None:
    audit = audit_source(published["2020"])
    assert (audit.version, audit.severity, audit.exit_code, audit.repaired_rows) == ("2020", None, 0, 0)
    ((check, findings),) = found(audit, but=()).items()
    assert (check, len(findings), {detail for _, detail in findings}) == ("no_labels", 10, {"as published"})
    assert list(audit_repairs(published["2020"])) == []


def test_real_images(shared: Path) -> None:
    """31 of the images of ucm_release are not 256x256, as its README says; none is damaged."""
    audit = audit_source(shared / "data/ucm_release", processes=2)
    checks = found(audit)
    assert len(checks["image_size"]) == 31
    assert set(checks) & IMAGE_CHECKS == {"image_size"}
    assert sum(scene.images or 0 for scene in audit.scenes) == 1214
