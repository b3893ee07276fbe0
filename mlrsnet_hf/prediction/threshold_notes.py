"""What is to be said of the thresholds of a model: which of them few images chose, and which decide alike for all."""

from collections.abc import Mapping

from mlrsnet_hf.escaping import on_one_line, shortened
from mlrsnet_hf.evaluation.scores import FEW_IMAGES, threshold_text

_LISTED = 8
_EXTREME = 0.001
"""As near to 0 or 1 a threshold is passed by nearly every score, or by none."""


def threshold_notes(
    thresholds: Mapping[str, float], few: Mapping[str, int], split: str = "validation"
) -> tuple[str, ...]:
    """Return what a reader of labels has to know of the thresholds, a sentence each without its full stop.

    Args:
        thresholds: By label, those that a run has tuned.
        few: Labels whose thresholds so few images have chosen, where that is known.
        split: That of these images.

    Examples:
        >>> threshold_notes({"water": 0.4, "sand": 0.00002, "ice": 0.7}, {"ice": 3})
        ('fewer than 20 images of the validation split with, or without, the label chose the threshold of ice (3); on \
other images it may be far off', 'nearly every score passes, or fails, the threshold of sand (< 0.001)')
    """
    notes = []
    chosen_by_few = sorted((count, name) for name, count in few.items() if name in thresholds)
    if chosen_by_few:
        shown = [f"{name} ({count}{_extreme(thresholds[name])})" for count, name in chosen_by_few]
        notes.append(
            f"fewer than {FEW_IMAGES} images of the {split} split with, or without, the label chose the threshold of "
            f"{_listed(shown)}; on other images it may be far off"
        )
    extreme = [name for name, value in thresholds.items() if _extreme(value) and name not in few]
    if extreme:
        shown = [f"{name} ({threshold_text(thresholds[name])})" for name in extreme]
        notes.append(f"nearly every score passes, or fails, the threshold of {_listed(shown)}")
    return tuple(notes)


def _extreme(threshold: float) -> str:
    """Return a threshold at an end of the scores, behind what is told before it."""
    return "" if _EXTREME <= threshold <= 1 - _EXTREME else f", {threshold_text(threshold)}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return ", ".join(shortened(on_one_line(name), 60) for name in names[:_LISTED]) + more
