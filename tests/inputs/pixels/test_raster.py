"""Images that are not 8-bit RGB: refused with what reads them, or read as the settings say. All values by hand."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlrsnet_hf.errors import ImageError
from mlrsnet_hf.inputs.pixels import decoding, raster
from mlrsnet_hf.inputs.pixels.decoding import band_values, decode_pixels, decode_rgb, file_contents
from mlrsnet_hf.inputs.pixels.reading import Reading

rasterio = pytest.importorskip("rasterio", reason='needs the extra "geo"')

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

RANGE = ((0.0, 3000.0),)
REFLECTANCE = np.array([[0, 1500], [3000, 4095]], np.uint16)
LEVELS = [[0, 128], [255, 255]]  # 1500 is 127.5, which rounds to the even 128


def bands_of(*bands: Any, kind: Any = None, driver: str = "GTiff", **profile: Any) -> bytes:  # noqa: ANN401
    """Return an image file of some bands."""
    values = np.stack([np.asarray(band, kind) for band in bands])
    with rasterio.MemoryFile() as memory:
        shape = {"count": len(values), "height": values.shape[1], "width": values.shape[2]}
        with memory.open(driver=driver, dtype=values.dtype, **shape, **profile) as file:
            file.write(values)
        return memory.read()


def decoded(data: bytes, **reading: Any) -> np.ndarray:  # noqa: ANN401
    return decode_pixels({"bytes": data, "path": "a.tif"}, "scene_7", Reading(**reading))


def ramp(count: int, kind: Any = np.uint16) -> bytes:  # noqa: ANN401
    """Return a file whose band b holds the values 100 b and 100 b + 1."""
    return bands_of(*([[100 * band, 100 * band + 1]] for band in range(1, count + 1)), kind=kind)


# ------------------------------------------------------------------------------------------------- refused in words

TINY = np.arange(4).reshape(2, 2)
FOREIGN = {
    "uint16": (
        lambda: bands_of(REFLECTANCE),
        "1 band of uint16 with values from 0 to 4095",
        "--value-range, such as 0,4095",
    ),
    "uint16 PNG, big-endian": (
        lambda: bands_of(REFLECTANCE, driver="PNG"),
        "uint16 with values from 0 to 4095",
        "--value-range",
    ),
    "uint16 RGB PNG": (lambda: bands_of(*[REFLECTANCE] * 3, driver="PNG"), "3 bands of uint16", "--value-range"),
    "uint16 RGBA PNG": (lambda: bands_of(*[REFLECTANCE] * 4, driver="PNG"), "3 bands of uint16", "--value-range"),
    "uint16 RGB TIFF": (lambda: bands_of(*[REFLECTANCE] * 3, photometric="RGB"), "3 bands of uint16", "--value-range"),
    "uint16 RGB LZW": (
        lambda: bands_of(*[REFLECTANCE] * 3, photometric="RGB", compress="lzw"),
        "3 bands of uint16",
        "--value-range",
    ),
    "12 bits": (lambda: bands_of(REFLECTANCE, nbits=12), "uint16 with values from 0 to 4095", "--value-range"),
    "uint16 RGB JPEG 2000": (
        lambda: bands_of(*[REFLECTANCE] * 3, driver="JP2OpenJPEG"),
        "3 bands of uint16",
        "--value-range",
    ),
    "int8": (lambda: bands_of(TINY - 2, kind=np.int8), "int8 with values from -2 to 1", "--value-range"),
    "int16": (lambda: bands_of(TINY - 2000, kind=np.int16), "int16 with values from -2000 to -1997", "--value-range"),
    "int32": (lambda: bands_of(TINY, kind=np.int32), "int32 with values from 0 to 3", "--value-range"),
    "float32": (lambda: bands_of(TINY / 4, kind=np.float32), "float32 with values from 0 to 0.75", "--value-range"),
    "float32 RGB": (lambda: bands_of(*[TINY / 4] * 3, kind=np.float32), "3 bands of float32", "--value-range"),
    "float64": (lambda: bands_of(TINY / 4, kind=np.float64), "float64 with values from 0 to 0.75", "--value-range"),
    "RGB and NIR, uint8": (
        lambda: bands_of(*[TINY] * 4, kind=np.uint8, photometric="MINISBLACK"),
        "4 bands of uint8",
        "--bands, such as 4,3,2",
    ),
    "13 bands, uint8": (lambda: bands_of(*[TINY] * 13, kind=np.uint8), "13 bands of uint8", "--bands"),
    "13 bands, uint16": (lambda: ramp(13), "13 bands of uint16 with values from 100 to 1301", "--bands"),
    "complex": (lambda: bands_of(TINY, kind=np.complex64), "complex64", "store their amplitude"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_not_8_bit_is_refused_with_what_reads_it(name: str, capfd: pytest.CaptureFixture) -> None:
    make, found, remedy = FOREIGN[name]
    with pytest.raises(ImageError) as caught:
        decoded(make())
    assert "'scene_7' (a.tif) has" in caught.value.found
    assert found in caught.value.found
    assert remedy in caught.value.remedy
    assert "whole copy" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_pnm_file_of_16_bits_is_refused() -> None:
    with pytest.raises(ImageError, match="3 bands of uint16 with values from 1 to 300"):
        decoded(b"P6 1 1 65535\n" + np.array([1, 2, 300], ">u2").tobytes())


@pytest.mark.parametrize("make", [lambda: ramp(13), lambda: bands_of(REFLECTANCE), lambda: bands_of(*[TINY / 4] * 3)])
def test_without_rasterio_its_extra_is_named(make: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    data = make()
    for module in (raster, decoding):
        monkeypatch.setattr(module, "has_rasterio", lambda: False)
    with pytest.raises(ImageError, match=r"mlrsnet-hf\[geo\].*--value-range.*--bands"):
        decoded(data)


@pytest.mark.parametrize("cut", [0.3, 0.7])
@pytest.mark.parametrize("reading", [{}, {"bands": (4, 3, 2), "value_range": RANGE}])
def test_a_file_that_is_cut_off_is_called_that(cut: float, reading: dict, capfd: pytest.CaptureFixture) -> None:
    data = bands_of(*np.random.default_rng(0).integers(0, 3000, (13, 32, 32)), kind=np.uint16, compress="lzw")
    with pytest.raises(ImageError, match=r"scene_7.*cannot be read.*whole copy"):
        decoded(data[: int(cut * len(data))], **reading)
    assert capfd.readouterr() == ("", "")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("driver", ["GTiff", "PNG", "JP2OpenJPEG"])
def test_a_damaged_file_is_pixels_or_one_error(driver: str) -> None:
    draw = np.random.default_rng(7)
    whole = bands_of(*draw.integers(0, 3000, (3, 16, 16)), kind=np.uint16, driver=driver)
    for _ in range(60):
        data = bytearray(whole)
        for place in draw.integers(0, len(data), 3):
            data[place] = draw.integers(256)
        data = data[: draw.integers(len(data) // 2, len(data) + 1)]
        for reading in ({}, {"value_range": RANGE}, {"bands": (3, 1), "value_range": RANGE}):
            try:
                assert decoded(bytes(data), **reading).dtype == np.uint8
            except ImageError as error:
                assert "'scene_7' (a.tif)" in str(error)
                assert "vsimem" not in str(error)


def test_a_file_may_not_lead_gdal_to_other_files() -> None:
    source = b'<VRTDataset rasterXSize="1" rasterYSize="1"><VRTRasterBand dataType="Byte" band="1"/></VRTDataset>'
    with pytest.raises(ImageError, match="no format"):
        decoded(source, value_range=RANGE)


def test_too_many_pixels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bands_of(np.zeros((10, 10)), kind=np.uint16)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 49)
    with pytest.raises(ImageError, match="100 pixels"):
        decoded(data, value_range=RANGE)


# ------------------------------------------------------------------------------------------------- read as it is said


@pytest.mark.parametrize("profile", [{}, {"driver": "PNG"}, {"nbits": 12}, {"BIGTIFF": "YES"}, {"ENDIANNESS": "BIG"}])
def test_a_range_becomes_0_to_255(profile: dict) -> None:
    pixels = decoded(bands_of(REFLECTANCE, **profile), value_range=RANGE)
    assert pixels.tolist() == [[[level] * 3 for level in row] for row in LEVELS]
    assert pixels.flags.writeable


def test_bands_are_chosen_in_their_order() -> None:
    # Band b holds 100 b: of 0 to 2550 the level 10 b.
    assert decoded(ramp(13), bands=(4, 3, 13, 1), value_range=((0.0, 2550.0),))[0, 0].tolist() == [40, 30, 130, 10]
    assert decoded(ramp(2, np.uint8), bands=(2, 1)).tolist() == [[[200, 100], [201, 101]]]
    assert decoded(ramp(2, np.uint8), bands=(1, 1, 1))[0, 0].tolist() == [100] * 3


def test_each_band_has_its_range() -> None:
    limits = ((0.0, 1000.0), (200.0, 300.0), (1.0, 2.0))
    pixels = decoded(ramp(3), bands=(1, 2, 3), value_range=limits)
    # 100 of 1000 is 25.5, which rounds to the even 26; 200 is the low end; 300 is far above the high end.
    assert pixels[0, 0].tolist() == [26, 0, 255]


@pytest.mark.parametrize(
    ("kind", "values", "limits", "levels"),
    [
        (np.int16, [-25, -10, 5], (-25, 5), [0, 128, 255]),
        (np.int8, [-128, 0, 127], (-128, 127), [0, 128, 255]),
        (np.uint32, [0, 2**31, 2**32 - 1], (0, 2**32 - 1), [0, 128, 255]),
        (np.float32, [-0.5, 0.25, np.nan], (0, 0.5), [0, 128, 0]),
        (np.float32, [-np.inf, 0.5, np.inf], (0, 1), [0, 128, 255]),
        (np.float64, [2.0**-30, 2.0**-31, 0], (0, 2.0**-30), [255, 128, 0]),
    ],
)
def test_values_of_any_type(kind: Any, values: list, limits: tuple, levels: list) -> None:  # noqa: ANN401
    pixels = decoded(bands_of([values], kind=kind), value_range=(tuple(map(float, limits)),))
    assert pixels[0, :, 0].tolist() == levels


def test_pixels_without_a_value_are_black_and_are_not_measured() -> None:
    data = bands_of([[-9999, 500, 1000]], kind=np.int16, nodata=-9999)
    assert decoded(data, value_range=((-10000.0, 1000.0),))[0, :, 0].tolist()[::2] == [0, 255]
    (values, *_) = band_values({"bytes": data, "path": None}, "x", Reading(bands=(1,)))
    np.testing.assert_array_equal(values, [[np.nan, 500, 1000]])
    with pytest.raises(ImageError, match=r"scene_7.*no value.*NaN"):
        decoded(bands_of([[7, 7]], kind=np.uint16, nodata=7), value_range=RANGE)


def test_nodata_and_masks_count_in_8_bit_bands_too() -> None:
    data = bands_of([[9, 200]], [[7, 100]], kind=np.uint8, nodata=9)
    assert decoded(data, bands=(1, 2)).tolist() == [[[0, 7], [200, 100]]]
    profile = {"driver": "GTiff", "count": 1, "height": 1, "width": 2, "dtype": "uint16"}
    with rasterio.MemoryFile() as memory:
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), memory.open(**profile) as file:
            file.write(np.array([[[3000, 3000]]], np.uint16))
            file.write_mask(np.array([[255, 0]], np.uint8))
        masked = memory.read()
    assert decoded(masked, bands=(1,), value_range=RANGE).tolist() == [[[255], [0]]]


def test_alpha_is_dropped_unless_it_is_asked_for() -> None:
    data = bands_of([[1000]], [[2000]], [[3000]], [[0]], kind=np.uint16, driver="PNG")
    assert decoded(data, value_range=RANGE).tolist() == [[[85, 170, 255]]]
    assert decoded(data, bands=(4, 1), value_range=RANGE).tolist() == [[[0, 85]]]


def test_an_8_bit_image_reads_the_same_by_its_bands(picture: Callable, encoded: Callable) -> None:
    image = picture([0, 3], seed=1)
    for file_format in ("PNG", "TIFF", "JPEG", "WEBP", "BMP"):
        data = encoded(image, file_format)
        usual = decoded(data)
        assert np.array_equal(decoded(data, bands=(1, 2, 3)), usual)
        assert np.array_equal(decoded(data, value_range=((0.0, 255.0),)), usual)
        assert np.array_equal(decoded(data, bands=(3, 1)), usual[..., [2, 0]])
        assert file_contents({"bytes": data, "path": None}, "x") == (3, "integer")
    palette = encoded(image.convert("P"), "PNG")
    assert np.array_equal(decoded(palette, bands=(1, 2, 3)), decoded(palette))
    assert np.array_equal(
        decoded(encoded(image.convert("1"), "TIFF"), bands=(1, 2, 3)), decoded(encoded(image.convert("1"), "TIFF"))
    )


# --------------------------------------------------------------------------------------- what does not fit is refused


@pytest.mark.parametrize(
    ("make", "reading", "message"),
    [
        (lambda: ramp(4), {"bands": (5, 1), "value_range": RANGE}, "has 4 bands, and band 5"),
        (lambda: ramp(1), {"bands": (2,), "value_range": RANGE}, "has 1 band, and band 2"),
        (lambda: ramp(4), {"bands": (4, 3, 2), "band_count": 13, "value_range": RANGE}, "has 4 bands.* have 13"),
        (lambda: ramp(4), {"value_range": RANGE}, "has 4 bands, and it is not said"),
        (lambda: ramp(1, np.float32), {"value_range": RANGE, "value_kind": "integer"}, "holds float32 values.*integer"),
        (lambda: ramp(1, np.int16), {"value_range": RANGE, "value_kind": "float"}, "holds int16 values.*float"),
        (lambda: ramp(2, np.uint8), {"bands": (1,), "value_range": RANGE}, "holds 8-bit values.*3000"),
        (
            lambda: ramp(13),
            {"bands": (4, 3, 2)},
            "has 3 bands of uint16 with values from 200 to 401, .*--value-range, such as 200,401",
        ),
        (lambda: bands_of(TINY, kind=np.complex64), {"value_range": RANGE}, "has complex"),
    ],
)
def test_what_does_not_fit_is_named(make: Callable[[], bytes], reading: dict, message: str) -> None:
    with pytest.raises(ImageError, match=rf"'scene_7' \(a\.tif\) {message}"):
        decoded(make(), **reading)


def test_a_picture_of_three_colors_has_no_fourth_band(picture: Callable, encoded: Callable) -> None:
    data = encoded(picture([], seed=1), "JPEG")
    with pytest.raises(ImageError, match="3 bands, red, green and blue"):
        decoded(data, bands=(4, 3, 2))
    with pytest.raises(ImageError, match=r"3 bands.*of 4"):
        decoded(data, bands=(3, 2, 1), band_count=4)
    for reading in ({"value_range": RANGE}, {"value_range": ((0.0, 1.0),), "value_kind": "float"}):
        with pytest.raises(ImageError, match="8-bit values"):
            decoded(data, **reading)


# ------------------------------------------------------------------------------------------------ shown to people


def test_other_pixels_are_stretched_to_be_looked_at(encoded: Callable) -> None:
    ramp_of_bands = np.linspace(1000, 3000, 101).reshape(1, 101)
    shown = np.asarray(decode_rgb({"bytes": bands_of(*[ramp_of_bands] * 13, kind=np.uint16), "path": None}, "x"))
    assert shown.shape == (1, 101, 3)
    assert shown[0, [0, 50, 100]].tolist() == [[0] * 3, [128] * 3, [255] * 3]
    one = np.asarray(decode_rgb({"bytes": encoded(Image.fromarray(REFLECTANCE)), "path": None}, "x"))
    assert one[..., 0].tolist()[0][0] == 0
    assert (one[..., 0] == one[..., 2]).all()
    with pytest.raises(ImageError, match="no format"):
        decode_rgb({"bytes": b"<html>", "path": None}, "x")
    buffer = io.BytesIO()
    Image.new("RGB", (2, 1), (1, 2, 3)).save(buffer, "PNG")
    assert np.asarray(decode_rgb({"bytes": buffer.getvalue(), "path": None}, "x"))[0, 0].tolist() == [1, 2, 3]
