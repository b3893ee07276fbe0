"""The data flows one way: a module imports only from its own stage and from the stages above it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

STAGES = [
    "errors",
    "files",
    "resumable_folder",
    "parallel",
    "configuration",
    "runtime",
    "published",
    "taxonomy",
    "paper_tables",
    "metrics",
    "release",
    "synthetic",
    "dataset",
    "inputs",
    "models",
    "evaluation",
    "training",
    "retrieval",
    "publishing",
    "reports",
    "demo",
    "cli",
]
HEAVY = ["torch", "timm", "evaluate", "matplotlib", "transformers", "accelerate", "datasets", "sklearn"]
PACKAGE = Path(__file__).parents[1] / "mlrsnet_hf"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imported_stages(path: Path) -> set[str]:
    """Return the stages that a module imports, at its top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("mlrsnet_hf.")} - {"__version__"}


@pytest.mark.parametrize("path", MODULES, ids=[path.relative_to(PACKAGE).as_posix() for path in MODULES])
def test_imports_point_up(path: Path) -> None:
    stage = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if stage == "__main__":
        return
    allowed = STAGES[: STAGES.index(stage) + 1]
    assert imported_stages(path) <= set(allowed)


def test_the_rule_would_notice_a_wrong_import(tmp_path: Path) -> None:
    wrong = tmp_path / "x.py"
    wrong.write_text("def f():\n    from mlrsnet_hf.training import trainer\n")
    assert imported_stages(wrong) == {"training"}


@pytest.mark.parametrize("module", ["mlrsnet_hf", "mlrsnet_hf.taxonomy", "mlrsnet_hf.metrics", "mlrsnet_hf.cli"])
def test_import_stays_light(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
