import gzip
import io
import random
import re
import tarfile
from pathlib import Path

import pytest

from mlrsnet_hf.errors import ImageError, ReleaseError
from mlrsnet_hf.release.archives import base, tars
from mlrsnet_hf.release.archives.nested import NestedArchive, open_archive

FILES = {"beach/b_2.jpg": b"two" * 700, "./beach/b_1.jpg": b"one", "b_3.jpg": b""}
MEMBERS = {"beach/b_2.jpg": b"two" * 700, "beach/b_1.jpg": b"one", "b_3.jpg": b""}


def tar_of(files: dict[str, bytes | tarfile.TarInfo], mode: str = "w", form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=form) as archive:
        for name, content in files.items():
            if isinstance(content, bytes):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                content.name = name
                archive.addfile(content)
    return buffer.getvalue()


def special(kind: bytes, size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type, info.linkname, info.size = kind, "/etc/passwd", size
    return info


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize(
    ("suffix", "mode"), [(".tar", "w"), (".tar.gz", "w:gz"), (".TGZ", "w:gz"), (".tar.bz2", "w:bz2")]
)
def test_gives_what_was_put_in(tmp_path: Path, suffix: str, mode: str, form: int) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(tar_of({**FILES, "folder": special(tarfile.DIRTYPE)}, mode, form))
    archive = open_archive(path)
    assert [(m.path, m.size, m.fault) for m in archive.members()] == [(n, len(d), None) for n, d in MEMBERS.items()]
    assert dict(archive.read(list(MEMBERS))) == MEMBERS
    assert list(archive.read(["b_3.jpg", "nothing", "beach/b_1.jpg"])) == [("beach/b_1.jpg", b"one"), ("b_3.jpg", b"")]


def test_in_another_archive(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(tar_of({"Images/beach.tar.gz": tar_of(FILES, "w:gz")}))
    nested = NestedArchive(open_archive(path), "Images/beach.tar.gz")
    assert dict(nested.read(list(MEMBERS))) == MEMBERS


def test_long_names(tmp_path: Path) -> None:
    name = f"{'a' * 90}/{'b' * 200}/beach_00001.jpg"
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        (tmp_path / "x.tar").write_bytes(tar_of({name: b"x"}, form=form))
        assert dict(open_archive(tmp_path / "x.tar").read([name])) == {name: b"x"}


@pytest.mark.parametrize("path", ["../b.jpg", "a/../../b.jpg", "/b.jpg", "C:/b.jpg", "..\\b.jpg"])
def test_paths_that_lead_out_are_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "x.tar").write_bytes(tar_of({"a.jpg": b"a", path: b"b"}))
    with pytest.raises(ReleaseError, match=r"member '.*' has a path"):
        open_archive(tmp_path / "x.tar").members()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_not_read(tmp_path: Path, kind: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(tar_of({"b.jpg": special(kind), "a.jpg": b"a"}))
    archive = open_archive(tmp_path / "x.tar")
    found = dict(archive.read(["b.jpg", "a.jpg"]))
    assert found["a.jpg"] == b"a"
    assert re.search(r"member 'b.jpg' is a (link|device), not a plain file", str(found["b.jpg"]))
    assert [member.fault is None for member in archive.members()] == [False, True]


def test_absurd_claims_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.tar.gz"
    huge = special(tarfile.REGTYPE, size=base.MAX_FILE_BYTES + 1)
    huge.name = "b.jpg"
    path.write_bytes(gzip.compress(huge.tobuf() + bytes(base.MAX_FILE_BYTES + 2048)))
    (found,) = dict(open_archive(path).read(["b.jpg"])).values()
    assert re.search(r"'b.jpg' .*16,777,217 .* 16,777,216", str(found))
    header = special(tarfile.XHDTYPE, size=1 << 40).tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(gzip.compress(header + bytes(1 << 20)))
    with pytest.raises(ReleaseError, match=r"x.tar.gz: cannot be read as a TAR file"):
        open_archive(path).members()
    path.write_bytes(tar_of({"a.bin": bytes(5000), "b.jpg": b"b"}, "w:gz"))
    monkeypatch.setattr(tars, "MAX_BYTES", 4000)
    with pytest.raises(ReleaseError, match=r"x.tar.gz: .*more than 4,000 bytes"):
        open_archive(path).members()
    monkeypatch.setattr(base, "MAX_MEMBERS", 2)
    (tmp_path / "y.tar").write_bytes(tar_of(dict.fromkeys("abc", b"")))
    with pytest.raises(ReleaseError, match=r"y.tar: more than 2 members"):
        open_archive(tmp_path / "y.tar").members()


@pytest.mark.parametrize("content", [b"", b"no archive" * 99, b"\x1f\x8b\x08", b"BZh91AY", gzip.compress(b"no" * 999)])
def test_what_is_no_archive_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(ReleaseError, match=r"x.tar: cannot be read as a TAR file"):
        open_archive(tmp_path / "x.tar").members()


def test_a_pointer_is_called_that(tmp_path: Path) -> None:
    (tmp_path / "x.tgz").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid")
    with pytest.raises(ReleaseError, match=r"x.tgz: a Git LFS pointer"):
        open_archive(tmp_path / "x.tgz").members()


def test_damaged_archives_neither_crash_nor_lie(tmp_path: Path) -> None:
    seeds = [
        tar_of(FILES),
        tar_of(FILES, "w:gz"),
        tar_of(FILES, "w:bz2"),
        tar_of({"a" * 200: b"x"}, form=tarfile.GNU_FORMAT),
    ]
    path = tmp_path / "x.tar"
    dice = random.Random(4)
    outcomes = set()
    for trial in range(400):
        data = bytearray(seeds[trial % len(seeds)])
        for _ in range(dice.choice((1, 2, 8))):
            data[dice.randrange(min(len(data), 4000))] = dice.randrange(256)
        path.write_bytes(data[: dice.choice((len(data), len(data), dice.randrange(len(data))))])
        archive = open_archive(path)
        try:
            members = archive.members()
        except ReleaseError as error:
            assert "x.tar" in str(error)
            outcomes.add("refused")
            continue
        for name, content in archive.read([member.path for member in members]):
            sizes = [member.size for member in members if member.path == name]
            assert isinstance(content, ImageError) or len(content) in sizes
        outcomes.add("read")
    assert outcomes == {"read", "refused"}
