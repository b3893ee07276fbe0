"""The steps of an epoch."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.training.agreement import next_or_error
from mlrsnet_hf.training.device import explain_memory
from mlrsnet_hf.training.inputs import Batch, read_batches
from mlrsnet_hf.training.optimisation import rate_factor
from mlrsnet_hf.training.progress import Progress
from mlrsnet_hf.training.progress_bar import ProgressBar
from mlrsnet_hf.training.run_parts import RunParts
from mlrsnet_hf.training.watch import Watch


class EpochLoop:
    """Takes the optimiser steps, with all that belongs to them.

    Args:
        parts: Of the run.
        progress: How far it has come; each step changes it.
        watch: Looks before each step.
        bar: Shows the steps.
    """

    def __init__(self, parts: RunParts, progress: Progress, watch: Watch, bar: ProgressBar) -> None:
        self.parts = parts
        self.progress = progress
        self.watch = watch
        self.bar = bar

    @property
    def learning_rate(self) -> float:
        """The backbone's learning rate at the last step taken."""
        config, last = self.parts.config, self.progress.step - 1
        return config.learning_rate * rate_factor(last, self.parts.steps, config.warmup, config.schedule)

    def run(self, number: int) -> None:
        """Take the optimiser steps that are left of an epoch, counted from 1."""
        self.parts.set_training_mode()
        self.bar.begin_epoch(f"epoch {number}/{self.parts.config.epochs}")
        batches, steps = self.parts.inputs.batches, self.parts.steps_per_epoch
        batches.epoch, batches.first_step = number, self.progress.step - (number - 1) * steps
        reader = read_batches(self.parts.inputs.training)
        for _ in range(batches.first_step, steps):
            self.take_step(reader)
        self.progress.losses.read()

    def take_step(self, batches: Iterator[Batch]) -> None:
        """Take an optimiser step.

        Args:
            batches: This process's parts of the global batches, in order.

        Raises:
            MLRSNetError: An image cannot be read, there is too little memory, or a loss is no number.
            InterruptedRunError: A process was asked to stop.
        """
        progress, split = self.progress, self.parts.split
        with explain_memory(f"step {progress.step + 1}, batch {split}", self._memory_remedy):
            parts = self._next_parts(batches)
            with _explain_lone_images():
                progress.losses.add(self.parts.step(parts, progress.step, split.images))
        progress.step += 1
        self.bar.update(split.images)
        if progress.step % self.parts.config.log_every == 0:
            self._show()
        if self.watch.clock.is_due_at(progress.step):
            self.watch.save()

    def _next_parts(self, batches: Iterator[Batch]) -> list[Batch]:
        """Return this process's share of the next batch, unless a process has a reason to stop."""
        parts = [next_or_error(batches) for _ in range(self.parts.config.accumulation)]
        self.watch.look(next((error for _, error in parts if error is not None), None))
        return [part for part, _ in parts if part is not None]

    def _show(self) -> None:
        """Read the losses and show where the run stands."""
        loss, rate = self.progress.losses.read(), self.learning_rate
        speed = self.bar.show(loss, rate)
        values = {"train/loss": loss, "train/learning_rate": rate, "train/images_per_second": speed}
        self.parts.accelerator.log(values, step=self.progress.step)

    @property
    def _memory_remedy(self) -> str:
        return (
            f"Raise accumulation above {self.parts.split.accumulation} or use more processes, which --resume takes; or "
            "begin anew with a lower batch_size, train_scale or image_size, or in bf16."
        )


@contextmanager
def _explain_lone_images() -> Iterator[None]:
    """Say what it means if a layer has a single value to normalise: one image, shrunk to one pixel.

    Raises:
        ConfigurationError: In place of PyTorch's error.
    """
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ConfigurationError(
            "batch normalisation cannot learn from one image at a time",
            "Raise batch_size, or lower accumulation or the number of processes; a training split needs two images.",
        ) from error
