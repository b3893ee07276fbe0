"""The card of a set of embeddings: how they were made, what retrieval they give, how to search them."""

import json
import string
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import yaml

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval.embeddings.files import DATA, open_embeddings
from mlrsnet_hf.retrieval.embeddings.info import EmbeddingInfo

CARD = "README.md"
RESULTS_FILE = "retrieval.json"
"""Beside `embeddings.json`, if retrieval was measured: `{"scores": {measure: value}, "protocol": text}`."""
PLACEHOLDER = "USER/NAME"

_LAYERS = {
    "pooled": "`pooled`: the last feature map, averaged over all positions",
    "pre_logits": "`pre_logits`: what the classifier gets",
    "logits": "`logits`: what the classifier gives, before the sigmoid",
}
_CITATION = """
## Citation

Qi, X. et al. (2020). MLRSNet: A multi-label high spatial resolution remote sensing dataset for semantic scene
understanding. ISPRS Journal of Photogrammetry and Remote Sensing, 169, 337-350. The images are under CC BY 4.0.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingsCard:
    """What the card tells."""

    info: EmbeddingInfo
    scores: Mapping[str, float] | None = None
    """Retrieval measures by name, if they were computed."""
    protocol: str = ""
    """Of the retrieval, in words."""
    repository: str = PLACEHOLDER

    def render(self) -> str:
        """Return the card as Markdown."""
        info = self.info
        template = files("mlrsnet_hf.publishing").joinpath("templates/embeddings_card.md").read_text(encoding="utf-8")
        return string.Template(template).substitute(
            front_matter=_front_matter(info),
            title=f"{info.dataset['name']}, {info.model}",
            rows=f"{info.rows:,}",
            dimension=f"{info.dimension:,}",
            dtype=info.dtype,
            model=info.model,
            architecture=info.architecture,
            model_fingerprint=info.model_fingerprint[:16],
            layer=_LAYERS[info.layer],
            treatment=_treatment(info),
            images=_images(info),
            dataset_fingerprint=info.dataset_fingerprint[:16],
            columns=_columns(info),
            results=self._results(),
            repository=self.repository,
            split=info.split_name,
            example="photo.jpg",
            citation=_CITATION if _is_mlrsnet(info) else "",
        )

    def _results(self) -> str:
        if self.scores is None:
            return ""
        rows = "\n".join(f"| {name} | {value:.4f} |" for name, value in self.scores.items())
        protocol = f"{self.protocol}\n\n" if self.protocol else ""
        return f"\n## Retrieval\n\n{protocol}| measure | value |\n| --- | ---: |\n{rows}\n"


def embeddings_card(info: EmbeddingInfo) -> str:
    """Return the card of embeddings that were just made."""
    return EmbeddingsCard(info=info).render()


def write_embeddings_card(folder: Path, repository: str = PLACEHOLDER) -> None:
    """Write the card of an embeddings folder anew, with the results that stand beside it by now.

    Args:
        folder: Local, as `mlrsnet embed` wrote it.
        repository: Its id on the Hub, for the examples.

    Raises:
        ConfigurationError: The folder holds no embeddings, or its results cannot be read.
    """
    results = {}
    path = folder / RESULTS_FILE
    if path.exists():
        try:
            results = json.loads(path.read_text(encoding="utf-8"))
            scores = {str(name): float(value) for name, value in results["scores"].items() if value is not None}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(f"{path}: not results of retrieval ({error})", "Measure them again.") from error
    else:
        scores = None
    card = EmbeddingsCard(
        info=open_embeddings(folder).info,
        scores=scores,
        protocol=results.get("protocol", ""),
        repository=repository,
    )
    partial = folder / f".{CARD}.partial"
    partial.write_text(card.render(), encoding="utf-8")
    partial.replace(folder / CARD)


def _front_matter(info: EmbeddingInfo) -> str:
    content = {
        **({"license": "cc-by-4.0"} if _is_mlrsnet(info) else {}),
        "pretty_name": f"Embeddings of {info.dataset['name']} by {info.model}",
        "task_categories": ["image-feature-extraction"],
        "tags": ["embeddings", "image-retrieval", "remote-sensing"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": info.split_name, "path": f"{DATA}/*.parquet"}],
            }
        ],
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True).strip()


def _is_mlrsnet(info: EmbeddingInfo) -> bool:
    return info.dataset.get("name") == "mlrsnet"


def _treatment(info: EmbeddingInfo) -> str:
    parts = []
    if info.pca is not None:
        whitened = ", whitened" if info.pca["whitened"] else ""
        parts.append(
            f"{info.pca['components']} principal components{whitened}, {info.pca['explained']:.1%} of the variance, "
            f"fitted on {info.pca['fitted_on']:,} images"
        )
    if info.normalized:
        parts.append("length 1")
    return "; ".join(parts) or "none"


def _images(info: EmbeddingInfo) -> str:
    facts = [f"{name} {value}" for name, value in info.dataset.items() if name != "name"]
    return ", ".join([str(info.dataset["name"]), *facts])


def _columns(info: EmbeddingInfo) -> str:
    rows = ["| column | type | |", "| --- | --- | --- |", "| `id` | string | of the image |"]
    if info.scene_names:
        rows.append(f"| `scene` | `ClassLabel`, {len(info.scene_names)} | |")
    if info.label_names:
        rows.append(f"| `labels` | list of `ClassLabel`, {len(info.label_names)} | |")
    rows.append(f"| `embedding` | {info.dimension} x {info.dtype} | |")
    if info.scores:
        rows.append(f"| `scores` | {len(info.scores)} x float32 | sigmoid score of each label |")
    return "\n".join(rows)
