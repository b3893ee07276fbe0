"""What timm knows of a model that it has built."""

from typing import Any, cast

from torch import nn


def timm_settings(model: nn.Module) -> dict[str, Any]:
    """Return what timm knows of the model and its weights (`pretrained_cfg`)."""
    return cast(dict[str, Any], model.pretrained_cfg)


def classifier_names(model: nn.Module) -> tuple[str, ...]:
    """Return the names of the modules that give the logits; timm allows several."""
    names = timm_settings(model).get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)
