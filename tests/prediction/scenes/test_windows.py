"""Windows, parts and united areas against pixels counted one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.prediction.scenes.config import SceneConfig
from mlrsnet_hf.prediction.scenes.windows import WindowGrid

GRIDS = st.builds(
    lambda side, more, stride: WindowGrid(side + more[0], side + more[1], side, min(stride, side)),
    st.integers(1, 40),
    st.tuples(st.integers(0, 90), st.integers(0, 90)),
    st.integers(1, 40),
)


@given(GRIDS)
def test_windows_cover_the_scene_and_lie_in_it(grid: WindowGrid) -> None:
    for length, starts in ((grid.width, grid.lefts), (grid.height, grid.tops)):
        covered = np.zeros(length, int)
        for start in starts:
            assert 0 <= start <= length - grid.side
            covered[start : start + grid.side] += 1
        assert covered.all()
        assert (np.diff(starts) > 0).all() and (np.diff(starts) <= grid.stride).all()
        assert len(starts) == len(range(0, length - grid.side + grid.stride, grid.stride))  # none too many


@given(GRIDS, st.integers(1, 20_000), st.integers(1, 60))
def test_each_window_is_in_one_chunk_of_one_part(grid: WindowGrid, pixels: int, windows: int) -> None:
    seen = np.zeros((len(grid.tops), len(grid.lefts)), int)
    for rows in grid.parts():
        for columns in grid.chunks(rows, pixels, windows):
            seen[rows.start : rows.stop, columns.start : columns.stop] += 1
            wide = grid.lefts[columns[-1]] + grid.side - grid.lefts[columns[0]]
            high = grid.tops[rows[-1]] + grid.side - grid.tops[rows[0]]
            assert len(columns) == 1 or (wide * high <= pixels and len(rows) * len(columns) <= windows)
    assert (seen == 1).all()
    numbers = grid.number(*(axis.ravel() for axis in np.meshgrid(grid.lefts, grid.tops)))
    assert list(numbers) == list(range(seen.size))


@settings(max_examples=60)
@given(st.data())
def test_areas_are_the_connected_pixels(data: st.DataObject) -> None:
    pytest.importorskip("shapely", reason='needs the extra "geo"')
    pytest.importorskip("rasterio", reason='needs the extra "geo"')
    from scipy import ndimage

    from mlrsnet_hf.prediction.scenes.areas import unite

    side = data.draw(st.integers(1, 6))
    spots = st.tuples(st.integers(0, 30), st.integers(0, 30))
    x, y = np.array(data.draw(st.lists(spots, min_size=1, max_size=30, unique=True))).T
    scores = np.linspace(0.5, 1, len(x), dtype=np.float32)
    canvas = np.zeros((40, 40), bool)
    for left, top in zip(x, y, strict=True):
        canvas[top : top + side, left : left + side] = True
    pixels, count = ndimage.label(canvas)  # by edges, not by corners
    areas = unite(x, y, side, scores)
    assert len(areas.polygons) == count
    of_window = pixels[y, x]
    for polygon, windows, mean, highest in zip(areas.polygons, areas.windows, areas.mean, areas.highest, strict=True):
        point = polygon.representative_point()
        component = pixels[int(point.y), int(point.x)]
        assert polygon.is_valid and polygon.area == (pixels == component).sum()
        assert windows == (of_window == component).sum()
        assert mean == pytest.approx(scores[of_window == component].mean())
        assert highest == scores[of_window == component].max()


def test_settings_are_checked() -> None:
    assert (SceneConfig().side, SceneConfig().stride) == (256, 192)
    assert SceneConfig(window=3, overlap=0.9).stride == 1
    for wrong in ({"window": 0}, {"overlap": 0.96}, {"overlap": -0.1}, {"resolution": 0.0}, {"window": 2.5}):
        with pytest.raises(ConfigurationError):
            SceneConfig(**wrong)
