"""The splits that a run is measured on, with all that may stop it in between."""

import math
from typing import cast

from accelerate.utils import broadcast
from torch import nn

from mlrsnet_hf.training.agreement import WatchedLoader
from mlrsnet_hf.training.device import explain_memory
from mlrsnet_hf.training.evaluators import Predictions, predict
from mlrsnet_hf.training.inputs import Loader
from mlrsnet_hf.training.preprocessing import Preprocessing
from mlrsnet_hf.training.run_parts import RunParts
from mlrsnet_hf.training.watch import Watch


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
    # It does all that `predict` asks of a loader.
    watched = cast(Loader, WatchedLoader(parts.inputs.evaluation[split], math.ceil(share / size), watch.look))
    with explain_memory(f"evaluation of {size} images at once", "Lower eval_batch_size; --resume takes it."):
        return predict(model, watched, preprocessing, parts.accelerator, split, symmetries)


def share_batch_statistics(model: nn.Module, processes: int) -> None:
    """Give every process the batch statistics of process 0, which are those that are saved."""
    if processes > 1:
        for buffer in model.buffers():
            buffer.copy_(broadcast(buffer))
