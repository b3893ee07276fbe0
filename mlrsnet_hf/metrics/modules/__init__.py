"""What the `evaluate` modules in the folder `metrics/` share: forms of input, how they are read, the page of a Space.

Nothing here imports `evaluate` before a module is loaded; the modules do, which stand outside the package.
"""

from pathlib import Path

from mlrsnet_hf.errors import UnknownNameError, name_alternatives

_PACKAGE = Path(__file__).parents[2]


def metric_path(name: str) -> str:
    """Return the folder of one of this package's `evaluate` modules, for `evaluate.load`; needs no network.

    Args:
        name: "anmrr", "multilabel_map", "precision_at_k", "retrieval_map" or "sample_f1".

    Raises:
        UnknownNameError: There is no such module; the message lists near or all names.

    Examples:
        >>> Path(metric_path("anmrr")).name
        'anmrr'
    """
    shipped = _PACKAGE / "evaluate_modules"  # in a wheel; in a checkout the folder beside the package
    folder = shipped if shipped.is_dir() else _PACKAGE.parent / "metrics"
    known = sorted(path.parent.name for path in folder.glob("*/*.py") if path.stem == path.parent.name)
    if name not in known:
        raise UnknownNameError(f"{name!r} is not one of the evaluate modules", name_alternatives(name, known))
    return str(folder / name)
