"""Cells in all the forms of a table."""

import csv
import io

import pytest

from mlrsnet_hf.benchmark.report.latex import latex_table
from mlrsnet_hf.benchmark.report.tables import Column, Table, gap, mean, number, p_value, suffixes, words


def make(**changes: object) -> Table:
    columns = [Column(title="network", is_text=True), Column(title="mAP", above="20%", best="highest")]
    rows = [
        [words("=net|1_a"), mean([0.25, 0.5, 0.75], wanted=3, anchor="jobs-a")],
        [words("other"), mean([0.75], wanted=3)],
        [words("none"), gap("failed: 50% & more", "jobs-b")],
        [words("paper"), number(-0.9, look="paper")],
    ]
    return Table(**{"name": "t", "title": "A table", "columns": columns, "rows": rows} | changes)


def test_csv_has_means_deviations_and_repetitions_at_full_precision() -> None:
    rows = list(csv.reader(io.StringIO(make().csv())))
    assert rows[0] == ["network", "20%: mAP", "20%: mAP, deviation", "20%: mAP, repetitions", "jobs"]
    assert rows[1] == ["'=net|1_a", "0.5", "0.25", "3", "jobs-a"]  # no formula for a spreadsheet
    assert rows[2] == ["other", "0.75", "", "1", ""]
    assert rows[3] == ["none", "failed: 50% & more", "", "", "jobs-b"]


def test_the_best_mean_is_marked_and_no_value_of_the_paper() -> None:
    table = make().with_best()
    assert [row[1].look for row in table.rows] == ["", "best", "gap", "paper"]
    parts = make(sections={0: "first", 1: "second"}).with_best()
    assert [row[1].look for row in parts.rows] == ["", "", "gap", "paper"]  # of one mean there is no best


def test_a_mean_of_fewer_repetitions_says_so() -> None:
    assert [row[1].text for row in make().rows[:2]] == ["0.5000 ± 0.2500", "0.7500 (1 of 3)"]
    assert mean([float("nan")], wanted=3).look == "gap"


def test_a_caption_leaves_numbers_to_the_paper_it_is_in() -> None:
    text = latex_table(make(title="Table 7, read otherwise. mAP"))
    assert r"\caption{mAP (Table 7 of Qi et al., 2020).}" in text
    assert p_value(1e-9).text == "<0.0001"
    assert p_value(0.04999).text == "0.0500"


def test_no_name_is_markup() -> None:
    markdown, latex = make().markdown(), latex_table(make())
    assert r"| =net\|1\_a | [0.5000 ± 0.2500](#jobs-a) |" in markdown or r"=net\|1_a" in markdown
    assert r"=net\textbar{}1\_a & 0.5000 $\pm$ 0.2500 \\" in latex
    assert r"\textit{failed}" in latex
    assert r"$-$0.9000" in latex
    assert r"\multicolumn{1}{c}{20\%}" in latex


@pytest.mark.parametrize(("rows", "form"), [(4, "tabular"), (80, "longtable")])
def test_long_tables_are_parted_over_pages(rows: int, form: str) -> None:
    text = latex_table(make(rows=[[words("a"), number(0.5)]] * rows))
    assert rf"\begin{{{form}}}{{lr}}" in text
    assert text.count(r"a & 0.5000 \\") == rows


def test_sets_of_images_never_share_a_file() -> None:
    assert suffixes(["one", "one"]) == {"one": ""}
    found = suffixes(["my images", "my-images", "other"])
    assert len(set(found.values())) == 3
