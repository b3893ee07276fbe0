import re

import pytest

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError
from mlrsnet_hf.training.config import TrainingConfig


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", "ten"),
        ("epochs", True),
        ("epochs", 1.5),
        ("batch_size", 0),
        ("accumulation", 0),
        ("eval_batch_size", -1),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("head_rate", -1.0),
        ("layer_decay", 1.1),
        ("layer_decay", 0.0),
        ("weight_decay", -0.1),
        ("clip_norm", -1.0),
        ("warmup", 1.0),
        ("drop_rate", 1.0),
        ("drop_path_rate", -0.1),
        ("ema", 1.0),
        ("label_smoothing", 1.0),
        ("scene_weight", 0.0),
        ("seed", -1),
        ("seed", 2**32),
        ("image_size", 0),
        ("train_scale", 0.0),
        ("train_scale", 1.1),
        ("crop_pct", 0.0),
        ("crop_pct", 1.5),
        ("crop_scale", 0.0),
        ("crop_ratio", 0.9),
        ("jitter", 1.0),
        ("symmetries", 3),
        ("eval_symmetries", 0),
        ("num_workers", -1),
        ("cpu_threads", -1),
        ("cache_megabytes", -1),
        ("checkpoint_steps", -1),
        ("checkpoint_minutes", -1.0),
        ("keep_checkpoints", 0),
        ("log_every", 0),
        ("trackers", "tensorboard"),
        ("compile", 1),
        ("model", None),
    ],
)
def test_nonsense_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"{name}={value!r}")):
        TrainingConfig(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "near"),
    [
        ("best_metric", "mapp", "'map'"),
        ("optimizer", "adamv", "'adamw'"),
        ("schedule", "cosin", "'cosine'"),
        ("loss", "focal", "bce, asymmetric"),
        ("precision", "bf-16", "'bf16'"),
        ("cache", "dsik", "'disk'"),
        ("keep", "first", "best, last"),
        ("trackers", ("tensorbord",), "'tensorboard'"),
    ],
)
def test_unknown_names_list_near_ones(name: str, value: object, near: str) -> None:
    with pytest.raises(UnknownNameError, match=rf"^{name}=.*{near}"):
        TrainingConfig(**{name: value})


def test_scenes_are_learned_beside_labels_or_alone() -> None:
    with pytest.raises(ConfigurationError, match="scene_head and single_label exclude each other"):
        TrainingConfig(scene_head=True, single_label=True)


def test_the_metric_that_selects_fits_the_task() -> None:
    assert TrainingConfig().selection_metric == "map"
    assert TrainingConfig(single_label=True).selection_metric == "scene_accuracy"
    assert TrainingConfig(scene_head=True, best_metric="scene_accuracy").selection_metric == "scene_accuracy"
    with pytest.raises(UnknownNameError, match="best_metric='scene_accuracy' is not known"):
        TrainingConfig(best_metric="scene_accuracy")
    with pytest.raises(UnknownNameError, match="best_metric='map' is not known"):
        TrainingConfig(best_metric="map", single_label=True)


def test_whole_numbers_and_text_become_the_fields_types() -> None:
    config = TrainingConfig(learning_rate=1, output_dir="runs/a", trackers=["wandb"])
    assert repr(config.learning_rate) == "1.0"
    assert config.output_dir.name == "a"
    assert config.trackers == ("wandb",)


def test_to_dict_is_plain() -> None:
    assert {type(value) for value in TrainingConfig().to_dict().values()} <= {str, int, float, bool, list, type(None)}
