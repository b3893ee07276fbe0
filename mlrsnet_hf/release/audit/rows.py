"""The checks of an audit: of the label rows, of rows beside image names, and of the image files."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlrsnet_hf.errors import ImageError
from mlrsnet_hf.escaping import on_one_line
from mlrsnet_hf.parallel import in_processes
from mlrsnet_hf.published import IMAGE_SIZE, MOST_LABELS
from mlrsnet_hf.release.audit import findings as checks
from mlrsnet_hf.release.audit.findings import Finding
from mlrsnet_hf.release.audit.source import AuditedFile
from mlrsnet_hf.release.images import decode_image, image_fault
from mlrsnet_hf.release.label_files import LabelRow
from mlrsnet_hf.release.listing import Listing
from mlrsnet_hf.release.names import image_id
from mlrsnet_hf.release.opening import pair
from mlrsnet_hf.release.repair import verified_labels
from mlrsnet_hf.taxonomy import LABELS, SCENES, Scene


@dataclass(frozen=True, slots=True)
class Repair:
    """A row whose published labels are wrong."""

    scene: Scene
    row: LabelRow
    spurious: tuple[int, ...]
    """Published label ids that the image does not carry."""
    lost: tuple[int, ...]
    """Label ids that it carries and that were not published."""

    def __str__(self) -> str:
        """Return one line: the image, then the labels that go and those that come."""
        changes = [f"-{LABELS[i].name}" for i in self.spurious] + [f"+{LABELS[i].name}" for i in self.lost]
        return f"{self.scene.published}/{on_one_line(self.row.file_name)}: {', '.join(changes)}"


def find_repairs(rows: Mapping[Scene, Iterable[LabelRow]]) -> Iterator[Repair]:
    """Yield the rows that `verified_labels` changes, by scene and in the order of the label file."""
    for scene, scene_rows in rows.items():
        for row in scene_rows:
            verified = verified_labels(scene, image_id(row.file_name), row.labels)
            if verified != row.labels:
                spurious = tuple(label for label in row.labels if label not in verified)
                yield Repair(scene, row, spurious, tuple(label for label in verified if label not in row.labels))


def repair_findings(repairs: Iterable[Repair]) -> Iterator[Finding]:
    """Yield in what way rows are wrong."""
    for repair in repairs:
        known = [label for label in repair.spurious if label in repair.scene.vocabulary]
        wrong = {
            checks.OUTSIDE_VOCABULARY: [label for label in repair.spurious if label not in known],
            checks.KNOWN_ERROR: known,
            checks.LOST_LABEL: repair.lost,
        }
        for check, labels in wrong.items():
            if labels:
                where = _where(repair.scene, repair.row.file_name)
                yield Finding(check, where, ", ".join(LABELS[i].name for i in labels))


def row_findings(rows: Mapping[Scene, Sequence[LabelRow]], known: Collection[Scene] = ()) -> Iterator[Finding]:
    """Yield rows with remarkably few or many labels; those of a published version rightly have ten without labels."""
    for scene, scene_rows in rows.items():
        for row in scene_rows:
            if not row.labels:
                where, as_published = _where(scene, row.file_name), scene in known
                yield Finding(checks.NO_LABELS, where, "as published" if as_published else "", as_published)
            elif len(row.labels) > MOST_LABELS:
                yield Finding(checks.TOO_MANY_LABELS, _where(scene, row.file_name), f"{len(row.labels)} labels")


def match_findings(listing: Listing) -> Iterator[Finding]:
    """Yield rows without image, images without row, and names that stand for two images."""
    if listing.images is None:
        return
    yield from _repeated_ids(listing)
    for scene in SCENES:
        if scene in listing.label_faults or scene in listing.image_faults:
            continue
        rows, images = listing.rows.get(scene, ()), listing.image_names(scene)
        if not rows and not images and (scene in listing.rows or scene in listing.images):
            yield Finding(checks.LAYOUT, scene.published, "neither rows nor images")
        pairing = pair(rows, images)
        yield from (Finding(checks.MISSING_IMAGE, _where(scene, row.file_name)) for row in pairing.rows_without_image)
        yield from (Finding(checks.SURPLUS_IMAGE, _where(scene, name)) for name in pairing.images_without_row)


def _repeated_ids(listing: Listing) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for scene in listing.images or {}:
        for name in listing.image_names(scene):
            here = _where(scene, name)
            other = first.setdefault(image_id(name).casefold(), here)
            if other is not here:
                yield Finding(checks.LAYOUT, here, f"stands for the same image as {other}")


def _where(scene: Scene, file_name: str) -> str:
    """Return how findings name an image or its row."""
    return f"{scene.published}/{file_name}"


MODE = "RGB"


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an audit keeps of an image file."""

    place: str
    digest: bytes
    """SHA-256 of the file."""
    fault: str | None = None
    """Why the image cannot be read, if so."""
    size: tuple[int, int] = IMAGE_SIZE
    mode: str = MODE


def inspect_image(file: AuditedFile) -> ImageFacts:
    """Check an image file's structure and decode it."""
    where, digest = _where(file.scene, file.name), hashlib.sha256(file.data).digest()
    fault = file.fault or image_fault(file.data)
    if fault:
        return ImageFacts(where, digest, fault)
    try:
        image = decode_image(file.data, where)
    except ImageError as error:
        return ImageFacts(where, digest, error.found.removeprefix(f"{where}: "))
    return ImageFacts(where, digest, None, image.size, image.mode)


def image_findings(files: Iterable[AuditedFile], processes: int = 1) -> Iterator[Finding]:
    """Yield what is wrong or remarkable with image files: unreadable, of another size or mode, byte-identical."""
    places_by_digest: dict[bytes, list[str]] = defaultdict(list)
    for facts in in_processes(inspect_image, files, processes):
        if facts.fault:
            yield Finding(checks.UNREADABLE_IMAGE, facts.place, facts.fault)
            continue
        places_by_digest[facts.digest].append(facts.place)
        if facts.size != IMAGE_SIZE:
            yield Finding(checks.IMAGE_SIZE, facts.place, "{}x{}".format(*facts.size))
        if facts.mode != MODE:
            yield Finding(checks.IMAGE_MODE, facts.place, facts.mode)
    for places in places_by_digest.values():
        if len(places) > 1:
            yield Finding(checks.DUPLICATE, places[0], f"same file as {', '.join(places[1:])}")
