"""What a run computes with: network, images, optimiser, made of the settings alone."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.device import BatchSplit, explain_memory
from mlrsnet_hf.training.frozen_backbone import hold_backbone
from mlrsnet_hf.training.losses import make_loss
from mlrsnet_hf.training.models import make_model, training_size
from mlrsnet_hf.training.optimisation import make_optimiser, make_schedule
from mlrsnet_hf.training.preprocessing import Preprocessing, model_preprocessing
from mlrsnet_hf.training.run_inputs import RunInputs, make_inputs
from mlrsnet_hf.training.run_state import RunState
from mlrsnet_hf.training.task import Task, TrainingData
from mlrsnet_hf.training.train_step import TrainStep, make_average, uses_batch_statistics


@dataclass(frozen=True, slots=True, kw_only=True)
class RunParts:
    """The parts of a run; on every process the same, but for its share of the images."""

    config: TrainingConfig
    task: Task
    accelerator: Accelerator
    network: nn.Module
    """Not wrapped."""
    model: nn.Module
    """The network as Accelerate wraps it for training."""
    preprocessing: Preprocessing
    inputs: RunInputs
    split: BatchSplit
    step: TrainStep
    state: RunState

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of an epoch."""
        return len(self.inputs.batches)

    @property
    def steps(self) -> int:
        """Optimiser steps of the run."""
        return self.steps_per_epoch * self.config.epochs

    def step_ids(self, step: int) -> list[str]:
        """Return the ids of the images of a step of the run, counted from 0."""
        epoch, step_of_epoch = divmod(step, self.steps_per_epoch)
        return self.inputs.step_ids(epoch + 1, step_of_epoch)

    def set_training_mode(self) -> None:
        """Put the model into the mode in which it learns."""
        self.model.train()
        if self.config.freeze_backbone:
            hold_backbone(self.network)

    def batch_statistics_note(self) -> str:
        """Return how parts of a batch change what the model learns; "" if they do not, or the batch is whole."""
        self.set_training_mode()
        if self.split.part == self.split.images or not uses_batch_statistics(self.model):
            return ""
        return (
            f"batch normalisation takes its statistics over the {self.split.part} images of a part, so the results "
            f"differ from those of {self.split.images} images at once; the statistics of process 0 are kept"
        )


def make_parts(
    config: TrainingConfig,
    data: TrainingData,
    task: Task,
    accelerator: Accelerator,
    cache_folder: Path,
    say: Callable[[str], None],
) -> RunParts:
    """Load the model, read the images that the cache holds, and make what training needs of both.

    Args:
        config: The settings.
        data: The splits.
        task: What is learnt.
        accelerator: Knows devices and processes.
        cache_folder: Of decoded images, if they are kept on the disk.
        say: Is told what a person should know.

    Raises:
        MLRSNetError: A setting, the weights or an image cannot be used, or there is too little memory.
    """
    network = make_model(config, task, say)
    preprocessing = model_preprocessing(network, config.image_size, config.crop_pct)
    train_size = training_size(network, preprocessing.image_size, config.train_scale, say)
    place(network, config, accelerator)
    with explain_memory("reading the images", "Lower cache_megabytes, or give --cache disk or off."):
        inputs = make_inputs(config, data, task, preprocessing, train_size, accelerator, cache_folder)
    steps = len(inputs.batches) * config.epochs
    # Copied before Accelerate wraps the forward pass and torch compiles it.
    average = make_average(network, config.ema)
    plain_optimiser = make_optimiser(network, config)
    schedule = make_schedule(plain_optimiser, steps, config)
    model, optimiser = accelerator.prepare(network, plain_optimiser)
    if config.compile:
        network.compile()
    step = TrainStep(
        accelerator=accelerator,
        model=model,
        optimiser=optimiser,
        schedule=schedule,
        loss=make_loss(config, task),
        preprocessing=preprocessing,
        average=average,
        clip_norm=config.clip_norm,
        seed=config.seed,
    )
    return RunParts(
        config=config,
        task=task,
        accelerator=accelerator,
        network=network,
        model=model,
        preprocessing=preprocessing,
        inputs=inputs,
        split=BatchSplit(inputs.batches.batch_size, accelerator.num_processes, config.accumulation),
        step=step,
        state=RunState(network, average, plain_optimiser, schedule, accelerator.scaler),
    )


def place(model: nn.Module, config: TrainingConfig, accelerator: Accelerator) -> nn.Module:
    """Bring a model to the device, in the memory format of the settings."""
    model = model.to(accelerator.device)
    return model.to(memory_format=torch.channels_last) if config.channels_last else model
