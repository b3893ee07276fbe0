"""Whether a run may go on where another stopped: only if it would have done the same."""

from collections.abc import Collection, Mapping
from typing import Any

from mlrsnet_hf.errors import ConfigurationError

FREE_SETTINGS = frozenset(
    {
        *("output_dir", "overwrite", "resume"),
        *("cpu_threads", "num_workers", "cache", "cache_megabytes", "eval_batch_size"),
        *("checkpoint_steps", "checkpoint_minutes", "keep_checkpoints", "log_every", "trackers"),
    }
)
"""Settings that leave a run's results as they are, up to the rounding of float32 sums in another order."""


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
        stored: `TrainingData.source` of the run so far.
        source: That of now.

    Raises:
        ConfigurationError: The fingerprints differ; all that differs is listed.
    """
    if stored.get("fingerprint") != source.get("fingerprint"):
        raise ConfigurationError(
            f"this run cannot go on with other data: {_differences(stored, source)}",
            "Give the same data, or another output_dir.",
        )


def _differences(stored: Mapping[str, Any], now: Mapping[str, Any], free: Collection[str] = ()) -> str:
    names = [name for name in sorted({*stored, *now}.difference(free)) if stored.get(name) != now.get(name)]
    return "; ".join(f"{name} was {stored.get(name)!r}, is {now.get(name)!r}" for name in names)
