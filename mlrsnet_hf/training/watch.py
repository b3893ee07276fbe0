"""Between two batches: whether a process must stop, and whether a checkpoint is due."""

from mlrsnet_hf.errors import InterruptedRunError, MLRSNetError
from mlrsnet_hf.training.agreement import Agreement
from mlrsnet_hf.training.checkpoints import CheckpointClock, Checkpoints
from mlrsnet_hf.training.interruption import Interruption
from mlrsnet_hf.training.progress import Progress
from mlrsnet_hf.training.resumption import RunRecord
from mlrsnet_hf.training.run_state import RunState


class Watch:
    """Lets all processes stop together, and writes the checkpoints.

    Args:
        agreement: Of the processes.
        interruption: Of this one.
        clock: Tells when a checkpoint is due.
        checkpoints: Where they are written.
        state: What they hold.
        progress: How far it has come.
        record: The run.
    """

    def __init__(
        self,
        *,
        agreement: Agreement,
        interruption: Interruption,
        clock: CheckpointClock,
        checkpoints: Checkpoints,
        state: RunState,
        progress: Progress,
        record: RunRecord,
    ) -> None:
        self.agreement = agreement
        self.interruption = interruption
        self.clock = clock
        self.checkpoints = checkpoints
        self.state = state
        self.progress = progress
        self.record = record

    def look(self, error: MLRSNetError | None = None) -> None:
        """Stop if a process must, and write a checkpoint if one is due; all processes look together.

        Args:
            error: What this process has met.

        Raises:
            MLRSNetError: A process has met one; raised on all.
            InterruptedRunError: A process was asked to stop, and the checkpoint is written.
        """
        failed, stopped, due = self.agreement.any(
            error is not None, self.interruption.requested is not None, self.clock.is_due_now
        )
        if failed:
            self.agreement.raise_error(error)
        if stopped or due:
            self.save()
        if stopped:
            raise InterruptedRunError(
                f"{self.interruption.requested or 'a signal to another process'} came; {self.checkpoints.folder} holds "
                f"all up to step {self.progress.step}",
                "Give the same command with --resume to go on.",
            )

    def save(self) -> None:
        """Write a checkpoint; all processes do it together.

        Raises:
            ConfigurationError: It cannot be written, or a loss is no number: such a state is never kept.
        """
        position = self.progress.position()
        self.agreement.from_main(lambda: self.checkpoints.save(self.state, position, self.record))
        self.clock.restart()
