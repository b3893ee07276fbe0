"""What an embeddings folder says of itself: `embeddings.json`, repeated in its files' schema, and `.local.json`."""

import dataclasses
import glob
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa

from mlrsnet_hf.configuration.json_file import Name, Scalar, json_as, parse_json, read_json
from mlrsnet_hf.configuration.settings import CountOrZero, Range
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.escaping import for_file_name, quoted
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.retrieval.embeddings.config import Layer
from mlrsnet_hf.retrieval.embeddings.pca import PcaInfo

INFO_FILE = "embeddings.json"
LOCAL_FILE = ".local.json"
"""Where model and images lie on this machine; it holds paths, and is not published."""
FORMAT = 1
SCHEMA_KEY = b"mlrsnet_embeddings"
"""Key of the schema metadata that holds the content of `embeddings.json`, less the number of rows."""
_REMEDY = "Make it again with `mlrsnet embed`, or fetch it again."

Dimension = Annotated[int, Range(1, 2**16)]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingInfo:
    """How embeddings were made; what must be the same for two of them to be compared."""

    model: Name
    """As it was named: a timm name, a repository of the Hub, or the name of a run's folder."""
    architecture: Name
    """timm's name of the network, or open_clip's."""
    model_fingerprint: Name
    """Hash of the weights and of the preprocessing."""
    layer: Layer
    """See `embed_pixels`."""
    dimension: Dimension
    dtype: Literal["float32", "float16"]
    """As stored."""
    normalized: bool
    """Whether each embedding has length 1."""
    pca: PcaInfo | None = None
    """None without."""
    dataset: Mapping[Name, Scalar] = field(default_factory=dict)
    """Where the images come from: `name`, and `protocol`, `split`, `seed`, `labels` of the MLRSNet protocols."""
    dataset_fingerprint: Name
    """Hash of ids, labels, scenes and the bytes of the image files, in order."""
    rows: CountOrZero
    label_names: tuple[Name, ...] = ()
    scene_names: tuple[Name, ...] = ()
    scores: tuple[Name, ...] = ()
    """Names of the columns of `scores`; empty if there are none."""
    text: bool = False
    """Whether the model embeds text among the images too."""
    format: int = FORMAT

    @property
    def split_name(self) -> str:
        """What `datasets` calls the split: letters, digits and _ alone."""
        return for_file_name(str(self.dataset.get("split", "train")))

    @property
    def dataset_name(self) -> str:
        """What the images are called together."""
        return str(self.dataset.get("name", "unnamed images"))

    def arrow_schema(self) -> pa.Schema:
        """Return the columns, those that the data knows: id, scene, labels, embedding of `dtype`, and scores."""
        from datasets import Features

        from mlrsnet_hf.dataset.repository.schema import class_label, value

        columns = {"id": value("string")}
        if self.scene_names:
            columns["scene"] = class_label(self.scene_names)
        if self.label_names:
            columns["labels"] = {"feature": class_label(self.label_names), "_type": "Sequence"}
        columns["embedding"] = {"feature": value(self.dtype), "length": self.dimension, "_type": "Sequence"}
        if self.scores:
            columns["scores"] = {"feature": value("float32"), "length": len(self.scores), "_type": "Sequence"}
        metadata = {
            b"huggingface": json.dumps({"info": {"features": columns}}),
            SCHEMA_KEY: json.dumps(self.to_json() | {"rows": None}),
        }
        return Features.from_dict(columns).arrow_schema.with_metadata(metadata)

    def describes(self, schema: pa.Schema) -> bool:
        """Return whether a file's schema speaks of these embeddings, or does not speak of any."""
        told = (schema.metadata or {}).get(SCHEMA_KEY)
        if told is None:
            return True
        content = parse_json(told, Mapping[str, Any], "a file's schema", _REMEDY)
        return info_from_json(content | {"rows": self.rows}, "a file's schema") == self

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON has them; embeddings without text say nothing of it, as before there was any."""
        fields = {name: getattr(self, name) for name in self.__slots__ if name != "text" or self.text}
        return {
            name: list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value
            for name, value in fields.items()
        }

    def comparable(self) -> dict[str, Any]:
        """Return what must be equal in two sets of embeddings whose distances are to mean something."""
        names = ("model_fingerprint", "layer", "dimension", "normalized", "pca")
        return {name: self.to_json()[name] for name in names}

    def described(self) -> str:
        """Return model, layer and treatment in words, for errors."""
        pca = "" if self.pca is None else f", PCA to {self.pca['components']}"
        normalized = ", normalized" if self.normalized else ""
        return (
            f"{self.model} ({self.model_fingerprint[:8]}), {self.layer}, {self.dimension} dimensions{pca}{normalized}"
        )


def info_from_json(content: Mapping[str, Any], source: str) -> EmbeddingInfo:
    """Return what `EmbeddingInfo.to_json` gave; `source` is where it lies, for errors.

    Raises:
        ConfigurationError: It is of another format version, or not such an object.
    """
    version = content.get("format") if isinstance(content, Mapping) else None
    if version != FORMAT:
        raise ConfigurationError(
            f"{source}: embeddings of format {quoted(version)}, this version of mlrsnet-hf reads format {FORMAT}",
            "Make them again with `mlrsnet embed`, or install the version that made them.",
        )
    content = _respelled(content, {"normalised": "normalized"})
    known = {field.name for field in dataclasses.fields(EmbeddingInfo)}
    values = {name: value for name, value in content.items() if name in known}  # a later version may say more
    info: EmbeddingInfo = json_as(values, EmbeddingInfo, source, _REMEDY)
    for names in (info.label_names, info.scene_names):
        if len(set(names)) < len(names):
            raise ConfigurationError(f"{source}: a name stands twice among labels or scenes", _REMEDY)
    return info


def read_info(folder: Path) -> EmbeddingInfo:
    """Return what an embeddings folder says of itself.

    Raises:
        ConfigurationError: There is no such folder, or it holds no embeddings of this format.
    """
    path = folder / INFO_FILE
    remedy = "Give a folder that `mlrsnet embed` wrote, or the id of such a dataset on the Hub."
    return info_from_json(read_json(path, Mapping[str, Any], remedy), str(path))


@dataclass(frozen=True, slots=True)
class LocalSources:
    """Where the model and the images of embeddings lie on this machine, so that a search can find them again."""

    model: ModelChoice
    images: ImageSet

    def to_json(self) -> dict[str, Any]:
        """Return model and images as JSON, with absolute paths."""
        model = {field.name: getattr(self.model, field.name) for field in dataclasses.fields(ModelChoice)}
        return {
            "model": _absolute(model, "model", "weights"),
            "images": _absolute(dataclasses.asdict(self.images), "images", "dataset", "data_dir", "image_dir"),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "LocalSources | None":
        """Return what `to_json` gave; None for anything else."""
        try:
            images = _respelled(content["images"], {"labels": "label_version"})
            return cls(ModelChoice(**content["model"]), ImageSet(**images))
        except (KeyError, TypeError, AttributeError, MLRSNetError):
            return None

    @classmethod
    def read(cls, folder: Path) -> "LocalSources | None":
        """Return the sources of an embeddings folder; None if it was made elsewhere."""
        try:
            return cls.from_json(read_json(folder / LOCAL_FILE, Mapping[str, Any], _REMEDY))
        except MLRSNetError:
            return None


_NO_PATHS = ("mlrsnet", "pretrained", "random")
"""Values that name no file, though a file of that name may lie here."""


def _absolute(values: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return the values, with those that name something on this disk as absolute paths."""
    for name in names:
        value = values[name]
        if value is None or value in _NO_PATHS:
            continue
        path = Path(value).expanduser()
        if path.exists() or (name == "dataset" and glob.has_magic(value)):
            values[name] = str(path.absolute())
    return values


def _respelled(content: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the content under today's names, in place of those of version 0.1."""
    return {names.get(name, name): value for name, value in content.items()}
