"""What is told on the way: a logger and progress bars, from the main process alone and in whole lines.

A command's result goes through `print_result`; what happens until then through `get_logger(__name__)` (`info`, or
`debug` for `-v`), and loops that take long through `progress_bar`, never through `tqdm` itself. Here names that
strangers chose become harmless to the terminal.
"""

import contextlib
import copy
import errno
import logging
import os
import signal
import sys
import time
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

from mlrsnet_hf.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, MLRSNetError
from mlrsnet_hf.escaping import MOST, for_terminal, on_one_line
from mlrsnet_hf.runtime.signals import NOTHING_LOST, StopAtOnce

PACKAGE = "mlrsnet_hf"
_MOST_REMEDY = 600
"""Characters of what to do about an error; the rest of a message is for what was found."""
LINE_SECONDS = 30.0
"""The least time between two lines of a bar that is written to a file; later at least a tenth of what has passed."""

_bars: weakref.WeakSet[Any] = weakref.WeakSet()


def get_logger(name: str) -> logging.Logger:
    """Return a module's logger, `name` being its `__name__`, below that of the package."""
    package = logging.getLogger(PACKAGE)
    if not package.handlers:
        package.addHandler(_LineHandler())
        package.setLevel(package.level or logging.INFO)
        package.propagate = False
    return logging.getLogger(name)


def set_verbosity(level: int) -> None:
    """Show records of a level and above: `logging.DEBUG`, `INFO` (the default) or `WARNING`, which hides bars too."""
    get_logger(PACKAGE).setLevel(level)


def is_main_process() -> bool:
    """Tell whether this process is the first of those that work together, or works alone."""
    distributed = getattr(sys.modules.get("torch"), "distributed", None)  # torch is not imported for this
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank()) == 0
    return os.environ.get("RANK", "0") == "0"


def print_result(text: object) -> None:
    """Print what a command came to, on the main process, in the lines that it has; a terminal obeys no character."""
    if is_main_process():
        print(for_terminal(str(text)))  # noqa: T201 - here alone


class _LineHandler(logging.Handler):
    """Writes the bare message above the bars: to standard output, or from WARNING on to standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm.auto import tqdm

        grave = record.levelno >= logging.WARNING
        if record.levelno >= logging.ERROR:
            close_bars()
        if grave or is_main_process():
            file = sys.stderr if grave else sys.stdout
            try:
                tqdm.write(for_terminal(self.format(_with_plain_names(record)), MOST), file=file)
                file.flush()
            except BrokenPipeError:
                raise  # the command ends quietly when its reader has gone
            except Exception:  # as every handler: a fault of logging must not stop the work
                self.handleError(record)


def _with_plain_names(record: logging.LogRecord) -> logging.LogRecord:
    """Return a record whose arguments begin no line of their own."""
    if not isinstance(record.args, tuple):
        return record
    plain = copy.copy(record)
    plain.args = tuple(on_one_line(str(one)) if isinstance(one, str | Path) else one for one in record.args)
    return plain


def progress_bar(
    iterable: Iterable[Any] | None = None,
    description: str | None = None,
    *,
    total: int | None = None,
    initial: int = 0,
    unit: str = "it",
    unit_scale: bool = False,
    leave: bool = True,
    shown: bool = True,
) -> Any:  # noqa: ANN401 - a tqdm, which is imported late
    """Return a tqdm bar, on the main process alone; where no terminal shows it, a line now and then instead.

    Args:
        iterable: What is gone through; None for a bar that is updated by hand, in a `with` block.
        description: What is done, such as "drawing synthetic scenes".
        total: How much there is, if it cannot be asked of the iterable.
        initial: How much is done already.
        unit: What is counted.
        unit_scale: Write large numbers as 1.2k, 3.4M.
        leave: Whether the bar stays when it has ended.
        shown: False for none at all.
    """
    from tqdm.auto import tqdm

    visible = shown and is_main_process() and get_logger(PACKAGE).isEnabledFor(logging.INFO)
    in_notebook = any(base.__module__ == "tqdm.notebook" for base in tqdm.__mro__)
    bar = tqdm(
        iterable,
        description,
        total,
        leave,
        _SeldomLines(sys.stderr) if not in_notebook and not sys.stderr.isatty() else None,
        initial=initial,
        unit=unit,
        unit_scale=unit_scale,
        disable=not visible,
    )
    _bars.add(bar)
    return bar


def close_bars() -> None:
    """End the lines of all bars, so that what comes next stands on its own."""
    for bar in list(_bars):
        bar.close()


@contextlib.contextmanager
def exit_on_error(command: str | None = None) -> Iterator[None]:
    """Turn a `MLRSNetError` into one sentence on standard error and the error's exit code, and a signal into another.

    A signal that asks to stop (Ctrl-C, SIGTERM, SIGUSR1) gives 128 plus its number, as a shell tells it. A reader of
    standard output that goes away, such as `head`, ends the program without a word.

    Args:
        command: Name of the command that runs; of one that trains a signal gives 75.
    """

    def end(stop: StopAtOnce) -> NoReturn:
        code = _tell_stop(stop, command)
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(code)

    with StopAtOnce(end) as stop:
        try:
            yield
            sys.stdout.flush()
            return
        except BrokenPipeError:
            _drop_output()
            return
        except MLRSNetError as error:
            if stop.signal is None:
                get_logger(__name__).error("%s: %s", error.heading, _one_sentence(error))
                sys.exit(error.exit_code)
        except KeyboardInterrupt:
            pass
        except Exception as error:
            if stop.signal is None:  # else it is what a library made of the signal
                if not isinstance(error, OSError) or error.errno not in _FULL:
                    raise
                _drop_output()
                get_logger(__name__).error("error: %s: %s. %s", error.filename or "output", error.strerror, _MAKE_ROOM)
                sys.exit(EXIT_BAD_INPUT)
        sys.exit(_tell_stop(stop, command))


def _drop_output() -> None:
    """Let Python end without another error of the same output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell_stop(stop: StopAtOnce, command: str | None) -> int:
    """Say that a command was stopped, and what is kept; return its exit code."""
    number = stop.signal or signal.SIGINT
    again = _TRAINING.get(command or "", _BEGIN_ANEW)
    if is_main_process():
        get_logger(__name__).error("stopped: %s came. %s", number.name, stop.kept() or again)
    return EXIT_INTERRUPTED if command in _TRAINING else 128 + number


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MAKE_ROOM = "Make room on the disk, or send the output elsewhere, then run again."
_TRAINING = {
    "benchmark": "Nothing is lost: give the same command again.",
    "demo": NOTHING_LOST,
    "train": NOTHING_LOST,
}
"""Commands that train, and the way on after they were stopped, unless they say themselves what they keep."""
_BEGIN_ANEW = "Nothing was kept: give the same command again to begin anew."


def _one_sentence(error: MLRSNetError) -> str:
    """Return an error on one line; where it is too long, finding and remedy are both told in part."""
    remedy = on_one_line(error.remedy, _MOST_REMEDY)
    return f"{on_one_line(error.found, MOST - len(f'{error.heading}: . {remedy}'))}. {remedy}"


class _SeldomLines:
    """A file for tqdm that passes few of its lines on, whole: none of a bar that ends soon."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._begin = time.monotonic()
        self._due = self._begin + LINE_SECONDS
        self._last = ""  # of what was passed on
        self._line = ""

    def write(self, text: str) -> None:
        self._line = text.strip() or self._line
        now = time.monotonic()
        ended = text == "\n" and self._last not in ("", self._line)
        if ended or (text.strip() and now >= self._due):
            self._file.write(f"{self._line}\n")
            self._last = self._line
            self._due = now + max(LINE_SECONDS, (now - self._begin) / 10)

    def flush(self) -> None:
        self._file.flush()
