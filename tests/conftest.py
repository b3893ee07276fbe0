"""Fixtures that build a fake release, and the shared data where it is there."""

import csv
import io
import os
import subprocess
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import hypothesis
import pytest
from PIL import Image

from mlrsnet_hf.taxonomy import LABELS, find_label, find_scene

CHECKOUT = Path(__file__).parents[1]
SHARED = CHECKOUT.parent / "shared"
PUBLISHED_LABELS = [label.published for label in LABELS]

# No test asserts a time; in CI a failure must be the code's, not the draw's.
hypothesis.settings.register_profile("project", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("project")

MakeRelease = Callable[..., Path]


@pytest.fixture(autouse=True, scope="session")
def datasets_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests' datasets, and those of the processes they start, out of the user's cache."""
    import datasets

    folder = tmp_path_factory.mktemp("datasets-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
        patch.setenv("HF_DATASETS_CACHE", str(folder))
        yield


@pytest.fixture
def shared() -> Path:
    """The folder with real data that stands beside the developers' checkout."""
    if not SHARED.is_dir():
        pytest.skip("needs the developers' folder ../shared")
    return SHARED


def jpeg_bytes(color: tuple[int, int, int], size: tuple[int, int] = (16, 16)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "JPEG")
    return buffer.getvalue()


def write_label_file(
    path: Path, rows: Mapping[str, Sequence[str]], columns: Sequence[str] = PUBLISHED_LABELS, **writing: str
) -> None:
    """Write a label file by hand: file name -> names of its labels, columns in the order given."""
    with path.open("w", newline="", encoding=writing.get("encoding", "utf-8")) as file:
        writer = csv.writer(file, lineterminator=writing.get("lineterminator", "\n"))
        writer.writerow(["image", *columns])
        for name, labels in rows.items():
            wanted = {find_label(label).published for label in labels}
            writer.writerow([name, *(int(column in wanted) for column in columns)])


@pytest.fixture
def make_release(tmp_path: Path) -> MakeRelease:
    """Return a function that writes a fake release: scene -> number of images, each labelled with `labels`."""

    def make(
        images: Mapping[str, int] | None = None,
        labels: Sequence[str] = ("water", "buildings"),
        root: str = "release",
        folders: tuple[str, str] = ("Images", "Labels"),
    ) -> Path:
        folder = tmp_path / root
        for scene, count in (images or {"beach": 6, "harbor&port": 6, "swimmimg_pool": 6}).items():
            names = [f"{scene}_{i:05d}.jpg" for i in range(1, count + 1)]
            image_folder = folder / folders[0] / scene
            image_folder.mkdir(parents=True)
            for i, name in enumerate(names):
                (image_folder / name).write_bytes(jpeg_bytes((i, find_scene(scene).id, 7)))
            label_folder = folder / folders[1]
            label_folder.mkdir(exist_ok=True)
            write_label_file(label_folder / f"{scene}.csv", dict.fromkeys(names, labels))
        return folder

    return make


@pytest.fixture(scope="session")
def python_with_datasets_3(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of an environment with datasets 3.6 and no torch, which sees nothing of this one.

    MLRSNET_DATASETS_3_PYTHON may name one that is there already.
    """
    given = os.environ.get("MLRSNET_DATASETS_3_PYTHON")
    if given:
        return given
    folder = tmp_path_factory.mktemp("datasets-3.6")
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "datasets==3.6.*", "pillow"]
    made = subprocess.run([str(part) for part in install], capture_output=True, text=True)
    if made.returncode and "CI" not in os.environ:
        pytest.skip(f"datasets 3.6 cannot be installed: {made.stderr[-300:]}")
    assert made.returncode == 0, made.stderr
    return str(python)
