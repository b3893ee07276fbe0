"""examples/quickstart.ipynb, run from its first cell to its last as a person would."""

import re
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "quickstart.ipynb"
nbformat = pytest.importorskip("nbformat", reason="needs nbformat, which comes with nbclient")


def test_it_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert [cell.outputs for cell in notebook.cells if cell.cell_type == "code" and cell.outputs] == []


@pytest.mark.slow
def test_every_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient")
    pytest.importorskip("ipykernel", reason="needs ipykernel")
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):  # which would lie in the home folder
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    said = "".join(output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs)
    assert "num_rows: 644" in said
    assert re.search(r"mAP 0\.\d{4}", said)
    assert "Traceback" not in said
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    (folder,) = tmp_path.glob("quickstart-*")
    for file in ("run/model/config.json", "evaluation/predictions.parquet", "evaluation/evaluation.html"):
        assert (folder / file).is_file()
    assert "(644, " in said
