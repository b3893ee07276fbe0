import pytest

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.task import ImageData, make_task

LABELS, SCENES = ("water", "sand", "trees"), ("beach", "forest")


def data(labels: tuple[str, ...] = LABELS, scenes: tuple[str, ...] = SCENES) -> ImageData:
    return ImageData(splits={}, label_names=labels, scene_names=scenes, source={})


@pytest.mark.parametrize(
    ("settings", "kind", "names"),
    [
        ({}, "labels", LABELS),
        ({"scene_head": True}, "labels+scene", LABELS + SCENES),
        ({"single_label": True}, "scene", SCENES),
    ],
)
def test_labels_come_first(settings: dict, kind: str, names: tuple[str, ...]) -> None:
    task = make_task(data(), **settings)
    assert task.kind == kind
    assert task.output_names == names
    assert task.outputs == len(names) == task.label_outputs + task.scene_outputs


@pytest.mark.parametrize(
    ("settings", "parts", "message"),
    [
        ({"scene_head": True}, {"scenes": ()}, "scene_head .*scene_column"),
        ({"single_label": True}, {"scenes": ()}, "single_label .*scene_column"),
        ({}, {"labels": ()}, "labels_column"),
        ({"scene_head": True}, {"labels": ()}, "labels_column"),
    ],
)
def test_what_the_data_lacks_is_named(settings: dict, parts: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_task(data(**parts), **settings)


def test_scenes_alone_need_no_labels() -> None:
    assert make_task(data(labels=()), single_label=True).outputs == 2
