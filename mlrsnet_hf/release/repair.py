"""Right labels from the published ones, whichever version of the label files they come from.

The files that the release publishes since 2021-05-21 differ in 10,300 rows from those first published on 2020-06-30:
every storage_tank image has lost `tanks`, every stadium image `stadium`, and runs of spurious labels cover parts of
nine scenes. The rules below turn the 2021 labels into the 2020 labels, row for row, and leave the 2020 labels as they
are.
"""

from typing import Literal, get_args

from mlrsnet_hf.errors import UnknownNameError, name_alternatives
from mlrsnet_hf.taxonomy import Scene, find_label, find_scene

LabelVersion = Literal["verified", "as-published"]
"""`verified` repairs MLRSNet's published faults; `as-published` takes the labels of a copy as they are."""

_CARRIED_BY_ALL = {
    find_scene(scene): frozenset({find_label(label).id})
    for scene, label in (("storage_tank", "tanks"), ("stadium", "stadium"))
}
_SPURIOUS_BY_IMAGE = {"airplane_01550": frozenset({find_label("airport").id})}
"""Spurious although the scene's vocabulary has the label."""


def require_label_version(label_version: str | None) -> None:
    """Refuse what is neither a `LabelVersion` nor None, which leaves the choice to the copy.

    Raises:
        UnknownNameError: It is neither of the two.
    """
    known = get_args(LabelVersion)
    if label_version is not None and label_version not in known:
        raise UnknownNameError(
            f"label_version={label_version!r} is not known", name_alternatives(str(label_version), known)
        )


def verified_labels(scene: Scene, image_id: str, labels: tuple[int, ...]) -> tuple[int, ...]:
    """Return the labels that an image carries, given those published.

    A label outside the scene's vocabulary is spurious; storage_tank images carry `tanks` and stadium images carry
    `stadium`; airplane_01550 does not carry `airport`.

    Args:
        scene: The image's scene.
        image_id: Published file stem.
        labels: Published label ids.

    Returns:
        Label ids, ascending.

    Examples:
        >>> from mlrsnet_hf.taxonomy import LABEL_NAMES
        >>> published = tuple(find_label(name).id for name in ("buildings", "airplane"))
        >>> repaired = verified_labels(find_scene("stadium"), "stadium_00001", published)
        >>> [LABEL_NAMES[label] for label in repaired]
        ['buildings', 'stadium']
    """
    right = scene.vocabulary.intersection(labels) | _CARRIED_BY_ALL.get(scene, frozenset())
    return tuple(sorted(right - _SPURIOUS_BY_IMAGE.get(image_id.casefold(), frozenset())))
