"""Synthetic records: drawn labels, drawn pictures, JPEG bytes."""

import io
import multiprocessing
from collections.abc import Iterator, Sequence

from mlrsnet_hf.dataset.synthetic.render import render
from mlrsnet_hf.dataset.synthetic.sampling import draw_labels
from mlrsnet_hf.release.records import Record
from mlrsnet_hf.taxonomy import SCENES, Scene

JPEG_QUALITY = 90


def synthetic_record(scene: Scene, index: int, seed: int) -> Record:
    """Make one synthetic image with its labels.

    Args:
        scene: The scene.
        index: The image's number within its scene, from 1, as in the release's file names.
        seed: The seed of the data set.

    Returns:
        The record; it depends on the arguments alone.
    """
    labels = draw_labels(scene, seed, index)
    buffer = io.BytesIO()
    render(scene, labels, seed, index).save(buffer, "JPEG", quality=JPEG_QUALITY)
    stem = f"{scene.published}_{index:05d}"
    return Record(id=stem, file_name=f"{stem}.jpg", scene=scene, labels=labels, image=buffer.getvalue())


def synthetic_records(
    images_per_scene: int, seed: int = 0, scenes: Sequence[Scene] = SCENES, processes: int = 1
) -> Iterator[Record]:
    """Yield synthetic records, scene by scene.

    Args:
        images_per_scene: How many images each scene has.
        seed: The seed of the data set.
        scenes: The scenes; all 46 by default.
        processes: How many processes draw; the records are the same for any number.

    Yields:
        The records in order.
    """
    jobs = ((scene.id, index, seed) for scene in scenes for index in range(1, images_per_scene + 1))
    if processes == 1:
        yield from map(_make, jobs)
        return
    # Fresh processes rather than forks: the caller may hold threads, which a fork would not survive.
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(_make, jobs, chunksize=16)


def _make(job: tuple[int, int, int]) -> Record:
    """Make one record; scenes travel between processes by id, since their tables cannot be pickled."""
    scene_id, index, seed = job
    return synthetic_record(SCENES[scene_id], index, seed)
