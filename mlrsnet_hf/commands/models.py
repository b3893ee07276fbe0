"""Commands that train, and the one that publishes: models above all, and what the other commands make."""

from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.configuration.settings import Seed, Settings, setting
from mlrsnet_hf.errors import require_extra
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.publishing.config import DRY_RUN_FOLDER, PublishConfig, PublishOptions
from mlrsnet_hf.runtime.logs import is_main_process, print_result
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.recipes import RecipeChoice, recipe_defaults


@dataclass(frozen=True, kw_only=True)
class Demo(Settings):
    """Run the whole job on synthetic scenes.

    Draws them, fine-tunes a small network, evaluates it and saves it: about two minutes on two cores, without data.

    Examples:
        mlrsnet demo --output-dir mlrsnet-demo
    """

    output_dir: Path = setting(Path("mlrsnet-demo"), "Folder of all that is written.")
    seed: Seed = setting(0, "Seed of the scenes, the split and the training.")
    resume: bool = setting(False, "Go on with a demo that was stopped.")

    def run(self) -> None:
        require_extra("train")
        from mlrsnet_hf.demo import run_demo

        run_demo(self.output_dir, seed=self.seed, resume=self.resume)


@dataclass(frozen=True, kw_only=True)
class Train:
    """Fine-tune a timm network on MLRSNet, or on any images with lists of labels.

    Settings come from the recipe, over it from the YAML file that --config names, over that from the command line. In
    the file names are written with underscores: `learning_rate: 0.001`. `none` unsets what can be unset.

    Examples:
        mlrsnet train --data-dir path/to/mlrsnet --output-dir runs/first
        accelerate launch -m mlrsnet_hf train --recipe paper --network ResNet50 --data-dir path/to/mlrsnet
    """

    choice: RecipeChoice
    data: DataConfig
    training: TrainingConfig
    publish: PublishConfig

    defaults = staticmethod(recipe_defaults)

    def run(self) -> None:
        require_extra("train")
        from mlrsnet_hf.publishing.hub import check_can_publish
        from mlrsnet_hf.publishing.publish import publish_run
        from mlrsnet_hf.training.run import train

        target = self.publish.push_to_hub if is_main_process() else None
        if target is not None:
            check_can_publish(target, self.publish.dataset_id)
        train(self.training, self.data, self.choice.recipe)
        if target is not None:
            print_result(publish_run(self.training.output_dir, target, **self.publish.options()).summary())


@dataclass(frozen=True, kw_only=True)
class Publish(PublishOptions):
    """Push a model, a dataset, embeddings or a metric to the Hub.

    Pushes a folder in one commit: a finished run becomes a model, a prepared dataset or embeddings a dataset, a metric
    a Space. Log in first: hf auth login. A push that was cut short is completed by the next.

    Examples:
        mlrsnet publish runs/train USER/NAME --dry-run
    """

    path: Path = setting(
        text="A run, a prepared dataset, embeddings, or a metric, by its folder or name.", positional=True
    )
    repo_id: str = setting(text="Repository; it is made if it is not there.", positional=True, metavar="USER/NAME")
    dry_run: bool = setting(False, "Build the repository, say where it is, push nothing.")
    output_dir: Path = setting(DRY_RUN_FOLDER, "Folder in which a dry run builds, in place of an earlier one.")
    evaluation: tuple[str, ...] = setting(
        (), "Folders that mlrsnet evaluate wrote for a run's model, whose scores join its card.", metavar="FOLDER"
    )

    def run(self) -> None:
        from mlrsnet_hf.publishing.publish import publish

        print_result(publish(**self.to_dict()).summary())
