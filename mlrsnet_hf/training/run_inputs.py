"""The loaders of a run: shuffled and augmented for training, in order for evaluation."""

from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator

from mlrsnet_hf.cores import local_processes
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.training.augmentation import Augmentation, StoredTransform
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.device import explain_memory
from mlrsnet_hf.training.evaluators import evaluation_loader
from mlrsnet_hf.training.inputs import Loader, ShuffledBatches, SplitImages, make_loader
from mlrsnet_hf.training.preprocessing import Preprocessing
from mlrsnet_hf.training.task import Task, TrainingData


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
            # Of a `DataLoader` whose workers outlive an epoch; there is no public way to end them.
            iterator = getattr(loader, "_iterator", None)
            if iterator is not None:
                iterator._shutdown_workers()


def make_inputs(
    config: TrainingConfig,
    data: TrainingData,
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
        task: What is learnt.
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
            images.cache(_cache_mode(config), config.cache_megabytes, folder, accelerator.is_main_process)
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


def _refuse_missing_splits(data: TrainingData) -> None:
    for name in ("train", "validation"):
        if name not in data.splits:
            raise ConfigurationError(
                f"there is no {name} split, only {', '.join(data.splits)}",
                "Load a classification protocol, such as ratio20.",
            )
    for name, split in data.splits.items():
        if not len(split):
            raise ConfigurationError(f"the {name} split holds no image", "Give images to each split.")
