"""Synthetic records: drawn labels, drawn pictures, JPEG bytes."""

import io
from collections.abc import Iterator, Mapping

from mlrsnet_hf.parallel import in_processes
from mlrsnet_hf.release import Record
from mlrsnet_hf.synthetic.render import render
from mlrsnet_hf.synthetic.sampling import draw_labels
from mlrsnet_hf.taxonomy import SCENES, Scene

JPEG_QUALITY = 90

# What travels between processes: scene, index and seed there; labels and JPEG bytes back.
_Job = tuple[Scene, int, int]
_Drawing = tuple[tuple[int, ...], bytes]


def synthetic_record(scene: Scene, index: int, seed: int) -> Record:
    """Make one synthetic image with its labels.

    Args:
        scene: The scene.
        index: The image's number within its scene, from 1, as in the release's file names.
        seed: The seed of the data set.

    Returns:
        The record; it depends on the arguments alone.
    """
    return _record(scene, index, _drawn((scene, index, seed)))


def synthetic_records(
    images_per_scene: int | Mapping[Scene, int], seed: int = 0, processes: int = 1
) -> Iterator[Record]:
    """Yield synthetic records, scene by scene.

    Args:
        images_per_scene: How many images each of the 46 scenes has, or how many each scene has that is named.
        seed: The seed of the data set.
        processes: How many processes draw; the records are the same for any number. With more than one, a script
            must guard its main part with `if __name__ == "__main__":`, as `multiprocessing` asks.

    Yields:
        The records in order.
    """
    counts = images_per_scene if isinstance(images_per_scene, Mapping) else dict.fromkeys(SCENES, images_per_scene)
    jobs = [(scene, index, seed) for scene, count in counts.items() for index in range(1, count + 1)]
    for (scene, index, _), drawing in zip(jobs, in_processes(_drawn, jobs, processes), strict=True):
        yield _record(scene, index, drawing)


def _record(scene: Scene, index: int, drawing: _Drawing) -> Record:
    labels, image = drawing
    stem = f"{scene.published}_{index:05d}"
    return Record(id=stem, file_name=f"{stem}.jpg", scene=scene, labels=labels, image=image)


def _drawn(job: _Job) -> _Drawing:
    """Draw one image: its labels and its JPEG bytes."""
    scene, index, seed = job
    labels = draw_labels(scene, seed, index)
    buffer = io.BytesIO()
    render(scene, labels, seed, index).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return labels, buffer.getvalue()
