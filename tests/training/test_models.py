from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, WeightsError
from mlrsnet_hf.training.models import build_model, require_known_model


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of test_resnet with 1000 outputs."""
    torch.manual_seed(0)
    path = tmp_path / "weights.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".bin"])
def test_a_classifier_of_another_size_is_replaced_with_a_message(weights: Path, tmp_path: Path, suffix: str) -> None:
    state = timm.models.load_state_dict(weights)
    path = tmp_path / f"other{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state, "epoch": 3}, path)
    said: list[str] = []
    model = build_model("test_resnet", 60, str(path), say=said.append)
    assert said == [f"{path}: fc.weight has 1000 outputs, the model needs 60: started anew"]
    assert model.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 60)
    loaded = model.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items() if not key.startswith("fc."))


def test_a_classifier_that_fits_is_kept_in_silence(weights: Path) -> None:
    said: list[str] = []
    model = build_model("test_resnet", 1000, str(weights), say=said.append)
    assert not said
    assert torch.equal(model.state_dict()["fc.weight"], timm.models.load_state_dict(weights)["fc.weight"])


def test_weights_without_a_classifier(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "body.safetensors"
    save_file({k: v for k, v in timm.models.load_state_dict(weights).items() if not k.startswith("fc.")}, path)
    said: list[str] = []
    build_model("test_resnet", 60, str(path), say=said.append)
    assert said == [f"{path}: fc.weight has no such tensor, the model needs 60: started anew"]


def test_weights_of_another_architecture(weights: Path) -> None:
    with pytest.raises(WeightsError, match=r"does not fit test_efficientnet: .* is missing.* and \d+ more\.") as caught:
        build_model("test_efficientnet", 60, str(weights))
    assert str(weights) in str(caught.value)


def test_weights_of_another_width(weights: Path, tmp_path: Path) -> None:
    state = timm.models.load_state_dict(weights)
    state["layer1.0.conv1.weight"] = torch.zeros(1, 3, 3, 3)
    path = tmp_path / "narrow.safetensors"
    save_file(state, path)
    with pytest.raises(WeightsError, match=r"layer1\.0\.conv1\.weight has shape \(1, 3, 3, 3\) instead of"):
        build_model("test_resnet", 60, str(path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("gone.safetensors", None),
        ("empty.safetensors", b""),
        ("cut.safetensors", "half"),
        ("text.pth", b"no weights"),
        ("empty.pth", b""),
        ("cut.pth", "half"),
        ("list.pth", [1, 2]),
        ("words.pth", {"a": "b"}),
        ("code.pth", {"a": Path}),
    ],
)
def test_unreadable_weights_are_named(weights: Path, tmp_path: Path, name: str, content: object) -> None:
    path = tmp_path / name
    if content == "half":
        if path.suffix == ".pth":
            torch.save(timm.models.load_state_dict(weights), path)
            path.write_bytes(path.read_bytes()[:5000])
        else:
            path.write_bytes(weights.read_bytes()[:5000])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(WeightsError) as caught:
        build_model("test_resnet", 60, str(path))
    assert str(path) in caught.value.found
    assert "\n" not in str(caught.value)


def test_unknown_model_lists_near_names() -> None:
    with pytest.raises(UnknownNameError, match=r"no model 'resnet5O'\. Did you mean 'resnet50'"):
        require_known_model("resnet5O")


def test_unknown_model_without_near_names() -> None:
    with pytest.raises(UnknownNameError, match=r"See timm\.list_models\(\)"):
        require_known_model("")
    with pytest.raises(UnknownNameError, match=r"See timm\.list_models\(\)"):
        require_known_model("some/folder:qqqqqqqq")


def test_unknown_tag_lists_the_models_own() -> None:
    with pytest.raises(UnknownNameError, match=r"no weights 'resnet18\.a1_in2k'\. Did you mean 'resnet18\.a1_in1k'"):
        require_known_model("resnet18.a1_in2k")
    require_known_model("resnet18.a1_in1k")


def test_no_download_names_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match=r"of 'resnet18' cannot be downloaded: .*\. Pass a file as --weights"):
        build_model("resnet18", 60)


def test_a_model_without_published_weights() -> None:
    with pytest.raises(WeightsError, match="No pretrained weights exist"):
        build_model("convnext_atto_rms", 60)


def test_a_transformer_takes_another_image_size() -> None:
    model = build_model("test_vit", 5, "random", image_size=64)
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 5)


def test_a_model_of_one_image_size_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("timm.models.vision_transformer.VisionTransformer.set_input_size")
    with pytest.raises(ConfigurationError, match="test_vit takes images of 160 pixels only, not 64"):
        build_model("test_vit", 5, "random", image_size=64)
