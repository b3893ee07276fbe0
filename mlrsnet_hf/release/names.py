"""Names of files: what belongs to the release, and which image a name stands for."""

from functools import lru_cache

from mlrsnet_hf.errors import UnknownNameError
from mlrsnet_hf.taxonomy import Scene, find_scene

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
_CLUTTER = (
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
    "__macosx",
    "lost+found",
    "$recycle.bin",
    "system volume information",
    "@eadir",
)


def is_clutter(name: str) -> bool:
    """Return whether a name is one of those that file managers, file systems and open spreadsheets leave behind."""
    return name.startswith((".", "~$")) or name.casefold() in _CLUTTER


def split_suffix(name: str) -> tuple[str, str]:
    """Return stem and suffix, the suffix with its dot and in lower case.

    Examples:
        >>> split_suffix("beach_00001.JPG")
        ('beach_00001', '.jpg')
    """
    stem, dot, suffix = name.rpartition(".")
    return (stem, f".{suffix.casefold()}") if dot else (name, "")


def split_folder(path: str) -> tuple[str, str]:
    r"""Return the last folder of a path, or nothing, and the file name, with slashes of either kind.

    Examples:
        >>> split_folder("C:\\data\\Images\\beach\\beach_00001.jpg")
        ('beach', 'beach_00001.jpg')
    """
    before, _, name = path.replace("\\", "/").rpartition("/")
    return before.rstrip("/").rpartition("/")[2], name


def image_id(file_name: str) -> str:
    """Return the published stem that a file name stands for, whichever way it spells the scene.

    A name that is not built like the release's, scene and number, is taken as it is.

    Examples:
        >>> image_id("Swimming_Pool_00001.PNG")
        'swimmimg_pool_00001'
        >>> image_id("my-beach.jpg")
        'my-beach'
    """
    stem = split_suffix(file_name)[0]
    scene, number = _scene_and_number(stem)
    return f"{scene.published}_{number}" if scene else stem


def image_scene(file_name: str) -> Scene | None:
    """Return the scene that a file name built like the release's, scene and number, begins with.

    Examples:
        >>> image_scene("harbor_port_00001.jpg").published
        'harbor&port'
    """
    return _scene_and_number(split_suffix(file_name)[0])[0]


def _scene_and_number(stem: str) -> tuple[Scene | None, str]:
    prefix, _, number = stem.rpartition("_")
    return (named_scene(prefix) if number.isdecimal() else None), number


@lru_cache(maxsize=1024)
def named_scene(name: str) -> Scene | None:
    """Return the scene of a name, or None."""
    try:
        return find_scene(name)
    except UnknownNameError:
        return None
