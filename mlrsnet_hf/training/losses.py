"""What training lowers: a loss of the labels, of the scene, or of both.

Every loss is a mean over the images it is given, in float32 whatever autocast gives, so that equal parts of a batch,
accumulated or on several processes, average to the loss of the whole batch. Labels that are not known count nothing;
the others are divided by their share of the whole split, not of the batch, so that this stays true.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, logsigmoid

from mlrsnet_hf.evaluation.scores import Predictions
from mlrsnet_hf.inputs.batches import Batch
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.training.config import TrainingConfig


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss of a task; called with the logits of a batch."""

    task: Task
    name: str
    """Loss of the labels, `bce` or `asymmetric`."""
    smoothing: float
    """Share of the way that targets move from 0 and 1 to one half, and scenes to the uniform distribution."""
    scene_weight: float
    """Weight of the scene's loss beside that of the labels; a scene learned alone has weight 1."""
    known_share: float = 1.0
    """Share of the targets of the training split that are known."""

    def __call__(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return the scalar loss.

        Args:
            logits: (N, task.outputs): the labels', then the scenes'.
            batch: The same N images, of which it reads targets and scenes.
        """
        labels, scenes = logits.float().split((self.task.label_outputs, self.task.scene_outputs), dim=1)
        if self.task.kind == "scene":
            return self._of_scenes(scenes, batch)
        loss = self._of_labels(labels, batch.targets)
        return loss if self.task.kind == "labels" else loss + self.scene_weight * self._of_scenes(scenes, batch)

    def _of_labels(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        loss_of = binary_cross_entropy_with_logits if self.name == "bce" else asymmetric_loss
        weight = None
        if self.known_share < 1:
            weight = (~targets.isnan()).float() / self.known_share
            targets = targets.nan_to_num(0.0)
        smooth = smoothed(targets, self.smoothing) if self.smoothing else targets
        return loss_of(logits, smooth, weight)

    def _of_scenes(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        assert batch.scenes is not None, "a task with scenes has their ids in every batch"
        return cross_entropy(logits, batch.scenes, label_smoothing=self.smoothing)


def make_loss(config: TrainingConfig, task: Task, known_share: float = 1.0) -> Loss:
    """Return the loss that the settings ask for, for a training split of which a share of the targets is known."""
    return Loss(
        task=task,
        name=config.loss,
        smoothing=config.label_smoothing,
        scene_weight=config.scene_weight,
        known_share=known_share,
    )


def loss_of_split(loss: Loss, predictions: Predictions) -> float | None:
    """Return the loss of a whole split, from the predictions of all processes, so that it is the same for any number.

    Labels that are not known count nothing; the mean is over those that are known in this split.

    Args:
        loss: Of the training.
        predictions: Of the split, on the CPU.

    Returns:
        The mean over the images; None where it is no finite number, as where no label of the split is known.
    """
    known = ~np.isnan(predictions.targets)
    loss = replace(loss, known_share=float(known.mean()) if known.size else 1.0)
    if not known.any() and loss.task.label_outputs:
        return None
    parts = [predictions.logits] + ([] if predictions.scene_logits is None else [predictions.scene_logits])
    batch = Batch(
        rows=torch.arange(len(predictions.logits)),
        pixels=torch.empty(0, dtype=torch.uint8),
        targets=torch.from_numpy(predictions.targets),
        scenes=None if predictions.scenes is None else torch.from_numpy(predictions.scenes),
    )
    value = loss(torch.from_numpy(np.concatenate(parts, axis=1)), batch).item()
    return value if math.isfinite(value) else None


def smoothed(targets: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Return the targets moved by a share of the way to one half.

    Examples:
        >>> smoothed(torch.tensor([0.0, 1.0]), 0.2).tolist()
        [0.10000000149011612, 0.8999999761581421]
    """
    return targets + smoothing * (0.5 - targets)


def asymmetric_loss(
    logits: torch.Tensor,
    targets: torch.Tensor,
    weight: torch.Tensor | None = None,
    *,
    gamma_neg: float = 4.0,
    gamma_pos: float = 0.0,
    clip: float = 0.05,
) -> torch.Tensor:
    """Return the asymmetric loss (ASL) of Ridnik et al. (2021), section 2, as a mean over images and labels.

    With p = sigmoid(logit) and p_m = max(p - clip, 0):

        L = -y (1 - p)^gamma_pos log p - (1 - y) p_m^gamma_neg log(1 - p_m)

    The defaults are those with which the authors train on MS-COCO. The gradient flows through the focusing weights too,
    as in the paper's analysis. timm's `AsymmetricLossMultiLabel` sums over the batch up to its version 1.0.26 at least,
    so that rates would depend on the batch size, and gives a positive label below p = 1e-8 no gradient; hence this one.

    Args:
        logits: (N, L) float32.
        targets: (N, L) float32 in [0, 1]; those between, of label smoothing, weigh both terms.
        weight: (N, L) float32 by which each label of an image counts; None for 1.
        gamma_neg: Focusing exponent of the negatives: the higher, the less the easy ones count.
        gamma_pos: Focusing exponent of the positives; 0 is cross-entropy.
        clip: Margin below which a negative counts nothing.

    Returns:
        The scalar loss.

    References:
        T. Ridnik et al., "Asymmetric loss for multi-label classification", ICCV 2021, arXiv:2009.14119.

    Examples:
        A negative at p = 0.5 has p_m = 0.45 and loss -0.45^4 log 0.55 = 0.0245:

        >>> round(asymmetric_loss(torch.tensor([[0.0]]), torch.tensor([[0.0]])).item(), 4)
        0.0245
    """
    present = torch.sigmoid(logits)
    shifted = (present - clip).clamp(min=0.0)
    positive = (1.0 - present).pow(gamma_pos) * logsigmoid(logits)
    # The margin keeps 1 - p_m at clip or more; without one only the logit tells how near to 0 it is.
    absent = torch.log1p(-shifted) if clip > 0 else logsigmoid(-logits)
    negative = shifted.pow(gamma_neg) * absent
    losses = targets * positive + (1.0 - targets) * negative
    return -(losses if weight is None else weight * losses).mean()
