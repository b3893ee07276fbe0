"""The whole main job on synthetic scenes: draw, load, fine-tune, evaluate, save; and an index of them, for the app."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datasets import load_dataset

from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.inputs.load import data_from_splits
from mlrsnet_hf.runtime.logs import get_logger
from mlrsnet_hf.synthetic.release import CONTACT_SHEET, write_synthetic_release
from mlrsnet_hf.training import recipes
from mlrsnet_hf.training.results import RESULTS, TrainingResult
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
    data_config = _data_config(scenes, seed)
    options = {"seed": seed, "label_version": data_config.label_version}
    loaded = load_dataset("mlrsnet", data_dir=str(scenes), cache_dir=str(output_dir / "cache"), **options)
    data = data_from_splits(loaded, data_config)
    return train(replace(config, epochs=epochs or config.epochs), data, recipe="demo", data_config=data_config)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoParts:
    """What the app shows of the demo."""

    run: Path
    index: Path
    data: DataConfig


def complete_demo(output_dir: Path, **options: Any) -> DemoParts:  # noqa: ANN401 - those of `run_demo`
    """Return what the demo made, and an index of its scenes; what is not there yet is made.

    Args:
        output_dir: Folder of the demo.
        **options: Of `run_demo`, where the demo is not there yet.

    Raises:
        MLRSNetError: The folder cannot be written, or holds something else.
    """
    from mlrsnet_hf.retrieval.embeddings.config import EmbeddingConfig
    from mlrsnet_hf.retrieval.embeddings.embed import embed
    from mlrsnet_hf.retrieval.index.build import build_index

    seed = options.get("seed", 0)
    run, scenes = output_dir / "run", output_dir / f"synthetic_scenes_seed{seed}"
    if not (run / RESULTS).is_file() or not scenes.is_dir():
        run_demo(output_dir, **options)
    embeddings, index = output_dir / "embeddings", output_dir / "index"
    if not index.is_dir():
        images = ImageSet(data_dir=str(scenes), split_seed=seed, label_version="as-published")
        embed(EmbeddingConfig(model=str(run), output_dir=embeddings), images)
        build_index(embeddings, index)
    return DemoParts(run=run, index=index, data=_data_config(scenes, seed))


def _data_config(scenes: Path, seed: int) -> DataConfig:
    return DataConfig(data_dir=str(scenes), split_seed=seed, label_version="as-published")
