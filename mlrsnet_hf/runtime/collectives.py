"""What one process learns by itself, all must know before they meet in the next collective operation."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
import torch.distributed
from accelerate import Accelerator

from mlrsnet_hf.errors import MLRSNetError

Outcome = TypeVar("Outcome")


class Collectives:
    """Talks from host to host (gloo), about 0.1 ms a word, so that no device has to be waited for.

    Every method must be called by all processes together; with a single process none of them costs anything.

    Args:
        accelerator: Knows the processes.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.processes = accelerator.num_processes
        self.index = accelerator.process_index
        self.is_main = accelerator.is_main_process
        self._group: Any = torch.distributed.new_group(backend="gloo") if self.processes > 1 else None

    def any_process(self, *flags: bool) -> tuple[bool, ...]:
        """Return for each flag whether a process has raised it."""
        if self.processes == 1:
            return flags
        votes = torch.tensor(flags, dtype=torch.uint8)
        torch.distributed.all_reduce(votes, torch.distributed.ReduceOp.MAX, group=self._group)
        return tuple(bool(vote) for vote in votes)

    def run_on_main(self, act: Callable[[], Outcome]) -> Outcome:
        """Return, or raise, on every process what an act of the main process gives.

        Raises:
            MLRSNetError: The act raised it.
        """
        if self.processes == 1:
            return act()
        # If the act fails in a way that nobody foresaw, the others are told so and do not wait for ever.
        outcome: list[Any] = [None, MLRSNetError("the main process failed", "Its own error says why.")]
        try:
            if self.is_main:
                outcome = _tried(act)
        finally:
            torch.distributed.broadcast_object_list(outcome, src=0, group=self._group)
        if outcome[1] is not None:
            raise outcome[1]
        return cast(Outcome, outcome[0])

    def run_on_all(self, act: Callable[[], Outcome]) -> Outcome:
        """Return what an act gives in this process, when it has succeeded in every one.

        Raises:
            MLRSNetError: The act raised it in one of them; all raise.
        """
        result, error = _tried(act)
        self.raise_together(error)
        return cast(Outcome, result)

    def raise_together(self, error: MLRSNetError | None) -> None:
        """Raise this process's error, or else that of another.

        Raises:
            MLRSNetError: A process has one.
        """
        errors: list[MLRSNetError | None] = [error]
        if self.processes > 1:
            errors = [None] * self.processes
            torch.distributed.all_gather_object(errors, error, group=self._group)
        for other in errors:
            if other is not None:
                raise error or other


def _tried(act: Callable[[], Any]) -> list[Any]:
    """Return the act's result and the error that it raised, one of which is None."""
    try:
        return [act(), None]
    except MLRSNetError as error:
        return [None, error]
