"""Every published form gives the same records."""

import io
import pickle
import random
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mlrsnet_hf.errors import ImageError, ReleaseError
from mlrsnet_hf.release import Entry, image_stores, open_labels, open_release
from mlrsnet_hf.taxonomy import find_label

MakeRelease = Callable[..., Path]
MakeRar = Callable[[Mapping[str, Any]], bytes]
SCENES = {"beach": 3, "harbor&port": 2, "swimmimg_pool": 4}


def packed(files: Iterable[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return buffer.getvalue()


def files_below(folder: Path, start: str = "") -> list[tuple[str, bytes]]:
    """Return what a folder holds, last name first, as an archive may have it."""
    paths = sorted((path for path in folder.rglob("*") if path.is_file()), reverse=True)
    return [(start + path.relative_to(folder).as_posix(), path.read_bytes()) for path in paths]


def pack_scenes(
    root: Path, pack: Callable[[list[tuple[str, bytes]]], bytes], suffix: str, scenes: Iterable[str]
) -> None:
    for scene in scenes:
        folder = root / "Images" / scene
        (root / "Images" / f"{scene}{suffix}").write_bytes(pack(files_below(folder, f"{scene}/")))
        shutil.rmtree(folder)


def as_rars(root: Path, rar: MakeRar) -> Path:
    pack_scenes(root, lambda files: rar(dict(files)), ".rar", SCENES)
    return root


def as_zips(root: Path, rar: MakeRar) -> Path:
    pack_scenes(root, packed, ".ZIP", SCENES)
    return root


def as_mix(root: Path, rar: MakeRar) -> Path:
    """One scene unpacked with its archive left beside it, into a folder of its own; one RAR, one ZIP."""
    pack_scenes(root, lambda files: rar(dict(files)), ".rar", ["beach"])
    pack_scenes(root, packed, ".zip", ["harbor&port"])
    pool = root / "Images/swimmimg_pool"
    (root / "Images/swimmimg_pool.rar").write_bytes(rar(dict(files_below(pool))))
    pool.rename(root / "x")
    pool.mkdir()
    (root / "x").rename(pool / "swimmimg_pool")
    return root


def as_mendeley_zip(root: Path, rar: MakeRar) -> Path:
    path = root.with_name("7j9bv9vwsx-3.zip")
    path.write_bytes(packed(files_below(as_rars(root, rar)), zipfile.ZIP_STORED))
    return path


def as_mendeley_zip_in_a_folder(root: Path, rar: MakeRar) -> Path:
    path = root.with_name("7j9bv9vwsx-3.zip")
    files = files_below(as_rars(root, rar), "MLRSNet A Multi-label Dataset/")
    extra = [("MLRSNet A Multi-label Dataset/Categories_names.xlsx", b"PK"), ("__MACOSX/._x", b"")]
    path.write_bytes(packed([*files, *extra]))
    return path


def as_extracted_mendeley_zip(root: Path, rar: MakeRar) -> Path:
    outer = root.with_name("extracted")
    outer.mkdir()
    as_rars(root, rar).rename(outer / "MLRSNet A Multi-label Dataset")
    return outer


def as_zip_of_zips(root: Path, rar: MakeRar) -> Path:
    path = root.with_name("zips.zip")
    path.write_bytes(packed(files_below(as_zips(root, rar))))
    return path


def as_one_zip(root: Path, rar: MakeRar) -> Path:
    path = root.with_name("release.zip")
    path.write_bytes(packed((name.replace("/", "\\"), content) for name, content in files_below(root)))
    return path


def as_one_rar(root: Path, rar: MakeRar) -> Path:
    path = root.with_name("release.rar")
    path.write_bytes(rar(dict(files_below(root, "mlrsnet/"))))
    return path


def as_packed_parts(root: Path, rar: MakeRar) -> Path:
    for part, pack in (("Images", packed), ("Labels", lambda files: rar(dict(files)))):
        suffix = ".zip" if part == "Images" else ".rar"
        (root / f"{part}{suffix}").write_bytes(pack(files_below(root / part)))
        shutil.rmtree(root / part)
    return root


FORMS = [
    as_rars,
    as_zips,
    as_mix,
    as_mendeley_zip,
    as_mendeley_zip_in_a_folder,
    as_extracted_mendeley_zip,
    as_zip_of_zips,
    as_one_zip,
    as_one_rar,
    as_packed_parts,
]


@pytest.mark.usefixtures("known_as_mlrsnet")
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_form_gives_the_same_records(
    make_release: MakeRelease,
    make_rar: MakeRar,
    form: Callable[[Path, MakeRar], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = make_release(SCENES, labels=["water", "sea"])
    expected = list(open_release(root).records())
    labels = open_labels(root)
    assert [r.repaired for r in expected] == [False] * 3 + [True] * 6
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    source = form(root, make_rar)
    release = open_release(source)
    assert list(release.records()) == expected
    assert [entry.id for entry in release.entries] == [record.id for record in expected]
    assert open_labels(source) == labels == release.entries
    assert list(temporary.iterdir()) == []

    traveled = pickle.loads(pickle.dumps(release))
    assert list(traveled.records()) == expected
    assert traveled.fingerprint() == release.fingerprint() == open_release(source).fingerprint()
    assert list(traveled.records(release.entries[4:6])) == expected[4:6]


def test_damaged_zip_of_rars_neither_crashes_nor_leaves_anything(
    make_release: MakeRelease, make_rar: MakeRar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = as_mendeley_zip(make_release(SCENES), make_rar).read_bytes()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    path = tmp_path / "damaged.zip"
    before = {*tmp_path.rglob("*"), path}
    dice = random.Random(2)
    refused = 0
    for _ in range(150):
        data = bytearray(good)
        for _ in range(dice.choice((1, 3, 9))):
            data[dice.randrange(len(data))] = dice.randrange(256)
        path.write_bytes(data[: dice.choice((len(data), len(data), dice.randrange(len(data))))])
        unreadable: list[Entry] = []
        try:
            list(open_release(path).records(on_unreadable=lambda entry, _, told=unreadable: told.append(entry)))
        except ReleaseError:
            refused += 1
    assert 0 < refused < 150
    assert {*tmp_path.rglob("*")} == before


def as_csv_folder(root: Path) -> Path:
    return root / "Labels"


def as_labels_alone(root: Path) -> Path:
    shutil.rmtree(root / "Images")
    return root


def as_repository_zip(root: Path) -> Path:
    path = root.with_name("MLRSNet-master.zip")
    path.write_bytes(
        packed([("MLRSNet-master/README.md", b""), *files_below(root / "Labels", "MLRSNet-master/labels/")])
    )
    return path


@pytest.mark.parametrize("form", [as_csv_folder, as_labels_alone, as_repository_zip], ids=lambda form: form.__name__)
def test_label_files_alone(make_release: MakeRelease, form: Callable[[Path], Path]) -> None:
    root = make_release(SCENES)
    expected = open_release(root, label_version="as-published").entries
    source = form(root)
    assert open_labels(source, label_version="as-published") == expected
    with pytest.raises(ReleaseError, match=r"Images/"):
        open_release(source)


def test_labels_alone_name_their_faults(make_release: MakeRelease, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReleaseError, match=r"empty: no label file"):
        open_labels(tmp_path / "empty")
    with pytest.raises(ReleaseError, match=r"nowhere: "):
        open_labels(tmp_path / "nowhere")
    root = make_release({"beach": 2})
    (root / "Labels/beach.csv").write_bytes(b"image,water\n")
    with pytest.raises(ReleaseError, match=r"beach.csv, line 1: "):
        open_labels(root)


@pytest.mark.parametrize("version", ["2020", "2021"])
@pytest.mark.slow
def test_real_label_files(shared: Path, tmp_path: Path, version: str) -> None:
    shutil.unpack_archive(shared / f"data/mlrsnet_labels_{version}/labels.tar.xz", tmp_path)
    entries = open_labels(tmp_path)
    assert len(entries) == len({entry.id for entry in entries}) == 109_161
    assert sum(entry.repaired for entry in entries) == {"2020": 0, "2021": 10_300}[version]
    assert all(entry.file_name == f"{entry.id}.jpg" for entry in entries)
    assert sum(find_label("tanks").id in entry.labels for entry in entries) == 2_500


VARIANTS: dict[str, tuple[str, str, str]] = {
    # published scene: folder or archive, label file, prefix of the images
    "swimmimg_pool": ("Swimming_Pool", "SWIMMIMG_POOL", "swimming_pool"),
    "harbor&port": ("habor&port", "harbor_port", "Harbor&Port"),
    "sparse_residential_area": ("sparse_residential", "sparse_residential_area", "sparse_residential"),
}


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg", ".Png", ".tif", ".TIFF"])
def test_spellings_do_not_change_ids(
    make_release: MakeRelease, image_bytes: Callable[[str], bytes], suffix: str
) -> None:
    root = make_release(dict.fromkeys(VARIANTS, 2), labels=["buildings"])
    ids = [entry.id for entry in open_release(root).entries]
    for scene, (folder, label_file, prefix) in VARIANTS.items():
        (root / "Images" / scene).rename(root / "Images" / folder)
        (root / f"Labels/{scene}.csv").rename(root / f"Labels/{label_file}.CSV")
        for path in (root / "Images" / folder).iterdir():
            path.with_name(path.name.replace(scene, prefix)).with_suffix(suffix).write_bytes(image_bytes(suffix))
            path.unlink()
    records = list(open_release(root).records())
    assert [record.id for record in records] == ids
    assert [record.file_name for record in records] == [f"{i}{suffix.casefold()}" for i in ids]
    assert {record.image for record in records} == {image_bytes(suffix)}


def test_unreadable_images_are_named_and_passed_over_on_request(make_release: MakeRelease, make_rar: MakeRar) -> None:
    root = make_release({"beach": 3, "harbor&port": 3})
    broken = root / "Images/beach/beach_00002.jpg"
    broken.write_bytes(broken.read_bytes()[:-2])
    (root / "Images/harbor&port/harbor&port_00001.jpg").write_bytes(b"GIF89a")
    pack_scenes(root, lambda files: make_rar(dict(files)), ".rar", ["beach"])
    release = open_release(root)
    with pytest.raises(ImageError, match=r"beach.rar/beach_00002.jpg: truncated"):
        list(release.records())
    told: list[tuple[str, str]] = []
    records = list(release.records(on_unreadable=lambda entry, error: told.append((entry.id, error.found))))
    assert [r.id for r in records] == ["beach_00001", "beach_00003", "harbor&port_00002", "harbor&port_00003"]
    assert told == [
        ("beach_00002", f"{root}/Images/beach.rar/beach_00002.jpg: truncated JPEG file (no end marker)"),
        (
            "harbor&port_00001",
            f"{root}/Images/harbor&port/harbor&port_00001.jpg: not a JPEG, PNG or TIFF file",
        ),
    ]


def test_images_gone_since_opening_are_named(make_release: MakeRelease, make_rar: MakeRar) -> None:
    root = as_rars(make_release(SCENES), make_rar)
    release = open_release(root)
    (root / "Images/beach.rar").write_bytes(make_rar({"beach_00001.jpg": b""}))
    with pytest.raises(ImageError, match=r"beach_00001.jpg: "):
        list(release.records())
    told: list[Entry] = []
    assert len(list(release.records(on_unreadable=lambda entry, _: told.append(entry)))) == 6
    assert len(told) == 3


def test_fingerprint_of_what_is_gone(make_release: MakeRelease, make_rar: MakeRar) -> None:
    for source in (make_release(SCENES), as_mendeley_zip(make_release(SCENES, root="other"), make_rar)):
        release = open_release(source)
        (source / "Images/beach/beach_00002.jpg" if source.is_dir() else source).unlink()
        with pytest.raises(ReleaseError, match=r"(beach_00002.jpg|-3.zip): .*No such file"):
            release.fingerprint()


def test_absurdly_large_scene_is_refused(
    make_release: MakeRelease, make_rar: MakeRar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_stores, "MAX_SCENE_BYTES", 99)
    with pytest.raises(ReleaseError, match=r"Images/beach.rar: .* 99 bytes"):
        open_release(as_rars(make_release(SCENES), make_rar))


def test_fingerprint_sees_the_archive_but_not_its_place(make_release: MakeRelease, make_rar: MakeRar) -> None:
    source = as_mendeley_zip(make_release(SCENES), make_rar)
    first = open_release(source).fingerprint()
    (source.parent / "elsewhere").mkdir()
    moved = source.rename(source.parent / "elsewhere" / source.name)
    assert open_release(moved).fingerprint() == first
    with moved.open("ab") as file:
        file.write(b"\0")
    assert open_release(moved).fingerprint() != first


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (lambda r: (r / "Images/beach.rar").write_bytes(b"Rar!"), r"^$"),  # beside its folder: not looked at
        (lambda r: (r / "Images/lake.rar").write_bytes(b"Rar!"), r"Images/lake.rar: .*RAR"),
        (lambda r: (r / "Images/beech.zip").write_bytes(packed([])), r"^$"),  # beside what is whole: passed over
        (
            lambda r: (shutil.rmtree(r / "Images/beach"), (r / "Images/beech.zip").write_bytes(packed([]))),
            r"Images/beech.zip: 'beech'",
        ),
        (
            lambda r: [(r / f"Images/lake.{s}").write_bytes(packed([])) for s in ("rar", "zip")],
            r"lake.zip: .* lake, .* lake.rar",
        ),
        (lambda r: (r / "Images/lake.zip").write_bytes(packed([("a.txt", b"")])), r"Images/lake.zip: no label file"),
        (lambda r: (r / "Images/lake.zip").write_bytes(packed([])), r"Images/lake.zip: no label file"),
    ],
)
def test_faults_of_archives_are_named(make_release: MakeRelease, how: Callable[[Path], object], message: str) -> None:
    root = make_release({"beach": 2})
    how(root)
    if message == "^$":
        assert len(list(open_release(root).records())) == 2
        return
    with pytest.raises(ReleaseError, match=message):
        open_release(root)


def test_source_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"")
    with pytest.raises(ReleaseError, match=r"x.txt: .* Images/<scene>"):
        open_release(tmp_path / "x.txt")
    (tmp_path / "x.zip").write_bytes(packed([("readme.txt", b"")]))
    with pytest.raises(ReleaseError, match=r"x.zip: .* Images/"):
        open_release(tmp_path / "x.zip")


def test_two_names_for_one_image_in_an_archive(make_release: MakeRelease, make_rar: MakeRar) -> None:
    root = make_release({"beach": 1})
    shutil.rmtree(root / "Images/beach")
    (root / "Images/beach.rar").write_bytes(make_rar({"a/beach_00001.jpg": b"", "b/beach_00001.jpg": b""}))
    with pytest.raises(ReleaseError, match=r"two images of one name"):
        open_release(root)
