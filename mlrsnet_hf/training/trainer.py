"""What a training run computes with, and its parts in their order: begin, epochs, steps, evaluations, results."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from mlrsnet_hf.errors import DivergedError, InterruptedRunError, MLRSNetError
from mlrsnet_hf.evaluation.intervals import bootstrap_scores
from mlrsnet_hf.evaluation.predict import predict
from mlrsnet_hf.evaluation.scores import Predictions, evaluate, evaluate_splits, metric_text
from mlrsnet_hf.inputs.batches import Batch
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.loader import LockstepLoader, next_or_error
from mlrsnet_hf.inputs.task import ImageData, make_task
from mlrsnet_hf.models.build import training_size
from mlrsnet_hf.models.preprocessing import Preprocessing, model_input, model_preprocessing
from mlrsnet_hf.models.saved_model import copy_model, load_model, save_model
from mlrsnet_hf.models.timm_config import set_backbone_eval
from mlrsnet_hf.runtime.collectives import Collectives
from mlrsnet_hf.runtime.device import device_text, explain_memory
from mlrsnet_hf.runtime.logs import get_logger, print_result
from mlrsnet_hf.runtime.signals import Interruption
from mlrsnet_hf.training.checkpoint_clock import CheckpointClock
from mlrsnet_hf.training.checkpoints import BestModel, Checkpoint, Checkpoints, Progress, RunRecord, TrainingState
from mlrsnet_hf.training.components import (
    batch_text,
    explain_step,
    family_text,
    make_loaders,
    make_model,
    share_batch_statistics,
    statistics_note,
)
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.history import Epoch, draw_curves, kept_epoch, write_history
from mlrsnet_hf.training.losses import loss_of_split, make_loss
from mlrsnet_hf.training.monitor import Monitor
from mlrsnet_hf.training.optimizer import make_average, make_optimizer, make_schedule, rate_factor
from mlrsnet_hf.training.rate_scores import RateTrials
from mlrsnet_hf.training.results import DataSummary, ModelSummary, RunSummary, TrainingResult
from mlrsnet_hf.training.run_folder import RunFolder, enter_folder

# Separates dropout's random stream from those of the inputs under one seed.
_DROPOUT = 3

logger = get_logger(__name__)


class Trainer:
    """What a run computes with, and how far it has come; on every process the same, but for its share of the images.

    Raises:
        MLRSNetError: A setting, the weights or an image cannot be used, or there is too little memory.
    """

    def __init__(
        self,
        config: TrainingConfig,
        data: ImageData,
        run: RunRecord,
        accelerator: Accelerator,
        collectives: Collectives,
        interruption: Interruption,
        trials: RateTrials | None = None,
    ) -> None:
        self.asked, self.trials = config, trials
        if trials is not None and trials.chosen is not None:
            config = replace(config, learning_rate=trials.chosen)
        self.config, self.data, self.run = config, data, run
        self.accelerator, self.collectives, self.interruption = accelerator, collectives, interruption
        self.folder = RunFolder(config.output_dir)
        self.checkpoints = Checkpoints(self.folder.checkpoints, config.keep_checkpoints)
        self.clock = CheckpointClock(config.checkpoint_steps, config.checkpoint_minutes)

        # ---- model
        self.task = make_task(data, config.scene_head, config.single_label)
        self.network = make_model(config, self.task, data.reading.channels)
        self.preprocessing = model_preprocessing(self.network, config.image_size, config.crop_pct, data.reading)
        train_size = training_size(
            self.network, self.preprocessing.image_size, config.train_scale, self.preprocessing.channels
        )
        self._to_device(self.network)

        # ---- data
        self.loaders = make_loaders(
            config, data, self.task, self.preprocessing, train_size, accelerator, self.folder.decoded
        )
        self.batches = self.loaders.batches
        self.steps = len(self.batches) * config.epochs
        self.batch_text = batch_text(self.batches.batch_size, accelerator.num_processes, config.accumulation)

        # ---- optimizer
        # The average is copied before Accelerate wraps the forward pass and torch compiles it.
        average = make_average(self.network, config.ema)
        optimizer = make_optimizer(self.network, config)
        schedule = make_schedule(optimizer, self.steps, config)
        self.model, self.optimizer = accelerator.prepare(self.network, optimizer)
        if config.compile:
            self.network.compile()
        self.loss = make_loss(config, self.task, self.loaders.train.images.known_share)
        self.trained_parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]

        # ---- state: what checkpoints hold
        self.progress = Progress()
        self.state = TrainingState(self.network, average, optimizer, schedule, accelerator.scaler, self.progress)
        self._set_training_mode()

    def tell(self) -> None:
        """Log where and by what recipe the run computes."""
        logger.info("%s, %s", device_text(self.accelerator), self.batch_text)
        if self.config.family:
            logger.info(family_text(self.config))
        if self.config.repeat_threshold:
            rows, drawn = self.batches.rows, self.batches.epoch_rows
            logger.info("images with rare labels are repeated: %d images an epoch instead of %d", drawn, rows)
        parts = self.accelerator.num_processes * self.config.accumulation
        if note := statistics_note(self.model, self.batches.batch_size, parts):
            logger.info(note)

    def begin(self, checkpoint: Checkpoint | None, data_config: DataConfig | None, recipe: str | None) -> None:
        """Bring folder, state and trackers to where the run begins, or goes on from a checkpoint."""
        self.collectives.run_on_main(lambda: enter_folder(self.folder, checkpoint, self.asked, data_config, recipe))
        self.resumed = checkpoint is not None
        if checkpoint is not None:
            self.run = replace(self.run, run_id=checkpoint.run.run_id)
            self.progress = checkpoint.progress
            self.state = replace(self.state, progress=self.progress)
            self.state.load_tensors(checkpoint.folder)
        self.started = time.perf_counter() - self.progress.seconds
        self.monitor = Monitor(self.accelerator, self.progress, self.steps, self.batches.batch_size, self._step_ids)
        self.monitor.start_trackers(self.run, self.folder.root, self.resumed)

    def train_epochs(self) -> None:
        """Train and evaluate the epochs that are left of the run."""
        for number in range(len(self.progress.history) + 1, self.config.epochs + 1):
            self.train_epoch(number)
            self.evaluate_epoch(number)

    def train_epoch(self, number: int) -> None:
        """Take the optimizer steps that are left of an epoch, counted from 1."""
        self._set_training_mode()
        self.monitor.begin_epoch(f"epoch {number}/{self.config.epochs}")
        self.batches.epoch, self.batches.first_step = number, self.progress.step - (number - 1) * len(self.batches)
        batches = iter(self.loaders.train)
        for _ in range(self.batches.first_step, len(self.batches)):
            with explain_step(f"step {self.progress.step + 1}, {self.batch_text}", self.config.accumulation):
                micro_batches = self._load(batches)
                loss = self.train_step(micro_batches)
            self.monitor.add(loss)
            if self.progress.step % self.config.log_every == 0:
                self.monitor.show(self.learning_rate)
            if self.clock.is_due_at(self.progress.step):
                self.save_checkpoint()
        self.monitor.read_loss()

    def _load(self, batches: Iterator[Batch]) -> list[Batch]:
        """Return this process's share of the next batch, unless a process has a reason to stop."""
        loaded = [next_or_error(batches) for _ in range(self.config.accumulation)]
        self.stop_or_save(next((error for _, error in loaded if error is not None), None))
        return [batch for batch, _ in loaded if batch is not None]

    def train_step(self, micro_batches: Sequence[Batch]) -> torch.Tensor:
        """Take one optimizer step: forward, loss, backward for each micro-batch, then clip, step, average.

        Args:
            micro_batches: This process's share of the batch, in the pieces that the model sees at once. Each counts by
                its images, so that the gradient is that of the whole batch.

        Returns:
            The loss of the share, () float32 on the device, not yet read.
        """
        accelerator, losses = self.accelerator, []
        for number, batch in enumerate(micro_batches):
            share = len(batch.rows) * accelerator.num_processes / self.batches.batch_size
            is_last = number == len(micro_batches) - 1
            # The processes add up their gradients once, after the last micro-batch.
            with nullcontext() if is_last else accelerator.no_sync(self.model):
                torch.manual_seed(dropout_seed(self.config.seed, self.progress.step, number, accelerator.process_index))
                batch = batch.to(accelerator.device)
                logits = self.model(model_input(batch, self.preprocessing))
                loss = self.loss(logits, batch) * share
                accelerator.backward(loss)
            losses.append(loss.detach())
        if self.config.clip_norm:
            accelerator.clip_grad_norm_(self.trained_parameters, self.config.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.state.schedule.step()
        if self.state.average is not None:
            self.state.average.update(self.network, self.progress.step + 1)
        return torch.stack(losses).sum()

    def stop_or_save(self, error: MLRSNetError | None = None) -> None:
        """Raise on all processes what one has met; write a checkpoint if one is due, or before all stop at a signal."""
        failed, stopped, due = self.collectives.any_process(
            error is not None, self.interruption.requested is not None, self.clock.is_due_now
        )
        if failed:
            self.collectives.raise_together(error)
        if stopped or due:
            self.save_checkpoint()
        if stopped:
            raise InterruptedRunError(
                f"{self.interruption.requested or 'a signal to another process'} came; {self.checkpoints.folder} holds "
                f"all up to step {self.progress.step}",
                "Give the same command with --resume to go on.",
                self.interruption.signal,
            )

    def save_checkpoint(self) -> None:
        """Write a checkpoint; all processes do it together."""
        self.monitor.read_loss()  # a state whose loss is no number is never kept
        self.progress.seconds = time.perf_counter() - self.started
        self.collectives.run_on_main(lambda: self.checkpoints.save(self.state, self.run))
        self.clock.restart()

    @property
    def learning_rate(self) -> float:
        """The backbone's learning rate at the last step taken."""
        config, last = self.config, self.progress.step - 1
        return config.fixed_rate * rate_factor(last, self.steps, config.warmup, config.schedule)

    def evaluate_epoch(self, number: int) -> None:
        """Measure an epoch on the validation split, save its model if it is to be kept, write a checkpoint."""
        progress, model = self.progress, self.state.scored
        share_batch_statistics(model, self.accelerator.num_processes)
        predictions = self.predict("validation", model, self.preprocessing)
        if any(
            np.isnan(logits).any() for logits in (predictions.logits, predictions.scene_logits) if logits is not None
        ):
            raise DivergedError(f"the network gives no numbers after step {progress.step}", "Lower learning_rate.")
        validation = evaluate(predictions, self.task)
        validation_loss = loss_of_split(self.loss, predictions)
        values = {f"validation/{name}": value for name, value in validation.items()}
        self.monitor.log(values | ({} if validation_loss is None else {"validation/loss": validation_loss}))
        epoch = Epoch(
            epoch=number,
            step=progress.step,
            loss=self.monitor.read_loss(),
            learning_rate=self.learning_rate,
            validation=validation,
            validation_loss=validation_loss,
        )
        progress.history.append(epoch)
        if kept_epoch(progress.history, self.config.keep, self.config.selection_metric) is epoch:
            progress.best = self.collectives.run_on_main(self._save_best)
        progress.loss_total, progress.loss_count = 0.0, 0
        self.save_checkpoint()
        # After the checkpoint, so that a history never tells of more than can be gone on from.
        self.collectives.run_on_main(self._write_history)
        chosen = self.config.selection_metric
        logger.info("epoch %d: loss %.4f, %s", number, epoch.loss, metric_text(chosen, validation[chosen]))

    def _write_history(self) -> None:
        with self.checkpoints.explain(f"history in {self.folder.root}"):
            write_history(self.progress.history, self.folder.root)

    def _save_best(self) -> BestModel:
        def write(folder: Path) -> None:
            save_model(self.state.scored, folder, self.preprocessing, self.task)

        return self.checkpoints.save_best(self.progress.step, write)

    def predict(self, split: str, model: nn.Module, preprocessing: Preprocessing, symmetries: int = 1) -> Predictions:
        """Return a model's predictions of a split of the run; all processes look out for signals meanwhile."""
        size = self.config.eval_batch_size
        share = math.ceil(len(self.data.splits[split]) / self.accelerator.num_processes)
        loader = LockstepLoader(self.loaders.evaluation[split], math.ceil(share / size), self.stop_or_save)
        with explain_memory(f"evaluation of {size} images at once", "Lower eval_batch_size; --resume takes it."):
            return predict(model, loader, preprocessing, self.accelerator, split, symmetries)

    def finish(self, recipe: str | None) -> TrainingResult:
        """Measure the kept model, read back from its folder, so that the figures are those of the files; write all."""
        self.monitor.bar.close()
        assert self.progress.best is not None, "a run has an epoch or more"
        config, history = self.config, self.progress.history
        best = self.checkpoints.folder / self.progress.best.name
        saved = load_model(best)
        model = self._to_device(saved.model)
        predictions = {
            name: self.predict(name, model, saved.preprocessing, config.eval_symmetries)
            for name in self.loaders.evaluation
        }
        evaluation = evaluate_splits(predictions, saved.task, config.tune_thresholds)
        thresholds = None if evaluation.tuned is None else np.array(list(evaluation.tuned.thresholds.values()))
        intervals = self.collectives.run_on_main(lambda: bootstrap_scores(predictions, saved.task, thresholds))
        processes, images = self.accelerator.num_processes, self.batches.batch_size
        result = TrainingResult(
            recipe=recipe,
            config=self.asked,
            rate_trials=self.trials,
            data=DataSummary.of(self.data),
            model=ModelSummary.of(saved, config.model, config.weights),
            task=saved.task.kind,
            history=tuple(history),
            scored_epoch=kept_epoch(history, config.keep, config.selection_metric).epoch,
            scores=evaluation.scores,
            tuned=evaluation.tuned,
            eval_symmetries=config.eval_symmetries,
            labels=evaluation.labels,
            run=RunSummary(
                processes=processes,
                precision=self.accelerator.mixed_precision,
                device=str(self.accelerator.device),
                batch={"global": images, "per_process": images // processes, "accumulation": config.accumulation},
                seconds=time.perf_counter() - self.started,
                resumed=self.resumed,
            ),
            intervals=intervals,
        )

        def write() -> None:
            with self.checkpoints.explain(f"results in {self.folder.root}"):
                copy_model(best, self.folder.model, None if result.tuned is None else result.tuned.thresholds)
                draw_curves(history, self.folder.curves, result.scored_epoch)
                result.save(self.folder.results)  # last of all: this file tells that the run has ended

        self.collectives.run_on_main(write)
        print_result(f"{result.report()}\n{self.folder.parts_text()}")
        return result

    def _step_ids(self, step: int) -> list[str]:
        """Return the ids of the images of a step of the run, counted from 0."""
        epoch, step_of_epoch = divmod(step, len(self.batches))
        return [self.loaders.train_ids[row] for row in self.batches.step_rows(epoch + 1, step_of_epoch)]

    def _to_device(self, model: nn.Module) -> nn.Module:
        """Bring a model to the device, in the memory format of the settings."""
        model = model.to(self.accelerator.device)
        return model.to(memory_format=torch.channels_last) if self.config.channels_last else model

    def _set_training_mode(self) -> None:
        self.model.train()
        if self.config.freeze_backbone:
            set_backbone_eval(self.network)


def dropout_seed(seed: int, step: int, micro_batch: int, process: int) -> int:
    """Return the seed of one forward pass, so that a run may begin at any step."""
    return int(np.random.SeedSequence((seed, _DROPOUT, step, micro_batch, process)).generate_state(1, np.uint64)[0])
