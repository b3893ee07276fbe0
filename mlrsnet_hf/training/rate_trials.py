"""`learning_rate: auto`: multiples of the recipe's rate, each tried for a few steps on a part of the training images.

Of these images some are held out and score the rates; validation and test are not looked at. The best rate is then that
of the whole run, which begins from its first weights and sees all training images: it ends as if that number had been
given. rate_trials/trials.json in the run folder holds each score from the moment that its trial has ended; a trial
under way has checkpoints of its own beside it, and is gone on with like any run. Trials repeat no image, and steps are
counted without those that `repeat_threshold` adds to the run.
"""

import math
import shutil
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import numpy as np
from accelerate.utils import release_memory

from mlrsnet_hf.errors import ConfigurationError, DivergedError
from mlrsnet_hf.evaluation.scores import metric_text
from mlrsnet_hf.inputs.task import ImageData
from mlrsnet_hf.metrics import metric_title
from mlrsnet_hf.runtime.collectives import Collectives
from mlrsnet_hf.runtime.device import make_accelerator
from mlrsnet_hf.runtime.logs import get_logger
from mlrsnet_hf.runtime.signals import Interruption
from mlrsnet_hf.training.checkpoints import RunRecord
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.rate_scores import RateTrials, StoredTrials
from mlrsnet_hf.training.recipes import RECIPES, modern
from mlrsnet_hf.training.results import TrainingResult
from mlrsnet_hf.training.run_folder import RunFolder, clear_run, find_run
from mlrsnet_hf.training.trainer import Trainer

MULTIPLES = (1.0, 0.3, 3.0, 0.1)
"""Of the recipe's rate, in the order in which they are tried; of equal scores the first one counts."""
_SHARE = 0.05
"""Of the run's steps, for each rate."""
_LEAST_STEPS = 10
"""In fewer a rate has not shown what it does."""
_LARGEST_SHARE = 0.5
"""Of the run's steps, for all rates together; more is no small share."""
_HELD_OUT = 5
"""One training image of so many is held out."""
_LEAST_HELD_OUT, _MOST_HELD_OUT = 10, 1000
_STREAM = 4
"""Separates the draw of the held-out images from the other random streams of a seed."""

logger = get_logger(__name__)


def base_rate(config: TrainingConfig, recipe: str | None) -> float:
    """Return the rate that the recipe gives this network where nobody asks for another.

    Args:
        config: The settings.
        recipe: Name of the recipe that they began with; None, or a name of one's own, is `modern`.
    """
    choice = {name: getattr(config, name) for name in ("model", "weights", "family", "batch_size")}
    return RECIPES.get(recipe or "modern", modern)(**choice).fixed_rate


def plan_trials(config: TrainingConfig, images: int, base: float) -> RateTrials:
    """Return what is tried for a run, with no score yet.

    Args:
        config: The settings.
        images: Images of the training split.
        base: The recipe's rate.

    Raises:
        ConfigurationError: There are too few images to hold some out, or too few steps to try rates for a part of them.
    """
    batch, held_out = config.batch_size, min(images // _HELD_OUT, _MOST_HELD_OUT)
    remedy = "Give a number as learning_rate"
    if held_out < _LEAST_HELD_OUT or images - held_out < batch:
        wanted = max(_LEAST_HELD_OUT * _HELD_OUT, math.ceil(batch * _HELD_OUT / (_HELD_OUT - 1)))
        raise ConfigurationError(
            f"learning_rate='auto' holds out training images, and {images:,} are too few for that at "
            f"batch_size={batch}",
            f"{remedy}, or at least {wanted:,} training images.",
        )
    total = images // batch * config.epochs
    steps = max(_LEAST_STEPS, round(_SHARE * total))
    least = math.ceil(steps * len(MULTIPLES) / _LARGEST_SHARE)
    if total < least:
        raise ConfigurationError(
            f"learning_rate='auto' tries {len(MULTIPLES)} rates for {steps:,} steps or more each, too much for a "
            f"run of {total:,} steps",
            f"{remedy}, or more epochs or a lower batch_size, for at least {least:,} steps.",
        )
    epochs = math.ceil(steps / ((images - held_out) // batch))
    each = math.ceil(steps / epochs)
    return RateTrials(
        base=base,
        rates=tuple(float(f"{base * multiple:.3g}") for multiple in MULTIPLES),
        metric=config.selection_metric,
        held_out=held_out,
        images=each * batch,
        epochs=epochs,
        steps=each * epochs,
    )


def choose_rate(
    config: TrainingConfig,
    data: ImageData,
    recipe: str | None,
    run: RunRecord,
    is_under_way: bool,
    collectives: Collectives,
    interruption: Interruption,
) -> RateTrials:
    """Try what is left to try for a run, and return all trials; all processes do it together.

    Args:
        config: The settings, with `auto` as the rate.
        data: The splits of the run; `train` alone is used.
        recipe: Name of the recipe that the settings began with.
        run: What the trials are stored for.
        is_under_way: Whether the run itself has a checkpoint to go on from, and so has chosen its rate.
        collectives: Of the processes.
        interruption: Ends a trial under way at its next checkpoint.

    Returns:
        The trials, with a rate chosen.

    Raises:
        ConfigurationError: The images or steps are too few, the trials of the folder are others than these, or every
            rate is lost.
    """
    folder = RunFolder(config.output_dir)
    if is_under_way:
        trials = collectives.run_on_main(lambda: StoredTrials.load(folder.rate_trials).trials)
    else:
        plan = plan_trials(config, len(data.splits["train"]), base_rate(config, recipe))
        trials = collectives.run_on_main(lambda: _begin(folder, config.resume, run, plan))
    part = _part_of(data, config.seed, trials)
    while trials.left:
        rate, number = trials.left[0], f"{len(trials.tried) + 1} of {len(trials.rates)}"
        logger.info("learning rate %g, %s, is tried for %d steps", rate, number, trials.steps)
        score = score_rate(_trial_settings(config, trials, folder), part, run, collectives, interruption)
        release_memory()  # a trainer's parts know it: it would stay until Python looks, its network on the device
        trials = trials.with_score(score)
        collectives.run_on_main(partial(_store, folder, run, trials))
        logger.info("learning rate %g, %s: %s", rate, number, metric_text(trials.metric, score))
    if trials.chosen is None:
        raise ConfigurationError(
            f"learning_rate='auto' found no rate: with each of {', '.join(f'{rate:g}' for rate in trials.rates)} the "
            f"loss came to be no number, or {metric_title(trials.metric)} was not defined",
            "Give a far lower number as learning_rate, set clip_norm, or look at the images and at the weights.",
        )
    logger.info(trials.report())
    return trials


def score_rate(
    config: TrainingConfig, data: ImageData, run: RunRecord, collectives: Collectives, interruption: Interruption
) -> float:
    """Train for a trial, from its checkpoint if it has one; return its last score, NaN where a loss is no number."""
    folder = RunFolder(config.output_dir)
    accelerator = make_accelerator(
        config.precision, (), folder.logs, config.accumulation, config.cpu_threads, config.seed
    )
    run = replace(run, settings=config.to_dict())
    found = collectives.run_on_main(lambda: find_run(folder, run) if folder.root.exists() else None)
    assert not isinstance(found, TrainingResult), "a trial writes no results"
    with ExitStack() as stack:
        trainer = Trainer(config, data, run, accelerator, collectives, interruption)
        stack.callback(trainer.loaders.close)
        interruption.defer()
        trainer.begin(found, None, None)
        stack.callback(trainer.monitor.bar.close)
        try:
            trainer.train_epochs()
        except DivergedError as error:
            logger.info(error.found)
            return math.nan
        return trainer.progress.history[-1].validation[config.selection_metric]


def _begin(folder: RunFolder, resume: bool, run: RunRecord, plan: RateTrials) -> RateTrials:
    """Return the trials that a stopped run has come to, or begin them in an empty folder."""
    if resume and folder.rate_trials.exists():
        trials = StoredTrials.load(folder.rate_trials).trials
        if replace(trials, tried=()) != plan:
            raise ConfigurationError(
                f"{folder.rate_trials} holds trials of other rates, images or steps than this version makes",
                "Give --overwrite without --resume to begin anew.",
            )
        logger.info("%s holds %d of %d trials", folder.rate_trials, len(trials.tried), len(trials.rates))
        return trials
    clear_run(folder, keep_trials=False)
    _store(folder, run, plan)
    return plan


def _store(folder: RunFolder, run: RunRecord, trials: RateTrials) -> None:
    """Write what is known, then remove what the trials that have ended have left."""
    with folder.writing():
        folder.rate_trials.parent.mkdir(exist_ok=True)
    StoredTrials(settings=run.settings, data=run.data, precision=run.precision, trials=trials).save(folder.rate_trials)
    for trial in trials.tried:
        shutil.rmtree(folder.rate_trials.parent / f"{trial.rate:g}", ignore_errors=True)


def _part_of(data: ImageData, seed: int, trials: RateTrials) -> ImageData:
    """Return training images to learn from, and others that stand in for validation; the same for every rate."""
    split = data.splits["train"]
    order = np.random.default_rng((seed, _STREAM)).permutation(len(split))
    if data.stream is not None:  # its rows are in a random order already, and far-off ones are in other chunks
        order = np.arange(len(split))
    held_out, learned = order[: trials.held_out], order[trials.held_out : trials.held_out + trials.images]
    rows = {"train": learned, "validation": held_out}
    parts = {name: split.select(sorted(some.tolist()), keep_in_memory=True) for name, some in rows.items()}
    return replace(data, splits=parts)


def _trial_settings(config: TrainingConfig, trials: RateTrials, folder: RunFolder) -> TrainingConfig:
    """Return the settings of the next trial: those of the run, but short, and without what only a whole run needs."""
    rate = trials.left[0]
    return replace(
        config,
        learning_rate=rate,
        epochs=trials.epochs,
        output_dir=folder.rate_trials.parent / f"{rate:g}",
        keep="last",
        repeat_threshold=0.0,
        compile=False,
        trackers=(),
        cache="off" if trials.epochs == 1 else config.cache,  # what is seen once is not worth keeping
        cache_dir=None,
        resume=True,
        overwrite=True,
    )
