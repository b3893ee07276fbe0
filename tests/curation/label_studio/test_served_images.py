"""Pictures under names that tell nothing: linked below the document root, and served by a real server."""

import errno
import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import numpy as np
import pytest
from PIL import Image

from mlrsnet_hf.curation.label_studio.served_images import ROOT_VARIABLE, ServedImages, opaque_name, serve_images
from mlrsnet_hf.curation.label_studio.server import connect
from mlrsnet_hf.curation.label_studio.tasks import Task
from mlrsnet_hf.errors import ConfigurationError, ImageError
from tests.conftest import jpeg_bytes
from tests.curation.label_studio.test_server import CONFIG
from tests.curation.label_studio_server import LabelStudioServer

NAMES = ["airport/airport_00001.jpg", "beach/a b#&'\"<script>.JPG", "beach/überall ✈.png", "beach/line\nend.jpg"]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(jpeg_bytes((number * 40, 0, 0)))
    return tmp_path / "images"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path / "root"))
    return tmp_path / "root"


def local(served: ServedImages, root: Path) -> dict[str, Path]:
    """The file behind each address."""
    return {name: root / parse_qs(urlsplit(url).query)["d"][0] for name, url in served.addresses.items()}


def test_links_tell_nothing_and_are_the_images(images: Path, root: Path) -> None:
    links = root / "study" / "images"
    served = serve_images(images, NAMES, links)
    assert served.folder == links
    for name, path in local(served, root).items():
        assert path.samefile(images / name)
        assert path.stem == opaque_name(name) and path.suffix == Path(name).suffix.lower()
    text = " ".join(served.addresses.values())
    assert not any(word in text for word in ("airport", "beach", "script", "00001"))
    assert len(set(served.addresses.values())) == len(NAMES)
    again = serve_images(images, [*NAMES[2:], *NAMES[:2]], links)
    assert again.addresses == served.addresses
    assert sorted(path.name for path in links.iterdir()) == sorted(path.name for path in local(served, root).values())


def test_a_changed_image_is_linked_anew(images: Path, root: Path) -> None:
    links = root / "links"
    served = serve_images(images, NAMES, links)
    (images / "new").write_bytes(b"another picture")
    (images / "new").replace(images / NAMES[0])
    assert serve_images(images, NAMES, links) == served
    assert local(served, root)[NAMES[0]].read_bytes() == b"another picture"


def test_a_changed_image_of_the_same_time_is_linked_anew(images: Path, root: Path) -> None:
    """Archives give all files one time."""
    served = serve_images(images, NAMES, root / "links")
    other, stamp = images / "new", (images / NAMES[0]).stat()
    other.write_bytes(b"another picture")
    os.utime(other, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    other.replace(images / NAMES[0])
    serve_images(images, NAMES, root / "links")
    assert local(served, root)[NAMES[0]].read_bytes() == b"another picture"


def test_browsers_are_shown_what_the_values_are(images: Path, root: Path) -> None:
    """Values of 16 bits are stretched, as the reports show them, not cut off at 255."""
    pytest.importorskip("rasterio")
    values = np.linspace(300, 3000, 64 * 64, dtype=np.uint16).reshape(64, 64)
    Image.fromarray(values).save(images / "wide.tif")
    [path] = local(serve_images(images, ["wide.tif"], root / "links"), root).values()
    shown = np.asarray(Image.open(path).convert("L"))
    assert shown[0, 0] < 10 and shown[-1, -1] > 245 and len(np.unique(shown)) > 100
    assert path.suffix == ".png" and path.stat().st_mtime_ns == (images / "wide.tif").stat().st_mtime_ns


@pytest.mark.parametrize("kind", ["too large", "cut short"])
def test_what_cannot_be_shown_is_told(kind: str, images: Path, root: Path) -> None:
    if kind == "too large":
        Image.new("1", (20_000, 20_000)).save(images / "bad.tif", compression="group4")
    else:
        Image.new("RGB", (64, 64), "red").save(images / "bad.tif")
        (images / "bad.tif").write_bytes((images / "bad.tif").read_bytes()[:200])
    with pytest.raises(ImageError, match=r"bad\.tif"):
        serve_images(images, ["bad.tif"], root / "links")


def test_another_disk_gets_copies(images: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_link)
    for _ in range(2):
        served = serve_images(images, NAMES, root / "links")
        for name, path in local(served, root).items():
            assert not path.samefile(images / name) and path.read_bytes() == (images / name).read_bytes()
    (images / NAMES[0]).write_bytes(b"larger or smaller")
    assert local(serve_images(images, NAMES, root / "links"), root)[NAMES[0]].read_bytes() == b"larger or smaller"


def test_a_symbolic_link_is_followed(images: Path, root: Path, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"kept elsewhere")
    (images / "linked.jpg").symlink_to(tmp_path / "blob")
    [path] = local(serve_images(images, ["linked.jpg"], root / "links"), root).values()
    assert not path.is_symlink() and path.samefile(tmp_path / "blob")


@pytest.mark.parametrize("source", ["folder", "https://example.org/pictures/"])
@pytest.mark.parametrize("name", ["../a.jpg", "a/../../b.jpg", "/etc/passwd", "", "..", "a\\..\\..\\b.jpg", "a\0.jpg"])
def test_names_that_leave_the_set(source: str, name: str, images: Path, root: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        serve_images(images if source == "folder" else source, [NAMES[0], name], root / "links")
    assert "\n" not in str(caught.value) and repr(name)[1:-1] in str(caught.value)
    assert not root.exists(), "refused before anything is made"


def test_a_url_is_escaped() -> None:
    served = serve_images("https://example.org/pictures/", NAMES, Path("unused"))
    assert served.folder is None and not Path("unused").exists()
    assert served.addresses[NAMES[0]] == "https://example.org/pictures/airport/airport_00001.jpg"
    assert served.addresses[NAMES[1]] == "https://example.org/pictures/beach/a%20b%23%26%27%22%3Cscript%3E.JPG"


def test_what_is_missing_or_in_the_wrong_place(images: Path, root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"beach/gone\.jpg"):
        serve_images(images, ["beach/gone.jpg"], root / "links")
    for links in (tmp_path / "elsewhere", root, tmp_path / "root2" / "links"):
        with pytest.raises(ConfigurationError, match=ROOT_VARIABLE):
            serve_images(images, NAMES, links)


@pytest.mark.label_studio
def test_the_server_shows_them_to_who_has_signed_up(
    images: Path, label_studio: LabelStudioServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, str(label_studio.documents))
    served = serve_images(images, NAMES, label_studio.documents / "shown" / "images")
    server = connect(label_studio.url, label_studio.key)
    tasks = [Task(key=opaque_name(name), data={"image": served.addresses[name]}) for name in NAMES]
    project = server.fill_project("pictures", CONFIG, tasks, folder=served.folder)
    assert server.fill_project("pictures", CONFIG, tasks, folder=served.folder) == project
    person = label_studio.sign_up("looks")
    task = person.next_task(project)
    assert task is not None
    assert "airport" not in str(task) and "beach" not in str(task)
    for name in NAMES:
        address = label_studio.url + served.addresses[name]
        shown = httpx.get(address, headers={"Authorization": f"Token {person.key}"}, timeout=60)
        assert (shown.status_code, shown.content) == (200, (images / name).read_bytes())
        assert httpx.get(address, timeout=60).status_code == 401


@pytest.mark.label_studio
def test_pictures_that_the_server_does_not_serve(
    images: Path, label_studio: LabelStudioServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = connect(label_studio.url, label_studio.key)
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    away = serve_images(images, NAMES, tmp_path / "away")
    task = Task(key="a", data={"image": away.addresses[NAMES[0]]})
    with pytest.raises(ConfigurationError, match=ROOT_VARIABLE):  # the server's root is another
        server.fill_project("pictures elsewhere", CONFIG, [task], folder=away.folder)
    monkeypatch.setenv(ROOT_VARIABLE, str(label_studio.documents.parent))
    near = serve_images(images, NAMES, label_studio.documents / "near")
    task = Task(key="a", data={"image": near.addresses[NAMES[0]]})
    with pytest.raises(ConfigurationError, match=ROOT_VARIABLE):  # so that addresses begin elsewhere
        server.fill_project("pictures near", CONFIG, [task], folder=near.folder)
