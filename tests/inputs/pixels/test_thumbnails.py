"""Small pictures: made once, of the right size, and whole whatever happens to their folder."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from mlrsnet_hf.errors import ImageError
from mlrsnet_hf.inputs.pixels import thumbnails
from mlrsnet_hf.inputs.pixels.thumbnails import Thumbnails


def test_a_thumbnail_is_made_once(
    tmp_path: Path, picture: Callable, encoded: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encoded(picture([1], 0, (300, 200)))
    made = Thumbnails(tmp_path / "small", side=60)
    first = made.jpeg({"bytes": content, "path": None}, "one")
    with Image.open(io.BytesIO(first)) as small:
        assert (small.format, small.size) == ("JPEG", (60, 40))
    monkeypatch.setattr(thumbnails, "decode_rgb", None)  # would fail
    path = tmp_path / "one.png"
    path.write_bytes(content)
    assert made.jpeg({"bytes": None, "path": str(path)}, "the same elsewhere") == first
    with pytest.raises(TypeError):
        Thumbnails(tmp_path / "small", side=61).jpeg({"bytes": content, "path": None}, "another size")


def test_many_at_once_and_a_folder_that_cannot_be_written(tmp_path: Path, picture: Callable, encoded: Callable) -> None:
    content = encoded(picture([2], 1))
    (tmp_path / "file").write_text("in the way")
    expected = Thumbnails(tmp_path / "other").jpeg({"bytes": content, "path": None}, "one")
    for folder in (tmp_path / "small", tmp_path / "file"):
        made = Thumbnails(folder)
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda _: made.jpeg({"bytes": content, "path": None}, "one"), range(40)))  # noqa: B023
        assert set(found) == {expected}


def test_what_is_no_image(tmp_path: Path) -> None:
    for image in ({"bytes": b"no image", "path": None}, {"bytes": None, "path": str(tmp_path / "gone.jpg")}):
        with pytest.raises(ImageError, match="'it'"):
            Thumbnails(tmp_path / "small").jpeg(image, "it")
    assert not list(tmp_path.rglob("*.jpg"))
