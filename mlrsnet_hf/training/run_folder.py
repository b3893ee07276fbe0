"""The folder that a run fills, and what a run finds there: one to go on with, or room for one."""

import json
import os
import shlex
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlrsnet_hf.configuration.yaml_file import write_settings
from mlrsnet_hf.errors import ConfigurationError, WeightsError
from mlrsnet_hf.files import only_writer
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.models.saved_model import MODEL_FILES, load_model
from mlrsnet_hf.runtime.logs import get_logger
from mlrsnet_hf.training.checkpoints import Checkpoint, Checkpoints, RunRecord
from mlrsnet_hf.training.config import AUTO, TrainingConfig
from mlrsnet_hf.training.history import CSV_FILE, CURVES_FILE, JSON_FILE, write_history
from mlrsnet_hf.training.rate_scores import TRIALS_FILE, StoredTrials
from mlrsnet_hf.training.results import RESULTS, TrainingResult

FREE_SETTINGS = frozenset(
    {
        *("output_dir", "overwrite", "resume", "family"),
        *("accumulation", "cpu_threads", "num_workers", "cache", "cache_dir", "cache_megabytes", "eval_batch_size"),
        *("checkpoint_steps", "checkpoint_minutes", "keep_checkpoints", "log_every", "trackers"),
    }
)
"""Settings that leave a run's results as they are up to the rounding of float32 sums in another order. A family's
values are settings of their own; of accumulation `_side_effects` tells what else it does."""

_PATIENCE = 10.0
"""Seconds: the reading processes of a run that was killed notice it within five, and hold its lock until then."""

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where the parts of a run lie."""

    root: Path

    @property
    def model(self) -> Path:
        """The kept model, for timm and transformers; it is there when the run has ended."""
        return self.root / "model"

    @property
    def checkpoints(self) -> Path:
        """What `--resume` goes on from, a folder for each checkpoint, and the best model so far."""
        return self.root / "checkpoints"

    @property
    def rate_trials(self) -> Path:
        """The JSON file of the learning rates that were tried, in a folder that holds the trial under way as well."""
        return self.root / "rate_trials" / TRIALS_FILE

    @property
    def results(self) -> Path:
        """The JSON file of settings, history and metrics; it is there when the run has ended."""
        return self.root / RESULTS

    @property
    def settings(self) -> Path:
        """Every setting of the run, as `--config` takes them."""
        return self.root / "settings.yaml"

    @property
    def history(self) -> tuple[Path, Path]:
        """The course of the run, for programs and for tables."""
        return self.root / JSON_FILE, self.root / CSV_FILE

    @property
    def curves(self) -> Path:
        """The picture of the history."""
        return self.root / CURVES_FILE

    @property
    def decoded(self) -> Path:
        """Decoded images, where the cache is on the disk."""
        return self.root / "decoded"

    @property
    def logs(self) -> Path:
        """TensorBoard's event files."""
        return self.root / "tensorboard"

    def check_place(self) -> None:
        """Refuse a place where no folder can be made; change nothing.

        Raises:
            ConfigurationError: It is no folder, or not writable.
        """
        ancestor = next(path for path in (self.root, *self.root.absolute().parents) if path.exists())
        if not ancestor.is_dir() or not os.access(ancestor, os.W_OK | os.X_OK):
            reason = "is not writable" if ancestor.is_dir() else "is not a folder"
            raise ConfigurationError(
                f"output_dir {self.root} cannot be made: {ancestor} {reason}", "Choose a folder that you may write."
            )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other run out of the folder, until this one ends or dies.

        Raises:
            ConfigurationError: Another run is in it, or the folder around it cannot be written.
        """
        with self.writing():
            self.root.parent.mkdir(parents=True, exist_ok=True)
        with only_writer(self.root.absolute(), patience=_PATIENCE):
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Explain what goes wrong when something is written into the folder.

        Raises:
            ConfigurationError: In place of the system's error.
        """
        try:
            yield
        except OSError as error:
            raise ConfigurationError(
                f"output_dir {self.root} cannot be written: {error.strerror}", "Choose a folder that you may write."
            ) from error

    def parts_text(self) -> str:
        """Return the lines that tell a person where the parts of a finished run lie, and what to do with it."""
        run = shlex.quote(str(self.root))
        return "\n".join(
            [
                f"model:   {self.model} (for timm and transformers)",
                f"results: {self.results}",
                f"history: {', '.join(map(str, self.history))}",
                f"curves:  {self.curves}",
                f"measure: mlrsnet evaluate {run} (and what names the dataset)",
                f"predict: mlrsnet predict {run} IMAGES",
                f"publish: mlrsnet publish {run} USER/NAME",
            ]
        )


def check_folder(config: TrainingConfig) -> None:
    """Refuse an output folder that a run with these settings can neither take nor go on in; change nothing.

    Raises:
        ConfigurationError: Such a run would end so before its first step, but only when its data are loaded.
    """
    folder = RunFolder(config.output_dir)
    folder.check_place()
    if config.resume and folder.results.exists():
        refuse_other_settings(TrainingResult.load(folder.results).config.to_dict(), config.to_dict())
    elif config.resume and (checkpoints := Checkpoints(folder.checkpoints)):
        if (stored := checkpoints.stored_settings()) is not None:
            refuse_other_settings(stored, config.to_dict())
    elif config.resume and folder.rate_trials.exists():
        refuse_other_settings(StoredTrials.load(folder.rate_trials).settings, config.to_dict())
    else:
        refuse_used_folder(folder, config.overwrite, config.resume)


def find_run(folder: RunFolder, record: RunRecord) -> TrainingResult | Checkpoint | None:
    """Look for the run to go on with, and refuse what cannot be; only the main process asks, and holds the lock.

    Changes nothing, but that damaged checkpoints are renamed. With `resume` a checkpoint is gone on from even if
    `overwrite` is given too, so that a run that replaced another can be resumed by its own command.

    Args:
        folder: The run folder.
        record: The run that is to begin or to go on.

    Returns:
        The results of a run that has ended, the checkpoint to go on from, or None for a run that begins.

    Raises:
        ConfigurationError: The folder holds a run that is neither to be overwritten nor can go on with these settings.
    """
    resume = record.settings["resume"]
    if resume and folder.results.exists():
        result = TrainingResult.load(folder.results)
        refuse_other_settings(result.config.to_dict(), record.settings)
        _refuse_other_data(result.data.source, record.data)
        _refuse_torn_model(folder)
        return result
    if resume:
        checkpoint = Checkpoints(folder.checkpoints).newest()
        if checkpoint is not None:
            refuse_other_settings(checkpoint.run.settings, record.settings)
            _refuse_other_data(checkpoint.run.data, record.data)
            _refuse_other_precision(checkpoint.run.precision, record.precision)
            logger.info("going on from %s, step %d", checkpoint.folder, checkpoint.progress.step)
            if told := _side_effects(checkpoint.run, record):
                logger.info(told)
            return checkpoint
        if folder.rate_trials.exists():
            trials = StoredTrials.load(folder.rate_trials)
            refuse_other_settings(trials.settings, record.settings)
            _refuse_other_data(trials.data, record.data)
            _refuse_other_precision(trials.precision, record.precision)
    refuse_used_folder(folder, record.settings["overwrite"], resume)
    if resume:
        logger.info("%s holds no checkpoint: the run begins anew", folder.checkpoints)
    return None


def refuse_used_folder(folder: RunFolder, overwrite: bool, resume: bool) -> None:
    """Refuse a folder that no new run may take; change nothing.

    Args:
        folder: The run folder.
        overwrite: Whether a run that it holds may be replaced.
        resume: Whether one was to be gone on with.

    Raises:
        ConfigurationError: It holds a run that is not to be overwritten, or what no run wrote.
    """
    files = [folder.model, folder.results, *folder.history]
    if not resume:  # what a stopped run has tried alone is enough to go on with
        files.append(folder.rate_trials)
    # A model beside the checkpoints alone is no run yet: it was killed before its first checkpoint.
    used = any(path.exists() for path in files) or bool(Checkpoints(folder.checkpoints))
    if used and not overwrite:
        if resume:
            raise ConfigurationError(
                f"output_dir {folder.root} holds a run, but no checkpoint to go on from",
                "Nothing was changed: choose another folder, or give --overwrite to begin anew in this one.",
            )
        raise ConfigurationError(
            f"output_dir {folder.root} already holds a run",
            "Choose another folder, or give --overwrite, or --resume to go on with it.",
        )
    foreign = sorted({path.name for path in folder.model.glob("*")} - set(MODEL_FILES))
    if foreign:
        raise ConfigurationError(
            f"{folder.model} holds {foreign[0]}, which no run wrote", "Move it away, or choose another output_dir."
        )


def enter_folder(
    folder: RunFolder,
    checkpoint: Checkpoint | None,
    config: TrainingConfig,
    data_config: DataConfig | None,
    recipe: str | None,
) -> None:
    """Bring the folder to where the run begins, or goes on from a checkpoint; only the main process does.

    Raises:
        ConfigurationError: The folder cannot be written.
    """
    if checkpoint is None:
        clear_run(folder, keep_trials=config.learning_rate == AUTO)  # which have come first
    else:
        Checkpoints(folder.checkpoints).clear_partial()
        if checkpoint.progress.history:  # the run may have died between checkpoint and history
            write_history(checkpoint.progress.history, folder.root)
    # How it was started is not the run's: whoever gives the file back says it anew.
    with folder.writing():
        write_settings(folder.settings, replace(config, overwrite=False, resume=False), data_config, recipe=recipe)


def clear_run(folder: RunFolder, keep_trials: bool) -> None:
    """Make the folder, without the parts of an earlier run.

    Raises:
        ConfigurationError: The folder cannot be written.
    """
    with folder.writing():
        folder.root.mkdir(parents=True, exist_ok=True)
        for part in (folder.model, folder.checkpoints, *[folder.rate_trials.parent] * (not keep_trials)):
            if part.exists():
                shutil.rmtree(part)
        for events in folder.logs.rglob("events.out.tfevents.*"):
            events.unlink()
        for file in (folder.results, folder.settings, *folder.history, folder.curves):
            file.unlink(missing_ok=True)
        folder.checkpoints.mkdir()


def refuse_other_settings(stored: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Refuse to go on with settings that give other results.

    Args:
        stored: The settings of the run so far.
        settings: Those of now; both as `TrainingConfig.to_dict` gives them.

    Raises:
        ConfigurationError: They differ; all differences are listed.
    """
    # A setting that is younger than the run does nothing at its default.
    told = _differences(TrainingConfig().to_dict() | dict(stored), settings, FREE_SETTINGS)
    if told:
        raise ConfigurationError(
            f"this run cannot go on with other settings: {told}",
            "Give the settings of the run (its settings.yaml), or another output_dir.",
        )


def _refuse_torn_model(folder: RunFolder) -> None:
    """Refuse to call a run ended whose model is not, or no longer, whole."""
    try:
        load_model(folder.model)
    except WeightsError as error:
        raise ConfigurationError(
            f"output_dir {folder.root} holds the results of a run, but {error.found}",
            "Nothing was changed: choose another folder, or give --overwrite without --resume to begin anew.",
        ) from error


def _refuse_other_data(stored: Mapping[str, Any], source: Mapping[str, Any]) -> None:
    if stored.get("fingerprint") != source.get("fingerprint"):
        raise ConfigurationError(
            f"this run cannot go on with other data: {_differences(stored, source)}",
            "Give the same data, or another output_dir.",
        )


def _refuse_other_precision(stored: str, precision: str) -> None:
    if stored != precision:
        raise ConfigurationError(
            f"this run cannot go on in another precision: it was {stored}, is {precision}",
            f"Give --precision {stored}, or another output_dir.",
        )


def _side_effects(stored: RunRecord, now: RunRecord) -> str:
    """Return what differs between the parts of a run that may go on, and makes it end a little otherwise; often ""."""
    pairs = {
        "processes": (stored.processes, now.processes),
        "accumulation": (stored.settings.get("accumulation"), now.settings["accumulation"]),
        "device": (stored.device, now.device),
    }
    told = [f"{name} was {before}, is {after}" for name, (before, after) in pairs.items() if before != after]
    if not told:
        return ""
    return f"{', '.join(told)}: dropout, batch statistics or rounding will not be those of a run that was never stopped"


def _differences(stored: Mapping[str, Any], now: Mapping[str, Any], free: Collection[str] = ()) -> str:
    # As JSON gives them back: what is stored knows lists alone, and no tuples.
    stored, now = (json.loads(json.dumps(values)) for values in (stored, now))
    names = [name for name in sorted({*stored, *now}.difference(free)) if stored.get(name) != now.get(name)]
    return "; ".join(f"{name} was {stored.get(name)!r}, is {now.get(name)!r}" for name in names)
