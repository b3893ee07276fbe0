"""Pushed to a Hub of this machine by the real client, and loaded back by the real libraries, each in its own process."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

HubT = Any


def code_blocks(card: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", card, re.DOTALL)


LOAD_BACK = """
import json, sys
import timm, torch
from transformers import AutoModelForImageClassification
from mlrsnet_hf.training.saved_model import load_model

pixels = torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(1))
with torch.inference_mode():
    expected = load_model(__import__("pathlib").Path(sys.argv[1])).model(pixels)
    by_timm = timm.create_model("hf-hub:jane/scenes", pretrained=True).eval()(pixels)
    by_transformers = AutoModelForImageClassification.from_pretrained("jane/scenes").eval()(pixels).logits
for logits in (by_timm, by_transformers):
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)
for code in json.loads(sys.argv[2]):
    exec(code)
"""


@pytest.mark.slow
def test_a_run_becomes_a_model_that_timm_and_transformers_load(hub: HubT, finished_run: Path, tmp_path: Path) -> None:
    published = hub.publish(finished_run, "jane/scenes", "--dataset-id", "jane/mlrsnet")
    assert published.returncode == 0, published.stderr
    (commit,) = hub.commits("models/jane/scenes")
    assert set(commit["files"]) == {
        ".gitattributes",
        ".eval_results/mlrsnet.yaml",
        "README.md",
        "config.json",
        "curves.png",
        "history.csv",
        "model.safetensors",
        "results.json",
        "settings.yaml",
    }
    assert f"{hub.endpoint}/jane/scenes at {commit['oid']}" in published.stdout
    assert published.stderr == ""  # no progress bars where nobody watches
    Image.new("RGB", (160, 160), "green").save(tmp_path / "scene.jpg")
    card = hub.python("from huggingface_hub import ModelCard; print(ModelCard.load('jane/scenes').content)")
    blocks = code_blocks(card)
    assert len(blocks) == 2
    printed = hub.python(LOAD_BACK, finished_run / "model", json.dumps(blocks), cwd=tmp_path)
    by_timm, by_transformers = map(eval, printed.splitlines())
    assert by_timm.keys() == by_transformers.keys() != set()
    for name in ("results.json", "settings.yaml"):
        text = hub.python(
            f"from huggingface_hub import hf_hub_download as d; print(open(d('jane/scenes', '{name}')).read())"
        )
        assert "train" in text
        assert "/home/jane" not in text


DATASET = """
import json, sys
from datasets import load_dataset

for streaming in (False, True):
    data = load_dataset("jane/mlrsnet", "ratio20", streaming=streaming)
    print(json.dumps({name: [row["id"] for row in split] for name, split in data.items()}))
    print(next(iter(data["train"]))["image"].size)
"""


def test_a_prepared_dataset_is_loaded_by_plain_datasets(hub: HubT, prepared: Path) -> None:
    from datasets import load_dataset

    published = hub.publish(prepared, "jane/mlrsnet", "--private")
    assert published.returncode == 0, published.stderr
    assert hub.repo("datasets/jane/mlrsnet")["private"] is True
    (commit,) = hub.commits("datasets/jane/mlrsnet")
    here = {path.relative_to(prepared).as_posix() for path in prepared.rglob("*") if path.is_file()}
    assert set(commit["files"]) == {".gitattributes", *here}
    loaded, size, streamed, streamed_size = hub.python(DATASET).splitlines()
    expected = {name: split["id"] for name, split in load_dataset(str(prepared), "ratio20").items()}
    assert json.loads(loaded) == json.loads(streamed) == expected
    assert size == streamed_size == "(16, 16)"


def test_a_metric_becomes_a_space_that_evaluate_loads(hub: HubT) -> None:
    from mlrsnet_hf import metric_path

    published = hub.publish(metric_path("sample_f1"), "jane/sample_f1")
    assert published.returncode == 0, published.stderr
    assert hub.repo("spaces/jane/sample_f1")["sdk"] == "gradio"
    value = hub.python(
        "import evaluate; m = evaluate.load('jane/sample_f1');"
        "print(m.compute(predictions=[[1, 1, 0]], references=[[1, 0, 0]])['sample_f1'])",
        token=None,
    )
    assert float(value) == pytest.approx(2 / 3)


def test_embeddings_become_a_dataset(hub_in_process: HubT, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from mlrsnet_hf.publishing.publish import publish

    folder = tmp_path / "embeddings"
    (folder / "data").mkdir(parents=True)
    pq.write_table(pa.table({"id": ["a"], "embedding": [[1.0]]}), folder / "data/part-0.parquet")
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# Embeddings\n")
    (folder / "embeddings.json").write_text("{}")
    publish(folder, "earthlab/embeddings")
    (commit,) = hub_in_process.commits("datasets/earthlab/embeddings")
    assert "data/part-0.parquet" in commit["files"]
