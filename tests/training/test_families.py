import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from timm.optim import param_groups_layer_decay

from mlrsnet_hf.commands.models import Train
from mlrsnet_hf.configuration.command_line import parse
from mlrsnet_hf.errors import ConfigurationError, UnknownNameError
from mlrsnet_hf.inputs.task import ImageData
from mlrsnet_hf.models.build import build_model
from mlrsnet_hf.training.components import family_text
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.families import FAMILIES, family_of
from mlrsnet_hf.training.optimizer import parameter_groups
from mlrsnet_hf.training.recipes import RECIPES, debug_cpu, demo, linear_probe, modern, paper
from mlrsnet_hf.training.train import train
from tests.conftest import CHECKOUT, QUICK

TINY = {
    "cnn_batchnorm": "test_resnet",
    "cnn_plain": "test_nfnet",
    "convnext": "test_convnext",
    "hierarchical": "test_mambaout",
    "hierarchical_masked": "test_convnext2",
    **dict.fromkeys([name for name in FAMILIES if name.startswith("vit_")], "test_vit"),
}
"""Small networks of timm's own."""


def test_every_pretrained_network_of_timm_has_a_family() -> None:
    names = timm.list_models(pretrained=True)
    found = {name: family_of(name) for name in names}
    assert [name for name, family in found.items() if family is None] == []
    assert set(found.values()) == set(FAMILIES)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("resnet50.a1_in1k", "cnn_batchnorm"),
        ("tf_efficientnet_lite0.in1k", "cnn_batchnorm"),
        ("resnetv2_50x1_bit.goog_in21k", "cnn_plain"),
        ("resnet50_gn.a1h_in1k", "cnn_plain"),
        ("regnetz_d8_evos.ch_in1k", "cnn_plain"),
        ("vgg16.tv_in1k", "cnn_plain"),
        ("vgg16_bn.tv_in1k", "cnn_batchnorm"),
        ("regnety_320.swag_ft_in1k", "cnn_batchnorm"),
        ("regnety_320.seer", "cnn_batchnorm"),
        ("resnet50_clip.openai", "cnn_plain"),
        ("resnet50.fb_ssl_yfcc100m_ft_in1k", "cnn_batchnorm"),
        ("mobilenetv4_conv_small.e2400_r224_in1k", "cnn_batchnorm"),
        ("efficientvit_b1.r224_in1k", "cnn_batchnorm"),
        ("levit_128.fb_dist_in1k", "cnn_batchnorm"),
        ("fastvit_t8.apple_in1k", "cnn_batchnorm"),
        ("fastvit_mci0.apple_mclip", "cnn_plain"),
        ("convnext_base.fb_in22k", "convnext"),
        ("convnext_base.clip_laion2b", "convnext"),
        ("convnext_base.dinov3_lvd1689m", "convnext"),
        ("convnextv2_base.fcmae", "hierarchical_masked"),
        ("hiera_base_224.mae", "hierarchical_masked"),
        ("hiera_base_224.mae_in1k_ft_in1k", "hierarchical"),
        ("convnextv2_base.fcmae_ft_in22k_in1k", "convnext"),
        ("swin_tiny_patch4_window7_224.ms_in1k", "hierarchical"),
        ("maxvit_tiny_tf_224.in1k", "hierarchical"),
        ("coatnet_0_rw_224.sw_in1k", "hierarchical"),
        ("nextvit_small.bd_in1k", "hierarchical"),
        ("tiny_vit_5m_224.dist_in22k", "hierarchical"),
        ("mambaout_tiny.in1k", "hierarchical"),
        ("vit_base_patch16_224.augreg_in21k_ft_in1k", "vit_supervised"),
        ("deit3_base_patch16_224.fb_in22k_ft_in1k", "vit_supervised"),
        ("vit_base_patch16_224.mae", "vit_masked"),
        ("vit_large_patch16_224.mae", "vit_masked_large"),
        ("beit_base_patch16_224.in22k_ft_in22k", "vit_supervised"),
        ("beit3_base_patch16_224.pt", "vit_masked"),
        ("aimv2_large_patch14_224.apple_pt", "vit_masked_large"),
        ("eva02_base_patch14_448.mim_in22k_ft_in22k_in1k", "vit_supervised"),
        ("eva02_base_patch14_224.mim_in22k", "vit_self_distilled"),
        ("eva02_base_patch16_clip_224.merged2b", "vit_clip"),
        ("vit_base_patch16_224.dino", "vit_self_distilled"),
        ("vit_base_patch14_dinov2.lvd142m", "vit_self_distilled"),
        ("vit_large_patch16_dinov3.sat493m", "vit_self_distilled"),
        ("vit_base_patch16_clip_224.openai", "vit_clip"),
        ("vit_base_patch16_clip_224.openai_ft_in1k", "vit_supervised"),
        ("vit_base_patch16_siglip_224.webli", "vit_clip"),
        ("vit_so400m_patch14_siglip_378.webli_ft_in1k", "vit_supervised"),
        ("hf-hub:timm/vit_base_patch16_224.mae", "vit_masked"),
        ("vit_base_patch16_224", "vit_supervised"),
        ("convnextv2_base", "convnext"),
        ("hf-hub:someone/network", None),
        ("not_of_timm", None),
    ],
)
def test_well_known_names(name: str, family: str | None) -> None:
    assert family_of(name) == family


def test_weights_of_a_repository_count_before_the_model() -> None:
    assert family_of("vit_base_patch16_224", "hf-hub:timm/vit_base_patch16_224.dino") == "vit_self_distilled"
    assert family_of("vit_base_patch16_224.mae", "hf-hub:someone/network") == "vit_masked"
    assert family_of("vit_base_patch16_224.mae", "mae.pth") == "vit_masked"


def test_no_two_families_are_the_same() -> None:
    rows = [json.dumps({**row.settings(32), "family": None}, sort_keys=True) for row in FAMILIES.values()]
    assert len(set(rows)) == len(rows) >= 5


def test_networks_with_batchnorm_keep_the_settings_that_were_measured() -> None:
    assert replace(modern(), family=None) == TrainingConfig()
    assert modern(batch_size=256).learning_rate == 1e-3


def test_published_rates_at_batches_of_32() -> None:
    """MAE: 5e-4 x batch / 256; ConvNeXt 5e-5 at 512 and here at any; FT-CLIP 6e-4 at 2,048, by the root."""
    assert modern(model="vit_base_patch16_224.mae").learning_rate == pytest.approx(6.25e-5)
    assert modern(model="vit_base_patch16_224.mae", batch_size=1024).learning_rate == pytest.approx(2e-3)
    assert modern(model="convnext_base.fb_in22k").learning_rate == 5e-5
    assert modern(model="vit_base_patch16_clip_224.openai").learning_rate == pytest.approx(7.5e-5)


def test_what_the_user_sets_counts() -> None:
    config = modern(model="vit_base_patch16_224.mae", learning_rate=1e-4, ema=0.9)
    assert (config.learning_rate, config.ema, config.layer_decay, config.family) == (1e-4, 0.9, 0.65, "vit_masked")
    assert family_text(config).endswith("; set otherwise: learning_rate 0.0001, ema 0.9")
    other = modern(model="hf-hub:someone/network", family="vit_clip")
    assert (other.family, other.layer_decay) == ("vit_clip", 0.6)
    with pytest.raises(UnknownNameError):
        modern(family="vit_cilp")


def test_the_command_line_finds_the_family() -> None:
    words = ["--model", "convnext_tiny.fb_in22k", "--batch-size", "128", "--weight-decay", "0.1"]
    config = parse(Train, None, words).training
    assert (config.family, config.head_init_scale, config.weight_decay) == ("convnext", 0.001, 0.1)
    assert config.learning_rate == 5e-5
    assert parse(Train, None, ["--model", "vit_small_patch16_224.dino", "--recipe", "none"]).training.family is None


@pytest.mark.parametrize("recipe", ["paper", "linear_probe", "debug_cpu", "demo"])
def test_a_family_is_refused_where_it_would_change_nothing(recipe: str) -> None:
    with pytest.raises(ConfigurationError, match=f"family='vit_clip' changes nothing in recipe {recipe}"):
        RECIPES[recipe](family="vit_clip")
    with pytest.raises(ConfigurationError, match=f"recipe {recipe}. .*modern"):
        parse(Train, None, ["--recipe", recipe, "--family", "vit_clip"])
    assert parse(Train, None, ["--recipe", recipe, "--family", "none"]).training.family is None


def test_other_recipes_and_random_weights_have_no_family() -> None:
    chosen = {"model": "vit_base_patch16_224.mae"}
    for config in (paper(**chosen), linear_probe(**chosen), debug_cpu(), demo(), modern(**chosen, weights="random")):
        assert config.family is None
    assert modern(**chosen, weights="random").learning_rate == TrainingConfig().learning_rate


@pytest.mark.parametrize("name", ["test_vit", "test_convnext"])
def test_layers_are_those_of_timm(name: str) -> None:
    """Rates of neighboring layers of the backbone differ as timm's own groups have it."""
    family = FAMILIES["vit_masked"]
    config = TrainingConfig(model=name, **family.settings(32))
    model = timm.create_model(name, num_classes=3)
    ours = {id(part): group["lr"] for group in parameter_groups(model, config) for part in group["params"]}
    scales = {
        id(part): group["lr_scale"]
        for group in param_groups_layer_decay(model, layer_decay=family.layer_decay)
        for part in group["params"]
    }
    backbone = [part for key, part in model.named_parameters() if part.ndim > 1 and not key.startswith("head")]
    ratios = {round(ours[id(part)] / scales[id(part)] / config.learning_rate, 9) for part in backbone}
    assert len(ratios) == 1
    assert len({ours[id(part)] for part in backbone}) > 2
    assert max(ours[id(part)] for part in backbone) == pytest.approx(6.25e-5)


def test_a_new_classifier_starts_small_and_a_trained_one_stays() -> None:
    torch.manual_seed(0)
    usual = build_model("test_vit", 3, "random").head.weight
    torch.manual_seed(0)
    small = build_model("test_vit", 3, "random", head_init_scale=0.001).head.weight
    assert torch.allclose(small, usual * 0.001)


def test_a_classifier_of_a_file_keeps_its_values(tmp_path: Path) -> None:
    model = build_model("test_vit", 3, "random")
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    read = build_model("test_vit", 3, str(tmp_path / "weights.pth"), head_init_scale=0.001)
    assert torch.equal(read.head.weight, model.head.weight)
    anew = build_model("test_vit", 5, str(tmp_path / "weights.pth"), head_init_scale=0.001)
    assert anew.head.weight.abs().max() < 1e-3


def test_every_value_has_a_source() -> None:
    names = {"rate", "scaling", *FAMILIES["vit_masked"].settings(32)} - {"family", "learning_rate"}
    for row in FAMILIES.values():
        assert set(row.sources) <= names
        assert all(row.source(name) for name in names)


def test_the_page_of_recipes_has_the_table() -> None:
    page = (CHECKOUT / "docs" / "recipes.md").read_text().splitlines()
    for row in FAMILIES.values():
        cells = [f"`{row.name}`", row.about, f"{row.rate:g} at {row.reference_batch}, {row.scaling}"]
        cells += [f"{row.learning_rate(32):.3g}", f"{row.head_rate:g}", f"{row.layer_decay:g}"]
        cells += [f"{row.schedule}, {row.warmup:g}", f"{row.head_init_scale:g}", f"{row.drop_path_rate:g}"]
        cells += [f"{row.weight_decay:g}", f"{row.ema:g}", f"{row.image_size or 'own'}, {row.train_scale:g}"]
        assert f"| {' | '.join(cells)} |" in page
        sources: dict[str, list[str]] = {}
        for setting, source in row.sources.items():
            sources.setdefault(source, []).append(f"`{setting}`")
        told = "; ".join(f"{', '.join(settings)}: {source}" for source, settings in sources.items())
        assert f"- `{row.name}`: {told}." in page
    assert len([line for line in page if re.search(r" at \d+, (constant|linear|sqrt) \|", line)]) == len(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_row_trains_a_small_network(
    family: str, training_data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlrsnet_hf.training.trainer.draw_curves", lambda *_: None)
    given = QUICK | {"model": TINY[family], "family": family, "epochs": 1, "train_scale": 1.0}
    config = modern(**given, output_dir=tmp_path / "run")
    result = train(config, training_data, "modern")
    written = json.loads((tmp_path / "run" / "results.json").read_text())["config"]
    row = FAMILIES[family].settings(config.batch_size) | {"image_size": 32, "train_scale": 1.0}
    assert {name: written[name] for name in row} == row
    assert 0 < result.history[-1].loss < 2
