"""A trained model as an object: pictures in, labels and scores out."""

import contextlib
import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.evaluation.predict import mean_logits
from mlrsnet_hf.inputs.pixels.decoding import Pixels
from mlrsnet_hf.inputs.pixels.pictures import Picture, picture_pixels
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.metrics.registry import PAPER_THRESHOLD
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.models.named_model import NamedModel, load_named_model
from mlrsnet_hf.models.preprocessing import normalize_pixels
from mlrsnet_hf.parallel import available_cores
from mlrsnet_hf.runtime import Precision
from mlrsnet_hf.runtime.device import explain_memory

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one picture."""

    labels: tuple[str, ...]
    """Labels that score above their thresholds, the highest score first."""
    scores: Mapping[str, float]
    """Sigmoid score of every label; empty for a model of scenes alone."""
    scene: str | None = None
    """Scene of the highest score; None for a model that learned no scenes."""
    scene_scores: Mapping[str, float] | None = None
    """Softmax score of every scene."""


class Classifier:
    """A trained model that labels pictures.

    Args:
        model: The network and what its outputs stand for.
        device: Where it computes; by default a GPU, if there is one.
        thresholds: Score above which a picture has a label: one for all, or by label; by default the model's own, which
            a run tunes on its validation split, and 0.5 for a label without.
        symmetries: Turned and mirrored views whose logits are averaged: 1, 2, 4 or 8.
        batch_size: Pictures that go through the network at once.
        precision: `bf16` or `fp16` for mixed precision, which is faster on most GPUs; `no` computes in float32.

    Raises:
        ConfigurationError: Nothing tells what the outputs stand for, or a number cannot be used.
        UnknownNameError: A threshold is of no label of the model.
    """

    def __init__(
        self,
        model: NamedModel,
        *,
        device: str | torch.device | None = None,
        thresholds: float | Mapping[str, float] | None = None,
        symmetries: int = 1,
        batch_size: int = 32,
        precision: Precision = "no",
    ) -> None:
        if symmetries not in (1, 2, 4, 8):
            raise ConfigurationError(f"symmetries={symmetries!r} is none of 1, 2, 4, 8", "Give one of these.")
        if batch_size < 1:
            raise ConfigurationError(f"batch_size={batch_size!r} is no number of pictures", "Give at least 1.")
        if precision not in ("no", "bf16", "fp16"):
            raise ConfigurationError(f"precision={precision!r} is none of no, bf16, fp16", "Give one of these.")
        self.model = model
        self.task = require_task(model)
        self.device = _usable_device(device)
        self.network = model.model.to(self.device).to(memory_format=torch.channels_last).eval()
        self.preprocessing = model.preprocessing
        self.thresholds = label_thresholds(self.task, model.thresholds if thresholds is None else thresholds)
        self.symmetries = symmetries
        self.batch_size = batch_size
        self.precision = precision
        self.notes: tuple[str, ...] = ()
        """What is to be said with its labels, of the thresholds."""

    @classmethod
    def from_pretrained(cls, name: str | Path, **options: Any) -> "Classifier":  # noqa: ANN401 - those of the class
        """Load the model of a run or of a saved folder, or a repository of the Hub.

        Args:
            name: `runs/train`, `runs/train/model`, `USER/NAME` or `hf-hub:USER/NAME`.
            **options: Of the class.

        Raises:
            WeightsError: There is no such model, or it cannot be fetched or read.
            ConfigurationError: It was not trained on labels or scenes, or an option cannot be used.

        Examples:
            ```python
            classifier = Classifier.from_pretrained("runs/train")
            prediction, = classifier.predict(["harbor.jpg"])
            print(prediction.labels)
            ```
        """
        return cls(load_named_model(ModelChoice(model=str(name))), **options)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Labels in the order of `scores`; empty for a model of scenes alone."""
        return self.task.label_names[: self.task.label_outputs]

    @property
    def scene_names(self) -> tuple[str, ...]:
        """Scenes that the model tells; empty for a model of labels alone."""
        return self.task.scene_names[: self.task.scene_outputs]

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that scores depend on but the pictures: weights, preprocessing, views, batches, precision."""
        told = (self.model.fingerprint, self.task, self.symmetries, self.batch_size, self.precision)
        return hashlib.sha256(repr(told).encode()).hexdigest()

    def predict(self, images: Picture | Iterable[Picture]) -> list[Prediction]:
        """Return what the model says of each picture, in their order.

        Raises:
            ImageError: A picture cannot be read, or has other channels than those that the model sees.
            ConfigurationError: A score is not finite.
            OutOfMemoryError: A batch does not fit the device.
        """
        return [prediction for logits in self._logits(images) for prediction in self._predictions(logits)]

    def scores(self, images: Picture | Iterable[Picture]) -> Scores:
        """Return the (N, L) float32 sigmoid scores of the labels, in the order of `label_names`.

        Raises:
            ImageError: As `predict`.
        """
        labels = self.task.label_outputs
        parts = [logits[:, :labels].sigmoid().numpy() for logits in self._logits(images)]
        return np.concatenate(parts) if parts else np.empty((0, labels), np.float32)

    def scene_scores(self, images: Picture | Iterable[Picture]) -> Scores:
        """Return the (N, number of scenes) float32 softmax scores, in the order of `scene_names`.

        Raises:
            ImageError: As `predict`.
        """
        labels = self.task.label_outputs
        parts = [logits[:, labels:].softmax(1).numpy() for logits in self._logits(images)]
        return np.concatenate(parts) if parts else np.empty((0, self.task.scene_outputs), np.float32)

    def _predictions(self, logits: torch.Tensor) -> Iterator[Prediction]:
        labels = self.task.label_outputs
        scores, scene_scores = logits[:, :labels].sigmoid().numpy(), logits[:, labels:].softmax(1).numpy()
        for row, scenes in zip(scores, scene_scores, strict=True):
            above = labels_above(row, self.thresholds)
            told = dict(zip(self.scene_names, scenes.tolist(), strict=True)) if self.scene_names else None
            yield Prediction(
                labels=tuple(self.label_names[label] for label in above),
                scores=dict(zip(self.label_names, row.tolist(), strict=True)),
                scene=self.scene_names[int(scenes.argmax())] if told else None,
                scene_scores=told,
            )

    def _logits(self, images: Picture | Iterable[Picture]) -> Iterator[torch.Tensor]:
        """Yield (B, outputs) float32 logits on the CPU; the next batch is decoded while the network computes."""
        named = enumerate(_many(images))
        transform, reading = self.preprocessing.evaluation_transform(), self.preprocessing.reading

        def decoded(one: tuple[int, Picture]) -> Pixels:
            row, picture = one
            pixels = picture_pixels(picture, _name(picture, row), reading)
            return transform(pixels)

        with ThreadPoolExecutor(min(16, available_cores())) as threads:

            def begin() -> list[Any]:
                return [threads.submit(decoded, one) for one in itertools.islice(named, self.batch_size)]

            batch = begin()
            while batch:
                pixels = torch.from_numpy(np.stack([one.result() for one in batch]))
                batch = begin()
                with explain_memory(f"a batch of {len(pixels)} pictures", "Lower batch_size."):
                    logits = self.logits(pixels)
                if not bool(logits.isfinite().all()):
                    raise ConfigurationError(
                        f"{self.model.name} gives scores that are NaN or infinite",
                        "Its weights may be damaged, or the precision too low.",
                    )
                yield logits

    def logits(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the (B, outputs) float32 logits, on the CPU, of (B, S, S, C) uint8 pixels: labels, then scenes."""
        return self.device_logits(pixels).cpu()

    def device_logits(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return what `logits` does, on the classifier's device, without waiting for it."""
        kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}
        kind = kinds.get(self.precision)
        autocast = contextlib.nullcontext() if kind is None else torch.autocast(self.device.type, kind)
        with torch.inference_mode(), autocast:
            normalized = normalize_pixels(pixels.to(self.device, non_blocking=True), self.preprocessing)
            return mean_logits(self.network, normalized, self.symmetries)


def labels_above(scores: npt.NDArray[Any], thresholds: npt.NDArray[np.float64]) -> list[int]:
    """Return the labels whose (L,) scores lie above their (L,) thresholds, the highest score first."""
    return [int(label) for label in np.argsort(-scores, kind="stable") if scores[label] > thresholds[label]]


def require_task(model: NamedModel) -> Task:
    """Return what a model's outputs stand for.

    Raises:
        ConfigurationError: Nobody trained it on labels.
    """
    if model.task is None:
        raise ConfigurationError(
            f"{model.name} names no labels: it was not trained on any",
            "Give a run, its saved model, or a repository of the Hub with label_names in its config.json.",
        )
    return model.task


def label_thresholds(task: Task, thresholds: float | Mapping[str, float] | None) -> npt.NDArray[np.float64]:
    """Return the (L,) threshold of each label; 0.5 where none is given.

    Raises:
        UnknownNameError: One is given for no label of the task.
        ConfigurationError: One number for all is given, and is no share.
    """
    names = task.label_names[: task.label_outputs]
    if thresholds is None or not isinstance(thresholds, Mapping):
        value = PAPER_THRESHOLD if thresholds is None else float(thresholds)
        if not 0 <= value <= 1:
            raise ConfigurationError(f"thresholds={value:g} is no score", "Give a number from 0 to 1.")
        return np.full(len(names), value, float)
    for name in thresholds:
        if name not in task.label_names:
            raise UnknownNameError(f"a threshold is given for {name!r}", name_alternatives(name, names))
    return np.array([thresholds.get(name, PAPER_THRESHOLD) for name in names], float)


def _usable_device(device: str | torch.device | None) -> torch.device:
    """Return a device that computes here; by default a GPU, if there is one."""
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=chosen).device
    except (RuntimeError, AssertionError) as error:  # a torch without CUDA asserts
        reason = str(error).splitlines()[0].rstrip(".")
        raise ConfigurationError(f"device={str(chosen)!r} cannot be used here: {reason}", "Give 'cpu'.") from error


def _many(images: Picture | Iterable[Picture]) -> Iterable[Picture]:
    """Return the pictures; one that is given alone is a list of one."""
    if isinstance(images, str | bytes | os.PathLike | Mapping | Image.Image):
        return [images]
    if isinstance(images, np.ndarray) and images.ndim < 4:
        return [images]
    return images


def _name(picture: Picture, row: int) -> str:
    if isinstance(picture, str | os.PathLike):
        return os.fspath(picture)
    path = picture.get("path") if isinstance(picture, Mapping) else None
    return str(path) if path else f"picture {row + 1}"
