"""Speed of predicting images against a bare loop of forward passes over tensors that are in memory already.

    python tests/benchmarks/bench_predict.py [--model resnet50] [--images 192] [--rounds 3] [--batch-size 32]
        [--image-size 224] [--precision bf16] [--num-workers 0]

All run the same network, of random weights, on the same device and in the same batches, in turn. `predict` starts from
a folder of JPEG files of 256x256 pixels and ends with the table on the disk, parts and journal included; `Classifier`
starts from the paths of the same files and ends with its `Prediction`s. Loading the network counts for none of them.
"""

import argparse
import contextlib
import statistics
import tempfile
import time
from pathlib import Path

import torch
from accelerate import Accelerator

from mlrsnet_hf.inputs.image_list import ListedFiles, list_images
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.models.named_model import NamedModel, load_named_model
from mlrsnet_hf.prediction.classifier import Classifier
from mlrsnet_hf.prediction.pictures import Pictures
from mlrsnet_hf.prediction.shards import predict_shards, read_shard, write_shard
from mlrsnet_hf.prediction.tables import TableForm, open_table
from mlrsnet_hf.runtime.device import use_processor
from mlrsnet_hf.runtime.shards import plan_shards
from mlrsnet_hf.synthetic import synthetic_record
from mlrsnet_hf.taxonomy import LABEL_NAMES, SCENES


def main() -> None:
    """Time all in turn, and print the ratios of the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--images", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--precision", default="no", help="of all: no, bf16 or fp16")
    parser.add_argument("--num-workers", type=int, default=0)
    options = parser.parse_args()
    accelerator = Accelerator()
    use_processor(accelerator)
    choice = ModelChoice(model=options.model, weights="random", image_size=options.image_size)
    classifier = Classifier(
        with_labels(load_named_model(choice)),
        device=accelerator.device,
        batch_size=options.batch_size,
        precision=options.precision,
    )
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "images"
        paths = draw_images(folder, options.images)
        bare(classifier, options.batch_size)  # warm
        times: dict[str, list[float]] = {"bare loop": [], "predict": [], "Classifier": []}
        for number in range(options.rounds):
            times["bare loop"].append(bare(classifier, options.images))
            times["predict"].append(by_shards(classifier, folder, Path(place) / str(number), options.num_workers))
            times["Classifier"].append(by_classifier(classifier, paths))
    for name, seconds in times.items():
        print(f"{name:<10} {options.images / statistics.median(seconds):8.1f} images/s")
    for name in ("predict", "Classifier"):
        ratio = statistics.median(times["bare loop"]) / statistics.median(times[name])
        print(f"{name} beside the bare loop: ratio {ratio:.3f} (at least 0.95)")
    print(f"{options.model} at {options.image_size} pixels on {accelerator.device}, precision {options.precision}")


def with_labels(model: NamedModel) -> NamedModel:
    """Return a network as if its first 60 outputs were MLRSNet's labels, and the others scenes."""
    outputs = model.model.get_classifier().out_features
    task = Task(
        kind="labels+scene",
        label_names=LABEL_NAMES,
        scene_names=tuple(f"scene {number}" for number in range(outputs - len(LABEL_NAMES))),
    )
    return NamedModel(model.name, model.model, model.preprocessing, task)


def draw_images(folder: Path, count: int) -> list[Path]:
    """Write JPEG files, and return their paths."""
    folder.mkdir()
    drawn = [synthetic_record(scene, 1, 0).image for scene in SCENES[:16]]
    paths = [folder / f"{number:06d}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(drawn[number % 16])
    return paths


def bare(classifier: Classifier, count: int) -> float:
    """Return the seconds of the forward passes alone."""
    size, side = classifier.batch_size, classifier.preprocessing.image_size
    pixels = torch.randn(size, 3, side, side, device=classifier.device).to(memory_format=torch.channels_last)
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(classifier.precision)
    autocast = contextlib.nullcontext() if kind is None else torch.autocast(classifier.device.type, kind)
    wait(classifier)
    start = time.perf_counter()
    with torch.inference_mode(), autocast:
        for first in range(0, count, size):
            classifier.network(pixels[: count - first])
    wait(classifier)
    return time.perf_counter() - start


def by_shards(classifier: Classifier, images: Path, folder: Path, workers: int) -> float:
    """Return the seconds from a folder of files to the table."""
    folder.mkdir()
    wait(classifier)
    start = time.perf_counter()
    listed = list_images([str(images)])
    pictures = Pictures([image.id for image in listed], ListedFiles(listed), "drawn")
    shards = plan_shards("predictions", len(listed), 1024)
    for shard, rows in zip(shards, predict_shards(classifier, pictures, shards, workers), strict=True):
        write_shard(folder / shard.name, rows, "")
    with open_table(folder / "table", ".csv", TableForm(classifier.task, classifier.thresholds)) as table:
        for shard in shards:
            table.write(table.form.columns(read_shard(folder / shard.name)))
    return time.perf_counter() - start


def by_classifier(classifier: Classifier, paths: list[Path]) -> float:
    """Return the seconds from paths to predictions."""
    wait(classifier)
    start = time.perf_counter()
    assert len(classifier.predict(paths)) == len(paths)
    return time.perf_counter() - start


def wait(classifier: Classifier) -> None:
    """Wait until the device has done what it was told."""
    if classifier.device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
