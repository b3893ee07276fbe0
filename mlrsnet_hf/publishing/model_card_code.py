"""The code that a model card shows; the tests run it."""

_TIMM = """\
import timm
import torch
{imports}from PIL import Image

model = timm.create_model("hf-hub:{repo_id}", pretrained=True).eval()
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

processor = AutoImageProcessor.from_pretrained("{repo_id}")
model = AutoModelForImageClassification.from_pretrained("{repo_id}").eval()
names = [model.config.id2label[i] for i in range(model.config.num_labels)]
image = Image.open("scene.jpg").convert("RGB")
with torch.inference_mode():
    scores = model(**processor(image, return_tensors="pt")).logits{activation}[0].tolist()
{answer}"""

_TIMM_THRESHOLDS = """\
with open(hf_hub_download("{repo_id}", "config.json")) as file:
    thresholds = json.load(file)["thresholds"]
"""

_PLAIN_ANSWER = "print({name: score for name, score in zip(names, scores) if score > 0.5})"
_TUNED_ANSWER = "print({name: score for name, score in zip(names, scores) if score > thresholds[name]})"
_SCENE_ANSWER = "print(max(zip(scores, names)))"


def timm_code(repo_id: str, task: str, thresholds: bool) -> str:
    """Return code that names what is in `scene.jpg`, with timm."""
    activation, answer = _ends(task, thresholds)
    if not thresholds:
        return _TIMM.format(repo_id=repo_id, imports="", activation=activation, answer=answer)
    imports = "from huggingface_hub import hf_hub_download\n"
    answer = _TIMM_THRESHOLDS.format(repo_id=repo_id) + answer
    return f"import json\n\n{_TIMM.format(repo_id=repo_id, imports=imports, activation=activation, answer=answer)}"


def transformers_code(repo_id: str, task: str, thresholds: bool) -> str:
    """Return code that names what is in `scene.jpg`, with transformers."""
    activation, answer = _ends(task, thresholds)
    if thresholds:
        answer = f"thresholds = model.config.thresholds\n{answer}"
    return _TRANSFORMERS.format(repo_id=repo_id, activation=activation, answer=answer)


def _ends(task: str, thresholds: bool) -> tuple[str, str]:
    """Return how logits become scores, and scores an answer."""
    if task == "scene":
        return ".softmax(-1)", _SCENE_ANSWER
    return ".sigmoid()", _TUNED_ANSWER if thresholds else _PLAIN_ANSWER
