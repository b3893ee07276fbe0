"""Entries by scene, the form in which protocols take them."""

from collections.abc import Iterable
from typing import Protocol

from mlrsnet_hf.taxonomy import Scene


class Annotated(Protocol):
    """An image as protocols know it."""

    @property
    def id(self) -> str:
        """Published file stem."""

    @property
    def scene(self) -> Scene:
        """The image's scene."""


def ids_by_scene(entries: Iterable[Annotated]) -> dict[str, list[str]]:
    """Return the ids of each scene, by published name, in the entries' order."""
    ids: dict[str, list[str]] = {}
    for entry in entries:
        ids.setdefault(entry.scene.published, []).append(entry.id)
    return ids
