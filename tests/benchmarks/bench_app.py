"""The app at the size of MLRSNet: seconds until the first page stands, and for a search, as a browser sees them.

    python tests/benchmarks/bench_app.py [IMAGES] [DIMENSIONS]

Builds an index of random embeddings (109,161 of 512 dimensions by default), serves it, and measures in headless
Chromium. Needs the extras app and search, playwright and a Chromium.
"""

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

from mlrsnet_hf.apps.app import build_app, serve_app
from mlrsnet_hf.apps.config import AppConfig
from mlrsnet_hf.apps.parts import open_parts
from mlrsnet_hf.retrieval.embeddings.files import DATA, EmbeddingRows, write_json, write_rows
from mlrsnet_hf.retrieval.embeddings.info import INFO_FILE, EmbeddingInfo
from mlrsnet_hf.retrieval.index.build import build_index
from mlrsnet_hf.runtime.shards import plan_shards
from mlrsnet_hf.taxonomy import LABEL_NAMES, SCENES

SEARCHES = 12


def write_embeddings(folder: Path, images: int, dimensions: int) -> None:
    """Write random embeddings with labels and scenes."""
    info = EmbeddingInfo(
        model="random",
        architecture="none",
        model_fingerprint="0",
        layer="pre_logits",
        dimension=dimensions,
        dtype="float32",
        normalized=False,
        dataset={"name": "random", "split": "all"},
        dataset_fingerprint="0",
        rows=images,
        label_names=LABEL_NAMES,
        scene_names=tuple(scene.name for scene in SCENES),
    )
    draw = np.random.default_rng(0)
    (folder / DATA).mkdir(parents=True)
    for shard in plan_shards(info.split_name, images, 8192):
        rows = range(shard.rows.start, shard.rows.stop)
        vectors = draw.normal(size=(len(rows), dimensions)).astype(np.float32)
        labels = [np.flatnonzero(row).tolist() for row in draw.random((len(rows), len(LABEL_NAMES))) < 0.1]
        ids = [f"image_{row:06d}" for row in rows]
        scenes = draw.integers(0, len(SCENES), len(rows))
        write_rows(EmbeddingRows(ids, vectors, scenes, labels), info, folder / DATA / shard.name)
    write_json(folder / INFO_FILE, info.to_json())


def timed_search(page: Any, name: str) -> float:  # noqa: ANN401
    """Return the seconds from the key until the results of an image's id stand."""
    page.get_by_label("Id of an image").fill(name)
    begin = time.perf_counter()
    page.keyboard.press("Enter")
    page.get_by_text(f"Images like {name}").wait_for()
    return time.perf_counter() - begin


def main() -> None:
    """Build, serve, measure, print."""
    images, dimensions = (int(word) for word in [*sys.argv[1:], *("109161", "512")[len(sys.argv) - 1 :]])
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as started:
        folder = Path(temporary)
        write_embeddings(folder / "embeddings", images, dimensions)
        begin = time.perf_counter()
        build_index(folder / "embeddings", folder / "index")
        print(f"index of {images:,} x {dimensions}: {time.perf_counter() - begin:.1f} s")
        config = AppConfig(index=str(folder / "index"))
        with open_parts(config) as parts:
            app = build_app(parts)
            address = serve_app(app, config)
            browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page()
            begin = time.perf_counter()
            page.goto(address)
            page.get_by_label("Id of an image").wait_for()
            print(f"first page: {time.perf_counter() - begin:.2f} s")
            draw = np.random.default_rng(1)
            for label in (None, "water"):
                if label is not None:
                    page.get_by_label("With all of these labels").fill(label)
                    page.get_by_role("option", name=label, exact=True).click()
                rows = draw.choice(images, SEARCHES, replace=False)
                seconds = [timed_search(page, f"image_{row:06d}") for row in rows]
                told = "with a label" if label else "without a filter"
                print(f"search {told}: median {statistics.median(seconds):.3f} s, longest {max(seconds):.3f} s")
            browser.close()
            app.close()


if __name__ == "__main__":
    main()
