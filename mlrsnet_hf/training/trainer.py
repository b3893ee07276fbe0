"""The training run, from top to bottom: what the folder holds, the parts, the epochs, the scores."""

import math
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import nn

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.evaluation.predictions import Predictions, evaluate, metric_text, predict
from mlrsnet_hf.inputs.batches import Batch
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.loader import LockstepLoader, next_or_error
from mlrsnet_hf.inputs.task import ImageData, make_task
from mlrsnet_hf.models.preprocessing import Preprocessing
from mlrsnet_hf.models.saved_model import copy_model, load_model, save_model
from mlrsnet_hf.runtime.collectives import Collectives
from mlrsnet_hf.runtime.device import describe, ended_together, explain_memory, make_accelerator
from mlrsnet_hf.runtime.progress_bar import ProgressBar
from mlrsnet_hf.runtime.signals import Interruption
from mlrsnet_hf.training.checkpoints.checkpoints import CheckpointClock, Checkpoints, Watch
from mlrsnet_hf.training.checkpoints.history import Epoch, write_history
from mlrsnet_hf.training.checkpoints.progress import KeptModel, Position, Progress, RunningLoss, RunRecord
from mlrsnet_hf.training.checkpoints.run_folder import RunFolder
from mlrsnet_hf.training.components import RunParts, make_parts, place
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.curves import draw_curves
from mlrsnet_hf.training.optimizer import rate_factor
from mlrsnet_hf.training.results import RunSummary, TrainingResult
from mlrsnet_hf.training.resume import Opening, enter_folder, open_run, plain
from mlrsnet_hf.training.scoring import kept_epoch, make_result
from mlrsnet_hf.training.trackers import PROJECT, require_trackers, tracked_settings, tracker_options


def train(
    config: TrainingConfig, data: ImageData, recipe: str | None = None, data_config: DataConfig | None = None
) -> TrainingResult:
    """Fine-tune a model, keep the best epoch by validation, and measure it once on the test split.

    The run folder then holds `model/`, `results.json`, `settings.yaml`, `history.json` and `.csv`, `curves.png`, the
    last checkpoints, with the model of the best epoch among them, and the trackers' files. With `config.resume` a run
    goes on from its newest checkpoint, and ends with the files of a run that was never stopped, on the CPU to the last
    bit. On several machines the folder must be one that all of them see.

    Args:
        config: The settings.
        data: The splits.
        recipe: Name of the recipe that the settings began with, for the results.
        data_config: Where the data came from, for settings.yaml; None if from elsewhere than `load_data`.

    Returns:
        What results.json holds.

    Raises:
        MLRSNetError: A setting, the weights, an image or the output folder cannot be used.
        InterruptedRunError: SIGTERM or SIGINT came; `exit_on_error` ends the program with code 75.
    """
    require_trackers(config.trackers)
    task = make_task(data, config.scene_head, config.single_label)
    folder = RunFolder(config.output_dir)
    checkpoints = Checkpoints(folder.checkpoints, config.keep_checkpoints)
    accelerator = make_accelerator(
        config.precision, config.trackers, folder.logs, config.accumulation, config.cpu_threads, config.seed
    )
    collectives, say = Collectives(accelerator), accelerator.print
    with ExitStack() as stack:
        stack.enter_context(ended_together(accelerator))
        interruption = stack.enter_context(Interruption())
        collectives.run_on_main(folder.check_place)
        collectives.run_on_main(lambda: stack.enter_context(folder.lock()))
        record = make_record(config, data, accelerator)
        opening = collectives.run_on_main(lambda: open_run(folder, checkpoints, config, record, say))
        if opening.finished is not None:
            say(f"the run in {folder.root} has ended already; these are its results\n{opening.finished.report()}")
            return opening.finished
        parts = make_parts(config, data, task, accelerator, folder.decoded, say)
        stack.callback(parts.inputs.close)
        say("\n".join(filter(None, [describe(accelerator, parts.split), parts.batch_statistics_note()])))
        interruption.defer()
        collectives.run_on_main(lambda: enter_folder(folder, checkpoints, opening, config, data_config, recipe))
        run = Run(parts, folder, checkpoints, opening, collectives, interruption)
        run.train()
        return run.finish(data, recipe)


def make_record(config: TrainingConfig, data: ImageData, accelerator: Accelerator) -> RunRecord:
    """Return what checkpoints say of a run that begins now."""
    return RunRecord(
        settings=plain(config.to_dict()),
        data=plain(data.source),
        processes=accelerator.num_processes,
        precision=accelerator.mixed_precision,
        device=accelerator.device.type,
        run_id=secrets.token_hex(4),
    )


class Run:
    """A run that stands where it begins or goes on.

    Args:
        parts: What it computes with; a checkpoint's state is read into them.
        folder: The run folder, entered.
        checkpoints: Those in it.
        opening: The run's record, and the checkpoint to go on from.
        collectives: Of the processes.
        interruption: Of this one.
    """

    def __init__(
        self,
        parts: RunParts,
        folder: RunFolder,
        checkpoints: Checkpoints,
        opening: Opening,
        collectives: Collectives,
        interruption: Interruption,
    ) -> None:
        config, checkpoint = parts.config, opening.checkpoint
        self.parts = parts
        self.config = config
        self.folder = folder
        self.checkpoints = checkpoints
        self.collectives = collectives
        self.accelerator = parts.accelerator
        self.resumed = checkpoint is not None
        if checkpoint is not None:
            parts.state.read(checkpoint.folder)
        position = Position() if checkpoint is None else checkpoint.position
        self.progress = Progress(position, self._losses(position))
        self.watch = Watch(
            collectives=collectives,
            interruption=interruption,
            clock=CheckpointClock(config.checkpoint_steps, config.checkpoint_minutes),
            checkpoints=checkpoints,
            state=parts.state,
            progress=self.progress,
            record=opening.record,
        )
        self.accelerator.init_trackers(
            PROJECT,
            None if self.resumed else tracked_settings(config.to_dict()),
            tracker_options(folder.root, opening.record.run_id, position.step),
        )

    def _losses(self, position: Position) -> RunningLoss:
        processes, gather = self.accelerator.num_processes, self.accelerator.gather
        return RunningLoss(
            gather=lambda losses: gather(losses).view(processes, -1),
            name_images=self.parts.step_ids,
            step=position.step,
            total=position.loss_total,
            count=position.loss_count,
        )

    def train(self) -> None:
        """Train and evaluate the epochs that are left."""
        progress = self.progress
        with ProgressBar(self.parts.steps, progress.step, self.accelerator.is_main_process) as bar:
            loop = EpochLoop(self.parts, progress, self.watch, bar)
            for number in range(len(progress.history) + 1, self.config.epochs + 1):
                loop.run(number)
                epoch = self._evaluate(number, loop.learning_rate)
                progress.history.append(epoch)
                progress.kept = self.collectives.run_on_main(self._keep_model)
                progress.losses.begin_epoch()
                self.watch.save()
                # After the checkpoint, so that a history never tells of more than can be gone on from.
                self.collectives.run_on_main(lambda: write_history(progress.history, self.folder.root))
                chosen = self.config.selection_metric
                bar.write(f"epoch {number}: loss {epoch.loss:.4f}, {metric_text(chosen, epoch.validation[chosen])}")

    def _evaluate(self, number: int, learning_rate: float) -> Epoch:
        """Measure an epoch on the validation split."""
        parts, scored = self.parts, self.parts.state.scored
        share_batch_statistics(scored, self.accelerator.num_processes)
        predictions = predict_split(parts, self.watch, "validation", scored, parts.preprocessing)
        validation = evaluate(predictions, parts.task)
        values = {f"validation/{name}": value for name, value in validation.items()}
        self.accelerator.log(values, step=self.progress.step)
        return Epoch(
            epoch=number,
            step=self.progress.step,
            loss=self.progress.losses.read(),
            learning_rate=learning_rate,
            validation=validation,
        )

    def _keep_model(self) -> KeptModel | None:
        """Save the model of the epoch just measured, if it is the run's so far; return the one that is."""
        parts, history = self.parts, self.progress.history
        if kept_epoch(history, self.config) is not history[-1]:
            return self.progress.kept
        return self.checkpoints.keep_model(
            history[-1].step,
            lambda folder: save_model(parts.state.scored, folder, parts.preprocessing, parts.task),
        )

    def finish(self, data: ImageData, recipe: str | None) -> TrainingResult:
        """Measure the kept model, read back from its folder, so that the figures are those of the files; write all."""
        assert self.progress.kept is not None, "a run has an epoch or more"
        kept = self.checkpoints.folder / self.progress.kept.name
        saved = load_model(kept)
        model = place(saved.model, self.config, self.accelerator)
        predictions = {
            name: predict_split(self.parts, self.watch, name, model, saved.preprocessing, self.config.eval_symmetries)
            for name in self.parts.inputs.evaluation
        }
        result = make_result(self.config, data, saved, predictions, self.progress.history, self._summary(), recipe)

        def write() -> None:
            copy_model(kept, self.folder.model, None if result.tuned is None else result.tuned.thresholds)
            draw_curves(self.progress.history, self.folder.curves, result.scored_epoch)
            result.save(self.folder.results)  # last of all: this file tells that the run has ended

        self.collectives.run_on_main(write)
        self.accelerator.print(result.report())
        return result

    def _summary(self) -> RunSummary:
        split = self.parts.split
        return RunSummary(
            processes=split.processes,
            precision=self.accelerator.mixed_precision,
            device=str(self.accelerator.device),
            batch={
                "global": split.images,
                "per_process": split.images // split.processes,
                "accumulation": split.accumulation,
            },
            seconds=self.progress.seconds,
            resumed=self.resumed,
        )


class EpochLoop:
    """Takes the optimizer steps, with all that belongs to them.

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
        """Take the optimizer steps that are left of an epoch, counted from 1."""
        self.parts.set_training_mode()
        self.bar.begin_epoch(f"epoch {number}/{self.parts.config.epochs}")
        batches, steps = self.parts.inputs.batches, self.parts.steps_per_epoch
        batches.epoch, batches.first_step = number, self.progress.step - (number - 1) * steps
        reader = iter(self.parts.inputs.training)
        for _ in range(batches.first_step, steps):
            self.take_step(reader)
        self.progress.losses.read()

    def take_step(self, batches: Iterator[Batch]) -> None:
        """Take an optimizer step.

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
    """Say what it means if a layer has a single value to normalize: one image, shrunk to one pixel.

    Raises:
        ConfigurationError: In place of PyTorch's error.
    """
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ConfigurationError(
            "batch normalization cannot learn from one image at a time",
            "Raise batch_size, or lower accumulation or the number of processes; a training split needs two images.",
        ) from error


def predict_split(
    parts: RunParts,
    watch: Watch,
    split: str,
    model: nn.Module,
    preprocessing: Preprocessing,
    symmetries: int = 1,
) -> Predictions:
    """Return a model's predictions of a split of the run; arguments as in `predict`.

    Raises:
        MLRSNetError: An image cannot be read, or there is too little memory.
        InterruptedRunError: A process was asked to stop.
    """
    size = parts.config.eval_batch_size
    share = math.ceil(parts.inputs.images[split] / parts.accelerator.num_processes)
    loader = LockstepLoader(parts.inputs.evaluation[split], math.ceil(share / size), watch.look)
    with explain_memory(f"evaluation of {size} images at once", "Lower eval_batch_size; --resume takes it."):
        return predict(model, loader, preprocessing, parts.accelerator, split, symmetries)


def share_batch_statistics(model: nn.Module, processes: int) -> None:
    """Give every process the batch statistics of process 0, which are those that are saved."""
    if processes > 1:
        for buffer in model.buffers():
            buffer.copy_(broadcast(buffer))
