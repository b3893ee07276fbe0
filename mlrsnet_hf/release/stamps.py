"""What decides a copy of the release: the files that opening it reads, and no others."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from mlrsnet_hf.release.archives.base import disk_stamp
from mlrsnet_hf.release.layout import IMAGES, LABELS, Copy, ParquetCopy, Part, find_copy, find_part
from mlrsnet_hf.release.scene_files import ByScene, find_label_files, find_scenes
from mlrsnet_hf.release.tree import ArchiveFile, ArchiveFolder, DiskFile, DiskFolder, File, is_archive


def source_fingerprint(source: Path) -> str:
    """Return a hash of the files that a copy is read from: the content of label files; name, size and time of others.

    No archive is opened whose name says what it holds, and no image: unlike `Release.fingerprint` this can be asked
    again and again. The location does not enter.

    Raises:
        ReleaseError: There is no such copy, or it cannot be read.
    """
    copy = find_copy(source)
    stamps = [(path.split("/"), stamp) for path, stamp in _stamps(source, copy)]
    lines = ["/".join([*path[:-1], stamp]) for path, stamp in sorted(stamps)]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def _stamps(source: Path, copy: Copy | ParquetCopy) -> Iterator[tuple[str, str]]:
    """Yield path and stamp of each file; paths are relative to the source."""
    if isinstance(copy, ParquetCopy):
        yield from (_on_disk(source, file) for file in copy.files)
    elif source.is_file():
        yield _on_disk(source, source)
    elif isinstance(copy.root, ArchiveFolder):
        yield "", copy.root.stamp()
    else:
        yield from _of_images(source, find_part(copy, IMAGES))
        yield from _of_labels(source, find_part(copy, LABELS))


def _of_images(source: Path, part: Part) -> Iterator[tuple[str, str]]:
    if isinstance(part, DiskFile):
        yield _on_disk(source, part.path)
        return
    for node in find_scenes(part).parts.values():
        if isinstance(node, DiskFolder):
            images = node.images()
            for name, stamp in zip(images.names, images.stamps(), strict=True):
                yield f"{_relative(source, images.path)}/{name}", stamp
        else:
            yield from _of_file(source, node)


def _of_labels(source: Path, part: Part) -> Iterator[tuple[str, str]]:
    if isinstance(part, DiskFile) and is_archive(part.name):
        yield _on_disk(source, part.path)
        return
    found = find_label_files(part)
    for file in found.parts.values() if isinstance(found, ByScene) else [found]:
        yield from _of_file(source, file)


def _of_file(source: Path, node: File | ArchiveFolder) -> Iterator[tuple[str, str]]:
    if isinstance(node, ArchiveFile | ArchiveFolder):
        yield "", node.stamp()
    elif is_archive(node.name):
        yield _on_disk(source, node.path)
    else:
        yield _relative(source, node.path), f"{node.name} {hashlib.sha256(node.content()).hexdigest()}"


def _on_disk(source: Path, path: Path) -> tuple[str, str]:
    return _relative(source, path), disk_stamp(path)


def _relative(source: Path, path: Path) -> str:
    return path.relative_to(source).as_posix() if path != source else path.name
