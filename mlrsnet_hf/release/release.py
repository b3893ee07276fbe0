"""A release that is open: entries in their order, and the images behind them."""

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from mlrsnet_hf.errors import ImageError
from mlrsnet_hf.release.archives.base import Found
from mlrsnet_hf.release.image_stores import ImageStore
from mlrsnet_hf.release.images import image_fault
from mlrsnet_hf.release.names import split_suffix
from mlrsnet_hf.release.recognition import Recognition, choose_label_version, recognize
from mlrsnet_hf.release.repair import LabelVersion, verified_labels
from mlrsnet_hf.release.tree import File
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


OnUnreadable = Callable[["Entry", ImageError], object]


@dataclass(frozen=True, slots=True)
class Entry:
    """The annotation of an image."""

    id: str
    """Published file stem, such as `airplane_00001`, whichever way the source spells it."""
    file_name: str
    """The id with the suffix of the image file."""
    scene: Scene
    labels: tuple[int, ...]
    """Label ids, ascending."""
    repaired: bool
    """Whether the labels differ from the published ones."""


def make_entry(scene: Scene, image_id: str, file_name: str, labels: tuple[int, ...], repaired: bool = False) -> Entry:
    """Return an image's annotation with the labels that the source has."""
    return Entry(image_id, image_id + split_suffix(file_name)[1], scene, labels, repaired)


def verified(entry: Entry) -> Entry:
    """Return an image's annotation with its labels repaired."""
    labels = verified_labels(entry.scene, entry.id, entry.labels)
    return entry if labels == entry.labels else dataclasses.replace(entry, labels=labels, repaired=True)


@dataclass(frozen=True, slots=True)
class ScenePart:
    """One scene of a release."""

    entries: tuple[Entry, ...]
    """Entries in the order of their ids."""
    image_names: tuple[str, ...]
    """Names of the entries' files, as the store knows them."""
    images: ImageStore
    label_file: File | None = None
    """None where the labels stand beside the images, as in Parquet."""
    label_digest: str = ""
    """SHA-256 of the label file as it was read."""


@dataclass(frozen=True, slots=True)
class Release:
    """A checked release, or the part of it that is there."""

    root: Path
    """The source that was opened."""
    parts: tuple[ScenePart, ...] = field(repr=False)
    """Parts in the order of the scene ids."""
    label_version: LabelVersion = "as-published"
    """That of the entries."""
    recognition: Recognition | None = None
    """Whether it is MLRSNet, by the labels that the source has; None where nobody has looked."""
    entries: tuple[Entry, ...] = field(init=False, repr=False)
    """All entries, in the order of scene ids, then of image ids."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", tuple(entry for part in self.parts for entry in part.entries))

    @property
    def is_mlrsnet(self) -> bool:
        """Whether it is MLRSNet or a part of it, rather than other images in its layout."""
        return self.recognition is not None and self.recognition.is_mlrsnet

    def in_label_version(self, asked: LabelVersion | None) -> "Release":
        """Return the release, whose labels are those that the source has, in a version; see `open_release`."""
        recognition = recognize((entry.id, entry.labels) for entry in self.entries)
        holds_repaired = any(entry.repaired for entry in self.entries)
        version = choose_label_version(asked, recognition, self.root, holds_repaired)
        parts = self.parts
        if version == "verified":
            parts = tuple(dataclasses.replace(part, entries=tuple(map(verified, part.entries))) for part in parts)
        return Release(self.root, parts, version, recognition)

    def records(
        self, entries: Sequence[Entry] | None = None, on_unreadable: OnUnreadable | None = None
    ) -> Iterator[Record]:
        """Yield records, their image files untouched.

        Images are read one at a time. An archive is read from front to back, so that of a scene whose archive has
        another order than the ids, the images that come early are held.

        Args:
            entries: Only the records of these, in this order, in which the entries of a scene must stand together; by
                default all.
            on_unreadable: Is told of an image that cannot be read, which is then left out; by default that is an error.

        Raises:
            ImageError: An image cannot be read, is no JPEG, PNG or TIFF, or is cut short.
        """
        parts = {part.entries[0].scene: part for part in self.parts}
        for scene, chosen in itertools.groupby(self.entries if entries is None else entries, attrgetter("scene")):
            part = parts[scene]
            names = {entry.id: name for entry, name in zip(part.entries, part.image_names, strict=True)}
            yield from _records(part.images, [(entry, names[entry.id]) for entry in chosen], on_unreadable)

    def fingerprint(self) -> str:
        """Return a hash of the label files' content and of name, size and modification time of images and archives.

        The label files count as they were read when the release was opened. The location does not enter, so that a
        moved copy keeps its fingerprint; nor does the choice between verified and published labels.
        """
        return self._hash(with_labels=True)

    def images_fingerprint(self) -> str:
        """Return a hash of name, size and modification time of images and archives, whatever their labels."""
        return self._hash(with_labels=False)

    def _hash(self, with_labels: bool) -> str:
        digest = hashlib.sha256()
        for part in self.parts:
            scene = part.entries[0].scene.published
            if with_labels and part.label_file:
                digest.update(f"{scene}.csv {part.label_digest}\n".encode())
            for stamp in part.images.stamps():
                digest.update(f"{scene}/{stamp}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()


def _records(
    images: ImageStore, chosen: Sequence[tuple[Entry, str]], on_unreadable: OnUnreadable | None
) -> Iterator[Record]:
    names = [name for _, name in chosen]
    for (entry, name), content in zip(chosen, _in_order(names, images.read(names)), strict=True):
        if content is None:
            content = ImageError(f"{images.place}/{name}: no longer there", "Do not change the source meanwhile.")
        elif isinstance(content, bytes):
            fault = image_fault(content)
            if fault is None:
                yield Record(
                    id=entry.id,
                    file_name=entry.file_name,
                    scene=entry.scene,
                    labels=entry.labels,
                    image=content,
                    repaired=entry.repaired,
                )
                continue
            remedy = "Fetch the image again, or remove it and its row."
            content = ImageError(f"{images.place}/{name}: {fault}", remedy)
        if on_unreadable is None:
            raise content
        on_unreadable(entry, content)


def _in_order(names: Sequence[str], found: Iterator[Found]) -> Iterator[bytes | ImageError | None]:
    """Yield what was found under each name, None for nothing; hold what comes before its turn."""
    held: dict[str, bytes | ImageError] = {}
    for name in names:
        while name not in held:
            early = next(found, None)
            if early is None:
                break
            held[early[0]] = early[1]
        yield held.pop(name, None)
