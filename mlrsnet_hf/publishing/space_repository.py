"""An evaluate module to a Space: the module, its card and page, and what the page needs to run.

A Space installs requirements.txt and then runs app.py among the repository's files. The package goes along as files, so
that the Space shows what this version computes, whatever a package index holds; its dependencies are required.
"""

import re
from importlib.metadata import requires
from pathlib import Path

import mlrsnet_hf
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.publishing.repository import CARD, Repository, files_of, place

_PACKAGE = "mlrsnet_hf"
_MODULES = "evaluate_modules"
"""Where an installed package keeps the metric folders themselves."""
_PAGE, _REQUIREMENTS = "app.py", "requirements.txt"


def is_metric(path: Path) -> bool:
    """Tell whether a folder is that of an evaluate module."""
    return all((path / name).is_file() for name in (f"{path.name}.py", _PAGE, CARD))


def build_space(path: Path, folder: Path, repo_id: str) -> Repository:
    """Fill a folder with what a metric's Space holds.

    Args:
        path: The metric's folder.
        folder: An empty folder.
        repo_id: USER/NAME; `evaluate.load(repo_id)` looks for NAME.py.

    Raises:
        ConfigurationError: NAME is not the module's.
    """
    if repo_id.partition("/")[2] != path.name:
        raise ConfigurationError(
            f"{repo_id}: evaluate.load would look for {repo_id.partition('/')[2]}.py, and the module is {path.name}.py",
            f"Name the Space {repo_id.partition('/')[0]}/{path.name}.",
        )
    for name, source in files_of(path).items():
        place(source, folder / name)
    package = Path(mlrsnet_hf.__file__).parent
    for name, source in files_of(package).items():
        if not name.startswith(f"{_MODULES}/"):
            place(source, folder / _PACKAGE / name)
    (folder / _REQUIREMENTS).unlink(missing_ok=True)
    (folder / _REQUIREMENTS).write_text("\n".join(_dependencies()) + "\n", encoding="utf-8")
    return Repository(
        kind="metric",
        repo_type="space",
        folder=folder,
        files=files_of(folder),
        owned=(f"{_PACKAGE}/*",),
        space_sdk="gradio",
    )


def _dependencies() -> list[str]:
    """Return what the base install requires, without extras."""
    lines = requires("mlrsnet-hf") or []
    return sorted(line for line in lines if not re.search(r"\bextra\s*==", line))
