from mlrsnet_hf.training import TrainingConfig
from mlrsnet_hf.training.trackers import installed_trackers, tracked_settings


def test_what_is_not_installed_is_said() -> None:
    told: list[str] = []
    assert installed_trackers(["no_such_tracker", "tensorboard"], told.append) == ["tensorboard"]
    assert told == ["tracker no_such_tracker is left out: it is not installed (pip install no_such_tracker)"]


def test_every_setting_becomes_a_value_that_trackers_take() -> None:
    values = tracked_settings(TrainingConfig(image_size=None, trackers=("tensorboard", "trackio")).to_dict())
    assert {type(value) for value in values.values()} <= {str, int, float, bool}
    assert values["trackers"] == "tensorboard, trackio"
    assert values["image_size"] == "none"
