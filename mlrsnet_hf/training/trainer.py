"""The training run, from top to bottom: data, model, optimiser, loop, evaluation."""

import time
from collections.abc import Callable

import torch
from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration, broadcast, set_seed
from datasets import Dataset, DatasetDict
from torch.nn.functional import binary_cross_entropy_with_logits
from tqdm.auto import tqdm

from mlrsnet_hf.cores import available_cores
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.metrics import METRICS
from mlrsnet_hf.training.augmentation import Augmentation, StoredTransform
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.evaluators import Predictions, evaluate, evaluation_loader, label_precisions, predict
from mlrsnet_hf.training.inputs import ShuffledBatches, SplitImages, make_loader, read_batches
from mlrsnet_hf.training.models import build_model
from mlrsnet_hf.training.optimisation import make_optimiser, make_schedule
from mlrsnet_hf.training.preprocessing import model_input, model_preprocessing
from mlrsnet_hf.training.results import Epoch, TrainingResult
from mlrsnet_hf.training.run_folder import RunFolder
from mlrsnet_hf.training.running_loss import RunningLoss
from mlrsnet_hf.training.saved_model import load_model, save_model
from mlrsnet_hf.training.task import Task

SPLITS = ("train", "validation", "test")


def train(config: TrainingConfig, data: DatasetDict) -> TrainingResult:
    """Fine-tune a model, keep the best epoch by validation, and measure it once on the test split.

    The run folder then holds `model/`, `results.json` and TensorBoard's logs.

    Args:
        config: The settings.
        data: Splits `train`, `validation` and `test` with an `image` column and a `labels` column of label lists.

    Returns:
        What results.json holds.

    Raises:
        MLRSNetError: A setting, the weights, an image or the output folder cannot be used.
    """
    return Trainer(config, data).run()


class Trainer:
    """One run. The constructor sets the stage and refuses what cannot work; `run` does the rest."""

    def __init__(self, config: TrainingConfig, data: DatasetDict) -> None:
        self.config = config
        self.folder = RunFolder(config.output_dir)
        self.folder.check(config.overwrite)
        _refuse_other_splits(data)
        folders = ProjectConfiguration(project_dir=str(self.folder.root), logging_dir=str(self.folder.root))
        self.accelerator = Accelerator(log_with="tensorboard", project_config=folders)
        self._refuse_accumulation()
        self.say: Callable[[str], None] = self.accelerator.print
        self._set_up_process()
        self._set_up_model(data)
        self._set_up_data(data)
        self._set_up_optimiser()

    def _refuse_accumulation(self) -> None:
        if self.accelerator.gradient_accumulation_steps != 1:
            raise ConfigurationError(
                f"gradient_accumulation_steps={self.accelerator.gradient_accumulation_steps} is not supported",
                "Leave it at 1; batch_size counts the images of one optimiser step.",
            )

    def _set_up_process(self) -> None:
        set_seed(self.config.seed)
        if self.accelerator.device.type == "cpu":
            # `accelerate launch` leaves a process on the CPU a single thread, whatever the number of cores.
            share = max(1, available_cores() // self.accelerator.num_processes)
            torch.set_num_threads(self.config.cpu_threads or share)

    def _set_up_model(self, data: DatasetDict) -> None:
        self.label_names = tuple(data["train"].features["labels"].feature.names)
        config = self.config
        model = build_model(config.model, len(self.label_names), config.weights, config.image_size, say=self.say)
        self.preprocessing = model_preprocessing(model, config.image_size, config.crop_pct)
        self.model = model.to(memory_format=torch.channels_last)

    def _set_up_data(self, data: DatasetDict) -> None:
        config, accelerator = self.config, self.accelerator
        self.images = {name: len(data[name]) for name in SPLITS}

        side = config.train_size or self.preprocessing.image_size
        augment = Augmentation(side, config.crop_scale, config.crop_ratio, config.symmetries, config.jitter)
        self.task = Task(kind="labels", label_names=self.label_names)
        training = SplitImages(data["train"], self.task, StoredTransform(side), augment, config.seed)
        validation = self._evaluation_images(data["validation"])
        for images in (training, validation):
            images.cache(
                config.cache, config.cache_megabytes, self.folder.root / "decoded", accelerator.is_main_process
            )
        self.batches = ShuffledBatches(
            len(training), config.batch_size, config.seed, accelerator.process_index, accelerator.num_processes
        )
        self.training_loader = make_loader(training, self.batches, config.num_workers)
        self.validation_loader = evaluation_loader(validation, config.eval_batch_size, config.num_workers, accelerator)
        # Read once, at the end: nothing to gain from a cache.
        self.test_loader = evaluation_loader(
            self._evaluation_images(data["test"]), config.eval_batch_size, config.num_workers, accelerator
        )

    def _evaluation_images(self, split: Dataset) -> SplitImages:
        return SplitImages(split, self.task, self.preprocessing.evaluation_transform())

    def _set_up_optimiser(self) -> None:
        self.steps = len(self.batches) * self.config.epochs
        optimiser = make_optimiser(self.model, self.config)
        self.schedule = make_schedule(optimiser, self.steps, self.config.warmup)
        self.model, self.optimiser = self.accelerator.prepare(self.model, optimiser)

    def run(self) -> TrainingResult:
        """Train, evaluate and write."""
        started = time.perf_counter()
        self._open_folder()
        history: list[Epoch] = []
        best: Epoch | None = None
        with tqdm(total=self.steps, unit="step", disable=not self.accelerator.is_main_process) as bar:
            for number in range(1, self.config.epochs + 1):
                history.append(self._run_epoch(number, bar))
                if best is None or self._is_better(history[-1], best):
                    best = history[-1]
                    self._save_model()
        assert best is not None, "a run has at least one epoch"
        result = self._test(history, best, started)
        if self.accelerator.is_main_process:
            result.save(self.folder.results)
        self.accelerator.end_training()
        self.say(result.report())
        return result

    def _open_folder(self) -> None:
        """Make the folder only now that every input has been found good."""
        if self.accelerator.is_main_process:
            self.folder.create()
        self.accelerator.wait_for_everyone()
        self.accelerator.init_trackers(self.folder.logs.name, self.config.to_dict())

    def _run_epoch(self, number: int, bar: tqdm) -> Epoch:
        """Train for one epoch and evaluate on the validation split."""
        started = time.perf_counter()
        bar.set_description(f"epoch {number}/{self.config.epochs}")
        loss = self._train_epoch(number, bar)
        validation = dict(evaluate(self._validate()))
        epoch = Epoch(epoch=number, loss=loss, validation=validation, seconds=time.perf_counter() - started)
        shown = ", ".join(
            f"{METRICS[name].title} {value:.4f}" for name, value in validation.items() if METRICS[name].headline
        )
        if self.accelerator.is_main_process:
            bar.write(f"epoch {number}: loss {loss:.4f}, validation {shown}")
        self.accelerator.log({f"validation/{name}": value for name, value in validation.items()}, step=bar.n)
        return epoch

    def _train_epoch(self, number: int, bar: tqdm) -> float:
        """Take one optimiser step per batch; return the mean loss over all processes."""
        self.model.train()
        self.batches.epoch = number
        running = RunningLoss(first_step=(number - 1) * len(self.batches) + 1)
        for count, host_batch in enumerate(read_batches(self.training_loader), start=1):
            batch = host_batch.to(self.accelerator.device)
            logits = self.model(model_input(batch, self.preprocessing))
            loss = binary_cross_entropy_with_logits(logits, batch.targets)
            self.accelerator.backward(loss)
            self.optimiser.step()
            self.schedule.step()
            self.optimiser.zero_grad()
            running.add(loss)
            bar.update()
            if count % self.config.log_every == 0:
                self._show(running.mean(), bar)
        mean = torch.tensor(running.mean(), device=self.accelerator.device)
        return self.accelerator.gather(mean).mean().item()

    def _show(self, loss: float, bar: tqdm) -> None:
        bar.set_postfix(loss=f"{loss:.4f}")
        rate = self.schedule.get_last_lr()[0]
        self.accelerator.log({"train/loss": loss, "train/learning_rate": rate}, step=bar.n)

    def _validate(self) -> Predictions:
        model = self.accelerator.unwrap_model(self.model)
        if self.accelerator.num_processes > 1:
            # Each process has its own batch statistics; all must evaluate with those that are saved.
            for buffer in model.buffers():
                buffer.copy_(broadcast(buffer))
        return predict(model, self.validation_loader, self.preprocessing, self.accelerator, "validation")

    def _is_better(self, epoch: Epoch, best: Epoch) -> bool:
        name = self.config.best_metric
        gain = epoch.validation[name] - best.validation[name]
        return gain > 0 if METRICS[name].higher_is_better else gain < 0

    def _save_model(self) -> None:
        if self.accelerator.is_main_process:
            model = self.accelerator.unwrap_model(self.model)
            save_model(model, self.folder.model, self.preprocessing, self.label_names)
        self.accelerator.wait_for_everyone()

    def _test(self, history: list[Epoch], best: Epoch, started: float) -> TrainingResult:
        """Measure the saved model, read back from its folder, so that the figures are those of the files."""
        saved = load_model(self.folder.model)
        model = saved.model.to(self.accelerator.device).to(memory_format=torch.channels_last)
        predictions = predict(model, self.test_loader, saved.preprocessing, self.accelerator, "test")
        return TrainingResult(
            config=self.config,
            history=tuple(history),
            best_epoch=best.epoch,
            test=dict(evaluate(predictions)),
            test_average_precision=label_precisions(predictions, self.label_names),
            images=self.images,
            processes=self.accelerator.num_processes,
            precision=self.accelerator.mixed_precision,
            seconds=time.perf_counter() - started,
        )


def _refuse_other_splits(data: DatasetDict) -> None:
    for name in SPLITS:
        if name not in data:
            raise ConfigurationError(
                f"there is no {name} split, only {', '.join(data)}",
                "Load a classification protocol, such as ratio20.",
            )
        if not len(data[name]):
            raise ConfigurationError(f"the {name} split holds no image", "Give images to each split.")
