"""compute, add_batch, add, combine and several processes give one result."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import evaluate
import numpy as np
import pytest

from mlrsnet_hf import metric_path

RNG = np.random.default_rng(21)
LABELS = (RNG.random((30, 8)) < 0.3).astype(int)
SCORES = RNG.random((30, 8))
SCENES = RNG.integers(0, 4, 30)
DATABASE = RNG.integers(0, 4, 50)
RANKED = np.stack([RNG.permutation(DATABASE) for _ in SCENES])
FAMILIES: dict[str, dict[str, Any]] = {
    "classification": {
        "modules": ["sample_f1", "multilabel_map"],
        "predictions": SCORES,
        "references": LABELS,
        "options": {"threshold": 0.6},
    },
    "retrieval": {
        "modules": ["anmrr", "precision_at_k", "retrieval_map"],
        "predictions": RANKED,
        "references": SCENES,
        "options": {"k": [1, 9], "up_to": 10},
    },
}
MODULES = [(name, family) for family in FAMILIES for name in FAMILIES[family]["modules"]]

Load = Callable[..., Any]


def at_once(load: Load, name: str, family: dict[str, Any]) -> dict[str, Any]:
    inputs = {key: family[key] for key in ("predictions", "references")}
    return load(name).compute(**inputs, **family["options"])


@pytest.mark.parametrize(("name", "family"), MODULES)
@pytest.mark.parametrize("keep_in_memory", [True, False])
def test_parts_make_the_whole(load: Load, name: str, family: str, keep_in_memory: bool) -> None:
    data = FAMILIES[family]
    module = load(name, keep_in_memory=keep_in_memory)
    module.add(prediction=data["predictions"][0], reference=data["references"][0])
    for start in range(1, 30, 7):
        part = slice(start, start + 7)
        module.add_batch(predictions=data["predictions"][part], references=data["references"][part].tolist())
    assert len(module) == 30
    assert module.compute(**data["options"]) == at_once(load, name, data)


@pytest.mark.parametrize("family", FAMILIES)
def test_combined(load: Load, family: str) -> None:
    data = FAMILIES[family]
    combined = evaluate.combine([metric_path(name) for name in data["modules"]])
    for part in (slice(0, 11), slice(11, 30)):
        combined.add_batch(predictions=data["predictions"][part], references=data["references"][part])
    apart = [at_once(load, name, data) for name in data["modules"]]
    wanted = {key: value for results in apart for key, value in results.items()}
    assert len(wanted) == sum(map(len, apart)), "evaluate would rename what two modules call the same"
    assert combined.compute(**data["options"]) == wanted


def test_torch_tensors_and_columns_of_datasets(load: Load) -> None:
    torch = pytest.importorskip("torch")
    datasets = pytest.importorskip("datasets")
    wanted = at_once(load, "sample_f1", FAMILIES["classification"])
    tensors = {"predictions": torch.tensor(SCORES), "references": torch.tensor(LABELS)}
    assert load("sample_f1").compute(**tensors, threshold=0.6) == wanted
    columns = datasets.Dataset.from_dict({"labels": [np.flatnonzero(row).tolist() for row in LABELS]})
    by_ids = load("sample_f1", "label_ids")
    assert by_ids.compute(predictions=SCORES, references=columns["labels"], num_labels=8, threshold=0.6) == wanted


def test_float64_scores_keep_their_digits(load: Load) -> None:
    # As float32 both scores would be equal and the average precision 1/2.
    results = load("multilabel_map").compute(predictions=[[0.5 + 1e-12], [0.5]], references=[[1], [0]])
    assert results["multilabel_map"] == 1.0


WORKER = """
import json, sys
import evaluate
import numpy as np
from mlrsnet_hf import metric_path

rank, folder = int(sys.argv[1]), sys.argv[2]
for family in json.load(open(f"{folder}/families.json")):
    for name in family["modules"]:
        module = evaluate.load(metric_path(name), num_process=2, process_id=rank, experiment_id="two",
                               cache_dir=f"{folder}/cache")
        part = slice(0, 12) if rank == 0 else slice(12, 30)
        module.add_batch(predictions=family["predictions"][part], references=family["references"][part])
        results = module.compute(**family["options"])
        assert (results is None) == (rank == 1)
        print(json.dumps(results))
"""


@pytest.mark.slow
def test_two_processes(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    families = [
        {**data, "predictions": data["predictions"].tolist(), "references": data["references"].tolist()}
        for data in FAMILIES.values()
    ]
    (tmp_path / "families.json").write_text(json.dumps(families))
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(rank), str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    output = [worker.communicate(timeout=200)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    results = [json.loads(line) for line in output[0].splitlines()]
    assert results == [at_once(load, name, FAMILIES[family]) for name, family in MODULES]
