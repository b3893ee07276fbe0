"""Text that others chose, where it is printed: seen through the eyes of what reads it there."""

import csv
import html
import io
import logging
import unicodedata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from mlrsnet_hf.cli import main
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import (
    MOST,
    for_csv,
    for_file_name,
    for_markdown,
    for_terminal,
    markdown_code,
    on_one_line,
    quoted,
    shortened,
)
from mlrsnet_hf.publishing.cards import table
from mlrsnet_hf.reports.pages import render
from mlrsnet_hf.reports.text_table import aligned
from mlrsnet_hf.retrieval.embeddings.query import IndexedImage
from mlrsnet_hf.runtime.logs import exit_on_error, get_logger, print_result

HOSTILE = "\x1b]0;title\x07\x1b[2J\u202ered\u2066\r\nnext\x9b31m\u2028|\u200f"
ANY_TEXT = st.text(st.characters(codec=None), max_size=60)
MARKUP = st.text(st.sampled_from("abz019 \\`*_[]()<>#+-.!|~&;:/=$'\"\n\x1b"), max_size=30)


def controls(text: str) -> set[str]:
    """Return what a terminal would not just show: control and format characters, line and paragraph separators."""
    kinds = {sign: unicodedata.category(sign) for sign in text}
    return {sign for sign, kind in kinds.items() if kind in ("Cc", "Cf", "Cs", "Zl", "Zp")} - set("\u200c\u200d")


@hypothesis.given(ANY_TEXT)
def test_a_terminal_obeys_nothing(text: str) -> None:
    assert not controls(on_one_line(text))
    assert controls(for_terminal(text)) <= {"\n"}
    assert for_terminal(text).count("\n") == text.count("\n")


def test_what_people_write_stays_as_it_is() -> None:
    for text in ("café 松 harbor_port 100 % ± 1", "می‌خواهم", "👩‍🌾", "C:\\data\\Ünü"):
        assert on_one_line(text) == text


@hypothesis.given(st.text(max_size=300), st.integers(20, 100))
def test_no_text_is_longer_than_asked(text: str, most: int) -> None:
    assert len(shortened(text, most)) <= most
    assert len(on_one_line(text, most)) <= most
    assert shortened(text, most) == text or len(text) > most


def test_errors_are_one_short_line(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended, exit_on_error():
        raise ConfigurationError(f"file {HOSTILE * 100}", f"Rename {HOSTILE * 100}.")
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert told.startswith("error: file \\x1b]0;title") and "Rename \\x1b]0;" in told
    assert len(told) <= MOST + 1 and controls(told) == {"\n"} and told.count("\n") == 1


def test_logs_and_results_are_harmless(capsys: pytest.CaptureFixture) -> None:
    logger = get_logger("mlrsnet_hf.inputs")
    logger.info("data: %s", HOSTILE)
    logger.warning("x" * 10_000)
    print_result(f"labels: {HOSTILE}\nimages: 3")
    out, err = capsys.readouterr()
    assert controls(out) == {"\n"} and out.count("\n") == 1 + 3  # a name ends no line of a log
    assert len(err) <= MOST + 1
    assert logging.getLogger("mlrsnet_hf").handlers


def test_a_name_breaks_no_table() -> None:
    lines = aligned([("id", "labels"), (HOSTILE, "a\tb"), ("x", "y")], "<<")
    assert len(lines) == 3 and not any(map(controls, lines))
    markdown = table(["id", "labels"], [(HOSTILE, "a|b"), ("x", 1)])
    assert markdown.count("\n") == 3
    assert [line.replace("\\|", "").count("|") for line in markdown.split("\n")] == [3] * 4


@hypothesis.given(MARKUP)
@hypothesis.example("1. sea")
@hypothesis.example("- sea")
def test_markdown_shows_the_text_alone(text: str) -> None:
    markdown_it = pytest.importorskip("markdown_it")
    reader = markdown_it.MarkdownIt("gfm-like", {"linkify": False})
    shown = html.escape(on_one_line(" ".join(text.split("\n"))), quote=False).replace('"', "&quot;")
    inside = reader.render(f"of {for_markdown(text)} and").replace("\n", " ").split()
    assert inside == f"<p>of {shown} and</p>".split()
    if text.strip():
        cells = reader.render(f"| a | b |\n| --- | --- |\n| {for_markdown(text)} | 1 |")
        assert cells.count("<td>") == 2
        assert cells.partition("<td>")[2].partition("</td>")[0].split() == shown.split()


@hypothesis.given(MARKUP)
def test_code_ends_where_it_should(text: str) -> None:
    markdown_it = pytest.importorskip("markdown_it")
    reader = markdown_it.MarkdownIt("gfm-like", {"linkify": False})
    shown = reader.render(f"of {markdown_code(text)} and")
    plain = html.unescape(shown.replace("<code>", "").replace("</code>", "").replace("<p>", "").replace("</p>", ""))
    assert plain.split() == f"of {on_one_line(' '.join(text.split(chr(10))))} and".split()


def test_pages_show_the_text_alone() -> None:
    name = f"<script>alert(1)</script>{HOSTILE}\" onload='x"
    image = IndexedImage(id=name, row=0, scene=name, labels=(name,), scores=None)
    answer = SimpleNamespace(title=name, images=[image])
    values: dict[str, Any] = {"answers": [(answer, None)], "several": True, "pictures": {}, "wanted": ()}
    page = render("search.html", title=name, about=[name], **values)
    assert "<script>" not in page and "onload='x" not in page
    assert controls(page) == {"\n"}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b]0;title" in page


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])  # noqa: RUF001
def test_no_spreadsheet_runs_a_cell(start: str) -> None:
    cell = for_csv(f'{start}HYPERLINK("http://x")')
    file = io.StringIO()
    csv.writer(file).writerow([cell])
    assert next(csv.reader([file.getvalue()]))[0].startswith("'")


def test_numbers_in_a_table_stay_numbers() -> None:
    assert [for_csv(cell) for cell in (-1.5, 3, None, "-1.5", "+3", "sea")] == [-1.5, 3, None, "-1.5", "+3", "sea"]


@hypothesis.given(ANY_TEXT)
def test_a_name_makes_a_name_of_a_file(text: str) -> None:
    name = for_file_name(text)
    assert Path(name).name == name and name.strip(".") and len(name) <= 100


def test_a_value_of_any_size_can_be_told() -> None:
    for value in (10**5000, "x" * 10**6, [[[[[[[[1]]]]]]]] * 1000, {f"{i}": 0 for i in range(1000)}):
        assert len(quoted(value)) <= 200


def test_names_of_images_reach_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """An image file whose name clears the screen, in a copy of the release without its row."""
    image = tmp_path / "rel/Images/beach" / "beach_\x1b[2J\u202e.jpg"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"")
    (tmp_path / "rel/Labels").mkdir()
    (tmp_path / "rel/Labels/beach.csv").write_text("image,sea\nbeach_00001.jpg,1\n")
    for command in (["audit", "rel"], ["prepare", "rel", "prepared"]):
        with pytest.raises(SystemExit), pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            main(command)
        out, err = capsys.readouterr()
        assert controls(out + err) <= {"\n"}
