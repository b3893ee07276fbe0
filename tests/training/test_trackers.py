import pytest

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.training import TrainingConfig
from mlrsnet_hf.training.trackers import require_trackers, tracked_settings


def test_what_is_not_installed_is_refused() -> None:
    require_trackers(["tensorboard"])
    with pytest.raises(ConfigurationError, match=r"tracker no_such is not installed\. Run: pip install no_such"):
        require_trackers(["tensorboard", "no_such"])


def test_every_setting_becomes_a_value_that_trackers_take() -> None:
    values = tracked_settings(TrainingConfig(image_size=None, trackers=("tensorboard", "trackio")).to_dict())
    assert {type(value) for value in values.values()} <= {str, int, float, bool}
    assert values["trackers"] == "tensorboard, trackio"
    assert values["image_size"] == "none"
