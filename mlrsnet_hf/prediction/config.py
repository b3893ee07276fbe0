"""How a model is evaluated, as settings; light to import."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from mlrsnet_hf.configuration.settings import Count, CountOrZero, Range, Settings, setting
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.runtime import Precision


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig(Settings):
    """What is measured, and how the images go through the network.

    Raises:
        ConfigurationError: A value cannot be used, or two exclude each other.
    """

    split: str = setting(
        "test",
        "Split that is measured: train, validation and test as training takes them, or any other of the dataset, or "
        "several as datasets takes them, such as query+database.",
        section="Evaluation",
    )
    thresholds: Annotated[float, Range(0, 1)] | Literal["model"] = setting(
        "model", "Score above which an image is said to have a label; 'model' takes the model's own, 0.5 without."
    )
    thresholds_from: str | None = setting(
        None, "Split on which the thresholds of the best F1 are chosen, such as validation; none if unset."
    )
    symmetries: Literal[1, 2, 4, 8] = setting(
        1, "Views of each image, turned and mirrored, whose logits are averaged.", former="eval_symmetries"
    )
    allow_trained: bool = setting(False, "Measure though the model was trained on some of the images.")
    draws: Count = setting(1000, "Bootstrap draws of the images, for the intervals.")
    batch_size: Count = setting(64, "Images that a process passes through the network at once.")
    num_workers: CountOrZero = setting(0, "Processes beside each process that read images; 0 reads in threads.")
    precision: Precision | None = setting(None, "Mixed precision; if unset Accelerate's own setting.")
    output_dir: Path = setting(Path("evaluation"), "Folder to create.", section="Output folder")
    page: bool = setting(True, "Write the page of pictures, evaluation.html.")
    to_fiftyone: bool = setting(False, "Write images, labels and predictions as FiftyOne imports them, into fiftyone/.")
    to_label_studio: bool = setting(
        False, "Write them as Label Studio imports them, into label-studio/, with its labeling configuration."
    )

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        super().__post_init__()
        if self.thresholds_from is not None and self.thresholds != "model":
            raise ConfigurationError(
                f"thresholds={self.thresholds:g} and thresholds_from={self.thresholds_from!r} exclude each other",
                "Give one of them.",
            )
