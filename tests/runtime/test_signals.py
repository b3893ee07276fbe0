"""Commands that are asked to stop: one line, the shell's exit code, no traceback, whatever they are at."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlrsnet_hf.errors import EXIT_INTERRUPTED, InterruptedRunError
from mlrsnet_hf.files import kept_if_stopped
from mlrsnet_hf.parallel import STOP_SIGNALS
from mlrsnet_hf.runtime.logs import exit_on_error
from mlrsnet_hf.runtime.signals import Interruption

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGUSR1: 138}
ANEW = "Nothing was kept: give the same command again to begin anew.\n"

MakeRelease = Callable[..., Path]


def stop(number: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)
    time.sleep(5)  # the handler ends this


@contextmanager
def ended(code: int) -> Iterator[None]:
    with pytest.raises(SystemExit) as error:
        yield
    assert error.value.code == code


@pytest.mark.parametrize("number", CODES)
def test_each_signal_gives_one_line_and_its_code(number: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    before = [signal.getsignal(one) for one in STOP_SIGNALS]
    with ended(CODES[number]), exit_on_error("audit"):
        stop(number)
    assert capsys.readouterr().err == f"stopped: {number.name} came. {ANEW}"
    assert [signal.getsignal(one) for one in STOP_SIGNALS] == before


@pytest.mark.parametrize(("command", "has_resume"), [("train", True), ("demo", True), ("benchmark", False)])
@pytest.mark.parametrize("number", CODES)
def test_what_trains_gives_its_own_code_before_it_trains(
    number: signal.Signals, command: str, has_resume: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with ended(EXIT_INTERRUPTED), exit_on_error(command):
        stop(number)
    assert ("--resume" in capsys.readouterr().err) == has_resume


def test_the_innermost_block_that_keeps_something_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with ended(143), exit_on_error():
        with kept_if_stopped(lambda: "gone by"):
            pass
        with kept_if_stopped(lambda: "Outer."), kept_if_stopped(lambda: "Inner."), kept_if_stopped(lambda: None):
            stop()
    assert capsys.readouterr().err == "stopped: SIGTERM came. Inner.\n"


def test_what_a_library_makes_of_a_signal_is_a_stop_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    def library() -> None:
        try:
            stop()
        except BaseException:
            raise ValueError("generation failed") from None

    with ended(143), exit_on_error():
        library()
    assert capsys.readouterr().err == f"stopped: SIGTERM came. {ANEW}"
    with pytest.raises(InterruptedRunError), Interruption():
        library()
    with pytest.raises(ValueError, match="unasked"), exit_on_error():
        raise ValueError("unasked")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_in_a_finalizer_is_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    class Loud:
        def __del__(self) -> None:
            stop()

    with ended(143), exit_on_error():
        loud = Loud()
        del loud
        time.sleep(5)
    assert capfd.readouterr().err == f"stopped: SIGTERM came. {ANEW}"


def test_a_second_signal_at_once_is_an_echo(capsys: pytest.CaptureFixture[str]) -> None:
    with ended(130), exit_on_error():
        try:
            stop(signal.SIGINT)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
    assert capsys.readouterr().err == f"stopped: SIGINT came. {ANEW}"


def run(
    arguments: list[str], when: Callable[[], object], number: signal.Signals, folder: Path
) -> tuple[int, str, list[Path]]:
    """Stop a command, and all processes that it has begun, when something is seen; return code and what it said."""
    with (folder / "log").open("w") as log:
        started = subprocess.Popen(
            [sys.executable, "-m", "mlrsnet_hf", *arguments], cwd=folder, stderr=log, start_new_session=True
        )
    deadline = time.monotonic() + 60
    while not when() and started.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(started.pid, number)
    return started.wait(60), (folder / "log").read_text(), sorted(folder.glob(".*.partial"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full")
def test_an_output_that_cannot_be_written_is_one_sentence() -> None:
    command = [sys.executable, "-m", "mlrsnet_hf", "--version"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert re.fullmatch(r"error: output: No space left on device\. Make room [^\n]+\n", done.stderr)


@pytest.mark.parametrize("seconds", [0.3, 0.7])
def test_a_command_that_still_imports_stops_as_well(tmp_path: Path, seconds: float) -> None:
    due = time.monotonic() + seconds
    code, said, _ = run(["synthesize", "out", "--full-size"], lambda: time.monotonic() > due, signal.SIGINT, tmp_path)
    assert (code, said) == (130, f"stopped: SIGINT came. {ANEW}")


def test_the_processes_of_a_command_say_nothing_and_end_with_it(tmp_path: Path) -> None:
    drawn = tmp_path / ".out.partial" / "Images"
    arguments = ["synthesize", "out", "--full-size", "--processes", "2"]
    code, said, left = run(arguments, drawn.exists, signal.SIGINT, tmp_path)
    assert (code, said, left) == (130, f"stopped: SIGINT came. {ANEW}", [])


def test_prepare_says_that_it_goes_on_where_it_does(make_release: MakeRelease, tmp_path: Path) -> None:
    source = make_release({"beach": 60, "airport": 60, "forest": 60})
    journal = tmp_path / ".out.partial" / "journal.jsonl"
    arguments = ["prepare", str(source), "out"]
    begun = lambda: journal.exists() and journal.read_text().count("\n") > 1  # noqa: E731
    code, said, left = run(arguments, begun, signal.SIGUSR1, tmp_path)
    assert (code, left) == (138, [tmp_path / ".out.partial"])
    assert said.splitlines()[-1] == (  # before it, that these images are not MLRSNet's
        f"stopped: SIGUSR1 came. What is finished is kept in {left[0]}; give the same command again to go on."
    )
    done = subprocess.run(
        [sys.executable, "-m", "mlrsnet_hf", *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"\n[1-9]\d* images were there from an earlier run\n", done.stdout)
