import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mlrsnet_hf.cli import main
from mlrsnet_hf.dataset.statistics import LabelStatistics, PixelStatistics
from mlrsnet_hf.errors import ConfigurationError, ImageError
from mlrsnet_hf.reports.statistics.figures import cooccurrence_figure, label_figure, pixel_figure, scene_figure
from mlrsnet_hf.reports.statistics.report import write_statistics
from mlrsnet_hf.taxonomy import LABEL_NAMES, LABELS, SCENES, find_scene

MakeRelease = Callable[..., Path]
NAMES = ["images_per_label", "images_per_scene", "label_cooccurrence", "labels_per_image"]


def labels_by_hand(root: Path) -> pd.DataFrame:
    """Read label files with pandas: a row per image, a 0/1 column per label."""
    tables = [pd.read_csv(path, index_col="image") for path in root.glob("Labels/*.csv")]
    return pd.concat(tables)[[label.published for label in LABELS]]


def test_tables_and_figures(make_release: MakeRelease, tmp_path: Path) -> None:
    root = make_release({"beach": 3, "harbor&port": 2}, labels=["water", "buildings"])
    told = write_statistics(root, tmp_path / "out")
    assert re.findall(r"[\d.]+", told.splitlines()[0]) == ["5", "2", "2.00"], "images, scenes, labels per image"
    assert str(tmp_path / "out") in told.splitlines()[-1] and "images_per_label.csv" in told.splitlines()[-1]
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == sorted(f"{name}.{suffix}" for name in [*NAMES, "pixels"] for suffix in ("csv", "png"))

    tables = {name: pd.read_csv(tmp_path / "out" / f"{name}.csv", index_col=0) for name in [*NAMES, "pixels"]}
    published = labels_by_hand(root)
    assert tables["images_per_label"]["images"].tolist() == published.sum().tolist()
    assert tables["images_per_label"]["published"].tolist() == [label.images for label in LABELS]
    together = published.to_numpy().T @ published.to_numpy()
    np.testing.assert_array_equal(tables["label_cooccurrence"].to_numpy(), together)
    assert tables["label_cooccurrence"].index.tolist() == list(LABEL_NAMES)
    assert tables["labels_per_image"]["images"].to_dict() == {0: 0, 1: 0, 2: 5}
    scenes = tables["images_per_scene"]
    assert scenes.loc[["beach", "harbor_port"], "images"].tolist() == [3, 2]
    assert (scenes["difference"] == scenes["images"] - [scene.images for scene in SCENES]).all()

    pixels = [np.asarray(Image.open(path)).reshape(-1, 3) for path in root.glob("Images/*/*.jpg")]
    expected = np.concatenate(pixels).astype(float)
    np.testing.assert_allclose(tables["pixels"]["mean_255"], expected.mean(0), atol=1e-4)
    np.testing.assert_allclose(tables["pixels"]["std"], expected.std(0) / 255, atol=1e-6)
    for path in (tmp_path / "out").glob("*.png"):
        assert_drawn_within_the_page(path)


def assert_drawn_within_the_page(path: Path) -> None:
    with Image.open(path) as image:
        assert max(image.size) >= 600 and min(image.size) >= 200
        pixels = np.asarray(image.convert("L"))
    assert 0.005 < (pixels < 200).mean() < 0.5
    assert (np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]) > 200).mean() > 0.99


def test_label_files_alone(make_release: MakeRelease, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = make_release({"stadium": 3}, labels=["water"]) / "Labels"
    main(["stats", str(labels), "--output-dir", str(tmp_path / "out"), "--labels", "as-published"])
    told = capsys.readouterr().out
    assert "red: mean" not in told
    assert sorted(path.name for path in (tmp_path / "out").glob("*.csv")) == [f"{name}.csv" for name in NAMES]
    assert not (tmp_path / "out/pixels.png").exists()
    table = pd.read_csv(tmp_path / "out/images_per_label.csv", index_col=0)
    assert table.loc[["water", "stadium"], "images"].tolist() == [3, 0]  # verified, stadium would have 3


def counted(images: dict[str, int], per_scene: int) -> LabelStatistics:
    """Return statistics of images with one label each, all of one scene."""
    per_label = np.array([images.get(name, 0) for name in LABEL_NAMES])
    per_scene_id = np.zeros(len(SCENES), np.int64)
    per_scene_id[find_scene("beach").id] = per_scene
    return LabelStatistics(per_scene_id, per_label, np.array([0, per_label.sum(), *[0] * 59]), np.diag(per_label))


def test_figures_show_what_occurs() -> None:
    statistics = counted({"sea": 4, "sand": 12_345, "water": 7}, 12_356)
    left, right = label_figure(statistics).axes
    names = [tick.get_text() for axes in (left, right) for tick in axes.get_yticklabels()]
    assert names == ["sand", "water", "sea"]
    assert [text.get_text() for axes in (left, right) for text in axes.texts] == ["12,345", "7", "4"]
    assert not left.collections, "published numbers of the whole release say nothing of a part"
    assert [tick.get_text() for tick in scene_figure(statistics).axes[0].get_xticklabels()] == ["beach"]
    axes = cooccurrence_figure(statistics).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["sand", "sea", "water"]
    [dots] = axes.collections
    assert len(dots.get_offsets()) == 6, "no two labels are on one image"


def test_a_count_never_stands_at_the_mark_of_the_published_number() -> None:
    published = {label.name: label.images for label in LABELS}
    statistics = counted(published | {"sea": published["sea"] + 3, "sand": 5}, 109_161)
    for axes in label_figure(statistics).axes:
        [marks] = axes.collections
        assert max(marks.get_offsets()[:, 0]) < axes.get_xlim()[1]
        assert {text.xy[0] for text in axes.texts} == {1}, "all stand at the right, outside of the bars"
    texts = {text.get_text() for axes in label_figure(statistics).axes for text in axes.texts}
    assert f"{published['sea'] + 3:,} (published {published['sea']:,})" in texts
    assert f"{published['water']:,}" in texts


def test_channels_differ_by_line_too() -> None:
    histogram = np.zeros((3, 256), np.int64)
    histogram[[0, 1, 2], [100, 101, 102]] = 1
    axes = pixel_figure(PixelStatistics(histogram)).axes[0]
    assert len({line.get_linestyle() for line in axes.lines}) == 3
    assert len({text.get_position()[1] for text in axes.texts}) == 3, "their names do not cover each other"


def test_written_whole_or_not_at_all(make_release: MakeRelease, tmp_path: Path) -> None:
    root = make_release({"beach": 2})
    image = root / "Images/beach/beach_00002.jpg"
    image.write_bytes(image.read_bytes()[:-10])
    with pytest.raises(ImageError, match=r"beach_00002\.jpg"):
        write_statistics(root, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigurationError, match=str(tmp_path / "out")):
        write_statistics(root, tmp_path / "out")


def test_without_the_plots_extra_it_says_what_to_install(tmp_path: Path) -> None:
    hide = "import sys; sys.modules['matplotlib'] = None; from mlrsnet_hf.cli import main; main(['stats', 'x'])"
    run = subprocess.run([sys.executable, "-c", hide], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 2
    assert run.stderr.startswith("error: ") and "matplotlib" in run.stderr and "pip install" in run.stderr
    assert list(tmp_path.iterdir()) == []
