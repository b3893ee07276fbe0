import dataclasses
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, WeightsError
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models import build as models
from mlrsnet_hf.models import weights as weights_of_files
from mlrsnet_hf.models.build import build_model, require_known_model, require_weights, training_size
from mlrsnet_hf.models.preprocessing import model_preprocessing
from mlrsnet_hf.models.saved_model import load_model, save_model
from mlrsnet_hf.models.timm_config import classifier_names
from mlrsnet_hf.training.components import make_model
from mlrsnet_hf.training.config import TrainingConfig

TASK = Task(kind="labels+scene", label_names=("a", "b", "c"), scene_names=("x", "y"))
RANDOM_RESNET = {"model": "test_resnet", "weights": "random", "image_size": 32}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of test_resnet with 1000 outputs."""
    torch.manual_seed(0)
    path = tmp_path / "weights.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".bin"])
def test_a_classifier_of_another_size_is_replaced_with_a_message(
    weights: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture
) -> None:
    state = timm.models.load_state_dict(weights)
    path = tmp_path / f"other{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state, "epoch": 3}, path)
    model = build_model("test_resnet", 60, str(path))
    [line] = capsys.readouterr().out.splitlines()
    assert all(fact in line for fact in (str(path), "fc.weight", "1000", "60"))
    assert model.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 60)
    loaded = model.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items() if not key.startswith("fc."))


def test_a_classifier_that_fits_is_kept_in_silence(weights: Path, capsys: pytest.CaptureFixture) -> None:
    model = build_model("test_resnet", 1000, str(weights))
    assert capsys.readouterr().out == ""
    assert torch.equal(model.state_dict()["fc.weight"], timm.models.load_state_dict(weights)["fc.weight"])


def test_weights_without_a_classifier(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "body.safetensors"
    save_file({k: v for k, v in timm.models.load_state_dict(weights).items() if not k.startswith("fc.")}, path)
    build_model("test_resnet", 60, str(path))
    [line] = capsys.readouterr().out.splitlines()
    assert all(fact in line for fact in (str(path), "fc.weight", "60"))


@pytest.mark.parametrize("prefix", ["model.", "module.", "_orig_mod.module.", "timm_model.", "student.net."])
def test_what_all_names_begin_with_is_taken_off(weights: Path, tmp_path: Path, prefix: str) -> None:
    """As in the checkpoints of Lightning, of DDP, of torch.compile, of transformers."""
    state = timm.models.load_state_dict(weights)
    path = tmp_path / "epoch=3.ckpt"
    torch.save({"state_dict": {f"{prefix}{name}": value for name, value in state.items()}, "epoch": 3}, path)
    loaded = build_model("test_resnet", 1000, str(path)).state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())
    with pytest.raises(WeightsError, match=r"does not fit test_vit: .* is missing"):
        build_model("test_vit", 1000, str(path))


def test_a_part_of_the_model_is_not_the_model(weights: Path, tmp_path: Path) -> None:
    """All names of a stage begin alike, and still are those of the model."""
    path = tmp_path / "stage.safetensors"
    state = timm.models.load_state_dict(weights)
    save_file({name: value for name, value in state.items() if name.startswith("layer1.")}, path)
    with pytest.raises(WeightsError, match=r"conv1\.\S+ is missing.* more$|conv1\.\S+ is missing"):
        build_model("test_resnet", 1000, str(path))


def test_weights_of_another_architecture(weights: Path) -> None:
    with pytest.raises(WeightsError, match=r"test_efficientnet: .* \d+ more") as caught:
        build_model("test_efficientnet", 60, str(weights))
    assert str(weights) in str(caught.value)


def test_weights_of_another_width(weights: Path, tmp_path: Path) -> None:
    state = timm.models.load_state_dict(weights)
    state["layer1.0.conv1.weight"] = torch.zeros(1, 3, 3, 3)
    path = tmp_path / "narrow.safetensors"
    save_file(state, path)
    with pytest.raises(WeightsError, match=r"layer1\.0\.conv1\.weight .*\(1, 3, 3, 3\)"):
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
    with pytest.raises(UnknownNameError, match=r"'resnet5O'.* 'resnet50'"):
        require_known_model("resnet5O")


def test_unknown_model_without_near_names() -> None:
    with pytest.raises(UnknownNameError, match=r"timm\.list_models\(\)"):
        require_known_model("")
    with pytest.raises(UnknownNameError, match=r"timm\.list_models\(\)"):
        require_known_model("some/folder:qqqqqqqq")


def test_unknown_tag_lists_the_models_own() -> None:
    with pytest.raises(UnknownNameError, match=r"'resnet18\.a1_in2k'.* 'resnet18\.a1_in1k'"):
        require_known_model("resnet18.a1_in2k")
    require_known_model("resnet18.a1_in1k")


def test_no_download_names_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match=r"'resnet18' .*--weights random"):
        build_model("resnet18", 60)


def test_a_model_without_published_weights() -> None:
    with pytest.raises(WeightsError, match=r"'convnext_atto_rms' .*--weights random"):
        build_model("convnext_atto_rms", 60)


def test_a_transformer_takes_another_image_size() -> None:
    model = build_model("test_vit", 5, "random", image_size=64)
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 5)


def test_a_transformer_trains_at_another_size_than_it_is_evaluated_at() -> None:
    model = build_model("test_vit", 5, "random", image_size=64, varied=True)
    for side in (64, 96):
        assert model(torch.zeros(1, 3, side, side)).shape == (1, 5)


def test_weights_of_another_image_size_are_interpolated(tmp_path: Path) -> None:
    """What does not depend on the size is kept; at its own size the network gives the same as before."""
    torch.manual_seed(0)
    source = timm.create_model("test_vit", num_classes=5)
    save_file(source.state_dict(), tmp_path / "vit.safetensors")
    same, other = (build_model("test_vit", 5, str(tmp_path / "vit.safetensors"), image_size=size) for size in (160, 64))
    image = torch.randn(1, 3, 160, 160)
    assert torch.equal(same.eval()(image), source.eval()(image))
    assert torch.equal(other.head.weight, source.head.weight)
    assert other.pos_embed.shape[1] < source.pos_embed.shape[1]


def test_a_model_of_one_image_size_only(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(ConfigurationError, match=r"gmixer_24_224 .*224 pixels only, .* is 192\. .*--image-size 224"):
        build_model("gmixer_24_224", 5, "random", 192)
    model = build_model("gmixer_24_224", 5, "random", varied=True)
    assert training_size(model, 224, 5 / 7) == 224
    told = capsys.readouterr().out
    assert "gmixer_24_224" in told
    assert "160" in told


@pytest.mark.parametrize(
    ("image_size", "scale", "side"),
    [(224, 5 / 7, 160), (256, 5 / 7, 192), (224, 1.0, 224), (299, 1.0, 299), (40, 0.9, 32), (20, 0.5, 20)],
)
def test_training_sees_smaller_squares(image_size: int, scale: float, side: int) -> None:
    assert training_size(build_model("test_resnet", 5, "random"), image_size, scale) == side


def test_a_fault_of_a_network_that_varies_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise TypeError("a layer got None")

    monkeypatch.setattr(models, "rebuild", broken)
    with pytest.raises(TypeError, match="a layer got None"):
        build_model("test_vit", 5, "random", varied=True)


@pytest.mark.parametrize(("name", "side"), [("test_vit", 50), ("inception_v3", 64)])
def test_a_size_that_the_network_fails_on(name: str, side: int) -> None:
    with pytest.raises(ConfigurationError, match=rf"{name} .*{side} pixels .*image_size"):
        build_model(name, 5, "random", image_size=side)


def test_dropout_and_stochastic_depth_reach_the_network() -> None:
    model = make_model(TrainingConfig(**RANDOM_RESNET, drop_rate=0.25, drop_path_rate=0.5), TASK)
    assert model.drop_rate == 0.25
    assert any(getattr(module, "drop_prob", 0) == 0.5 for module in model.modules())


def test_a_network_without_stochastic_depth_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"vgg11 .*drop_path_rate"):
        make_model(TrainingConfig(model="vgg11", weights="random", drop_path_rate=0.1), TASK)


def test_labels_and_scenes_share_one_classifier() -> None:
    model = make_model(TrainingConfig(**RANDOM_RESNET), TASK)
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 5)
    assert classifier_names(model) == ("fc",)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """The saved model of a run on other labels, with statistics of its own for normalization."""
    torch.manual_seed(0)
    model = build_model("test_resnet", 3, "random")
    preprocessing = dataclasses.replace(model_preprocessing(model, 32, 1.0), mean=(0.1, 0.2, 0.3))
    labels = Task(kind="labels", label_names=("a", "b", "c"))
    save_model(model, tmp_path / "run" / "model", preprocessing, labels)
    return tmp_path / "run"


@pytest.mark.parametrize("part", ["", "model"])
def test_weights_of_a_run(run_folder: Path, part: str, capsys: pytest.CaptureFixture) -> None:
    model = build_model("test_resnet", ("a", "b", "c"), str(run_folder / part))
    saved = load_model(run_folder / "model")
    assert capsys.readouterr().out == ""
    assert all(torch.equal(value, saved.model.state_dict()[key]) for key, value in model.state_dict().items())
    # The network saw images normalized so; it goes on with that.
    assert model_preprocessing(model, None, 1.0).mean == (0.1, 0.2, 0.3)


def test_weights_of_a_run_on_other_labels(run_folder: Path, capsys: pytest.CaptureFixture) -> None:
    model = build_model("test_resnet", ("a", "b", "d"), str(run_folder))
    more = build_model("test_resnet", ("a", "b", "c", "d"), str(run_folder))
    others, size = capsys.readouterr().out.splitlines()
    assert all(fact in others for fact in (f"{run_folder}/model", "labels"))
    assert all(fact in size for fact in (f"{run_folder}/model", "fc.weight", "3 outputs", "4"))
    saved = load_model(run_folder / "model").model.state_dict()
    for state in (model.state_dict(), more.state_dict()):
        assert all(torch.equal(state[key], saved[key]) for key in saved if not key.startswith("fc."))
        assert state["fc.weight"].shape != saved["fc.weight"].shape or not torch.equal(
            state["fc.weight"], saved["fc.weight"]
        )


def test_a_run_of_another_architecture(run_folder: Path) -> None:
    with pytest.raises(WeightsError, match=r"test_vit.*--model test_resnet"):
        build_model("test_vit", 3, str(run_folder))


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=str(tmp_path)):
        build_model("test_resnet", 3, str(tmp_path))


def test_weights_are_looked_for_without_building_a_model(weights: Path, run_folder: Path, tmp_path: Path) -> None:
    for found in ("pretrained", "random", "hf-hub:user/name", str(weights), str(run_folder)):
        require_weights(found)
    for path in (tmp_path, tmp_path / "gone.safetensors"):
        with pytest.raises(WeightsError, match=str(path)):
            require_weights(str(path))


def test_a_weights_file_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(repository: str, kind: str, files: list[str], *_: object, **__: object) -> Path:
        asked.append((repository, kind, files))
        return tmp_path

    torch.manual_seed(1)
    state = build_model("test_resnet", 3, "random").state_dict()
    torch.save({name: value for name, value in state.items() if not name.startswith("fc.")}, tmp_path / "body.pth")
    monkeypatch.setattr(weights_of_files, "download_folder", download)
    torch.manual_seed(2)
    model = build_model("test_resnet", 5, "hf-hub:user/name/body.pth")
    assert asked == [("user/name", "model", ["body.pth"])]
    assert torch.equal(model.state_dict()["conv1.0.weight"], state["conv1.0.weight"])
    assert model.state_dict()["fc.weight"].shape[0] == 5
