"""Which images a model was trained on, as its run tells; scores on these say nothing of others."""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypedDict

from datasets import Dataset

from mlrsnet_hf.configuration.json_file import Name, parse_json
from mlrsnet_hf.configuration.settings import CountOrZero
from mlrsnet_hf.dataset import DEFAULT_PROTOCOL
from mlrsnet_hf.dataset.splits.protocols import CUSTOM
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.hub_download import download_folder
from mlrsnet_hf.inputs.config import MLRSNET, DataConfig
from mlrsnet_hf.inputs.load import LabeledSplit
from mlrsnet_hf.inputs.named_dataset import load_rows
from mlrsnet_hf.models import HUB, PRETRAINED, RANDOM
from mlrsnet_hf.models.named_model import NamedModel
from mlrsnet_hf.models.onnx import RUN_KEY, OnnxNetwork
from mlrsnet_hf.training.results import RESULTS, DataSource, TrainingResult


class _Exported(TypedDict):
    """What an ONNX file keeps of the run behind it."""

    data: DataSource
    few_images: Mapping[Name, CountOrZero]
    """See `TunedScores.few`."""


def is_timms_own(model: str, weights: str = PRETRAINED) -> bool:
    """Tell whether a model is a timm name with weights of timm's own, which know nothing of MLRSNet."""
    return "/" not in model and not Path(model).expanduser().exists() and weights in (PRETRAINED, RANDOM)


def learned_among(
    name: str,
    model: NamedModel,
    split: LabeledSplit,
    rows: Dataset,
    data: DataConfig,
    load_train: Callable[[], LabeledSplit],
    allow_trained: bool,
) -> tuple[int | None, bool]:
    """Return how many of the images a model was trained on, None where nothing tells, and whether they chose its epoch.

    Args:
        name: The model, as it was named.
        model: What was loaded by that name.
        split: The split that is measured.
        rows: Those of its images that are.
        data: Names the dataset.
        load_train: Loads its train split.
        allow_trained: Whether such images are measured all the same, by --allow-trained.

    Raises:
        ConfigurationError: There are some, or the results of the run are damaged, and such images are not allowed.
    """
    published = published_name(name)
    run = data_in_export(model, allow_trained, "--allow-trained")
    if run is None and published is not None:
        run = data_of_published_run(published)
    elif run is None:
        run = data_of_run(name, allow_trained, "--allow-trained")
    if run is None:
        return None, False
    count, has_chosen, source = None, False, split.source
    if split.training_fingerprint is not None and run.get("fingerprint") == split.training_fingerprint:
        count = len(rows) if split.role == "train" else 0
        has_chosen = split.role == "validation"
    elif run["dataset"] == data.dataset == MLRSNET and bool(run.get("synthetic")) == source["synthetic"]:
        protocol, seed = protocol_of(run)
        if protocol != CUSTOM:
            learned = dataclasses.replace(
                data, protocol=protocol, split_seed=seed, split_file=None, bands=None, value_range=None
            )
            count = len(set(load_rows(learned, "train")["id"]) & set(rows["id"]))
    elif data.dataset != MLRSNET and split.training_fingerprint is None:  # several splits, or one of a name of its own
        with contextlib.suppress(MLRSNetError):  # they cannot be trained on
            train = load_train()
            if run.get("fingerprint") == train.training_fingerprint:
                count = len(set(train.rows["id"]) & set(rows["id"]))
                if not count and data.train_split in split.name.split("+"):  # rows that no id tells
                    count = min(len(train.rows), len(rows))
    if count and not allow_trained:
        raise ConfigurationError(
            f"{name} was trained on {count:,} of the {len(rows):,} images of split {split.name!r}, so that scores on "
            "them say nothing of others",
            "Give another --split or --split-seed, or --allow-trained.",
        )
    return count, has_chosen


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


def data_in_export(model: NamedModel, allow_trained: bool, option: str) -> DataSource | None:
    """Return what an ONNX file says of the data of the run that it was exported from; None where it says nothing.

    None of any other model too.

    Args:
        model: The exported model.
        allow_trained: See `data_of_run`.
        option: Likewise.

    Raises:
        ConfigurationError: It is damaged, and such images are not allowed.
    """
    if not isinstance(model.model, OnnxNetwork):
        return None
    try:
        told = _told_in_export(model.model)
        fault = "" if told is None else _fault(told["data"])
    except ConfigurationError as error:
        told, fault = None, error.found.removeprefix(f"{model.model.source}: ")
    if fault and not allow_trained:
        raise ConfigurationError(
            f"{model.model.source}: {fault}; it tells which images the model was trained on",
            f"Export it again, or give {option}.",
        )
    return None if told is None or fault else told["data"]


def facts_for_export(model: str) -> dict[str, Any] | None:
    """Return what an exported model keeps of the run behind it, as JSON; None where nothing tells of it."""
    result = _results_behind(model)
    if result is None:
        return None
    known = DataSource.__annotations__
    data = {name: value for name, value in result.data.source.items() if name in known}
    return {"data": data, "few_images": {} if result.tuned is None else dict(result.tuned.few)}


def few_that_chose(name: str, model: NamedModel) -> Mapping[str, int]:
    """Return the labels whose thresholds few images have chosen, and how many; none where nothing tells.

    Args:
        name: The model, as it was named.
        model: What was loaded by that name.
    """
    with contextlib.suppress(MLRSNetError):
        if isinstance(model.model, OnnxNetwork) and (told := _told_in_export(model.model)) is not None:
            return told["few_images"]
        result = _results_behind(name)
        if result is not None and result.tuned is not None:
            return result.tuned.few
    return {}


def _told_in_export(network: OnnxNetwork) -> _Exported | None:
    """Return what an ONNX file says of its run; None of a file of earlier versions, or of a model without a run.

    Raises:
        ConfigurationError: It is damaged.
    """
    text = network.metadata.get(RUN_KEY)
    if text is None:
        return None
    told: _Exported = parse_json(text, _Exported, f"{network.source}: {RUN_KEY}", "Export it again.")
    return told


def _results_behind(model: str) -> TrainingResult | None:
    """Return the results that lie with a model, or in its repository on the Hub; None where there are none, or others.

    Others have files of this name too.
    """
    published = published_name(model)
    try:
        file = _results_file(Path(model).expanduser()) if published is None else _published_results(published)
        return TrainingResult.load(file) if file is not None and file.is_file() else None
    except MLRSNetError:
        return None


def data_of_published_run(name: str) -> DataSource | None:
    """Return what the run behind a model of the Hub says of its data; None where nothing tells.

    Args:
        name: USER/NAME; it may end in `@` and a revision.

    Raises:
        ConfigurationError: The repository cannot be fetched.
    """
    file = _published_results(name)
    return _read_source(file)[0] if file.is_file() else None  # others have files of this name too


def _published_results(name: str) -> Path:
    repository, _, revision = name.partition("@")
    return download_folder(repository, "model", [RESULTS], revision or None) / RESULTS


def _read_source(file: Path) -> tuple[DataSource | None, str]:
    """Return what results say of the data, and what is wrong with them; "" if nothing is."""
    try:
        data = TrainingResult.load(file).data.source
    except MLRSNetError as error:
        return None, error.found
    fault = _fault(data)
    return (None, f"{file}: {fault}") if fault else (data, "")


def _fault(data: DataSource) -> str:
    """Say what is missing of what a run tells of its data; "" if nothing is."""
    if "dataset" not in data:
        return "not whole: the dataset is missing"
    if data["dataset"] == MLRSNET and data.get("split_seed") is None:
        return "not whole: split_seed is missing"
    return ""


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
