"""All that training changes, and that a run must have back to go on: tensors of model, average, optimiser, scaler."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from timm.utils import ModelEmaV3
from torch import nn

MODEL_FILE = "model.safetensors"
AVERAGE_FILE = "average.safetensors"
OPTIMISER_FILE = "optimiser.pt"


@dataclass(frozen=True, slots=True)
class RunState:
    """The parts of a run that hold state; on all processes the same, but for rank 0's batch statistics."""

    model: nn.Module
    """Not wrapped."""
    average: ModelEmaV3 | None
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    scaler: Any
    """fp16's, or None."""

    @property
    def scored(self) -> nn.Module:
        """The network that is evaluated and saved: the moving average where there is one."""
        return self.model if self.average is None else self.average.module

    def write(self, folder: Path) -> None:
        """Write the state into a folder; waits for the device.

        Raises:
            OSError, RuntimeError, SafetensorError: A file cannot be written.
        """
        save_file(_tensors(self.model), folder / MODEL_FILE)
        if self.average is not None:
            save_file(_tensors(self.average.module), folder / AVERAGE_FILE)
        rest = {
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
        }
        torch.save(rest, folder / OPTIMISER_FILE)

    def read(self, folder: Path) -> None:
        """Take the state back from a folder that `write` filled for the same model and settings."""
        self.model.load_state_dict(load_file(folder / MODEL_FILE))
        if self.average is not None:
            self.average.module.load_state_dict(load_file(folder / AVERAGE_FILE))
        rest = torch.load(folder / OPTIMISER_FILE, map_location="cpu", weights_only=True)
        self.optimiser.load_state_dict(rest["optimiser"])
        self.schedule.load_state_dict(rest["schedule"])
        if self.scaler is not None:
            self.scaler.load_state_dict(rest["scaler"])


def _tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
