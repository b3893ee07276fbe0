"""Checks of the arrays that metrics take. What is refused is a ConfigurationError with argument and position."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError

SMALLEST = int(np.iinfo(np.int64).min)
"""As `at_least`, any whole number."""


def to_array(values: npt.ArrayLike | Any) -> np.ndarray:  # noqa: ANN401 - torch is not imported here
    """Return lists of one length, NumPy arrays and torch tensors (of any device and dtype) as a NumPy array."""
    if hasattr(values, "detach"):
        tensor = values.detach().cpu()
        # NumPy has no bfloat16.
        return np.asarray(tensor.float() if tensor.is_floating_point() and tensor.element_size() < 4 else tensor)
    try:
        return np.asarray(values)
    except ValueError:  # NumPy's word for rows of several lengths
        raise ConfigurationError("the rows of an array have several lengths", "Pass rows of one length.") from None


def refuse_where(wrong: npt.NDArray[np.bool_], name: str, values: np.ndarray, remedy: str) -> None:
    """Refuse an array in which a value is wrong; the error names the position of the first: `scores[3, 0] is nan`."""
    if wrong.any():
        position = tuple(np.argwhere(wrong)[0])
        where = f"[{', '.join(map(str, position))}]" if position else ""
        raise ConfigurationError(f"{name}{where} is {values[position]}", remedy)


def zeros_and_ones(name: str, values: np.ndarray, remedy: str = "Pass 0 and 1.") -> npt.NDArray[np.bool_]:
    """Return an array of 0 and 1, of any shape, as bool; refuse other values."""
    if values.dtype == bool:
        return values
    binary = values.astype(bool)
    refuse_where(binary != values, name, values, remedy)
    return binary


def binary_matrix(name: str, values: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return an (N, L) array of 0 and 1 as bool; refuse other dimensions, no row and other values."""
    return zeros_and_ones(name, _matrix(name, values), "Pass 0 and 1 (or scores together with a threshold).")


def score_matrix(name: str, values: npt.ArrayLike) -> npt.NDArray[np.floating]:
    """Return an (N, L) array of finite scores as float32 or float64; refuse other dimensions, NaN and infinity."""
    array = _matrix(name, values)
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float32 if array.dtype == np.float16 else np.float64)
    refuse_where(~np.isfinite(array), name, array, "Scores must be finite.")
    return array


def targets_and_scores(
    targets: npt.ArrayLike, scores: npt.ArrayLike
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.floating]]:
    """Return (N, L) true labels and (N, L) scores, checked one by one and against each other."""
    true, values = binary_matrix("targets", targets), score_matrix("scores", scores)
    require_same_shape(true, "scores", values)
    return true, values


def require_same_shape(targets: np.ndarray, name: str, values: np.ndarray) -> None:
    """Refuse arrays of two shapes."""
    if targets.shape != values.shape:
        raise ConfigurationError(
            f"targets have shape {targets.shape} but {name} {values.shape}",
            "Both need one row per image and one column per label.",
        )


def whole_number(name: str, value: object, at_least: int = 1) -> int:
    """Return a whole number of at least `at_least` as an int, also if it comes as 2.0 or an array of no dimension."""
    array = to_array(value)
    if array.ndim == 0 and array.dtype.kind in "iuf" and np.isfinite(array) and array == int(array) >= at_least:
        return int(array)
    raise ConfigurationError(f"{name}={value!r} cannot be used", f"Give a whole number of at least {at_least}.")


def whole_numbers(name: str, values: npt.ArrayLike, at_least: int = 0) -> npt.NDArray[np.int64]:
    """Return an array of whole numbers of at least `at_least`, of a floating-point type too, as int64."""
    array = to_array(values)
    if array.dtype.kind not in "iuf" and array.size:
        raise ConfigurationError(f"{name} hold {array.flat[0]!r}", "Pass whole numbers.")
    with np.errstate(invalid="ignore"):
        whole = array.astype(np.int64, copy=False)
    wrong = whole < at_least if array.dtype.kind in "iu" else (whole != array) | (whole < at_least)
    refuse_where(wrong, name, array, f"Pass whole numbers of at least {at_least}.")
    return whole


def require_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """Refuse a value that is none of the choices."""
    if value not in choices:
        raise ConfigurationError(f"{name}={value!r} is not known", f"Choose among {', '.join(map(repr, choices))}.")


def require_one_kind(arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse classes that are ids in one array and names in another, or fractions: they would never be equal."""
    kinds = {name: _kind(values) for name, values in arrays.items()}
    if all(values.size for values in arrays.values()) and len(set(kinds.values())) > 1:
        found = " and ".join(f"{name} hold {kind}" for name, kind in kinds.items())
        raise ConfigurationError(found, "Pass ids on both sides or names on both sides.")
    for name, values in arrays.items():
        if values.dtype.kind == "f":
            whole_numbers(name, values, at_least=SMALLEST)


def _kind(values: np.ndarray) -> str:
    if values.dtype.kind in "biuf":
        return "numbers"
    if values.dtype.kind in "UST" or all(isinstance(value, str) for value in values.flat):
        return "names"
    return f"values of type {values.dtype}"


def _matrix(name: str, values: npt.ArrayLike) -> np.ndarray:
    array = to_array(values)
    if array.ndim != 2 or not array.size:
        raise ConfigurationError(
            f"{name} have shape {array.shape}", "Pass a non-empty array of shape (images, labels)."
        )
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == bool):
        raise ConfigurationError(f"{name} have dtype {array.dtype}", "Pass numbers.")
    return array
