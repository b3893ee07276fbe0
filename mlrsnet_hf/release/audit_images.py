"""What an audit finds in the image files: it decodes every one."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mlrsnet_hf.errors import ImageError
from mlrsnet_hf.parallel import in_processes
from mlrsnet_hf.published import IMAGE_SIZE
from mlrsnet_hf.release import audit_findings as checks
from mlrsnet_hf.release.audit_findings import Finding
from mlrsnet_hf.release.audit_rows import place
from mlrsnet_hf.release.audit_source import ImageFile
from mlrsnet_hf.release.image_structure import image_fault
from mlrsnet_hf.release.pixels import decode_image

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


def inspect_image(file: ImageFile) -> ImageFacts:
    """Check an image file's structure and decode it."""
    where, digest = place(file.scene, file.name), hashlib.sha256(file.data).digest()
    fault = file.fault or image_fault(file.data)
    if fault:
        return ImageFacts(where, digest, fault)
    try:
        image = decode_image(file.data, where)
    except ImageError as error:
        return ImageFacts(where, digest, error.found.removeprefix(f"{where}: "))
    return ImageFacts(where, digest, None, image.size, image.mode)


def image_findings(files: Iterable[ImageFile], processes: int = 1) -> Iterator[Finding]:
    """Yield what is wrong or remarkable with image files: unreadable, of another size or mode, byte-identical.

    Args:
        files: Read as they are needed.
        processes: How many processes decode; the findings are the same for any number.
    """
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
