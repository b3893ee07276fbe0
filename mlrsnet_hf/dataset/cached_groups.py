"""Groups of near-duplicates, searched once for a source."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from filelock import FileLock

from mlrsnet_hf.dataset.near_duplicates import near_duplicate_groups


def cached_groups(file: Path, images: Callable[[], Iterable[tuple[str, bytes]]]) -> dict[str, int]:
    """Return the group number of each image, from a file if an earlier call has written it.

    Args:
        file: Where the groups are kept.
        images: Gives id and image file of each image; called only where there is no such file.

    Raises:
        ImageError: An image cannot be decoded.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock"):
        if not file.exists():
            partial = file.with_name(f"{file.name}.partial")
            partial.write_text(json.dumps(near_duplicate_groups(images())), encoding="utf-8")
            partial.replace(file)
        groups: dict[str, int] = json.loads(file.read_text(encoding="utf-8"))
    return groups
