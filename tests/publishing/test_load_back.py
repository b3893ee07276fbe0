"""Pushed by `mlrsnet publish`, and loaded back by the libraries that people use, each in a process of its own."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mlrsnet_hf import metric_path

LOAD_BACK = """
import json, os, re, sys
from pathlib import Path
import evaluate, timm, torch
from datasets import load_dataset
from huggingface_hub import hf_hub_download
from transformers import AutoModelForImageClassification
from mlrsnet_hf.models.saved_model import load_model

pixels = torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(1))
with torch.inference_mode():
    expected = load_model(Path(sys.argv[1])).model(pixels)
    by_timm = timm.create_model("hf-hub:jane/scenes@v2", pretrained=True).eval()(pixels)
    other = AutoModelForImageClassification.from_pretrained("jane/scenes", revision="v2").eval()
    by_transformers = other(pixels).logits
differences = [float((logits - expected).abs().max()) for logits in (by_timm, by_transformers)]
print(json.dumps(differences))

card = Path(hf_hub_download("jane/scenes", "README.md", revision="v2")).read_text()
for code in re.findall(r"```python\\n(.*?)```", card, re.DOTALL):
    exec(code)

for streaming in (False, True):
    data = load_dataset("jane/mlrsnet", "ratio20", streaming=streaming)
    print(json.dumps({name: [row["id"] for row in split] for name, split in data.items()}))

metric = evaluate.load("jane/sample_f1")
print(metric.compute(predictions=[[1, 1, 0]], references=[[1, 0, 0]])["sample_f1"])
"""


TRAIN = Path(__file__).parents[2] / "examples" / "train.py"
SLUG = "jane/scenes-0123456789abcdef01234567"


def train_and_push(hub: Any, release: Path, run: Path) -> None:  # noqa: ANN401
    """Train for one epoch, with every option of publishing."""
    command = [sys.executable, TRAIN, "--recipe", "debug_cpu", "--epochs", "1", "--batch-size", "4"]
    command += ["--tune-thresholds", "--data-dir", release, "--output-dir", run, "--push-to-hub", "jane/scenes"]
    command += ["--revision", "v2", "--hub-collection", SLUG, "--dataset-id", "jane/mlrsnet", "--license", "mit"]
    trained = hub.process([*map(str, command), "--private"], hub.write_token)
    assert trained.returncode == 0, trained.stderr
    assert re.search(r"published .*jane/scenes at [0-9a-f]{40}\n$", trained.stdout)
    assert hub.write_token not in trained.stdout + trained.stderr
    (commit,) = hub.commits("models/jane/scenes", "v2")
    assert {"README.md", "model.safetensors", "history.json", ".eval_results/mlrsnet.yaml"} <= set(commit["files"])
    assert hub.repo("models/jane/scenes")["private"] is True
    assert hub.ask("repos")["collections"][SLUG] == [["jane/scenes", "model"]]


@pytest.mark.slow
def test_model_dataset_and_metric_load_back(
    hub: Any,  # noqa: ANN401
    prepared: Path,
    tmp_path: Path,
) -> None:
    from datasets import load_dataset

    run = tmp_path / "run"
    train_and_push(hub, prepared.parent / "release", run)
    for arguments in ((prepared, "jane/mlrsnet", "--private"), (metric_path("sample_f1"), "jane/sample_f1")):
        published = hub.publish(*arguments)
        assert published.returncode == 0, published.stderr
        assert re.search(rf"published .*{arguments[1]} at [0-9a-f]{{40}}\n$", published.stdout)
        assert published.stderr == ""  # no progress bars where nobody watches
    Image.new("RGB", (160, 160), "green").save(tmp_path / "scene.jpg")
    lines = hub.python(LOAD_BACK, run / "model", cwd=tmp_path).splitlines()
    differences, by_timm, by_transformers, loaded, streamed, value = lines
    assert max(json.loads(differences)) < 1e-5
    answers = [dict(re.findall(r"'([^']+)': ([0-9.e-]+)", line)) for line in (by_timm, by_transformers)]
    assert answers[0].keys() == answers[1].keys() != set()
    expected = {name: split["id"] for name, split in load_dataset(str(prepared), "ratio20").items()}
    assert json.loads(loaded) == json.loads(streamed) == expected
    assert float(value) == pytest.approx(2 / 3)


def test_a_space_has_all_that_its_page_imports(hub: Any) -> None:  # noqa: ANN401
    """From the Space's files alone, isolated from this installation of the package."""
    published = hub.publish(metric_path("anmrr"), "jane/anmrr", "--dry-run")
    folder = Path(published.stdout.split("look at ")[1].strip())
    code = (
        "import sys; sys.path.insert(0, '.');"
        "import mlrsnet_hf, mlrsnet_hf.metrics.modules.page, mlrsnet_hf.metrics.modules.retrieval;"
        "from pathlib import Path; print(Path(mlrsnet_hf.__file__).parent)"
    )
    assert hub.python(code, cwd=folder).strip() == str(folder / "mlrsnet_hf")
    assert "evaluate>=" in (folder / "requirements.txt").read_text()
    assert "mlrsnet-hf" not in (folder / "requirements.txt").read_text()
