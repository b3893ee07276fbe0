"""One optimizer step: forward and backward of its parts, clipping, update, moving average."""

from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from timm.utils import ModelEmaV3
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mlrsnet_hf.inputs.batches import Batch
from mlrsnet_hf.models.preprocessing import Preprocessing, model_input
from mlrsnet_hf.training.losses import Loss

# Separates dropout's random stream from those of the inputs under one seed.
_DROPOUT = 3


class TrainStep:
    """Takes the parts of one global batch that are this process's, and steps the optimizer once.

    Args:
        accelerator: Knows precision and processes.
        model: As prepared by the accelerator.
        optimizer: As prepared by the accelerator.
        schedule: Of the learning rate; stepped at every step, also at one that fp16's scaler leaves out.
        loss: Mean over the images of a part.
        preprocessing: The model's.
        average: Moving average of the weights, or None.
        clip_norm: Largest norm of the gradient of the whole batch; 0 does not clip.
        seed: Of dropout and its like.
    """

    def __init__(
        self,
        *,
        accelerator: Accelerator,
        model: nn.Module,
        optimizer: AcceleratedOptimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        loss: Loss,
        preprocessing: Preprocessing,
        average: ModelEmaV3 | None,
        clip_norm: float,
        seed: int,
    ) -> None:
        self.accelerator = accelerator
        self.model = model
        self.network = accelerator.unwrap_model(model)
        self.optimizer = optimizer
        self.schedule = schedule
        self.loss = loss
        self.preprocessing = preprocessing
        self.average = average
        self.clip_norm = clip_norm
        self.seed = seed
        self._trained = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def __call__(self, parts: Sequence[Batch], step: int, images: int) -> torch.Tensor:
        """Return the loss of this process's images, () float32 on the device, not yet read.

        Args:
            parts: This process's share of the batch.
            step: Number of the step in the run, from 0.
            images: Of the whole batch; each part counts by its images, so that the gradient is that of one batch.
        """
        losses = []
        for number, batch in enumerate(parts):
            is_last = number == len(parts) - 1
            weight = len(batch.rows) * self.accelerator.num_processes / images
            # The processes add up their gradients once, after the last part.
            with nullcontext() if is_last else self.accelerator.no_sync(self.model):
                torch.manual_seed(dropout_seed(self.seed, step, number, self.accelerator.process_index))
                batch = batch.to(self.accelerator.device)
                loss = self.loss(self.model(model_input(batch, self.preprocessing)), batch) * weight
                self.accelerator.backward(loss)
            losses.append(loss.detach())
        self._update(step)
        return torch.stack(losses).sum()

    def _update(self, step: int) -> None:
        if self.clip_norm:
            self.accelerator.clip_grad_norm_(self._trained, self.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()
        if self.average is not None:
            self.average.update(self.network, step + 1)


def make_average(model: nn.Module, decay: float) -> ModelEmaV3 | None:
    """Return the moving average of a model's weights and buffers, or None for a decay of 0.

    The decay of step t, from 1, is the smaller of `decay` and 1 - 1 / t: a plain mean of all weights so far, until that
    would reach further back than the moving average. A short run is then not held to its first weights.
    """
    return ModelEmaV3(model, decay=decay, use_warmup=True, warmup_gamma=1.0, warmup_power=1.0) if decay else None


def dropout_seed(seed: int, step: int, part: int, process: int) -> int:
    """Return the seed of one forward pass, so that a run may begin at any step."""
    return int(np.random.SeedSequence((seed, _DROPOUT, step, part, process)).generate_state(1, np.uint64)[0])


def uses_batch_statistics(model: nn.Module) -> bool:
    """Return whether a layer in training mode normalizes by the statistics of the images that it sees at once."""
    return any(isinstance(module, _BatchNorm) and module.training for module in model.modules())
