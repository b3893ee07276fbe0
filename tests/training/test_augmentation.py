from collections.abc import Callable

import numpy as np
import pytest
import torch

from mlrsnet_hf.training.augmentation import SYMMETRIES, augmentation, random_crop, stored_transform, symmetry
from mlrsnet_hf.training.preprocessing import Preprocessing


def coordinates(side: int) -> torch.Tensor:
    """Return (3, side, side) uint8 pixels that hold their own row and column."""
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return torch.stack([row, column, row + column]).to(torch.uint8)


def test_the_eight_symmetries_are_distinct_and_complete() -> None:
    pixels = coordinates(5)
    images = [symmetry(pixels, which) for which in range(SYMMETRIES)]
    assert torch.equal(images[0], pixels)
    assert len({image.numpy().tobytes() for image in images}) == 8
    # The group of the square is closed: a symmetry of a symmetry is again one of the eight.
    found = {symmetry(image, which).contiguous().numpy().tobytes() for image in images for which in range(SYMMETRIES)}
    assert found == {image.contiguous().numpy().tobytes() for image in images}


def test_all_symmetries_are_drawn() -> None:
    augment = augmentation(image_size=8, crop_scale=1.0, color_jitter=0.0)
    draw = np.random.default_rng(0)
    assert len({augment(coordinates(8), draw).numpy().tobytes() for _ in range(100)}) == 8


@pytest.mark.parametrize(("height", "width"), [(40, 40), (40, 70), (61, 40)])
def test_crops_are_squares_of_the_allowed_area(height: int, width: int) -> None:
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixels = torch.stack([row, column, row]).to(torch.uint8)
    draw = np.random.default_rng(0)
    sides = []
    for _ in range(200):
        crop = random_crop(pixels, 20, 0.25, draw).int()
        rise, run = (int(crop[axis].max() - crop[axis].min()) + 1 for axis in (0, 1))
        assert abs(rise - run) <= 2
        sides.append(rise)
    assert min(sides) >= 18
    assert max(sides) <= 40
    assert max(sides) - min(sides) > 15


def test_jitter_changes_colours_only_when_asked() -> None:
    pixels = torch.randint(0, 255, (3, 16, 16), dtype=torch.uint8)
    same = augmentation(16, 1.0, 0.0)(pixels, np.random.default_rng(1))
    other = augmentation(16, 1.0, 0.4)(pixels, np.random.default_rng(1))
    assert same.dtype == other.dtype == torch.uint8
    assert sorted(same.flatten().tolist()) == sorted(pixels.flatten().tolist())
    assert not torch.equal(same, other)


def test_scenes_of_256_pixels_stay_untouched_for_224(picture: Callable) -> None:
    preprocessing = Preprocessing(
        image_size=224, crop_pct=1.0, crop_mode="center", interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3
    )
    image = picture([0, 1], seed=5, size=(256, 256))
    assert np.array_equal(stored_transform(preprocessing)(image).permute(1, 2, 0), image)
    assert stored_transform(preprocessing)(picture([], seed=5, size=(600, 512))).shape == (3, 256, 300)
