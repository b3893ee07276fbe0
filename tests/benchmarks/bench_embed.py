"""Speed of embedding images against a bare loop of forward passes over tensors that are in memory already.

    python tests/benchmarks/bench_embed.py [--model resnet50] [--images 192] [--rounds 3] [--batch-size 32]
        [--image-size 224] [--precision bf16]

Both run the same network, of random weights, on the same device and in the same batches, in turn. Ours starts from JPEG
files of 256x256 pixels and ends with Parquet on the disk; loading network and dataset counts for neither.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import datasets
import torch
from accelerate import Accelerator

from mlrsnet_hf.inputs.images import ImageSplit
from mlrsnet_hf.retrieval.embeddings.config import EmbeddingConfig
from mlrsnet_hf.retrieval.embeddings.embed import extract
from mlrsnet_hf.retrieval.embeddings.files import write_rows
from mlrsnet_hf.retrieval.embeddings.info import EmbeddingInfo
from mlrsnet_hf.retrieval.embeddings.model import EmbeddingModel, embed_pixels, load_embedding_model
from mlrsnet_hf.runtime.device import use_processor
from mlrsnet_hf.runtime.shards import plan_shards
from mlrsnet_hf.synthetic import synthetic_record
from mlrsnet_hf.taxonomy import SCENES


def main() -> None:
    """Time both in turn, and print the ratio of the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--images", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--precision", default="no", help="of both: no, bf16 or fp16")
    options = parser.parse_args()
    accelerator = Accelerator(mixed_precision=options.precision)
    use_processor(accelerator)
    config = EmbeddingConfig(
        model=options.model,
        weights="random",
        image_size=options.image_size,
        batch_size=options.batch_size,
        precision=options.precision,
    )
    model = load_embedding_model(config)
    model.model.to(accelerator.device).to(memory_format=torch.channels_last)
    split = images(options.images)
    info = description(model, split, config)
    bare(model, options.batch_size, options.batch_size, accelerator)  # warm
    times: dict[str, list[float]] = {"bare loop": [], "embed": []}
    for _ in range(options.rounds):
        times["bare loop"].append(bare(model, options.images, options.batch_size, accelerator))
        times["embed"].append(ours(split, model, info, config, accelerator))
    for name, seconds in times.items():
        print(f"{name:<10} {options.images / statistics.median(seconds):8.1f} images/s")
    ratio = statistics.median(times["bare loop"]) / statistics.median(times["embed"])
    print(f"embed beside the bare loop: ratio {ratio:.3f} (at least 0.95)")
    print(f"{options.model} at {options.image_size} pixels on {accelerator.device}, precision {options.precision}")


def images(count: int) -> ImageSplit:
    """Return JPEG files in memory, as a dataset's rows hold them."""
    drawn = [synthetic_record(scene, 1, 0).image for scene in SCENES[:16]]
    rows = {
        "id": [str(i) for i in range(count)],
        "image": [{"bytes": drawn[i % 16], "path": None} for i in range(count)],
    }
    features = datasets.Features({"id": datasets.Value("string"), "image": datasets.Image()})
    return ImageSplit(datasets.Dataset.from_dict(rows, features=features), (), (), {"name": "drawn"})


def description(model: EmbeddingModel, split: ImageSplit, config: EmbeddingConfig) -> EmbeddingInfo:
    """Return what the Parquet files say of themselves."""
    return EmbeddingInfo(
        model=model.name,
        architecture=model.architecture,
        model_fingerprint="",
        layer=config.layer,
        dimension=model.size(config.layer),
        dtype="float32",
        normalized=False,
        dataset=split.source,
        dataset_fingerprint="",
        rows=len(split.rows),
    )


def bare(model: EmbeddingModel, count: int, batch_size: int, accelerator: Accelerator) -> float:
    """Return the seconds of the forward passes alone."""
    pixels = torch.randn(batch_size, 3, *2 * (model.preprocessing.image_size,), device=accelerator.device)
    pixels = pixels.to(memory_format=torch.channels_last)
    wait(accelerator)
    start = time.perf_counter()
    with torch.inference_mode(), accelerator.autocast():
        for first in range(0, count, batch_size):
            embed_pixels(model.model, pixels[: count - first], "pre_logits")
    wait(accelerator)
    return time.perf_counter() - start


def ours(
    split: ImageSplit, model: EmbeddingModel, info: EmbeddingInfo, config: EmbeddingConfig, accelerator: Accelerator
) -> float:
    """Return the seconds from JPEG files to Parquet."""
    with tempfile.TemporaryDirectory() as folder:
        wait(accelerator)
        start = time.perf_counter()
        shards = plan_shards("train", len(split.rows), config.shard_images)
        for shard, rows in zip(shards, extract(split, model, shards, config, accelerator), strict=True):
            write_rows(rows, info, Path(folder) / shard.name)
        return time.perf_counter() - start


def wait(accelerator: Accelerator) -> None:
    """Wait until the device has done what it was told."""
    if accelerator.device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
