"""Splits of a dataset to batches, the same whatever the number of workers and processes.

Every draw comes from (seed, epoch) or (seed, epoch, row), never from the state of a process. Pixels stay uint8 until
they are on the device. Batches carry their rows, so that evaluation can put each prediction in its place.

    batches (which images) -> image_files (bytes) -> decoding -> [decoded_cache] -> augmentation -> batch -> loader
"""

from mlrsnet_hf.training.inputs.batch import Batch
from mlrsnet_hf.training.inputs.batches import Draw, ShuffledBatches, ordered_batches
from mlrsnet_hf.training.inputs.loader import Loader, make_loader, read_batches
from mlrsnet_hf.training.inputs.split_images import Sample, SplitImages, multi_hot

__all__ = [
    "Batch",
    "Draw",
    "Loader",
    "Sample",
    "ShuffledBatches",
    "SplitImages",
    "make_loader",
    "multi_hot",
    "ordered_batches",
    "read_batches",
]
