"""SIGTERM, and the first SIGINT, as a wish to stop: at once before training, then where a checkpoint can be written."""

import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

from mlrsnet_hf.errors import InterruptedRunError

SIGNALS = (signal.SIGTERM, signal.SIGINT)

_ECHO = 1.0
"""Seconds: Ctrl-C reaches a process twice, from the terminal and from torchrun."""

_LAUNCHERS = ("ACCELERATE_MIXED_PRECISION", "TORCHELASTIC_RUN_ID")
"""Variables by which `accelerate launch` and torchrun show that they started this process."""


class Interruption:
    """While entered, takes the signals that ask this process to stop; a second SIGINT breaks off at once.

    Raises:
        InterruptedRunError: A signal came before `defer`; later ones are kept for `requested`.
    """

    def __init__(self) -> None:
        self._deferred = False
        self._signal: str | None = None
        self._moment = 0.0
        self._launcher = os.getppid() if any(name in os.environ for name in _LAUNCHERS) else None
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        # Python lets the main thread alone set handlers; elsewhere the program's own stay.
        if threading.current_thread() is threading.main_thread():
            self._former = {number: signal.signal(number, self._keep) for number in SIGNALS}
        return self

    def defer(self) -> None:
        """Keep signals from here on: there is something to save."""
        self._deferred = True

    @property
    def requested(self) -> str | None:
        """What asked to stop, such as "SIGTERM"; None before it.

        `accelerate launch` of one process dies of SIGTERM without passing it on, and so asks by its end.
        """
        if self._signal is None and self._launcher not in (None, os.getppid()):
            return "the end of the launcher"
        return self._signal

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _keep(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._signal is None:
            self._signal, self._moment = signal.Signals(number).name, now
            if not self._deferred:
                raise InterruptedRunError(
                    f"{self._signal} came before the first step",
                    "Nothing is lost: give the same command with --resume.",
                )
        elif number == signal.SIGINT and now - self._moment > _ECHO:
            raise KeyboardInterrupt


def leave_signals_to_the_parent(worker: int) -> None:
    """Make a reading process deaf to `SIGNALS`, which schedulers and terminals send to it too.

    The training process still needs its images up to where it stops. SIGTERM that the parent itself sends ends the
    process all the same, because Python waits for it after that.

    Args:
        worker: Its number, which `DataLoader` tells.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # elsewhere SIGTERM ends the process, whoever sends it
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_the_parent, args=(os.getppid(),), daemon=True).start()


def _end_with_the_parent(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
