"""Classifiers of transformers: the scores are those of its own processor and network, whatever the processor does."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from mlrsnet_hf import Classifier
from mlrsnet_hf.errors import WeightsError
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.models.named_model import load_named_model
from mlrsnet_hf.models.preprocessing import normalize_pixels
from mlrsnet_hf.models.transformers_model import _preprocessing

LABELS = ("sea", "sand", "wood")
MULTI = "multi_label_classification"
LEVELS = 2.5
"""Of 255; transformers may resize by torchvision, whose rounding is not Pillow's."""


def vit(problem: str | None = MULTI, labels: tuple[str, ...] = LABELS, **settings: Any) -> Any:  # noqa: ANN401
    torch.manual_seed(1)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    names = dict(enumerate(labels))
    config = transformers.ViTConfig(
        **sizes, image_size=32, patch_size=8, id2label=names, problem_type=problem, initializer_range=0.3, **settings
    )
    return transformers.ViTForImageClassification(config).eval()


def save(network: Any, folder: Path, **processor: Any) -> Path:  # noqa: ANN401
    network.save_pretrained(folder)
    size = processor.pop("size", {"height": 32, "width": 32})
    transformers.ViTImageProcessor(size=size, **processor).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(vit(), tmp_path_factory.mktemp("models") / "vit")


def pictures() -> list[Image.Image]:
    """Smooth pictures, on which two ways to resize agree but for rounding; their centers lie between two pixels."""
    draw, shapes = np.random.default_rng(5), [(5, 5), (4, 7), (8, 4)]
    noise = [draw.integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in shapes]
    sizes = [(96, 96), (160, 80), (80, 160)]
    return [Image.fromarray(one).resize(size, Image.Resampling.BICUBIC) for one, size in zip(noise, sizes, strict=True)]


def test_scores_are_those_of_transformers(saved: Path) -> None:
    network, processor = vit(), transformers.AutoImageProcessor.from_pretrained(saved)
    with torch.inference_mode():
        logits = network(processor(pictures(), return_tensors="pt")["pixel_values"]).logits
    classifier = Classifier.from_pretrained(saved)
    assert (classifier.label_names, classifier.scene_names) == (LABELS, ())
    assert logits.std(0).min() > 0.05, "else the test says nothing"
    np.testing.assert_allclose(classifier.scores(pictures()), logits.sigmoid().numpy(), atol=5e-3)
    named = load_named_model(ModelChoice(model=str(saved)))
    assert named.architecture == "ViTForImageClassification"
    with torch.inference_mode():
        pixels = torch.rand(2, 3, 32, 32)
        torch.testing.assert_close(named.model(pixels), network(pixels).logits)
    assert named.fingerprint == load_named_model(ModelChoice(model=str(saved))).fingerprint


@pytest.mark.parametrize("problem", [None, "single_label_classification"])
def test_outputs_that_exclude_each_other_are_scenes(problem: str | None, tmp_path: Path) -> None:
    folder = save(vit(problem), tmp_path / "vit")
    classifier = Classifier.from_pretrained(folder)
    assert (classifier.label_names, classifier.scene_names) == ((), LABELS)
    by_transformers = transformers.pipeline("image-classification", str(folder))
    for picture, prediction in zip(pictures(), classifier.predict(pictures()), strict=True):
        expected = {one["label"]: one["score"] for one in by_transformers(picture, top_k=3)}
        assert prediction.scene_scores == pytest.approx(expected, abs=5e-3)


def test_a_single_output_is_a_label(tmp_path: Path) -> None:
    classifier = Classifier.from_pretrained(save(vit(None, ("ship",)), tmp_path / "vit"))
    assert classifier.label_names == ("ship",)


PROCESSORS: dict[str, tuple[str, dict[str, Any]]] = {
    "squeezed": ("ViTImageProcessor", {"size": {"height": 40, "width": 40}, "resample": 3}),
    "not normalized": ("ViTImageProcessor", {"size": {"height": 40, "width": 40}, "do_normalize": False}),
    "twice the scale": ("ViTImageProcessor", {"size": {"height": 40, "width": 40}, "rescale_factor": 2 / 255}),
    "center of a square": (
        "DeiTImageProcessor",
        {"size": {"height": 46, "width": 46}, "crop_size": {"height": 40, "width": 40}},
    ),
    "center": ("BitImageProcessor", {"size": {"shortest_edge": 46}, "crop_size": {"height": 40, "width": 40}}),
    "center of clip": ("CLIPImageProcessor", {"size": {"shortest_edge": 40}, "crop_size": {"height": 40, "width": 40}}),
    "share": ("ConvNextImageProcessor", {"size": {"shortest_edge": 40}, "crop_pct": 0.9}),
    "large of convnext": ("ConvNextImageProcessor", {"size": {"shortest_edge": 384}}),
    "of mobilenet": ("MobileNetV2ImageProcessor", {"size": {"shortest_edge": 50}, "crop_size": 40}),
    "twice normalized": ("EfficientNetImageProcessor", {"size": {"height": 40, "width": 40}, "resample": 2}),
    "from -1": (
        "EfficientNetImageProcessor",
        {
            "size": {"height": 40, "width": 40},
            "rescale_factor": 1 / 127.5,
            "rescale_offset": True,
            "include_top": False,
        },
    ),
    "of siglip": ("SiglipImageProcessor", {"size": {"height": 40, "width": 40}}),
    "of beit": ("BeitImageProcessor", {"size": {"height": 40, "width": 40}}),
}


@pytest.mark.parametrize("case", PROCESSORS)
def test_a_processor_is_told_in_timms_words(case: str, tmp_path: Path) -> None:
    name, settings = PROCESSORS[case]
    processor = getattr(transformers, name)(**settings)
    processor.save_pretrained(tmp_path)
    preprocessing = _preprocessing(tmp_path / "preprocessor_config.json")
    transform = preprocessing.evaluation_transform()
    for picture in pictures():
        expected = processor(picture, return_tensors="pt")["pixel_values"]
        found = normalize_pixels(torch.from_numpy(transform(picture))[None], preprocessing)
        assert found.shape == expected.shape
        level = 1 / 255 / min(preprocessing.std)
        assert float((found - expected).abs().max()) < LEVELS * level
        assert float((found - expected).abs().mean()) < 0.5 * level


def test_files_of_early_versions_are_read(tmp_path: Path) -> None:
    """They name a feature extractor, and a size by one number."""
    told = {"do_normalize": True, "do_resize": True, "image_mean": [0.5] * 3, "image_std": [0.25] * 3, "resample": 2}
    for name, size, mode in (("ViTFeatureExtractor", 224, "squash"), ("ConvNextFeatureExtractor", 288, "center")):
        content = told | {"feature_extractor_type": name, "size": size}
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(content))
        found = _preprocessing(tmp_path / "preprocessor_config.json")
        assert (found.image_size, found.crop_mode) == (size, mode)
        assert found.crop_pct == (1 if mode == "squash" else 0.875)


Change = Callable[[Path], None]


def changed(file: str, **values: Any) -> Change:  # noqa: ANN401
    """Return what writes some values into a JSON file; None takes one away."""

    def change(folder: Path) -> None:
        content = json.loads((folder / file).read_text()) | values
        (folder / file).write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return change


def config(**values: Any) -> Change:  # noqa: ANN401
    return changed("config.json", **values)


def processor(**values: Any) -> Change:  # noqa: ANN401
    return changed("preprocessor_config.json", **values)


def pickled(folder: Path) -> None:
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def without_classifier(folder: Path) -> None:
    vit().vit.save_pretrained(folder / "base")
    shutil.copyfile(folder / "base" / "model.safetensors", folder / "model.safetensors")


def renamed_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["head.weight"] = tensors.pop("classifier.weight")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def of_own_code(folder: Path) -> None:
    code = "from pathlib import Path\nPath(__file__).with_name('it_ran').touch()\n"
    (folder / "own.py").write_text(code + "class Config: pass\nclass Model: pass\n")
    mapped = {"AutoConfig": "own.Config", "AutoModelForImageClassification": "own.Model"}
    config(model_type="their_own", auto_map=mapped)(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (config(id2label={"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}), "no names"),
        (config(id2label={"0": "sea", "2": "sand", "3": "wood"}), "each output"),
        (config(id2label={"0": "sea", "1": "sea", "2": "wood"}), "each output"),
        (config(id2label=None), "id2label"),
        (config(problem_type="regression"), "regression"),
        (config(problem_type="other"), "problem_type"),
        (config(model_type="bert"), "bert"),
        (config(model_type=5), "model_type"),
        (config(hidden_size=10**6), "numbers"),
        (config(hidden_size="many"), "config.json|transformers cannot"),
        (config(patch_size=0), "built|transformers cannot"),
        (config(id2label={"0": "sea", "1": "sand"}), "transformers cannot|missing"),
        (processor(image_processor_type="DonutImageProcessor"), "DonutImageProcessor"),
        (processor(do_pad=True), "do_pad"),
        (processor(do_resize=False), "do_resize"),
        (processor(resample=None), "resample"),
        (processor(resample=17), "resample"),
        (processor(image_std=[0, 1, 1]), "image_std"),
        (processor(image_std=[1]), "std"),
        (processor(image_mean=[0.5], image_std=[0.5]), "channels"),
        (processor(size={"height": 32, "width": 40}), "no squares"),
        (processor(size={"longest_edge": 32}), "no squares"),
        (processor(size={"height": 10**6, "width": 10**6}), "size"),
        (processor(size={"height": 40, "width": 40}), "3 x 40 x 40"),
        (processor(do_center_crop=True, crop_size={"height": 40, "width": 40}), "no square of"),
        (lambda folder: (folder / "preprocessor_config.json").unlink(), "preprocessor_config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no weights"), "model.safetensors"),
        (pickled, "safetensors"),
        (without_classifier, "numbers"),
        (renamed_tensor, r"classifier\.weight"),
        (of_own_code, "their_own"),
    ],
)
def test_what_cannot_be_read_is_refused(change: Change, words: str, saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "vit"
    shutil.copytree(saved, folder)
    change(folder)
    with pytest.raises(WeightsError, match=words) as caught:
        load_named_model(ModelChoice(model=str(folder)))
    assert "\n" not in str(caught.value)
    assert not (folder / "it_ran").exists()
