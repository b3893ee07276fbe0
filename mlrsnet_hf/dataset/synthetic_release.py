"""Synthetic scenes as a folder in the layout of the release."""

from collections.abc import Iterator
from pathlib import Path

from tqdm.auto import tqdm

from mlrsnet_hf.dataset.synthetic import contact_sheet, synthetic_records
from mlrsnet_hf.release import Record, Release, open_release, write_release
from mlrsnet_hf.taxonomy import SCENES

CONTACT_SHEET = "contact_sheet.png"
IMAGES_PER_SCENE_SHOWN = 2


def write_synthetic_release(
    root: Path, images_per_scene: int | None, seed: int = 0, processes: int | None = 1
) -> Release:
    """Draw synthetic scenes into a release folder, with a contact sheet in it.

    Args:
        root: The folder to create.
        images_per_scene: Of each of the 46 scenes; None for as many as MLRSNet has, 109,161 in all.
        seed: Another seed gives other images.
        processes: How many draw at once; the images do not depend on it.

    Raises:
        ConfigurationError: The folder exists or cannot be written.
    """
    counts = {scene: images_per_scene or scene.images for scene in SCENES}
    records = synthetic_records(counts, seed, processes or 1)
    write_release(_with_progress(records, sum(counts.values())), root)
    release = open_release(root)
    contact_sheet(list(_shown(release))).save(root / CONTACT_SHEET)
    return release


def _with_progress(records: Iterator[Record], total: int) -> Iterator[Record]:
    """Show the bar only when the first record is asked for, after the folder was found good."""
    yield from tqdm(records, "drawing synthetic scenes", total, unit="image")


def _shown(release: Release) -> Iterator[Record]:
    """Yield the first records of every scene."""
    return release.records([entry for part in release.parts for entry in part.entries[:IMAGES_PER_SCENE_SHOWN]])
