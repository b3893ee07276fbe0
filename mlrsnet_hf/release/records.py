"""The record: one image of the release with its annotation, the form in which data leaves `release/`."""

from dataclasses import dataclass

from mlrsnet_hf.taxonomy import Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One image with its annotation."""

    id: str
    """Published file stem, such as `airplane_00001`."""
    file_name: str
    """Published file name, such as `airplane_00001.jpg`."""
    scene: Scene
    labels: tuple[int, ...]
    """Label ids, ascending."""
    image: bytes
    """The image file, untouched."""
    repaired: bool = False
    """Whether the labels differ from the published ones."""
