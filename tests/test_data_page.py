"""The page of data forms: its examples run and give what they say, and its commands have the options they use."""

import doctest
import logging
import re
import shlex
from pathlib import Path

import pytest

from mlrsnet_hf.cli import COMMANDS
from mlrsnet_hf.configuration.command_line import parse

PAGE = Path(__file__).parents[1] / "docs" / "data.md"


def test_examples_give_what_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.WARNING, logger="mlrsnet_hf")  # what is told on the way is no part of the examples
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert tried >= 30
    assert failed == 0


def test_commands_can_be_parsed() -> None:
    blocks = re.findall(r"```bash\n(.*?)\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    assert len(lines) >= 3
    for program, command, *arguments in lines:
        assert program == "mlrsnet"
        parse(COMMANDS[command], f"mlrsnet {command}", arguments)
