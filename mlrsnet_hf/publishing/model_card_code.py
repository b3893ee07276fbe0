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
{imports}from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification

processor = AutoImageProcessor.from_pretrained("{repo_id}")
model = AutoModelForImageClassification.from_pretrained("{repo_id}").eval()
names = [model.config.id2label[i] for i in range(model.config.num_labels)]
image = Image.open("scene.jpg").convert("RGB")
with torch.inference_mode():
    scores = model(**processor(image, return_tensors="pt")).logits{activation}[0].tolist()
{answer}"""

_PLAIN_ANSWER = "print({name: score for name, score in zip(names, scores) if score > 0.5})"
_TUNED_IMPORTS = "from huggingface_hub import hf_hub_download\n"
_TUNED_ANSWER = """\
with open(hf_hub_download("{repo_id}", "results.json")) as file:
    thresholds = json.load(file)["tuned"]["thresholds"]
print({{name: score for name, score in zip(names, scores) if score > thresholds[name]}})"""
_SCENE_ANSWER = "print(max(zip(scores, names)))"


def timm_code(repo_id: str, task: str, thresholds: bool) -> str:
    """Return code that names what is in `scene.jpg`, with timm."""
    return _filled(_TIMM, repo_id, task, thresholds)


def transformers_code(repo_id: str, task: str, thresholds: bool) -> str:
    """Return code that names what is in `scene.jpg`, with transformers."""
    return _filled(_TRANSFORMERS, repo_id, task, thresholds)


def _filled(code: str, repo_id: str, task: str, thresholds: bool) -> str:
    if task == "scene":
        return code.format(repo_id=repo_id, imports="", activation=".softmax(-1)", answer=_SCENE_ANSWER)
    if not thresholds:
        return code.format(repo_id=repo_id, imports="", activation=".sigmoid()", answer=_PLAIN_ANSWER)
    answer = _TUNED_ANSWER.format(repo_id=repo_id)
    filled = code.format(repo_id=repo_id, imports=_TUNED_IMPORTS, activation=".sigmoid()", answer=answer)
    return f"import json\n\n{filled}"
