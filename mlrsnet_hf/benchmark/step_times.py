"""How long a network takes on this device for a step of training and for an image of evaluation, measured.

On random pixels and random weights, so that neither data nor downloads are needed; reading images is not in it.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

import timm
import torch
from accelerate import Accelerator
from torch import nn

from mlrsnet_hf.configuration.json_file import Name, read_json
from mlrsnet_hf.configuration.settings import CountOrZero, PositiveOrZero
from mlrsnet_hf.files import whole_file
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models import FOLDER, HUB, RANDOM
from mlrsnet_hf.models.build import require_known_model, training_size
from mlrsnet_hf.models.preprocessing import model_preprocessing
from mlrsnet_hf.runtime.device import device_text, explain_memory, inference_accelerator
from mlrsnet_hf.training.components import make_model
from mlrsnet_hf.training.config import AUTO, TrainingConfig
from mlrsnet_hf.training.optimizer import make_optimizer

_OUTPUTS = tuple(f"label {number}" for number in range(60))
_MOST_ON_CPU = 2
"""Images of a timed batch on the processor, where time grows with their number; a whole batch may take a minute."""
_ROUNDS = {"cpu": (1, 2), "other": (3, 5)}
"""Steps before those that are timed, and those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """What a network takes."""

    step: PositiveOrZero
    """Seconds of an optimizer step."""
    image: PositiveOrZero
    """Seconds of an image that is evaluated."""
    parameters: CountOrZero
    dimension: CountOrZero
    """Length of an embedding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimes:
    """What each network of a grid takes on a device."""

    device: Name
    times: Mapping[Name, StepTime]
    """By network and recipe, as `time_key` joins them."""

    @classmethod
    def load(cls, path: Path) -> "StepTimes":
        """Read the times that `save` wrote, here or elsewhere.

        Raises:
            ConfigurationError: The file cannot be read, or is another.
        """
        times: StepTimes = read_json(path, cls, "Give a file that mlrsnet benchmark plan --step-times has written.")
        return times

    def save(self, path: Path) -> None:
        """Write the times as JSON.

        Raises:
            ConfigurationError: The file cannot be written.
        """
        with whole_file(path) as partial:
            partial.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def time_key(network: str, recipe: str) -> str:
    """Return under which name the times of a network stand."""
    return f"{network} ({recipe})"


def untimed(config: TrainingConfig) -> StepTime:
    """Return what is known of a network without a step: its size; zeros for one that takes a download to know.

    Raises:
        UnknownNameError: timm does not know the network.
    """
    require_known_model(config.model)
    if config.model.startswith((HUB, FOLDER)):
        return StepTime(step=0, image=0, parameters=0, dimension=0)
    with torch.device("meta"):
        network = timm.create_model(config.model, num_classes=len(_OUTPUTS))
    return _sized(network, 0, 0)


def _sized(network: nn.Module, step: float, image: float) -> StepTime:
    dimension = getattr(network, "head_hidden_size", None) or getattr(network, "num_features", 0)
    return StepTime(
        step=step,
        image=image,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        dimension=int(cast(int, dimension)),
    )


def measure_step(config: TrainingConfig, device: str | None = None) -> tuple[StepTime, str]:
    """Time a network on the device that training would take.

    Args:
        config: The settings of its run.
        device: Another device, such as "cpu"; None for that of Accelerate.

    Returns:
        The times, and the device in words.

    Raises:
        MLRSNetError: The network cannot be built, or does not fit the device.
    """
    accelerator = inference_accelerator(config.precision)
    place = accelerator.device if device is None else torch.device(device)
    rate = 1e-3 if config.learning_rate == AUTO else config.learning_rate
    config = replace(config, weights=RANDOM, learning_rate=rate)
    network = make_model(config, Task(kind="labels", label_names=_OUTPUTS))
    preprocessing = model_preprocessing(network, config.image_size, config.crop_pct)
    side = training_size(network, preprocessing.image_size, config.train_scale)
    network.to(place)
    if config.channels_last:
        network.to(memory_format=torch.channels_last)
    optimizer = make_optimizer(network, config)
    on_cpu = place.type == "cpu"
    images = min(config.batch_size, _MOST_ON_CPU) if on_cpu else -(-config.batch_size // config.accumulation)
    pixels = torch.randn(images, 3, side, side, device=place)
    targets = torch.zeros(images, len(_OUTPUTS), device=place)

    def step() -> None:
        with accelerator.autocast():
            loss = nn.functional.binary_cross_entropy_with_logits(network(pixels).float(), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    def look() -> None:
        with torch.inference_mode(), accelerator.autocast():
            network(shown)

    with explain_memory(f"a step of {config.model}, {images} images", "Raise accumulation, or lower batch_size."):
        network.train()
        seconds = _seconds(step, accelerator, on_cpu)
        network.eval()
        evaluated = images if on_cpu else config.eval_batch_size
        size = preprocessing.image_size
        shown = torch.randn(evaluated, 3, size, size, device=place)
        glance = _seconds(look, accelerator, on_cpu) / evaluated
    found = _sized(network, seconds * config.batch_size / images, glance)
    return found, device_text(accelerator)


def _seconds(act: Callable[[], None], accelerator: Accelerator, on_cpu: bool) -> float:
    """Return the least time of an act, as other programs only add to it, after some that are not counted."""
    before, counted = _ROUNDS["cpu" if on_cpu else "other"]
    found = []
    for _ in range(before + counted):
        begun = time.perf_counter()
        act()
        if not on_cpu and torch.cuda.is_available():
            torch.cuda.synchronize(accelerator.device)
        found.append(time.perf_counter() - begun)
    return min(found[before:])
