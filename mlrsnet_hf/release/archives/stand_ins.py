"""What lies in the place of a file that was not really fetched: a pointer to it, or the page of an error."""

_KINDS = (
    (
        (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/"),
        "a Git LFS pointer, not the file itself",
        "Run git lfs pull in the folder that was cloned, or fetch the file itself.",
    ),
    (
        (b"/annex/objects/", b"../.git/annex/objects/", b".git/annex/objects/"),
        "a git-annex pointer, not the file itself",
        "Run git annex get, or fetch the file itself.",
    ),
    (
        (b"<!doctype", b"<html", b"<head", b"<!--", b"<?xml", b"<error"),
        "an HTML or XML page, not the file itself",
        "Fetch the file again: a page that says why it did not come was saved in its place.",
    ),
)
HEAD_BYTES = 512
"""How much of a file tells its kind."""


def stand_in(head: bytes) -> tuple[str, str] | None:
    """Return what lies in a file's place, and what to do, by the file's first bytes; None if nothing shows.

    Examples:
        >>> stand_in(b"version https://git-lfs.github.com/spec/v1")[0]
        'a Git LFS pointer, not the file itself'
        >>> stand_in(b"image,airplane")
    """
    start = head[:HEAD_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((kind[1:] for kind in _KINDS if start.startswith(kind[0])), None)
