"""What the paths of a command tell at once: looked at before torch is imported, which takes seconds.

Whatever runs afterwards refuses the same, for those who call it from Python. A name that may stand on the Hub, or be
one of timm's, passes.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.config import MLRSNET, DataConfig
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.inputs.image_words import is_address, is_pattern, named_paths
from mlrsnet_hf.models import HUB, OPEN_CLIP, PRETRAINED, RANDOM
from mlrsnet_hf.runtime.logs import is_main_process

MODEL = "Give the folder of a run or of a saved model, a .onnx file that mlrsnet export wrote, or USER/NAME on the Hub."
EMBEDDINGS = "Give a folder that mlrsnet embed wrote, or the id of such a dataset on the Hub."
INDEX = "Give a folder that mlrsnet index wrote, or the URI of a Milvus server."

_FILES = re.compile(
    r"\.(onnx|parquet|arrow|csv|tsv|jsonl?|zip|tar|tgz|gz|rar|safetensors|pth?|bin|ckpt)$", re.IGNORECASE
)
"""Ends of names that a file has, and no repository."""
_SHOWN = 5


def check_paths(
    *,
    models: Iterable[str | None] = (),
    labeled: bool = False,
    embeddings: Iterable[str | None] = (),
    index: str | None = None,
    weights: str = PRETRAINED,
    sources: Iterable[str] = (),
    data: DataConfig | ImageSet | None = None,
    targets: Iterable[Callable[[], object]] = (),
) -> None:
    """Refuse paths that are not there, and outputs that are, on the main process.

    Args:
        models: As `ModelChoice.model` names them; None for none.
        labeled: Whether they must name labels, which networks of timm's own do not.
        embeddings: Folders, or datasets on the Hub.
        index: A folder, or the URI of a server.
        weights: As `ModelChoice.weights` names them.
        sources: Words that name image files.
        data: The dataset.
        targets: What refuses an output that is there.

    Raises:
        ConfigurationError: The first that is wrong.
    """
    if not is_main_process():  # the launcher ends the others
        return
    for model in models:
        if model is not None:
            _check_model(model, labeled)
    for name in embeddings:
        if name is not None and not Path(name).expanduser().exists():
            _check_hub_name(name, EMBEDDINGS)
    if weights not in (PRETRAINED, RANDOM) and _is_path(weights) and not Path(weights).expanduser().is_file():
        raise ConfigurationError(f"weights={weights}: no such file", "Check the path.")
    if index is not None and not is_address(index) and not Path(index).expanduser().exists():
        raise ConfigurationError(f"{index}: no such folder", INDEX)
    _check_sources(list(sources))
    if data is not None:
        _check_data(data)
    for refuse in targets:
        refuse()


def _check_model(name: str, labeled: bool) -> None:
    path = Path(name).expanduser()
    if path.is_file() and path.suffix.lower() not in (".onnx", ".parquet"):
        raise ConfigurationError(f"{name}: a file, and no model", MODEL)
    if path.exists() or name.startswith((HUB, OPEN_CLIP)):
        return
    if "/" in name or _is_path(name):
        _check_hub_name(name, MODEL)
    elif labeled:
        raise ConfigurationError(
            f"{name}: neither a folder nor a repository of the Hub, and a network of timm's own names no labels", MODEL
        )


def _check_hub_name(name: str, remedy: str) -> None:
    """Refuse a name that is not there and is none of the Hub, or stands beside others in a folder that is there."""
    is_name = re.fullmatch(r"[\w.-]+(/[\w.-]+)?(@[\w./-]+)?", name) is not None
    kind = "file" if _FILES.search(name) else "folder"
    if not is_name or _is_path(name):
        raise ConfigurationError(f"{name}: no such {kind}", f"Check the path. {remedy}")
    parent = Path(name.partition("/")[0])
    if "/" in name and parent.is_dir():
        there = sorted(one.name for one in parent.iterdir() if one.is_dir() and not one.name.startswith("."))
        more = ", ..." if len(there) > _SHOWN else ""
        holds = f"It holds {', '.join(there[:_SHOWN])}{more}. " if there else ""
        raise ConfigurationError(
            f"{name}: no such {kind} in {parent}", f"{holds}A repository of the Hub is told from it by {HUB}{name}."
        )


def _is_path(name: str) -> bool:
    """Tell whether a name can be nothing but a path."""
    return name.startswith((".", "/", "~")) or "\\" in name or name.endswith("/") or _FILES.search(name) is not None


def _check_sources(words: list[str]) -> None:
    local = [word for word in words if not is_address(word)]
    found = [bool(next(named_paths(word), None)) for word in local]
    if local and local == words and not any(found):
        raise ConfigurationError(f"no image in {', '.join(words)}", "Check the pattern.")


def _check_data(data: DataConfig | ImageSet) -> None:
    """Refuse a folder or file of a dataset that is not there."""
    if isinstance(data, ImageSet) and data.images is not None:
        folder = Path(data.images).expanduser()
        if folder.is_file():
            raise ConfigurationError(f"images={data.images}: a file, not a folder", f"Give {folder.parent}.")
        if not folder.is_dir():
            raise ConfigurationError(f"images={data.images}: no such folder", "Check the path.")
    place = Path(data.dataset).expanduser()
    if data.dataset == MLRSNET:
        if data.data_dir is not None and not Path(data.data_dir).expanduser().exists():
            raise ConfigurationError(
                f"data_dir={data.data_dir}: no such folder or archive", "Check the path of the copy of MLRSNet."
            )
    elif not place.exists() and not is_address(data.dataset):
        if is_pattern(data.dataset):
            _check_pattern(data.dataset)
        elif "/" in data.dataset or _is_path(data.dataset):
            _check_hub_name(
                data.dataset, "A dataset is a folder, a table, a pattern in quotes, or USER/NAME on the Hub."
            )
    if data.image_dir is not None and not Path(data.image_dir).expanduser().is_dir():
        raise ConfigurationError(f"image_dir={data.image_dir}: no such folder", "Check the path.")
    split_file = getattr(data, "split_file", None)
    if split_file is not None and not is_pattern(split_file) and not Path(split_file).expanduser().exists():
        raise ConfigurationError(f"split_file={split_file}: no such file or folder", "Check the path.")


def _check_pattern(pattern: str) -> None:
    if next(named_paths(pattern), None) is None:
        raise ConfigurationError(f"dataset={pattern!r}: no file matches", "Check the pattern.")
