"""A run's results.json as the card sees it."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlrsnet_hf.published import TOTAL_IMAGES
from mlrsnet_hf.taxonomy import LABELS
from mlrsnet_hf.training.results import TrainingResult


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResults:
    """What a run says of itself; the fields are those of results.json."""

    recipe: str | None
    config: Mapping[str, Any]
    data: Mapping[str, Any]
    model: Mapping[str, Any]
    task: str
    scored_epoch: int
    scores: Mapping[str, Mapping[str, float | None] | None]
    """Split -> metric -> value at threshold 0.5, as fractions; None for a test split that the data does not have."""
    tuned: Mapping[str, Any] | None
    """`thresholds` by label, and scores by split as above, at them."""
    eval_symmetries: int
    labels: Sequence[Mapping[str, Any]]
    run: Mapping[str, Any]

    @property
    def split(self) -> str:
        """The split that the scores to publish come from."""
        return "test" if self.scores.get("test") else "validation"

    @property
    def values(self) -> dict[str, float]:
        """The defined scores of that split at threshold 0.5."""
        return _defined(self.scores[self.split])

    @property
    def tuned_values(self) -> dict[str, float]:
        """The same at the thresholds tuned on validation; empty without them."""
        return _defined(self.tuned.get(self.split)) if self.tuned else {}

    @property
    def untuned(self) -> Sequence[str]:
        """Labels that keep 0.5 because no validation image has them."""
        return tuple(self.tuned.get("untuned", ())) if self.tuned else ()

    @property
    def images(self) -> Mapping[str, int]:
        """Number of images by split."""
        images: Mapping[str, int] = self.data["images"]
        return images

    @property
    def is_mlrsnet(self) -> bool:
        """Whether the model has learned MLRSNet's labels."""
        return tuple(self.data["label_names"]) == tuple(label.name for label in LABELS) and not self.is_synthetic

    @property
    def is_synthetic(self) -> bool:
        """Whether the images were drawn by this package."""
        return bool(self.data.get("synthetic"))

    @property
    def is_whole_release(self) -> bool:
        """Whether all images of MLRSNet took part, as in the paper."""
        return self.is_mlrsnet and sum(self.images.values()) == TOTAL_IMAGES

    @property
    def dataset_name(self) -> str:
        """The data's name, without the place where it lay."""
        if self.is_synthetic:
            return "synthetic scenes"
        name = Path(str(self.data.get("dataset", "unnamed dataset"))).name
        return "MLRSNet" if self.is_mlrsnet else name.removesuffix(".parquet")


def read_results(path: Path) -> RunResults:
    """Read results.json.

    Raises:
        ConfigurationError: It is not the results file of a finished run.
    """
    content = TrainingResult.load(path).to_dict()
    return RunResults(**{field.name: content[field.name] for field in dataclasses.fields(RunResults)})


def _defined(scores: Mapping[str, float | None] | None) -> dict[str, float]:
    return {name: value for name, value in (scores or {}).items() if value is not None}
