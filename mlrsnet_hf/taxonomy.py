"""The taxonomy of MLRSNet: 3 groups, 46 scenes, 60 labels.

Ids are final. Label ids follow the header of the release's label files (airplane 0 ... wind turbine 59), so that they
equal those of the copies in circulation; scene ids are alphabetical by published folder name; group ids follow the
paper's order (Qi et al. 2020, section 2.2, "Hierarchy").

Names are correct English (`swimming_pool`, `harbor_port`, `harbor`). The published spelling (`swimmimg_pool`,
`harbor&port`, `habor`) is kept beside them as `published`, and `find_scene` and `find_label` accept either, in any
letter case and with spaces, hyphens, ampersands or underscores between words.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from mlrsnet_hf.errors import UnknownNameError, name_alternatives
from mlrsnet_hf.escaping import quoted
from mlrsnet_hf.published import (
    ALLOWED_WITHOUT_IMAGES,
    IMAGES_PER_SCENE,
    LABELS_PER_SCENE,
    TABLE1_IMAGES_PER_LABEL,
)


@dataclass(frozen=True, slots=True)
class Group:
    """One of the 3 first-class categories."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Label:
    """One of the 60 class labels."""

    id: int
    name: str
    published: str
    """Spelling in the header of the release's label files."""
    images: int
    """Number of images that carry the label, as printed in the paper's Table 1."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One of the 46 scene categories."""

    id: int
    name: str
    published: str
    """Name of the folder and of the label file in the release."""
    group: Group
    group_source: Literal["paper", "ours"]
    """Whether the paper names the scene's group or we placed it."""
    images: int
    """Number of images in the release."""
    label_counts: MappingProxyType[int, int] = field(repr=False, hash=False)
    """How many of the scene's images carry each label, by label id, where any does."""
    vocabulary: frozenset[int] = field(repr=False, hash=False)
    """Ids of the labels that the scene's images may carry."""

    def __reduce__(self) -> tuple[Callable[[str], "Scene"], tuple[str]]:
        """Travel between processes by name, to arrive as the one object that the scene is."""
        return find_scene, (self.name,)


_CORRECTED_SCENES = {"harbor&port": "harbor_port", "swimmimg_pool": "swimming_pool"}
_CORRECTED_LABELS = {"habor": "harbor"}

# Spellings of Categories_names.xlsx and of copies in circulation, by published name.
_SCENE_VARIANTS = {"sparse_residential": "sparse_residential_area", "habor&port": "harbor&port"}
_LABEL_VARIANTS = {
    "chapparral": "chaparral",
    "sparse_residential": "sparse residential area",
    "swimmimg pool": "swimming pool",
}

# Scenes whose group the paper names (section 2.2) carry a star; we placed the others.
_GROUP_SCENES = {
    "land use and land cover": """
        bareland commercial_area* dense_residential_area eroded_farmland farmland* forest* golf_course
        industrial_area* meadow mobile_home_park mountain* park sparse_residential_area terrace""",
    "natural objects and landforms": """
        beach* chaparral* cloud* desert island* lake* river* snowberg wetland""",
    "man-made objects and landforms": """
        airplane* airport* baseball_diamond basketball_court bridge* freeway* ground_track_field harbor&port
        intersection overpass* parking_lot parkway railway railway_station roundabout shipping_yard stadium
        storage_tank swimmimg_pool tennis_court transmission_tower vegetable_greenhouse wind_turbine""",
}


def _build_scenes(groups: tuple[Group, ...], labels: tuple[Label, ...]) -> tuple[Scene, ...]:
    placed = {
        entry.rstrip("*"): (group, entry.endswith("*"))
        for group, scenes in zip(groups, _GROUP_SCENES.values(), strict=True)
        for entry in scenes.split()
    }
    label_ids = {label.published: label.id for label in labels}
    return tuple(
        Scene(
            id=scene_id,
            name=_CORRECTED_SCENES.get(published, published),
            published=published,
            group=placed[published][0],
            group_source="paper" if placed[published][1] else "ours",
            images=IMAGES_PER_SCENE[published],
            label_counts=MappingProxyType({label_ids[n]: c for n, c in LABELS_PER_SCENE[published].items()}),
            vocabulary=frozenset(
                label_ids[name] for name in (*LABELS_PER_SCENE[published], *ALLOWED_WITHOUT_IMAGES.get(published, ()))
            ),
        )
        for scene_id, published in enumerate(sorted(IMAGES_PER_SCENE))
    )


GROUPS = tuple(Group(group_id, name) for group_id, name in enumerate(_GROUP_SCENES))
LABELS = tuple(
    Label(label_id, _CORRECTED_LABELS.get(published, published), published, images)
    for label_id, (published, images) in enumerate(TABLE1_IMAGES_PER_LABEL.items())
)
SCENES = _build_scenes(GROUPS, LABELS)

GROUP_NAMES = tuple(group.name for group in GROUPS)
SCENE_NAMES = tuple(scene.name for scene in SCENES)
LABEL_NAMES = tuple(label.name for label in LABELS)


def _key(name: str) -> str:
    """Fold letter case and the separators between words; what is no text, a file's metadata may hold, is no name."""
    if not isinstance(name, str):
        raise UnknownNameError(f"{quoted(name)} is no name", "Give the name as text.")
    return re.sub(r"[\s_&-]+", "_", name.strip().casefold())


_SCENES_BY_KEY = {_key(name): scene for scene in SCENES for name in (scene.name, scene.published)}
_LABELS_BY_KEY = {_key(name): label for label in LABELS for name in (label.name, label.published)}
_SCENES_BY_KEY |= {_key(variant): _SCENES_BY_KEY[_key(name)] for variant, name in _SCENE_VARIANTS.items()}
_LABELS_BY_KEY |= {_key(variant): _LABELS_BY_KEY[_key(name)] for variant, name in _LABEL_VARIANTS.items()}


def find_scene(name: str) -> Scene:
    """Return the scene of a canonical or published name, or of a variant in circulation.

    Raises:
        UnknownNameError: The name is none of the 46 scenes; the message lists near ones.

    Examples:
        >>> find_scene("swimmimg_pool").name
        'swimming_pool'
        >>> find_scene("Harbor&Port").id
        18
    """
    scene = _SCENES_BY_KEY.get(_key(name))
    if scene is None:
        raise UnknownNameError(
            f"{quoted(name)} is not one of MLRSNet's 46 scenes", name_alternatives(name, SCENE_NAMES)
        )
    return scene


def find_label(name: str) -> Label:
    """Return the label of a canonical or published name, or of a variant in circulation.

    Raises:
        UnknownNameError: The name is none of the 60 labels; the message lists near ones.

    Examples:
        >>> find_label("habor").name
        'harbor'
        >>> find_label("wind turbine").id
        59
    """
    label = _LABELS_BY_KEY.get(_key(name))
    if label is None:
        raise UnknownNameError(
            f"{quoted(name)} is not one of MLRSNet's 60 labels", name_alternatives(name, LABEL_NAMES)
        )
    return label
