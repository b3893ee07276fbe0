import pytest
import torch

from mlrsnet_hf.models.build import build_model
from mlrsnet_hf.models.timm_config import classifier_names, freeze_backbone, set_backbone_eval


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_vit", "test_efficientnet"])
def test_a_step_changes_the_classifier_alone(name: str) -> None:
    """Neither weights nor batch statistics of the rest; with plain training some of each change."""
    torch.manual_seed(0)
    model = build_model(name, 3, "random", drop_path_rate=0.5, drop_rate=0.5)
    freeze_backbone(model)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    side = model.pretrained_cfg["input_size"][1]
    model.train()
    set_backbone_eval(model)
    model(torch.randn(4, 3, side, side)).square().sum().backward()
    optimizer.step()
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    (head,) = classifier_names(model)
    assert changed == {f"{head}.weight", f"{head}.bias"}


def test_only_the_dropout_before_the_classifier_draws() -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 3, 32, 32)
    for drop_rate, draws in [(0.0, False), (0.5, True)]:
        model = build_model("test_resnet", 3, "random", drop_path_rate=0.9, drop_rate=drop_rate)
        freeze_backbone(model)
        set_backbone_eval(model.train())
        assert torch.equal(model(images), model(images)) != draws


def test_evaluation_stays_evaluation() -> None:
    model = build_model("test_resnet", 3, "random").eval()
    set_backbone_eval(model)
    assert not any(module.training for module in model.modules())
