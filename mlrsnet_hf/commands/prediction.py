"""Commands that put a trained model to work."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlrsnet_hf.configuration.settings import Settings, setting
from mlrsnet_hf.errors import require_extra
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.runtime.logs import print_result


@dataclass(frozen=True, kw_only=True)
class Export(Settings):
    """Write a trained model in a form that other programs run.

    Writes a folder of model.onnx, which takes any number of images at once and holds labels, thresholds and
    preprocessing in its metadata, and of preprocessing.json. The file is compared with the network, and not kept where
    a logit differs by more than 1e-4. `mlrsnet predict` and `mlrsnet evaluate` take it as a model.

    Examples:
        mlrsnet export runs/train --output-dir exported
    """

    model: str = setting(
        text="Folder of a run or of a saved model, or repository of the Hub.", positional=True, metavar="MODEL"
    )
    format: Literal["onnx"] = setting("onnx", "Form of the file.")
    output_dir: Path = setting(Path("exported"), "Folder to create.")
    images: str | None = setting(
        None, "Folder of images on which the file is compared; if unset scenes are drawn.", metavar="FOLDER|none"
    )

    def run(self) -> None:
        require_extra("train")
        from mlrsnet_hf.prediction.export import export_model

        print_result(export_model(ModelChoice(model=self.model), self.output_dir, self.images).summary())
