"""Whole configurations by name; a variant derives from another and says why it differs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from mlrsnet_hf.training.config import RANDOM, TrainingConfig


def finetune(**changes: Any) -> TrainingConfig:  # noqa: ANN401 - any field of the configuration
    """Fine-tune a pretrained backbone on a small or middling set: the defaults of `TrainingConfig`."""
    return TrainingConfig(**changes)


def demo(output_dir: Path, seed: int = 0) -> TrainingConfig:
    """Learn the synthetic demo set from random weights within two minutes on two cores."""
    return replace(
        finetune(output_dir=output_dir, seed=seed, overwrite=True),
        model="test_resnet",
        weights=RANDOM,
        image_size=64,
        epochs=36,
        batch_size=32,
        learning_rate=8e-3,
        head_rate=1.0,
    )
