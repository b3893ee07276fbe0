"""The optimiser and the course of the learning rate."""

import math

import torch
from torch import nn

from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.models import classifier_names


def make_optimiser(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Return AdamW with a faster classifier, and no decay of biases and normalisation weights."""
    heads = tuple(f"{name}." for name in classifier_names(model))
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((name.startswith(heads), parameter.ndim >= 2), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": config.learning_rate * (config.head_rate if is_head else 1.0),
                "weight_decay": config.weight_decay if decays else 0.0,
            }
            for (is_head, decays), parameters in groups.items()
        ]
    )


def make_schedule(optimiser: torch.optim.Optimizer, steps: int, warmup: float) -> torch.optim.lr_scheduler.LambdaLR:
    """Return the schedule that is stepped after every optimiser step."""
    return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_factor(step, steps, warmup))


def rate_factor(step: int, steps: int, warmup: float) -> float:
    """Return the share of the highest rate at a step: a line up over `warmup` of the steps, then a cosine to 0.

    Examples:
        >>> [round(rate_factor(step, steps=10, warmup=0.2), 2) for step in range(10)]
        [0.5, 1.0, 1.0, 0.96, 0.85, 0.69, 0.5, 0.31, 0.15, 0.04]
    """
    climb = round(warmup * steps)
    if step < climb:
        return (step + 1) / climb
    return 0.5 * (1.0 + math.cos(math.pi * (step - climb) / max(1, steps - climb)))
