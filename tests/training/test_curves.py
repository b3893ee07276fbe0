import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.training.checkpoints.history import Epoch
from mlrsnet_hf.training.curves import curves_figure, draw_curves


def history(epochs: int) -> list[Epoch]:
    return [
        Epoch(
            epoch=number,
            step=10 * number,
            loss=1 / number,
            learning_rate=1e-3 / number,
            validation={"sample_f1": 0.9 - 0.2 / number, "map": 0.95 - 0.3 / number, "macro_f1": math.nan},
        )
        for number in range(1, epochs + 1)
    ]


def curves(axes: Axes) -> dict[str, list[float]]:
    return {line.get_label(): list(line.get_ydata()) for line in axes.lines}


def test_the_lines_are_the_history() -> None:
    loss, metrics, rate = curves_figure(history(5)).axes
    assert list(curves(loss).values()) == [[1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]]
    assert list(curves(rate).values()) == [[1e-3, 1e-3 / 2, 1e-3 / 3, 1e-3 / 4, 1e-3 / 5]]
    found = curves(metrics)
    # The best first; values at the last epoch: 0.95 - 0.06 and 0.9 - 0.04.
    assert list(found) == ["mAP 0.8900", "sample-F1 0.8600", "macro-F1 not defined"]
    assert found["mAP 0.8900"] == [epoch.validation["map"] for epoch in history(5)]


def test_the_kept_epoch_is_marked() -> None:
    metrics = curves_figure(history(5), scored_epoch=3).axes[1]
    assert metrics.get_title(loc="left") == "Validation, model of epoch 3"
    assert "mAP 0.8500" in curves(metrics)
    assert [3, 3] in [list(line.get_xdata()) for line in metrics.lines]


@pytest.mark.parametrize("epochs", [1, 60])
def test_the_file_is_a_picture(tmp_path: Path, epochs: int) -> None:
    path = tmp_path / "curves.png"
    path.write_bytes(b"an older one")
    draw_curves(history(epochs), path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.width > 1000
        assert np.ptp(np.asarray(image.convert("L"))) > 200
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"curves\.png: cannot be written"):
        draw_curves(history(1), tmp_path / "missing" / "curves.png")
