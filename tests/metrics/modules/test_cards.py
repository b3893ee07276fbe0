"""The cards: header, sections, code that runs, the paper's numbers."""

import doctest
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from mlrsnet_hf.metrics.citations import PAPER
from mlrsnet_hf.metrics.modules.page import split_card

Load = Callable[..., Any]

yaml = pytest.importorskip("yaml")

METRICS = Path(__file__).parents[3] / "metrics"
CARDS = {path.parent.name: path for path in sorted(METRICS.glob("*/README.md"))}
SECTIONS = [
    "## Metric description",
    "## How to use",
    "## Inputs",
    "## Output values",
    "### Values from popular papers",
    "## Limitations and bias",
    "## Citation",
    "## Further references",
]


def card(name: str) -> str:
    return CARDS[name].read_text(encoding="utf-8")


def test_there_is_a_card_for_every_module() -> None:
    assert list(CARDS) == sorted(path.stem for path in METRICS.glob("*/*.py") if path.stem != "app")
    index = (METRICS / "README.md").read_text(encoding="utf-8")
    assert all(f"({name}/README.md)" in index for name in CARDS)


@pytest.mark.parametrize("name", CARDS)
def test_header_and_sections(name: str) -> None:
    header, text = split_card(card(name))
    fields = yaml.safe_load(header)
    assert fields["tags"] == ["evaluate", "metric"]
    assert (fields["sdk"], fields["app_file"], fields["pinned"]) == ("gradio", "app.py", False)
    assert {"title", "emoji", "colorFrom", "colorTo", "sdk_version", "description"} <= set(fields)
    assert re.findall(r"^##+ .*$", text, flags=re.MULTILINE) == SECTIONS
    assert PAPER in text


@pytest.mark.parametrize("name", CARDS)
def test_code_gives_what_it_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(str(CARDS[name]), module_relative=False)
    assert (failed, tried > 5) == (0, True)


@pytest.mark.parametrize("name", CARDS)
def test_card_names_what_compute_takes_and_returns(name: str, load: Load) -> None:
    description = load(name).inputs_description
    text = re.sub(r"(?<=precision_at_)<k>", "10", card(name))
    arguments, returned = description.split("Returns:\n")
    options = re.findall(r"^    (\w+): ", arguments.split("Args:\n")[1], flags=re.MULTILINE)
    keys = re.findall(r"^    (\w+)[:,]", returned, flags=re.MULTILINE)
    assert len(options) > 2
    assert len(keys) > 2
    assert [word for word in (*options, *keys) if f"`{word}`" not in text] == []


@pytest.mark.parametrize("name", CARDS)
def test_module_says_what_it_is(name: str, load: Load) -> None:
    module = load(name)
    assert isinstance(module.features, datasets.Features)
    assert module.metric.summary in module.description
    assert module.citation == "\n".join(module.metric.bibtex)
    assert "Compute" in module.compute.__doc__


@pytest.mark.parametrize("name", CARDS)
def test_card_says_what_the_registry_declares(name: str, load: Load) -> None:
    metric = load(name).metric
    low, high = metric.bounds
    first_output = card(name).split("## Output values")[1].split("\n- ")[1].replace("\n", " ")
    assert re.search(rf"float from {low:g}\b.* to {high:g}\b.*; {metric.direction}", first_output)
    assert all(work in card(name) for work in metric.bibtex)
    (row,) = re.findall(rf"^\| \[{name}\].*$", (METRICS / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert f"| {metric.direction} |" in row


@pytest.mark.parametrize("name", CARDS)
def test_page(
    name: str, example_values: Callable[[str, str], dict[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page's own function, with a stand-in for gradio, which the tests do not need."""
    import runpy
    import sys
    from types import SimpleNamespace

    pages = []

    class Interface(SimpleNamespace):
        def launch(self) -> None:
            pages.append(self)

    class Error(Exception):
        pass

    widgets = {widget: lambda *_, **arguments: arguments for widget in ("Dropdown", "Code", "JSON")}
    monkeypatch.setitem(sys.modules, "gradio", SimpleNamespace(Interface=Interface, Error=Error, **widgets))
    runpy.run_path(str(METRICS / name / "app.py"), run_name="__main__")
    (page,) = pages
    assert page.article == split_card(card(name))[1]
    for example in page.examples:
        assert page.fn(*example) == pytest.approx(example_values(name, example[0]))
    configuration, predictions, references, _ = page.examples[0]
    for options in ("k = 1", "[1]", '{"unheard": 1}'):
        with pytest.raises(Error):
            page.fn(configuration, predictions, references, options)


def numbers(text: str) -> dict[str, list[float]]:
    """Return the numbers of each row of the tables, by first column; of several tables one after the other."""
    rows: dict[str, list[float]] = {}
    for line in re.findall(r"^\| (\w+) \|((?: [\d.]+ \|)+)$", text, flags=re.MULTILINE):
        rows.setdefault(line[0], []).extend(float(cell) for cell in re.findall(r"[\d.]+", line[1]))
    return rows


def test_numbers_are_those_of_the_paper(shared: Path) -> None:
    tables = json.loads((shared / "paper" / "tables.json").read_text())
    percent = {model: list(row.values()) for model, row in tables["table6_classification_map_percent"].items()}
    with_fractions = {model: [*row, *(round(value / 100, 4) for value in row)] for model, row in percent.items()}
    assert numbers(card("multilabel_map")) == with_fractions
    wanted = {model: list(row.values()) for model, row in tables["table7_classification_f1"].items()}
    assert numbers(card("sample_f1")) == wanted
    retrieval = tables["table9_retrieval"]
    columns = {
        "anmrr": ["ANMRR"],
        "retrieval_map": ["mAP"],
        "precision_at_k": ["P@10", "P@50", "P@100", "P@500"],
    }
    for name, measures in columns.items():
        wanted = {m: [retrieval[share][m][c] for share in ("5", "10", "15") for c in measures] for m in retrieval["5"]}
        assert numbers(card(name)) == wanted
