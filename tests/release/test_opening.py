from collections.abc import Callable
from pathlib import Path

import pytest

from mlrsnet_hf.errors import ImageError, ReleaseError
from mlrsnet_hf.release import open_release, write_release
from mlrsnet_hf.taxonomy import find_label

MakeRelease = Callable[..., Path]


def test_records_carry_annotation_and_untouched_bytes(make_release: MakeRelease) -> None:
    root = make_release({"swimmimg_pool": 3, "beach": 2}, labels=["water", "habor"])
    records = list(open_release(root, label_version="as-published").records())
    assert [r.id for r in records] == ["beach_00001", "beach_00002", *(f"swimmimg_pool_0000{i}" for i in (1, 2, 3))]
    assert [r.scene.name for r in records] == ["beach"] * 2 + ["swimming_pool"] * 3
    assert {r.labels for r in records} == {(find_label("harbor").id, find_label("water").id)}
    for record in records:
        assert record.image == (root / "Images" / record.scene.published / record.file_name).read_bytes()
        assert not record.repaired


@pytest.mark.parametrize("folders", [("images", "labels"), ("IMAGES", "Labels"), ("Images", "labels")])
def test_letter_case_of_the_folders_does_not_matter(make_release: MakeRelease, folders: tuple[str, str]) -> None:
    assert len(open_release(make_release({"beach": 2}, folders=folders)).entries) == 2


def test_scene_and_image_names_match_in_any_case_and_spelling(make_release: MakeRelease) -> None:
    root = make_release({"harbor&port": 2})
    (root / "Images/harbor&port").rename(root / "Images/Harbor_Port")
    image = root / "Images/Harbor_Port/harbor&port_00001.jpg"
    image.rename(image.with_suffix(".JPG"))
    (root / "Labels/harbor&port.csv").rename(root / "Labels/HARBOR&PORT.CSV")
    assert [r.id for r in open_release(root).records()] == ["harbor&port_00001", "harbor&port_00002"]


def test_what_file_managers_leave_behind_is_passed_over(make_release: MakeRelease) -> None:
    root = make_release({"beach": 2})
    for name in (".DS_Store", "Images/Thumbs.db", "Images/beach/._beach_00001.jpg", "Labels/notes.txt"):
        (root / name).write_bytes(b"x")
    assert len(open_release(root).entries) == 2


def damage(make_release: MakeRelease, how: Callable[[Path], object]) -> Path:
    root = make_release({"beach": 3, "river": 3})
    how(root)
    return root


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no Images": (lambda r: (r / "Images").rename(r / "x"), r"release: no folder Images/ in it"),
    "no Labels": (lambda r: (r / "Labels").rename(r / "x"), r"release: no folder Labels/ in it"),
    "two Labels": (lambda r: (r / "labels").mkdir(), r"both Labels/ and labels/"),
    "unknown scene": (
        lambda r: (r / "Images/beach").rename(r / "Images/beech"),
        r"Images/beech: 'beech' is not one of MLRSNet's 46 scenes. Did you mean 'beach'",
    ),
    "unknown label file": (
        lambda r: (r / "Labels/beach.csv").rename(r / "Labels/beech.csv"),
        r"Labels/beech.csv: 'beech' is not",
    ),
    "scene without label file": (lambda r: (r / "Labels/beach.csv").unlink(), r"Images/beach: no label file"),
    "label file without images": (
        lambda r: (r / "Images/beach").rename(r / "beach"),
        r"Labels/beach.csv: no images for this scene",
    ),
    "row without image": (
        lambda r: (r / "Images/beach/beach_00002.jpg").unlink(),
        r"Labels/beach.csv, line 3: beach_00002.jpg is not in .*Images/beach\. Add",
    ),
    "rows without images": (
        lambda r: [path.unlink() for path in (r / "Images/beach").iterdir()],
        r"line 2: beach_00001.jpg is not in .* \(and 2 more\)",
    ),
    "image without row": (
        lambda r: (r / "Images/beach/beach_00009.jpg").write_bytes(b"x"),
        r"Images/beach/beach_00009.jpg: no row in .*Labels/beach.csv",
    ),
    "unknown archive": (
        lambda r: (r / "Images/lake.7z").write_bytes(b"7z"),
        r"Images/lake.7z: an archive that is not RAR, ZIP or TAR. Unpack it into Images/lake/",
    ),
    "one name twice": (
        lambda r: (r / "Images/beach/beach_00001.jpeg").write_bytes(b""),
        r"beach_00001.jpeg and .*beach_00001.jpg: two images of one name",
    ),
    "one scene twice": (
        lambda r: (r / "Images/Beach").mkdir(),
        r"Images/beach: .* as Beach",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_named(make_release: MakeRelease, fault: str) -> None:
    how, message = FAULTS[fault]
    with pytest.raises(ReleaseError, match=message):
        open_release(damage(make_release, how))


def test_missing_and_empty_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"nowhere: .* Images/<scene>"):
        open_release(tmp_path / "nowhere")
    with pytest.raises(ReleaseError, match=r"no folder Images/ in it"):
        open_release(tmp_path)
    (tmp_path / "Images").mkdir()
    (tmp_path / "Labels").mkdir()
    with pytest.raises(ReleaseError, match=r"Images: empty folder"):
        open_release(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda data: data[: len(data) // 2], "truncated JPEG"),
        (lambda data: data[:-2], "truncated JPEG"),
        (lambda data: b"", "empty file"),
        (lambda data: b"\x89PNG" + data, "not a JPEG"),
    ],
)
def test_damaged_image_is_named(make_release: MakeRelease, content: Callable[[bytes], bytes], message: str) -> None:
    root = make_release({"beach": 3})
    path = root / "Images/beach/beach_00002.jpg"
    path.write_bytes(content(path.read_bytes()))
    with pytest.raises(ImageError, match=rf"beach_00002.jpg: {message}"):
        list(open_release(root).records())


def test_real_images_are_whole(shared: Path) -> None:
    release = open_release(shared / "data/ucm_release")
    assert len(release.entries) == 1214
    assert len({entry.scene for entry in release.entries}) == 20
    assert sum(len(record.image) for record in release.records()) > 10_000_000


def test_fingerprint_sees_labels_and_images_but_not_the_place(make_release: MakeRelease) -> None:
    root = make_release({"beach": 2})
    first = open_release(root).fingerprint()
    moved = root.rename(root.with_name("moved"))
    assert open_release(moved).fingerprint() == first
    label_file = moved / "Labels/beach.csv"
    label_file.write_text(label_file.read_text().replace("beach_00001.jpg,0", "beach_00001.jpg,1"))
    second = open_release(moved).fingerprint()
    assert second != first
    image = moved / "Images/beach/beach_00001.jpg"
    image.write_bytes(image.read_bytes() + b"\0")
    assert open_release(moved).fingerprint() != second


def test_written_release_reads_back(make_release: MakeRelease, tmp_path: Path) -> None:
    records = list(open_release(make_release()).records())
    write_release(reversed(records), tmp_path / "copy")
    assert list(open_release(tmp_path / "copy").records()) == records


def test_writing_stops_whole_or_not_at_all(make_release: MakeRelease, tmp_path: Path) -> None:
    root = make_release({"beach": 3})
    (root / "Images/beach/beach_00003.jpg").write_bytes(b"")
    target = tmp_path / "copy"
    with pytest.raises(ImageError):
        write_release(open_release(root).records(), target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["release"]

    target.mkdir()
    with pytest.raises(ValueError, match=r"copy: exists already"):
        write_release([], target)
