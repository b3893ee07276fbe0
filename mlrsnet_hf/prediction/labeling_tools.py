"""Images, labels and predictions in the files that FiftyOne and Label Studio import."""

import io
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np
from datasets import Dataset
from PIL import Image, UnidentifiedImageError

from mlrsnet_hf.inputs.pixels.decoding import ImageFiles
from mlrsnet_hf.prediction.predictions_file import SavedPredictions

_IMAGES = "images"
"""Folder of the image files, where some lie nowhere on the disk, as those in Parquet."""
_NAME, _SCENE = "labels", "scene"
"""What the labeling configuration calls the two groups of choices."""


def write_fiftyone(folder: Path, models: Sequence[SavedPredictions], rows: Dataset) -> None:
    """Write what FiftyOne imports as `FiftyOneImageClassificationDataset`, a file for each field.

    `data.json` says where each image lies, `ids.json` which it is, `ground_truth.json` which labels it has, and
    `predictions.json`, of a second model `predictions_2.json`, which it is said to have, with their scores. `README.md`
    holds the lines that import them. (https://docs.voxel51.com/user_guide/import_datasets.html)

    Args:
        folder: The folder to create.
        models: Predictions of one model, or of two for the same images.
        rows: The images, in the order of the predictions of the first.
    """
    folder.mkdir()
    keys = [f"{row:07d}" for row in range(len(rows))]
    first, references = models[0], _references(folder, rows)
    _write(folder / "data.json", dict(zip(keys, references, strict=True)))
    _write(folder / "ids.json", dict(zip(references, first.ids, strict=True)))
    names = list(first.task.label_names or first.task.scene_names)
    _write(folder / "ground_truth.json", {"classes": names, "labels": dict(zip(keys, _true(first), strict=True))})
    fields = ["ground_truth"]
    for number, model in enumerate(models):
        field = "predictions" if number == 0 else f"predictions_{number + 1}"
        said = dict(zip(first.ids, keys, strict=True))
        found = {
            said[image]: [{"label": name, "confidence": score, "attributes": {}} for name, score in labels]
            for image, labels in zip(model.ids, _said(model), strict=True)
        }
        _write(folder / f"{field}.json", {"classes": names, "labels": found})
        fields.append(field)
    (folder / "README.md").write_text(_fiftyone_lines(fields), encoding="utf-8")


def write_label_studio(
    folder: Path, models: Sequence[SavedPredictions], rows: Dataset, written: Path | None = None
) -> None:
    """Write what Label Studio imports: `tasks.json`, and `config.xml`, the labeling configuration of the project.

    Labels are annotations that count as ground truth, predictions those of each model; the score of a prediction is
    that of its least sure decision. Label Studio serves image files from a folder that it is told of, see `README.md`.
    (https://labelstud.io/guide/predictions)

    Args:
        folder: The folder to create.
        models: Predictions of one model, or of two for the same images.
        rows: The images, in the order of the predictions of the first.
        written: The folder of `write_fiftyone` for the same images, whose image files are linked to, so that the disk
            holds them once.
    """
    folder.mkdir()
    first = models[0]
    control = _NAME if first.task.label_outputs else _SCENE
    references = _references(folder, rows, written)
    images = _common_folder(references)
    places = [{image: row for row, image in enumerate(model.ids)} for model in models]
    said = [_said(model) for model in models]
    tasks = []
    for row, (image, path, labels) in enumerate(zip(first.ids, references, _true(first), strict=True)):
        relative = path if images is None else os.path.relpath(path, images.parent)
        predictions = []
        for model, own, found in zip(models, places, said, strict=True):
            at = own[image]
            predictions.append(
                {
                    "model_version": model.info.model.name,
                    "score": _sureness(model, at),
                    "result": _result(control, [name for name, _ in found[at]]),
                }
            )
        tasks.append(
            {
                "id": row + 1,
                "data": {"image": f"/data/local-files/?d={quote(relative)}", "id": image},
                "annotations": [{"ground_truth": True, "result": _result(control, labels)}],
                "predictions": predictions,
            }
        )
    _write(folder / "tasks.json", tasks)
    names = first.task.label_names if first.task.label_outputs else first.task.scene_names
    config = _label_studio_config(control, names, several=bool(first.task.label_outputs))
    (folder / "config.xml").write_text(config, encoding="utf-8")
    (folder / "README.md").write_text(_label_studio_lines(images), encoding="utf-8")


def _references(folder: Path, rows: Dataset, written: Path | None = None) -> list[str]:
    """Return the path of each image file, absolute; where some lie nowhere, all are written into the folder, relative.

    Label Studio serves the files of one folder, so that they are all in one place or the other.
    """
    files = ImageFiles(rows)
    places: list[str] = []
    for row in range(len(files)):
        path, content = files[row]["path"], files[row]["bytes"]
        if content is not None or path is None:
            break
        places.append(str(Path(path).absolute()))
    else:
        return places
    (folder / _IMAGES).mkdir()
    names = []
    for row in range(len(files)):
        path, content = files[row]["path"], files[row]["bytes"]
        if content is None and path is not None:
            content = Path(path).read_bytes()
        name = f"{_IMAGES}/{row:07d}{_suffix(path, content or b'')}"
        _link_or_write(folder / name, content or b"", None if written is None else written / name)
        names.append(name)
    return names


def _link_or_write(path: Path, content: bytes, same: Path | None) -> None:
    """Make a file: a hard link to one of the same content, where there is one and the disk has such links."""
    if same is not None:
        try:
            path.hardlink_to(same)
            return
        except OSError:
            pass
    path.write_bytes(content)


def _suffix(path: str | None, content: bytes) -> str:
    if path and Path(path).suffix:
        return Path(path).suffix.lower()
    try:
        with Image.open(io.BytesIO(content)) as image:
            return f".{(image.format or 'bin').lower()}".replace(".jpeg", ".jpg")
    except (UnidentifiedImageError, OSError):  # such as of many bands
        return ".tif"


def _true(saved: SavedPredictions) -> list[list[str]]:
    """Return the labels of each image; its scene, where scenes alone are scored."""
    names = saved.task.label_names if saved.task.label_outputs else saved.task.scene_names
    if saved.task.label_outputs:
        return [[names[label] for label in np.flatnonzero(row == 1)] for row in saved.predictions.targets]
    assert saved.scenes is not None, "scenes are scored"
    return [[names[scene]] for scene in saved.scenes]


def _said(saved: SavedPredictions) -> list[list[tuple[str, float]]]:
    """Return the labels above their thresholds with their scores, the highest first; or the scene."""
    if not saved.task.label_outputs:
        scores = saved.predictions.scene_scores
        best = scores.argmax(axis=1)
        return [[(saved.task.scene_names[scene], float(row[scene]))] for scene, row in zip(best, scores, strict=True)]
    thresholds, names = saved.thresholds, saved.task.label_names
    return [
        [
            (names[label], float(row[label]))
            for label in np.argsort(-row, kind="stable")
            if row[label] > thresholds[label]
        ]
        for row in saved.predictions.scores
    ]


def _sureness(saved: SavedPredictions, row: int) -> float:
    """Return the score of the least sure decision on an image: of a label that it is said not to have, 1 less it."""
    if not saved.task.label_outputs:
        return float(saved.predictions.scene_scores[row].max())
    scores = saved.predictions.scores[row]
    return float(np.where(scores > saved.thresholds, scores, 1 - scores).min())


def _result(control: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return a choice of labels as Label Studio has it; none of them is no result."""
    if not names:
        return []
    return [{"from_name": control, "to_name": "image", "type": "choices", "value": {"choices": list(names)}}]


def _common_folder(references: Sequence[str]) -> Path | None:
    """Return the folder that all image files lie below; None where they were written beside the tasks."""
    if not references or not Path(references[0]).is_absolute():
        return None
    return Path(os.path.commonpath([Path(path).parent for path in references]))


def _label_studio_config(control: str, names: Sequence[str], several: bool) -> str:
    choices = "\n".join(f"    <Choice value={quoteattr(name)}/>" for name in names)
    return (
        "<View>\n"
        '  <Image name="image" value="$image"/>\n'
        f'  <Choices name="{control}" toName="image" choice="{"multiple" if several else "single"}">\n'
        f"{choices}\n"
        "  </Choices>\n"
        "</View>\n"
    )


def _fiftyone_lines(fields: Sequence[str]) -> str:
    return "\n".join(_fiftyone_text(fields)) + "\n"


def _fiftyone_text(fields: Sequence[str]) -> Iterator[str]:
    yield "In this folder, with `pip install fiftyone`:\n\n```python"
    yield "import json, os\n"
    yield "import fiftyone as fo\n"
    yield "form = fo.types.FiftyOneImageClassificationDataset"
    for number, field in enumerate(fields):
        act = "dataset = fo.Dataset.from_dir" if number == 0 else "dataset.merge_dir"
        yield f'{act}(dataset_type=form, data_path="data.json", labels_path="{field}.json", label_field="{field}")'
    yield 'ids = {os.path.abspath(path): name for path, name in json.load(open("ids.json")).items()}'
    yield 'dataset.set_values("image_id", ids, key_field="filepath")'
    yield "fo.launch_app(dataset)\n```"


def _label_studio_lines(images: Path | None) -> str:
    # Label Studio takes no storage that is the root itself, so that the root is the folder above.
    root, storage = "this folder", f"its folder `{_IMAGES}`"
    if images is not None:
        root, storage = f"`{images.parent}`", f"`{images}`"
    return (
        "1. Start Label Studio with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and\n"
        f"   LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT set to {root}, as an absolute path.\n"
        f"2. Make a project whose labeling interface is `config.xml`, and add a local storage of {storage}.\n"
        "   Do not synchronize it: that would make a task of each file.\n"
        "3. Import `tasks.json`.\n"
    )


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
