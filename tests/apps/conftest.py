"""A model, an index and a dataset with names that try to be markup; the app that serves them; a browser."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import timm
import torch

from mlrsnet_hf.cli import main
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.preprocessing import model_preprocessing
from mlrsnet_hf.models.saved_model import save_model

LABELS = ("red", "<b>green</b>", "blue ${6*7} {{6*7}}", "striped")
SCENES = ("beach", "forest")
THRESHOLDS = (0.45, 0.5, 0.55, 0.2)
ROWS = {"train": 40, "validation": 12, "test": 30}
SIDE = 64


@dataclass(frozen=True)
class Made:
    """What the app is given."""

    data: Path
    """A folder of Parquet files, one for each split."""
    run: Path
    embeddings: Path
    index: Path
    """Of the split `test`."""
    rows: datasets.DatasetDict
    """What the data holds, images undecoded."""


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, picture: Callable, encoded: Callable) -> Made:
    """A dataset, a network of random weights that was saved as a run saves it, and an index of the test split."""
    folder = tmp_path_factory.mktemp("app")
    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "image": datasets.Image(),
            "labels": datasets.Sequence(datasets.ClassLabel(names=list(LABELS))),
            "scene": datasets.ClassLabel(names=list(SCENES)),
        }
    )
    draw = np.random.default_rng(7)
    for seed, (split, images) in enumerate(ROWS.items()):
        labels = [np.flatnonzero(draw.random(4) < 0.4).tolist() for _ in range(images)]
        rows = {
            "id": [f"{split}_{number:02d}" for number in range(images)],
            "image": [
                {"bytes": encoded(picture(some, 100 * seed + number), "JPEG"), "path": None}
                for number, some in enumerate(labels)
            ],
            "labels": labels,
            "scene": draw.integers(0, 2, images).tolist(),
        }
        path = folder / "data" / f"{split}-00000-of-00001.parquet"
        datasets.Dataset.from_dict(rows, features=features).to_parquet(path)
    torch.manual_seed(5)
    model = timm.create_model("test_resnet", num_classes=len(LABELS) + len(SCENES)).eval()
    torch.nn.init.normal_(model.fc.weight, std=0.3)
    task = Task(kind="labels+scene", label_names=LABELS, scene_names=SCENES)
    thresholds = dict(zip(LABELS, THRESHOLDS, strict=True))
    save_model(model, folder / "run" / "model", model_preprocessing(model, SIDE, 1.0), task, thresholds)
    images = ["--dataset", str(folder / "data"), "--split", "test"]
    main(["embed", "--model", str(folder / "run"), *images, "--output-dir", str(folder / "embeddings")])
    main(["index", str(folder / "embeddings"), str(folder / "index"), "--kind", "flat"])
    known = {name: str(folder / "data" / f"{name}-00000-of-00001.parquet") for name in ROWS}
    rows = datasets.load_dataset("parquet", data_files=known)
    rows = rows.cast_column("image", datasets.Image(decode=False))
    return Made(folder / "data", folder / "run", folder / "embeddings", folder / "index", rows)


Serve = Callable[..., Any]


@pytest.fixture(scope="session")
def serve() -> Serve:
    """The function that serves an app of parts until its block ends, and gives its address."""
    from mlrsnet_hf.apps.app import build_app, serve_app
    from mlrsnet_hf.apps.config import AppConfig
    from mlrsnet_hf.apps.parts import open_parts

    @contextmanager
    def run(config: AppConfig, data: Any = None) -> Iterator[str]:  # noqa: ANN401
        with open_parts(config, data) as parts:
            app = build_app(parts)
            serve_app(app, config)
            try:
                yield app.local_url
            finally:
                app.close()

    return run


@pytest.fixture(scope="session")
def address(made: Made, serve: Serve) -> Iterator[str]:
    """Where the app is served with all its parts."""
    from mlrsnet_hf.apps.config import AppConfig
    from mlrsnet_hf.inputs.config import DataConfig

    config = AppConfig(model=str(made.run), index=str(made.index), upload_megabytes=1)
    with serve(config, DataConfig(dataset=str(made.data))) as url:
        yield url


OpenPage = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any, address: str) -> Iterator[OpenPage]:  # noqa: ANN401
    """The function that opens the app as another user, on a screen of some width; errors of its scripts fail the test.

    It also fails where the page asks another machine for something.
    """
    contexts, faults = [], []

    def opened(tab: str = "Classify", width: int = 1280, dark: bool = False, at: str = address) -> Any:  # noqa: ANN401
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: faults.extend([request.url] * _is_elsewhere(request.url)))
        page.goto(at)
        page.get_by_role("tab", name=tab).click()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def _is_elsewhere(url: str) -> bool:
    return url.startswith("http") and not url.startswith("http://127.0.0.1")
