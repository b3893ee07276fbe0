"""The optimizer, the course of the learning rate, and the moving average of the weights."""

import math
from typing import Any, cast

import torch
from timm.optim import param_groups_layer_decay
from timm.utils import ModelEmaV3
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from mlrsnet_hf.models.build import classifier_names
from mlrsnet_hf.models.weights import shares_tensors
from mlrsnet_hf.training.config import TrainingConfig

_MOMENTUM = 0.9
"""Momentum of SGD."""


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Return the optimizer of the model's trainable parameters.

    Weight decay is decoupled from the gradient in AdamW (Loshchilov & Hutter 2019); in Adam and SGD it is the L2
    penalty that PyTorch adds to the gradient. SGD has momentum 0.9.

    Args:
        model: A timm model, not yet wrapped or compiled; frozen parameters are left out.
        config: The settings.
    """
    groups = parameter_groups(model, config)
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.fixed_rate, momentum=_MOMENTUM)
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[config.optimizer]
    return kind(groups, lr=config.fixed_rate)


def parameter_groups(model: nn.Module, config: TrainingConfig) -> list[dict[str, Any]]:
    """Return the trainable parameters in groups of one rate and one weight decay, each parameter once.

    timm's own grouping says which layer a parameter belongs to. The rate of the backbone's last layer, and of a
    normalization behind it, is `learning_rate`; that of each layer before is `layer_decay` times the next one's, down
    to the stem; the classifier's is `head_rate` times `learning_rate` whatever `layer_decay` is. Tensors of one
    dimension (biases, normalization) and those that the model exempts, such as position embeddings, have no weight
    decay.

    Args:
        model: A timm model.
        config: The settings.

    Returns:
        Groups with `params`, `lr` and `weight_decay`, in the order in which the model names their first parameters.
    """
    heads = tuple(f"{name}." for name in classifier_names(model))
    head = {id(parameter) for name, parameter in model.named_parameters() if name.startswith(heads)}
    exempt = cast(Any, model).no_weight_decay() if hasattr(model, "no_weight_decay") else ()
    blocks = param_groups_layer_decay(
        model, config.weight_decay, no_weight_decay_list=exempt, layer_decay=config.layer_decay
    )
    # timm counts the classifier, and often the normalization before it, as layers of their own above the last block.
    below = (
        block["lr_scale"] for block in blocks for part in block["params"] if id(part) not in head and part.ndim > 1
    )
    top = max(below, default=1.0)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for block in blocks:
        for parameter in block["params"]:
            factor = config.head_rate if id(parameter) in head else min(1.0, block["lr_scale"] / top)
            groups.setdefault((config.fixed_rate * factor, block["weight_decay"]), []).append(parameter)
    return [{"params": group, "lr": rate, "weight_decay": decay} for (rate, decay), group in groups.items()]


def make_schedule(optimizer: torch.optim.Optimizer, steps: int, config: TrainingConfig) -> LambdaLR:
    """Return the schedule, to be stepped once after every optimizer step.

    Each group's rate is its own highest rate times `rate_factor`, a function of the step number alone: a schedule that
    is set back to a step goes on as if it had never stopped.

    Args:
        optimizer: As `make_optimizer` gives it.
        steps: Optimizer steps of the whole run.
        config: Its `warmup` and `schedule`.
    """
    return LambdaLR(optimizer, lambda step: rate_factor(step, steps, config.warmup, config.schedule))


def rate_factor(step: int, steps: int, warmup: float, schedule: str = "cosine") -> float:
    """Return the share of the highest rate at a step, counted from 0.

    First a line that reaches 1 at step c = round(warmup * steps). From there the rate is constant, or falls by a cosine
    or a line that would reach 0 one step after the last: the last step still learns, by the factor
    (1 - cos(pi / (steps - c))) / 2 or 1 / (steps - c).

    Args:
        step: From 0 to `steps` - 1; later ones stay at the end.
        steps: Of the whole run.
        warmup: Share of the steps in which the rate climbs, from 0 to below 1; it holds for every schedule.
        schedule: `cosine`, `linear` or `constant`.

    Examples:
        >>> [round(rate_factor(step, 10, warmup=0.2), 2) for step in range(11)]
        [0.33, 0.67, 1.0, 0.96, 0.85, 0.69, 0.5, 0.31, 0.15, 0.04, 0.0]
        >>> [round(rate_factor(step, 4, warmup=0.0, schedule="linear"), 2) for step in range(4)]
        [1.0, 0.75, 0.5, 0.25]
    """
    climb = round(warmup * steps)
    if step < climb:
        return (step + 1) / (climb + 1)
    done = min(1.0, (step - climb) / max(1, steps - climb))
    if schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * done))
    return 1.0 - done if schedule == "linear" else 1.0


def make_average(model: nn.Module, decay: float) -> ModelEmaV3 | None:
    """Return the moving average of a model's weights and buffers, or None for a decay of 0.

    The decay of step t, from 1, is the smaller of `decay` and 1 - 1 / t: a plain mean of all weights so far, until that
    would reach further back than the moving average. A short run is then not held to its first weights.
    """
    if not decay:
        return None
    # With the buffers, it goes by names, and would take two steps with a tensor that has two.
    by_tensor = shares_tensors(model)
    return ModelEmaV3(
        model, decay=decay, use_warmup=True, warmup_gamma=1.0, warmup_power=1.0, exclude_buffers=by_tensor
    )
