"""README and the pages of docs/: their code runs, their commands can be given, their links lead somewhere."""

import ast
import doctest
import logging
import re
import shlex
import shutil
from pathlib import Path

import pytest

from mlrsnet_hf.cli import COMMANDS, GROUPS, main
from mlrsnet_hf.configuration.command_line import parse
from mlrsnet_hf.configuration.settings import all_leaves

CHECKOUT = Path(__file__).parents[1]
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
IDS = [path.name for path in PAGES]
COMMON = {"config", "help", "verbose", "quiet", "version"}
LAUNCHED = ["accelerate", "launch", "-m", "mlrsnet_hf"]


def name_of(words: list[str]) -> str:
    """Return the name of the command that words begin with, which has one word or two."""
    return " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def lines_of_code(page: Path) -> list[list[str]]:
    """Return the words of each command that stands in a block of its own, fenced or indented."""
    text = text_of(page)
    blocks = re.findall(r"```bash\n(.*?)\n```", text, re.DOTALL)
    indented = re.findall(r"^\n {4}((?:mlrsnet|python|accelerate) .*)$", text, re.MULTILINE)
    lines = [line for block in [*blocks, *indented] for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(part, comments=True) for line in lines for part in line.split(" && ") if part]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_examples_give_what_they_say(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.WARNING, logger="mlrsnet_hf")  # what is told on the way is no part of the examples
    failed, tried = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert tried >= {"README.md": 5, "data.md": 30, "metrics.md": 5}.get(page.name, 0)
    assert failed == 0


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_python_is_python(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)\n```", text_of(page), re.DOTALL):
        if not block.startswith(">>>"):
            ast.parse(block)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_commands_in_blocks_can_be_given(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/train").mkdir(parents=True)
    (tmp_path / "runs/train/settings.yaml").write_text("recipe: modern")
    for words in lines_of_code(page):
        words = ["mlrsnet", *words[len(LAUNCHED) :]] if words[: len(LAUNCHED)] == LAUNCHED else words
        if words[0] == "mlrsnet":
            name = name_of(words[1:])
            parse(COMMANDS[name], f"mlrsnet {name}", words[1 + len(name.split()) :])
        elif words[0] == "python":
            assert (CHECKOUT / words[1]).is_file(), words
        else:
            assert words[0] in ("pip", "pytest", "hf"), words


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_commands_in_sentences_exist(page: Path) -> None:
    quoted = re.findall(r"`(?:mlrsnet|[^`]*-m\s+mlrsnet_hf)\s+([^`]+)`", text_of(page))
    for words in (text.split() for text in quoted):
        name, options = name_of(words), set()
        if not name.startswith("--") and name not in GROUPS:
            options = {leaf.replace("_", "-") for leaf in all_leaves(COMMANDS[name])}
        given = {word.split("=")[0][2:] for word in words if word.startswith("--")}
        assert given <= options | COMMON, f"{name} of {page.name}"


def test_readme_names_every_command_and_every_page() -> None:
    text = text_of(PAGES[0])
    assert {name for name in COMMANDS if f"`mlrsnet {name}`" not in text} == set()
    assert {page.name for page in PAGES[1:] if f"(docs/{page.name})" not in text} == set()


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!\w+://)([^)\s]+)\)", text_of(page)):
        name, _, anchor = target.partition("#")
        path = (page.parent / name) if name else page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", text_of(path), re.MULTILINE)
            anchors = {re.sub(r"[^\w\s-]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, target


def test_files_that_the_architecture_names_are_there() -> None:
    text = text_of(CHECKOUT / "docs" / "architecture.md")
    named = set(re.findall(r"`([\w/]+/(?:\w+\.py)?)`", text))
    assert len(named) >= 40
    places = (CHECKOUT, CHECKOUT / "mlrsnet_hf", *(CHECKOUT / "mlrsnet_hf").iterdir())
    assert [name for name in sorted(named) if not any((place / name).exists() for place in places)] == []


@pytest.mark.slow
def test_the_commands_of_evaluation_run_and_write_what_it_says(
    saved_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = CHECKOUT / "docs" / "evaluation.md"
    monkeypatch.chdir(tmp_path)
    small = ["--model", "test_resnet", "--weights", "random", "--image-size", "32", "--epochs", "1", "--trackers"]
    main(["train", "--dataset", str(saved_data), "--output-dir", "runs/train", "--batch-size", "8", *small])
    for name in ("first", "second"):
        shutil.copytree("runs/train", f"runs/{name}")
    lines = [words for words in lines_of_code(page) if words[:2] == ["mlrsnet", "evaluate"]]
    assert len(lines) >= 4
    for words in lines:
        data = {"--data-dir": "--dataset", "path/to/mlrsnet": str(saved_data)}
        main([*(data.get(word, word) for word in words[1:]), "--batch-size", "8"])
    named = re.findall(r"^\| `([\w.]+)` \|", text_of(page), re.MULTILINE)
    assert sorted(named) == sorted(path.name for path in Path("evaluation").iterdir())
    text = text_of(page).partition("## Two models")[2].partition("## From")[0]
    assert {path.name for path in Path("comparison").iterdir()} == set(re.findall(r"`(\w+(?:\.\w+)?)/?`", text))
