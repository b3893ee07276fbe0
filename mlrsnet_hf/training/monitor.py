"""What is told of a run on its way: loss, rate and speed, on a bar and to Accelerate's trackers."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import accelerate
import torch
from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import LoggerType

from mlrsnet_hf.errors import ConfigurationError, DivergedError
from mlrsnet_hf.runtime.logs import progress_bar
from mlrsnet_hf.training.checkpoints import Progress, RunRecord

_PACKAGES = {"comet_ml": "comet-ml", "trackio": "'mlrsnet-hf[trackio]'"}
"""Where a tracker's package has another name, or needs older versions of what is here."""
_LISTED = 256
"""Ids of images in one line."""


class Monitor:
    """Collects the losses of the steps and reads them together, because each reading waits for the device.

    Args:
        accelerator: Knows the processes and the trackers.
        progress: Of the run; the losses are counted there.
        steps: Optimizer steps of the whole run.
        batch_size: Images of a step.
        name_images: Returns the ids of the images of a step of the run, counted from 0, for errors.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        progress: Progress,
        steps: int,
        batch_size: int,
        name_images: Callable[[int], Sequence[str]],
    ) -> None:
        self.accelerator = accelerator
        self.progress = progress
        self.batch_size = batch_size
        self.name_images = name_images
        self.bar = progress_bar(total=steps, initial=progress.step, unit="step", shown=accelerator.is_main_process)
        self._unread: list[torch.Tensor] = []

    def start_trackers(self, run: RunRecord, folder: Path, resumed: bool) -> None:
        """Start the accelerator's trackers, or let them go on.

        Args:
            run: Its settings are stored there when it begins.
            folder: Of the run.
            resumed: Whether it goes on; TensorBoard then hides what was written for later steps.
        """
        step = self.progress.step
        options = {
            "tensorboard": {"purge_step": step + 1} if step else {},
            "wandb": {"dir": str(folder), "name": folder.name, "id": run.run_id, "resume": "allow"},
            "trackio": {"name": f"{folder.name}-{run.run_id}", "resume": "allow"},
        }
        settings = None if resumed else tracked_settings(run.settings)
        with explain_trackers():
            self.accelerator.init_trackers("mlrsnet-hf", settings, options)

    def log(self, values: Mapping[str, float]) -> None:
        """Give values of the step that was taken last to the trackers."""
        with explain_trackers():
            self.accelerator.log(dict(values), step=self.progress.step)

    def begin_epoch(self, title: str) -> None:
        """Name the epoch, and measure the speed of training alone from here."""
        self.bar.set_description(title)
        self._shown = self.progress.step, time.perf_counter()

    def add(self, loss: torch.Tensor) -> None:
        """Count a step, and take this process's loss of it, a scalar that is not yet read."""
        self._unread.append(loss)
        self.progress.step += 1
        self.bar.update()

    def read_loss(self) -> float:
        """Return the mean of the epoch's losses so far; all processes read together.

        The sum grows step by step in float64, so that it does not depend on when it is read.

        Raises:
            DivergedError: A loss is infinite or not a number; on all processes alike.
        """
        progress = self.progress
        if self._unread:
            gathered = self.accelerator.gather(torch.stack(self._unread).float())
            losses = gathered.view(self.accelerator.num_processes, -1).cpu().double().mean(dim=0).tolist()
            for step, loss in enumerate(losses, progress.step - len(losses)):
                if not math.isfinite(loss):
                    raise self._loss_error(loss, step)
                progress.loss_total += loss
                progress.loss_count += 1
            self._unread.clear()
        return progress.loss_total / max(1, progress.loss_count)

    def _loss_error(self, loss: float, step: int) -> DivergedError:
        ids = self.name_images(step)
        more = f" and {len(ids) - _LISTED} more" if len(ids) > _LISTED else ""
        return DivergedError(
            f"the loss is {loss} at step {step + 1}, of the images {', '.join(ids[:_LISTED])}{more}",
            "Lower learning_rate, set clip_norm, or look at these images and at the weights.",
        )

    def show(self, learning_rate: float) -> None:
        """Read the losses, and show them with rate and speed on the bar and to the trackers."""
        loss, now, step = self.read_loss(), time.perf_counter(), self.progress.step
        speed = (step - self._shown[0]) * self.batch_size / max(now - self._shown[1], 1e-9)
        self._shown = step, now
        self.bar.set_postfix_str(f"loss {loss:.4f}, rate {learning_rate:.2e}, {speed:.0f} images/s")
        values = {"train/loss": loss, "train/learning_rate": learning_rate, "train/images_per_second": speed}
        self.log(values)


@contextmanager
def explain_trackers() -> Iterator[None]:
    """Turn what the system says to a tracker, as where the disk is full, into one sentence.

    Raises:
        ConfigurationError: In place of the system's error.
    """
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"the trackers cannot write ({error.strerror or error})",
            "Free space on the disk, then give the same command with --resume.",
        ) from error


def require_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that are not installed; Accelerate would leave them out without a word.

    Args:
        names: Accelerate's names, such as `tensorboard`, `trackio`, `wandb` and `mlflow`.

    Raises:
        ConfigurationError: A tracker is not installed, or not known to the Accelerate that is.
    """
    known = {str(tracker) for tracker in LoggerType}
    available = {str(tracker) for tracker in get_available_trackers()}
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f"Accelerate {accelerate.__version__} does not know tracker {name}",
                "Run: pip install -U accelerate, or leave it out of trackers.",
            )
        if name not in available:
            raise ConfigurationError(
                f"tracker {name} is not installed",
                f"Run: pip install {_PACKAGES.get(name, name)}, or leave it out of trackers.",
            )


def tracked_settings(settings: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """Return settings as the values that every tracker takes; TensorBoard knows neither lists nor None.

    Examples:
        >>> tracked_settings({"epochs": 3, "precision": None, "trackers": ["tensorboard", "trackio"]})
        {'epochs': 3, 'precision': 'none', 'trackers': 'tensorboard, trackio'}
    """
    return {name: _tracked(value) for name, value in settings.items()}


def _tracked(value: Any) -> str | int | float | bool:  # noqa: ANN401 - any setting
    if isinstance(value, list | tuple):
        return ", ".join(value)
    return "none" if value is None else value
