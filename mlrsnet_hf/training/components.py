"""What a run computes with: network, images, optimizer, made of the settings alone."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.augmentation import Augmentation, StoredTransform
from mlrsnet_hf.inputs.batches import ShuffledBatches
from mlrsnet_hf.inputs.loader import Loader, evaluation_loader, make_loader
from mlrsnet_hf.inputs.split_images import SplitImages
from mlrsnet_hf.inputs.task import ImageData, Task
from mlrsnet_hf.models.build import build_model, training_size
from mlrsnet_hf.models.preprocessing import Preprocessing, model_preprocessing
from mlrsnet_hf.models.timm_config import freeze_backbone, set_backbone_eval
from mlrsnet_hf.parallel import local_processes
from mlrsnet_hf.runtime.device import BatchSplit, explain_memory
from mlrsnet_hf.training.checkpoints.checkpoints import RunState
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.losses import make_loss
from mlrsnet_hf.training.optimizer import make_optimizer, make_schedule
from mlrsnet_hf.training.step import TrainStep, make_average, uses_batch_statistics


@dataclass(frozen=True, slots=True)
class RunInputs:
    """This process's share of every split."""

    batches: ShuffledBatches
    training: Loader
    evaluation: dict[str, Loader]
    """`validation`, and `test` if there is one."""
    images: dict[str, int]
    """Of each split."""
    ids: list[str]
    """Of the training split, by row."""

    def step_ids(self, epoch: int, step: int) -> list[str]:
        """Return the ids of the images of a step of an epoch, over all processes.

        Args:
            epoch: From 1.
            step: Of the epoch, from 0.
        """
        return [self.ids[row] for row in self.batches.step_rows(epoch, step)]

    def close(self) -> None:
        """End the reading processes; left to the interpreter's end, each loader's hold it up for five seconds."""
        for loader in (self.training, *self.evaluation.values()):
            loader.close()


def make_inputs(
    config: TrainingConfig,
    data: ImageData,
    task: Task,
    preprocessing: Preprocessing,
    train_size: int,
    accelerator: Accelerator,
    cache_folder: Path,
) -> RunInputs:
    """Open the splits, decode what the cache shall hold, and share the batches among the processes.

    Args:
        config: The settings.
        data: The splits.
        task: What is learned.
        preprocessing: The model's.
        train_size: Side in pixels of the squares that training sees.
        accelerator: Knows the processes.
        cache_folder: Of decoded images, if they are kept on the disk and `config.cache_dir` names no other.

    Raises:
        ConfigurationError: A split is missing or empty, or the processes cannot share the batch.
        ImageError: An image cannot be read.
        OutOfMemoryError: The decoded images do not fit.
    """
    _refuse_missing_splits(data)
    augment = Augmentation(train_size, config.crop_scale, config.crop_ratio, config.symmetries, config.jitter)
    # Crops are cut from images as sharp as those of evaluation, also where training sees smaller squares.
    stored = StoredTransform(max(train_size, preprocessing.image_size))
    training = SplitImages(data.splits["train"], task, stored, augment, config.seed)
    evaluation = {
        name: SplitImages(data.splits[name], task, preprocessing.evaluation_transform())
        for name in ("validation", "test")
        if name in data.splits
    }
    folder = config.cache_dir or cache_folder
    with explain_memory("decoding the images", "Lower cache_megabytes, or give --cache disk or off."):
        for images in (training, evaluation["validation"]):  # the test split is read once: nothing to gain
            images.cache(_cache_mode(config), config.cache_megabytes, folder)
    batches = ShuffledBatches(
        len(training),
        config.batch_size,
        config.seed,
        accelerator.process_index,
        accelerator.num_processes,
        config.accumulation,
    )
    return RunInputs(
        batches=batches,
        training=make_loader(training, batches, config.num_workers),
        evaluation={
            name: evaluation_loader(images, config.eval_batch_size, config.num_workers, accelerator)
            for name, images in evaluation.items()
        },
        images={name: len(split) for name, split in data.splits.items()},
        ids=training.ids,
    )


def _cache_mode(config: TrainingConfig) -> str:
    """Return where the decoded images are kept: in memory once, not once for each process of the machine.

    All processes map the one file, and the system keeps it in memory as far as it has room.
    """
    return "disk" if config.cache == "memory" and local_processes() > 1 else config.cache


def _refuse_missing_splits(data: ImageData) -> None:
    for name in ("train", "validation"):
        if name not in data.splits:
            raise ConfigurationError(
                f"there is no {name} split, only {', '.join(data.splits)}",
                "Load a classification protocol, such as ratio20.",
            )
    for name, split in data.splits.items():
        if not len(split):
            raise ConfigurationError(f"the {name} split holds no image", "Give images to each split.")


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
        """Optimizer steps of an epoch."""
        return len(self.inputs.batches)

    @property
    def steps(self) -> int:
        """Optimizer steps of the run."""
        return self.steps_per_epoch * self.config.epochs

    def step_ids(self, step: int) -> list[str]:
        """Return the ids of the images of a step of the run, counted from 0."""
        epoch, step_of_epoch = divmod(step, self.steps_per_epoch)
        return self.inputs.step_ids(epoch + 1, step_of_epoch)

    def set_training_mode(self) -> None:
        """Put the model into the mode in which it learns."""
        self.model.train()
        if self.config.freeze_backbone:
            set_backbone_eval(self.network)

    def batch_statistics_note(self) -> str:
        """Return how parts of a batch change what the model learns; "" if they do not, or the batch is whole."""
        self.set_training_mode()
        if self.split.part == self.split.images or not uses_batch_statistics(self.model):
            return ""
        return (
            f"batch normalization takes its statistics over the {self.split.part} images of a part, so the results "
            f"differ from those of {self.split.images} images at once; the statistics of process 0 are kept"
        )


def make_parts(
    config: TrainingConfig,
    data: ImageData,
    task: Task,
    accelerator: Accelerator,
    cache_folder: Path,
    say: Callable[[str], None],
) -> RunParts:
    """Load the model, read the images that the cache holds, and make what training needs of both.

    Args:
        config: The settings.
        data: The splits.
        task: What is learned.
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
    plain_optimizer = make_optimizer(network, config)
    schedule = make_schedule(plain_optimizer, steps, config)
    model, optimizer = accelerator.prepare(network, plain_optimizer)
    if config.compile:
        network.compile()
    step = TrainStep(
        accelerator=accelerator,
        model=model,
        optimizer=optimizer,
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
        state=RunState(network, average, plain_optimizer, schedule, accelerator.scaler),
    )


def place(model: nn.Module, config: TrainingConfig, accelerator: Accelerator) -> nn.Module:
    """Bring a model to the device, in the memory format of the settings."""
    model = model.to(accelerator.device)
    return model.to(memory_format=torch.channels_last) if config.channels_last else model


def make_model(config: TrainingConfig, task: Task, say: Callable[[str], None] = print) -> nn.Module:
    """Return the model of a run: (N, 3, S, S) float32 to (N, task.outputs) logits, on the CPU, in training mode.

    S is image_size, which is tried with one image, or what `training_size` returns.

    Args:
        config: The settings.
        task: What is learned.
        say: Is told if the classifier of the weights does not fit and is started anew.

    Raises:
        UnknownNameError: timm does not know the model.
        WeightsError: The weights cannot be had, or belong to another architecture.
        ConfigurationError: The model does not take these image sizes, dropout or stochastic depth.
    """
    dropout = {name: getattr(config, name) for name in ("drop_rate", "drop_path_rate") if getattr(config, name)}
    model = build_model(
        config.model,
        task.output_names,
        config.weights,
        config.image_size,
        say=say,
        varied=config.train_scale != 1,
        **dropout,
    )
    if config.freeze_backbone:
        freeze_backbone(model)
    return model
