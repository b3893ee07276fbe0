"""What a run finds in its folder, looked at before anything that takes long: a run to go on with, or room for one."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mlrsnet_hf.configuration.yaml_file import write_settings
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.training.checkpoints.checkpoints import Checkpoint, Checkpoints
from mlrsnet_hf.training.checkpoints.history import write_history
from mlrsnet_hf.training.checkpoints.progress import RunRecord
from mlrsnet_hf.training.checkpoints.run_folder import RunFolder
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.results import TrainingResult

FREE_SETTINGS = frozenset(
    {
        *("output_dir", "overwrite", "resume"),
        *("accumulation", "cpu_threads", "num_workers", "cache", "cache_dir", "cache_megabytes", "eval_batch_size"),
        *("checkpoint_steps", "checkpoint_minutes", "keep_checkpoints", "log_every", "trackers"),
    }
)
"""Settings that leave a run's results as they are, up to the rounding of float32 sums in another order; of accumulation
`changes` tells what else it does."""


def refuse_another_run(stored: RunRecord, now: RunRecord) -> None:
    """Refuse to go on with settings, data or a precision that give other results.

    Args:
        stored: The run so far.
        now: The run that shall go on.

    Raises:
        ConfigurationError: They differ; all differences are listed.
    """
    refuse_other_settings(stored.settings, now.settings)
    refuse_other_data(stored.data, now.data)
    if stored.precision != now.precision:
        raise ConfigurationError(
            f"this run cannot go on in another precision: it was {stored.precision}, is {now.precision}",
            f"Give --precision {stored.precision}, or another output_dir.",
        )


def refuse_other_settings(stored: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Refuse to go on with settings that give other results.

    Args:
        stored: The settings of the run so far.
        settings: Those of now; both as `TrainingConfig.to_dict` gives them.

    Raises:
        ConfigurationError: They differ; all differences are listed.
    """
    told = _differences(stored, settings, FREE_SETTINGS)
    if told:
        raise ConfigurationError(
            f"this run cannot go on with other settings: {told}",
            "Give the settings of the run (its settings.yaml), or another output_dir.",
        )


def refuse_other_data(stored: Mapping[str, Any], source: Mapping[str, Any]) -> None:
    """Refuse to go on with other images or labels.

    Args:
        stored: `ImageData.source` of the run so far.
        source: That of now.

    Raises:
        ConfigurationError: The fingerprints differ; all that differs is listed.
    """
    if stored.get("fingerprint") != source.get("fingerprint"):
        raise ConfigurationError(
            f"this run cannot go on with other data: {_differences(stored, source)}",
            "Give the same data, or another output_dir.",
        )


def changes(stored: RunRecord, now: RunRecord) -> str:
    """Return what differs between the parts of a run that may go on, and makes it end a little otherwise; often ""."""
    pairs = {
        "processes": (stored.processes, now.processes),
        "accumulation": (stored.settings["accumulation"], now.settings["accumulation"]),
        "device": (stored.device, now.device),
    }
    told = [f"{name} was {before}, is {after}" for name, (before, after) in pairs.items() if before != after]
    if not told:
        return ""
    return f"{', '.join(told)}: dropout, batch statistics or rounding will not be those of a run that was never stopped"


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as JSON gives them back, so that they can be compared with stored ones."""
    copy: dict[str, Any] = json.loads(json.dumps(values))
    return copy


def _differences(stored: Mapping[str, Any], now: Mapping[str, Any], free: Collection[str] = ()) -> str:
    names = [name for name in sorted({*stored, *now}.difference(free)) if stored.get(name) != now.get(name)]
    return "; ".join(f"{name} was {stored.get(name)!r}, is {now.get(name)!r}" for name in names)


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
        write_settings(folder.settings, replace(config, overwrite=False, resume=False), data_config, recipe=recipe)
