"""The training run, from top to bottom: data, model, optimiser, resume, loop, evaluation, results."""

import json
import math
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NoReturn, cast

import torch
from accelerate.utils import broadcast
from torch import nn

from mlrsnet_hf.errors import InterruptedRunError, MLRSNetError
from mlrsnet_hf.training.agreement import Agreement, WatchedLoader, take
from mlrsnet_hf.training.checkpoints import Checkpoint, CheckpointClock, Checkpoints, Position
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.curves import draw_curves
from mlrsnet_hf.training.data_config import DataConfig
from mlrsnet_hf.training.device import BatchSplit, describe, explain_memory, make_accelerator
from mlrsnet_hf.training.evaluators import Predictions, evaluate, label_scores, metric_title, predict
from mlrsnet_hf.training.frozen_backbone import hold_backbone
from mlrsnet_hf.training.history import Epoch, write_history
from mlrsnet_hf.training.inputs import Batch, Loader, read_batches
from mlrsnet_hf.training.interruption import Interruption
from mlrsnet_hf.training.losses import make_loss
from mlrsnet_hf.training.models import make_model
from mlrsnet_hf.training.optimisation import make_optimiser, make_schedule, rate_factor
from mlrsnet_hf.training.preprocessing import Preprocessing, model_preprocessing
from mlrsnet_hf.training.progress import ProgressBar
from mlrsnet_hf.training.results import DataSummary, ModelSummary, RunSummary, TrainingResult
from mlrsnet_hf.training.resumption import refuse_other_data, refuse_other_settings
from mlrsnet_hf.training.run_folder import RunFolder
from mlrsnet_hf.training.run_inputs import make_inputs
from mlrsnet_hf.training.run_state import RunState
from mlrsnet_hf.training.running_loss import RunningLoss
from mlrsnet_hf.training.saved_model import load_model, save_model, store_thresholds
from mlrsnet_hf.training.scoring import kept_epoch, score, tuned_scores
from mlrsnet_hf.training.settings_file import write_settings
from mlrsnet_hf.training.task import TrainingData, make_task
from mlrsnet_hf.training.thresholds import tune_thresholds
from mlrsnet_hf.training.timm_settings import timm_settings
from mlrsnet_hf.training.trackers import PROJECT, require_trackers, tracked_settings, tracker_options
from mlrsnet_hf.training.train_step import TrainStep, make_average, uses_batch_statistics


def train(
    config: TrainingConfig, data: TrainingData, recipe: str | None = None, data_config: DataConfig | None = None
) -> TrainingResult:
    """Fine-tune a model, keep the best epoch by validation, and measure it once on the test split.

    The run folder then holds `model/`, `results.json`, `settings.yaml`, `history.json` and `.csv`, `curves.png`, the
    last checkpoints and the trackers' files. With `config.resume` a run goes on from its newest checkpoint, and ends
    with the files of a run that was never stopped, on the CPU to the last bit.

    Args:
        config: The settings.
        data: The splits.
        recipe: Name of the recipe that the settings began with, for the results.
        data_config: Where the data came from, for settings.yaml; None if from elsewhere than `load_training_data`.

    Returns:
        What results.json holds.

    Raises:
        MLRSNetError: A setting, the weights, an image or the output folder cannot be used.
        InterruptedRunError: SIGTERM or SIGINT came; `exit_on_error` ends the program with code 75.
    """
    return Trainer(config, data, recipe, data_config).run()


class Trainer:
    """One run. The constructor sets the stage and refuses what cannot work; `run` does the rest."""

    def __init__(
        self,
        config: TrainingConfig,
        data: TrainingData,
        recipe: str | None = None,
        data_config: DataConfig | None = None,
    ) -> None:
        self.config = config
        self.data = data
        self.recipe = recipe
        self.data_config = data_config
        require_trackers(config.trackers)
        self.task = make_task(config, data)
        self.folder = RunFolder(config.output_dir)
        self.accelerator = make_accelerator(config, self.folder.logs)
        self.agreement = Agreement(self.accelerator)
        self.say = self.accelerator.print
        self.agreement.from_main(lambda: self.folder.check(config.overwrite, config.resume))
        self.finished = self.agreement.from_main(self._finished_run)
        if self.finished is None:
            self._set_up_model()
            self._set_up_data()
            self._set_up_optimiser()
            self._announce()

    def _finished_run(self) -> TrainingResult | None:
        """Return the results of a run that has nothing left to resume."""
        if not self.config.resume or not self.folder.results.exists():
            return None
        result = TrainingResult.load(self.folder.results)
        refuse_other_settings(_plain(result.config.to_dict()), _plain(self.config.to_dict()))
        refuse_other_data(result.data.source, _plain(self.data.source))
        return result

    def _set_up_model(self) -> None:
        config = self.config
        self.network = make_model(config, self.task, self.say)
        self.preprocessing = model_preprocessing(self.network, config.image_size, config.crop_pct)
        self._place(self.network)

    def _place(self, model: nn.Module) -> nn.Module:
        model = model.to(self.accelerator.device)
        return model.to(memory_format=torch.channels_last) if self.config.channels_last else model

    def _set_up_data(self) -> None:
        self.inputs = make_inputs(
            self.config, self.data, self.task, self.preprocessing, self.accelerator, self.folder.decoded
        )
        self.steps_per_epoch = len(self.inputs.batches)
        self.steps = self.steps_per_epoch * self.config.epochs
        self.split = BatchSplit(
            self.inputs.batches.batch_size, self.accelerator.num_processes, self.config.accumulation
        )

    def _set_up_optimiser(self) -> None:
        config = self.config
        # Copied before Accelerate wraps the forward pass and torch compiles it.
        average = make_average(self.network, config.ema)
        plain_optimiser = make_optimiser(self.network, config)
        schedule = make_schedule(plain_optimiser, self.steps, config)
        model, optimiser = self.accelerator.prepare(self.network, plain_optimiser)
        if config.compile:
            self.network.compile()
        self.model = model
        self.state = RunState(self.network, average, plain_optimiser, schedule, self.accelerator.scaler)
        loss = make_loss(config, self.task)
        self.step = TrainStep(
            self.accelerator,
            model,
            optimiser,
            schedule,
            loss,
            self.preprocessing,
            average,
            config.clip_norm,
            config.seed,
        )

    def _set_training_mode(self) -> None:
        self.model.train()
        if self.config.freeze_backbone:
            hold_backbone(self.network)

    def _announce(self) -> None:
        self._set_training_mode()
        self.say(describe(self.accelerator, self.split))
        if uses_batch_statistics(self.model) and self.split.part < self.split.images:
            self.say(
                f"batch normalisation takes its statistics over the {self.split.part} images of a part, so the results "
                f"differ from those of {self.split.images} images at once; the statistics of process 0 are kept"
            )

    def run(self) -> TrainingResult:
        """Train, evaluate and write."""
        if self.finished is not None:
            self.say(f"the run in {self.folder.root} has ended already; these are its results")
            self.say(self.finished.report())
            return self.finished
        with ExitStack() as stack:
            self.agreement.from_main(lambda: stack.enter_context(self.folder.lock()))
            self.interruption = stack.enter_context(Interruption())
            self.begin_or_resume()
            self._train()
            return self._finish()

    def begin_or_resume(self) -> None:
        """Bring the run to where its newest checkpoint, or else an empty folder, lets it begin."""
        config = self.config
        self.checkpoints = Checkpoints(self.folder.checkpoints, config.keep_checkpoints)
        checkpoint = self.agreement.from_main(self._open_folder)
        position = Position() if checkpoint is None else checkpoint.position
        self.about = {
            "settings": _plain(config.to_dict()),
            "data": _plain(self.data.source),
            "processes": self.accelerator.num_processes,
            "run_id": secrets.token_hex(4),
        }
        if checkpoint is not None:
            self._resume(checkpoint)
        self.resumed = checkpoint is not None
        self.done = position.step
        self.history = list(position.history)
        self.losses = self._new_losses(position)
        self.started = time.perf_counter() - position.seconds
        self.clock = CheckpointClock(config.checkpoint_steps, config.checkpoint_minutes)
        self.accelerator.init_trackers(
            PROJECT,
            None if self.resumed else tracked_settings(config.to_dict()),
            tracker_options(self.folder.root, self.about["run_id"], self.done),
        )

    def _open_folder(self) -> Checkpoint | None:
        """Return the checkpoint to go on from; without one, make the folder anew."""
        checkpoint = None
        if self.config.resume:
            self.checkpoints.clear_partial()
            checkpoint = self.checkpoints.newest(self.say)
            if checkpoint is None:
                self.say(f"{self.folder.checkpoints} holds no checkpoint: the run begins anew")
        if checkpoint is None:
            self.folder.create()
            write_settings(self.folder.settings, self.config, self.data_config, self.recipe)
        return checkpoint

    def _resume(self, checkpoint: Checkpoint) -> None:
        run, processes = checkpoint.run, self.accelerator.num_processes
        refuse_other_settings(run["settings"], self.about["settings"])
        refuse_other_data(run["data"], self.about["data"])
        self.about["run_id"] = run["run_id"]
        self.say(f"going on from {checkpoint.folder}, step {checkpoint.position.step} of {self.steps}")
        if run["processes"] != processes:
            self.say(
                f"the run had {run['processes']} processes and goes on with {processes}: dropout and batch statistics "
                "will not be those of a run that was never stopped"
            )
        self.state.read(checkpoint.folder)

    def _train(self) -> None:
        """Train and evaluate the epochs that are left."""
        with ProgressBar(self.steps, self.done, self.accelerator.is_main_process) as self.bar:
            for number in range(len(self.history) + 1, self.config.epochs + 1):
                self.bar.begin_epoch(f"epoch {number}/{self.config.epochs}")
                self._train_epoch(number)
                self._evaluate_epoch(number)
                self.losses = self._new_losses(Position())
                self._save_checkpoint()

    def _new_losses(self, position: Position) -> RunningLoss:
        epoch = len(self.history) + 1
        return RunningLoss(
            gather=lambda losses: self.accelerator.gather(losses).view(self.accelerator.num_processes, -1),
            name_images=lambda step: self.inputs.step_ids(epoch, step),
            first_step=(epoch - 1) * self.steps_per_epoch + 1,
            total=position.loss_total,
            count=position.loss_count,
        )

    def _train_epoch(self, number: int) -> None:
        """Take the optimiser steps that are left of the epoch."""
        self._set_training_mode()
        batches = self.inputs.batches
        batches.epoch, batches.first_step = number, self.done - (number - 1) * self.steps_per_epoch
        reader = read_batches(self.inputs.training)
        for _ in range(batches.first_step, self.steps_per_epoch):
            self.take_step(reader)
        self.losses.read()

    def take_step(self, batches: Iterator[Batch]) -> None:
        """Take an optimiser step, with all that belongs to it."""
        parts = self._next_parts(batches)
        with explain_memory(*self._memory_advice(f"step {self.done + 1}, batch {self.split}")):
            self.losses.add(self.step(parts, self.done, self.split.images))
        self.done += 1
        self.bar.update(self.split.images)
        if self.done % self.config.log_every == 0:
            self._show()
        if self.clock.is_due_at(self.done) and self.done % self.steps_per_epoch:
            self._save_checkpoint()

    def _next_parts(self, batches: Iterator[Batch]) -> list[Batch]:
        """Return this process's share of the next batch, unless a process has a reason to stop."""
        parts = [take(batches) for _ in range(self.config.accumulation)]
        error = next((error for _, error in parts if error is not None), None)
        if self._watch(error, self.clock.is_due_now):
            self._save_checkpoint()
        return [part for part, _ in parts if part is not None]

    def _watch(self, error: MLRSNetError | None = None, is_due: bool = False) -> bool:
        """Agree on what the processes have seen: stop if one must, else return whether a checkpoint is due."""
        failed, stopped, due = self.agreement.any(error is not None, self.interruption.requested is not None, is_due)
        if failed:
            self.agreement.raise_error(error)
        if stopped:
            self._stop()
        return due

    def _stop(self) -> NoReturn:
        self._save_checkpoint()
        raise InterruptedRunError(
            f"{self.interruption.requested or 'a signal to another process'} came; {self.folder.checkpoints} holds all "
            f"up to step {self.done} of {self.steps}",
            "Give the same command with --resume to go on.",
        )

    def _save_checkpoint(self) -> None:
        self.losses.read()  # by all processes; a loss that is no number is never kept
        position = Position(
            step=self.done,
            history=tuple(self.history),
            loss_total=self.losses.total,
            loss_count=self.losses.count,
            seconds=time.perf_counter() - self.started,
        )
        self.agreement.from_main(lambda: self.checkpoints.save(self.state, position, self.about))
        self.clock.restart()

    def _show(self) -> None:
        """Read the losses and show where the run stands."""
        loss, rate = self.losses.read(), self._learning_rate()
        speed = self.bar.show(loss, rate)
        self._log({"train/loss": loss, "train/learning_rate": rate, "train/images_per_second": speed})

    def _learning_rate(self) -> float:
        """Return the backbone's learning rate at the last step taken."""
        config = self.config
        return config.learning_rate * rate_factor(self.done - 1, self.steps, config.warmup, config.schedule)

    def _log(self, values: dict[str, float]) -> None:
        self.accelerator.log(values, step=self.done)

    def _evaluate_epoch(self, number: int) -> None:
        """Measure the epoch on the validation split; keep its model if it is the best so far."""
        predictions = self._predict("validation", self._scored_network(), self.preprocessing)
        validation = evaluate(predictions, self.task)
        epoch = Epoch(
            epoch=number,
            step=self.done,
            loss=self.losses.read(),
            learning_rate=self._learning_rate(),
            validation=validation,
        )
        self.history.append(epoch)
        self.agreement.from_main(self._write_epoch)
        self._log({f"validation/{name}": value for name, value in validation.items()})
        chosen = self.config.selection_metric
        self.bar.write(f"epoch {number}: loss {epoch.loss:.4f}, {metric_title(chosen)} {validation[chosen]:.4f}")

    def _write_epoch(self) -> None:
        if kept_epoch(self.history, self.config) is self.history[-1]:
            save_model(self.state.scored, self.folder.model, self.preprocessing, self.task)
        write_history(self.history, self.folder.root)

    def _scored_network(self) -> nn.Module:
        """Return the network to evaluate, with the batch statistics that are saved: those of process 0."""
        if self.accelerator.num_processes > 1:
            for buffer in self.state.scored.buffers():
                buffer.copy_(broadcast(buffer))
        return self.state.scored

    def _predict(self, split: str, model: nn.Module, preprocessing: Preprocessing, symmetries: int = 1) -> Predictions:
        loader = self.inputs.evaluation[split]
        share = math.ceil(self.inputs.images[split] / self.accelerator.num_processes)
        rounds = math.ceil(share / self.config.eval_batch_size)
        watched = cast(Loader, WatchedLoader(loader, rounds, self._watch))
        with explain_memory(
            f"evaluation of {self.config.eval_batch_size} images at once", "Lower eval_batch_size; --resume takes it."
        ):
            return predict(model, watched, preprocessing, self.accelerator, split, symmetries)

    def _memory_advice(self, what: str) -> tuple[str, str]:
        return what, (
            f"Raise accumulation above {self.split.accumulation}, use more processes, lower batch_size, train_size or "
            "image_size, or compute in bf16."
        )

    def _finish(self) -> TrainingResult:
        """Measure the kept model, read back from its folder, so that the figures are those of the files."""
        result = self._score()
        self.agreement.from_main(lambda: self._write_results(result))
        self.accelerator.end_training()
        self.say(result.report())
        return result

    def _score(self) -> TrainingResult:
        config = self.config
        saved = load_model(self.folder.model)
        model = self._place(saved.model)
        splits = {
            name: self._predict(name, model, saved.preprocessing, config.eval_symmetries)
            for name in self.inputs.evaluation
        }
        validation, test = splits["validation"], splits.get("test")
        thresholds = tune_thresholds(validation) if config.tune_thresholds and self.task.label_outputs else None
        return TrainingResult(
            recipe=self.recipe,
            config=config,
            data=DataSummary(
                source=self.data.source,
                label_names=self.task.label_names,
                scene_names=self.task.scene_names,
                images=self.inputs.images,
            ),
            model=ModelSummary(
                name=config.model,
                architecture=timm_settings(model)["architecture"],
                parameters=sum(parameter.numel() for parameter in model.parameters()),
                weights=config.weights,
                image_size=saved.preprocessing.image_size,
            ),
            task=self.task.kind,
            history=tuple(self.history),
            scored_epoch=kept_epoch(self.history, config).epoch,
            scores=score(validation, test, self.task),
            tuned=None if thresholds is None else tuned_scores(validation, test, self.task, thresholds),
            eval_symmetries=config.eval_symmetries,
            labels=label_scores(test or validation, self.task, thresholds),
            run=self._summary(),
        )

    def _summary(self) -> RunSummary:
        return RunSummary(
            processes=self.split.processes,
            precision=self.accelerator.mixed_precision,
            device=str(self.accelerator.device),
            batch={
                "global": self.split.images,
                "per_process": self.split.images // self.split.processes,
                "accumulation": self.split.accumulation,
            },
            seconds=time.perf_counter() - self.started,
            resumed=self.resumed,
        )

    def _write_results(self, result: TrainingResult) -> None:
        if result.tuned is not None:
            store_thresholds(self.folder.model, result.tuned.thresholds)
        draw_curves(self.history, self.folder.curves, result.scored_epoch)
        # Last of all: this file tells that the run has ended.
        result.save(self.folder.results)


def _plain(values: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return values as JSON gives them back, so that they can be compared with stored ones."""
    return json.loads(json.dumps(values))
