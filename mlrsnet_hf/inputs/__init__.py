"""Splits of a dataset to batches, the same whatever the number of workers and processes.

Every draw comes from (seed, epoch) or (seed, epoch, row), never from the state of a process. Pixels stay uint8 until
they are on the device. Batches carry their rows, so that evaluation can put each prediction in its place.

    load (which dataset) -> tables (its files), columns (what its columns mean) -> batches (which images make a batch)
    -> pixels (the bytes of an image to pixels, cached decoded, augmented) -> split_images (images and targets)
    -> loader (a batch is decoded, ahead of the model)
"""
