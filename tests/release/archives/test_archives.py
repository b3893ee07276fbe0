import io
import os
import random
import re
import stat
import struct
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mlrsnet_hf.errors import ImageError, ReleaseError
from mlrsnet_hf.release.archives import base as archives
from mlrsnet_hf.release.archives.nested import Archive, NestedArchive, open_archive

MakeRar = Callable[[Mapping[str, Any]], bytes]
FILES = {"beach/b_2.jpg": b"two" * 700, "beach/b_1.jpg": b"one", "b_3.jpg": b""}


def write_zip(path: Path, files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of our own for temporary files, to see what stays in it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def refused(path: Path) -> str:
    """Return why the only member of an archive is not read, as the listing and as reading say it."""
    archive = open_archive(path)
    (member,) = archive.members()
    ((_, found),) = archive.read([member.path])
    assert isinstance(found, ImageError)
    assert str(found) == str(member.fault)
    with pytest.raises(ReleaseError):
        archive.copy_member(member.path, io.BytesIO())
    return str(found)


def contents(archive: Archive) -> dict[str, bytes | ImageError]:
    return dict(archive.read([member.path for member in archive.members()]))


def test_zip_gives_what_was_put_in(tmp_path: Path) -> None:
    archive = open_archive(write_zip(tmp_path / "x.ZIP", FILES))
    assert [(m.path, m.size) for m in archive.members()] == [(name, len(data)) for name, data in FILES.items()]
    assert contents(archive) == FILES
    assert list(archive.read(["b_3.jpg", "nothing.jpg", "beach/b_2.jpg"])) == [
        ("b_3.jpg", b""),
        ("beach/b_2.jpg", FILES["beach/b_2.jpg"]),
    ]


def test_rar_gives_what_was_put_in(make_rar: MakeRar, tmp_path: Path) -> None:
    path = tmp_path / "x.RAR"
    path.write_bytes(make_rar(FILES))
    archive = open_archive(path)
    assert [(m.path, m.size) for m in archive.members()] == [(name, len(data)) for name, data in FILES.items()]
    assert contents(archive) == FILES
    assert list(archive.read(["b_3.jpg", "nothing.jpg", "beach/b_2.jpg"])) == [
        ("beach/b_2.jpg", FILES["beach/b_2.jpg"]),
        ("b_3.jpg", b""),
    ]


def test_solid_rar_is_read_from_any_member_on(solid_rar: Path) -> None:
    text = b"".join(b"%03d\n" % i for i in range(512))
    archive = open_archive(solid_rar)
    assert contents(archive) == {"stest1.txt": text, "stest2.txt": text}
    assert list(archive.read(["stest2.txt"])) == [("stest2.txt", text)]


def test_archive_in_an_archive_is_copied_and_the_copy_removed(
    make_rar: MakeRar, tmp_path: Path, temporary: Path
) -> None:
    outer = open_archive(write_zip(tmp_path / "x.zip", {"Images/beach.rar": make_rar(FILES)}))
    nested = NestedArchive(outer, "Images/beach.rar")
    assert contents(nested) == FILES
    reading = nested.read(list(FILES))
    next(reading)
    assert len(list(temporary.iterdir())) == 1
    reading.close()  # type: ignore[attr-defined]
    assert list(temporary.iterdir()) == []


def test_full_temporary_folder_is_named(tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outer = open_archive(write_zip(tmp_path / "x.zip", {"beach.zip": b"x"}))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outer, "copy_member", full)
    with pytest.raises(ReleaseError, match=r"beach.zip: .*No space left.* TMPDIR"):
        NestedArchive(outer, "beach.zip").members()
    assert list(temporary.iterdir()) == []


PATHS = ["../b.jpg", "a/../../b.jpg", "/b.jpg", "C:/b.jpg", "C:\\b.jpg", "..\\b.jpg", "\\\\host\\b.jpg", "a/.."]


@pytest.mark.parametrize("path", PATHS)
def test_paths_that_lead_out_are_refused(make_rar: MakeRar, tmp_path: Path, path: str) -> None:
    rar = tmp_path / "x.rar"
    rar.write_bytes(make_rar({"a.jpg": b"a", path: b"b"}))
    for archive in (rar, write_zip(tmp_path / "x.zip", {"a.jpg": b"a", path: b"b"})):
        with pytest.raises(ReleaseError, match=r"member '.*' .* path"):
            open_archive(archive).members()


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR])
def test_links_and_devices_are_refused(
    make_rar: MakeRar, rar_member: Callable[..., Any], tmp_path: Path, mode: int
) -> None:
    rar = tmp_path / "x.rar"
    rar.write_bytes(make_rar({"b.jpg": rar_member(b"/etc/passwd", mode=mode | 0o644)}))
    info = zipfile.ZipInfo("b.jpg")
    info.create_system, info.external_attr = 3, (mode | 0o644) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    for path in (rar, tmp_path / "x.zip"):
        assert re.search(r"member 'b.jpg' is a (link|device)", refused(path))


def test_link_record_of_rar5_is_refused(make_rar5: MakeRar, rar_member: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "x.rar").write_bytes(make_rar5({"b.jpg": rar_member(link_to="../../x")}))
    assert "member 'b.jpg' is a link" in refused(tmp_path / "x.rar")


def test_absurd_sizes_are_refused(
    make_rar: MakeRar, rar_member: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rar = tmp_path / "x.rar"
    rar.write_bytes(make_rar({"b.jpg": rar_member(b"b", size=archives.MAX_FILE_BYTES + 1)}))
    zeros = write_zip(tmp_path / "x.zip", {"b.jpg": bytes(archives.MAX_FILE_BYTES + 1)})
    assert zeros.stat().st_size < 20_000
    for path in (rar, zeros):
        assert re.search(r"'b.jpg' .*16,777,217 .* 16,777,216", refused(path))

    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    rar.write_bytes(make_rar(FILES))
    for path in (rar, write_zip(tmp_path / "y.zip", FILES)):
        with pytest.raises(ReleaseError, match=r": .* 2 members"):
            open_archive(path).members()


def test_name_that_is_no_text_is_refused(make_rar: MakeRar, tmp_path: Path) -> None:
    """Four bytes built like UTF-8 that stand for no character: beyond U+10FFFF."""
    (tmp_path / "x.rar").write_bytes(
        make_rar({"a.jpg": b"", b"\xf7\xbf\xbf\xbf.jpg".decode(errors="surrogateescape"): b""})
    )
    try:
        names = [member.path.casefold() for member in open_archive(tmp_path / "x.rar").members()]
    except ReleaseError as error:
        assert "a name in it is no text" in str(error)
    else:
        assert names[0] == "a.jpg"


def test_large_dictionary_is_refused(make_rar5: MakeRar, rar_member: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "x.rar").write_bytes(make_rar5({"b.jpg": rar_member(b"b", dictionary=15)}))
    with pytest.raises(ReleaseError, match=r"4,096 MiB .* 256"):
        open_archive(tmp_path / "x.rar").members()


def test_more_than_declared_is_never_read(make_rar: MakeRar, rar_member: Callable[..., Any], tmp_path: Path) -> None:
    """A bomb: the header claims a few bytes, the data unpacks to many."""
    path = write_zip(tmp_path / "x.zip", {"b.jpg": bytes(8 << 20)})
    data = path.read_bytes()
    assert data.count(struct.pack("<I", 8 << 20)) == 2  # in the member's header and in the directory
    path.write_bytes(data.replace(struct.pack("<I", 8 << 20), struct.pack("<I", 100)))
    rar = tmp_path / "x.rar"
    for size in (4, 6):
        rar.write_bytes(make_rar({"b.jpg": rar_member(b"12345", size=size)}))
        for archive in (open_archive(path), open_archive(rar)):
            assert archive.members()[0].size in (100, size)
            (found,) = contents(archive).values()
            assert isinstance(found, ImageError)
            assert re.search(r"x\.(zip|rar)/b.jpg: cannot be read", str(found))


def test_damaged_member_is_named_and_the_others_are_read(
    make_rar: MakeRar, rar_member: Callable[..., Any], tmp_path: Path
) -> None:
    rar = tmp_path / "x.rar"
    rar.write_bytes(make_rar({"a.jpg": b"a", "b.jpg": rar_member(b"b", crc=1), "c.jpg": b"c"}))
    path = write_zip(tmp_path / "x.zip", {"a.jpg": b"a", "b.jpg": b"good", "c.jpg": b"c"}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"good", b"evil"))
    for archive in (rar, path):
        found = contents(open_archive(archive))
        assert (found["a.jpg"], found["c.jpg"]) == (b"a", b"c")
        assert isinstance(found["b.jpg"], ImageError)
        assert f"{archive}/b.jpg: cannot be read" in str(found["b.jpg"])


@pytest.mark.parametrize("suffix", [".rar", ".zip"])
@pytest.mark.parametrize("content", [b"", b"Rar!\x1a\x07", b"PK\x03\x04", b"no archive" * 99])
def test_what_is_no_archive_is_named(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    with pytest.raises(ReleaseError, match=rf"x{suffix}: .* {suffix[1:].upper()} file"):
        open_archive(path).members()


def test_without_unrar_the_error_says_what_to_install(
    make_rar5: MakeRar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.rar").write_bytes(make_rar5(FILES))
    monkeypatch.setitem(sys.modules, "unrar.cffi", None)
    with pytest.raises(ReleaseError, match=r"UnRAR.*pip install unrar2-cffi"):
        open_archive(tmp_path / "x.rar").members()


def damaged(data: bytes, dice: random.Random) -> bytes:
    """Return an archive with some of its bytes changed, lost or added."""
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 8))):
        at = dice.randrange(len(out) or 1)
        change = dice.randrange(5)
        if change == 0:
            out[at : at + 1] = bytes([dice.randrange(256)])
        elif change == 1:
            del out[at:]
        elif change == 2:
            del out[at : at + dice.randrange(1, 20)]
        elif change == 3:
            out[at:at] = dice.randbytes(dice.randrange(1, 20))
        else:
            out[at : at + 4] = dice.choice((b"\xff\xff\xff\xff", bytes(4), b"\xff\xff\xff\x7f"))
    return bytes(out)


def with_right_sums(data: bytes) -> bytes:
    """Return a RAR file of format 5 whose blocks all carry the checksum of what now stands in their header.

    Else most damage would be found by the header's checksum alone, and nothing behind it would be tried.
    """
    out, at = bytearray(data), 8
    while at + 7 < len(out):
        size = out[at + 4]
        if size > 0x7F or at + 5 + size > len(out):
            break
        out[at : at + 4] = struct.pack("<I", zlib.crc32(out[at + 4 : at + 5 + size]))
        kind, flags = out[at + 5], out[at + 6]
        packed = out[at + 7] if kind == 2 and flags == 2 and out[at + 7] < 0x80 else 0
        at += 5 + size + packed
    return bytes(out)


def test_damaged_archives_neither_crash_nor_write(
    make_rar: MakeRar, make_rar5: MakeRar, solid_rar: Path, tmp_path: Path, temporary: Path
) -> None:
    small = {"beach/b_1.jpg": b"\xff\xd8 one", "b_2.jpg": b"two" * 9, "../b_3.jpg": b"three"}
    packed = write_zip(tmp_path / "seed.zip", small).read_bytes()
    stored = write_zip(tmp_path / "seed.zip", {"beach.rar": make_rar(small)}, zipfile.ZIP_STORED).read_bytes()
    seeds = [
        (".zip", packed),
        (".zip", stored),
        (".rar", make_rar(small)),
        (".rar", make_rar5({"b_1.jpg": b"one", "b_2.jpg": b"two"})),
        (".rar", solid_rar.read_bytes()),
    ]
    inside = tmp_path / "target"
    inside.mkdir()
    before = sorted(path for path in tmp_path.rglob("*"))
    dice = random.Random(5)
    outcomes = set()
    for trial in range(600):
        suffix, seed = seeds[trial % len(seeds)]
        data = damaged(seed, dice)
        path = inside / f"x{suffix}"
        path.write_bytes(with_right_sums(data) if trial % 2 and data.startswith(b"Rar!\x1a\x07\x01") else data)
        try:
            archive = open_archive(path)
            members = archive.members()
            found = dict(archive.read([member.path for member in members]))
            for member in members:
                content = found.get(member.path, b"")
                assert isinstance(content, ImageError) or len(content) <= member.size
                if member.path.endswith(".rar"):
                    NestedArchive(archive, member.path).members()
            outcomes.add("read")
        except ReleaseError:
            outcomes.add("refused")
        path.unlink()
    assert outcomes == {"read", "refused"}
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_real_rar_files() -> None:
    """The RAR files of rarfile's source distribution, against the checksums that stand beside them.

    To run it: pip download --no-binary :all: --no-deps rarfile, unpack that, and set MLRSNET_RAR_FILES to its
    test/files.
    """
    if "MLRSNET_RAR_FILES" not in os.environ:
        pytest.skip("needs MLRSNET_RAR_FILES, the folder test/files of rarfile's source distribution")
    folder = Path(os.environ["MLRSNET_RAR_FILES"])
    refused, compared = [], 0
    for path in sorted(folder.glob("*.rar")):
        try:
            found = contents(open_archive(path))
        except ReleaseError:
            refused.append(path.name)
            continue
        listing = path.with_name(f"{path.name}.exp").read_text()
        for name, crc in re.findall(r"name=(.*)\n(?:  .*\n)*?  crc=0x([0-9a-f]+)", listing):
            content = found.get(name)
            if content is not None:
                assert isinstance(content, bytes)
                assert zlib.crc32(content) == int(crc, 16), (path.name, name)
                compared += 1
    assert compared > 20
    reasons = r"rar15|rar202|psw|vols|old|link|dups"  # before RAR 2, encrypted, of several volumes, with links
    assert [name for name in refused if not re.search(reasons, name)] == []
