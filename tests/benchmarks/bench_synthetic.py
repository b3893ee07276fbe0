"""How fast synthetic images are drawn, beside what Pillow takes to decode and encode the same images.

Run `python tests/benchmarks/bench_synthetic.py`. Times are of this process (not of the clock), on one core, after the
textures have been made.
"""

import argparse
import io
import time

from PIL import Image

from mlrsnet_hf.synthetic import synthetic_records
from mlrsnet_hf.synthetic.records import JPEG_QUALITY


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images-per-scene", type=int, default=10)
    count = parser.parse_args().images_per_scene
    start = time.process_time()
    list(synthetic_records(3, seed=1))
    print(f"first use: {time.process_time() - start:.2f} s for 3 images of each scene, textures included")
    start = time.process_time()
    records = list(synthetic_records(count, seed=2))
    drawing = (time.process_time() - start) / len(records)
    start = time.process_time()
    for record in records:
        with Image.open(io.BytesIO(record.image)) as image:
            image.convert("RGB").save(io.BytesIO(), "JPEG", quality=JPEG_QUALITY)
    recoding = (time.process_time() - start) / len(records)
    size = sum(len(record.image) for record in records) / len(records)
    print(f"drawing:   {1 / drawing:6.0f} images/s per core ({1000 * drawing:.2f} ms, {size / 1000:.0f} kB each)")
    print(f"Pillow:    {1 / recoding:6.0f} images/s per core to decode and encode the same images")
    print(f"ratio:     drawing takes {drawing / recoding:.1f} times as long as Pillow's decode and encode")


if __name__ == "__main__":
    main()
