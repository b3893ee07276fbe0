"""Image files by what tables call them."""

from pathlib import Path

import pytest

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.tables.image_files import ImageFolders, find_images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of files that are images by their name."""
    for name in (
        "beach/1.png",
        "forest/1.png",
        "forest/deep/only.TIF",
        "Upper.JPG",
        "plain.jpg",
        "plain.xml",
        "tile_1.5.png",
    ):
        (tmp_path / "scenes" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "scenes" / name).write_bytes(b"")
    return tmp_path / "scenes"


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("beach/1.png", "beach/1.png"),
        ("beach\\1.png", "beach/1.png"),
        ("./beach/1", "beach/1.png"),
        (" plain ", "plain.jpg"),  # not the .xml beside it
        ("upper.jpg", "Upper.JPG"),
        ("UPPER", "Upper.JPG"),
        ("tile_1.5", "tile_1.5.png"),
        ("only", "forest/deep/only.TIF"),
        ("only.tif", "forest/deep/only.TIF"),
        ("scenes/beach/1.png", "beach/1.png"),  # from the folder above, as CheXpert's tables
        ("plain.png", None),  # another image
        ("deep/only", None),
        ("elsewhere/beach/1.png", None),
        ("../scenes/nothing", None),
        ("x" * 300, None),
        ("a\0b", None),
    ],
)
def test_names_lead_to_files(folder: Path, written: str, found: str | None) -> None:
    assert ImageFolders([folder], given=False).find(written) == (None if found is None else folder / found)


@pytest.mark.parametrize("written", ["/home/me/beach/1.png", "C:\\data\\beach\\1.png", "data/x/beach\\1"])
def test_a_given_folder_stands_for_the_first_parts(folder: Path, written: str) -> None:
    assert ImageFolders([folder], given=True).find(written) == folder / "beach/1.png"
    assert ImageFolders([folder], given=False).find(written) is None


def test_a_name_of_two_files_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"'1' may be .*beach.* or .*forest.*--image-dir"):
        ImageFolders([folder], given=True).find("1")
    (folder / "plain.png").write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"'plain' may be .*plain\.jpg or .*plain\.png"):
        ImageFolders([folder], given=True).find("plain")
    assert ImageFolders([folder], given=True).find("plain.png") == folder / "plain.png"


def test_two_names_of_one_file_are_refused(folder: Path) -> None:
    """The folder of the second is not there; its image is not that of the first."""
    with pytest.raises(ConfigurationError, match=r"'train/plain\.jpg' and 'val/plain\.jpg' both lead to"):
        find_images(["train/plain.jpg", "val/plain.jpg"], ImageFolders([folder], given=True), "table")


def test_links_are_followed_once(folder: Path) -> None:
    (folder / "round").symlink_to(folder)
    elsewhere = folder.parent / "disk"
    elsewhere.mkdir()
    (elsewhere / "far.png").write_bytes(b"")
    (folder / "linked").symlink_to(elsewhere)
    assert ImageFolders([folder], given=False).find("far") == folder / "linked/far.png"


def test_what_is_not_there_is_counted(folder: Path, tmp_path: Path) -> None:
    folders = ImageFolders([folder, tmp_path], given=False)
    assert find_images(["https://host/x.png", "plain"], folders, "t") == [
        "https://host/x.png",
        str(folder / "plain.jpg"),
    ]
    with pytest.raises(ConfigurationError, match=r"t: 1 of 2 .*row 1 says ''"):
        find_images(["plain", None], folders, "t")
    with pytest.raises(ConfigurationError, match=r"t\.csv: 1 of 3 .*row 1 says 'no\.png'.*scenes, .*--image-dir"):
        find_images(["plain", "no.png", "nor.png"], folders, "t.csv")
    with pytest.raises(ConfigurationError, match=r"no image of 1 .*'no\.png'"):
        find_images(["no.png"], folders, "t.csv")
