"""The whole main job on synthetic scenes: draw, load, fine-tune, evaluate, save."""

from dataclasses import replace
from pathlib import Path

from datasets import load_dataset

from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.load import data_from_splits
from mlrsnet_hf.runtime.logs import get_logger
from mlrsnet_hf.synthetic.release import CONTACT_SHEET, write_synthetic_release
from mlrsnet_hf.training import recipes
from mlrsnet_hf.training.results import TrainingResult
from mlrsnet_hf.training.train import train

DEMO_IMAGES_PER_SCENE = 150

logger = get_logger(__name__)


def run_demo(
    output_dir: Path,
    seed: int = 0,
    images_per_scene: int = DEMO_IMAGES_PER_SCENE,
    epochs: int | None = None,
    resume: bool = False,
) -> TrainingResult:
    """Run the main job and tell where its results lie; scenes that an earlier run drew are taken up.

    Args:
        output_dir: Folder of everything that is written: scenes, cache, run.
        seed: Seed of the scenes, the split and the training.
        images_per_scene: Images to draw, where none lie there yet; few make a quick, unskilled model.
        epochs: Passes over the training split, by default the recipe's.
        resume: Go on with a run that was stopped, instead of replacing it.

    Raises:
        MLRSNetError: The output folder cannot be written.
    """
    config = recipes.demo(output_dir=output_dir / "run", overwrite=True, resume=resume, seed=seed)
    scenes = output_dir / f"synthetic_scenes_seed{seed}"
    if not scenes.exists():
        write_synthetic_release(scenes, images_per_scene, seed)
    logger.info("synthetic scenes: %s, at a glance: %s", scenes, scenes / CONTACT_SHEET)
    data_config = DataConfig(data_dir=str(scenes), split_seed=seed, label_version="as-published")
    options = {"seed": seed, "label_version": data_config.label_version}
    loaded = load_dataset("mlrsnet", data_dir=str(scenes), cache_dir=str(output_dir / "cache"), **options)
    data = data_from_splits(loaded, data_config)
    return train(replace(config, epochs=epochs or config.epochs), data, recipe="demo", data_config=data_config)
