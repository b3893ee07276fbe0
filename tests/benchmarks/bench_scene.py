"""Peak memory and speed of predicting a scene of 20,000 x 20,000 pixels, each kind of file in a process of its own.

    python tests/benchmarks/bench_scene.py [SIDE] [FOLDER]

The network is timm's test_resnet at 32 pixels, so that reading is what takes the time. `tiles` is a file of 512 x 512
JPEG tiles, as orthophotos are; `strips` has a strip for each row; `13 bands` holds 16-bit values; the latter two are
sparse files, which take no room. `resampled` reads the tiles at twice their resolution's pixels.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

KINDS = ("tiles", "strips", "13 bands", "resampled")


def write(path: Path, kind: str, side: int) -> None:
    import rasterio

    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(0.3, 0, 5e5, 0, -0.3, 5e6)}
    shape = {"driver": "GTiff", "width": side, "height": side, "BIGTIFF": "YES"} | place
    if kind in ("tiles", "resampled"):
        tiles = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "jpeg", "photometric": "YCBCR"}
        noise = np.random.default_rng(0).integers(0, 255, (3, 512, 512 + 97), np.uint8)
        with rasterio.open(path, "w", count=3, dtype="uint8", **shape, **tiles) as file:
            for row in range(0, side, 512):
                for column in range(0, side, 512):
                    high, wide = min(512, side - row), min(512, side - column)
                    first = (row + column) // 512 % 97
                    tile = noise[:, :high, first : first + wide]
                    file.write(tile, window=rasterio.windows.Window(column, row, wide, high))
    elif kind == "strips":
        with rasterio.open(path, "w", count=3, dtype="uint8", SPARSE_OK=True, photometric="RGB", **shape):
            pass
    else:
        with rasterio.open(path, "w", count=13, dtype="uint16", SPARSE_OK=True, tiled=True, **shape):
            pass


def measure(path: Path, kind: str, output: Path) -> dict[str, float]:
    import torch

    from mlrsnet_hf.inputs.pixels.reading import RGB, Reading
    from mlrsnet_hf.inputs.task import Task
    from mlrsnet_hf.models.build import build_model
    from mlrsnet_hf.models.named_model import NamedModel
    from mlrsnet_hf.models.preprocessing import model_preprocessing
    from mlrsnet_hf.prediction.classifier import Classifier
    from mlrsnet_hf.prediction.scenes.config import SceneConfig
    from mlrsnet_hf.prediction.scenes.predict import predict_scene

    torch.manual_seed(0)
    reading = Reading(bands=tuple(range(1, 14)), value_range=((0.0, 3000.0),)) if kind == "13 bands" else RGB
    task = Task(kind="labels", label_names=tuple(f"label {number}" for number in range(60)))
    network = build_model("test_resnet", 60, "random", channels=reading.channels)
    model = NamedModel("test_resnet", network, model_preprocessing(network, 32, 1.0, reading), task)
    classifier = Classifier(model, device="cpu", batch_size=64)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    began = time.monotonic()
    settings = SceneConfig(merge=True, resolution=0.15 if kind == "resampled" else None)
    result = predict_scene(path, classifier, output, settings, all_scores=True)
    return {
        "windows": result.windows,
        "seconds": round(time.monotonic() - began, 1),
        "windows per second": round(result.windows / result.seconds, 1),
        "peak GiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "of it before": round(before, 2),
    }


if __name__ == "__main__":
    if len(sys.argv) == 5 and sys.argv[1] == "measure":
        print(json.dumps(measure(Path(sys.argv[3]), sys.argv[2], Path(sys.argv[4]))))
        sys.exit()
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as folder:
        for kind in KINDS:
            scene = Path(folder) / "scene.tif"
            write(scene, kind, side if kind != "resampled" else side // 2)
            command = [sys.executable, __file__, "measure", kind, str(scene), str(Path(folder) / kind)]
            told = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
            print(f"{kind:<10} {told.decode().strip().splitlines()[-1]}", flush=True)
            scene.unlink()
