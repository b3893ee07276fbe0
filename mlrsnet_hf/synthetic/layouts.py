"""How each scene arranges its labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from mlrsnet_hf.taxonomy import Scene

GROUND_ORDER = (
    "snowberg",
    "mountain",
    "desert",
    "terrace",
    "wetland",
    "field",
    "sand",
    "bare soil",
    "grass",
    "pavement",
    "forest",
)
"""Which ground covers the image where a scene does not say; the others lie on it in patches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The arrangement of a scene."""

    ground: tuple[str, ...] = ()
    """Grounds that may cover the image; one that is set is taken at random."""
    streets: Literal["side", "grid"] = "side"
    """Whether roads run beside the landmark or around blocks."""
    houses: Literal["house", "block", "shed"] = "house"
    """What buildings look like."""
    trees: Literal["scatter", "rows", "clumps"] = "scatter"
    """How trees stand."""
    plots: bool = True
    """Whether patches of ground are plots with straight edges rather than irregular."""
    pond: bool = True
    """Whether water that no other label explains is a pond; otherwise it fills the swimming pools."""
    zoom: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Factors on the size of landmarks."""
    counts: Mapping[str, tuple[int, int]] = field(default_factory=lambda: MappingProxyType({}))
    """Least and greatest number of a landmark, where it differs from the usual."""


_LAWN_OR_PAVED = ("grass", "pavement", "bare soil")

_LAYOUTS: dict[str, Layout] = {
    "airplane": Layout(
        ground=("pavement",),
        houses="block",
        zoom={"airplane": 1.45, "airport": 0.75},
        counts={"airplane": (2, 4), "buildings": (2, 3)},
    ),
    "airport": Layout(ground=("grass", "bare soil", "field"), houses="block", zoom={"airplane": 0.6, "buildings": 0.8}),
    "bareland": Layout(ground=("bare soil",), plots=False),
    "baseball_diamond": Layout(ground=("grass",), zoom={"baseball diamond": 1.2}),
    "basketball_court": Layout(ground=_LAWN_OR_PAVED, houses="block", zoom={"basketball court": 1.35}),
    "beach": Layout(ground=("sand",), plots=False, trees="clumps"),
    "bridge": Layout(ground=("grass", "bare soil"), plots=False, houses="block", trees="clumps"),
    "chaparral": Layout(ground=("sand",), plots=False),
    "cloud": Layout(ground=("bare soil", "field"), plots=False, trees="clumps"),
    "commercial_area": Layout(
        ground=("pavement",), streets="grid", houses="block", zoom={"buildings": 1.2}, counts={"buildings": (7, 11)}
    ),
    "dense_residential_area": Layout(ground=("grass", "pavement"), zoom={"dense residential area": 1.15}),
    "desert": Layout(ground=("desert",), plots=False),
    "eroded_farmland": Layout(ground=("field",), plots=False, trees="clumps"),
    "farmland": Layout(ground=("field",), trees="rows"),
    "forest": Layout(ground=("forest",), plots=False),
    "freeway": Layout(ground=("grass", "bare soil", "field", "pavement"), plots=False, trees="clumps"),
    "golf_course": Layout(ground=("grass",), plots=False, trees="clumps"),
    "ground_track_field": Layout(ground=_LAWN_OR_PAVED, houses="block", zoom={"track": 1.15}),
    "harbor&port": Layout(ground=("pavement", "grass", "bare soil"), houses="block"),
    "industrial_area": Layout(ground=("pavement",), houses="shed", zoom={"factory": 1.2}, counts={"buildings": (4, 6)}),
    "intersection": Layout(ground=("pavement", "grass"), houses="block", trees="rows"),
    "island": Layout(ground=("grass", "bare soil"), plots=False, trees="clumps"),
    "lake": Layout(ground=("bare soil", "grass", "mountain"), plots=False, trees="clumps"),
    "meadow": Layout(ground=("grass",), plots=False, counts={"buildings": (1, 2)}),
    "mobile_home_park": Layout(ground=("pavement", "bare soil"), zoom={"mobile home": 1.15}),
    "mountain": Layout(ground=("mountain",), plots=False, trees="clumps"),
    "overpass": Layout(ground=("grass", "bare soil", "field", "pavement"), plots=False, houses="block"),
    "park": Layout(ground=("grass", "pavement"), zoom={"park": 1.15}, trees="clumps"),
    "parking_lot": Layout(ground=("pavement", "grass"), houses="block", zoom={"parking lot": 1.65}, trees="rows"),
    "parkway": Layout(ground=("pavement", "bare soil"), houses="block", trees="rows"),
    "railway": Layout(ground=("bare soil", "grass", "field", "pavement"), trees="rows"),
    "railway_station": Layout(ground=("pavement", "bare soil"), houses="block", trees="rows"),
    "river": Layout(ground=("field", "grass"), plots=False, trees="clumps"),
    "roundabout": Layout(ground=("pavement", "grass"), houses="block"),
    "shipping_yard": Layout(ground=("pavement",), zoom={"containers": 1.5}),
    "snowberg": Layout(ground=("snowberg",), plots=False),
    "sparse_residential_area": Layout(ground=("grass", "bare soil", "sand"), plots=False),
    "stadium": Layout(ground=("pavement", "grass"), houses="block", zoom={"stadium": 1.1}, trees="rows"),
    "storage_tank": Layout(ground=("pavement", "bare soil"), houses="shed", counts={"buildings": (2, 3)}),
    "swimmimg_pool": Layout(ground=("pavement", "grass"), pond=False, zoom={"swimming pool": 1.9}),
    "tennis_court": Layout(ground=("pavement", "grass"), houses="block", zoom={"tennis court": 1.28}),
    "terrace": Layout(ground=("terrace",), plots=False, trees="clumps"),
    "transmission_tower": Layout(ground=("grass", "bare soil", "field"), plots=False, zoom={"transmission tower": 1.7}),
    "vegetable_greenhouse": Layout(ground=("field", "bare soil"), zoom={"greenhouse": 1.3}),
    "wetland": Layout(ground=("wetland",), plots=False, trees="clumps"),
    "wind_turbine": Layout(
        ground=("bare soil", "field", "grass"), plots=False, zoom={"wind turbine": 1.5}, counts={"buildings": (1, 2)}
    ),
}


def layout_of(scene: Scene) -> Layout:
    """Return the arrangement of a scene."""
    return _LAYOUTS[scene.published]
