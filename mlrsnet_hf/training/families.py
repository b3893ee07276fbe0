"""Fine-tuning recipes by family of network: what the recipe `modern` gives to which timm model, and why.

A family is told by timm's name alone: the architecture, and the tag that names what its weights learned. Values that
were published say where; "ours" are this package's own, measured only where docs/recipes.md has a score.
"""

import contextlib
import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from mlrsnet_hf.models import HUB, PRETRAINED

FamilyName = Literal[
    "cnn_batchnorm",
    "cnn_plain",
    "convnext",
    "hierarchical",
    "hierarchical_masked",
    "vit_supervised",
    "vit_masked",
    "vit_masked_large",
    "vit_self_distilled",
    "vit_clip",
]
Scaling = Literal["constant", "linear", "sqrt"]

_OURS = "ours"
_CONVNEXT = "ConvNeXt, TRAINING.md, fine-tuning from ImageNet-22K at 224 (github.com/facebookresearch/ConvNeXt)"
_CONVNEXT_V2 = "ConvNeXt V2, TRAINING.md, fine-tuning of Base (github.com/facebookresearch/ConvNeXt-V2)"
_SWIN = "Swin, swin_base_patch4_window7_224_22kto1k_finetune.yaml (github.com/microsoft/Swin-Transformer)"
_BEIT = "BEiT, get_started_for_image_classification.md (github.com/microsoft/unilm)"
_MAE = "MAE, FINETUNE.md and main_finetune.py (github.com/facebookresearch/mae)"
_EVA02 = "EVA-02, asuka/README.md, after masked modeling alone (github.com/baaivision/EVA)"
_CLIP = "FT-CLIP, scripts/bash_fine_Openai_CLIP_P16.sh (github.com/LightDXY/FT-CLIP), Dong et al. 2022"
_ADAM_BATCHES = "ours: the square root, as for Adam (Malladi et al. 2022)"
_PER_BLOCK = "per block of timm; published is {} for each three blocks"
_NEW_CLASSIFIER = "ours: a new classifier has a few hundred steps, not a hundred thousand"


@dataclass(frozen=True, kw_only=True)
class Family:
    """A row of the table; every field but the first three is a setting of `TrainingConfig`, or gives one."""

    name: FamilyName
    about: str
    """Networks of the row, for readers."""
    sources: dict[str, str] = field(hash=False)
    """Setting -> where its value was published, or "ours" and why; what is left out is ours."""
    rate: float
    """Learning rate of the backbone's last layers at `reference_batch` images a step."""
    reference_batch: int = 32
    scaling: Scaling = "sqrt"
    """How the rate follows the batch: as it is, with its root, or not at all."""
    head_rate: float = 3.0
    layer_decay: float = 1.0
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: float = 0.1
    head_init_scale: float = 1.0
    drop_path_rate: float = 0.0
    weight_decay: float = 0.05
    ema: float = 0.0
    precision: None = None
    """Accelerate's own in every row: bf16 or fp16 is a question of the device. Published runs used fp16 on GPUs."""
    image_size: int | None = None
    """The network's own if None."""
    train_scale: float = 1.0

    def learning_rate(self, batch_size: int) -> float:
        """Return the learning rate for a number of images in an optimizer step."""
        ratio = batch_size / self.reference_batch
        return self.rate * {"constant": 1.0, "linear": ratio, "sqrt": math.sqrt(ratio)}[self.scaling]

    def settings(self, batch_size: int) -> dict[str, Any]:
        """Return the settings of `TrainingConfig` that the row decides."""
        return {
            "family": self.name,
            "learning_rate": self.learning_rate(batch_size),
            **{name: getattr(self, name) for name in _SETTINGS},
        }

    def source(self, setting: str) -> str:
        """Say where the value of a setting is from."""
        return self.sources.get(setting, _OURS)


_SETTINGS = (
    *("head_rate", "layer_decay", "schedule", "warmup", "head_init_scale", "drop_path_rate", "weight_decay", "ema"),
    *("precision", "image_size", "train_scale"),
)

_ROWS = (
    Family(
        name="cnn_batchnorm",
        about="convolutional networks, and hybrids for phones, with BatchNorm: ResNet, EfficientNet, RegNet, FastViT",
        sources={"rate": "ours: measured, see above", "scaling": "ours: no other batch was measured"},
        rate=1e-3,
        scaling="constant",
        schedule="constant",
        ema=0.998,
        train_scale=0.857,
    ),
    Family(
        name="cnn_plain",
        about="convolutional networks without BatchNorm: BiT, NFNet, VGG; and CLIP's, which learned from text",
        sources={"scaling": _ADAM_BATCHES},
        rate=1e-4,
        ema=0.998,
    ),
    Family(
        name="convnext",
        about="ConvNeXt with supervised, CLIP or DINOv3 weights",
        sources={
            **dict.fromkeys(("rate", "schedule", "warmup", "head_init_scale", "drop_path_rate"), _CONVNEXT),
            "weight_decay": _CONVNEXT,
            "layer_decay": f"{_CONVNEXT}: {_PER_BLOCK.format(0.8)}",
            "scaling": "ours: a smaller batch asks for less, a run of hundreds of steps instead of 75,000 for more",
            "head_rate": _NEW_CLASSIFIER,
        },
        rate=5e-5,
        reference_batch=512,
        scaling="constant",
        head_rate=10.0,
        layer_decay=0.93,
        warmup=0.0,
        head_init_scale=0.001,
        drop_path_rate=0.2,
        weight_decay=1e-8,
    ),
    Family(
        name="hierarchical",
        about="transformers and mixers in stages: Swin, MaxViT, CoAtNet, NextViT, PVT, MViT, Hiera (fine-tuned)",
        sources={
            **dict.fromkeys(("schedule", "warmup", "drop_path_rate"), _SWIN),
            "rate": "ours: Swin was fine-tuned at 2e-5 and trained at 5e-4, both at 512 images and linear",
            "scaling": _ADAM_BATCHES,
            "head_rate": _NEW_CLASSIFIER,
        },
        rate=3e-5,
        head_rate=10.0,
        layer_decay=0.9,
        warmup=0.17,
        drop_path_rate=0.2,
    ),
    Family(
        name="hierarchical_masked",
        about="networks in stages that learned to fill in what was masked, and no more: ConvNeXt V2 .fcmae, Hiera .mae",
        sources={
            **dict.fromkeys(("rate", "scaling", "schedule", "warmup", "head_rate", "drop_path_rate"), _CONVNEXT_V2),
            "weight_decay": _CONVNEXT_V2,
            "layer_decay": f"{_CONVNEXT_V2}: {_PER_BLOCK.format(0.6)}",
            "head_init_scale": _CONVNEXT,
            "ema": "ours: 0.9999 is published, for runs a hundred times as long",
        },
        rate=6.25e-4,
        reference_batch=256,
        scaling="linear",
        head_rate=1.0,
        layer_decay=0.85,
        warmup=0.2,
        head_init_scale=0.001,
        drop_path_rate=0.1,
        ema=0.998,
    ),
    Family(
        name="vit_supervised",
        about="ViTs that learned labels last: .augreg_in21k_ft_in1k, DeiT, anything _ft_; also MLP mixers",
        sources={
            **dict.fromkeys(("layer_decay", "warmup", "schedule", "drop_path_rate"), f"{_BEIT}, Base after labels"),
            "rate": "ours: published are 2e-5 (BEiT after labels) and 1e-5 (DeiT III, README_revenge.md), both at 512",
            "scaling": _ADAM_BATCHES,
            "head_rate": _NEW_CLASSIFIER,
        },
        rate=2e-5,
        head_rate=10.0,
        layer_decay=0.85,
        warmup=0.17,
        drop_path_rate=0.1,
    ),
    Family(
        name="vit_masked",
        about="ViTs up to Base that learned to fill in what was masked: .mae, BEiT-3, Sapiens",
        sources=dict.fromkeys(
            ("rate", "scaling", "head_rate", "layer_decay", "schedule", "warmup", "head_init_scale"), f"{_MAE}, Base"
        )
        | dict.fromkeys(("drop_path_rate", "weight_decay", "ema"), f"{_MAE}, Base"),
        rate=5e-4,
        reference_batch=256,
        scaling="linear",
        head_rate=1.0,
        layer_decay=0.65,
        warmup=0.05,
        head_init_scale=0.001,
        drop_path_rate=0.1,
    ),
    Family(
        name="vit_masked_large",
        about="the same, from Large on; also I-JEPA, AIMv2",
        sources=dict.fromkeys(
            ("rate", "scaling", "head_rate", "layer_decay", "schedule", "warmup", "head_init_scale"), f"{_MAE}, Large"
        )
        | dict.fromkeys(("drop_path_rate", "weight_decay", "ema"), f"{_MAE}, Large"),
        rate=1e-3,
        reference_batch=256,
        scaling="linear",
        head_rate=1.0,
        layer_decay=0.75,
        warmup=0.1,
        head_init_scale=0.001,
        drop_path_rate=0.2,
    ),
    Family(
        name="vit_self_distilled",
        about="ViTs that learned features: DINO, DINOv2, DINOv3 (also on satellite images), EUPE, RADIO, EVA-02 .mim_*",
        sources={
            "rate": f"ours: as for labels, with a steeper decay; {_EVA02}: 1e-4 (Base) and 5e-5 (Large) at 1,024",
            "layer_decay": f"between the 0.7 (Base) and 0.8 (Large) of {_EVA02}",
            **dict.fromkeys(("schedule", "warmup", "drop_path_rate", "weight_decay"), f"{_EVA02}, Base"),
            "scaling": _ADAM_BATCHES,
            "head_rate": _NEW_CLASSIFIER,
            "image_size": "ours: the size at which DINOv2 and v3 are measured; timm's own go up to 518",
        },
        rate=3e-5,
        head_rate=10.0,
        layer_decay=0.75,
        drop_path_rate=0.1,
        image_size=224,
    ),
    Family(
        name="vit_clip",
        about="image towers that learned from text: OpenAI, LAION, DataComp, SigLIP, those of language models",
        sources={
            **dict.fromkeys(("rate", "head_rate", "warmup", "drop_path_rate", "schedule", "weight_decay"), _CLIP),
            "layer_decay": f"{_CLIP}; 0.65 for Large",
            "scaling": _ADAM_BATCHES,
            "ema": "ours: 0.9998 is published, for runs a hundred times as long",
        },
        rate=6e-4,
        reference_batch=2048,
        head_rate=1.0,
        layer_decay=0.6,
        warmup=0.2,
        ema=0.998,
    ),
)
FAMILIES: dict[str, Family] = {row.name: row for row in _ROWS}
"""The table, by name."""
assert tuple(FAMILIES) == get_args(FamilyName)

_VITS = (
    r"vit\d?(_|$)|deit|beit|eva_|eva02|flexivit|aimv2|cait|convit|crossvit|tnt_|xcit|volo|naflexvit|samvit|mixer|gmixer|gmlp|"
    "resmlp|qwen|gemma|deepseek|vitamin"
)
_STAGED = (
    "swin|maxvit|maxxvit|coatn|coat_|pvt_|twins|mvit|hiera|sam2_hiera|davit|focalnet|gcvit|nest_|nextvit|convformer|"
    "caformer|poolformer|pit_|tiny_vit|sequencer|mambaout|edgenext|csatv2|visformer"
)
_PLAIN = (
    r"nfnet|dm_nfnet|eca_nfnet|nf_|vgg\d+$|resnetv2_\d+x\d+_bit|rdnet|mobilenetv5|\w+_(gn|ln|evos)$|resnet\w+_clip|"
    "fastvit_mci"
)
_BATCHNORM = (
    "bat_|botnet|byobnet|cpubone|convmixer|cs3|csp|darknet|densenet|dla|dpn|eca|efficientformer|efficientnet|"
    "efficientvim|efficientvit|ese_|fasternet|fastvit|fbnet|gcres|gc_|gernet|ghostnet|halo|hardcorenas|hgnet|hrnet|"
    "iformer|inception|lambda|lamhalo|lcnet|legacy|levit|lowformer|mixnet|mnasnet|mobilenet|mobileone|mobilevit|nasnet|"
    "pnasnet|regnet|repghost|repvgg|repvit|res2n|resne|rexnet|sebotnet|sedarknet|sehalonet|selecsls|semnasnet|senet|"
    "seresne|shvit|skres|spnasnet|starnet|swiftformer|tf_|tinynet|tresnet|vgg|vovnet|wide_resnet|xception"
)
_ARCHITECTURES = (
    ("convnext", "convnext"),
    ("vit_supervised", _VITS),
    ("hierarchical", _STAGED),
    ("cnn_plain", _PLAIN),
    ("cnn_batchnorm", _BATCHNORM),
)
"""Beginnings of timm's architectures, and the row of those that learned labels last; the first that fits counts."""
_WEIGHTS = (
    ("convnext", r"\.fcmae$", "hierarchical_masked"),
    ("hierarchical", r"\.mae$", "hierarchical_masked"),
    ("vit_supervised", r"dino|lvd|sat493m|eupe|radio|robbyant|eva02\w*\.mim_", "vit_self_distilled"),
    ("vit_supervised", r"\.mae|ijepa|apple_pt|beit3.*pt$|sapiens", "vit_masked"),
    (
        "vit_supervised",
        "clip|openai|laion|datacomp|dfn|webli|pali|yfcc|ogvl|merged2b|vit_pe_|qwen|gemma|deepseek|vitamin",
        "vit_clip",
    ),
)
"""The architecture's row, what a name tells of weights that did not learn labels last, and their row."""
_LARGE = r"large|huge|giant|so400m|_\d+b_|aimv2"


def family_of(model: str, weights: str = PRETRAINED) -> FamilyName | None:
    """Return the family that a model's name tells; None for a name that says nothing, such as that of a repository.

    A name without a tag stands for the weights that timm would take, whether they are the ones that are loaded or not:
    with a file of weights, name what they learned (`vit_base_patch16_224.mae`).

    Args:
        model: Name of a timm model, or `hf-hub:USER/NAME`.
        weights: As in the settings; a repository of the Hub counts before the model if its name tells a family.

    Examples:
        >>> [family_of(f"vit_base_patch16_224.{tag}") for tag in ("mae", "dino", "augreg_in21k_ft_in1k")]
        ['vit_masked', 'vit_self_distilled', 'vit_supervised']
    """
    names = [name.partition("@")[0].rpartition("/")[2] for name in (weights, model) if name.startswith(HUB)]
    return next(filter(None, map(_by_name, [*names, model])), None)


def _by_name(name: str) -> FamilyName | None:
    """Return the family of `architecture` or `architecture.tag`."""
    architecture, _, tag = name.partition(".")
    start = architecture.removeprefix("test_")
    found: Any = next((row for row, starts in _ARCHITECTURES if re.match(starts, start)), None)
    ways = [(told, row) for kind, told, row in _WEIGHTS if kind == found]
    if not ways:
        return found
    tag = tag or _default_tag(architecture)
    if re.search(r"(^|_)ft($|_)", tag):  # labels came last
        return found
    found = next((row for told, row in ways if re.search(told, f"{architecture}.{tag}")), found)
    return "vit_masked_large" if found == "vit_masked" and re.search(_LARGE, architecture) else found


def _default_tag(architecture: str) -> str:
    """Return the tag of the weights that timm takes where none is named; "" without timm."""
    with contextlib.suppress(ImportError):
        from timm.models import get_pretrained_cfg

        found = get_pretrained_cfg(architecture)
        return (found.tag or "") if found else ""
    return ""
