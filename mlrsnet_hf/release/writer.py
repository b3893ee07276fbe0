"""Records to a folder in the layout of the release."""

import csv
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from mlrsnet_hf.files import whole_folder
from mlrsnet_hf.release.label_files import IMAGE_COLUMN
from mlrsnet_hf.release.release import Record
from mlrsnet_hf.taxonomy import LABELS


def write_release(records: Iterable[Record], root: str | Path) -> None:
    """Write records as `Images/<scene>/<file>` and `Labels/<scene>.csv`, in published spelling.

    The folder appears when it is whole; images stream, only the label rows are held.

    Args:
        records: Any number of records, in any order.
        root: The folder to create.

    Raises:
        ConfigurationError: The folder exists, another process is writing it, or it cannot be created.
    """
    with whole_folder(Path(root)) as folder:
        fill_release(records, folder)


def fill_release(records: Iterable[Record], folder: Path) -> None:
    """Write records into an empty folder, as `write_release` does; the caller sees to it that it becomes whole."""
    rows: dict[str, list[list[str | int]]] = defaultdict(list)
    for record in records:
        images = folder / "Images" / record.scene.published
        if record.scene.published not in rows:
            images.mkdir(parents=True)
        (images / record.file_name).write_bytes(record.image)
        values = [int(label.id in record.labels) for label in LABELS]
        rows[record.scene.published].append([record.file_name, *values])
    labels = folder / "Labels"
    labels.mkdir()
    for scene, scene_rows in rows.items():
        with (labels / f"{scene}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([IMAGE_COLUMN, *(label.published for label in LABELS)])
            writer.writerows(scene_rows)
