"""Which of the images of a protocol a model has been trained on: the paper's pool holds none."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.dataset.protocols import DEFAULT_PROTOCOL
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval.image_split import load_images
from mlrsnet_hf.retrieval.protocol_settings import RetrievalConfig
from mlrsnet_hf.retrieval.settings import ImageSet
from mlrsnet_hf.training.config import PRETRAINED, RANDOM
from mlrsnet_hf.training.data_config import MLRSNET


@dataclass(frozen=True, slots=True)
class TrainedImages:
    """What is known of a model's training images."""

    shared: int
    """How many of them query or are searched."""


def trained_images(model: str, config: RetrievalConfig, pool: ImageSet, seed: int) -> TrainedImages | None:
    """Return which images of a pool a run was trained on; None where nothing tells.

    The pool of a retrieval protocol is what `ratio40` of the same seed does not train on, so that runs of `ratio20`,
    `ratio30` and `ratio40` of that seed have seen nothing of it but, as in the paper, the images that chose the epoch.

    Args:
        model: Folder of a run, whose results tell; or a timm name, whose own weights know nothing of MLRSNet.
        config: Says whether such images are allowed.
        pool: Queries and database.
        seed: The split seed of the pool.

    Raises:
        ConfigurationError: There are some, and they are not allowed.
    """
    if "/" not in model and not Path(model).expanduser().is_dir() and config.weights in (PRETRAINED, RANDOM):
        return TrainedImages(0)
    try:
        data = json.loads((Path(model).expanduser() / "results.json").read_text(encoding="utf-8"))["data"]
        dataset, trained_seed = data["dataset"], int(data["split_seed"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if dataset != MLRSNET or config.dataset != MLRSNET:
        return None
    protocol = data.get("protocol") or DEFAULT_PROTOCOL
    shared = 0
    if not (protocol.startswith("ratio") and trained_seed == seed):
        training = dataclasses.replace(pool, protocol=protocol, split="train", split_seed=trained_seed)
        shared = len(set(load_images(training).rows["id"]) & set(load_images(pool).rows["id"]))
    if shared and not config.allow_trained_images:
        raise ConfigurationError(
            f"{model} was trained on {shared:,} of the images that query or are searched (it learnt from {protocol} of "
            f"split seed {trained_seed}, the images are of split seed {seed})",
            f"Give a run of split seed {seed}, one --model for each split seed, or --allow-trained-images.",
        )
    return TrainedImages(shared)
