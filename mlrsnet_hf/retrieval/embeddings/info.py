"""What an embeddings folder says of itself: `embeddings.json`, repeated in the schema of every Parquet file."""

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from mlrsnet_hf.errors import ConfigurationError

INFO_FILE = "embeddings.json"
FORMAT = 1
SCHEMA_KEY = b"mlrsnet_embeddings"
"""Of the schema metadata: the content of `embeddings.json`, less the number of rows."""

_ARROW_TYPES = {"float32": pa.float32(), "float16": pa.float16()}


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingInfo:
    """How embeddings were made; what must be the same for two of them to be compared."""

    model: str
    """As it was named: a timm name, a repository of the Hub, or the name of a run's folder."""
    architecture: str
    """timm's name of the network."""
    model_fingerprint: str
    """Hash of the weights and of the preprocessing."""
    layer: str
    """`pooled`, `pre_logits` or `logits`; see `retrieval.layers`."""
    dimension: int
    dtype: str
    """`float32` or `float16`, as stored."""
    normalized: bool
    """Whether each embedding has length 1."""
    pca: Mapping[str, Any] | None = None
    """`components`, `whitened`, `fitted_on` (images), `explained` (share of the variance); None without."""
    dataset: Mapping[str, Any] = field(default_factory=dict)
    """Where the images come from: `name`, and `protocol`, `split`, `seed`, `labels` of the MLRSNet protocols."""
    dataset_fingerprint: str
    """Hash of ids, labels, scenes and the bytes of the image files, in order."""
    rows: int
    label_names: tuple[str, ...] = ()
    scene_names: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()
    """Names of the columns of `scores`; empty if there are none."""
    format: int = FORMAT

    @property
    def split_name(self) -> str:
        """What `datasets` calls the split: letters, digits and _ alone."""
        return re.sub(r"\W+", "_", str(self.dataset.get("split", "train"))).strip("_")

    def arrow_schema(self) -> pa.Schema:
        """Return the columns; what the data does not know has none.

        `id` string, `scene` and `labels` (ids, whose names `datasets` knows), `embedding` (dimension,) of `dtype`,
        `scores` (len(scores),) float32.
        """
        fields: dict[str, pa.DataType] = {"id": pa.string()}
        features: dict[str, Any] = {"id": _value("string")}
        if self.scene_names:
            fields["scene"], features["scene"] = pa.int64(), _class_label(self.scene_names)
        if self.label_names:
            fields["labels"] = pa.list_(pa.int64())
            features["labels"] = _sequence(_class_label(self.label_names))
        fields["embedding"] = pa.list_(_ARROW_TYPES[self.dtype], self.dimension)
        features["embedding"] = _sequence(_value(self.dtype), self.dimension)
        if self.scores:
            fields["scores"] = pa.list_(pa.float32(), len(self.scores))
            features["scores"] = _sequence(_value("float32"), len(self.scores))
        metadata = {
            b"huggingface": json.dumps({"info": {"features": features}}),
            SCHEMA_KEY: json.dumps(self.to_json() | {"rows": None}),
        }
        return pa.schema(fields, metadata=metadata)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        fields = {name: getattr(self, name) for name in self.__slots__}
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
    """Return what `EmbeddingInfo.to_json` gave.

    Args:
        content: The JSON object.
        source: Where it lies, for errors.

    Raises:
        ConfigurationError: It is of another format version, or not such an object.
    """
    version = content.get("format") if isinstance(content, Mapping) else None
    if version != FORMAT:
        raise ConfigurationError(
            f"{source}: embeddings of format {version}, this version of mlrsnet-hf reads format {FORMAT}",
            "Make them again with `mlrsnet embed`, or install the version that made them.",
        )
    if "normalised" in content:  # as it was written before 0.2
        content = {**content, "normalized": content["normalised"]}
    known = {field.name for field in dataclasses.fields(EmbeddingInfo)}
    try:
        values: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in content.items() if name in known
        }
        return EmbeddingInfo(**values)
    except TypeError as error:
        raise ConfigurationError(f"{source}: incomplete ({error})", "Make it again with `mlrsnet embed`.") from error


def read_info(folder: Path) -> EmbeddingInfo:
    """Return what an embeddings folder says of itself.

    Raises:
        ConfigurationError: There is no such folder, or it holds no embeddings of this format.
    """
    path = folder / INFO_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{folder}: not an embeddings folder ({INFO_FILE} cannot be read)",
            "Give a folder that `mlrsnet embed` wrote, or the id of such a dataset on the Hub.",
        ) from error
    return info_from_json(content, str(path))


def _value(dtype: str) -> dict[str, Any]:
    return {"dtype": dtype, "_type": "Value"}


def _class_label(names: tuple[str, ...]) -> dict[str, Any]:
    return {"names": list(names), "_type": "ClassLabel"}


def _sequence(feature: dict[str, Any], length: int = -1) -> dict[str, Any]:
    # `Sequence` rather than `List`: versions of `datasets` below 4 do not know the latter.
    return {"feature": feature, "length": length, "_type": "Sequence"}
