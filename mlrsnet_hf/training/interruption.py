"""SIGTERM, and the first SIGINT, as a wish to stop: the loop goes on to where it can write a checkpoint."""

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)

_ECHO = 1.0
"""Seconds: Ctrl-C reaches a process twice, from the terminal and from `accelerate launch`."""


class Interruption:
    """While entered, keeps the signals that ask this process to stop; a second SIGINT breaks off at once.

    Attributes:
        requested: Name of the first signal, such as "SIGTERM"; None before it.
    """

    def __init__(self) -> None:
        self.requested: str | None = None
        self._moment = 0.0
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        # Python lets the main thread alone set handlers; elsewhere the program's own stay.
        if threading.current_thread() is threading.main_thread():
            self._former = {number: signal.signal(number, self._keep) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _keep(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.requested is None:
            self.requested, self._moment = signal.Signals(number).name, now
        elif number == signal.SIGINT and now - self._moment > _ECHO:
            raise KeyboardInterrupt
