"""Images by files, folders, patterns, archives and URLs."""

import io
import tarfile
import zipfile
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from mlrsnet_hf.errors import ConfigurationError, ImageError
from mlrsnet_hf.inputs.batches import Draw
from mlrsnet_hf.inputs.image_list import ArchivedBatches, ListedFiles, list_images


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 5, 3), number, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """tiles: b.png, sub/a.PNG, .hidden.png, .cache/c.png, notes.txt; and the same in a ZIP and a packed TAR."""
    tiles = tmp_path / "tiles"
    for number, name in enumerate(("b.png", "sub/a.PNG", ".hidden.png", ".cache/c.png", "notes.txt")):
        (tiles / name).parent.mkdir(parents=True, exist_ok=True)
        (tiles / name).write_bytes(png(number))
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("deep.png", png(7))
    with zipfile.ZipFile(tmp_path / "tiles.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("z/last.png", png(8))
        archive.writestr("inner.zip", inner.getvalue())
        archive.writestr("__MACOSX/z/._last.png", b"clutter")
        archive.writestr("first.jpg", png(9))
    with tarfile.open(tmp_path / "tiles.tar.gz", "w:gz") as archive:
        archive.add(tiles, "tiles")
    return tmp_path


def contents(words: list[str], size: int = 2) -> dict[str, bytes | ImageError | None]:
    """Return the files by id, as a loader gets them in batches of a size."""
    images = list_images(words)
    files = ListedFiles(images)
    draws: list[list[Draw]] = [
        [(0, row) for row in range(start, min(start + size, len(images)))] for start in range(0, len(images), size)
    ]
    found: dict[str, bytes | ImageError | None] = {}
    for batch in ArchivedBatches(draws, files):
        for draw in batch:
            found[images[draw[1]].id] = draw[2] if len(draw) == 3 else files[draw[1]]["bytes"]
    return found


def test_folders_files_and_patterns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert contents(["tiles"]) == {"tiles/b.png": png(0), "tiles/sub/a.PNG": png(1)}
    assert list(contents(["tiles/sub", "tiles"])) == ["tiles/sub/a.PNG", "tiles/b.png"]
    assert list(contents(["tiles/notes.txt"])) == ["tiles/notes.txt"], "a file that is named may be called anything"
    assert list(contents(["tiles/**/*.*"])) == ["tiles/b.png", "tiles/sub/a.PNG"]
    assert list(contents(["tiles/*"])) == ["tiles/b.png", "tiles/sub/a.PNG"], "a pattern may name folders"
    assert list(contents([f"file://{folder}/tiles/b.png", "tiles/b.png"])) == [f"{folder}/tiles/b.png"]
    (folder / "[1].png").write_bytes(png(3))
    assert list(contents(["[1].png"])) == ["[1].png"], "no pattern where there is such a file"


@pytest.mark.parametrize("size", [1, 2, 10])
def test_archives_and_archives_in_them(folder: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    expected = {
        "tiles.zip/z/last.png": png(8),
        "tiles.zip/inner.zip/deep.png": png(7),
        "tiles.zip/first.jpg": png(9),
        "tiles/b.png": png(0),
        "tiles.tar.gz/tiles/b.png": png(0),
        "tiles.tar.gz/tiles/sub/a.PNG": png(1),
    }
    assert contents(["tiles.zip", "tiles/b.png", "tiles.tar.gz"], size) == expected


def test_a_damaged_member_is_one_fault(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with zipfile.ZipFile("torn.zip", "w") as archive:
        for number in range(3):
            archive.writestr(f"{number}.png", png(number))
    whole = Path("torn.zip").read_bytes()
    place = whole.index(png(1)) + 30
    Path("torn.zip").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    found = contents(["torn.zip"])
    assert (found["torn.zip/0.png"], found["torn.zip/2.png"]) == (png(0), png(2))
    assert isinstance(found["torn.zip/1.png"], ImageError)


def test_urls() -> None:
    system = fsspec.filesystem("memory")
    for name in ("a.png", "sub/b.jpg", "notes.txt"):
        system.pipe(f"/place/{name}", png(5))
    assert contents(["memory://place"]) == {"memory:///place/a.png": png(5), "memory:///place/sub/b.jpg": png(5)}
    assert len(contents(["memory://place/*.png"])) == 1
    assert contents(["memory://place/notes.txt"]) == {"memory://place/notes.txt": png(5)}
    inside = io.BytesIO()
    with zipfile.ZipFile(inside, "w") as archive:
        archive.writestr("x/one.png", png(6))
    system.pipe("/place/far.zip", inside.getvalue())
    assert list(contents(["zip://x/*.png::memory://place/far.zip"]).values()) == [png(6)]
    with pytest.raises(ImageError, match="gone"):
        contents(["memory://place/gone.png"])
    with pytest.raises(ConfigurationError, match=r"far\.zip.*zip://"):
        list_images(["memory://place/far.zip"])
    with pytest.raises(ConfigurationError, match="nosuch"):
        list_images(["nosuch://place/*.png"])


def test_what_names_no_image(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "empty").mkdir()
    (folder / "no.zip").write_bytes(b"PK no archive")
    (folder / "table.csv").write_text("image,water\n")
    for words, named in (
        (["empty"], "empty"),
        (["nowhere.png"], "nowhere"),
        (["x" * 5000], "xxx"),
        (["tiles/*.bmp"], "bmp"),
        (["tiles", "no.zip"], "no.zip"),
        (["table.csv"], "--dataset table.csv"),
    ):
        with pytest.raises(ConfigurationError, match=named):
            list_images(words)
    assert len(list_images(["empty", "tiles"])) == 2


def test_a_name_that_is_no_text(folder: Path) -> None:
    try:
        (folder / "tiles" / b"caf\xe9.png".decode("utf-8", "surrogateescape")).write_bytes(png(4))
    except OSError:
        pytest.skip("this file system takes no such name")
    found = contents([str(folder / "tiles")])
    assert found[f"{folder}/tiles/caf\\xe9.png"] == png(4)
