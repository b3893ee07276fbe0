import itertools

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from mlrsnet_hf.inputs.augmentation import color_matrix, mean_gray, random_color_matrix

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
    draw = np.random.default_rng(0)
    black = np.zeros((2, 2, 3), np.uint8)
    # The rows of a matrix sum to brightness times contrast, because gray of gray is gray.
    scales = [random_color_matrix(black, 0.3, draw)[:, :3].sum(axis=1) for _ in range(300)]
    assert np.ptp(scales, axis=1).max() < 1e-6
    assert 0.7**2 <= np.min(scales) < 0.6
    assert 1.5 < np.max(scales) <= 1.3**2
    # No factor is below 0, however wide the range.
    assert min(random_color_matrix(black, 5, draw)[:, :3].sum(axis=1).min() for _ in range(50)) >= -1e-5
