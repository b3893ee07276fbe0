import dataclasses

import pytest
from transformers import HfArgumentParser

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError
from mlrsnet_hf.training import TrainingConfig


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("eval_batch_size", -1),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("head_rate", -1.0),
        ("weight_decay", -0.1),
        ("warmup", 1.0),
        ("seed", -1),
        ("seed", 2**32),
        ("image_size", 0),
        ("crop_pct", 0.0),
        ("crop_pct", 1.5),
        ("crop_scale", 0.0),
        ("num_workers", -1),
        ("cpu_threads", -1),
        ("cache_megabytes", -1),
        ("log_every", 0),
    ],
)
def test_nonsense_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{name}={value!r} cannot be used\. Give a"):
        TrainingConfig(**{name: value})


def test_unknown_metric_lists_near_names() -> None:
    with pytest.raises(UnknownNameError, match=r"'mapp' is not a known metric\. Did you mean 'map'"):
        TrainingConfig(best_metric="mapp")


def test_every_setting_has_a_help_text_and_an_option() -> None:
    text = HfArgumentParser(TrainingConfig).format_help()
    for field in dataclasses.fields(TrainingConfig):
        assert field.metadata["help"].endswith(".")
        assert f"--{field.name.replace('_', '-')}" in text


def test_to_dict_is_plain() -> None:
    assert {type(value) for value in TrainingConfig().to_dict().values()} <= {str, int, float, bool, type(None)}
