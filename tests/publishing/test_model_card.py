"""The card of a model: what it says, and that the Hub's own library reads it."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard as HubCard

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.publishing.model_card import SETTINGS, ModelCard
from mlrsnet_hf.publishing.origin import Origin
from mlrsnet_hf.training import config
from mlrsnet_hf.training.rate_scores import RateTrials
from mlrsnet_hf.training.results import TrainingResult

EXPECTED = Path(__file__).with_name("model_card.md")
"""To mend it: write what `test_a_whole_card` renders into the file."""

Render = Callable[..., str]


@pytest.fixture
def render(results: dict[str, Any], tmp_path: Path) -> Render:
    """Render the card of the run, with some of its parts changed."""

    def rendered(**card: object) -> str:
        (tmp_path / "results.json").write_text(json.dumps(results))
        fields = {
            "repo_id": "jane/scenes",
            "origin": Origin("", "apache-2.0"),
            "results": TrainingResult.load(tmp_path / "results.json"),
        }
        return ModelCard(**{**fields, **card}).render()

    return rendered


def test_a_whole_card(render: Render, results: dict[str, Any]) -> None:
    results["data"] |= {"dataset": "jane/harbours", "protocol": None, "split_seed": 0, "labels": None, "repaired": None}
    results["data"] |= {
        "label_names": ["ships", "water"],
        "scene_names": [],
        "images": {"train": 8, "validation": 2, "test": 5},
    }
    results["labels"] = results["labels"][1:3]
    results["eval_symmetries"] = 8
    results["model"]["weights"] = "pretrained"
    names = ("README.md", "config.json", "curves.png", "history.csv", "model.safetensors", "results.json")
    origin = Origin("`timm/test_resnet.r160_in1k`", "apache-2.0", "timm/test_resnet.r160_in1k")
    card = render(origin=origin, dataset_id="jane/harbours", file_names=names)
    assert card == EXPECTED.read_text(encoding="utf-8")


def test_the_hubs_library_reads_it(render: Render, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(render(dataset_id="jane/mlrsnet"), encoding="utf-8")
    card = HubCard.load(tmp_path / "README.md")
    assert (card.data.license, card.data.library_name, card.data.pipeline_tag) == (
        "apache-2.0",
        "timm",
        "image-classification",
    )
    assert card.data.datasets == ["jane/mlrsnet"]
    assert {"timm", "transformers", "multi-label", "remote-sensing", "mlrsnet"} <= set(card.data.tags)
    found = {(r.metric_name, r.metric_value, json.dumps(r.metric_args)) for r in card.data.eval_results}
    assert ("sample-F1", 0.7, '{"threshold": 0.5}') in found
    assert ("mAP", 0.72, "null") in found
    assert len(found) == 9, "five, and the four that a threshold changes"
    (result,) = {(r.task_type, r.dataset_type, r.dataset_config, r.dataset_split) for r in card.data.eval_results}
    assert result == ("image-classification", "jane/mlrsnet", "ratio20", "test")


def test_the_paper_stands_beside_the_same_network_and_ratio(render: Render, results: dict[str, Any]) -> None:
    results["model"]["architecture"] = "resnet50"
    results["data"]["protocol"] = "ratio30"
    card = render()
    assert "| this model | 72.00 | 0.7000 | 0.7100 |" in card
    assert "| ResNet50, paper | 84.28 | 0.8176 | 0.8176 |" in card
    assert "| DenseNet201, paper | 87.84 | 0.8414 | 0.8414 |" in card
    assert "30 percent train, 10 validate and 60 test" in card
    results["model"]["architecture"] = "convnext_tiny"
    card = render()
    assert "no row for this network" in card
    assert "ResNet50, paper" not in card


@pytest.mark.parametrize("change", ["a part", "another protocol", "no test split"])
def test_nothing_is_compared_that_does_not_compare(render: Render, results: dict[str, Any], change: str) -> None:
    if change == "a part":
        results["data"] |= {"images": {"train": 20, "validation": 10, "test": 70}, "is_mlrsnet": True}
    elif change == "another protocol":
        results["data"]["protocol"] = "grouped20"
    else:
        results["scores"]["test"] = None
        results["tuned"]["test"] = None
    card = render()
    assert "Beside the paper" not in card
    says = {
        "a part": "These are 100 of MLRSNet's 109,161 images.",
        "another protocol": "near-duplicates that were found never part",
        "no test split": "**There is no test split.** The scores are those of the validation split",
    }
    assert says[change] in card


def test_labels_and_their_version(render: Render, results: dict[str, Any]) -> None:
    assert "10,300 of these rows had to be repaired" in render()
    results["data"]["labels"] = "as-published"
    assert "published faults included" in render()
    assert "| airport | 10 | 0.5000 | 0.2500 | 0.400 |" in render()
    assert "| airplane |" not in render() and "have no score: airplane" in render()
    results["data"] |= {"labels": None, "repaired": None, "dataset": "jane/mlrsnet"}
    assert "Which version of MLRSNet's labels it has, jane/mlrsnet says, not this run." in render()
    assert "verified" not in render()


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (
            {"is_mlrsnet": False},
            "These 1,214 images have MLRSNet's labels, but not the names and rows that it published",
        ),
        ({}, "Whether these 1,214 images are a part of MLRSNet or others with its labels, the run does not tell."),
    ],
)
def test_other_images_in_the_layout_are_nobodys(
    render: Render, results: dict[str, Any], told: dict[str, bool], says: str
) -> None:
    """Runs of version 0.1 do not tell whose images they have seen."""
    results["data"] |= {"images": {"train": 243, "validation": 121, "test": 850}, "repaired": 244} | told
    card = render()
    assert "The data is images in the layout of MLRSNet, protocol `ratio20`" in card
    assert says in card
    assert "The rules that repair MLRSNet's labels changed 244 rows." in card
    entries = HubCard(card).data.eval_results
    assert {(entry.dataset_type, entry.dataset_name) for entry in entries} == {
        ("images-in-the-layout-of-mlrsnet", "images in the layout of MLRSNet")
    }
    assert "20 percent train" in card
    for claim in ("Qi", "CC BY", "qi2020mlrsnet", "first publication"):
        assert claim not in card


def test_foreign_data_claims_nothing_of_mlrsnet(render: Render, results: dict[str, Any]) -> None:
    results["data"] |= {"dataset": "/data/jane/harbours", "label_names": ["ships"], "scene_names": [], "labels": None}
    card = render()
    assert "The data is harbours, protocol" in card
    assert "/data/jane" not in card
    assert "qi2020mlrsnet" not in card
    assert "repaired" not in card


def test_a_name_of_drawn_images_is_no_proof(render: Render, results: dict[str, Any]) -> None:
    """SAR is synthetic-aperture radar; what this package drew says so."""
    results["data"] |= {"dataset": "jane/synthetic-aperture-ships", "label_names": ["ships"], "labels": None}
    assert "drawn:" not in render()
    assert "synthetic-aperture-ships has terms of its own" in render()


def test_drawn_images_are_not_the_release(render: Render, results: dict[str, Any]) -> None:
    results["data"]["synthetic"] = True
    card = render()
    assert "The images are drawn" in card
    assert "The data is synthetic scenes, protocol" in card
    assert "qi2020mlrsnet" not in card
    assert "name: synthetic scenes" in card
    assert "Beside the paper" not in card


def test_one_class_per_image(render: Render, results: dict[str, Any]) -> None:
    rows = [{"label": "beach", "images": 9, "average_precision": 0.5, "f1": 0.25, "threshold": None}]
    results |= {"task": "scene", "tuned": None, "labels": rows}
    results["scores"] = {
        "validation": {"scene_accuracy": 0.8, "macro_f1": 0.7},
        "test": {"scene_accuracy": 0.75, "macro_f1": 0.7},
    }
    card = render()
    assert "softmax(-1)" in card
    assert ".sigmoid()" not in card
    assert "names the scene of an image, one of 46" in card
    assert "type: accuracy" in card
    assert "multi-label" not in card.partition("# scenes")[0]
    assert "threshold" not in card
    assert "## Scenes" in card
    assert "| beach | 9 | 0.5000 | 0.2500 |\n" in card


def test_averaging_over_views_is_part_of_the_score(render: Render, results: dict[str, Any], tmp_path: Path) -> None:
    results["eval_symmetries"] = 8
    (tmp_path / "README.md").write_text(render(), encoding="utf-8")
    found = {r.metric_name: r.metric_args for r in HubCard.load(tmp_path / "README.md").data.eval_results}
    assert found["mAP, 8 views"] == {"views": 8}
    assert found["sample-F1, 8 views"] == {"threshold": 0.5, "views": 8}


@pytest.mark.parametrize(
    ("keep", "tuned", "says"),
    [
        ("best", True, "validation split, which chose the epoch and the thresholds: they flatter"),
        ("best", False, "validation split, which chose the epoch: they flatter"),
        ("last", True, "validation split, which chose the thresholds: they flatter"),
        ("last", False, "validation split.\n"),
    ],
)
def test_what_flatters_without_a_test_split(
    render: Render, results: dict[str, Any], keep: str, tuned: bool, says: str
) -> None:
    results["config"]["keep"] = keep
    results["scores"]["test"] = results["tuned"]["test"] = None
    if not tuned:
        results["tuned"] = None
    assert f"The scores are those of the {says}" in render()


def test_held_out_images_are_of_the_datasets_train_split(render: Render, results: dict[str, Any]) -> None:
    results["scores"]["test"] = results["tuned"]["test"] = None
    results["data"]["held_out"] = 20
    header = yaml.safe_load(render().split("---\n")[1])
    (dataset,) = {json.dumps(entry["dataset"]["args"]) for entry in header["model-index"][0]["results"]}
    assert json.loads(dataset) == {"seed": 0, "labels": "verified", "held_out": 20}
    assert header["model-index"][0]["results"][0]["dataset"]["split"] == "train"


def test_names_that_markdown_would_take_apart(render: Render, results: dict[str, Any]) -> None:
    results["labels"][1]["label"], results["labels"][2]["label"] = "car|van", "<none>"
    card = render()
    assert r"| car\|van | 10 |" in card
    assert "| &lt;none&gt; | 20 |" in card


def test_the_card_says_which_epoch_was_kept_and_what_was_learned(render: Render, results: dict[str, Any]) -> None:
    results["config"] |= {"keep": "best", "best_metric": None, "scene_weight": 0.5}
    card = render()
    assert "| epoch kept | the best by mAP on validation |" in card
    assert "scene's loss" not in card
    results["config"]["best_metric"], results["task"] = "micro_f1", "labels+scene"
    card = render()
    assert "| epoch kept | the best by micro-F1 on validation |" in card
    assert "| weight of the scene's loss | 0.5 |" in card
    results["config"]["keep"], results["run"]["seconds"] = "last", 41.3
    card = render()
    assert "| epoch kept | last |" in card
    assert "It took 41 seconds on cpu." in card


def test_a_label_that_could_not_be_tuned_is_named(render: Render, results: dict[str, Any]) -> None:
    results["tuned"]["untuned"] = ["dock", "pier"]
    assert "No validation image has dock, pier: threshold 0.5 is kept there." in render()


def test_a_threshold_that_few_images_chose_is_warned_of(render: Render, results: dict[str, Any]) -> None:
    assert "may be far off" not in render()
    results["tuned"]["few"] = {"dock": 6, "pier": 2}
    next(row for row in results["labels"] if row["images"])["threshold"] = 0.0001
    card = render()
    assert "pier (2), dock (6)" in card and "may be far off" in card
    assert card.count("&lt; 0.001 |") == 1 and "| 0.000 |" not in card


def test_many_labels_that_could_not_be_tuned_are_counted(render: Render, results: dict[str, Any]) -> None:
    results["tuned"]["untuned"] = [f"label {i}" for i in range(20)]
    assert "label 6, label 7 and 12 more: threshold 0.5 is kept there." in render()


def test_code_on_a_branch_loads_the_branch(render: Render) -> None:
    card = render(revision="v2")
    assert 'create_model("hf-hub:jane/scenes@v2"' in card
    assert 'hf_hub_download("jane/scenes", "config.json", revision="v2")' in card
    assert card.count('from_pretrained("jane/scenes", revision="v2")') == 2


def test_the_scene_head_has_its_code(render: Render, results: dict[str, Any]) -> None:
    results["task"] = "labels+scene"
    assert 'load_model(Path(snapshot_download("jane/scenes")))' in render()


def test_a_rate_that_was_chosen_is_a_number_on_the_card(render: Render, results: dict[str, Any]) -> None:
    results["config"]["learning_rate"] = "auto"
    with pytest.raises(ConfigurationError, match="learning_rate is auto, and rate_trials chooses none"):
        render()
    trials = RateTrials(base=0.1, rates=(0.1, 0.03), metric="map", held_out=9, images=8, epochs=1, steps=2)
    results["rate_trials"] = dataclasses.asdict(trials.with_score(0.2).with_score(0.5)) | {"chosen": 0.03}
    results["rate_trials"] = json.loads(json.dumps(results["rate_trials"]))
    assert "| learning rate | 0.03, the best of 2 on training images held out |" in render()


def test_the_row_of_the_families_stands_where_there_is_one(render: Render, results: dict[str, Any]) -> None:
    assert "family of networks" not in (card := render())
    assert "first values of the classifier" not in card
    results["config"] |= {"family": "vit_masked", "head_init_scale": 0.001}
    card = render()
    assert "| recipe by family of networks | vit_masked |" in card
    assert "| first values of the classifier, times | 0.001 |" in card


def test_the_settings_of_the_card_are_those_of_the_trainer() -> None:
    assert set(SETTINGS) <= {field.name for field in dataclasses.fields(config.TrainingConfig)}


@pytest.mark.parametrize(
    ("name", "weights", "base_model", "license"),
    [
        ("resnet50.tv_in1k", "random", None, "apache-2.0"),
        ("resnet50.tv_in1k", "pretrained", "timm/resnet50.tv_in1k", "bsd-3-clause"),
        ("resnet50.tv_in1k", "/home/jane/weights.pth", None, "unknown"),
        ("hf-hub:jane/own@v2", "pretrained", "jane/own", "unknown"),
        ("resnet50", "hf-hub:jane/own", "jane/own", "unknown"),
        ("vit_small_patch16_dinov3.lvd1689m", "pretrained", "timm/vit_small_patch16_dinov3.lvd1689m", "other"),
        ("hf-hub:timm/resnet50.tv_in1k@main", "pretrained", "timm/resnet50.tv_in1k", "bsd-3-clause"),
        ("hf-hub:timm/vit_large_patch16_dinov3.sat493m", "random", None, "apache-2.0"),
        (
            "vit_large_patch16_dinov3",
            "hf-hub:timm/vit_large_patch16_dinov3.sat493m",
            "timm/vit_large_patch16_dinov3.sat493m",
            "other",
        ),
        (
            "vit_base_patch16_224",
            "hf-hub:timm/vit_base_patch16_224.mae",
            "timm/vit_base_patch16_224.mae",
            "cc-by-nc-4.0",
        ),
        ("hf-hub:jane/resnet50.tv_in1k", "pretrained", "jane/resnet50.tv_in1k", "unknown"),
        ("hf-hub:timm/of_a_later_timm.tag", "pretrained", "timm/of_a_later_timm.tag", "unknown"),
    ],
)
def test_base_model_and_license(
    light_run: Path, results: dict[str, Any], name: str, weights: str, base_model: str | None, license: str
) -> None:
    pytest.importorskip("timm")
    results["model"] |= {"name": name, "architecture": "resnet50", "weights": weights}
    (light_run / "results.json").write_text(json.dumps(results))
    card = built_card(light_run)
    assert (card.data.base_model, card.data.license) == (base_model, license)
    if license == "other":
        assert card.data.license_name == "dinov3-license"
        assert card.data.license_link == f"https://huggingface.co/{base_model}"


def test_a_license_that_is_given(light_run: Path) -> None:
    card = built_card(light_run, license="MIT")
    assert card.data.license == "mit"
    assert "under MIT, as their publisher says" in card.text
    assert built_card(light_run, license="jane-1.0").data.license_name == "jane-1.0"


def built_card(run: Path, **options: Any) -> HubCard:  # noqa: ANN401
    from mlrsnet_hf.publishing.publish import Built, publish

    built = publish(run, "jane/scenes", dry_run=True, **options)
    assert isinstance(built, Built)
    return HubCard.load(built.repository.folder / "README.md")


def test_scores_stand_with_their_intervals(render: Render, results: dict[str, Any]) -> None:
    of_test = {"scores": {"map": {"low": 0.65, "high": 0.75}}, "tuned": None}
    nothing = {"scores": {"map": {"low": None, "high": None}}, "tuned": None}
    results["intervals"] = {"draws": 1000, "seed": 0, "confidence": 0.95, "validation": nothing, "test": of_test}
    card = render()
    [row] = [line for line in card.splitlines() if line.startswith("| mAP |")]
    assert row.count("(0.6500 to 0.7500)") == row.count("(") == 1
    assert "\nIn brackets stands the middle 95% of 1,000 bootstrap draws of the images (seed 0); " in card
