import io
import random
import re
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mlrsnet_hf.release.images import MAX_PIXELS, image_fault, image_size

PICTURE = Image.effect_noise((60, 50), 90).convert("RGB")
FORMS = {
    "JPEG": [
        {},
        {"progressive": True},
        {"quality": 5},
        {"optimize": True, "exif": b"Exif\0\0" + b"\xff\xd8\xff\xd9" * 9},
    ],
    "PNG": [{}, {"optimize": True}],
    "TIFF": [{}, {"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate"}, {"compression": "jpeg"}],
}
CASES = [(kind, options) for kind, forms in FORMS.items() for options in forms]


def saved(kind: str, options: dict[str, object], picture: Image.Image = PICTURE) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


SAVED = saved("JPEG", {})
FRAME = b"\xff\xc0\0\x0b\x08\0\1\0\1\1\1\x11\0"
SCAN = b"\xff\xda\0\2\xff\xd9"
TIFF = saved("TIFF", {})
WIDTH = struct.pack("<HHII", 256, 4, 1, 60)


@pytest.mark.parametrize(("kind", "options"), CASES)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_whole_files_pass(kind: str, options: dict[str, object], mode: str) -> None:
    data = saved(kind, options, PICTURE.convert(mode))
    assert image_fault(data) is None
    assert image_size(data) == PICTURE.size


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_cut_files_are_found(kind: str, options: dict[str, object]) -> None:
    """Wherever it is cut, unless it decodes to the same picture all the same, as a TIFF without its last tags does."""
    data = saved(kind, options)
    whole = Image.open(io.BytesIO(data)).tobytes()
    for end in [*range(64), *random.Random(1).sample(range(64, len(data)), 100), len(data) - 2, len(data) - 1]:
        if image_fault(data[:end]) is None:
            assert Image.open(io.BytesIO(data[:end])).tobytes() == whole, end


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_bytes_after_the_end_are_harmless(kind: str) -> None:
    assert image_fault(saved(kind, {}) + b"\0trailer") is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty file"),
        (b"\x89PNG" + saved("JPEG", {}), "not a JPEG, PNG or TIFF file"),
        (b"\xff\xd8\xff", "truncated JPEG file (no end marker)"),
        (b"\xff\xd8\xff\xe0\x00\x04abAB", "damaged JPEG file (broken header)"),
        (b"\xff\xd8\xff\xda\x00\x02\xff\xd9", "damaged JPEG file (no size in its header)"),
        (
            b"\xff\xd8\xff\xc0\x00\x0b\x08\x00\x00\x00\x05\x01\x01\x11\x00\xff\xda\x00\x02\xff\xd9",
            "damaged JPEG file (no size in its header)",
        ),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\0\0\0\0\5", "damaged PNG file (no size in its header)"),
        (b"II*\0\xff\xff\xff\xff", "truncated TIFF file (directory beyond its end)"),
        (b"MM\0*\0\0\0\x08\0\0", "damaged TIFF file (no image data named)"),
    ],
)
def test_faults_are_told_apart(data: bytes, message: str) -> None:
    assert image_fault(data) == message


@given(
    data=st.binary(max_size=80), start=st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b""])
)
def test_rubbish_never_raises(data: bytes, start: bytes) -> None:
    fault = image_fault(start + data)
    assert fault is None or fault.endswith((")", "file", "itself"))


@given(seed=st.integers(0, 10**6), case=st.sampled_from(CASES))
def test_damage_never_raises(seed: int, case: tuple[str, dict[str, object]]) -> None:
    data = bytearray(saved(*case))
    dice = random.Random(seed)
    for _ in range(3):
        data[dice.randrange(min(len(data), 700))] = dice.randrange(256)
    fault = image_fault(bytes(data))
    if fault is None:
        width, height = image_size(bytes(data))
        assert 0 < width * height <= MAX_PIXELS
    else:
        with pytest.raises(ValueError, match=re.escape(fault)):
            image_size(bytes(data))


def png(width: int, height: int, crc: int = 0) -> bytes:
    """A PNG file whose header claims a size; `crc` spoils its checksum."""
    header = b"IHDR" + struct.pack(">II", width, height) + b"\x08\x02\0\0\0"
    checksum = struct.pack(">I", zlib.crc32(header) ^ crc)
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + checksum + b"\0\0\0\0IEND\xaeB`\x82"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (SAVED[:3] + b"\x20" + SAVED[4:], "damaged JPEG file (broken header)"),
        (SAVED[:3] + b"\xd9" + SAVED[4:], "damaged JPEG file (broken header)"),
        (SAVED[:4] + b"\0\0" + SAVED[6:], "damaged JPEG file (broken header)"),
        (SAVED[:2] + FRAME + SAVED[2:], "damaged JPEG file (two sizes in its header)"),
        (b"\xff\xd8" + FRAME.replace(b"\0\1", b"\xf0\0") + SCAN, "absurd size (61440x61440 pixels)"),
        (png(5, 5, crc=1), "damaged PNG file (wrong checksum of its header)"),
        (png(60_000, 60_000), "absurd size (60000x60000 pixels)"),
        (png(5, 5).replace(b"\0\0\0\r", b"\0\0\0\x0e"), "damaged PNG file (no size in its header)"),
        (TIFF.replace(WIDTH, b"\xfe" + WIDTH[1:]), "damaged TIFF file (no size in its header)"),
        (TIFF.replace(WIDTH, WIDTH[:-4] + b"\0" * 4), "damaged TIFF file (no size in its header)"),
    ],
)
def test_headers_that_no_decoder_takes(data: bytes, message: str) -> None:
    assert image_fault(data) == message


def test_frame_alone_is_a_size() -> None:
    assert image_size(b"\xff\xd8" + FRAME + SCAN) == (1, 1)
    assert image_size(png(300, 17)) == (300, 17)
