"""What a card says of the data that a model has learned."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import on_one_line
from mlrsnet_hf.inputs.config import MLRSNET
from mlrsnet_hf.inputs.named_dataset import OTHER_IMAGES
from mlrsnet_hf.inputs.pixels.reading import Reading, reading_from_json
from mlrsnet_hf.published import TOTAL_IMAGES
from mlrsnet_hf.taxonomy import LABEL_NAMES
from mlrsnet_hf.training.results import DataSummary


@dataclass(frozen=True, slots=True)
class LearnedData:
    """What a card says of the data that a model has learned, beside what the summary holds."""

    summary: DataSummary

    @property
    def source(self) -> dict[str, Any]:
        """Where the data came from, with None for what is not known of it."""
        known = ("protocol", "split_seed", "labels", "repaired", "is_mlrsnet", "held_out", "unknown_labels")
        return dict.fromkeys(known) | dict(self.summary.source)

    @property
    def total(self) -> int:
        """Number of images."""
        return sum(self.summary.images.values())

    @property
    def reading(self) -> Reading:
        """How the image files were read.

        Raises:
            ConfigurationError: The results say what is no such thing.
        """
        try:
            return reading_from_json(self.summary.source)
        except ValueError as error:
            raise ConfigurationError(
                f"these results are not whole ({error})", "Use them as a run wrote them."
            ) from error

    @property
    def place(self) -> str:
        """Where the data lay: a repository of the Hub, or a path; of one that leads far, the last name."""
        place = str(self.summary.source.get("dataset", "its copy"))
        return Path(place).name if Path(place).is_absolute() or place.startswith(("~", "..")) else place

    @property
    def is_synthetic(self) -> bool:
        """Whether the images were drawn by this package."""
        return bool(self.summary.source.get("synthetic"))

    @property
    def in_layout(self) -> bool:
        """Whether the labels are those of MLRSNet, whatever the images."""
        return self.summary.label_names == LABEL_NAMES and not self.is_synthetic

    @property
    def is_mlrsnet(self) -> bool:
        """Whether the images are MLRSNet's; a run before version 0.2 tells only if it had all of them."""
        told = self.source["is_mlrsnet"]
        return self.in_layout and bool(self.total == TOTAL_IMAGES if told is None else told)

    @property
    def is_whole_release(self) -> bool:
        """Whether all images of MLRSNet took part, as in the paper."""
        return self.is_mlrsnet and self.total == TOTAL_IMAGES

    @property
    def name(self) -> str:
        """The data's name, without the place where it lay."""
        if self.is_synthetic:
            return "synthetic scenes"
        name = on_one_line(Path(str(self.summary.source.get("dataset", "unnamed dataset"))).name, 200)
        if self.is_mlrsnet:
            return "MLRSNet"
        return OTHER_IMAGES if name == MLRSNET else name.removesuffix(".parquet")
