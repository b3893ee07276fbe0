"""Records to `datasets`."""

from mlrsnet_hf.dataset.features import FEATURES, to_example
from mlrsnet_hf.dataset.load import load_release
from mlrsnet_hf.dataset.protocols import DEFAULT_PROTOCOL, GROUPED_PROTOCOLS, PROTOCOLS, split_ids

__all__ = ["DEFAULT_PROTOCOL", "FEATURES", "GROUPED_PROTOCOLS", "PROTOCOLS", "load_release", "split_ids", "to_example"]
