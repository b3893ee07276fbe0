"""Which images a model was trained on, as its run tells; scores on these say nothing of others."""

from pathlib import Path

from mlrsnet_hf.dataset import DEFAULT_PROTOCOL
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.hub_download import download_folder
from mlrsnet_hf.inputs.config import MLRSNET
from mlrsnet_hf.models import HUB, PRETRAINED, RANDOM
from mlrsnet_hf.training.results import RESULTS, DataSource, TrainingResult


def is_timms_own(model: str, weights: str = PRETRAINED) -> bool:
    """Tell whether a model is a timm name with weights of timm's own, which know nothing of MLRSNet."""
    return "/" not in model and not Path(model).expanduser().exists() and weights in (PRETRAINED, RANDOM)


def data_of_run(model: str, allow_trained: bool, option: str) -> DataSource | None:
    """Return what a run says of its data; None where nothing tells.

    Args:
        model: Folder of a run or of its saved model, or a model's file; the results lie there or beside it.
        allow_trained: Whether a model that was trained on the images is wanted all the same.
        option: The option that says so, for errors.

    Raises:
        ConfigurationError: The results are damaged, and such images are not allowed.
    """
    file = _results_file(Path(model).expanduser())
    if file is None:
        return None
    data, fault = _read_source(file)
    if fault and not allow_trained:
        raise ConfigurationError(
            f"{fault}; it tells which images the model was trained on",
            f"Put it back as the run wrote it, or give {option}.",
        )
    return data


def data_of_published_run(name: str) -> DataSource | None:
    """Return what the run behind a model of the Hub says of its data; None where nothing tells.

    Args:
        name: USER/NAME; it may end in `@` and a revision.

    Raises:
        ConfigurationError: The repository cannot be fetched.
    """
    repository, _, revision = name.partition("@")
    file = download_folder(repository, "model", [RESULTS], revision or None) / RESULTS
    return _read_source(file)[0] if file.is_file() else None  # others have files of this name too


def _read_source(file: Path) -> tuple[DataSource | None, str]:
    """Return what results say of the data, and what is wrong with them; "" if nothing is."""
    try:
        data = TrainingResult.load(file).data.source
    except MLRSNetError as error:
        return None, error.found
    if "dataset" not in data:
        return None, f"{file}: not whole: the dataset is missing"
    if data["dataset"] == MLRSNET and data.get("split_seed") is None:
        return None, f"{file}: not whole: split_seed is missing"
    return data, ""


def protocol_of(data: DataSource) -> tuple[str, int]:
    """Return protocol and split seed of a run on MLRSNet, which `data_of_run` has checked."""
    seed = data["split_seed"]
    assert seed is not None, "`data_of_run` refuses it"
    return data.get("protocol") or DEFAULT_PROTOCOL, seed


def _results_file(folder: Path) -> Path | None:
    folder = folder.resolve()
    if folder.is_file():  # an exported model
        folder = folder.parent
    runs = (folder, folder.parent) if folder.name == "model" else (folder,)
    return next((run / RESULTS for run in runs if (run / RESULTS).exists()), None)


def published_name(model: str) -> str | None:
    """Return the repository of the Hub that a model's name stands for; None for a folder or a name of timm's."""
    if Path(model).expanduser().exists() or ("/" not in model and not model.startswith(HUB)):
        return None
    return model.removeprefix(HUB)
