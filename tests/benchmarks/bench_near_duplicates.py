"""Near-duplicates: how many are found, how many images are merged wrongly, how fast, in how much memory.

Run `python tests/benchmarks/bench_near_duplicates.py [--data-dir RELEASE]`. The images are those of a release folder,
or else synthetic scenes; copies of them are made by a random symmetry of the square, crop, resize and recompression.
`--scale 109161` adds a run of the whole search over as many thumbnails, cut at random out of the images; it says how
the time and the memory grow, and nothing about right or wrong, for many of the cuts overlap.
"""

import argparse
import io
import math
import random
import resource
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from mlrsnet_hf.dataset.near_duplicates import groups as near_duplicates
from mlrsnet_hf.dataset.near_duplicates.groups import near_duplicate_groups
from mlrsnet_hf.dataset.near_duplicates.perceptual_hash import THUMBNAIL
from mlrsnet_hf.release import open_release
from mlrsnet_hf.synthetic import synthetic_records

RESAMPLING = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


def disguised(data: bytes, draw: random.Random, crop: float = 0.1, degrees: float = 0) -> bytes:
    """Return a near-duplicate: rotated, cropped, resized, turned or mirrored, recompressed.

    Args:
        data: An image file.
        draw: The source of randomness.
        crop: The greatest share of each side that is cut off.
        degrees: The greatest rotation; what it turns out of the frame is cut off first.
    """
    with Image.open(io.BytesIO(data)) as opened:
        image = opened.convert("RGB")
    angle = draw.uniform(-degrees, degrees)
    turn = math.radians(abs(angle) % 90)
    inscribed = 1 / (math.cos(turn) + math.sin(turn)) - (0.01 if degrees else 0)
    image = image.rotate(angle, Image.Resampling.BICUBIC)
    width, height = (inscribed * draw.uniform(1 - crop, 1) for _ in range(2))
    left = (1 - inscribed) / 2 + draw.uniform(0, inscribed - width)
    top = (1 - inscribed) / 2 + draw.uniform(0, inscribed - height)
    box = (left * image.width, top * image.height, (left + width) * image.width, (top + height) * image.height)
    side = round(256 * draw.uniform(0.9, 1.1))
    image = image.resize((side, side), draw.choice(RESAMPLING), box)
    turning = draw.choice([None, *Image.Transpose])
    if turning is not None:
        image = image.transpose(turning)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=draw.randint(60, 90))
    return buffer.getvalue()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="a release folder; default: synthetic scenes")
    parser.add_argument("--images", type=int, default=2000, help="originals and copies")
    parser.add_argument("--scale", type=int, default=0, help="thumbnails of the run over random cuts")
    options = parser.parse_args()
    records = open_release(options.data_dir).records() if options.data_dir else synthetic_records(20, seed=1)
    originals = {record.id: record.image for record in records}
    measure_originals(originals)
    for crop, degrees in ((0.05, 0), (0.1, 0), (0.05, 5), (0.05, 10), (0, 180)):
        measure_copies(originals, options.images if (crop, degrees) == (0.1, 0) else 0, crop, degrees)
    if options.scale:
        measure_scale(originals, options.scale)
    print(f"peak memory of all: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


def measure_originals(originals: dict[str, bytes]) -> None:
    """Print which originals are merged: each either shows the same ground or is a false merge."""
    merged = merged_groups(near_duplicate_groups(originals.items()))
    pairs = sum(len(ids) * (len(ids) - 1) // 2 for ids in merged)
    share = 100 * sum(map(len, merged)) / len(originals)
    print(f"originals: {len(originals):,}, of which {share:.2f}% and {pairs} pairs are merged: {merged}")


def measure_copies(originals: dict[str, bytes], images: int, crop: float, degrees: float) -> None:
    """Print recall, false merges and speed, for one copy of each original or for `images` in all."""
    copies = max(1, images // len(originals) - 1)
    every = {**originals, **make_copies(originals, copies, crop, degrees)}
    start, cpu = time.perf_counter(), time.process_time()
    groups = near_duplicate_groups(every.items())
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    made = [name for name in every if name not in originals]
    found = sum(groups[name] == groups[name.rpartition("+")[0]] for name in made)
    strangers = {frozenset(name.rpartition("+")[0] or name for name in ids) for ids in merged_groups(groups)}
    mixed = sorted(sorted(origins) for origins in strangers if len(origins) > 1)
    print(
        f"crop to {100 * crop:.0f}%, rotation to {degrees:.0f} degrees, {len(every):,} images: recall "
        f"{found / len(made):.4f}; different originals in one group: {mixed}; {len(every) / wall:.0f} images/s, "
        f"{1000 * cpu / len(every):.1f} ms of processor each"
    )


def make_copies(originals: dict[str, bytes], copies: int, crop: float, degrees: float) -> dict[str, bytes]:
    """Return disguised copies, named as the original and a number."""
    draw = random.Random(1)
    return {f"{i}+{k}": disguised(data, draw, crop, degrees) for i, data in originals.items() for k in range(copies)}


def merged_groups(groups: dict[str, int]) -> list[list[str]]:
    """Return the groups of more than one image."""
    members = defaultdict(list)
    for image_id, group in groups.items():
        members[group].append(image_id)
    return [ids for ids in members.values() if len(ids) > 1]


def measure_scale(originals: dict[str, bytes], count: int) -> None:
    """Print the time of the search over random cuts, which pass for decoded thumbnails."""
    near_duplicates.thumbnail = lambda data, name: np.frombuffer(data, np.uint8).reshape(THUMBNAIL, THUMBNAIL)
    start, cpu = time.perf_counter(), time.process_time()
    groups = near_duplicate_groups(random_cuts(originals, count))
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    merged = merged_groups(groups)
    print(
        f"{count:,} thumbnails, decoding left out: {wall:.0f} s ({cpu:.0f} s of processor, cutting included); "
        f"{len(merged):,} groups of more than one, the largest of {max(map(len, merged), default=0):,}"
    )


def random_cuts(originals: dict[str, bytes], count: int) -> Iterator[tuple[str, bytes]]:
    """Yield thumbnails of squares of 80 to 160 pixels at random places."""
    draw = random.Random(2)
    sources = [Image.open(io.BytesIO(data)).convert("L") for data in originals.values()]
    for number in range(count):
        image = sources[number % len(sources)]
        side = draw.uniform(80, 160)
        left, top = draw.uniform(0, image.width - side), draw.uniform(0, image.height - side)
        cut = image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
        yield str(number), cut.tobytes()


if __name__ == "__main__":
    main()
