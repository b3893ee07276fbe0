"""What one process finds, all must know before they go on: an error in one would leave the others waiting."""

from collections.abc import Callable
from typing import TypeVar, cast

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object

from mlrsnet_hf.errors import ConfigurationError, MLRSNetError

Result = TypeVar("Result")


class Processes:
    """The processes of one launch.

    Args:
        accelerator: Knows them.
        target: What they write, for errors.
    """

    def __init__(self, accelerator: Accelerator, target: object) -> None:
        self.index = accelerator.process_index
        self.number = accelerator.num_processes
        self._target = target

    def together(self, action: Callable[[], Result]) -> Result:
        """Do it in every process, wait for all, and return this process's result.

        Raises:
            MLRSNetError: It failed in one of them; all raise.
        """
        result, error = self._try(action)
        errors = [error] if self.number == 1 else gather_object([error])
        first = error or next(filter(None, errors), None)
        if first is not None:
            raise first
        return cast(Result, result)

    def on_main(self, action: Callable[[], Result]) -> Result:
        """Do it in the main process alone; all wait for it and return its result.

        Raises:
            MLRSNetError: It failed; all raise.
        """
        outcome = self._try(action) if self.index == 0 else (None, None)
        if self.number > 1:
            [outcome] = broadcast_object_list([outcome])
        result, error = outcome
        if error is not None:
            raise error
        return cast(Result, result)

    def _try(self, action: Callable[[], Result]) -> tuple[Result | None, MLRSNetError | None]:
        try:
            return action(), None
        except MLRSNetError as error:
            return None, error
        except OSError as error:
            return None, ConfigurationError(
                f"{self._target}: cannot be written ({error.strerror or error})",
                "What is finished is kept; make room or mend what is wrong, and run again to go on.",
            )
