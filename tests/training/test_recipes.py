import json
from pathlib import Path

import pytest
import timm

from mlrsnet_hf.cli import Train
from mlrsnet_hf.configuration.command_line import parse
from mlrsnet_hf.errors import ConfigurationError, UnknownNameError
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.build import require_known_model
from mlrsnet_hf.models.paper_networks import PAPER_NETWORKS, paper_name
from mlrsnet_hf.training.components import make_model
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.recipes import RECIPES, demo, linear_probe, modern, paper


def test_the_papers_settings(shared: Path) -> None:
    table = json.loads((shared / "paper/tables.json").read_text())["table5_settings"]
    config = paper()
    assert (config.epochs, config.batch_size) == (table["epochs"], table["batch_size"])
    assert (config.optimizer, config.learning_rate) == (table["optimizer"].lower(), table["learning_rate"])
    assert (config.schedule, config.warmup, config.clip_norm, config.weight_decay) == ("constant", 0, 0, 0)
    assert (config.head_rate, config.ema, config.loss, config.keep) == (1, 0, "bce", "last")


def test_the_papers_networks(shared: Path) -> None:
    rows = json.loads((shared / "paper/tables.json").read_text())["table4_models"]
    assert [row["name"] for row in rows] == list(PAPER_NETWORKS)
    for row in rows:
        network = PAPER_NETWORKS[row["name"]]
        require_known_model(network.model)
        assert paper_name(network.model) == row["name"]
        settings = timm.get_pretrained_cfg(network.model)
        assert settings.input_size == (3, network.image_size, network.image_size)
        config = paper(row["name"])
        assert (config.model, config.image_size) == (network.model, network.image_size)


@pytest.mark.parametrize("name", ["ResNet50", "DenseNet121", "DenseNet201", "InceptionV3"])
def test_the_networks_have_the_papers_number_of_parameters(shared: Path, name: str) -> None:
    """Table 4 gives millions, of the networks with their 1,000 ImageNet classes."""
    rows = json.loads((shared / "paper/tables.json").read_text())["table4_models"]
    (millions,) = (row["parameters_millions"] for row in rows if row["name"] == name)
    model = timm.create_model(PAPER_NETWORKS[name].model, pretrained=False)
    assert sum(parameter.numel() for parameter in model.parameters()) / 1e6 == pytest.approx(millions, abs=1.0)


def test_another_network_with_the_papers_settings() -> None:
    assert paper(model="resnet18").model == "resnet18"
    with pytest.raises(ConfigurationError, match="'ResNet50' and model='resnet18'"):
        paper("ResNet50", model="resnet18")
    with pytest.raises(UnknownNameError, match="'ResNet50'"):
        paper("ResNet-50")


def test_modern_is_the_default() -> None:
    assert parse(Train, None, []).training == modern() == TrainingConfig(family="cnn_batchnorm")


def test_linear_probe_trains_the_classifier_alone() -> None:
    config = linear_probe(model="test_resnet", weights="random")
    model = make_model(config, Task(kind="labels", label_names=("sand", "sea")))
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert trained == ["fc.weight", "fc.bias"]


def test_the_demo_does_not_follow_modern() -> None:
    """0.763 of mAP was measured with these."""
    config = demo()
    assert (config.batch_size, config.head_rate, config.ema, config.clip_norm, config.jitter) == (32, 1, 0, 0, 0)
    assert (config.epochs, config.learning_rate, config.crop_scale, config.symmetries) == (36, 8e-3, 0.6, 8)
    assert (config.model, config.image_size, config.weights) == ("test_resnet", 64, "random")


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_says_how_it_is_run_and_takes_changes(name: str) -> None:
    recipe = RECIPES[name]
    assert "Command: `" in (recipe.__doc__ or "")
    assert recipe(seed=7, epochs=2, jitter=0.5).epochs == 2
