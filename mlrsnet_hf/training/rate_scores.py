"""Which learning rates a run has tried, with the score of each, and the file of them in its folder; light to import."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mlrsnet_hf.configuration.json_file import Defined, Name, read_json
from mlrsnet_hf.configuration.settings import Count, Positive
from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.escaping import quoted
from mlrsnet_hf.evaluation.scores import SCENE_ACCURACY, is_better
from mlrsnet_hf.files import nulls_for_nan, whole_file
from mlrsnet_hf.metrics import METRICS, metric_title

TRIALS_FILE = "trials.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RateTrial:
    """A rate that was tried."""

    rate: Positive
    score: Defined
    """Of the held-out training images, as a fraction; NaN where the run came to no numbers, or the metric is not
    defined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateTrials:
    """What `learning_rate: auto` tries, and what came of it so far."""

    base: Positive
    """The recipe's rate, of which the others are multiples."""
    rates: tuple[Positive, ...]
    """All that are tried, in order; where scores are equal, the one that stands first is chosen."""
    metric: Name
    """What `score` is of; the metric that chooses the best epoch of the run, too."""
    held_out: Count
    """Training images that score the rates, and that no trial learns from."""
    images: Count
    """Training images that each trial learns from."""
    epochs: Count
    """Passes of a trial over them."""
    steps: Count
    """Optimizer steps of a trial."""
    tried: tuple[RateTrial, ...] = ()
    """The trials that have ended, in the order of `rates`."""

    def __post_init__(self) -> None:
        """Refuse, of a file, what no run wrote."""
        if self.metric != SCENE_ACCURACY and self.metric not in METRICS:
            raise UnknownNameError(
                f"metric={quoted(self.metric)} is not known", name_alternatives(self.metric, METRICS)
            )
        if [trial.rate for trial in self.tried] != list(self.rates[: len(self.tried)]):
            raise ConfigurationError("what was tried are not the first of the rates", "Use them as a run wrote them.")

    @property
    def left(self) -> tuple[float, ...]:
        """The rates that are still to be tried."""
        return self.rates[len(self.tried) :]

    @property
    def chosen(self) -> float | None:
        """The rate with the best score; None while rates are left, or where every one is lost."""
        best = RateTrial(rate=self.base, score=math.nan)
        for trial in self.tried:
            if is_better(self.metric, trial.score, best.score):
                best = trial
        return None if self.left or math.isnan(best.score) else best.rate

    def with_score(self, score: float) -> "RateTrials":
        """Return the trials with the score of the rate that was next."""
        return replace(self, tried=(*self.tried, RateTrial(rate=self.left[0], score=score)))

    def report(self) -> str:
        """Return the line that tells a person what was chosen, of what."""
        scores = ", ".join(
            f"{trial.rate:g} {'lost' if math.isnan(trial.score) else f'{trial.score:.4f}'}" for trial in self.tried
        )
        return (
            f"learning rate {self.chosen:g}, the best of {len(self.rates)} by {metric_title(self.metric)} on "
            f"{self.held_out} training images held out, after {self.steps} steps each: {scores}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTrials:
    """The file of a run's trials: they count for a run with the same settings, data and precision alone."""

    settings: Mapping[Name, Any]
    """As `TrainingConfig.to_dict` gives them."""
    data: Mapping[Name, Any]
    """`ImageData.source`."""
    precision: Name
    trials: RateTrials
    format: Literal[1] = 1

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            ConfigurationError: It cannot be written.
        """
        with whole_file(path) as partial:
            text = json.dumps(nulls_for_nan(asdict(self)), indent=2, allow_nan=False)
            partial.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "StoredTrials":
        """Read the file.

        Raises:
            ConfigurationError: There is none, it is damaged, or another version wrote it.
        """
        remedy = "Choose another output_dir, or give --overwrite without --resume to begin anew."
        stored: StoredTrials = read_json(path, cls, remedy)
        return stored
