"""Checks of the arrays that metrics take; an error names the argument and the position."""

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError


def binary_matrix(name: str, values: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return an (N, L) array of 0 and 1 as bool.

    Raises:
        ConfigurationError: The array has other than two dimensions, no row, or a value other than 0 and 1.
    """
    array = _matrix(name, values)
    wrong = np.argwhere((array != 0) & (array != 1))
    if len(wrong):
        row, column = wrong[0]
        raise ConfigurationError(
            f"{name}[{row}, {column}] is {array[row, column]}", "Pass 0 and 1 (or scores together with a threshold)."
        )
    return array.astype(bool)


def score_matrix(name: str, values: npt.ArrayLike) -> npt.NDArray[np.floating]:
    """Return an (N, L) array of finite scores; integers become float64.

    Raises:
        ConfigurationError: The array has other than two dimensions, no row, or a value that is NaN or infinite.
    """
    array = _matrix(name, values)
    if not np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float64)
    wrong = np.argwhere(~np.isfinite(array))
    if len(wrong):
        row, column = wrong[0]
        raise ConfigurationError(f"{name}[{row}, {column}] is {array[row, column]}", "Scores must be finite.")
    return array


def require_same_shape(targets: np.ndarray, name: str, values: np.ndarray) -> None:
    """Refuse arrays of two shapes."""
    if targets.shape != values.shape:
        raise ConfigurationError(
            f"targets have shape {targets.shape} but {name} {values.shape}",
            "Both need one row per image and one column per label.",
        )


def _matrix(name: str, values: npt.ArrayLike) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 2 or not len(array):
        raise ConfigurationError(
            f"{name} have shape {array.shape}", "Pass a non-empty array of shape (images, labels)."
        )
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == bool):
        raise ConfigurationError(f"{name} have dtype {array.dtype}", "Pass numbers.")
    return array
