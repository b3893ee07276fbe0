"""The tables of the paper, against the transcription that stands beside the checkout."""

import json
import re
from pathlib import Path

import pytest

from mlrsnet_hf import paper_tables
from mlrsnet_hf.metrics import METRICS
from mlrsnet_hf.metrics.registry import PAPER_THRESHOLD

COLUMNS = {
    "ANMRR": "anmrr",
    "mAP": "retrieval_map",
    "P@10": "precision_at_10",
    "P@50": "precision_at_50",
    "P@100": "precision_at_100",
    "P@500": "precision_at_500",
}


@pytest.fixture
def tables(shared: Path) -> dict[str, dict]:
    return json.loads((shared / "paper/tables.json").read_text(encoding="utf-8"))


def test_table_2(shared: Path, tables: dict[str, dict]) -> None:
    own = paper_tables.TABLE2_DATASETS[-1]
    assert (own.images, own.categories) == (tables["totals"]["images"], tables["totals"]["scenes"])
    lines = (shared / "paper/mlrsnet.txt").read_text(encoding="utf-8").replace("\u2013", "-")
    for dataset in paper_tables.TABLE2_DATASETS:  # as the text prints the numbers
        assert re.search(rf"{dataset.images:,} {dataset.categories} {dataset.images_per_category} ", lines), (
            dataset.name
        )


def test_tables_4_and_5(tables: dict[str, dict]) -> None:
    theirs = {row.pop("name"): tuple(row.values()) for row in tables["table4_models"]}
    assert {name: tuple(row) for name, row in paper_tables.TABLE4_NETWORKS.items()} == theirs
    settings = dict(tables["table5_settings"])
    assert (settings.pop("threshold"), settings.pop("repeats")) == (PAPER_THRESHOLD, paper_tables.REPETITIONS)
    assert settings == paper_tables.TABLE5_SETTINGS


def test_table_3_and_the_diversity(tables: dict[str, dict]) -> None:
    table = tables["table3_confidence"]
    _, _, *scenes = table["columns"]
    theirs = {
        scene: {(accepts, rejects): row[i] for accepts, rejects, *row in table["rows"]}
        for i, scene in enumerate(scenes)
    }
    assert theirs == paper_tables.TABLE3_CONFIDENCE
    assert table["accept_threshold"] == paper_tables.CONFIDENCE_THRESHOLD
    assert tables["diversity_average"] == paper_tables.DIVERSITY_AVERAGE


def test_tables_6_and_7(tables: dict[str, dict]) -> None:
    for ours, table in (
        (paper_tables.TABLE6_MAP, "table6_classification_map_percent"),
        (paper_tables.TABLE7_F1, "table7_classification_f1"),
    ):
        assert {name: {str(r): v for r, v in row.items()} for name, row in ours.items()} == tables[table]


def test_tables_8_and_9(tables: dict[str, dict]) -> None:
    assert {str(r): list(sizes) for r, sizes in paper_tables.TABLE8_SIZES.items()} == tables["table8_retrieval_sizes"]
    theirs = {
        int(ratio): {name: {COLUMNS[column]: value for column, value in row.items()} for name, row in rows.items()}
        for ratio, rows in tables["table9_retrieval"].items()
    }
    assert theirs == paper_tables.TABLE9_RETRIEVAL


def test_names_are_those_of_the_registry() -> None:
    assert set(paper_tables.RETRIEVAL_METRICS) <= set(METRICS)
    assert set(paper_tables.TABLE7_F1) == set(paper_tables.TABLE6_MAP)
