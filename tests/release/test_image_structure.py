import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mlrsnet_hf.release.image_structure import image_fault

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


@pytest.mark.parametrize(("kind", "options"), CASES)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_whole_files_pass(kind: str, options: dict[str, object], mode: str) -> None:
    assert image_fault(saved(kind, options, PICTURE.convert(mode))) is None


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
    assert fault is None or fault.endswith((")", "file"))


@given(seed=st.integers(0, 10**6), case=st.sampled_from(CASES))
def test_damage_never_raises(seed: int, case: tuple[str, dict[str, object]]) -> None:
    data = bytearray(saved(*case))
    dice = random.Random(seed)
    for _ in range(3):
        data[dice.randrange(min(len(data), 700))] = dice.randrange(256)
    image_fault(bytes(data))
