"""What one process finds, all must know before they go on: an error in one would leave the others waiting."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

from accelerate import Accelerator

from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.training.agreement import Agreement

Result = TypeVar("Result")


class Processes:
    """The processes of one launch.

    Args:
        accelerator: Knows them.
        target: What they write, for errors.
    """

    def __init__(self, accelerator: Accelerator, target: Path) -> None:
        self.index = accelerator.process_index
        self.number = accelerator.num_processes
        self._agreement = Agreement(accelerator)
        self._target = target

    def together(self, action: Callable[[], Result]) -> Result:
        """Do it in every process, and wait for all.

        Raises:
            MLRSNetError: It failed in one of them; all raise.
        """
        result, error = None, None
        try:
            result = self._explained(action)
        except MLRSNetError as found:
            error = found
        self._agreement.raise_error(error)
        return cast(Result, result)

    def on_main(self, action: Callable[[], Result]) -> Result:
        """Do it in the main process alone, and return its result in all.

        Raises:
            MLRSNetError: It failed; all raise.
        """
        return self._agreement.from_main(lambda: self._explained(action))

    def _explained(self, action: Callable[[], Result]) -> Result:
        try:
            return action()
        except OSError as error:
            raise ConfigurationError(
                f"{self._target}: cannot be written ({error.strerror or error})",
                "What is finished is kept; make room or mend what is wrong, and run again to go on.",
            ) from error
