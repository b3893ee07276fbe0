"""A trained model as an object: any form of picture gives what timm and the network by hand give."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
import pytest
import timm
import torch
from PIL import Image

from mlrsnet_hf import Classifier
from mlrsnet_hf.errors import ConfigurationError, ImageError, UnknownNameError
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.models.named_model import load_named_model
from mlrsnet_hf.models.preprocessing import model_preprocessing
from mlrsnet_hf.models.saved_model import save_model

LABELS = ("water", "ships", "trees", "sand")
SCENES = ("beach", "forest", "harbor")
THRESHOLDS = (0.3, 0.5, 0.7, 0.5)
SIDE = 32


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a network of random weights that tells labels and scenes, and has thresholds."""
    torch.manual_seed(3)
    model = timm.create_model("test_resnet", num_classes=7).eval()
    torch.nn.init.normal_(model.fc.weight, std=0.2)
    task = Task(kind="labels+scene", label_names=LABELS, scene_names=SCENES)
    folder = tmp_path_factory.mktemp("run") / "model"
    save_model(model, folder, model_preprocessing(model, SIDE, 1.0), task, dict(zip(LABELS, THRESHOLDS, strict=True)))
    return folder.parent


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    return [np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8) for seed in range(7)]


def by_hand(saved: Path, images: list[np.ndarray]) -> np.ndarray:
    """Return the logits by timm's own transform, one image at a time."""
    model = load_named_model(ModelChoice(model=str(saved)))
    transform = timm.data.create_transform(**model.preprocessing.timm_config(), is_training=False)
    with torch.inference_mode():
        logits = [model.model(transform(Image.fromarray(image))[None]) for image in images]
    return torch.cat(logits).numpy()


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def test_scores_are_those_of_the_network_by_hand(saved: Path, images: list[np.ndarray]) -> None:
    logits = by_hand(saved, images)
    classifier = Classifier.from_pretrained(saved, batch_size=3)
    assert (classifier.label_names, classifier.scene_names) == (LABELS, SCENES)
    scores = classifier.scores(images)
    assert (scores.shape, scores.dtype) == ((7, 4), np.float32)
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits[:, :4])), atol=1e-5)
    exponents = np.exp(logits[:, 4:])
    np.testing.assert_allclose(classifier.scene_scores(images), exponents / exponents.sum(1, keepdims=True), atol=1e-5)
    for row, prediction in enumerate(classifier.predict(images)):
        thresholds = [0.3, 0.5, 0.7, 0.5]
        expected = sorted(
            (label for label in range(4) if scores[row, label] > thresholds[label]), key=lambda x: -scores[row, x]
        )
        assert prediction.labels == tuple(LABELS[label] for label in expected)
        assert list(prediction.scores) == list(LABELS)
        assert prediction.scores["sand"] == pytest.approx(scores[row, 3])
        assert prediction.scene == SCENES[logits[row, 4:].argmax()]


def test_a_picture_may_have_any_form(saved: Path, images: list[np.ndarray], tmp_path: Path) -> None:
    image = images[0]
    path = tmp_path / "one.png"
    path.write_bytes(png(image))
    forms = [image, Image.fromarray(image), path, str(path), png(image), {"bytes": png(image), "path": None}]
    classifier = Classifier.from_pretrained(saved)
    expected = classifier.scores([image])
    for form in forms:
        np.testing.assert_allclose(classifier.scores(form), expected, atol=1e-6)
    np.testing.assert_allclose(classifier.scores(iter(forms)), expected.repeat(len(forms), axis=0), atol=1e-6)
    np.testing.assert_allclose(classifier.scores(np.stack(images)), classifier.scores(images), atol=1e-6)
    gray = image[:, :, 0]
    np.testing.assert_allclose(classifier.scores(gray), classifier.scores(Image.fromarray(gray)), atol=1e-6)
    assert classifier.predict([]) == []
    assert classifier.scores([]).shape == (0, 4)


def test_thresholds_may_be_given(saved: Path, images: list[np.ndarray]) -> None:
    every = Classifier.from_pretrained(saved, thresholds=0.0).predict(images)
    assert all(len(prediction.labels) == 4 for prediction in every)
    some = Classifier.from_pretrained(saved, thresholds=dict.fromkeys(LABELS[1:], 1.0) | {"water": 0.0})
    assert all(prediction.labels == ("water",) for prediction in some.predict(images))
    with pytest.raises(UnknownNameError, match="wter"):
        Classifier.from_pretrained(saved, thresholds={"wter": 0.5})


def test_symmetries_average_logits(saved: Path, images: list[np.ndarray]) -> None:
    square = [image[:40, :40] for image in images]
    turned = [[np.rot90(image, turns) for image in square] for turns in range(4)]
    views = [by_hand(saved, view) for view in turned + [[image[:, ::-1] for image in view] for view in turned]]
    expected = 1 / (1 + np.exp(-np.mean(views, axis=0)[:, :4]))
    np.testing.assert_allclose(Classifier.from_pretrained(saved, symmetries=8).scores(square), expected, atol=1e-4)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
        Image.new("I;16", (8, 8)),
        b"no image",
        "nowhere.png",
        None,
        3.5,
        torch.zeros(3, 8, 8),
        {"image": b"a row"},
    ],
)
def test_what_cannot_be_seen_is_refused(saved: Path, picture: object) -> None:
    with pytest.raises(ImageError):
        Classifier.from_pretrained(saved).scores([picture])


def test_a_network_without_labels_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="test_resnet"):
        Classifier(load_named_model(ModelChoice(model="test_resnet", weights="random")))


def test_a_row_of_a_dataset_and_any_path(saved: Path, images: list[np.ndarray], tmp_path: Path) -> None:
    class Place(os.PathLike):
        def __fspath__(self) -> str:
            return str(tmp_path / "one.png")

    (tmp_path / "one.png").write_bytes(png(images[0]))
    classifier = Classifier.from_pretrained(saved)
    expected = classifier.scores(images[:1])
    features = datasets.Features({"image": datasets.Image()})
    rows = datasets.Dataset.from_dict({"image": [{"bytes": png(images[0]), "path": None}]}, features=features)
    np.testing.assert_allclose(classifier.scores(Place()), expected, atol=1e-6)
    np.testing.assert_allclose(classifier.scores(rows["image"]), expected, atol=1e-6)
    undecoded = rows.cast_column("image", datasets.Image(decode=False))
    np.testing.assert_allclose(classifier.scores(undecoded[0]["image"]), expected, atol=1e-6)


def test_precision_and_thresholds_of_any_number(saved: Path, images: list[np.ndarray]) -> None:
    expected = Classifier.from_pretrained(saved).scores(images)
    coarse = Classifier.from_pretrained(saved, precision="bf16", thresholds=np.float32(0.25))
    np.testing.assert_allclose(coarse.scores(images), expected, atol=0.02)
    assert not np.array_equal(coarse.scores(images), expected)
    assert coarse.thresholds.tolist() == [0.25] * 4
    for wrong in ({"precision": "int8"}, {"symmetries": 3}, {"batch_size": 0}):
        with pytest.raises(ConfigurationError):
            Classifier.from_pretrained(saved, **wrong)


def test_the_fingerprint_is_of_all_that_scores_depend_on(saved: Path) -> None:
    same = {Classifier.from_pretrained(saved).fingerprint for _ in range(2)}
    changes: list[dict[str, object]] = [{"symmetries": 2}, {"batch_size": 8}, {"precision": "bf16"}]
    others = {Classifier.from_pretrained(saved, **change).fingerprint for change in changes}
    assert len(same) == 1 and len(others | same) == 4
    assert Classifier.from_pretrained(saved, thresholds=0.1).fingerprint in same, "of scores, not of labels"


def test_a_fault_ends_the_reading_ahead(saved: Path, images: list[np.ndarray]) -> None:
    asked = []

    def pictures() -> Iterator[object]:
        for number in range(1000):
            asked.append(number)
            yield images[0] if number != 4 else b"torn"

    with pytest.raises(ImageError, match="picture 5"):
        Classifier.from_pretrained(saved, batch_size=2).scores(pictures())
    assert len(asked) <= 8


@pytest.mark.parametrize(
    "options", [{"thresholds": 2}, {"thresholds": float("nan")}, {"device": "cuda:99"}, {"device": "abacus"}]
)
def test_what_cannot_be_used_is_told(saved: Path, options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Classifier.from_pretrained(saved, **options)
