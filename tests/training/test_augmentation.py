from collections.abc import Callable

import numpy as np
import pytest

from mlrsnet_hf.training.augmentation import SYMMETRIES, Augmentation, StoredTransform, random_crop, symmetry
from mlrsnet_hf.training.preprocessing import Pixels


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


def test_all_symmetries_are_drawn() -> None:
    augment = Augmentation(image_size=8, crop_scale=1.0)
    draw = np.random.default_rng(0)
    assert len({augment(coordinates(8, 8), draw).tobytes() for _ in range(100)}) == 8


@pytest.mark.parametrize(("height", "width"), [(40, 40), (40, 70), (61, 40)])
def test_crops_are_squares_of_the_allowed_area(height: int, width: int) -> None:
    draw = np.random.default_rng(0)
    sides = []
    for _ in range(200):
        crop = random_crop(coordinates(height, width), 20, 0.25, draw).astype(int)
        assert crop.shape == (20, 20, 3)
        rise, run = (int(np.ptp(crop[..., axis])) + 1 for axis in (0, 1))
        assert abs(rise - run) <= 2
        sides.append(rise)
    # At least a quarter of the area is at least half of the side; resizing averages a pixel or two away.
    assert 18 <= min(sides) <= 23
    assert 37 <= max(sides) <= 40


def test_a_whole_square_is_only_turned() -> None:
    pixels = coordinates(16, 16)
    augmented = Augmentation(16, crop_scale=1.0)(pixels, np.random.default_rng(1))
    assert sorted(augmented.flatten()) == sorted(pixels.flatten())


def test_scenes_of_256_pixels_stay_untouched_for_224(picture: Callable) -> None:
    transform = StoredTransform(image_size=224)
    image = picture([0, 1], seed=5, size=(256, 256))
    assert np.array_equal(transform(image), image)
    assert transform(picture([], seed=5, size=(600, 512))).shape == (256, 300, 3)
