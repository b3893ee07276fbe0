"""Grids become the jobs of their product, counted by hand; equal jobs have one name, whatever wrote them."""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import timm
import yaml

from mlrsnet_hf.benchmark.expand import expand
from mlrsnet_hf.benchmark.grid import (
    PRESETS,
    Grid,
    make_grid,
    presets,
    read_grid,
    require_networks,
    settings_from_text,
)
from mlrsnet_hf.benchmark.job import Job
from mlrsnet_hf.benchmark.results import _protocol
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError, UnknownNameError, WeightsError
from mlrsnet_hf.models.paper_networks import PAPER_NETWORKS
from mlrsnet_hf.training import recipes


def jobs_of(grid: Grid) -> list[Job]:
    names = grid.images
    return expand(grid, dict.fromkeys(names, "ab12"), dict.fromkeys(names, "verified"))


def kinds(jobs: list[Job]) -> dict[str, int]:
    return dict(Counter(job.kind for job in jobs))


def grid(**values: Any) -> Grid:  # noqa: ANN401 - whatever YAML holds
    return make_grid("mine", {"networks": ["ResNet50"], **values})


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("paper", {"train": 8 * 3 * 5, "retrieval": 8 * 5}),  # the three query shares of Table 9 are one job
        ("leakage", {"train": 3 * 4 * 5}),
        ("multi-vs-single", {"train": 2 * 2 * 5, "retrieval": 2 * 5}),
        ("demo", {"train": 3 * 2 * 2, "evaluate": 3 * 2, "retrieval": 3 * 2}),
    ],
)
def test_presets_have_as_many_jobs_as_counted_by_hand(name: str, counts: dict[str, int]) -> None:
    jobs = jobs_of(read_grid(name))
    assert kinds(jobs) == counts
    assert len({job.name for job in jobs}) == sum(counts.values())


def test_every_preset_names_networks_that_are_known() -> None:
    assert {"paper", "modern", "leakage", "multi-vs-single", "demo"} == presets().keys()
    for name in presets():
        require_networks(read_grid(name))
        assert jobs_of(read_grid(name))


def test_the_licenses_of_the_modern_preset_are_those_that_timm_tells() -> None:
    for network in read_grid("modern").networks:
        if "weights" not in network.training:
            paper = PAPER_NETWORKS.get(network.name)
            model = network.training["model"] if paper is None else paper.model
            assert network.license == timm.get_pretrained_cfg(model).license, network.name


def test_the_papers_jobs_are_those_of_its_recipe() -> None:
    jobs = jobs_of(read_grid("paper"))
    trains = [job for job in jobs if job.kind == "train"]
    for job in trains:
        seed = job.data.get("split_seed", 0)
        expected = recipes.paper(job.network, seed=seed, trackers=(), cache="disk")
        assert job.training_config() == expected
    axes = Counter((job.network, job.data["protocol"]) for job in trains)
    assert axes == {(network, f"ratio{percent}"): 5 for network in PAPER_NETWORKS for percent in (20, 30, 40)}
    by_name = {job.name: job for job in jobs}
    for job in jobs:
        if job.kind == "retrieval":
            (model,) = (by_name[name] for name in job.needs)
            config = job.retrieval_config(model=["x"])
            assert model.data["protocol"] == "ratio40" and model.network == job.network
            assert config.protocol == ("retrieval05", "retrieval10", "retrieval15")
            assert config.split_seed == (model.data_config().split_seed,)


def test_models_come_before_what_is_measured_of_them_and_repetitions_one_by_one() -> None:
    for name in presets():
        jobs = jobs_of(read_grid(name))
        places = {job.name: place for place, job in enumerate(jobs)}
        assert all(places[needed] < places[job.name] for job in jobs for needed in job.needs)
        seeds = [job.data.get("split_seed", 0) for job in jobs]
        assert seeds == sorted(seeds)


def test_labels_are_compared_with_scenes() -> None:
    jobs = {job.name: job for job in jobs_of(read_grid("multi-vs-single"))}
    for job in jobs.values():
        if job.kind == "retrieval":
            first, second = (jobs[name] for name in job.needs)
            assert (first.task, second.task) == ("labels", "scene")
            assert second.training_config().single_label and not first.training_config().single_label
            assert (first.network, first.data) == (second.network, second.data)


def backwards(values: Any) -> Any:  # noqa: ANN401 - whatever YAML holds
    """Return values with the keys of all mappings in the opposite order."""
    if isinstance(values, Mapping):
        return {name: backwards(values[name]) for name in reversed(values)}
    return [backwards(value) for value in values] if isinstance(values, list) else values


@pytest.mark.parametrize("name", presets())
def test_the_order_of_keys_defines_nothing(name: str) -> None:
    values = yaml.safe_load((PRESETS / f"{name}.yaml").read_text())
    assert {job.name for job in jobs_of(make_grid(name, values))} == {
        job.name for job in jobs_of(make_grid(name, backwards(values)))
    }


def test_equal_jobs_have_one_name_across_grids_and_a_changed_setting_is_another() -> None:
    (job,) = jobs_of(grid(recipes=["paper"]))
    same = [
        grid(recipes=["paper"], training={"epochs": 10}),  # as the recipe has it
        grid(recipes=["paper"], training={"num_workers": 4, "cache": "memory", "eval_batch_size": 7}),
        grid(recipes=["paper"], seeds=[0], protocols="ratio20", split_seeds=[0]),
    ]
    assert {one.digest for other in same for one in jobs_of(other)} == {job.digest}
    changed = [
        grid(recipes=["paper"], training={"epochs": 11}),
        grid(recipes=["paper"], training={"accumulation": 2}),  # other batch statistics
        grid(recipes=["paper"], seeds=[1]),
        grid(recipes=["paper"], protocols=["ratio30"]),
        grid(recipes=["paper"], split_seeds=[1], seeds=[0]),
        grid(recipes=["paper"], tasks=["scene"]),
        grid(recipes=["paper"], data={"label_version": "as-published"}),
        grid(recipes=["modern"]),
    ]
    digests = [one.digest for other in changed for one in jobs_of(other)]
    assert len({job.digest, *digests}) == len(changed) + 1
    other_images = expand(grid(recipes=["paper"]), {"mlrsnet": "cd34"}, {"mlrsnet": "verified"})
    assert other_images[0].digest != job.digest


def test_a_measurement_is_another_where_its_model_is() -> None:
    first, second = (
        jobs_of(grid(evaluations=[{"symmetries": 8}], training={"epochs": epochs}))[1] for epochs in (3, 4)
    )
    assert first.evaluation == second.evaluation and first.digest != second.digest


def test_settings_of_a_network_count_over_those_of_the_grid() -> None:
    own = {"name": "large", "model": "convnext_base", "batch_size": 8, "license": "apache-2.0"}
    first, second = jobs_of(grid(networks=["ResNet50", own], training={"batch_size": 16, "epochs": 2}))
    assert (first.training_config().batch_size, first.training_config().model) == (16, "resnet50.tv_in1k")
    assert (second.training_config().batch_size, second.training_config().model) == (8, "convnext_base")
    assert first.training_config().epochs == second.training_config().epochs == 2
    assert second.training_config().family == "convnext"  # the row of its own network


def test_other_data_have_no_protocol_and_keep_their_columns() -> None:
    own = {"name": "tiles", "dataset": "tiles.csv", "labels_column": "classes", "label_separator": ";"}
    jobs = jobs_of(grid(datasets=[{"name": "mlrsnet"}, own], protocols=["ratio20", "ratio40"], retrieval={}))
    tiles = [job for job in jobs if job.dataset == "tiles"]
    assert kinds(jobs) == {"train": 3, "retrieval": 1} and kinds(tiles) == {"train": 1}
    config = tiles[0].data_config()
    assert (config.labels_column, config.label_separator, config.protocol) == ("classes", ";", None)


def test_a_file_of_splits_takes_the_place_of_the_protocols() -> None:
    jobs = jobs_of(grid(protocols=["ratio20", "ratio40"], data={"split_file": "mine.csv"}, retrieval={}))
    assert kinds(jobs) == {"train": 1} and jobs[0].data_config().protocol is None
    assert _protocol(jobs[0], {}) == "custom"  # which is no column of the paper's


@pytest.mark.parametrize(
    "part",
    [{"retrieval": {}}, {"retrieval": {"of_protocols": ["ratio40"]}}, {"evaluations": [{"of_protocols": ["ratio40"]}]}],
)
def test_measurements_of_protocols_that_nothing_is_trained_by_are_refused(part: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"networks": ["ResNet50"], "protocols": ["ratio20", "ratio30"], **part}))
    with pytest.raises(ConfigurationError, match="ratio40") as error:
        read_grid(str(path))
    assert "ratio20, ratio30" in error.value.remedy


def test_transfer_measures_each_model_on_other_images() -> None:
    on = {"name": "tiles", "dataset": "tiles.csv"}
    jobs = jobs_of(grid(evaluations=[{"on": on, "split": "validation"}], protocols=["ratio20", "ratio40"]))
    assert kinds(jobs) == {"train": 2, "evaluate": 2}
    for job in jobs:
        if job.kind == "evaluate":
            assert job.dataset == "tiles" and job.evaluation_config().split == "validation"


@pytest.mark.parametrize(
    ("values", "near"),
    [
        ({"netwroks": ["ResNet50"]}, "networks"),
        ({"recipes": ["papr"]}, "paper"),
        ({"tasks": ["label"]}, "labels"),
        ({"training": {"learning_rte": 0.1}}, "learning_rate"),
        ({"data": {"label_verson": "verified"}}, "label_version"),
        ({"retrieval": {"protocol": ["retrieval05"]}}, "protocols"),
        ({"retrieval": {"protocols": ["retrieval50"]}}, "retrieval05"),
        ({"retrieval": {"layers": ["logit"]}}, "logits"),
        ({"protocols": ["ratoi20"]}, "ratio20"),
        ({"retrieval": {"of_protocols": ["ratio4O"]}}, "ratio40"),
        ({"evaluations": [{"of_protocols": ["groupd20"]}]}, "grouped20"),
        ({"evaluations": [{"symetries": 4}]}, "symmetries"),
        ({"networks": [{"name": "x", "modell": "resnet50"}]}, "model"),
    ],
    ids=str,
)
def test_a_misspelt_name_is_told_with_the_one_near(values: dict[str, Any], near: str) -> None:
    with pytest.raises(UnknownNameError) as error:
        grid(**values)
    assert f"'{near}'" in error.value.remedy


@pytest.mark.parametrize(("name", "near"), [("ResNet5O", "ResNet50"), ("convnext_tinny", "convnext_tiny")])
def test_a_misspelt_network_is_told_with_the_one_near(name: str, near: str) -> None:
    with pytest.raises(UnknownNameError) as error:
        require_networks(grid(networks=[name]))
    assert f"'{near}'" in error.value.remedy


@pytest.mark.parametrize("part", ["training", "networks"])
def test_weights_that_are_not_there_are_told_before_any_job(part: str) -> None:
    own = {"name": "ours", "model": "test_resnet"}
    values = {"training": {"weights": "no.pth"}} if part == "training" else {}
    network = own if part == "training" else own | {"weights": "no.pth"}
    with pytest.raises(WeightsError, match=r"no\.pth"):
        require_networks(grid(networks=[network], **values))


@pytest.mark.parametrize(
    "values",
    [
        {"networks": []},
        {"networks": ["ResNet50", "ResNet50"]},
        {"networks": "ResNet50"},
        {"split_seeds": [0, 0]},
        {"split_seeds": ["a"]},
        {"split_seeds": 3},
        {"seeds": [-1]},
        {"seeds": [True]},
        {"training": {"epochs": 0}},
        {"training": {"output_dir": "x"}},
        {"training": ["epochs"]},
        {"data": {"split_seed": 1}},
        {"datasets": [{"dataset": "x.csv"}]},
        {"datasets": [{"name": "a", "synthetic": "many"}]},
        {"datasets": [{"name": "a", "dataset": "x.csv"}, {"name": "a", "dataset": "y.csv"}]},
        {"networks": [{"model": "resnet50"}]},
        {"networks": [3]},
    ],
    ids=str,
)
def test_what_cannot_be_used_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(MLRSNetError):
        grid(**values)


def test_a_preset_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="'paper'"):
        read_grid("papper")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_grid(str(tmp_path / "mine.yaml"))


def test_settings_as_words() -> None:
    found = settings_from_text(["batch-size=8", "ema=0.5", "channels_last=no", "trackers=tensorboard"])
    assert found == {"batch_size": 8, "ema": 0.5, "channels_last": False, "trackers": ("tensorboard",)}
    with pytest.raises(UnknownNameError, match="'batch_size'"):
        settings_from_text(["batch_sise=8"])
    with pytest.raises(ConfigurationError):
        settings_from_text(["batch_size"])


def test_a_job_is_read_as_it_was_written(tmp_path: Path) -> None:
    for job in jobs_of(read_grid("demo")):
        job.write(tmp_path / job.name)
        assert Job.read(tmp_path / job.name) == job
        assert Job.read(tmp_path / job.name).name == job.name


@pytest.mark.parametrize("name", ["../../elsewhere", "/tmp/x", "..", "a/b", "", "a\n"])
def test_a_job_leads_out_of_no_folder(tmp_path: Path, name: str) -> None:
    train, *_ = jobs_of(read_grid("demo"))
    for changes in ({"label": name}, {"needs": (name,)}):
        dataclasses.replace(train, **changes).write(tmp_path)
        with pytest.raises(ConfigurationError, match=r"job\.json"):
            Job.read(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1}', '{"format": 9}', '{"format": 1, "kind": "x"}'])
def test_a_damaged_job_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "job.json").write_text(content)
    with pytest.raises(ConfigurationError, match=r"job\.json"):
        Job.read(tmp_path)
