"""The data flows one way: a module imports only from its own stage and from the stages before it.

Inside a stage its folders have an order too, and neither they nor its modules import each other in circles.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

STAGES = [
    "escaping",
    "errors",
    "files",
    "hub_download",
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
    "prediction",
    "retrieval",
    "publishing",
    "reports",
    "benchmark",
    "curation",
    "apps",
    "demo",
    "commands",
    "cli",
    "__main__",
]
OWN = "the stage's own modules"
FOLDERS = {
    "metrics": [OWN, "modules"],
    "release": ["archives", OWN, "audit"],
    "synthetic": [OWN, "plan", "elements", "render", "records", "release"],
    "dataset": ["splits", "near_duplicates", "repository", OWN],
    "inputs": ["pixels", "config", "tables", "columns", OWN],
    "prediction": [OWN, "scenes"],
    "retrieval": ["search", "embeddings", "index", "protocol"],
    "benchmark": [OWN, "engines", "run", "report", "repositories", "publish"],
    "curation": [OWN, "label_studio", "vocabulary", "votes", "diversity", "wrong_labels", "suggestions"],
    "reports": [OWN, "statistics", "retrieval", "inspect", "evaluation"],
}
"""The order of a stage's folders; single modules are named where they stand apart from its own modules."""
HEAVY = ["torch", "timm", "evaluate", "gradio", "matplotlib", "transformers", "accelerate", "datasets", "sklearn"]
LIGHT = [
    "mlrsnet_hf",
    "mlrsnet_hf.apps.config",
    "mlrsnet_hf.benchmark.config",
    "mlrsnet_hf.cli",
    "mlrsnet_hf.curation.config",
    "mlrsnet_hf.errors",
    "mlrsnet_hf.escaping",
    "mlrsnet_hf.files",
    "mlrsnet_hf.published",
    "mlrsnet_hf.taxonomy",
    "mlrsnet_hf.paper_tables",
    "mlrsnet_hf.metrics",
    "mlrsnet_hf.configuration",
    "mlrsnet_hf.inputs.config",
    "mlrsnet_hf.inputs.image_set",
    "mlrsnet_hf.models",
    "mlrsnet_hf.models.choice",
    "mlrsnet_hf.models.paper_networks",
    "mlrsnet_hf.prediction.config",
    "mlrsnet_hf.training.config",
    "mlrsnet_hf.training.families",
    "mlrsnet_hf.training.recipes",
    "mlrsnet_hf.training.results",
    "mlrsnet_hf.prediction.scenes.config",
    "mlrsnet_hf.retrieval.embeddings.config",
    "mlrsnet_hf.retrieval.protocol.config",
]
"""What every command's `--help` touches."""
PACKAGE = Path(__file__).parents[1] / "mlrsnet_hf"

Name = tuple[str, ...]
"""The parts of a module's name after the package's: `("release", "audit", "rows")`."""


def name_of(path: Path) -> Name:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"}


def imports(path: Path) -> set[Name]:
    """Return the modules of the package that a module imports, at its top or inside a function."""
    found: set[Name] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            package, *parts = name.split(".")
            while parts and tuple(parts) not in MODULES:  # a name in a module
                parts.pop()
            if package == "mlrsnet_hf" and parts:
                found.add(tuple(parts))
    return found


def place(module: Name, stage: str) -> int:
    """Return where in the order of its stage's folders a module stands; the stage's `__init__` stands first."""
    if len(module) == 1 or stage not in FOLDERS:
        return 0
    order = FOLDERS[stage]
    is_folder = len(module) > 2 or MODULES[module].name == "__init__.py"
    return order.index(module[1] if is_folder or module[1] in order else OWN)


@pytest.mark.parametrize("module", MODULES, ids="/".join)
def test_imports_point_up(module: Name) -> None:
    stage, imported = module[0], imports(MODULES[module])
    assert {name[0] for name in imported} <= set(STAGES[: STAGES.index(stage) + 1])
    if len(module) > 1:
        own = {name for name in imported if name[0] == stage}
        assert own == {name for name in own if place(name, stage) <= place(module, stage)}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return the nodes of a circle, none if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def parts_graph(stage: str) -> dict[str, set[str]]:
    """Return what each folder and own module of a stage imports of the others."""
    graph: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        if module[0] == stage and len(module) > 1:
            used = {name[1] for name in imports(path) if name[0] == stage and len(name) > 1}
            graph.setdefault(module[1], set()).update(used - {module[1]})
    return graph


def folders() -> Iterator[Name]:
    yield from sorted(name for name, path in MODULES.items() if path.name == "__init__.py")


@pytest.mark.parametrize("stage", sorted({module[0] for module in MODULES if len(module) > 1}))
def test_no_folders_in_a_circle(stage: str) -> None:
    assert circle(parts_graph(stage)) == []


def test_every_folder_has_its_place() -> None:
    inner = {name for name in folders() if len(name) == 2}
    assert {(stage, name) for stage, name in inner if name not in FOLDERS.get(stage, ())} == set()


def test_the_rules_would_notice_a_wrong_import(tmp_path: Path) -> None:
    wrong = tmp_path / "x.py"
    wrong.write_text("def f():\n    from mlrsnet_hf.release.audit.findings import Check, Finding\n")
    assert imports(wrong) == {("release", "audit", "findings")}
    assert place(("release", "audit", "findings"), "release") > place(("release", "repair"), "release")
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) and not circle({"a": {"b", "c"}, "b": {"c"}})


@pytest.mark.parametrize("module", LIGHT)
def test_import_stays_light(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
