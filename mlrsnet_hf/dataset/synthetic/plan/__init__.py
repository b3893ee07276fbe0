"""Where the big things go, decided before anything is drawn: water first, then ways, then landmarks."""

from mlrsnet_hf.dataset.synthetic.canvas import Canvas
from mlrsnet_hf.dataset.synthetic.plan.landmarks import lay_landmarks
from mlrsnet_hf.dataset.synthetic.plan.water import lay_water
from mlrsnet_hf.dataset.synthetic.plan.ways import lay_ways


def lay_out(canvas: Canvas) -> None:
    """Set aside the places of water, ways and landmarks."""
    lay_water(canvas)
    lay_ways(canvas)
    lay_landmarks(canvas)
