"""What a push sends, keeps, removes and leaves alone."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import HfApi, parse_eval_result_entries

from mlrsnet_hf import metric_path
from mlrsnet_hf.cli import Train
from mlrsnet_hf.configuration.command_line import parse
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.publishing.hub_errors import HubError
from mlrsnet_hf.publishing.publish import Built, publish, publish_run

Hub = Any


def test_a_run_becomes_a_model_in_one_commit(hub_in_process: Hub, light_run: Path) -> None:
    pushed = publish_run(light_run, "jane/scenes")
    (commit,) = hub_in_process.commits("models/jane/scenes")
    assert set(commit["files"]) == {
        ".gitattributes",
        "README.md",
        "config.json",
        "curves.png",
        "history.csv",
        "model.safetensors",
        "results.json",
        "settings.yaml",
    }
    assert (pushed.url, pushed.commit) == (f"{hub_in_process.endpoint}/jane/scenes", commit["oid"])
    assert (pushed.changed, pushed.files) == (True, 7)
    assert hub_in_process.repo("models/jane/scenes")["private"] is False


def test_a_second_push_sends_only_what_has_changed(hub_in_process: Hub, light_run: Path) -> None:
    first = publish(light_run, "jane/scenes")
    again = publish(light_run, "jane/scenes")
    assert (again.changed, again.commit) == (False, first.commit)
    assert "nothing has changed" in again.summary()
    sent = len(hub_in_process.requests("PUT"))
    (light_run / "history.csv").write_text("epoch,loss\n1,0.3\n")
    assert publish(light_run, "jane/scenes").changed
    assert len(hub_in_process.requests("PUT")) == sent, "the weights were there"
    assert len(hub_in_process.commits("models/jane/scenes")) == 2


def test_what_another_push_left_is_removed_and_nothing_else(hub_in_process: Hub, prepared: Path) -> None:
    publish(prepared, "jane/mlrsnet")
    api = HfApi()
    for name in ("data/pier-a-00000.parquet", "notes.md"):
        api.upload_file(path_or_fileobj=b"1", path_in_repo=name, repo_id="jane/mlrsnet", repo_type="dataset")
    assert "removed 1 of an earlier push" in publish(prepared, "jane/mlrsnet").summary()
    files = hub_in_process.commits("datasets/jane/mlrsnet")[-1]["files"]
    assert "notes.md" in files
    assert "data/pier-a-00000.parquet" not in files


LOOK = {"method": "GET", "path": "^/api/(models|datasets|spaces)/", "times": 1000}
CHECK = {"method": "POST", "path": "/validate-yaml", "times": 1000}


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 404, "body": {"detail": "Not Found"}},
        {"status": 405},
        {"status": 501},
        {"status": 503},
        {"status": 200, "body": {"sha": "0" * 40}},
        {"status": 200, "body": []},
    ],
    ids=["404", "405", "501", "503", "half an answer", "another answer"],
)
def test_a_hub_that_only_takes_commits(hub_in_process: Hub, light_run: Path, answer: dict) -> None:
    """It describes no repository and checks no card: pushed, pushed again as it is, and changed."""
    hub_in_process.fail({**LOOK, **answer}, {**CHECK, **answer})
    assert publish(light_run, "jane/scenes", private=True).changed
    again = publish(light_run, "jane/scenes", private=True)
    assert (again.changed, again.commit) == (False, None)
    assert "does not say whether it is private" in again.summary()
    (light_run / "history.csv").write_text("epoch,loss\n1,0.3\n")
    assert publish(light_run, "jane/scenes").changed
    assert len(hub_in_process.commits("models/jane/scenes")) == 2


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/jane/scenes"), ("POST", "/validate-yaml"), ("POST", "/branch/"), ("POST", "/create"), ("GET", "/coll")],
)
def test_a_hub_that_is_busy_for_a_moment(hub_in_process: Hub, light_run: Path, method: str, path: str) -> None:
    """The client repeats none of these requests; the repository and its branch are there."""
    options = {"revision": "v2", "hub_collection": "jane/scenes-0123456789abcdef01234567"}
    publish(light_run, "jane/scenes", **options)
    hub_in_process.fail({"method": method, "path": path, "status": 503})
    (light_run / "history.csv").write_text("epoch,loss\n1,0.3\n")
    assert publish(light_run, "jane/scenes", **options).changed
    assert len(hub_in_process.commits("models/jane/scenes", "v2")) == 2


def test_a_name_that_is_taken_on_a_hub_that_gives_no_reasons(hub_in_process: Hub, light_run: Path) -> None:
    found = {"status": 404, "body": {"detail": "Not Found"}, "times": 1000}
    hub_in_process.fail(
        {"method": "POST", "path": "/create", "status": 409}, {**LOOK, **found}, {**LOOK, **found, "method": "POST"}
    )
    with pytest.raises(HubError, match=r"jane/scenes: .*is taken .*model repository"):
        publish(light_run, "jane/scenes")


def test_a_token_for_one_repository_alone(hub_in_process: Hub, light_run: Path) -> None:
    publish(light_run, "jane/scenes")
    hub_in_process.fail({"method": "POST", "path": "/create", "status": 403})
    assert not publish(light_run, "jane/scenes").changed


def test_large_files_go_in_parts(hub_in_process: Hub, light_run: Path) -> None:
    (light_run / "model/model.safetensors").write_bytes(bytes(range(250)) * 10_000)
    publish(light_run, "jane/scenes")
    assert sum("/part/" in path for path in hub_in_process.requests("PUT")) == 3


def test_a_branch_is_made_and_main_left_alone(hub_in_process: Hub, light_run: Path) -> None:
    for _ in range(2):
        pushed = publish(light_run, "jane/scenes", revision="v2")
    assert not pushed.changed
    assert len(hub_in_process.commits("models/jane/scenes", "v2")) == 1
    assert hub_in_process.commits("models/jane/scenes") == []


def test_a_branch_that_cannot_be_is_named(hub_in_process: Hub, light_run: Path) -> None:
    with pytest.raises(HubError, match="a b"):
        publish(light_run, "jane/scenes", revision="a b")


def test_a_collection_is_joined_once(hub_in_process: Hub, light_run: Path) -> None:
    slug = "jane/scenes-0123456789abcdef01234567"
    for _ in range(2):
        publish(light_run, "jane/scenes", hub_collection=slug)
    assert hub_in_process.ask("repos")["collections"][slug] == [["jane/scenes", "model"]]


def test_an_unknown_collection_is_found_out_before_anything_is_made(hub_in_process: Hub, light_run: Path) -> None:
    with pytest.raises(HubError, match=r"collection jane/no-such: .*status 404"):
        publish(light_run, "jane/scenes", hub_collection="jane/no-such")
    assert "models/jane/scenes" not in hub_in_process.ask("repos")


def test_private(hub_in_process: Hub, light_run: Path) -> None:
    publish(light_run, "jane/hidden", private=True)
    assert hub_in_process.repo("models/jane/hidden")["private"] is True
    publish(light_run, "jane/scenes")
    with pytest.raises(HubError, match=r"jane/scenes .*--private"):
        publish(light_run, "jane/scenes", private=True)


def test_a_dry_run_leaves_a_folder_and_asks_nobody(hub_in_process: Hub, light_run: Path) -> None:
    built = publish(light_run, "jane/scenes", dry_run=True, dataset_id="jane/mlrsnet")
    assert isinstance(built, Built)
    folder = built.repository.folder
    assert (folder / "model.safetensors").read_bytes() == (light_run / "model/model.safetensors").read_bytes()
    assert str(folder) in built.summary()
    assert folder == Path("mlrsnet-dry-run").absolute()
    assert hub_in_process.ask("requests") == []
    entries = parse_eval_result_entries(yaml.safe_load((folder / ".eval_results/mlrsnet.yaml").read_text()))
    assert {(entry.dataset_id, entry.task_id, entry.value) for entry in entries} == {
        ("jane/mlrsnet", "ratio20_sample_f1", 0.7),
        ("jane/mlrsnet", "ratio20_f1_of_means", 0.71),
        ("jane/mlrsnet", "ratio20_map", 0.72),
        ("jane/mlrsnet", "ratio20_micro_f1", 0.73),
        ("jane/mlrsnet", "ratio20_macro_f1", 0.74),
    }


def test_no_place_of_this_machine_is_published(light_run: Path, results: dict[str, Any]) -> None:
    """Paths are cut, and nothing that only looks like a part of one."""
    results["config"] |= {"output_dir": "/water/jane/0123", "weights": "local-dir:/water/jane/weights"}
    results["data"]["label_names"][0] = "land/water/jane"
    results["data"]["fingerprint"] = "s3:/water/jane/0123"
    (light_run / "results.json").write_text(json.dumps(results))
    settings = "# Of the run\noutput_dir: /water/jane/0123\ndata_dir: ~/jane/data\nweights: ../jane/w.pth\nseed: 7\n"
    (light_run / "settings.yaml").write_text(settings)
    built = publish(light_run, "jane/scenes", dry_run=True)
    assert isinstance(built, Built)
    folder = built.repository.folder
    public = json.loads((folder / "results.json").read_text())
    assert (public["config"]["output_dir"], public["config"]["weights"]) == ("0123", "local-dir:weights")
    assert public["data"]["label_names"] == results["data"]["label_names"]
    assert public["data"]["fingerprint"] == "s3:/water/jane/0123"
    assert public["scores"] == results["scores"]
    text = (folder / "settings.yaml").read_text()
    assert text == '# Of the run\noutput_dir: "0123"\ndata_dir: "data"\nweights: "w.pth"\nseed: 7\n'
    assert parse(Train, None, ["--config", str(folder / "settings.yaml")]).training.output_dir == Path("0123")


@pytest.mark.parametrize("name", ["scenes", "jane/a b", "jane/a/b", "jane/--", ""])
def test_what_is_no_name_is_refused(light_run: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="USER/NAME"):
        publish(light_run, name)


@pytest.mark.parametrize("what", ["empty", "missing"])
def test_what_cannot_be_published_is_told_what_can(tmp_path: Path, what: str) -> None:
    folder = tmp_path / what
    if what == "empty":
        folder.mkdir()
    with pytest.raises(ConfigurationError, match=rf"{what}: .*results.json.*manifest.json.*embeddings.json.*anmrr"):
        publish(folder, "jane/scenes")
    with pytest.raises(ConfigurationError, match=rf"{what}: .*results.json"):
        publish_run(folder, "jane/scenes")


@pytest.mark.parametrize("content", ["{}", "[]", "{", '{"format": 2}'])
def test_results_of_another_form_are_refused(light_run: Path, content: str) -> None:
    (light_run / "results.json").write_text(content)
    with pytest.raises(
        ConfigurationError,
        match=r"results\.json: ",
    ):
        publish(light_run, "jane/scenes")


def test_options_of_runs_are_refused_for_others(prepared: Path) -> None:
    with pytest.raises(ConfigurationError, match="--dataset-id"):
        publish(prepared, "jane/mlrsnet", dataset_id="jane/mlrsnet")


def test_a_space_has_the_name_that_evaluate_looks_for() -> None:
    with pytest.raises(ConfigurationError, match="jane/anmrr"):
        publish(metric_path("anmrr"), "jane/rank")


@pytest.mark.parametrize("name", ["anmrr", "metrics/anmrr"])
def test_a_metric_is_published_by_its_name(name: str) -> None:
    """As the README says it, also where no checkout is."""
    built = publish(name, "jane/anmrr", dry_run=True)
    assert isinstance(built, Built)
    assert {"anmrr.py", "app.py", "README.md", "mlrsnet_hf/metrics/ranking.py"} <= set(built.repository.files)
    with pytest.raises(ConfigurationError, match=r"anmr: .*anmrr"):
        publish("anmr", "jane/anmrr", dry_run=True)


def test_dry_runs_replace_each_other_and_nothing_else(light_run: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "notes.md").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"kept: .*--output-dir"):
        publish(light_run, "jane/scenes", dry_run=True, output_dir=kept)
    with pytest.raises(ConfigurationError, match="--output-dir"):
        publish(light_run, "jane/scenes", dry_run=True, output_dir=light_run / "here")
    assert [path.name for path in kept.iterdir()] == ["notes.md"]
    there, temporary = set(tmp_path.iterdir()), set(Path(tempfile.gettempdir()).iterdir())
    first = publish(light_run, "jane/scenes", dry_run=True, output_dir=tmp_path / "built")
    second = publish("anmrr", "jane/anmrr", dry_run=True, output_dir=tmp_path / "built")
    assert isinstance(first, Built)
    assert isinstance(second, Built)
    assert first.repository.folder == second.repository.folder == tmp_path / "built"
    assert "model.safetensors" not in second.repository.files
    assert set(tmp_path.iterdir()) - there == {tmp_path / "built"}
    assert set(Path(tempfile.gettempdir()).iterdir()) == temporary
    assert {name for name in second.repository.files if name.startswith(".")} == set()


def test_a_prepared_dataset_is_looked_at_where_it_lies(prepared: Path) -> None:
    built = publish(prepared, "jane/mlrsnet", dry_run=True)
    assert isinstance(built, Built)
    assert built.repository.folder == prepared
    assert not Path("mlrsnet-dry-run").exists()
