"""RAR files written by hand, from the descriptions of their formats, so that any fault can be put into them."""

import base64
import io
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

RAR3_SIGNATURE = b"Rar!\x1a\x07\x00"
RAR5_SIGNATURE = b"Rar!\x1a\x07\x01\x00"
UNIX_FILE, UNIX_LINK = 0o100644, 0o120777

# Twice the numbers 000 to 511, a line each, compressed as one solid block by RAR itself: test/files/rar3-solid.rar
# and rar5-solid.rar of the Python package rarfile 4.5. Copyright (c) 2005-2024 Marko Kreen <markokr@gmail.com>, ISC
# license: "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is
# hereby granted, provided that the above copyright notice and this permission notice appear in all copies. THE
# SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL
# IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT,
# INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN
# AN ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR
# PERFORMANCE OF THIS SOFTWARE."
SOLID = {
    "rar3": """
        UmFyIRoHADvQcwgADQAAAAAAAAArNHSAkCwAXAAAAAAIAAADoua3xbBmzD4dMwoApIEAAHN0ZXN0MS50eHQAwBEMzP6MnrD+MYGrrLG7QHeoCmTW
        SzeDwQe8AeCFku77th0ACCAACIjpeAzSDAdhOkF4S7Nun1IK2sonQLrnC2SKYnH7uACRnlAv2FX/+sZY6+vE14h+VJaHH03s2RZ0kJAsAA4AAAAA
        CAAAA6Lmt8WwZsw+HTMKAKSBAABzdGVzdDIudHh0AMCxIACIB+vyCmn6/JTe0MQ9ewBABwA=""",
    "rar5": """
        UmFyIRoHAQAJ78hvCwEFBwQGAQGAgIAA3vVwchwCAroABIAQtoMCoua3xYAbAQpzdGVzdDEudHh0waw3REQj+iP2l/1iU1G+TJGBQQKMwQN5XL9H
        o6otoDaT3aBYAEACANRQBHb2xH8y6p8ypcTM14PfABDoLYkcAgKNAASAELaDAqLmt8XAGwEKc3Rlc3QyLnR4dEUVCmABAAgD37f79vwdd1ZRAwUE
        AA==""",
}


@dataclass(frozen=True)
class RarMember:
    """What a header says of a member, true or not; None for the truth."""

    content: bytes = b""
    size: int | None = None
    crc: int | None = None
    mode: int = UNIX_FILE
    link_to: str | None = None
    dictionary: int = 0
    """Exponent: 128 KiB times a power of two."""


def rar5(members: Mapping[str, bytes | RarMember]) -> bytes:
    """Return an archive of format 5 that stores the members (rarlab.com/technote.htm)."""
    blocks = [RAR5_SIGNATURE, _rar5_block(b"\x01\x00\x00")]
    for name, member in members.items():
        m = member if isinstance(member, RarMember) else RarMember(member)
        extra, encoded = b"", name.encode(errors="surrogateescape")
        if m.link_to is not None:
            record = b"\x05\x01\x00" + _vint(len(m.link_to)) + m.link_to.encode()
            extra = _vint(len(record)) + record
        header = b"".join(
            [
                b"\x02",
                _vint(0x02 | (0x01 if extra else 0)),
                _vint(len(extra)) if extra else b"",
                _vint(len(m.content)),
                _vint(0x04),
                _vint(len(m.content) if m.size is None else m.size),
                _vint(m.mode),
                struct.pack("<I", zlib.crc32(m.content) if m.crc is None else m.crc),
                _vint(m.dictionary << 10),
                b"\x01",
                _vint(len(encoded)),
                encoded,
                extra,
            ]
        )
        blocks += [_rar5_block(header), m.content]
    return b"".join([*blocks, _rar5_block(b"\x05\x00\x00")])


def rar3(members: Mapping[str, bytes | RarMember]) -> bytes:
    """Return an archive of the older format that stores the members (technote.txt of RAR 3)."""
    blocks = [RAR3_SIGNATURE, _rar3_block(0x73, 0, bytes(6))]
    for name, member in members.items():
        m = member if isinstance(member, RarMember) else RarMember(member)
        size = len(m.content) if m.size is None else m.size
        crc = zlib.crc32(m.content) if m.crc is None else m.crc
        packed, encoded = len(m.content), name.encode(errors="surrogateescape")
        fields = struct.pack("<IIBIIBBHI", packed, size, 3, crc, 0x5A21_0000, 20, 0x30, len(encoded), m.mode)
        blocks += [_rar3_block(0x74, 0x8000, fields + encoded), m.content]
    return b"".join([*blocks, _rar3_block(0x7B, 0x4000, b"")])


def _vint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _rar5_block(header: bytes) -> bytes:
    sized = _vint(len(header)) + header
    return struct.pack("<I", zlib.crc32(sized)) + sized


def _rar3_block(kind: int, flags: int, fields: bytes) -> bytes:
    rest = struct.pack("<BHH", kind, flags, 7 + len(fields)) + fields
    return struct.pack("<H", zlib.crc32(rest) & 0xFFFF) + rest


@pytest.fixture(params=["rar3", "rar5"])
def make_rar(request: pytest.FixtureRequest) -> Callable[[Mapping[str, bytes | RarMember]], bytes]:
    """Return a writer of RAR files, of each format in turn: path -> content, or `make_rar.member(...)`."""
    return {"rar3": rar3, "rar5": rar5}[request.param]


@pytest.fixture
def make_rar5() -> Callable[[Mapping[str, bytes | RarMember]], bytes]:
    return rar5


@pytest.fixture
def rar_member() -> type[RarMember]:
    return RarMember


@pytest.fixture(params=SOLID)
def solid_rar(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A solid, compressed archive that RAR made."""
    path = tmp_path / f"{request.param}-solid.rar"
    path.write_bytes(base64.b64decode(SOLID[request.param]))
    return path


@pytest.fixture
def image_bytes() -> Callable[[str], bytes]:
    """Return a function that gives a small image file of the format that a suffix stands for."""

    def image(suffix: str) -> bytes:
        buffer = io.BytesIO()
        picture = Image.linear_gradient("L").resize((40, 30)).convert("RGB")
        picture.save(buffer, {"j": "JPEG", "p": "PNG", "t": "TIFF"}[suffix[1].casefold()])
        return buffer.getvalue()

    return image
