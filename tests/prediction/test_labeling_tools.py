"""What FiftyOne and Label Studio import, read as their importers and documents say.

FiftyOne: `FiftyOneImageClassificationDatasetImporter` joins the paths of data.json to its folder, and takes each target
for a name or an object with label, confidence and attributes. Label Studio: every result names a control and an object
of the labeling configuration, and choices that the configuration has.
"""

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import numpy as np
import pytest
from datasets import Dataset, Features, Value
from datasets import Image as ImageFeature
from PIL import Image

from mlrsnet_hf.prediction.labeling_tools import write_fiftyone, write_label_studio
from mlrsnet_hf.prediction.predictions_file import SavedPredictions
from tests.prediction.test_predictions_file import IMAGES, LABELS, SCENES, make_saved


@pytest.fixture
def rows(tmp_path: Path) -> Dataset:
    """Pictures, half of them files, half bytes that lie nowhere."""
    folder = tmp_path / "pictures & more"
    folder.mkdir()
    images = []
    for number in range(IMAGES):
        path = folder / f"{number} #a&b%20+.png"
        Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
        images.append({"path": str(path), "bytes": None})
        if number % 2:
            images[-1] = {"path": None, "bytes": path.read_bytes()}
    content = {"id": [f"{number:03d}" for number in range(IMAGES)], "image": images}
    return Dataset.from_dict(content, features=Features({"id": Value("string"), "image": ImageFeature()}))


@pytest.fixture
def files(rows: Dataset, tmp_path: Path) -> Dataset:
    """The same pictures, all of them files."""
    places = [str(tmp_path / "pictures & more" / f"{number} #a&b%20+.png") for number in range(IMAGES)]
    content = {"id": rows["id"][:], "image": [{"path": path, "bytes": None} for path in places]}
    return Dataset.from_dict(content, features=rows.features)


def red(path: Path) -> int:
    with Image.open(path) as image:
        return image.getpixel((0, 0))[0]


@pytest.mark.parametrize("kind", ["labels", "scene"])
def test_fiftyone(kind: str, rows: Dataset, tmp_path: Path) -> None:
    saved = make_saved(kind)
    write_fiftyone(tmp_path / "fiftyone", [saved, saved], rows)
    paths = json.loads((tmp_path / "fiftyone/data.json").read_text())
    truth, said, again = (
        json.loads((tmp_path / f"fiftyone/{name}.json").read_text())
        for name in ("ground_truth", "predictions", "predictions_2")
    )
    assert said == again
    assert truth["classes"] == list(SCENES if kind == "scene" else LABELS)
    assert set(paths) == set(truth["labels"]) == set(said["labels"])
    ids = json.loads((tmp_path / "fiftyone/ids.json").read_text())
    assert [ids[paths[key]] for key in sorted(paths)] == list(saved.ids)
    assert not any(Path(key).suffix for key in paths)  # which the importer would cut
    for number, key in enumerate(sorted(paths)):
        assert red(tmp_path / "fiftyone" / paths[key]) == number
        expected, scores = expected_of(saved, number)
        assert truth["labels"][key] == expected
        found = {one["label"]: one["confidence"] for one in said["labels"][key]}
        assert found == pytest.approx(scores)
        assert all(set(one) == {"label", "confidence", "attributes"} for one in said["labels"][key])


def expected_of(saved: SavedPredictions, row: int) -> tuple[list[str], dict[str, float]]:
    """Return the labels of an image, and those that it is said to have, with their scores."""
    if saved.task.kind == "scene":
        scores = saved.predictions.scene_scores[row]
        return [SCENES[saved.scenes[row]]], {SCENES[scores.argmax()]: scores.max()}
    scores, thresholds = saved.predictions.scores[row], (0.5, 0.25, -0.1)
    true = [name for name, value in zip(LABELS, saved.predictions.targets[row], strict=True) if value == 1]
    said = {name: score for name, score, own in zip(LABELS, scores, thresholds, strict=True) if score > own}
    return true, said


@pytest.mark.parametrize(("kind", "which"), [("labels", "rows"), ("scene", "files")])
def test_label_studio(kind: str, which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    saved, rows = make_saved(kind), request.getfixturevalue(which)
    write_label_studio(tmp_path / "studio", [saved], rows)
    config = ElementTree.fromstring((tmp_path / "studio/config.xml").read_text())
    (image,), (choices,) = config.findall("Image"), config.findall("Choices")
    assert (image.get("value"), choices.get("toName")) == ("$image", image.get("name"))
    assert choices.get("choice") == ("single" if kind == "scene" else "multiple")
    known = [choice.get("value") for choice in choices]
    assert known == list(SCENES if kind == "scene" else LABELS)
    tasks = json.loads((tmp_path / "studio/tasks.json").read_text())
    assert len(tasks) == IMAGES
    root = tmp_path if which == "files" else tmp_path / "studio"  # above the storage, which must not be the root
    (config_root, storage) = (f"`{root}`", f"`{root}/pictures & more`") if which == "files" else ("this", "`images`")
    lines = (tmp_path / "studio/README.md").read_text()
    assert f"ROOT set to {config_root}" in lines and storage in lines
    for number, task in enumerate(tasks):
        address = urlsplit(task["data"]["image"])  # as the server reads it
        (path,) = parse_qs(address.query)["d"]
        assert address.path == "/data/local-files/"
        assert red(root / path) == number
        expected, scores = expected_of(saved, number)
        for part, wanted in ((task["annotations"], expected), (task["predictions"], list(scores))):
            (one,) = part
            results = one["result"]
            assert [set(result["value"]["choices"]) for result in results] == ([set(wanted)] if wanted else [])
            for result in results:
                assert (result["from_name"], result["to_name"]) == (choices.get("name"), image.get("name"))
                assert result["type"] == "choices"
                assert set(result["value"]["choices"]) <= set(known)
        assert task["annotations"][0]["ground_truth"] is True
        assert 0 <= task["predictions"][0]["score"] <= 1
        assert task["predictions"][0]["model_version"] == "run"


def test_image_files_are_on_the_disk_once(rows: Dataset, files: Dataset, tmp_path: Path) -> None:
    saved = make_saved("labels")
    write_fiftyone(tmp_path / "fiftyone", [saved], rows)
    write_label_studio(tmp_path / "studio", [saved], rows, tmp_path / "fiftyone")
    images = sorted((tmp_path / "studio/images").iterdir())
    assert len(images) == IMAGES
    assert all(path.samefile(tmp_path / "fiftyone/images" / path.name) for path in images)
    write_fiftyone(tmp_path / "again", [saved], files)
    write_label_studio(tmp_path / "studio again", [saved], files, tmp_path / "again")
    assert not list(tmp_path.glob("*again/images"))


def test_a_disk_without_links_holds_copies(rows: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no such links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    saved = make_saved("labels")
    write_fiftyone(tmp_path / "fiftyone", [saved], rows)
    write_label_studio(tmp_path / "studio", [saved], rows, tmp_path / "fiftyone")
    assert [red(path) for path in sorted((tmp_path / "studio/images").iterdir())] == list(range(IMAGES))


def test_the_score_of_a_prediction_is_that_of_its_least_sure_decision(rows: Dataset, tmp_path: Path) -> None:
    saved = make_saved("labels")
    write_label_studio(tmp_path / "studio", [saved], rows)
    tasks = json.loads((tmp_path / "studio/tasks.json").read_text())
    for number, task in enumerate(tasks):
        scores, said = saved.predictions.scores[number], expected_of(saved, number)[1]
        sure = [score if name in said else 1 - score for name, score in zip(LABELS, scores, strict=True)]
        assert task["predictions"][0]["score"] == pytest.approx(np.min(sure))
