"""Commands that put a trained model to work: measured on images, applied to them, handed on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlrsnet_hf.commands.early_checks import check_paths
from mlrsnet_hf.configuration.settings import Settings, setting
from mlrsnet_hf.errors import require_extra
from mlrsnet_hf.files import refuse_existing
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.prediction.config import EvaluationConfig, PredictionConfig
from mlrsnet_hf.prediction.scenes.config import SceneConfig
from mlrsnet_hf.prediction.targets import refuse_early
from mlrsnet_hf.runtime.logs import print_result


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
        output = self.config.output_dir.expanduser()
        check_paths(models=self.models, labeled=True, data=self.data, targets=[lambda: refuse_existing(output)])
        from mlrsnet_hf.reports.evaluation.report import write_evaluation

        write_evaluation(self.models, self.config, self.data)


@dataclass(frozen=True, kw_only=True)
class Predict:
    """Write the labels that a model gives to images.

    Labels files, folders, archives, URLs or a dataset, and writes a table: for each image its labels, their scores and
    its scene. A run that was cut short is completed by the next. Images that cannot be read are listed at the end.

    Large georeferenced rasters, and what --window is given for, are cut into overlapping windows; a folder then holds
    their polygons as GeoParquet and GeoJSON, and the scores as a Cloud-Optimized GeoTIFF.

    Examples:
        mlrsnet predict runs/train pictures --output labels.csv --html labels.html
        mlrsnet predict runs/train 'tiles/**/*.png' more.zip https://host/one.jpg --all-scores
        mlrsnet predict runs/train orthophoto.tif --resolution 0.3 --merge --output labels --html map.html
        accelerate launch -m mlrsnet_hf predict USER/NAME --data-dir path/to/mlrsnet --split test --protocol ratio20
    """

    config: PredictionConfig
    scenes: SceneConfig
    data: ImageSet

    def run(self) -> None:
        require_extra("train")
        config = self.config
        check_paths(models=[config.model], labeled=True, sources=config.sources, data=self.data)
        from mlrsnet_hf.prediction.scenes.find import find_scenes, scene_folders

        scenes = find_scenes(config, self.scenes, self.data)
        if scenes:
            scene_folders(config, scenes)
            page = config.html
            check_paths(targets=[] if page is None else [lambda: refuse_existing(page.expanduser())])
            from mlrsnet_hf.reports.scene_predictions import write_scene_predictions

            write_scene_predictions(config, self.scenes, scenes)
        else:
            check_paths(targets=[lambda: refuse_early(config, self.data)])
            from mlrsnet_hf.reports.predictions import write_predictions

            write_predictions(config, self.data)


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
        folder = self.output_dir.expanduser()
        check_paths(
            models=[self.model],
            labeled=True,
            data=ImageSet(images=self.images),
            targets=[lambda: refuse_existing(folder)],
        )
        from mlrsnet_hf.prediction.export import export_model

        print_result(export_model(ModelChoice(model=self.model), self.output_dir, self.images).summary())
