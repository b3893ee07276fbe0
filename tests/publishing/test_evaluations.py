"""Scores of later evaluations in what is published: the card, its model-index, and the Hub's own results."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import DatasetDict
from huggingface_hub import ModelCard, parse_eval_result_entries

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.load import load_data
from mlrsnet_hf.prediction.config import EvaluationConfig
from mlrsnet_hf.prediction.evaluation import EvaluationResult
from mlrsnet_hf.publishing.publish import Built, publish
from mlrsnet_hf.reports.evaluation.report import write_evaluation
from mlrsnet_hf.training.results import TrainingResult


@pytest.fixture(scope="module")
def published_run(run: TrainingResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "net"
    shutil.copytree(run.config.output_dir, folder)
    results = json.loads((folder / "results.json").read_text())
    results["data"]["dataset"] = "drawn"
    (folder / "results.json").write_text(json.dumps(results))
    return folder


@pytest.fixture(scope="module")
def evaluations(published_run: Path, data: DatasetDict, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An evaluation on data of this disk, and the same as if the data were of the Hub."""
    folder = tmp_path_factory.mktemp("evaluations")
    data.save_to_disk(str(folder / "pictures"))
    config = EvaluationConfig(output_dir=folder / "here", draws=20, page=False, thresholds=0.25)
    write_evaluation([str(published_run)], config, DataConfig(dataset=str(folder / "pictures")))
    found = {"here": folder / "here"}
    result = EvaluationResult.load(folder / "here")
    for name, split in (("jane/pictures", "test"), ("joe/pictures", "test"), ("joe/sea*x*", "validation")):
        told = dataclasses.replace(result.info.data, dataset=name, hub_id=name, split=split)
        found[name] = folder / f"of-{len(found)}"
        found[name].mkdir()
        info = dataclasses.replace(result.info, data=told)
        dataclasses.replace(result, info=info).save(found[name] / "evaluation.json")
    return found


def test_scores_on_several_datasets_join_the_card(
    published_run: Path, evaluations: dict[str, Path], tmp_path: Path
) -> None:
    built = publish(
        published_run,
        "jane/net",
        dry_run=True,
        output_dir=tmp_path / "dry",
        evaluation=list(evaluations.values()),
    )
    assert isinstance(built, Built)
    result = EvaluationResult.load(evaluations["here"])
    card = ModelCard.load(built.repository.folder / "README.md")
    entries = [entry for entry in card.data.eval_results or [] if entry.dataset_type in ("pictures", *evaluations)]
    assert {entry.dataset_type for entry in entries} == {"pictures", *evaluations} - {"here"}
    for name in ("pictures", "jane/pictures"):
        own = [one for one in entries if one.dataset_type == name]
        plain = {
            one.metric_name: one.metric_value
            for one in own
            if (one.metric_args or {}).get("threshold") != "of 0.25 for all labels"
        }
        assert plain["mAP"] == pytest.approx(result.scores["map"], abs=1e-6)
        assert plain["sample-F1"] == pytest.approx(result.scores["sample_f1"], abs=1e-6)
        tuned = next(one for one in own if one.metric_name == "sample-F1, thresholds of 0.25 for all labels")
        assert tuned.metric_value == pytest.approx((result.at_thresholds or {})["sample_f1"], abs=1e-6)
    text = card.text
    bounds = result.intervals.scores["map"]
    assert f"{result.scores['map']:.4f} ({bounds.text})" in text
    assert "](https://huggingface.co/datasets/jane/pictures)" in text
    assert r"sea\*x\*" in text
    folder = built.repository.folder
    for owner in ("jane", "joe"):
        content = yaml.safe_load((folder / f".eval_results/{owner}--pictures.yaml").read_text())
        found = {entry.task_id: entry for entry in parse_eval_result_entries(content)}
        assert found["default_map"].value == pytest.approx(result.scores["map"], abs=1e-6)
        assert found["default_map"].dataset_id == f"{owner}/pictures"
        file = found["default_map"].source_name
        assert json.loads((folder / file).read_text())["info"]["data"]["hub_id"] == f"{owner}/pictures"
    assert len(list((folder / ".eval_results").iterdir())) == 2  # of test splits alone
    assert len(list((folder / "evaluations").iterdir())) == 4


def test_scores_that_two_evaluations_have_in_common_stand_once(
    published_run: Path, evaluations: dict[str, Path], tmp_path: Path
) -> None:
    result = EvaluationResult.load(evaluations["here"])
    (tmp_path / "again").mkdir()
    other = dataclasses.replace(result.info, thresholds_from="0.3 for all labels")
    dataclasses.replace(result, info=other).save(tmp_path / "again/evaluation.json")
    folders = [evaluations["here"], tmp_path / "again"]
    built = publish(published_run, "jane/net", dry_run=True, output_dir=tmp_path / "dry", evaluation=folders)
    entries = ModelCard.load(built.repository.folder / "README.md").data.eval_results or []
    assert len({repr(entry) for entry in entries}) == len(entries)
    names = [entry.metric_name for entry in entries if entry.dataset_type == "pictures"]
    assert {"sample-F1, thresholds of 0.25 for all labels", "sample-F1, thresholds of 0.3 for all labels"} <= set(names)


def test_evaluations_of_others_are_refused(published_run: Path, evaluations: dict[str, Path], tmp_path: Path) -> None:
    result = EvaluationResult.load(evaluations["here"])
    other = dataclasses.replace(result.info.model, fingerprint="0" * 64)
    (tmp_path / "other").mkdir()
    dataclasses.replace(result, info=dataclasses.replace(result.info, model=other)).save(
        tmp_path / "other/evaluation.json"
    )
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged/evaluation.json").write_text('{"format": 1}')
    for folder in (tmp_path / "other", tmp_path / "damaged", tmp_path / "missing"):
        with pytest.raises(ConfigurationError) as caught:
            publish(published_run, "jane/net", dry_run=True, output_dir=tmp_path / "dry", evaluation=[folder])
        assert str(folder) in caught.value.found
        assert not (tmp_path / "dry").exists()
    with pytest.raises(ConfigurationError, match="--evaluation"):
        publish(tmp_path / "other", "jane/net", dry_run=True, evaluation=[evaluations["here"]])


def test_what_a_published_model_has_learned_is_refused(
    hub_in_process: Any,  # noqa: ANN401
    published_run: Path,
    data: DatasetDict,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its results.json tells."""
    run, pictures = tmp_path / "run", tmp_path / "pictures"
    shutil.copytree(published_run, run)
    data.save_to_disk(str(pictures))
    results = json.loads((run / "results.json").read_text())
    results["data"]["fingerprint"] = load_data(DataConfig(dataset=str(pictures))).source["fingerprint"]
    (run / "results.json").write_text(json.dumps(results))
    publish(run, "jane/net")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    address = f"{hub_in_process.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", address)
    with pytest.raises(ConfigurationError, match="32 of the 32"):
        config = EvaluationConfig(output_dir=tmp_path / "train", draws=5, page=False, split="train")
        write_evaluation(["jane/net"], config, DataConfig(dataset=str(pictures)))
    config = EvaluationConfig(output_dir=tmp_path / "test", draws=5, page=False)
    write_evaluation(["hf-hub:jane/net"], config, DataConfig(dataset=str(pictures)))
    assert EvaluationResult.load(tmp_path / "test").info.trained_on == 0
