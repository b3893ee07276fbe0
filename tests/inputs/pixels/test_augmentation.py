import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms.v2 import functional

from mlrsnet_hf.inputs.pixels.augmentation import (
    SYMMETRIES,
    Augmentation,
    StoredTransform,
    color_matrix,
    mean_gray,
    random_color_matrix,
    random_crop,
    random_numbers,
    resize,
    resize_crop,
    symmetry,
    symmetry_views,
    turn,
    turn_at_once,
)
from mlrsnet_hf.inputs.pixels.decoding import Pixels, decode_pixels


def coordinates(height: int, width: int) -> Pixels:
    """Return (height, width, 3) pixels that hold their own row, column and sum of both."""
    row, column = np.mgrid[:height, :width]
    return np.stack([row, column, row + column], axis=2).astype(np.uint8)


def test_the_eight_symmetries_are_distinct_and_complete() -> None:
    pixels = coordinates(5, 5)
    images = [symmetry(pixels, which) for which in range(SYMMETRIES)]
    assert np.array_equal(images[0], pixels)
    assert len({image.tobytes() for image in images}) == 8
    # The group of the square is closed: a symmetry of a symmetry is again one of the eight.
    found = {symmetry(image, which).tobytes() for image in images for which in range(SYMMETRIES)}
    assert found == {image.tobytes() for image in images}


def test_the_first_symmetries_are_the_mirrors() -> None:
    pixels = coordinates(5, 5)
    expected = [pixels, pixels[:, ::-1], pixels[::-1], pixels[::-1, ::-1], pixels.swapaxes(0, 1)]
    for which, image in enumerate(expected):
        assert np.array_equal(symmetry(pixels, which), image)
        assert np.array_equal(symmetry(pixels[:, ::-1], which), symmetry(pixels[:, ::-1].copy(), which))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_views_of_a_batch_are_the_symmetries_of_its_images(count: int, layout: torch.memory_format) -> None:
    pixels = np.stack([coordinates(6, 6), 200 - coordinates(6, 6)])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    views = list(symmetry_views(images, count))
    assert len(views) == count
    for which, view in enumerate(views):
        assert view.is_contiguous(memory_format=layout)
        for image, turned in zip(pixels, view.permute(0, 2, 3, 1).numpy(), strict=True):
            assert np.array_equal(turned, symmetry(image, which))


def test_random_numbers_are_even_and_depend_on_the_whole_key_alone() -> None:
    assert list(random_numbers(1, 2)) == list(random_numbers(1, 2))
    keys = [(seed, epoch, row) for seed in range(2) for epoch in range(10) for row in range(100)]
    numbers = np.array([list(random_numbers(*key)) for key in [*keys, (12, 3), (1, 23)]])
    assert len(np.unique(numbers)) == numbers.size
    assert 0 <= numbers.min() < 0.001
    assert 0.999 < numbers.max() < 1
    # 32,000 numbers in tenths: one of them holds 3,200 with a standard deviation of 54.
    assert np.abs(np.histogram(numbers[: len(keys)], 10, (0, 1))[0] - 3200).max() < 5 * 54
    # Neither do those of one image depend on each other, or on those of the row before: 0.0224 is one deviation.
    columns = np.hstack([numbers[1:], numbers[:-1]])
    assert np.abs(np.corrcoef(columns.T) - np.eye(32)).max() < 5 * 0.0224
    # What a run draws stays what it is, so that it goes on as it began.
    assert list(random_numbers(0, 2, 1, 7))[:2] == pytest.approx([0.687985, 0.88519], abs=1e-6)


@pytest.mark.parametrize("channels", [3, 5])
def test_each_image_of_a_batch_is_turned_by_its_own_symmetry(channels: int) -> None:
    images = torch.randint(256, (SYMMETRIES, 6, 6, channels), generator=torch.Generator().manual_seed(0)).byte()
    which = torch.arange(SYMMETRIES, dtype=torch.uint8).flip(0)
    expected = np.stack([symmetry(image, number) for image, number in zip(images.numpy(), which.tolist(), strict=True)])
    assert np.array_equal(turn(images, which), expected)
    assert np.array_equal(turn_at_once(images, which), expected)


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_all_symmetries_asked_for_are_drawn(count: int) -> None:
    augment = Augmentation(image_size=8, crop_scale=1.0, symmetries=count)
    drawn = [augment(coordinates(8, 8), random_numbers(number))[1] for number in range(100)]
    assert set(drawn) == set(range(count))


@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    scale=st.floats(0.01, 1),
    ratio=st.floats(1, 4),
    seed=st.integers(0, 99),
)
def test_crops_lie_in_the_image_and_keep_area_and_ratio(
    height: int, width: int, scale: float, ratio: float, seed: int
) -> None:
    crop = random_crop(coordinates(height, width), scale, ratio, random_numbers(seed))
    high, wide = crop.shape[:2]
    top, left = crop[0, 0, :2]
    assert np.array_equal(crop, coordinates(height, width)[top : top + high, left : left + wide])
    square = min(height, width) ** 2
    # Rounding moves each side by half a pixel.
    assert (high + 0.5) * (wide + 0.5) >= scale * square - 1e-6
    assert (high - 0.5) * (wide - 0.5) <= square + 1e-6
    assert (wide - 0.5) / (high + 0.5) <= ratio + 1e-6
    assert (high - 0.5) / (wide + 0.5) <= ratio + 1e-6


def test_ratios_and_areas_are_spread() -> None:
    draw = itertools.chain.from_iterable(random_numbers(number) for number in itertools.count())
    shapes = np.array([random_crop(coordinates(90, 120), 0.3, 1.5, draw).shape[:2] for _ in range(400)])
    ratios, areas = shapes[:, 1] / shapes[:, 0], shapes.prod(axis=1) / 90**2
    assert ratios.min() < 0.72
    assert ratios.max() > 1.4
    assert 0.45 < (ratios > 1).mean() < 0.65
    assert areas.min() < 0.32
    assert areas.max() > 0.97
    squares = [random_crop(coordinates(90, 120), 0.3, 1.0, draw).shape[:2] for _ in range(100)]
    assert all(high == wide for high, wide in squares)


@pytest.mark.parametrize("size", [(20, 20), (50, 31), (7, 90)])
def test_resizing_is_torchvisions_and_near_pillows(size: tuple[int, int], picture: Callable) -> None:
    image = picture([0, 3], seed=1, size=(48, 40))
    found = resize(np.asarray(image).copy(), size)
    expected = functional.resize(torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1), size, antialias=True)
    assert np.abs(found.astype(int) - expected.permute(1, 2, 0).numpy()).max() <= 1
    by_pillow = np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(found - by_pillow).max() <= 2


def by_opencv_and_by_pillow(pixels: Pixels, side: int) -> tuple[np.ndarray, np.ndarray]:
    found = resize_crop(pixels, np.empty((side, side, 3), np.uint8))
    expected = Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR)
    return found.astype(int), np.asarray(expected).astype(int)


@pytest.mark.parametrize("size", [(40, 40), (63, 48), (64, 17)])
def test_crops_grow_as_pillows(size: tuple[int, int], picture: Callable) -> None:
    pixels = np.array(picture([0, 3], seed=1, size=size))
    found, expected = by_opencv_and_by_pillow(pixels, 64)
    assert np.abs(found - expected).max() <= 1


def test_crops_that_shrink_a_little_are_sharper_than_pillows(shared: Path) -> None:
    files = sorted((shared / "data" / "ucm_release" / "Images").glob("*/*.jpg"))[::60]
    assert files
    scenes = [decode_pixels({"bytes": path.read_bytes(), "path": None}, path.name)[:250, :250] for path in files]
    pairs = [by_opencv_and_by_pillow(scene, 219) for scene in scenes]  # 250 / 219 is 8/7
    assert np.mean([np.abs(found - expected).mean() for found, expected in pairs]) < 1.5
    assert np.abs(np.mean([found.mean() - expected.mean() for found, expected in pairs])) < 0.25
    # Pillow softens edges, and no pixel is passed over: all that differs is how far.
    assert all(found.std() >= expected.std() for found, expected in pairs)


def test_crops_that_shrink_much_are_antialiased(picture: Callable) -> None:
    pixels = np.array(picture([0, 3], seed=1, size=(90, 80)))
    found, expected = by_opencv_and_by_pillow(pixels, 40)
    assert np.abs(found - expected).max() <= 2


@pytest.mark.parametrize("channels", [1, 2, 4, 5, 13])
@pytest.mark.parametrize("side", [20, 30, 70])
def test_crops_of_any_bands_are_resized_and_turned_band_by_band(channels: int, side: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 60, channels)).astype(np.uint8)[2:35, 1:34]
    found = resize_crop(pixels, np.empty((side, side, channels), np.uint8))
    for channel in range(channels):
        band = resize_crop(pixels[..., channel : channel + 1], np.empty((side, side, 1), np.uint8))
        assert np.array_equal(found[..., channel : channel + 1], band)
    for which in range(SYMMETRIES):
        bands = [symmetry(found[..., channel : channel + 1], which) for channel in range(channels)]
        assert np.array_equal(symmetry(found, which), np.concatenate(bands, axis=2))


@pytest.mark.parametrize("seed", range(8))
def test_a_view_is_written_where_the_batch_wants_it(seed: int) -> None:
    batch = np.zeros((3, 16, 16, 3), np.uint8)
    augment = Augmentation(16, crop_scale=0.5)
    view, *_ = augment(coordinates(20, 20), random_numbers(seed), batch[1])
    assert np.shares_memory(view, batch)
    assert np.array_equal(batch[1], augment(coordinates(20, 20), random_numbers(seed))[0])
    assert not batch[[0, 2]].any()


def test_colors_change_only_if_asked() -> None:
    assert Augmentation(8, 0.5)(coordinates(9, 9), random_numbers(0))[2] is None
    matrix = Augmentation(8, 0.5, jitter=0.3)(coordinates(9, 9), random_numbers(0))[2]
    assert matrix.shape == (3, 4)
    assert matrix.dtype == np.float32


def test_large_images_are_shrunk_and_others_stay(picture: Callable) -> None:
    transform = StoredTransform(image_size=224)
    for size in [(256, 256), (247, 250), (300, 256)]:
        image = np.array(picture([0, 1], seed=5, size=size))
        assert transform(image) is image
    assert transform(np.array(picture([], seed=5, size=(600, 512)))).shape == (256, 300, 3)


PIXELS = np.random.default_rng(0).integers(90, 150, (20, 30, 3)).astype(np.uint8)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("factors", [(1.2, 0.7, 1.4), (0.8, 1.3, 0.6), (1.0, 1.0, 0.0)])
def test_the_matrix_is_torchvisions_changes_in_any_order(
    order: tuple[int, ...], factors: tuple[float, float, float]
) -> None:
    # No color leaves 0 to 1 here, and torchvision does not round floats.
    image = torch.from_numpy(PIXELS).permute(2, 0, 1) / 255
    operations = (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation)
    for number in order:
        image = operations[number](image, factors[number])
    matrix = color_matrix(*factors, mean_gray(PIXELS))
    ours = PIXELS @ matrix[:, :3].T + matrix[:, 3]
    # torchvision's shares of gray sum to 0.9999.
    assert np.abs(ours - 255 * image.permute(1, 2, 0).numpy()).max() < 0.05


def test_factors_of_one_change_nothing() -> None:
    assert np.allclose(color_matrix(1, 1, 1, 77.0), np.eye(3, 4), atol=1e-7)


@pytest.mark.parametrize("size", [(3, 5), (300, 4), (257, 2), (258, 2)])
def test_mean_gray(size: tuple[int, int]) -> None:
    assert mean_gray(np.full((*size, 3), 255, np.uint8)) == pytest.approx(255)
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)
    red, green, blue = pixels.reshape(-1, 3).mean(axis=0)
    assert mean_gray(pixels) == pytest.approx(0.299 * red + 0.587 * green + 0.114 * blue)


def test_factors_are_drawn_from_their_range() -> None:
    draw = itertools.chain.from_iterable(random_numbers(number) for number in itertools.count())
    black = np.zeros((2, 2, 3), np.uint8)
    # The rows of a matrix sum to brightness times contrast, because gray of gray is gray.
    scales = [random_color_matrix(black, 0.3, draw)[:, :3].sum(axis=1) for _ in range(300)]
    assert np.ptp(scales, axis=1).max() < 1e-6
    assert 0.7**2 <= np.min(scales) < 0.6
    assert 1.5 < np.max(scales) <= 1.3**2
    # No factor is below 0, however wide the range.
    assert min(random_color_matrix(black, 5, draw)[:, :3].sum(axis=1).min() for _ in range(50)) >= -1e-5
