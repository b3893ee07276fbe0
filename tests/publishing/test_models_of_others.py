"""Models that other libraries pushed to the Hub, by their names there: fetched without what is of no use."""

import json
from pathlib import Path
from typing import Any

import pytest

PUSH = """
import sys
from huggingface_hub import HfApi
HfApi().create_repo(sys.argv[1], exist_ok=True)
HfApi().upload_folder(repo_id=sys.argv[1], folder_path=sys.argv[2])
"""
TIMM = """
import sys
import timm
from timm.models import save_for_hf
model = timm.create_model("test_resnet", num_classes=2)
save_for_hf(model, sys.argv[1], model_config={"label_names": ["sea", "sand"]}, safe_serialization="both")
"""
TRANSFORMERS = """
import sys
from transformers import ResNetConfig, ResNetForImageClassification, ConvNextImageProcessor
sizes = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
names, kind = {0: "sea", 1: "sand"}, "multi_label_classification"
ResNetForImageClassification(ResNetConfig(**sizes, id2label=names, problem_type=kind)).save_pretrained(
    sys.argv[1], max_shard_size="5KB")
ConvNextImageProcessor(size={"shortest_edge": 64}).save_pretrained(sys.argv[1])
"""
SCORES = """
import json, sys
import numpy as np
from mlrsnet_hf import Classifier
picture = np.random.default_rng(0).integers(0, 256, (80, 90, 3), dtype=np.uint8)
found = [Classifier.from_pretrained(name) for name in sys.argv[1:]]
print(json.dumps([[list(one.label_names), one.scores(picture)[0].tolist()] for one in found]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("made_by", "kept"), [(TIMM, "pytorch_model.bin"), (TRANSFORMERS, "note.txt")])
def test_a_model_of_the_hub_is_that_of_its_folder(
    hub: Any,  # noqa: ANN401
    made_by: str,
    kept: str,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    hub.python(made_by, folder)
    (folder / "note.txt").write_text("of no use to a network")
    assert (folder / kept).exists()
    hub.python(PUSH, "jane/net", folder)
    printed = hub.python(SCORES, "jane/net", "hf-hub:jane/net@main", folder).splitlines()
    by_name, by_prefix, by_folder = json.loads(printed[-1])  # what was assumed of the labels stands before it
    assert by_name == by_prefix == by_folder
    assert by_name[0] == ["sea", "sand"]
    fetched = {path.rpartition("/")[2] for path in hub.requests("GET")}
    assert "config.json" in fetched
    assert kept not in fetched
