"""Log records and progress bars: where they go, from which process, and that neither spoils the other."""

import logging
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.runtime import logs


@pytest.fixture(autouse=True)
def usual_verbosity() -> Iterator[None]:
    yield
    logs.set_verbosity(logging.INFO)


def test_what_is_told_goes_to_stdout_and_what_is_wrong_to_stderr(capsys: pytest.CaptureFixture) -> None:
    logger = logs.get_logger("mlrsnet_hf.training")
    logger.debug("fine")
    logger.info("epoch %d", 3)
    logger.warning("odd")
    assert capsys.readouterr() == ("epoch 3\n", "odd\n")


@pytest.mark.parametrize(("level", "told"), [(logging.DEBUG, "fine\nepoch\n"), (logging.WARNING, "")])
def test_verbosity(level: int, told: str, capsys: pytest.CaptureFixture) -> None:
    logs.set_verbosity(level)
    logger = logs.get_logger("mlrsnet_hf.training")
    logger.debug("fine")
    logger.info("epoch")
    assert capsys.readouterr().out == told


def test_other_processes_tell_what_is_wrong_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("RANK", "1")
    logger = logs.get_logger("mlrsnet_hf.training")
    logger.info("epoch")
    logger.error("lost")
    assert capsys.readouterr() == ("", "lost\n")
    assert logs.progress_bar(range(3)).disable


def test_a_bar_that_ends_soon_leaves_a_log_file_alone(capsys: pytest.CaptureFixture) -> None:
    assert list(logs.progress_bar(range(3), "drawing")) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_a_long_bar_gives_whole_lines_to_a_log_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(logs, "LINE_SECONDS", 0.0)
    with logs.progress_bar(description="drawing", total=3) as bar:
        for _ in range(3):
            bar.update()
            bar.refresh()
    text = capsys.readouterr().err
    assert "\r" not in text
    assert re.search(r"(?m)^drawing: +33%.* 1/3 .*\n(.*\n)*drawing: 100%.* 3/3 .*\n", text)


def test_quiet_shows_no_bar() -> None:
    logs.set_verbosity(logging.WARNING)
    assert logs.progress_bar(range(3)).disable


def test_an_error_stands_on_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """On a terminal too, where a bar that an error ends has its cursor at the end of the line."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with pytest.raises(SystemExit) as end, logs.exit_on_error():
        for number in logs.progress_bar(range(3), "drawing"):
            if number == 1:
                raise ConfigurationError("k=0 cannot be used", "Give more.")
    assert end.value.code == 2
    text = capsys.readouterr().err
    assert "drawing" in text
    assert text.splitlines()[-1] == "error: k=0 cannot be used. Give more."


def test_the_logger_is_light() -> None:
    code = "import sys, mlrsnet_hf.runtime.logs as l; l.get_logger('mlrsnet_hf.x').info('told');"
    code += "print(*{'torch', 'accelerate'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["told"]
