"""timm models with a classifier of a task's outputs, and the weights that they start from."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import timm
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from safetensors import SafetensorError
from torch import nn

from mlrsnet_hf.errors import ConfigurationError, MLRSNetError, UnknownNameError, WeightsError, name_alternatives
from mlrsnet_hf.models import FOLDER, HUB, PRETRAINED, RANDOM
from mlrsnet_hf.models.saved_config import CONFIG_FILE, WEIGHTS_FILE, check_saved
from mlrsnet_hf.models.timm_config import classifier_names, rebuild, timm_settings
from mlrsnet_hf.models.weights import (
    file_on_hub,
    find_weights_file,
    first_line,
    load_weights,
    require_weights_file,
)
from mlrsnet_hf.runtime.logs import get_logger

_SOURCES = (HUB, FOLDER)

logger = get_logger(__name__)


def require_known_model(name: str) -> None:
    """Raise `UnknownNameError` with near names unless timm has a model of this name, or it names a repository."""
    if name.startswith(_SOURCES):
        return
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        near = name_alternatives(architecture, timm.list_models())
        # timm's whole list fills several screens.
        remedy = near if near.startswith("Did you mean") else "See timm.list_models() for the names."
        raise UnknownNameError(f"timm {timm.__version__} knows no model {name!r}", remedy)
    tagged = timm.list_pretrained(f"{architecture}.*")
    if name != architecture and name not in tagged:
        raise UnknownNameError(f"timm {timm.__version__} knows no weights {name!r}", name_alternatives(name, tagged))


def require_weights(weights: str) -> None:
    """Raise `WeightsError` if weights that a path names are not there: no file, or a folder without a saved model."""
    if _saved_source(weights) is None and weights not in (PRETRAINED, RANDOM) and not weights.startswith(HUB):
        require_weights_file(Path(weights))


def build_model(
    name: str,
    outputs: int | Sequence[str],
    weights: str = PRETRAINED,
    image_size: int | None = None,
    varied: bool = False,
    channels: int = 3,
    head_init_scale: float = 1.0,
    **options: float,
) -> nn.Module:
    """Return a timm model that gives (N, outputs) logits.

    Args:
        name: A name that timm knows, with or without the tag of its weights, or `hf-hub:USER/NAME`.
        outputs: Their number, or their names: a classifier that was trained for other names is started anew.
        weights: `pretrained`, `random`, a weights file, one of the Hub by `hf-hub:USER/NAME/FILE`, the folder of a run
            or of a saved model, or `hf-hub:USER/NAME`.
        image_size: Fixes the input size of models that have one (most transformers).
        varied: Whether the model shall take other sizes too, if it can.
        channels: Of its input; timm fits weights of another number to it: it sums them for one channel, and repeats
            them otherwise, times the old number / the new.
        head_init_scale: Factor on weights and biases of a classifier that is started anew, as ConvNeXt has it.
        **options: Of `timm.create_model`, such as `drop_rate`.

    Raises:
        UnknownNameError: timm does not know the name.
        WeightsError: The weights cannot be had, or belong to another architecture.
        ConfigurationError: The model cannot take an image size or an option.
    """
    require_known_model(name)
    count = outputs if isinstance(outputs, int) else len(outputs)
    saved = _saved_source(weights)
    if channels != 3:
        options = {**options, "in_chans": channels}
    source, pretrained = saved or name, saved is not None or weights == PRETRAINED
    model = _create(source, pretrained, count, options)
    if saved:
        _require_architecture(model, name, weights)
    if channels != 3:
        _tell_channels(model, channels)
    found = timm_settings(model)["input_size"][0]
    if found != channels:
        raise ConfigurationError(
            f"{source} takes input of {found} channels, and {channels} are read of an image",
            "Give as many --bands, those that it was trained on.",
        )
    if pretrained:
        anew = _check_classifier(model, source, outputs)
    else:
        anew = weights == RANDOM or load_weights(model, find_weights_file(weights))
    if anew and head_init_scale != 1:
        _scale_classifier(model, head_init_scale)
    model = _with_input_size(model, source, image_size, varied, options)
    if image_size is not None and (fault := _fault_at(model, image_size, channels)):
        raise ConfigurationError(
            f"{timm_settings(model)['architecture']} cannot take images of {image_size} pixels ({fault})",
            "Choose another image_size.",
        )
    return model


def training_size(model: nn.Module, image_size: int, scale: float, channels: int = 3) -> int:
    """Return the side in pixels of the squares that training sees.

    Training on smaller squares than evaluation's takes less time, and objects look as large as in evaluation, since
    crops are enlarged (Touvron et al. 2019, "Fixing the train-test resolution discrepancy").

    Args:
        model: Is tried with one image; if it takes `image_size` alone, that is returned.
        image_size: Side in pixels of the square that evaluation sees.
        scale: Up to 1; of `image_size`, to the nearest 32 pixels, a multiple that nearly all networks take.
        channels: Of the model's input.
    """
    side = min(image_size, max(32, round(image_size * scale / 32) * 32)) if scale < 1 else image_size
    if side != image_size and (fault := _fault_at(model, side, channels)):
        name = timm_settings(model)["architecture"]
        logger.info("%s does not take images of %d pixels (%s): training sees %d too", name, side, fault, image_size)
        return image_size
    return side


def _saved_source(weights: str) -> str | None:
    """Return timm's name of a saved model, or None for weights of another kind."""
    if weights.startswith(_SOURCES):
        return None if weights.startswith(HUB) and file_on_hub(weights)[1] else weights
    if weights in (PRETRAINED, RANDOM) or not Path(weights).is_dir():
        return None
    for folder in (Path(weights) / "model", Path(weights)):
        if (folder / "config.json").is_file():
            return f"{FOLDER}{folder}"
    raise WeightsError(f"weights folder {weights} holds no saved model", "Give the folder of a finished run.")


def _create(name: str, pretrained: bool, outputs: int, options: Mapping[str, Any]) -> nn.Module:
    try:
        architecture, described = _checked_source(name)
        return timm.create_model(architecture, pretrained=pretrained, num_classes=outputs, **described, **options)
    except TypeError as error:
        for option in options:
            if f"'{option}'" in str(error) and option == "in_chans":
                raise ConfigurationError(
                    f"{name} takes three channels only", "Name three --bands, or choose another model."
                ) from error
            if f"'{option}'" in str(error):
                raise ConfigurationError(
                    f"{name} has no {option}", f"Give {option}=0, or choose another model."
                ) from error
        if name.startswith(_SOURCES):
            raise _unreadable(name, error) from error
        raise
    # Connection errors are OSErrors; timm raises RuntimeError for a model that has no weights.
    except (OSError, RuntimeError, SafetensorError, KeyError) as error:
        if not pretrained and not name.startswith(_SOURCES):
            raise
        raise _unreadable(name, error) from error
    except Exception as error:
        if isinstance(error, MLRSNetError) or not name.startswith(_SOURCES):
            raise
        raise _unreadable(name, error) from error  # what timm raises of a stranger's config.json


def _checked_source(name: str) -> tuple[str, dict[str, Any]]:
    """Return what `timm.create_model` takes for a name, and what it is to be told beside it: nothing, as a rule.

    transformers may save a model with null for its `model_args`, and such a config.json timm cannot read.
    """
    if not name.startswith(_SOURCES):
        return name, {}
    folder = _folder(name)
    info = check_saved(folder)
    settings = info.get("pretrained_cfg")
    if settings is None or info.get("model_args", {}) is not None:
        return name, {}
    told = {field: value for field, value in info.items() if field in ("num_classes", "label_names")}
    # The weights that were checked, whatever others the settings name.
    weights = {"source": "", "state_dict": None, "file": str(folder / WEIGHTS_FILE)}
    return info["architecture"], {"pretrained_cfg": {**settings, **told, **weights}}


def _unreadable(name: str, error: Exception) -> WeightsError:
    return WeightsError(
        f"the weights of {name!r} cannot be {'read' if name.startswith(FOLDER) else 'downloaded'}: {first_line(error)}",
        f"Pass a file as --weights, or --weights {RANDOM}.",
    )


def _folder(source: str) -> Path:
    """Return the folder of a saved model's config.json and weights; those of a repository are downloaded."""
    if source.startswith(FOLDER):
        return Path(source.removeprefix(FOLDER))
    repository, _, revision = source.removeprefix(HUB).partition("@")
    with contextlib.suppress(EntryNotFoundError):  # some repositories have weights in another form alone
        hf_hub_download(repository, WEIGHTS_FILE, revision=revision or None)
    return Path(hf_hub_download(repository, CONFIG_FILE, revision=revision or None)).parent


def _tell_channels(model: nn.Module, channels: int) -> None:
    """Write into what timm knows of the model that its input has other channels than its weights had.

    Channels take the mean and standard deviation of those that timm made their weights of, in turn; a single one, which
    it made of all by a sum, takes their means.
    """
    known = timm_settings(model)
    fitted: dict[str, Any] = {"input_size": (channels, *known["input_size"][1:]), "first_conv": None}
    if known["input_size"][0] != channels:
        for name in ("mean", "std"):
            values = tuple(known[name])
            repeated = tuple(values[channel % len(values)] for channel in range(channels))
            fitted[name] = repeated if channels > 1 else (sum(values) / len(values),)
    cast(Any, model).pretrained_cfg = known | fitted


def _require_architecture(model: nn.Module, name: str, weights: str) -> None:
    found = timm_settings(model)["architecture"]
    if not name.startswith(_SOURCES) and name.partition(".")[0] != found:
        raise WeightsError(f"{weights} holds a {found}, not a {name}", f"Give --model {found}, or other weights.")


def _scale_classifier(model: nn.Module, factor: float) -> None:
    with torch.no_grad():
        for name in classifier_names(model):
            for parameter in model.get_submodule(name).parameters():
                parameter.mul_(factor)


def _check_classifier(model: nn.Module, source: str, outputs: int | Sequence[str]) -> bool:
    """Start the classifier anew if it stands for other names, or log that timm did so; tell whether it is new."""
    settings = timm_settings(model)
    known, trained = settings["num_classes"], settings.get("label_names")
    count = outputs if isinstance(outputs, int) else len(outputs)
    if known != count:
        for classifier in classifier_names(model):
            logger.info(
                "%s: %s.weight has %d outputs, the model needs %d: started anew", source, classifier, known, count
            )
        return True
    if not isinstance(outputs, int) and count and trained and list(trained) != list(outputs):
        cast(Any, model).reset_classifier(count)
        logger.info("%s: the classifier was trained for other labels: started anew", source)
        return True
    return False


def _with_input_size(
    model: nn.Module, name: str, image_size: int | None, varied: bool, options: Mapping[str, Any]
) -> nn.Module:
    """Return a model of a fixed input size built anew for another size, with the weights interpolated by timm.

    timm's `set_input_size` would leave windows of a size that cannot be stored with the model.
    """
    config = timm_settings(model)
    own = config["input_size"][1]
    size = image_size or own
    if not config.get("fixed_input_size"):
        return model
    if varied:
        try:
            return rebuild(model, name, {**options, "img_size": size, "dynamic_img_size": True})
        except TypeError as error:
            if "img_size'" not in str(error):  # else the network knows no varying size
                raise
    if size == own:
        return model
    try:
        return rebuild(model, name, {**options, "img_size": size})
    # The network has no such argument, or tensors that depend on the size.
    except (TypeError, RuntimeError, AssertionError, ValueError) as error:
        raise ConfigurationError(
            f"{config['architecture']} takes images of {own} pixels only, and image_size is {size}",
            f"Give image_size={own} (--image-size {own}), whatever a recipe has set.",
        ) from error


def _fault_at(model: nn.Module, side: int, channels: int) -> str | None:
    """Return why the model fails on images of a size, or None."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(torch.zeros(1, channels, side, side))
    # Layers of any kind may refuse the shape.
    except (RuntimeError, AssertionError, ValueError, IndexError) as error:
        return first_line(error)
    finally:
        model.train(training)
    return None
