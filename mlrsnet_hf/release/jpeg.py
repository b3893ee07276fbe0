"""Structure of a JPEG file, checked without decoding it."""

START_OF_IMAGE = b"\xff\xd8\xff"
END_OF_IMAGE = b"\xff\xd9"
_START_OF_SCAN = b"\xff\xda"


def jpeg_fault(data: bytes) -> str | None:
    """Return what is wrong with the structure of a JPEG file, or None.

    A whole file starts with the start marker, holds a scan, and ends the scan with the end marker (ITU-T T.81, annex
    B); bytes after the end marker are harmless. The entropy-coded data between is not decoded, so a file that passes
    can still be damaged inside.

    Examples:
        >>> jpeg_fault(b"GIF89a")
        'not a JPEG file'
        >>> jpeg_fault(b"")
        'empty file'
    """
    if not data:
        return "empty file"
    if not data.startswith(START_OF_IMAGE):
        return "not a JPEG file"
    # A preview inside the header may hold markers of its own; what follows the last scan's start is the image's data.
    scan = data.rfind(_START_OF_SCAN)
    if scan < 0 or data.find(END_OF_IMAGE, scan) < 0:
        return "truncated JPEG file (no end marker)"
    return None
