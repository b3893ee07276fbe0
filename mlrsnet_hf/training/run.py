"""A whole training run from its settings: what can be told at once first, then the data, then the training."""

from mlrsnet_hf.errors import require_extra
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.load import load_data
from mlrsnet_hf.inputs.named_dataset import with_label_version
from mlrsnet_hf.inputs.task import ImageData
from mlrsnet_hf.runtime.logs import is_main_process
from mlrsnet_hf.runtime.signals import Interruption
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.results import TrainingResult


def train(
    config: TrainingConfig, data: ImageData | DataConfig | None = None, recipe: str | None = None
) -> TrainingResult:
    """Fine-tune a model on a dataset, and measure it; see `mlrsnet_hf.training.train.train`.

    Args:
        config: The settings, such as those of a recipe.
        data: The splits, or what to load; None is MLRSNet by its default protocol.
        recipe: Name of the recipe that the settings began with, for the results.

    Raises:
        MissingExtraError: The base install has no torch; the extra "train" is to be installed.
        MLRSNetError: A setting, the weights, the data or the output folder cannot be used.
        InterruptedRunError: SIGTERM, SIGINT or SIGUSR1 came; `exit_on_error` ends the program with code 75.
    """
    check_start(config)
    from mlrsnet_hf.training import train as training

    if isinstance(data, ImageData):
        return training.train(config, data, recipe)
    with Interruption():  # a cluster may ask to stop before training listens
        source = with_label_version(data or DataConfig())
        loaded = load_data(source)
    return training.train(config, loaded, recipe, source)


def check_start(config: TrainingConfig) -> None:
    """Refuse trackers, a model, weights or an output folder that cannot be used, before any image is looked at.

    Raises:
        MissingExtraError: See `train`.
        MLRSNetError: One of them.
    """
    require_extra("train")  # before the modules below import what a base install lacks
    from mlrsnet_hf.models.build import require_known_model, require_weights
    from mlrsnet_hf.training.monitor import require_trackers
    from mlrsnet_hf.training.run_folder import check_folder

    require_trackers(config.trackers)
    require_known_model(config.model)
    require_weights(config.weights)
    if is_main_process():  # another one may look when this one has begun to write
        check_folder(config)
