"""The card of a set of embeddings: how they were made, what retrieval they give, how to search them."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypedDict

from mlrsnet_hf.configuration.json_file import Defined, Name, read_json
from mlrsnet_hf.configuration.settings import Range
from mlrsnet_hf.files import whole_file
from mlrsnet_hf.inputs.config import MLRSNET
from mlrsnet_hf.inputs.named_dataset import OTHER_IMAGES
from mlrsnet_hf.publishing.cards import CARD, front_matter, number, render
from mlrsnet_hf.release.recognition import recognize
from mlrsnet_hf.retrieval.embeddings.files import DATA, EmbeddingFolder, open_embeddings
from mlrsnet_hf.retrieval.embeddings.info import EmbeddingInfo

RESULTS_FILE = "retrieval.json"
"""File beside `embeddings.json`, if retrieval was measured: `{"scores": {measure: value}, "protocol": text}`."""
PLACEHOLDER = "USER/NAME"


class _Scores(TypedDict):
    scores: Mapping[Name, Defined]


class Measured(_Scores, total=False):
    """The content of that file; a measure that is not defined is null."""

    protocol: Annotated[str, Range(0, 10_000)]


_LAYERS = {
    "pooled": "`pooled`: the last feature map, averaged over all positions",
    "pre_logits": "`pre_logits`: what the classifier gets",
    "logits": "`logits`: what the classifier gives, before the sigmoid",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingsCard:
    """What the card tells."""

    info: EmbeddingInfo
    scores: Mapping[str, float] | None = None
    """Retrieval measures by name, if they were computed."""
    protocol: str = ""
    """Protocol of the retrieval, in words."""
    repository: str = PLACEHOLDER

    def render(self) -> str:
        """Return the card: Markdown under a YAML header."""
        info = self.info
        is_mlrsnet = info.dataset.get("name") == MLRSNET
        header = {
            **({"license": "cc-by-4.0"} if is_mlrsnet else {}),
            "pretty_name": f"Embeddings of {info.dataset_name} by {info.model}",
            "task_categories": ["image-feature-extraction"],
            "tags": ["embeddings", "image-retrieval", "remote-sensing"],
            "configs": [
                {"config_name": "default", "data_files": [{"split": info.split_name, "path": f"{DATA}/*.parquet"}]}
            ],
        }
        facts = [f"{name} {value}" for name, value in info.dataset.items() if name != "name"]
        return render(
            "embeddings_card.md",
            card=self,
            info=info,
            header=front_matter(header),
            layer=_LAYERS[info.layer],
            treatment=_treatment(info),
            images=", ".join([info.dataset_name, *facts]),
            score_rows=[[name, number(value)] for name, value in (self.scores or {}).items()],
            is_mlrsnet=is_mlrsnet,
        )


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
    path = folder / RESULTS_FILE
    results: Measured | None = read_json(path, Measured, "Measure them again.") if path.exists() else None
    card = EmbeddingsCard(
        info=_rightly_named(open_embeddings(folder)),
        scores={name: value for name, value in results["scores"].items() if value == value} if results else None,
        protocol=results.get("protocol", "") if results else "",
        repository=repository,
    )
    with whole_file(folder / CARD) as partial:
        partial.write_text(card.render(), encoding="utf-8")


def _rightly_named(folder: EmbeddingFolder) -> EmbeddingInfo:
    """Return what embeddings say of themselves; earlier versions called all images in the layout of MLRSNet so."""
    info = folder.info
    if info.dataset.get("name") != MLRSNET or not info.label_names:
        return info
    rows = (row for batch in folder.batches() for row in zip(batch.ids, batch.labels or [], strict=True))
    if recognize(rows).is_mlrsnet:
        return info
    return dataclasses.replace(info, dataset={**info.dataset, "name": OTHER_IMAGES})


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
