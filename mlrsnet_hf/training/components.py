"""What a run computes with, made of the settings alone: the network, and the loaders of the splits.

And what is to be said, and done, where a batch is cut into micro-batches.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.batches import ShuffledBatches, repeat_factors
from mlrsnet_hf.inputs.loader import Loader, evaluation_loader, make_loader
from mlrsnet_hf.inputs.pixels.augmentation import Augmentation, StoredTransform
from mlrsnet_hf.inputs.split_images import SplitImages
from mlrsnet_hf.inputs.stream_reading import StreamedFiles
from mlrsnet_hf.inputs.task import ImageData, Task
from mlrsnet_hf.models.build import build_model
from mlrsnet_hf.models.preprocessing import Preprocessing
from mlrsnet_hf.models.timm_config import freeze_backbone
from mlrsnet_hf.parallel import local_processes
from mlrsnet_hf.runtime.device import explain_memory
from mlrsnet_hf.runtime.logs import get_logger
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.families import FAMILIES

logger = get_logger(__name__)


def make_model(config: TrainingConfig, task: Task, channels: int = 3) -> nn.Module:
    """Return the model of a run: (N, channels, S, S) float32 to (N, task.outputs) logits, on the CPU, in training mode.

    S is image_size, which is tried with one image, or what `training_size` returns.

    Raises:
        UnknownNameError: timm does not know the model.
        WeightsError: The weights cannot be had, or belong to another architecture.
        ConfigurationError: The model does not take these image sizes, dropout or stochastic depth.
    """
    dropout = {name: getattr(config, name) for name in ("drop_rate", "drop_path_rate") if getattr(config, name)}
    varied = config.train_scale != 1
    size = config.image_size
    model = build_model(
        config.model, task.output_names, config.weights, size, varied, channels, config.head_init_scale, **dropout
    )
    if config.freeze_backbone:
        freeze_backbone(model)
    return model


def family_text(config: TrainingConfig) -> str:
    """Return the line that tells the row of the families, its values, and which of them the user has set otherwise."""
    assert config.family is not None, "a recipe without a row tells none"
    row = FAMILIES[config.family].settings(config.batch_size)
    told = ", ".join(f"{name} {value}" for name, value in row.items() if name != "family")
    other = [f"{name} {getattr(config, name)}" for name, value in row.items() if getattr(config, name) != value]
    return f"recipe of the family {config.family}: {told}" + (f"; set otherwise: {', '.join(other)}" if other else "")


@dataclass(frozen=True, slots=True)
class Loaders:
    """This process's share of every split."""

    batches: ShuffledBatches
    """Which images make which batch of training."""
    train: Loader
    evaluation: dict[str, Loader]
    """`validation`, and `test` if there is one."""
    train_ids: list[str]
    """Ids of the training images, by row."""

    def close(self) -> None:
        """End the reading processes, and remove what is kept of streamed splits."""
        for loader in (self.train, *self.evaluation.values()):
            loader.close()
            if isinstance(loader.images.files, StreamedFiles):
                loader.images.files.clear()


def make_loaders(
    config: TrainingConfig,
    data: ImageData,
    task: Task,
    preprocessing: Preprocessing,
    train_size: int,
    accelerator: Accelerator,
    cache_folder: Path,
) -> Loaders:
    """Open the splits, decode what the cache shall hold, and share the batches among the processes.

    Args:
        config: The settings.
        data: The splits.
        task: What is learned.
        preprocessing: The model's.
        train_size: Side in pixels of the squares that training sees.
        accelerator: Knows the processes.
        cache_folder: Of decoded images, if they are kept on the disk, or of what is kept of streamed splits, if
            `config.cache_dir` names no other.

    Raises:
        ConfigurationError: A split is missing or empty, or the processes cannot share the batch.
        ImageError: An image cannot be read.
        OutOfMemoryError: The decoded images do not fit.
    """
    _refuse_missing_splits(data)
    augment = Augmentation(train_size, config.crop_scale, config.crop_ratio, config.symmetries, config.jitter)
    # Crops are cut from images as sharp as those of evaluation, also where training sees smaller squares.
    stored = StoredTransform(max(train_size, preprocessing.image_size))
    # Processes of one machine map one file, which the system keeps in memory as far as it has room.
    cache = "disk" if config.cache == "memory" and local_processes() > 1 else config.cache
    folder = config.cache_dir or cache_folder
    streamed = _streamed_files(config, data, folder, accelerator)
    evaluation_transform = preprocessing.evaluation_transform()
    with explain_memory("reading the images", "Lower cache_megabytes, or give --cache disk or off."):
        train = SplitImages(
            data.splits["train"], task, stored, augment, config.seed, preprocessing.reading, streamed.get("train")
        )
        evaluation = {
            name: SplitImages(
                data.splits[name],
                task,
                evaluation_transform,
                reading=preprocessing.reading,
                streamed=streamed.get(name),
            )
            for name in ("validation", "test")
            if name in data.splits
        }
        for images in (train, evaluation["validation"]):  # the test split is read once: nothing to gain
            images.cache(cache, config.cache_megabytes, folder)
    process, processes = accelerator.process_index, accelerator.num_processes
    chunks = streamed["train"].chunks if streamed else None
    factors = repeat_factors(train.present, config.repeat_threshold) if config.repeat_threshold else None
    batches = ShuffledBatches(
        len(train), config.batch_size, config.seed, process, processes, config.accumulation, chunks, factors
    )
    return Loaders(
        batches=batches,
        train=make_loader(train, batches, config.num_workers),
        evaluation={
            name: evaluation_loader(images, config.eval_batch_size, config.num_workers, accelerator)
            for name, images in evaluation.items()
        },
        train_ids=train.ids,
    )


def _streamed_files(
    config: TrainingConfig, data: ImageData, folder: Path, accelerator: Accelerator
) -> dict[str, StreamedFiles]:
    """Return the image files of the splits of a streamed set, with nothing kept of an earlier run."""
    if data.stream is None:
        return {}
    # Of each process its own: processes that share what is kept were found to wait for each other forever.
    run = hashlib.sha256(str(config.output_dir.absolute()).encode()).hexdigest()[:12]
    own = folder / f"streamed-{run}-{accelerator.process_index}"
    megabytes = config.cache_megabytes // local_processes()
    files = {name: data.stream.files(name, split, own, megabytes) for name, split in data.splits.items()}
    for split in files.values():
        split.clear()
    return files


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


def batch_text(images: int, processes: int, accumulation: int) -> str:
    """Return how the images of an optimizer step are dealt out, as a product that a person can check.

    Examples:
        >>> batch_text(32, 2, 4)
        'batch of 32 = 2 processes x 4 micro-batches x 4 images'
    """
    counts = (processes, "process"), (accumulation, "micro-batch"), (images // (processes * accumulation), "image")
    endings = {"process": "es", "micro-batch": "es", "image": "s"}
    factors = (f"{count:,} {noun}{endings[noun] * (count != 1)}" for count, noun in counts)
    return f"batch of {images:,} = {' x '.join(factors)}"


def statistics_note(model: nn.Module, images: int, micro_batches: int) -> str:
    """Return how cutting a batch changes what a model in training mode learns; "" if it does not."""
    normalizes = any(isinstance(module, _BatchNorm) and module.training for module in model.modules())
    if micro_batches == 1 or not normalizes:
        return ""
    return (
        f"batch normalization takes its statistics over the {images // micro_batches:,} images of a micro-batch, so "
        f"the results differ from those of {images:,} images at once; the statistics of process 0 are kept"
    )


def share_batch_statistics(model: nn.Module, processes: int) -> None:
    """Give every process the batch statistics of process 0, which are those that are saved."""
    if processes > 1:
        for buffer in model.buffers():
            buffer.copy_(broadcast(buffer))


@contextmanager
def explain_step(what: str, accumulation: int) -> Iterator[None]:
    """Say what it means if an optimizer step finds too little memory, or a layer a single value to normalize.

    Args:
        what: Which step, of which batch.
        accumulation: Of the settings.

    Raises:
        OutOfMemoryError: In place of the allocator's error.
        ConfigurationError: In place of PyTorch's: an image alone was shrunk to one pixel.
    """
    remedy = (
        f"Raise accumulation above {accumulation} or use more processes, which --resume takes; or begin anew with a "
        "lower batch_size, train_scale or image_size, or in bf16."
    )
    try:
        with explain_memory(what, remedy):
            yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ConfigurationError(
            "batch normalization cannot learn from one image at a time",
            "Raise batch_size, or lower accumulation or the number of processes; a training split needs two images.",
        ) from error
