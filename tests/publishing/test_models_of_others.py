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


OPEN_CLIP = """
import json, sys
from pathlib import Path
import open_clip
from safetensors.torch import save_file
folder = Path(sys.argv[1])
tower = {"layers": 1, "width": 16}
vision, text = {**tower, "image_size": 32, "head_width": 8, "patch_size": 8}, {**tower, "vocab_size": 49408, "heads": 2}
config = {"embed_dim": 12, "vision_cfg": vision, "text_cfg": text}
(folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
(folder / "config.json").write_text(json.dumps({"model_type": "clip"}))
(folder.parent / "hub-clip.json").write_text(json.dumps(config))
open_clip.add_model_config(folder.parent / "hub-clip.json")
state = open_clip.create_model("hub-clip").state_dict()
save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "open_clip_model.safetensors")
(folder / "model.safetensors").write_bytes(b"for another library")
"""
TEXTS = """
import json, sys
import open_clip
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.retrieval.embeddings.model import load_embedding_model
open_clip.add_model_config(sys.argv[1])
file = "hf-hub:jane/clip/open_clip_model.safetensors"
choices = [{"model": name} for name in ("jane/clip", "open_clip:hf-hub:jane/clip@main", sys.argv[2])]
choices.append({"model": "open_clip:hub-clip", "weights": file})
models = [load_embedding_model(ModelChoice(**choice)) for choice in choices]
print(json.dumps([[one.fingerprint, one.embed_texts(["a harbor"]).tolist()] for one in models]))
"""


@pytest.mark.slow
def test_a_network_of_open_clip_is_that_of_its_folder(hub: Any, tmp_path: Path) -> None:  # noqa: ANN401
    folder = tmp_path / "clip"
    folder.mkdir()
    hub.python(OPEN_CLIP, folder)
    hub.python(PUSH, "jane/clip", folder)
    first, *others = json.loads(hub.python(TEXTS, tmp_path / "hub-clip.json", folder))
    assert others == [first] * 3
    assert all(not path.endswith("/model.safetensors") for path in hub.requests("GET"))
