import math
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from mlrsnet_hf.training.checkpoints import Progress, TrainingState
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.optimizer import make_average, make_optimizer, make_schedule, parameter_groups, rate_factor

MODELS = ("test_resnet", "test_efficientnet", "test_vit", "test_convnext")


def rates(model: nn.Module, config: TrainingConfig) -> dict[str, float]:
    """Return the rate of every parameter by name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: group["lr"] for group in parameter_groups(model, config) for parameter in group["params"]
    }


@pytest.mark.parametrize("layer_decay", [1.0, 0.7])
@pytest.mark.parametrize("name", MODELS)
def test_every_trainable_parameter_is_in_one_group(name: str, layer_decay: float) -> None:
    model = timm.create_model(name, num_classes=5)
    frozen = next(iter(model.parameters())).requires_grad_(False)
    groups = parameter_groups(model, TrainingConfig(layer_decay=layer_decay))
    found = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(found) == sorted(id(parameter) for parameter in model.parameters() if parameter is not frozen)


@pytest.mark.parametrize("name", MODELS)
def test_matrices_alone_decay_but_for_those_the_model_exempts(name: str) -> None:
    model = timm.create_model(name, num_classes=5)
    exempt = model.no_weight_decay() if hasattr(model, "no_weight_decay") else set()
    groups = parameter_groups(model, TrainingConfig(weight_decay=0.3))
    decaying = {id(parameter) for group in groups if group["weight_decay"] == 0.3 for parameter in group["params"]}
    assert {group["weight_decay"] for group in groups} == {0.0, 0.3}
    for parameter_name, parameter in model.named_parameters():
        assert (id(parameter) in decaying) == (parameter.ndim >= 2 and parameter_name not in exempt), parameter_name


def test_one_rate_but_for_the_classifier_without_layer_decay() -> None:
    model = timm.create_model("test_resnet", num_classes=5)
    found = rates(model, TrainingConfig(learning_rate=0.01, head_rate=3.0))
    for name, rate in found.items():
        assert rate == pytest.approx(0.03 if name.startswith("fc.") else 0.01)


def test_layer_decay_of_a_transformer() -> None:
    model = timm.create_model("test_vit2", num_classes=5)
    found = rates(model, TrainingConfig(learning_rate=1.0, head_rate=2.0, layer_decay=0.5))
    blocks = len(model.blocks)
    for block in range(blocks):
        assert found[f"blocks.{block}.attn.qkv.weight"] == 0.5 ** (blocks - 1 - block)
        assert found[f"blocks.{block}.norm1.weight"] == found[f"blocks.{block}.attn.qkv.weight"]
    assert found["patch_embed.proj.weight"] == found["pos_embed"] == 0.5**blocks
    assert found["fc_norm.weight"] == 1.0
    assert found["head.weight"] == found["head.bias"] == 2.0


def test_layer_decay_of_a_convolutional_network() -> None:
    model = timm.create_model("resnet18", num_classes=5)
    found = rates(model, TrainingConfig(learning_rate=1.0, head_rate=2.0, layer_decay=0.5))
    blocks = [f"layer{stage}.{block}.conv1.weight" for stage in (1, 2, 3, 4) for block in (0, 1)]
    ladder = [found["conv1.weight"], *(found[name] for name in blocks)]
    assert ladder == [0.5**above for above in (8, 7, 6, 5, 4, 3, 2, 1, 0)]
    assert found["layer2.0.downsample.0.weight"] == found["layer2.0.conv1.weight"]
    assert found["fc.weight"] == 2.0


def test_a_classifier_alone_keeps_its_rate() -> None:
    model = timm.create_model("test_vit", num_classes=5).requires_grad_(False)
    model.head.requires_grad_(True)
    found = rates(model, TrainingConfig(learning_rate=1.0, head_rate=2.0, layer_decay=0.5))
    assert found == {"head.weight": 2.0, "head.bias": 2.0}


@pytest.mark.parametrize(
    ("name", "kind"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)]
)
def test_optimizers_by_name(name: str, kind: type) -> None:
    optimizer = make_optimizer(timm.create_model("test_resnet"), TrainingConfig(optimizer=name))
    assert type(optimizer) is kind
    assert optimizer.param_groups[0].get("momentum", 0.9) == 0.9


def test_rates_by_hand() -> None:
    # Two steps of ten climb: thirds of the way to 1 at step 2; then (1 + cos(pi k / 8)) / 2.
    found = [rate_factor(step, 10, warmup=0.2) for step in range(11)]
    expected = [1 / 3, 2 / 3, 1, *((1 + math.cos(math.pi * k / 8)) / 2 for k in range(1, 8)), 0]
    assert found == pytest.approx(expected, abs=1e-12)
    assert [rate_factor(step, 5, 0.2, "linear") for step in range(6)] == pytest.approx(
        [1 / 2, 1, 3 / 4, 1 / 2, 1 / 4, 0]
    )
    assert [rate_factor(step, 4, 0.5, "constant") for step in range(5)] == pytest.approx([1 / 3, 2 / 3, 1, 1, 1])
    assert [rate_factor(step, 1, 0.0) for step in range(3)] == [1, 0, 0]


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_a_schedule_goes_on_from_any_step(schedule: str) -> None:
    config = TrainingConfig(schedule=schedule, warmup=0.3)

    def begin() -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
        optimizer = make_optimizer(timm.create_model("test_resnet"), config)
        return optimizer, make_schedule(optimizer, 10, config)

    def walk(steps: int, optimizer: torch.optim.Optimizer, course: torch.optim.lr_scheduler.LambdaLR) -> list:
        seen = []
        for _ in range(steps):
            seen.append([group["lr"] for group in optimizer.param_groups])
            optimizer.step()
            course.step()
        return seen

    optimizer, course = begin()
    whole = walk(10, optimizer, course)
    factors = [rate_factor(step, 10, 0.3, schedule) for step in range(10)]
    for group in range(len(whole[0])):
        highest = optimizer.param_groups[group]["initial_lr"]
        assert [row[group] for row in whole] == pytest.approx([factor * highest for factor in factors], rel=1e-15)
    for stop in (1, 3, 7):
        optimizer, course = begin()
        walk(stop, optimizer, course)
        states = optimizer.state_dict(), course.state_dict()
        optimizer, course = begin()
        optimizer.load_state_dict(states[0])
        course.load_state_dict(states[1])
        assert walk(10 - stop, optimizer, course) == whole[stop:]


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 2, bias=False)
        self.second = nn.Linear(2, 2, bias=False)
        self.second.weight = self.first.weight


def test_a_tensor_of_several_layers_is_averaged_once() -> None:
    model = Tied()
    average = make_average(model, decay=0.999)
    for step, value in enumerate((1.0, 2.0, 6.0), 1):
        nn.init.constant_(model.first.weight, value)
        average.update(model, step)
    assert average.module.second.weight.tolist() == [[pytest.approx(3.0)] * 2] * 2
    assert average.module.second.weight is average.module.first.weight


def test_a_checkpoint_holds_layers_that_share_a_tensor(tmp_path: Path) -> None:
    def state(model: nn.Module) -> TrainingState:
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
        return TrainingState(model, make_average(model, 0.9), optimizer, schedule, None, Progress())

    written, read = state(Tied()), state(Tied())
    written.save_tensors(tmp_path)
    read.load_tensors(tmp_path)
    assert torch.equal(read.network.second.weight, written.network.first.weight)
    assert read.network.second.weight is read.network.first.weight
