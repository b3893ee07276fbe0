"""The linear probe: a classifier that learns on top of a network that does not change."""

from torch import nn

from mlrsnet_hf.training.timm_settings import classifier_names


def freeze_backbone(model: nn.Module) -> None:
    """Let gradients reach the classifier alone; `hold_backbone` keeps the rest from changing by other ways."""
    heads = classifier_names(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = _is_within(name, heads)


def hold_backbone(model: nn.Module) -> None:
    """Put all but the classifier into evaluation mode, after `model.train()` has put everything into training mode.

    Batch statistics then stay those of the weights, and the backbone drops nothing. The classifier and the modules
    around it stay in training mode: timm applies the dropout before a classifier there.
    """
    heads = classifier_names(model)
    for name, module in model.named_modules():
        around = not name or any(head.startswith(f"{name}.") for head in heads)
        module.training = module.training and (around or _is_within(name, heads))


def _is_within(name: str, heads: tuple[str, ...]) -> bool:
    return any(name == head or name.startswith(f"{head}.") for head in heads)
