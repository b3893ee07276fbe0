"""Commands that put a trained model to work."""

from dataclasses import dataclass

from mlrsnet_hf.errors import require_extra
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.prediction.config import PredictionConfig


@dataclass(frozen=True, kw_only=True)
class Predict:
    """Write the labels that a model gives to images.

    Labels files, folders, archives, URLs or a dataset, and writes a table: for each image its labels, their scores and
    its scene. A run that was cut short is completed by the next. Images that cannot be read are listed at the end.

    Examples:
        mlrsnet predict runs/train pictures --output labels.csv --html labels.html
        mlrsnet predict runs/train 'tiles/**/*.png' more.zip https://host/one.jpg --all-scores
        accelerate launch -m mlrsnet_hf predict USER/NAME --data-dir path/to/mlrsnet --split test --protocol ratio20
    """

    config: PredictionConfig
    data: ImageSet

    def run(self) -> None:
        require_extra("train")
        from mlrsnet_hf.reports.predictions import write_predictions

        write_predictions(self.config, self.data)
