"""The images of one step, as they travel to the device."""

from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Batch:
    """Images with what is to be learnt from them; `model_input` makes the network's input of it."""

    rows: torch.Tensor
    """(N,) int64 positions in the split."""
    pixels: torch.Tensor
    """(N, S, S, 3) uint8."""
    targets: torch.Tensor
    """(N, L) float32, 0 or 1; L is 0 where labels are not learnt."""
    scenes: torch.Tensor | None = None
    """(N,) int64 scene ids, where scenes are learnt."""
    colour: torch.Tensor | None = None
    """(N, 3, 4) float32: how the colours (0 to 255) of each image change; see `colour_matrix`."""

    def to(self, device: torch.device | str) -> "Batch":
        """Return the batch on a device, without waiting for the copy from pinned memory."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """Return the batch in memory from which a GPU can copy by itself."""
        return self._each(torch.Tensor.pin_memory)

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Batch":
        return Batch(
            rows=change(self.rows),
            pixels=change(self.pixels),
            targets=change(self.targets),
            scenes=None if self.scenes is None else change(self.scenes),
            colour=None if self.colour is None else change(self.colour),
        )
