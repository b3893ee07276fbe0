"""What a copy holds, faults and all, before rows and images are matched: what `open_release` and the audit start from.

`open_release` raises the first fault, the audit reports them all.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.errors import ReleaseError
from mlrsnet_hf.release.image_stores import ImageStore
from mlrsnet_hf.release.label_files import LabelRow, parse_label_file, refuse_other_scene, rows_by_scene
from mlrsnet_hf.release.layout import IMAGES, LABELS, Copy, find_part, refuse_misplaced_images
from mlrsnet_hf.release.names import split_suffix
from mlrsnet_hf.release.scene_files import ByScene, Stray, find_label_files
from mlrsnet_hf.release.tree import File
from mlrsnet_hf.taxonomy import Scene


@dataclass(frozen=True, slots=True)
class SceneLabels:
    """A scene's rows, and where they stand."""

    rows: tuple[LabelRow, ...]
    file: File
    digest: str
    """SHA-256 of the file as it was read."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The labels and the images of a copy, by scene in the order of ids, with what is wrong with them."""

    labels: Mapping[Scene, SceneLabels]
    label_faults: Mapping[Scene, ReleaseError]
    """Why a scene's labels cannot be read; it has no rows."""
    images: Mapping[Scene, ImageStore] | None
    """None for label files alone."""
    image_faults: Mapping[Scene, ReleaseError]
    """Why a scene's images cannot be listed; it has none."""
    conflicts: tuple[ReleaseError, ...]
    """What is there twice, or is of no scene of MLRSNet although it has images and labels."""
    strays: tuple[Stray, ...]
    """What lies in the parts and is passed over."""

    @property
    def rows(self) -> dict[Scene, tuple[LabelRow, ...]]:
        """The rows of each scene whose labels can be read."""
        return {scene: labels.rows for scene, labels in self.labels.items()}

    @property
    def image_count(self) -> int:
        """Number of image files."""
        return sum(len(store.names) for store in (self.images or {}).values())

    def image_names(self, scene: Scene) -> tuple[str, ...]:
        """Return the names of a scene's image files."""
        store = (self.images or {}).get(scene)
        return tuple(store.names) if store else ()

    def faults(self) -> Iterator[ReleaseError]:
        """Yield what makes the copy unusable, up to what its rows and images say of each other."""
        yield from self.conflicts
        yield from self.image_faults.values()
        if self.images is not None:
            labeled = {*self.labels, *self.label_faults}
            yield from (
                self._without_labels(scene, store) for scene, store in self.images.items() if scene not in labeled
            )
            pictured = {*self.images, *self.image_faults}
            for scene, labels in self.labels.items():
                if scene not in pictured:
                    yield self._without_images(scene, labels.file)
        yield from self.label_faults.values()

    def _without_labels(self, scene: Scene, store: ImageStore) -> ReleaseError:
        near = self._near(scene)
        remedy = f"Add {LABELS}/{scene.published}.csv."
        return near or ReleaseError(f"{store.place}: no label file for this scene", remedy)

    def _without_images(self, scene: Scene, file: File) -> ReleaseError:
        near = self._near(scene)
        remedy = f"Add {IMAGES}/{scene.published}/ or remove its labels."
        return near or ReleaseError(f"{file.place}: no images for this scene ({scene.name})", remedy)

    def _near(self, scene: Scene) -> ReleaseError | None:
        """Return what is said of a stray with nearly the name of a scene."""
        return next((stray.error() for stray in self.strays if repr(scene.name) in stray.remedy), None)


def list_copy(copy: Copy, images: ByScene[ImageStore] | None) -> Listing:
    """List the labels of a copy, beside its images if they are given.

    Raises:
        ReleaseError: There are no labels, or they lie in an archive that cannot be read, or beside images that go by
            another name than Images.
    """
    refuse_misplaced_images(copy)
    alone = copy.images is None and copy.labels is None
    found = find_label_files(copy.root if alone else find_part(copy, LABELS))
    labels, label_faults, conflicts, strays = _read_labels(found)
    if images is None:
        return Listing(labels, label_faults, None, {}, tuple(conflicts), tuple(strays))
    if copy.labels is copy.root:
        strays = []  # label files beside Images: what lies there is not in a part
    if isinstance(found, File):
        labels, strays = _of_scenes_there(labels, images)
    conflicts = [*images.conflicts, *conflicts, *_of_no_scene(images.strays, strays)]
    return Listing(labels, label_faults, images.parts, images.faults, tuple(conflicts), (*images.strays, *strays))


def _read_labels(
    found: ByScene[File] | File,
) -> tuple[dict[Scene, SceneLabels], dict[Scene, ReleaseError], list[ReleaseError], list[Stray]]:
    """Return labels, faults, conflicts and strays."""
    if isinstance(found, File):
        content = found.content()
        digest = hashlib.sha256(content).hexdigest()
        by_scene = rows_by_scene(parse_label_file(content, found.place), found.place)
        return {scene: SceneLabels(tuple(rows), found, digest) for scene, rows in by_scene.items()}, {}, [], []
    labels: dict[Scene, SceneLabels] = {}
    faults = dict(found.faults)
    for scene, file in found.parts.items():
        try:
            content = file.content()
            rows = parse_label_file(content, file.place)
            for row in rows:
                refuse_other_scene(row, scene, file.place)
        except ReleaseError as error:
            faults[scene] = error
        else:
            labels[scene] = SceneLabels(tuple(rows), file, hashlib.sha256(content).hexdigest())
    return labels, faults, found.conflicts, found.strays


def _of_scenes_there(
    labels: Mapping[Scene, SceneLabels], images: ByScene[ImageStore]
) -> tuple[dict[Scene, SceneLabels], list[Stray]]:
    """Return those labels of a table of all scenes that have images, and what is said of the others.

    A scene that a stray among the images may be, by its name, stays: its lack of images is told.
    """
    told = {scene for scene in labels for stray in images.strays if repr(scene.name) in stray.remedy}
    absent = {scene: own for scene, own in labels.items() if scene not in {*images.parts, *images.faults, *told}}
    if len(absent) == len(labels):
        return dict(labels), []
    kept = {scene: own for scene, own in labels.items() if scene not in absent}
    rows = [(f"{own.file.place} ({scene.name})", len(own.rows)) for scene, own in absent.items()]
    return kept, [Stray(place, f"{count:,} rows of a scene without images") for place, count in rows]


def _of_no_scene(images: list[Stray], labels: list[Stray]) -> Iterator[ReleaseError]:
    """Yield an error for each name that is no scene's, and has images as well as a label file."""
    named = {split_suffix(Path(stray.place).name)[0].casefold(): stray for stray in labels if not stray.is_clutter}
    for stray in images:
        stem = split_suffix(Path(stray.place).name)[0].casefold()
        if not stray.is_clutter and stray.remedy and stem in named:
            yield ReleaseError(f"{stray.place} and {named[stem].place}: {stray.reason}", stray.remedy)
