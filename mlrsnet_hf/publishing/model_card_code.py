"""The code that a model card shows; the tests run it."""

_TIMM = """\
import timm
import torch
{imports}from PIL import Image

model = timm.create_model("hf-hub:{repo_id}{at}", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_data_config({{}}, model=model))
names = model.pretrained_cfg["label_names"]
image = Image.open("scene.jpg").convert("RGB")
with torch.inference_mode():
    scores = model(transform(image)[None]){activation}[0].tolist()
{answer}"""

_TRANSFORMERS = """\
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification

processor = AutoImageProcessor.from_pretrained("{repo_id}"{option})
model = AutoModelForImageClassification.from_pretrained("{repo_id}"{option}).eval()
names = [model.config.id2label[i] for i in range(model.config.num_labels)]
image = Image.open("scene.jpg").convert("RGB")
with torch.inference_mode():
    scores = model(**processor(image, return_tensors="pt")).logits{activation}[0].tolist()
{answer}"""

_TIMM_THRESHOLDS = """\
with open(hf_hub_download("{repo_id}", "config.json"{option})) as file:
    thresholds = json.load(file)["thresholds"]
"""

_SCENE_HEAD = """\
The scene's own classifier is in `scene_head.safetensors`; with both, the model gives the logits of the labels, then of
the scenes:

```python
from pathlib import Path

from huggingface_hub import snapshot_download
from mlrsnet_hf.models.saved_model import load_model

saved = load_model(Path(snapshot_download("{repo_id}"{option})))
print(saved.task.output_names)  # the model is saved.model
```
"""

_PLAIN_ANSWER = "print({name: score for name, score in zip(names, scores) if score > 0.5})"
_TUNED_ANSWER = "print({name: score for name, score in zip(names, scores) if score > thresholds[name]})"
_SCENE_ANSWER = "print(max(zip(scores, names)))"


def timm_code(repo_id: str, revision: str | None, task: str, thresholds: bool) -> str:
    """Return code that names what is in `scene.jpg`, with timm."""
    activation, answer = _ends(task, thresholds)
    place = _place(repo_id, revision)
    if not thresholds:
        return _TIMM.format(imports="", activation=activation, answer=answer, **place)
    imports = "from huggingface_hub import hf_hub_download\n"
    answer = _TIMM_THRESHOLDS.format(**place) + answer
    return f"import json\n\n{_TIMM.format(imports=imports, activation=activation, answer=answer, **place)}"


def transformers_code(repo_id: str, revision: str | None, task: str, thresholds: bool) -> str:
    """Return code that names what is in `scene.jpg`, with transformers."""
    activation, answer = _ends(task, thresholds)
    if thresholds:
        answer = f"thresholds = model.config.thresholds\n{answer}"
    return _TRANSFORMERS.format(activation=activation, answer=answer, **_place(repo_id, revision))


def scene_head_code(repo_id: str, revision: str | None) -> str:
    """Return a paragraph with code that loads the classifier of scenes beside that of labels."""
    return _SCENE_HEAD.format(**_place(repo_id, revision))


def _place(repo_id: str, revision: str | None) -> dict[str, str]:
    """Return how code names a repository: for timm, and as an option of functions."""
    if revision is None:
        return {"repo_id": repo_id, "at": "", "option": ""}
    return {"repo_id": repo_id, "at": f"@{revision}", "option": f', revision="{revision}"'}


def _ends(task: str, thresholds: bool) -> tuple[str, str]:
    """Return how logits become scores, and scores an answer."""
    if task == "scene":
        return ".softmax(-1)", _SCENE_ANSWER
    return ".sigmoid()", _TUNED_ANSWER if thresholds else _PLAIN_ANSWER
