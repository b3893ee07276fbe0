"""What a run finds in its folder, looked at before anything that takes long: a run to go on with, or room for one."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mlrsnet_hf.training.checkpoints import Checkpoint, Checkpoints
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.data_config import DataConfig
from mlrsnet_hf.training.history import write_history
from mlrsnet_hf.training.results import TrainingResult
from mlrsnet_hf.training.resumption import (
    RunRecord,
    changes,
    plain,
    refuse_another_run,
    refuse_other_data,
    refuse_other_settings,
)
from mlrsnet_hf.training.run_folder import RunFolder
from mlrsnet_hf.training.settings_file import write_settings


@dataclass(frozen=True, slots=True)
class Opening:
    """How a run begins."""

    record: RunRecord
    """The run, with the id of the one that it goes on with."""
    checkpoint: Checkpoint | None = None
    """Where it goes on; None begins anew."""
    finished: TrainingResult | None = None
    """The results of a run that has nothing left to do."""


def open_run(
    folder: RunFolder, checkpoints: Checkpoints, config: TrainingConfig, record: RunRecord, say: Callable[[str], None]
) -> Opening:
    """Look for the run to go on with, and refuse what cannot be; only the main process asks, and holds the lock.

    Changes nothing, but that damaged checkpoints are renamed. With `config.resume` a checkpoint is gone on from even if
    `config.overwrite` is given too, so that a run that replaced another can be resumed by its own command.

    Args:
        folder: The run folder.
        checkpoints: Those in it.
        config: The settings.
        record: The run that is to begin or to go on.
        say: Is told what was found.

    Raises:
        ConfigurationError: The folder holds a run that is neither to be overwritten nor can go on with these settings.
    """
    if config.resume and folder.results.exists():
        finished = TrainingResult.load(folder.results)
        refuse_other_settings(plain(finished.config.to_dict()), record.settings)
        refuse_other_data(finished.data.source, record.data)
        return Opening(record, finished=finished)
    if config.resume:
        checkpoint = checkpoints.newest(say)
        if checkpoint is not None:
            refuse_another_run(checkpoint.run, record)
            say(f"going on from {checkpoint.folder}, step {checkpoint.position.step}")
            if differences := changes(checkpoint.run, record):
                say(differences)
            return Opening(replace(record, run_id=checkpoint.run.run_id), checkpoint)
    folder.check_use(config.overwrite, config.resume)
    if config.resume:
        say(f"{folder.checkpoints} holds no checkpoint: the run begins anew")
    return Opening(record)


def enter_folder(
    folder: RunFolder,
    checkpoints: Checkpoints,
    opening: Opening,
    config: TrainingConfig,
    data_config: DataConfig | None,
    recipe: str | None,
) -> None:
    """Bring the folder to where the run begins or goes on; only the main process does.

    Args:
        folder: The run folder, made or emptied for a run that begins.
        checkpoints: Those in it.
        opening: What `open_run` found.
        config: The settings.
        data_config: Where the data came from, if that is known.
        recipe: Name of the recipe that the settings began with.

    Raises:
        ConfigurationError: The folder cannot be written.
    """
    if opening.checkpoint is None:
        folder.create()
    else:
        checkpoints.clear_partial()
        history = opening.checkpoint.position.history
        if history:  # the run may have died between checkpoint and history
            write_history(history, folder.root)
    # How it was started is not the run's: whoever gives the file back says it anew.
    with folder.writing():
        write_settings(folder.settings, replace(config, overwrite=False, resume=False), data_config, recipe)
