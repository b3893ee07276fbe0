import pytest

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.monitor import require_trackers, tracked_settings


def test_what_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlrsnet_hf.training.monitor.get_available_trackers", lambda: ["tensorboard"])
    require_trackers(["tensorboard"])
    with pytest.raises(ConfigurationError, match=r"trackio .*pip install 'mlrsnet-hf\[t"):
        require_trackers(["tensorboard", "trackio"])


def test_what_accelerate_does_not_know_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"no_such.* pip install -U accelerate"):
        require_trackers(["no_such"])


def test_every_setting_becomes_a_value_that_trackers_take() -> None:
    values = tracked_settings(TrainingConfig(image_size=None, trackers=("tensorboard", "trackio")).to_dict())
    assert {type(value) for value in values.values()} <= {str, int, float, bool}
    assert values["trackers"] == "tensorboard, trackio"
    assert values["image_size"] == "none"
