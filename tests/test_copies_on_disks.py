"""Copies of the release as they lie on disks: whatever is around it, every command reads the same records."""

import contextlib
import csv
import hashlib
import io
import os
import random
import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Image, load_dataset

from mlrsnet_hf.errors import ReleaseError
from mlrsnet_hf.publishing.prepare import prepare
from mlrsnet_hf.release import Record, holds_images, open_labels, open_release
from mlrsnet_hf.release.audit.audit import audit_source
from mlrsnet_hf.release.stamps import source_fingerprint
from mlrsnet_hf.taxonomy import LABELS, find_scene

MakeRelease = Callable[..., Path]
Change = Callable[[Path], Path | None]
SCENES = {"beach": 3, "harbor&port": 2}


def pack(archive: Path, folder: Path, start: str = "", extra: dict[str, bytes] | None = None) -> None:
    """Put what a folder holds into a ZIP file, below `start`, and remove the folder."""
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, f"{start}{path.relative_to(folder).as_posix()}")
        for name, content in (extra or {}).items():
            file.writestr(name, content)
    shutil.rmtree(folder)


def as_tar(archive: Path, folder: Path, start: str, stray: str = "notes/figure.jpg") -> None:
    """Put a folder into a TAR file, below `start` and with what a Mac adds, and remove it."""
    with tarfile.open(archive, "w:gz" if archive.suffix == ".gz" else "w") as file:
        file.add(folder, start)
        file.addfile(tarfile.TarInfo(f"{start}/._beach"), None)
        link = tarfile.TarInfo(stray)
        link.type, link.linkname = tarfile.SYMTYPE, "/nowhere"
        file.addfile(link)
    shutil.rmtree(folder)


def wrap(folder: Path, *names: str) -> Path:
    """Move what a folder holds into folders in it."""
    aside = folder.rename(folder.with_name("aside"))
    inner = folder.joinpath(*names)
    inner.parent.mkdir(parents=True)
    aside.rename(inner)
    return folder


def parts_as_zips(root: Path) -> None:
    """As file managers pack: the folder itself is in the archive, and what a Mac adds."""
    mac = {"__MACOSX/Images/beach/._beach_00001.jpg": b"Mac", "Images/.DS_Store": b"Mac"}
    pack(root / "Images.zip", root / "Images", "Images/", mac)
    pack(root / "Labels.zip", root / "Labels", "Labels/")


def both_zips_in_one_zip(root: Path, inside: str = "") -> Path:
    parts_as_zips(root)
    whole = root.with_name("mlrsnet.zip")
    pack(whole, root, inside)
    return whole


def zip_in_a_folder(root: Path) -> Path:
    folder = root.with_name("downloads")
    folder.mkdir()
    (folder / "README.txt").write_text("x")
    pack(folder / "7j9bv9vwsx-3.zip", root, "MLRSNet A Multi-label Dataset/")
    return folder


def zip_with_what_is_not_read(root: Path) -> Path:
    whole = root.with_name("mlrsnet.zip")
    pack(whole, root, extra={"paper.pdf": bytes(17 << 20)})
    link = zipfile.ZipInfo("notes/figure.jpg")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(whole, "a") as file:
        file.writestr(link, "/nowhere.jpg")
    return whole


def a_working_folder(root: Path) -> None:
    """Links, logs, tables and embeddings that training wrote into the folder."""
    (root / "notes").mkdir()
    (root / "notes/figure.jpg").symlink_to("/nowhere.jpg")
    (root / "loop").symlink_to(".")
    (root / "itself").symlink_to("itself")
    (root / "lost+found").mkdir(mode=0)
    (root / "runs/a/labels").mkdir(parents=True)
    (root / "runs/a/Images").mkdir()
    (root / "runs/a/labels/beach.csv").write_text("epoch\n1\n")
    (root / "all.csv").write_text("x")
    with (root / "log.csv").open("wb") as file:
        file.truncate(1 << 40)
    pq.write_table(pa.table({"id": ["a"], "embedding": [[1.0]]}), root / "embeddings.parquet")


def wrapped_beside_runs(root: Path) -> None:
    wrap(root, "MLRSNet")
    (root / "current").symlink_to("MLRSNet")
    (root / "runs/labels").mkdir(parents=True)
    pq.write_table(pa.table({"id": ["a"], "embedding": [[1.0]]}), root / "embeddings.parquet")


STRAYS = {
    "Labels/~$beach.csv": b"\x05User",
    "Labels/beach (1).csv": b"image\n",
    "Labels/beach - Copy.csv": b"image\n",
    "Labels/beach.xlsx": b"PK\x03\x04",
    "Labels/harbor_port.txt": b"notes",
    "Labels/README.txt": b"x",
    "Labels/all.csv": b"x",
    "Labels/beach.csv.bak": b"x",
    "Images/Thumbs.db": b"x",
    "Images/README.txt": b"x",
    "Images/beach/.DS_Store": b"x",
    "Images/beach/notes.txt": b"x",
    "Images/beach/beach_00001 (1).jpg": b"x",
}


def strays(root: Path) -> None:
    for name, content in STRAYS.items():
        (root / name).write_bytes(content)
    (root / "Images/previews").mkdir()
    (root / "Images/gone").symlink_to("/nowhere")
    (root / "Labels/gone.csv").symlink_to("/nowhere")


def one_table(
    root: Path,
    name: str,
    *,
    separator: str = ",",
    encoding: str = "utf-8",
    folder: str = "",
    scene: str = "",
    more: bool = False,
) -> None:
    """Merge the label files into one, with a column of scenes or a row of a scene without images on request."""
    rows: list[list[str]] = []
    for path in sorted((root / "Labels").iterdir()):
        with path.open(newline="") as file:
            header, *own = csv.reader(file)
        rows += [[folder.format(path.stem) + row[0], *row[1:]] for row in own]
        path.unlink()
    if scene:
        header = [scene, *header]
        rows = [[find_scene(row[0].rpartition("_")[0]).name, *row] for row in rows]
    if more:
        rows.append(["lake_00001.jpg", *rows[0][1:]])
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows([header, *rows])
    (root / name).write_bytes(text.getvalue().encode(encoding))
    if not any((root / "Labels").iterdir()):
        (root / "Labels").rmdir()


def tables_by_other_names(root: Path) -> None:
    (root / "Labels/beach.csv").rename(root / "Labels/Beach.TXT")
    path = root / "Labels/harbor&port.csv"
    path.write_text(path.read_text().replace(",", "\t"))
    path.rename(root / "Labels/harbor_port.tsv")


def labels_beside_images(root: Path) -> None:
    for path in (root / "Labels").iterdir():
        path.rename(root / path.name)
    (root / "Labels").rmdir()


def renamed(root: Path, *names: str) -> None:
    for old, new in zip(("Images", "Labels"), names, strict=True):
        (root / old).rename(root / new)


VARIANTS: dict[str, Change] = {
    "plain": lambda root: None,
    "lower-case names": lambda root: renamed(root, "images", "labels"),
    "parts as zips": parts_as_zips,
    "lower-case zips": lambda root: (
        parts_as_zips(root),
        (root / "Images.zip").rename(root / "images.ZIP"),
        (root / "Labels.zip").rename(root / "labels.zip"),
    )[0],
    "both zips in one zip": both_zips_in_one_zip,
    "both zips in a folder of one zip": lambda root: both_zips_in_one_zip(root, "MLRSNet/"),
    "zip in a folder": zip_in_a_folder,
    "zip with what is not read": zip_with_what_is_not_read,
    "parts as tar files": lambda root: (
        as_tar(root / "Images.tar.gz", root / "Images", "Images"),
        as_tar(root / "Labels.tar", root / "Labels", "./Labels"),
        None,
    )[-1],
    "scenes as tar files": lambda root: (
        [
            as_tar(folder.with_name(f"{folder.name}.tar.gz"), folder, folder.name, stray="notes")
            for folder in (root / "Images").iterdir()
        ]
        and None
    ),
    "one tar file": lambda root: (as_tar(root.with_name("mlrsnet.tgz"), root, "."), root.with_name("mlrsnet.tgz"))[-1],
    "Images in Images": lambda root: (wrap(root / "Images", "Images"), wrap(root / "Labels", "Labels"), None)[-1],
    "folders in the parts": lambda root: (
        wrap(root / "Images", "MLRSNet", "Images"),
        (root / "Images/README.txt").write_text("x"),
        wrap(root / "Labels", "csv"),
        (root / "Labels/README.txt").write_text("x"),
        None,
    )[-1],
    "zip in Images": lambda root: (
        pack(root / "x.zip", root / "Images", "Images/"),
        (root / "Images").mkdir(),
        (root / "x.zip").rename(root / "Images/mlrsnet.zip"),
        None,
    )[-1],
    "two folders around": lambda root: wrap(root, "download", "MLRSNet"),
    "three folders around": lambda root: wrap(root, "a", "b", "c"),
    "a working folder": a_working_folder,
    "a folder beside runs": wrapped_beside_runs,
    "strays": strays,
    "one table in Labels": lambda root: one_table(root, "Labels/all.csv"),
    "one table beside Images": lambda root: one_table(root, "labels.csv"),
    "one table as Excel writes it": lambda root: one_table(
        root, "MLRSNet labels.txt", separator="\t", encoding="utf-16"
    ),
    "one table with paths": lambda root: one_table(root, "train.csv", separator=";", folder="Images/{}/"),
    "one table with scenes": lambda root: one_table(root, "labels.csv", scene="category"),
    "one table of more scenes": lambda root: one_table(root, "labels.csv", more=True),
    "unpacked in part": lambda root: (
        parts_as_zips(root),
        [(root / name).mkdir() for name in ("Images", "Labels", "Images/.x")],
        None,
    )[-1],
    "scenes unpacked in part": lambda root: (
        pack(root / "Images/beach.zip", root / "Images/beach"),
        (root / "Images/beach").mkdir(),
        None,
    )[-1],
    "tables by other names": tables_by_other_names,
    "label files beside Images": labels_beside_images,
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("cache"))


def records_of(rows: Any) -> list[tuple[str, str, bytes, tuple[int, ...]]]:  # noqa: ANN401 - a dataset
    return [
        (row["id"], row["image"]["path"], row["image"]["bytes"], tuple(row["labels"]))
        for row in rows.cast_column("image", Image(decode=False))
    ]


def sorted_records(records: list[Record]) -> list[tuple[str, str, bytes, tuple[int, ...]]]:
    return sorted((record.id, record.file_name, record.image, record.labels) for record in records)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_command_reads_the_same(make_release: MakeRelease, cache: str, tmp_path: Path, variant: str) -> None:
    root = make_release(SCENES, labels=["water", "sea"])
    expected = list(open_release(root).records())
    facts = [(one.scene, one.rows, one.images, one.labels) for one in audit_source(root).scenes]
    source = VARIANTS[variant](root) or root

    assert list(open_release(source).records()) == expected
    more = 1 if variant == "one table of more scenes" else 0
    assert open_labels(source)[: len(expected)] == open_release(source).entries
    assert len(open_labels(source)) == len(expected) + more
    assert holds_images(source)
    loaded = load_dataset("mlrsnet", "all", data_dir=str(source), cache_dir=cache, split="train")
    assert sorted(records_of(loaded)) == sorted_records(expected)
    audit = audit_source(source)
    assert [(one.scene, one.rows, one.images, one.labels) for one in audit.scenes] == facts
    assert audit.images_checked
    assert "strays" in variant or not any(Path(f.where).name in ("Images", "Labels") for f in audit.findings)
    assert audit.exit_code == 1
    if variant in ("plain", "strays", "one table with paths", "both zips in one zip", "a working folder"):
        prepared = prepare(source, tmp_path / "prepared").folder
        again = load_dataset(str(prepared), "all", cache_dir=cache, split="train")
        assert sorted(records_of(again)) == sorted_records(expected)


def test_strays_are_named(make_release: MakeRelease, caplog: pytest.LogCaptureFixture) -> None:
    root = make_release(SCENES)
    strays(root)
    named = {
        Path(finding.where).relative_to(root).as_posix()
        for finding in audit_source(root).findings
        if finding.check.name == "passed_over"
    }
    assert named == {*STRAYS, "Images/previews", "Images/gone", "Labels/gone.csv"}
    open_release(root)
    (message,) = [message for message in caplog.messages if "passed over" in message]
    assert re.search(r"passed over, .*: Images/previews, .*, Labels/beach \(1\).csv, .* and \d+ more$", message)


def test_what_lies_beside_decides_nothing(make_release: MakeRelease, cache: str) -> None:
    """A run that writes into the folder makes no second copy in the cache; a changed label or image does."""
    root = make_release(SCENES)
    first = source_fingerprint(root)
    a_working_folder(root)
    strays_beside = root / "Labels/notes.csv"
    strays_beside.write_text("x")
    assert source_fingerprint(root) == first
    image = root / "Images/beach/beach_00001.jpg"
    os.utime(image, ns=(1, 1))
    second = source_fingerprint(root)
    label_file = root / "Labels/beach.csv"
    label_file.write_bytes(label_file.read_bytes() + b"\n")
    assert len({first, second, source_fingerprint(root)}) == 3


def test_caches_of_earlier_versions_stay_in_use(make_release: MakeRelease) -> None:
    """The fingerprint of a plain copy, and of one with archives, as 0.1 took it of all files in the folder."""
    root = make_release(SCENES)
    pack(root / "Images/beach.zip", root / "Images/beach")
    lines = []
    for path in sorted(root.rglob("*.*")):
        name = path.relative_to(root).as_posix()
        if name.endswith(".csv"):
            lines.append(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}")
        else:
            lines.append(f"{name} {path.stat().st_size} {path.stat().st_mtime_ns}")
    assert source_fingerprint(root) == hashlib.sha256("\n".join(lines).encode()).hexdigest()


@pytest.mark.parametrize("change", ["added", "removed", "a label"])
def test_prepare_sees_what_changes_meanwhile(
    make_release: MakeRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    from mlrsnet_hf.publishing import prepare as module

    root = make_release(SCENES)
    write = module.write_files

    def write_and_change(*arguments: Any) -> None:  # noqa: ANN401
        write(*arguments)
        image = root / "Images/beach/beach_00001.jpg"
        label_file = root / "Labels/beach.csv"
        if change == "added":
            shutil.copy(image, root / "Images/beach/beach_00009.jpg")
        elif change == "removed":
            image.unlink()
        else:
            label_file.write_text(label_file.read_text().replace("beach_00001.jpg,0", "beach_00001.jpg,1"))

    monkeypatch.setattr(module, "write_files", write_and_change)
    with pytest.raises(ReleaseError, match=r"changed, came or went while they were read"):
        prepare(root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def refuse_everywhere(source: Path, cache: str, message: str, tmp_path: Path) -> None:
    """See to it that the audit finds a copy unusable, or refuses it, where the others refuse it."""
    for act in (
        lambda: open_release(source),
        lambda: load_dataset("mlrsnet", "all", data_dir=str(source), cache_dir=cache),
        lambda: prepare(source, tmp_path / "out"),
    ):
        with pytest.raises(ReleaseError, match=message):
            act()
    try:
        audit = audit_source(source)
    except ReleaseError:
        return
    assert audit.exit_code == 2


def flatten(root: Path) -> None:
    for folder in [*(root / "Images").iterdir()]:
        for path in [*folder.iterdir()]:
            path.rename(root / "Images" / path.name)
        folder.rmdir()


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "images by another name": (
        lambda r: (r / "Images").rename(r / "Image"),
        r"no folder Images/ .* lie in .*/Image\. ",
    ),
    "images called train": (lambda r: (r / "Images").rename(r / "train"), r"no folder Images/ .* lie in .*/train\. "),
    "images deeper": (lambda r: ((r / "data").mkdir(), (r / "Images").rename(r / "data/train")), r"lie in .*/data\. "),
    "scenes beside Labels": (
        lambda r: ([path.rename(r / path.name) for path in (r / "Images").iterdir()], (r / "Images").rmdir()),
        r"no folder Images/ .* lie in .*/release\. ",
    ),
    "images in a zip by another name": (lambda r: pack(r / "jpg.zip", r / "Images"), r"lie in .*/jpg.zip\. "),
    "images beside, not in scenes": (
        lambda r: (
            (r / "jpg").mkdir(),
            [p.rename(r / "jpg" / p.name) for p in r.glob("Images/*/*")],
            shutil.rmtree(r / "Images"),
        ),
        r"lie in .*/jpg\. ",
    ),
    "images in no scene's folder": (flatten, r"Images/beach_00001.jpg: an image in no folder of a scene. Put each"),
    "a table of a scene whose folder has another name": (
        lambda r: (one_table(r, "labels.csv"), (r / "Images/beach").rename(r / "Images/beech")),
        r"Images/beech: 'beech' is not one of",
    ),
    "a pipe for a label file": (
        lambda r: ((r / "Labels/beach.csv").unlink(), os.mkfifo(r / "Labels/beach.csv")),
        r"Labels/beach.csv: not a plain file",
    ),
    "another scene with images and labels": (
        lambda r: ((r / "Images/agricultural").mkdir(), (r / "Labels/agricultural.csv").write_text("x")),
        r"Images/agricultural and .*/Labels/agricultural.csv: 'agricultural' is not",
    ),
    "a scene as 7z": (
        lambda r: (shutil.rmtree(r / "Images/beach"), (r / "Images/beach.7z").write_bytes(b"7z")),
        r"Images/beach.7z: an archive that is not RAR, ZIP or TAR",
    ),
    "images as 7z": (
        lambda r: (shutil.rmtree(r / "Images"), (r / "Images.7z").write_bytes(b"7z")),
        r"Images.7z: not an archive of a kind that is read",
    ),
    "labels as a spreadsheet": (
        lambda r: (r / "Labels/beach.csv").rename(r / "Labels/beach.xlsx"),
        r"Labels/beach.xlsx: a spreadsheet",
    ),
    "only a copy of a label file": (
        lambda r: (r / "Labels/beach.csv").rename(r / "Labels/beach (1).csv"),
        r"Labels/beach \(1\).csv: 'beach \(1\)' is not one of .*'beach'",
    ),
    "two tables of all": (
        lambda r: (one_table(r, "Labels/all.csv"), shutil.copy(r / "Labels/all.csv", r / "Labels/all (1).csv")),
        r"all \(1\).csv and .*all.csv: both hold labels",
    ),
    "two copies": (lambda r: (wrap(r, "a"), shutil.copytree(r / "a", r / "b")), r"/a and .*/b: both hold Images"),
    "a pointer for a scene": (
        lambda r: (
            shutil.rmtree(r / "Images/beach"),
            (r / "Images/beach.zip").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid"),
        ),
        r"Images/beach.zip: a Git LFS pointer",
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_the_audit_never_calls_usable_what_is_refused(
    make_release: MakeRelease, cache: str, tmp_path: Path, fault: str
) -> None:
    change, message = REFUSED[fault]
    root = make_release(SCENES)
    change(root)
    refuse_everywhere(root, cache, message, tmp_path)


def swap_rows(root: Path) -> None:
    """Give the rows of one scene to the other's label file."""
    first, second = sorted((root / "Labels").iterdir())
    aside = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(aside)


HEADER = b"image," + ",".join(label.published for label in LABELS).encode() + b"\n"
CHANGES: list[Callable[[Path, Path, Path], object]] = [
    # root, a scene's folder, its label file
    lambda root, images, labels: images.rename(root / images.name),
    lambda root, images, labels: images.rename(images.with_name("x")),
    lambda root, images, labels: (shutil.rmtree(images), images.mkdir()),
    lambda root, images, labels: pack(images.with_suffix(".zip"), images),
    lambda root, images, labels: wrap(images, "a"),
    lambda root, images, labels: shutil.copytree(images, images.with_name(images.name.upper())),
    lambda root, images, labels: shutil.copytree(images, root / "Images/lake"),
    lambda root, images, labels: (images / "beach_00001 (2).jpg").write_bytes(b"x"),
    lambda root, images, labels: (images / "x.tif").write_bytes(b"x"),
    lambda root, images, labels: (images / "x.txt").write_bytes(b"x"),
    lambda root, images, labels: next(iter(sorted(images.iterdir()))).unlink(),
    lambda root, images, labels: next(iter(sorted(images.iterdir()))).write_bytes(b""),
    lambda root, images, labels: labels.unlink(),
    lambda root, images, labels: labels.write_bytes(HEADER),
    lambda root, images, labels: labels.write_bytes(b""),
    lambda root, images, labels: labels.rename(labels.with_suffix(".tsv")),
    lambda root, images, labels: labels.rename(labels.with_name("x.csv")),
    lambda root, images, labels: shutil.copy(labels, labels.with_name("lake.csv")),
    lambda root, images, labels: shutil.copy(labels, labels.with_name(labels.name.upper())),
    lambda root, images, labels: swap_rows(root),
    lambda root, images, labels: one_table(root, "Labels/x.csv"),
    lambda root, images, labels: wrap(root / "Images", "Images"),
    lambda root, images, labels: pack(root / "Labels.zip", root / "Labels", "y/"),
    lambda root, images, labels: (root / "Images").rename(root / "jpg"),
    lambda root, images, labels: wrap(root, "y"),
]


@pytest.mark.parametrize("seed", range(60))
def test_the_audit_and_the_opening_agree(make_release: MakeRelease, seed: int) -> None:
    """Whatever one to three changes make of a copy; some spoil it, some do not, some cannot follow others."""
    root = make_release(SCENES)
    dice = random.Random(seed)
    changes = [CHANGES[seed]] if seed < len(CHANGES) else dice.sample(CHANGES, dice.choice((2, 3)))
    for change in changes:
        scene = dice.choice(["beach", "harbor&port"])
        with contextlib.suppress(OSError, UnboundLocalError, StopIteration):
            change(root, root / "Images" / scene, root / f"Labels/{scene}.csv")
    try:
        list(open_release(root).records())
    except ReleaseError:
        is_usable = False
    else:
        is_usable = True
    try:
        audit = audit_source(root)
    except ReleaseError:
        assert not is_usable
        return
    assert (audit.exit_code < 2 and audit.images_checked) == is_usable


def test_the_images_alone(make_release: MakeRelease) -> None:
    with pytest.raises(ReleaseError, match=r"release/Images: the images alone. Pass the folder around it"):
        open_release(make_release(SCENES) / "Images")


def test_a_link_to_nothing_among_the_images(make_release: MakeRelease, tmp_path: Path, cache: str) -> None:
    root = make_release(SCENES)
    image = root / "Images/beach/beach_00002.jpg"
    image.unlink()
    image.symlink_to("/nowhere.jpg")
    assert audit_source(root).exit_code == 2
    with pytest.raises(ReleaseError, match=r"beach_00002.jpg: cannot be read \(No such file"):
        load_dataset("mlrsnet", "all", data_dir=str(root), cache_dir=cache)
    assert prepare(root, tmp_path / "out", skip_unreadable=True).card.total == 4


@pytest.mark.parametrize("scene", ["forest", "nowhere"])
def test_rows_of_one_table_that_belong_to_no_scene_are_refused(make_release: MakeRelease, scene: str) -> None:
    root = make_release(SCENES)
    one_table(root, "labels.csv", folder=f"{scene}/")
    if scene == "forest":
        with pytest.raises(ReleaseError, match=r"labels.csv, line 2: forest/beach_00001.jpg names the scene beach"):
            open_release(root)
    else:
        assert len(open_release(root).entries) == 5  # a folder of another name says nothing
        path = root / "labels.csv"
        path.write_text(path.read_text().replace("beach_00002", "x"))
        with pytest.raises(ReleaseError, match=r"labels.csv, line 3: neither the name 'x.jpg' nor"):
            open_release(root)


def test_parquet_copies_beside_other_files(make_release: MakeRelease, tmp_path: Path, cache: str) -> None:
    root = make_release(SCENES)
    expected = list(open_release(root).records())
    copy = prepare(root, tmp_path / "copy").folder
    first = source_fingerprint(copy)
    (copy / "loop").symlink_to(".")
    (copy / "runs/labels").mkdir(parents=True)
    (copy / "gone.parquet.link").symlink_to("/nowhere")
    (copy / "history.csv").write_text("x")
    pq.write_table(pa.table({"id": ["a"], "embedding": [[1.0]]}), copy / "embeddings.parquet")
    assert source_fingerprint(copy) == first
    assert list(open_release(copy).records()) == expected
    assert audit_source(copy).exit_code == 1
    loaded = load_dataset("mlrsnet", "all", data_dir=str(copy), cache_dir=cache, split="train")
    assert sorted(records_of(loaded)) == sorted_records(expected)
