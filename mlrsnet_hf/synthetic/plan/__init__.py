"""Where the big things go, decided before anything is drawn: water first, then ways, then landmarks."""

from mlrsnet_hf.synthetic.plan.landmarks import lay_landmarks
from mlrsnet_hf.synthetic.plan.water import lay_water
from mlrsnet_hf.synthetic.plan.ways import lay_ways
from mlrsnet_hf.synthetic.site import Site


def lay_out(site: Site) -> None:
    """Set aside the places of water, ways and landmarks."""
    lay_water(site)
    lay_ways(site)
    lay_landmarks(site)
