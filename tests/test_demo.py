"""The demo as a process, with few images and one epoch: every path that it prints or the README names is there."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlrsnet_hf.demo import complete_demo, run_demo
from mlrsnet_hf.retrieval.embeddings.pictures import find_pictures
from mlrsnet_hf.retrieval.index.index import open_index

CHECKOUT = Path(__file__).parents[1]
RUN = """
import sys
from pathlib import Path
from mlrsnet_hf.demo import run_demo
if __name__ == "__main__":
    run_demo(Path("mlrsnet-demo"), images_per_scene=3, epochs=1)
"""


@pytest.mark.slow
def test_a_small_demo(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(RUN)
    command = [sys.executable, "small.py"]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert finished.returncode == 0, finished.stderr
    printed = re.findall(r"mlrsnet-demo/[\w/.-]+", finished.stdout)
    named_in_readme = re.findall(r"`(mlrsnet-demo/[\w/.-]+)`", (CHECKOUT / "README.md").read_text(encoding="utf-8"))
    assert len(printed) >= 5
    assert named_in_readme
    for path in [*printed, *named_in_readme]:
        assert (tmp_path / path).exists(), path
    results = json.loads((tmp_path / "mlrsnet-demo/run/results.json").read_text())
    assert results["data"]["images"] == {"train": 28, "validation": 14, "test": 96}
    assert f"mAP {results['scores']['test']['map']:.4f}" in finished.stdout

    # Once more: the scenes are taken up, the run is replaced.
    again = run_demo(tmp_path / "mlrsnet-demo", images_per_scene=3, epochs=1)
    assert again.scores.test == results["scores"]["test"]
    # And with resume: that run has ended, so there is nothing left to do.
    kept = (tmp_path / "mlrsnet-demo/run/results.json").stat().st_mtime_ns
    ended = run_demo(tmp_path / "mlrsnet-demo", images_per_scene=3, epochs=1, resume=True)
    assert ended.scores.test == again.scores.test
    assert (tmp_path / "mlrsnet-demo/run/results.json").stat().st_mtime_ns == kept

    # For the app an index is built of it, once; the run stays as it is.
    pytest.importorskip("milvus_lite")
    parts = complete_demo(tmp_path / "mlrsnet-demo")
    assert (tmp_path / "mlrsnet-demo/run/results.json").stat().st_mtime_ns == kept
    with open_index(parts.index) as index:
        name = index.images_at([0])[0].id
        assert index.info.scene_names and find_pictures([index.find(name)[0]], index.local).keys() == {name}
    built = (parts.index / "index.json").stat().st_mtime_ns
    assert complete_demo(tmp_path / "mlrsnet-demo") == parts
    assert (parts.index / "index.json").stat().st_mtime_ns == built
