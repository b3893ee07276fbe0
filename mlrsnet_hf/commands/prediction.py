"""Commands that put a trained model to work: measured on images, applied to them, handed on."""

from dataclasses import dataclass

from mlrsnet_hf.configuration.settings import setting
from mlrsnet_hf.errors import require_extra
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.prediction.config import EvaluationConfig, PredictionConfig


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure a trained model on any images with labels, or compare two on the same.

    Scores it on a split of any dataset that mlrsnet train reads, with the same options, and writes scores with
    intervals, of each label and scene too, the predictions, and a page of pictures. Labels are matched by name. Two
    models get intervals of the differences. In place of a model its predictions.parquet may stand: scores without the
    network.

    Examples:
        mlrsnet evaluate runs/train --data-dir path/to/mlrsnet
        mlrsnet evaluate runs/train USER/NAME --dataset table.csv --label-separator , --thresholds-from validation
    """

    models: tuple[str, ...] = setting(
        text="Folder of a run or of a saved model, repository of the Hub, or saved predictions; two are compared.",
        positional=True,
        metavar="MODEL",
    )
    config: EvaluationConfig
    data: DataConfig

    def run(self) -> None:
        require_extra("train")
        from mlrsnet_hf.reports.evaluation.report import write_evaluation

        write_evaluation(self.models, self.config, self.data)


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
