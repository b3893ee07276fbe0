"""Signals that ask to stop: a command ends at once, and says what is kept; training goes on to its next checkpoint."""

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from mlrsnet_hf.errors import InterruptedRunError
from mlrsnet_hf.files import Tell, kept_now
from mlrsnet_hf.parallel import STOP_SIGNALS

NOTHING_LOST = "Nothing is lost: give the same command with --resume."
"""What to do about a training that was stopped before it had anything to keep."""
_ECHO = 1.0
"""Seconds: Ctrl-C reaches a process twice, from the terminal and from torchrun."""

_LAUNCHERS = ("ACCELERATE_MIXED_PRECISION", "TORCHELASTIC_RUN_ID")
"""Variables by which `accelerate launch` and torchrun show that they started this process."""


class StoppedError(KeyboardInterrupt):
    """A signal came that asks to stop; no `Exception`, so that nothing on the way takes it for its own."""


class _Handlers:
    """While entered, has `STOP_SIGNALS` call `_take`; the program's own handlers come back."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        """The first that came."""
        self._moment = 0.0
        self._former: dict[signal.Signals, Any] = {}

    def _listen(self) -> None:
        # Python lets the main thread alone set handlers; elsewhere the program's own stay.
        if threading.current_thread() is threading.main_thread():
            self._former = {number: signal.signal(number, self._take) for number in STOP_SIGNALS}

    def _restore(self) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        raise NotImplementedError

    def _is_first(self, number: int) -> bool:
        if self.signal is not None:
            return False
        self.signal, self._moment = signal.Signals(number), time.monotonic()
        return True

    def _insists(self, number: int) -> bool:
        """Tell whether somebody presses Ctrl-C again."""
        return number == signal.SIGINT and time.monotonic() - self._moment > _ECHO


class StopAtOnce(_Handlers):
    """While entered, the first signal ends what runs by `StoppedError`; a second Ctrl-C does not wait for it.

    Args:
        end: Says that the command was stopped, and ends the program, for what an error cannot end.
    """

    def __init__(self, end: Callable[["StopAtOnce"], None]) -> None:
        super().__init__()
        self._end = end
        self._lost = False
        self._hook = sys.unraisablehook
        self.kept: Tell = lambda: None
        """Says what a later command goes on from; known when a signal came."""

    def __enter__(self) -> "StopAtOnce":
        self._listen()
        self._hook, sys.unraisablehook = sys.unraisablehook, self._see_lost
        return self

    def __exit__(self, *_: object) -> None:
        sys.unraisablehook = self._hook
        self._restore()

    def _take(self, number: int, frame: FrameType | None) -> None:
        lost, self._lost = self._lost, False
        if self._is_first(number):
            self.kept = kept_now()
        elif not lost:
            if self._insists(number):
                self._end(self)
            return
        if _is_importing(frame):
            # Half-imported modules would make another error of it, and some end the process with a trace of their own.
            # Nothing is torn: what is written takes its name when it is whole.
            self._end(self)
        raise StoppedError

    def _see_lost(self, unraisable: Any) -> None:  # noqa: ANN401 - sys.UnraisableHookArgs, which no module has
        """Try again where Python drops an error, as in a finalizer."""
        if not isinstance(unraisable.exc_value, StoppedError) or self.signal is None:
            self._hook(unraisable)
            return
        self._lost = True
        again = threading.Timer(0.05, _signal_main_thread, [self.signal])
        again.daemon = True
        again.start()


def _signal_main_thread(number: signal.Signals) -> None:
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        _thread.interrupt_main(number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


class Interruption(_Handlers):
    """While entered, takes signals as a wish to stop training; a second Ctrl-C breaks off at once.

    Raises:
        InterruptedRunError: A signal came before `defer`; later ones are kept for `requested`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._deferred = False
        self._launcher = os.getppid() if any(name in os.environ for name in _LAUNCHERS) else None

    def __enter__(self) -> "Interruption":
        self._listen()
        return self

    def defer(self) -> None:
        """Keep signals from here on: there is something to save."""
        self._deferred = True

    @property
    def requested(self) -> str | None:
        """What asked to stop, such as "SIGTERM"; None before it.

        `accelerate launch` of one process dies of SIGTERM without passing it on, and so asks by its end.
        """
        if self.signal is None and self._launcher not in (None, os.getppid()):
            return "the end of the launcher"
        return None if self.signal is None else self.signal.name

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        # Whatever the library that was interrupted made of it.
        if error is not None and self.signal is not None and not self._deferred:
            raise InterruptedRunError(
                f"{self.signal.name} came before the first step",
                NOTHING_LOST,
                self.signal,
            ) from None

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._is_first(number):
            if not self._deferred:
                raise StoppedError
        elif self._insists(number):
            raise KeyboardInterrupt
