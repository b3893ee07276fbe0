"""Whether a run may go on where another stopped: only if it would have done the same."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mlrsnet_hf.errors import ConfigurationError

FREE_SETTINGS = frozenset(
    {
        *("output_dir", "overwrite", "resume"),
        *("accumulation", "cpu_threads", "num_workers", "cache", "cache_dir", "cache_megabytes", "eval_batch_size"),
        *("checkpoint_steps", "checkpoint_minutes", "keep_checkpoints", "log_every", "trackers"),
    }
)
"""Settings that leave a run's results as they are, up to the rounding of float32 sums in another order; of accumulation
`changes` tells what else it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What a run is, in plain values as JSON gives them back."""

    settings: Mapping[str, Any]
    """As `TrainingConfig.to_dict` gives them."""
    data: Mapping[str, Any]
    """`TrainingData.source`."""
    processes: int
    precision: str
    """As Accelerate calls it: no, bf16 or fp16."""
    device: str
    """Kind of the devices: cpu, cuda and so on."""
    run_id: str
    """The same for all parts of a resumed run."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RunRecord":
        """Return the record that `to_dict` gave.

        Raises:
            TypeError: The values are others.
        """
        return cls(**values)


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
