"""A trained network, and the pictures that it is measured on with their labels in another order and spelling."""

import json
import shutil
from pathlib import Path

import pytest
from datasets import ClassLabel, DatasetDict, Features, Value
from datasets import Image as ImageFeature
from datasets import Sequence as ListFeature

from mlrsnet_hf.training.results import TrainingResult

OTHER_LABELS = ["ice", "Striped", "blue", "RED", "never"]
"""Labels of the data: without the network's green, with one that it does not know."""
SCENES = ["b", "a"]


@pytest.fixture(scope="session")
def trained(run: TrainingResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run on data of another name."""
    folder = tmp_path_factory.mktemp("trained") / "net"
    shutil.copytree(run.config.output_dir, folder)
    results = json.loads((folder / "results.json").read_text())
    results["data"]["dataset"] = "drawn"
    (folder / "results.json").write_text(json.dumps(results))
    return folder


@pytest.fixture(scope="session")
def pictures(data: DatasetDict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pictures as a saved dataset with other label ids than the network's, and a scene each."""
    names = data["train"].features["labels"].feature.names
    place = {"striped": 1, "blue": 2, "red": 3, "never": 4}
    features = Features(
        {
            "id": Value("string"),
            "image": ImageFeature(),
            "labels": ListFeature(ClassLabel(names=OTHER_LABELS)),
            "scene": ClassLabel(names=SCENES),
        }
    )

    def renamed(row: dict, number: int) -> dict:
        labels = [place[names[label]] for label in row["labels"] if names[label] in place]
        return {"labels": labels + [0] * (number % 4 == 0), "scene": number % 2}

    splits = {name: split.map(renamed, with_indices=True, features=features) for name, split in data.items()}
    folder = tmp_path_factory.mktemp("pictures") / "pictures"
    DatasetDict(splits).save_to_disk(str(folder))
    return folder
