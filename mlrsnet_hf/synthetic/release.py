"""Synthetic scenes as a folder in the layout of the release."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from mlrsnet_hf.files import whole_folder
from mlrsnet_hf.parallel import default_processes
from mlrsnet_hf.release import Record, Release, fill_release, open_release
from mlrsnet_hf.runtime.logs import progress_bar
from mlrsnet_hf.synthetic import contact_sheet, synthetic_records
from mlrsnet_hf.taxonomy import SCENES, Scene

CONTACT_SHEET = "contact_sheet.png"
IMAGES_PER_SCENE_SHOWN = 2


def write_synthetic_release(
    root: Path, images_per_scene: int | None, seed: int = 0, processes: int | None = None
) -> Release:
    """Draw synthetic scenes into a release folder, with a contact sheet in it.

    Args:
        root: The folder to create.
        images_per_scene: Of each of the 46 scenes; None for as many as MLRSNet has, 109,161 in all.
        seed: Another seed gives other images.
        processes: How many draw at once, by default one for each core up to 8; the images do not depend on it.

    Raises:
        ConfigurationError: The folder exists, another process is writing it, or it cannot be written.
    """
    counts = {scene: images_per_scene or scene.images for scene in SCENES}
    with whole_folder(root) as folder:
        records = synthetic_records(counts, seed, processes or default_processes())
        shown: list[Record] = []
        records = progress_bar(records, "drawing synthetic scenes", total=sum(counts.values()))
        fill_release(_keeping_first(records, shown), folder)
        contact_sheet(shown).save(folder / CONTACT_SHEET)
    return open_release(root, "as-published")


def _keeping_first(records: Iterable[Record], kept: list[Record]) -> Iterator[Record]:
    """Pass the records on; put the first of every scene into `kept`."""
    seen: Counter[Scene] = Counter()
    for record in records:
        seen[record.scene] += 1
        if seen[record.scene] <= IMAGES_PER_SCENE_SHOWN:
            kept.append(record)
        yield record
