"""Synthetic demo imagery: 46 scenes of drawn overhead pictures that show what their labels say.

The pictures stand in for MLRSNet's where the real ones are not at hand: in the demo, in tests, and in tests at scale.
They are called synthetic wherever they appear.
"""

from mlrsnet_hf.synthetic.contact_sheet import contact_sheet
from mlrsnet_hf.synthetic.records import synthetic_record, synthetic_records
from mlrsnet_hf.synthetic.render import render
from mlrsnet_hf.synthetic.sampling import draw_labels

__all__ = ["contact_sheet", "draw_labels", "render", "synthetic_record", "synthetic_records"]
