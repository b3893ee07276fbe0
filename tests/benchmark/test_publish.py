"""A benchmark to the Hub: built as folders, pushed, and its rows computed again from what was published."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import constants, parse_eval_result_entries
from sklearn.metrics import average_precision_score, f1_score

from mlrsnet_hf.benchmark.check import check
from mlrsnet_hf.benchmark.folder import Benchmark
from mlrsnet_hf.benchmark.grid import make_grid
from mlrsnet_hf.benchmark.publish import publish_benchmark, push_publication
from mlrsnet_hf.benchmark.repositories import Publication, _public, build_publication, model_names
from mlrsnet_hf.benchmark.results import read_results
from mlrsnet_hf.benchmark.results_table import COLUMNS, TABLE, read_results_table, write_results_table
from mlrsnet_hf.benchmark.run_job import run_chain, write_failure
from mlrsnet_hf.cli import main
from mlrsnet_hf.errors import ConfigurationError, UnknownNameError
from mlrsnet_hf.prediction.predictions_file import read_predictions
from mlrsnet_hf.publishing.hub_errors import HubError
from tests.benchmark.report.conftest import copy  # noqa: F401
from tests.publishing.conftest import LocalHub, hub, hub_in_process, hub_process  # noqa: F401

GRID = {
    "networks": ["test_resnet", "test_vit"],
    "recipes": ["debug_cpu"],
    "protocols": ["ratio20"],
    "training": {"epochs": 1, "batch_size": 8},
    "evaluations": [{"symmetries": 2, "draws": 10}],
    "retrieval": {"protocols": ["retrieval10"], "of_protocols": ["ratio20"]},
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, copy: Path) -> Path:  # noqa: F811
    """A benchmark whose ResNet is trained, evaluated once more and searched by, and whose ViT has failed."""
    root = tmp_path_factory.mktemp("done") / "benchmark"
    benchmark = Benchmark(root)
    jobs = benchmark.begin(make_grid("mine", GRID), str(copy))
    for chain in benchmark.chains(jobs, benchmark.states(jobs)):
        if jobs[chain[0]].network == "test_resnet":
            assert run_chain(chain) == ["done"] * 3
        else:
            reason = {"error": "ConfigurationError", "reason": f"{copy}/Images/x.jpg: cannot be read", "remedy": ""}
            write_failure(chain[0], reason)
    return root


@pytest.fixture(scope="module")
def built(done: Path, tmp_path_factory: pytest.TempPathFactory, hub_process: LocalHub) -> Publication:  # noqa: F811
    """Its repositories, whose addresses are those of the local Hub."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(constants, "ENDPOINT", hub_process.endpoint)
        return build_publication(read_results(done), tmp_path_factory.mktemp("built"), "jane/scenes")


def job_of(root: Path, kind: str) -> Path:
    (found,) = [row.folder for row in read_results(root).rows if row.job.kind == kind and row.state == "done"]
    return found


def test_the_table_has_a_row_for_each_job_with_scores_of_its_predictions(built: Publication, done: Path) -> None:
    rows = read_results_table(built.results.folder / "data/results.parquet")
    assert len(rows) == 6
    assert sorted(row["state"] for row in rows.values()) == ["done"] * 3 + ["failed"] + ["waiting"] * 2
    for kind in ("train", "evaluate"):
        row = rows[job_of(done, kind).name]
        (model,) = built.models.values()
        saved = read_predictions(model.folder / row["predictions"])
        targets, scores = saved.predictions.targets, saved.predictions.scores
        occurring = targets.any(axis=0)
        values = average_precision_score(targets[:, occurring], scores[:, occurring], average=None)
        assert row["map"] == pytest.approx(np.mean(values), abs=1e-9)
        f1 = f1_score(targets, scores > 0.5, average="samples", zero_division=0)
        assert row["sample_f1"] == pytest.approx(f1, abs=1e-9)
    (failed,) = [row for row in rows.values() if row["state"] == "failed"]
    assert failed["reason"] == "x.jpg: cannot be read"
    searched = json.loads((job_of(done, "retrieval") / "result/results.json").read_text())
    (repeat,) = searched["protocols"]["retrieval10"]["model"]["repeats"]
    assert rows[job_of(done, "retrieval").name]["retrieval10_anmrr"] == pytest.approx(repeat["values"]["anmrr"])


def test_results_of_models_are_of_the_tasks_that_eval_yaml_names(built: Publication) -> None:
    tasks = yaml.safe_load((built.registration.folder / "eval.yaml").read_text())["tasks"]
    (model,) = built.models.values()
    entries = parse_eval_result_entries(yaml.safe_load((model.folder / ".eval_results/scenes.yaml").read_text()))
    assert {entry.task_id for entry in entries} == {task["id"] for task in tasks}
    assert {"mlrsnet_ratio20_map", "mlrsnet_retrieval10_anmrr"} <= {entry.task_id for entry in entries}
    assert {entry.dataset_id for entry in entries} == {"jane/scenes"}
    for entry in entries:
        assert entry.source_url and "self-reported" in entry.notes
        path = entry.source_url.partition("/blob/main/")[2]
        assert (model.folder / path).is_file()
    card = (built.results.folder / "README.md").read_text()
    header = yaml.safe_load(card.split("---")[1])
    assert header["configs"][0]["config_name"] == tasks[0]["config"]
    assert header["configs"][0]["data_files"] == [{"split": tasks[0]["split"], "path": "data/results.parquet"}]
    assert "self-reported" in card
    code = (
        card.partition("```python\n")[2].partition("```")[0].replace('"jane/scenes"', repr(str(built.results.folder)))
    )
    names: dict[str, Any] = {}
    exec(code.replace("print(", "shown = ("), names)  # the card's own example
    assert len(names["shown"]) == 6
    assert "self-reported" in (model.folder / "README.md").read_text()


def test_nothing_names_a_place_of_this_machine(built: Publication, done: Path, copy: Path) -> None:  # noqa: F811
    for repository in (built.results, built.space, built.registration, *built.models.values()):
        assert repository.files
        for path in repository.files.values():
            content = path.read_bytes()
            assert str(done.parent).encode() not in content, path
            assert str(copy.parent).encode() not in content, path


def test_pictures_go_along_only_where_their_license_is_known(
    built: Publication, done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (built.space.folder / "index.html").read_text()
    assert "data:image/jpeg" not in page and "data:image/png" not in page
    drawn = {path.name for path in (built.space.folder / "figures").iterdir()}
    assert drawn and not drawn & {"fig9.png", "fig13.png"}
    monkeypatch.chdir(tmp_path)
    outcome = publish_benchmark(done, "jane/scenes", dry_run=True, with_images=True)
    assert outcome.folder == tmp_path / "mlrsnet-dry-run"
    space = outcome.publication.space.folder
    assert space == outcome.folder / "space"
    assert "data:image/jpeg" in (space / "index.html").read_text()
    assert (space / "figures/fig13.png").is_file()
    assert set(built.space.files) < set(outcome.publication.space.files)


@pytest.mark.browser
def test_the_page_leads_to_the_hub(built: Publication, browser: Any, hub_process: LocalHub) -> None:  # noqa: ANN401, F811
    page = browser.new_page()
    page.goto((built.space.folder / "index.html").as_uri())
    (model,) = built.models
    addresses = page.evaluate("[...document.querySelectorAll('section.group a')].map(a => [a.href, a.target])")
    page.close()
    assert addresses and {target for _, target in addresses} == {"_blank"}
    place = f"{hub_process.endpoint}/{model}"
    inside = [href.removeprefix(place) for href, _ in addresses if href.startswith(place)]
    files = [href.removeprefix("/blob/main/") for href in inside if href.startswith("/blob/main/")]
    assert files and set(files) <= set(built.models[model].files)
    folders = [href.removeprefix("/tree/main/") for href in inside if href.startswith("/tree/main/")]
    assert len(folders) == 3 and all((built.models[model].folder / name).is_dir() for name in folders)
    others = {href for href, _ in addresses if not href.startswith(place)}
    assert others == {f"{hub_process.endpoint}/datasets/jane/scenes"}  # of the jobs without a model


def test_all_goes_to_the_hub_and_a_second_time_nothing(
    built: Publication,
    done: Path,
    hub_in_process: LocalHub,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    push_publication(built, private=True)
    (model,) = model_names(read_results(done), "jane/scenes").values()
    names = [f"models/{model}", "spaces/jane/scenes", "datasets/jane/scenes"]
    repos = hub_in_process.ask("repos")
    assert all(repos[name]["private"] for name in names)
    assert repos["spaces/jane/scenes"]["sdk"] == "static"
    assert "eval.yaml" in hub_in_process.commits("datasets/jane/scenes")[-1]["files"]
    (items,) = [items for slug, items in repos["collections"].items() if slug.startswith("jane/scenes-") and items]
    assert items == [["jane/scenes", "dataset"], ["jane/scenes", "space"], [model, "model"]]

    before = {name: hub_in_process.commits(name) for name in names}
    main(["benchmark", "publish", str(done), "jane/scenes", "--private"])
    assert {name: hub_in_process.commits(name) for name in names} == before
    assert hub_in_process.ask("repos") == repos
    assert "nothing has changed" in capsys.readouterr().out


def test_a_push_that_was_cut_short_is_completed_by_the_next(built: Publication, hub_in_process: LocalHub) -> None:  # noqa: F811
    (model,) = built.models
    hub_in_process.fail({"method": "POST", "path": "/api/datasets/.*/commit/", "status": 403})
    with pytest.raises(HubError, match=r"dataset repository jane/scenes"):
        push_publication(built)
    sent = hub_in_process.commits(f"models/{model}")
    assert len(sent) == 1 and hub_in_process.commits("datasets/jane/scenes") == []
    outcome = push_publication(built)
    assert [one.changed for one in outcome.pushed] == [False, False, True]
    assert hub_in_process.commits(f"models/{model}") == sent
    assert outcome.collection in outcome.summary()


def test_a_hub_that_takes_no_eval_yaml_has_all_else(built: Publication, hub_in_process: LocalHub) -> None:  # noqa: F811
    refusal = {"error": 'eval.yaml: "evaluation_framework" must be one of inspect-ai'}
    hub_in_process.fail(
        {"method": "POST", "path": "/api/datasets/.*/commit/", "skip": 1, "status": 400, "body": refusal}
    )
    outcome = push_publication(built)
    assert "must be one of inspect-ai" in outcome.summary()
    (commit,) = hub_in_process.commits("datasets/jane/scenes")
    assert "data/results.parquet" in commit["files"] and "eval.yaml" not in commit["files"]


def test_rows_of_the_hub_are_computed_again(
    built: Publication,
    done: Path,
    hub_in_process: LocalHub,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    address = f"{hub_in_process.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
    push_publication(built)
    name = job_of(done, "train").name
    (checked,) = check(f"jane/scenes/{name}")
    images = len(read_predictions(job_of(done, "train") / "result/evaluation").ids)
    assert (checked.job, checked.images) == (name, images)
    assert {one.job for one in check("jane/scenes")} == {name, job_of(done, "evaluate").name}
    with pytest.raises(UnknownNameError, match="no row"):
        list(check(f"jane/scenes/{name}x"))
    with pytest.raises(ConfigurationError, match="embeddings"):
        list(check(f"jane/scenes/{job_of(done, 'retrieval').name}"))

    table = pq.read_table(built.results.folder / "data/results.parquet")
    place, column = table["job"].to_pylist().index(name), table.column_names.index("map")
    values = table["map"].to_pylist()
    true = values[place]
    values[place] = true + 0.01
    altered = tmp_path / "altered"
    shutil.copytree(built.results.folder, altered)
    pq.write_table(table.set_column(column, "map", [values]), altered / "data/results.parquet")
    from huggingface_hub import HfApi

    HfApi().upload_file(
        path_or_fileobj=altered / "data/results.parquet",
        path_in_repo="data/results.parquet",
        repo_id="jane/scenes",
        repo_type="dataset",
    )
    with pytest.raises(ConfigurationError) as caught:
        list(check(f"jane/scenes/{name}"))
    told = str(caught.value)
    assert name in told and "mAP" in told and f"{true + 0.01:.6f}"[:7] in told and f"{true:.6f}"[:7] in told


@pytest.mark.parametrize("what", ["score", "label", "fingerprint"])
def test_a_row_that_was_altered_by_hand_is_found(
    done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    root = tmp_path / "benchmark"
    shutil.copytree(done, root, symlinks=True)
    folder = job_of(root, "train")
    main(["benchmark", "check", str(folder)])
    assert folder.name in capsys.readouterr().out
    main(["benchmark", "check", str(root)])
    assert len(capsys.readouterr().out.splitlines()) == 2

    path = folder / "result/evaluation/evaluation.json"
    content = json.loads(path.read_text())
    if what == "score":
        content["scores"]["sample_f1"] += 2e-4
        words = ["sample-F1"]
    elif what == "label":
        row = next(row for row in content["labels"] if row["average_precision"] is not None)
        row["average_precision"] -= 1e-4
        words = ["average precision", row["label"]]
    else:
        content["info"]["model"]["fingerprint"] = "0" * 64
        words = ["model"]
    path.write_text(json.dumps(content))
    with pytest.raises(SystemExit) as ended:
        main(["benchmark", "check", str(folder)])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert all(word in error for word in (folder.name, *words))


@pytest.mark.parametrize("row", ["no-such", "jane", "./jane/x", "a/b/c/d"])
def test_what_is_no_row_is_refused(row: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="USER/NAME/JOB"):
        list(check(row))


@pytest.mark.parametrize("place", ["..", "benchmark/../..", "/etc"])
def test_a_row_leads_out_of_no_repository(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"job": "x-1", "predictions": f"{place}/predictions.parquet", "model_repository": "eve/model"}
    table = pa.table({name: pa.array([told.get(name)], kind) for name, (kind, _) in COLUMNS.items()})
    write_results_table(table, tmp_path / TABLE)
    monkeypatch.setattr("mlrsnet_hf.benchmark.check.download_folder", lambda *_: tmp_path)
    with pytest.raises(ConfigurationError, match="where its predictions lie"):
        list(check("eve/results"))


def test_settings_that_name_variants_name_no_place_of_this_machine(done: Path) -> None:
    results = read_results(done)
    own = {"weights": "/home/jane/first.pth"}
    rows = [dataclasses.replace(row, model=dataclasses.replace(row.model, training=own)) for row in results.rows]
    for row in map(_public, rows):
        assert row.training.weights == "first.pth"
        assert (row.job == row.model) == (row.job.kind == "train") and row.model_name.startswith("test_")


def test_what_cannot_be_published_is_refused(tmp_path: Path, done: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no benchmark"):
        publish_benchmark(tmp_path, "jane/scenes", dry_run=True)
    with pytest.raises(ConfigurationError, match="USER/NAME"):
        publish_benchmark(done, "scenes", dry_run=True)
    begun = tmp_path / "begun"
    shutil.copytree(done, begun, ignore=shutil.ignore_patterns("result", "failure.json"))
    with pytest.raises(ConfigurationError, match="no job is done"):
        publish_benchmark(begun, "jane/scenes", dry_run=True)


def test_names_of_models_are_those_that_the_hub_takes(done: Path) -> None:
    from dataclasses import replace

    results = read_results(done)
    trained = next(row for row in results.rows if row.state == "done")
    long = replace(trained, folder=trained.folder.with_name(f"a b--c..ü{'x' * 150}.-0123456789ab"))
    (name,) = model_names(replace(results, rows=(long,)), f"jane/{'n' * 60}").values()
    assert name.startswith(f"jane/{'n' * 60}-a-b-c.") and name.endswith("-0123456789ab")
    assert len(name.partition("/")[2]) <= 96
