"""What timm knows of a model that it has built, and what is done by way of that knowledge."""

from collections.abc import Mapping
from typing import Any, cast

import timm
from torch import nn


def timm_settings(model: nn.Module) -> dict[str, Any]:
    """Return what timm knows of the model and its weights (`pretrained_cfg`)."""
    return cast(dict[str, Any], model.pretrained_cfg)


def classifier_names(model: nn.Module) -> tuple[str, ...]:
    """Return the names of the modules that give the logits; timm allows several."""
    names = timm_settings(model).get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)


def freeze_backbone(model: nn.Module) -> None:
    """Let gradients reach the classifier alone; what changes by other ways, `set_backbone_eval` keeps."""
    heads = classifier_names(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = _is_within(name, heads)


def set_backbone_eval(model: nn.Module) -> None:
    """Put all but the classifier into evaluation mode, after `model.train()` has put everything into training mode.

    Batch statistics then stay those of the weights, and the backbone drops nothing. The classifier and the modules
    around it stay in training mode: timm applies the dropout before a classifier there.
    """
    heads = classifier_names(model)
    for name, module in model.named_modules():
        around = not name or any(head.startswith(f"{name}.") for head in heads)
        module.training = module.training and (around or _is_within(name, heads))


def rebuild(model: nn.Module, name: str, options: Mapping[str, Any]) -> nn.Module:
    """Return the model built anew with other options, its weights fitted to them by timm as if they were pretrained."""
    outputs = cast(int, model.num_classes)
    state: Any = {"source": "", "state_dict": model.state_dict(), "num_classes": outputs}
    if timm_settings(model)["input_size"][0] != 3:  # the first layer fits already
        state |= {name: timm_settings(model)[name] for name in ("input_size", "first_conv")}
    anew = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=state, num_classes=outputs, **options)
    cast(Any, anew).pretrained_cfg = timm_settings(model)
    return anew


def _is_within(name: str, heads: tuple[str, ...]) -> bool:
    return any(name == head or name.startswith(f"{head}.") for head in heads)
