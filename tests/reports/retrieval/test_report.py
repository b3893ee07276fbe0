"""From embeddings on disk to results, tables, figures and the page."""

import contextlib
import csv
import dataclasses
import io
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from mlrsnet_hf.cli import main
from mlrsnet_hf.configuration.yaml_file import write_settings
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.paper_tables import TABLE9_RETRIEVAL
from mlrsnet_hf.reports.retrieval import report as retrieval_report
from mlrsnet_hf.reports.retrieval.report import write_retrieval
from mlrsnet_hf.reports.retrieval.tables import tables
from mlrsnet_hf.retrieval.protocol import run
from mlrsnet_hf.retrieval.protocol.config import RetrievalConfig
from mlrsnet_hf.retrieval.protocol.results import read_scores
from mlrsnet_hf.retrieval.protocol.run import run_protocols
from mlrsnet_hf.retrieval.protocol.sources import find_sources
from tests.reports.looking import look_at

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WriteEmbeddings = Callable[..., Path]
QUERIES, IMAGES = 24, 130


class Data:
    """Tied embeddings of two models, in folders, and as arrays."""

    def __init__(self, write: WriteEmbeddings, where: Path) -> None:
        draw = np.random.default_rng(11)
        rows = QUERIES + IMAGES
        self.scenes = draw.integers(0, 3, rows)
        self.labels = draw.random((rows, 4)) < 0.5
        self.vectors = draw.integers(0, 4, (rows, 3)).astype(np.float64)
        other = self.labels + 0.1 * draw.random((rows, 4))
        self.ids = [f"query_{row:03d}" for row in range(QUERIES)] + [f"database_{row:03d}" for row in range(IMAGES)]
        names = [np.flatnonzero(row).tolist() for row in self.labels]
        for name, part in (("query", slice(0, QUERIES)), ("database", slice(QUERIES, rows))):
            folder = write(where, name, self.vectors[part], self.scenes[part], names[part])
            setattr(self, name, str(folder))
        self.other = str(write(where, "both", other, self.scenes, names, model="other<net>", ids=self.ids))

    def config(self, **settings: object) -> RetrievalConfig:
        return RetrievalConfig(**{"query_embeddings": self.query, "database_embeddings": self.database} | settings)

    def brute_force(self) -> dict[str, float]:
        """Return some of Table 9, and the mean number of common labels, by loops in float64."""
        values: dict[str, list[float]] = {
            name: [] for name in ("anmrr", "precision_at_10", "retrieval_map", "acg_at_10")
        }
        members = np.bincount(self.scenes[QUERIES:])
        for query in range(QUERIES):
            distances = ((self.vectors[QUERIES:] - self.vectors[query]) ** 2).sum(axis=1)
            order = np.argsort(distances, kind="stable")
            hits = self.scenes[QUERIES:][order] == self.scenes[query]
            count = int(members[self.scenes[query]])
            cut = min(4 * count, 2 * int(members[self.scenes[:QUERIES]].max()))
            ranks = np.flatnonzero(hits) + 1
            average = np.where(ranks <= cut, ranks, 1.25 * cut).sum() / count
            values["anmrr"].append((average - (1 + count) / 2) / (1.25 * cut - (1 + count) / 2))
            values["precision_at_10"].append(hits[:10].mean())
            values["retrieval_map"].append(np.mean([hits[:k].mean() for k in range(1, 101)]))
            common = (self.labels[QUERIES:] & self.labels[query]).sum(axis=1)
            values["acg_at_10"].append(common[order[:10]].mean())
        return {name: float(np.mean(of_queries)) for name, of_queries in values.items()}


@pytest.fixture(scope="module")
def data(write_embeddings: WriteEmbeddings, tmp_path_factory: pytest.TempPathFactory) -> Data:
    return Data(write_embeddings, tmp_path_factory.mktemp("embeddings"))


@pytest.fixture(scope="module")
def written(data: Data, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The results folder of both models, and what was printed."""
    target, told = tmp_path_factory.mktemp("results") / "out", io.StringIO()
    folders = ["--query-embeddings", data.query, "--database-embeddings", data.database]
    with contextlib.redirect_stdout(told):
        main(["retrieval", *folders, "--compare", data.other, "--output-dir", str(target)])
    return target, told.getvalue()


def test_results_are_those_of_brute_force(data: Data, written: tuple[Path, str]) -> None:
    target, told = written
    assert str(target / "index.html") in told
    results = json.loads((target / "results.json").read_text())
    [protocol] = results["protocols"].values()
    [repeat] = protocol["model"]["repeats"]
    expected = data.brute_force()
    assert {name: repeat["values"][name] for name in expected} == pytest.approx(expected, rel=1e-12)
    assert {name: protocol["model"]["values"][name] for name in expected} == {
        name: {"mean": repeat["values"][name], "deviation": None} for name in expected
    }
    assert (repeat["queries"], repeat["database"], len(repeat["curve"])) == (QUERIES, IMAGES, 101)
    weighted = sum(scene["queries"] * scene["values"]["anmrr"] for scene in repeat["scenes"].values()) / QUERIES
    assert weighted == pytest.approx(expected["anmrr"])
    assert any({"P@500", "130"} <= set(re.findall(r"[\w@]+", note)) for note in results["notes"])
    assert "precision_at_500" not in repeat["values"]
    assert (results["model"]["model"], results["compared"]["model"]) == ("net", "other<net>")
    at_10 = protocol["common_labels"][0][0]
    assert at_10["second"] > at_10["first"] == pytest.approx(expected["acg_at_10"])
    assert at_10["verdict"] == "fewer"

    table = list(csv.DictReader((target / "table9.csv").open()))
    assert [row["model"] for row in table][:2] == ["net", "other<net>"]
    assert float(table[0]["ANMRR"]) == pytest.approx(expected["anmrr"])
    assert table[0]["P@500"] == ""
    row = next(line for line in (target / "table9.md").read_text().splitlines() if line.startswith("| given | net |"))
    assert f"| {expected['anmrr']:.4f} | {expected['retrieval_map']:.4f} |" in row
    assert row.endswith("| - |")


def test_results_are_read_again(data: Data, written: tuple[Path, str]) -> None:
    found = read_scores(written[0] / "results.json")
    assert (found.name, found.compared_name, found.info.model) == ("net", "other<net>", "net")
    [protocol] = found.protocols
    expected = data.brute_force()
    assert {name: protocol.model.mean(name)[0] for name in expected} == pytest.approx(expected, rel=1e-12)
    assert protocol.compared is not None
    assert len(protocol.compared.curve()) == 101
    assert protocol.model.scenes() == list(protocol.model.repeats[0].scenes)
    assert protocol.common_labels[0][0].verdict == "fewer"


def test_the_paper_row_of_the_same_network_stands_beside(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = (data.ids[:QUERIES], data.ids[QUERIES:])
    monkeypatch.setattr(run, "protocol_ids", lambda config, protocol, seed, load: ids)
    config = RetrievalConfig(embeddings=[data.other], protocol=["retrieval05", "retrieval10"])
    result = run_protocols(config, find_sources(config))
    [table] = [table for table in tables(result) if table.name == "table9"]
    paper = [row for row in table.rows if row[2] == "paper"]
    assert [row[:2] for row in paper] == [(share, "DenseNet201") for share in ("5%", "10%")]
    for row, percent in zip(paper, (5, 10), strict=True):
        assert list(row[3:]) == list(TABLE9_RETRIEVAL[percent]["DenseNet201"].values())


class Page(HTMLParser):
    """What a page asks for, and what it says of its pictures."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.pictures: list[dict[str, str | None]] = []
        self.asked: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        known = dict(attributes)
        self.asked += [str(known[name]) for name in ("src", "href", "srcset") if name in known]
        if tag == "img":
            self.pictures.append(known)
        assert tag not in ("script", "link", "iframe")


def test_the_page_is_whole_by_itself(written: tuple[Path, str]) -> None:
    folder = written[0]
    page = Page(folder / "index.html")
    assert all(address.startswith("data:image/") for address in page.asked)
    assert len(page.pictures) == 3
    assert all(picture["alt"] for picture in page.pictures)
    text = (folder / "index.html").read_text()
    assert "url(" not in text
    assert "other&lt;net&gt;" in text and "other<net>" not in text
    assert text.count("picture not found") == 2 * 2 * 11  # two queries and ten results each, by two models
    for figure in sorted(folder.glob("*.png")):
        with Image.open(figure) as image:
            pixels = np.asarray(image.convert("L"))
        assert 0.003 < (pixels < 200).mean() < 0.6, figure
    names = [path.name for path in folder.glob("*.png")]
    assert sorted(name[:5] for name in names) == ["fig10", "fig11", "fig12", "fig13", "fig14"]


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_fits_and_reads(browser: "Browser", written: tuple[Path, str], width: int, scheme: str) -> None:
    assert look_at(browser, written[0] / "index.html", width, scheme) == 3


def test_results_that_are_there_already(
    data: Data, written: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = data.config(output_dir=written[0], compare=(data.other,))
    assert write_retrieval(config) is None
    assert "there already, whole and of the same embeddings and settings" in capsys.readouterr().out
    with pytest.raises(ConfigurationError, match="exists already"):
        write_retrieval(dataclasses.replace(config, distance="cosine"))
    shutil.copytree(written[0], tmp_path / "out")
    moved = dataclasses.replace(config, output_dir=tmp_path / "out")
    write_settings(tmp_path / "out" / "settings.yaml", moved)
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    results["model"]["model_fingerprint"] = "0123"  # of another model, whose embeddings lay there
    (tmp_path / "out" / "results.json").write_text(json.dumps(results))
    with pytest.raises(ConfigurationError, match="out: exists already"):
        write_retrieval(moved)


def test_written_whole_or_not_at_all(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(retrieval_report, "write_figures", fail)
    with pytest.raises(ConfigurationError, match="No space left on device"):
        write_retrieval(data.config(output_dir=tmp_path / "out"))
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigurationError, match=str(tmp_path / "out")):
        write_retrieval(data.config(output_dir=tmp_path / "out"))
