import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from mlrsnet_hf.errors import ImageError
from mlrsnet_hf.inputs.pixels import decoding
from mlrsnet_hf.inputs.pixels.decoding import decode_pixels, decode_rgb


def decoded(data: bytes) -> np.ndarray:
    return decode_pixels({"bytes": data, "path": None}, "x")


def pillow(data: bytes) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


@pytest.fixture
def fast_decoder_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where Pillow would be asked."""
    pytest.importorskip("simplejpeg")

    def refuse(source: object) -> None:
        raise AssertionError("read by Pillow")

    monkeypatch.setattr(decoding, "_decode_by_pillow", refuse)


@pytest.mark.parametrize("size", [(48, 48), (37, 51), (256, 256), (9, 2)])
@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0", "gray"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_pixels_are_pillows(
    size: tuple[int, int],
    sampling: str,
    progressive: bool,
    picture: Callable,
    encoded: Callable,
    fast_decoder_only: None,
) -> None:
    image = picture([0, 3], seed=1, size=size)
    image, options = (image.convert("L"), {}) if sampling == "gray" else (image, {"subsampling": sampling})
    for quality in (30, 75, 96):
        data = encoded(image, "JPEG", quality=quality, progressive=progressive, **options)
        assert np.array_equal(decoded(data), pillow(data))


def test_real_scenes_are_pillows(shared: Path, fast_decoder_only: None) -> None:
    files = sorted((shared / "data" / "ucm_release" / "Images").glob("*/*.jpg"))[::25]
    assert files
    for path in files:
        data = path.read_bytes()
        assert np.array_equal(decoded(data), pillow(data)), path


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_pillow_reads_what_the_fast_decoder_would_read_otherwise(
    mode: str, picture: Callable, encoded: Callable
) -> None:
    image = picture([0], seed=1, size=(40, 20)).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees
    for data in (encoded(image, "JPEG", exif=exif), encoded(image, "JPEG", exif=exif, keep_rgb=True)):
        assert decoded(data).shape == (40, 20, 3)
        assert np.array_equal(decoded(data), pillow(data))


@pytest.mark.parametrize(
    "before",
    [b"\xff\xfe\x00\x08\xff\xda\xff\xda\xff\xda", b"\xff\xff", b"\x00\x00", b"\xff\xd0"],
    ids=["scan's marker in a comment", "padding", "stray bytes", "marker without a length"],
)
def test_the_orientation_is_found_wherever_it_stands(before: bytes, picture: Callable, encoded: Callable) -> None:
    image, exif = picture([0], seed=1, size=(40, 20)), Image.Exif()
    exif[0x0112] = 6
    data = encoded(image, "JPEG", exif=exif)
    place = data.index(b"\xff\xe1")
    data = data[:place] + before + data[place:]
    assert np.array_equal(decoded(data), pillow(data))


def test_the_same_without_the_fast_decoder(
    monkeypatch: pytest.MonkeyPatch, picture: Callable, encoded: Callable
) -> None:
    data = encoded(picture([1], seed=2), "JPEG")
    expected = decoded(data)
    monkeypatch.setattr(decoding, "simplejpeg", None)
    assert np.array_equal(decoded(data), expected)
    assert "no simplejpeg" in decoding.decoder_version()


@pytest.mark.parametrize(("enough", "divisor"), [(241, 1), (240, 2), (121, 2), (120, 4), (60, 8), (7, 8)])
@pytest.mark.parametrize("mode", ["RGB", "L", "turned"])
def test_large_jpeg_files_are_decoded_at_a_fraction_of_their_size(
    enough: int, divisor: int, mode: str, monkeypatch: pytest.MonkeyPatch, picture: Callable, encoded: Callable
) -> None:
    image, exif = picture([0, 3], seed=1, size=(640, 480)), Image.Exif()
    if mode == "turned":
        exif[0x0112] = 6
    options = {} if mode == "L" else {"subsampling": "4:4:4"}
    data = encoded(image.convert("L" if mode == "L" else "RGB"), "JPEG", quality=90, exif=exif, **options)
    whole = pillow(data)
    found = decode_pixels({"bytes": data, "path": None}, "x", enough=enough)
    assert found.shape == (whole.shape[0] // divisor, whole.shape[1] // divisor, 3)
    # The decoder's average of squares, in frequencies, beside that of the decoded pixels.
    squares = np.asarray(Image.fromarray(whole).reduce(divisor))
    assert np.abs(found.astype(int) - squares).mean() < 3
    monkeypatch.setattr(decoding, "simplejpeg", None)
    assert np.array_equal(decode_pixels({"bytes": data, "path": None}, "x", enough=enough), found)
    png = encoded(image, "PNG")
    assert np.array_equal(decode_pixels({"bytes": png, "path": None}, "x", enough=enough), np.asarray(image))


@pytest.mark.parametrize("size", [(333, 517), (1031, 515)])
def test_fractions_of_odd_sizes_are_the_same_by_both_decoders(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch, picture: Callable, encoded: Callable
) -> None:
    image = {"bytes": encoded(picture([0, 3], seed=1, size=size), "JPEG"), "path": None}
    found = [decode_pixels(image, "x", enough=enough) for enough in (20, 40, 80, 160)]
    assert all(min(pixels.shape[:2]) >= enough for enough, pixels in zip((20, 40, 80, 160), found, strict=True))
    monkeypatch.setattr(decoding, "simplejpeg", None)
    for enough, pixels in zip((20, 40, 80, 160), found, strict=True):
        assert np.array_equal(decode_pixels(image, "x", enough=enough), pixels)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "1"])
def test_any_mode_becomes_rgb(mode: str, picture: Callable, encoded: Callable) -> None:
    image = picture([1], seed=2).convert(mode)
    pixels = decoded(encoded(image, "PNG"))
    assert np.array_equal(pixels, np.asarray(image.convert("RGB")))
    assert pixels.flags.writeable


def test_alpha_is_dropped_and_the_colors_under_it_stay(encoded: Callable) -> None:
    data = encoded(Image.new("RGBA", (2, 2), (10, 200, 30, 0)))
    assert (decoded(data) == (10, 200, 30)).all()
    palette = Image.new("P", (2, 2), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    assert (decoded(encoded(palette, "PNG", transparency=1)) == (10, 200, 30)).all()


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_damaged_image_is_named(kept: float, file_format: str, picture: Callable, encoded: Callable) -> None:
    data = encoded(picture([0], seed=4), file_format)
    data = data[: int(kept * len(data))]
    with pytest.raises(ImageError, match=r"'scene_7' \(scene_7\.jpg\)"):
        decode_pixels({"bytes": data, "path": "scene_7.jpg"}, "scene_7")


def test_what_is_no_image_is_told_without_an_address() -> None:
    with pytest.raises(ImageError, match="'x'") as caught:
        decoded(b"<html>not found</html>")
    assert "object at 0x" not in str(caught.value)


def test_an_image_too_large_for_pillow_is_too_large_for_both(
    monkeypatch: pytest.MonkeyPatch, picture: Callable, encoded: Callable
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ImageError, match=r"'x' .*2000 pixels"):
        decoded(encoded(picture([0], seed=4), "JPEG"))


def test_an_image_is_decoded_to_pillows_type(picture: Callable, encoded: Callable) -> None:
    image = decode_rgb({"bytes": encoded(picture([1], seed=2)), "path": None}, "x")
    assert image.mode == "RGB"
    assert np.array_equal(image, picture([1], seed=2))


def test_image_by_path(tmp_path: Path, picture: Callable, encoded: Callable) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(picture([], seed=3)))
    assert np.array_equal(decode_pixels({"bytes": None, "path": str(path)}, "a"), np.asarray(picture([], seed=3)))
    with pytest.raises(ImageError, match=r"gone\.jpg"):
        decode_pixels({"bytes": None, "path": str(tmp_path / "gone.jpg")}, "gone")
