"""examples/train.py as a newcomer runs it: whole runs on a fake release, and every kind of bad input."""

import io
import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from accelerate import Accelerator
from datasets import Dataset, load_dataset
from datasets import Image as ImageFeature
from PIL import Image
from safetensors.torch import save_file

from mlrsnet_hf.evaluation.predict import predict
from mlrsnet_hf.evaluation.scores import evaluate
from mlrsnet_hf.inputs.loader import evaluation_loader
from mlrsnet_hf.inputs.split_images import SplitImages
from mlrsnet_hf.models.saved_model import load_model

SCRIPT = Path(__file__).parents[2] / "examples" / "train.py"
QUICK = ["--recipe", "debug_cpu", "--epochs", "1", "--batch-size", "4", "--eval-batch-size", "4"]


@pytest.fixture
def release(make_release: Callable[..., Path]) -> Path:
    """Three scenes with 11 images each, drawn as noise so that no two get the same logits."""
    root = make_release({"beach": 11, "harbor&port": 11, "forest": 11})
    for number, path in enumerate(sorted(root.glob("Images/*/*.jpg"))):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return root


def run_script(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run the script in this process, which has the libraries loaded; return its exit code."""
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
    try:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_a_run(release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    arguments = ["--data-dir", release, *QUICK, "--output-dir", tmp_path / "run"]
    assert run_script(monkeypatch, *arguments) == 0
    output = capsys.readouterr().out
    assert "58 of 60 labels do not occur there and count in no mean over labels" in output
    assert str(tmp_path / "run" / "model") in output
    assert run_script(monkeypatch, *arguments) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert run_script(monkeypatch, *arguments, "--overwrite") == 0


@pytest.mark.usefixtures("known_as_mlrsnet")
def test_repaired_labels_are_reported(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The fake release labels forests with ships, which no forest carries."""
    arguments = ["--data-dir", release, *QUICK]
    assert run_script(monkeypatch, *arguments, "--output-dir", tmp_path / "verified") == 0
    assert "11 of 33 images carry repaired labels; --label-version as-published keeps" in capsys.readouterr().out
    assert run_script(monkeypatch, *arguments, "--output-dir", tmp_path / "published", "--labels", "as-published") == 0
    assert "repaired labels" not in capsys.readouterr().out


def test_a_signal_while_the_data_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Preempted so early, a run ends with the code that says try again, and leaves nothing behind."""
    former = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("mlrsnet_hf.inputs.named_dataset.load_dataset", lambda *_, **__: os.kill(os.getpid(), 15))
    assert run_script(monkeypatch, "--dataset", "USER/NAME", *QUICK, "--output-dir", tmp_path / "run") == 75
    assert "stopped: SIGTERM came before the first step" in capsys.readouterr().err
    assert not (tmp_path / "run").exists() and signal.getsignal(signal.SIGTERM) is former


def test_another_dataset_with_a_scene_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Parquet with lists of names, no ids and one split; the settings of the run start it again elsewhere."""
    rows: dict[str, list] = {"picture": [], "tags": [], "land_use": []}
    for number in range(24):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 40, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        rows["picture"].append({"bytes": buffer.getvalue(), "path": None})
        rows["tags"].append([["sand"], ["sea", "sand"], ["trees"]][number % 3])
        rows["land_use"].append(["coast", "forest"][number % 2])
    (tmp_path / "scenes").mkdir()
    Dataset.from_dict(rows).cast_column("picture", ImageFeature()).to_parquet(tmp_path / "scenes/train.parquet")
    columns = ["--image-column", "picture", "--labels-column", "tags", "--scene-column", "land_use"]
    arguments = ["--dataset", tmp_path / "scenes", *columns, "--scene-head", *QUICK, "--validation-share", "0.25"]
    assert run_script(monkeypatch, *arguments, "--output-dir", tmp_path / "run") == 0
    assert "no validation split, so 6 training images are held out" in capsys.readouterr().out
    saved = load_model(tmp_path / "run/model")
    assert saved.task.output_names == ("sand", "sea", "trees", "coast", "forest")
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["recipe"] == "debug_cpu"
    assert results["data"]["images"] == {"train": 18, "validation": 6}

    settings = tmp_path / "run" / "settings.yaml"
    assert run_script(monkeypatch, "--config", settings, "--output-dir", tmp_path / "again") == 0
    again = load_model(tmp_path / "again/model").model.state_dict()
    assert all(torch.equal(value, again[key]) for key, value in saved.model.state_dict().items())


def test_help_names_every_setting(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    assert run_script(monkeypatch, "--help") == 0
    assert "--learning-rate" in capsys.readouterr().out


def truncate(release: Path) -> None:
    path = release / "Images" / "beach" / "beach_00002.jpg"
    path.write_bytes(path.read_bytes()[:200])


def other_architecture(release: Path) -> None:
    save_file(timm.create_model("test_efficientnet").state_dict(), release / "other.safetensors")


@pytest.mark.parametrize(
    ("arguments", "message", "prepare"),
    [
        ("", "beach_00002.jpg", truncate),
        ("--model resnet5O", "Did you mean 'resnet50'", None),
        ("--weights {release}/gone.safetensors", "gone.safetensors does not exist", None),
        ("--weights {release}/other.safetensors", "other.safetensors does not fit test_resnet", other_architecture),
        ("--weights {release}/Labels/beach.csv", "beach.csv cannot be read", None),
        ("--epochs 0", "epochs=0 cannot be used", None),
        ("--epochs many", "epochs='many' cannot be used", None),
        ("--learning-rate -1", "learning_rate=-1.0 cannot be used", None),
        ("--epoch-count 3", "'--epochs'", None),
        ("--config {release}/gone.yaml", "gone.yaml", None),
        ("--recipe modrn", "Did you mean 'modern'", None),
        ("--dataset {release}/Labels/beach.csv", "does not go with a table", None),
        ("--dataset {release}/Labels/beach.txt", "beach.txt: no such file", None),
        ("--labels-column tags", "no column 'tags' (labels_column)", None),
        ("--protocol ratio50", "ratio50", None),
        ("--protocol retrieval05", "query, database", None),
        ("--labels verifed", "Did you mean 'verified'", None),
        ("--data-dir {release}/gone", "gone", None),
        ("--output-dir {release}/Labels/beach.csv", "beach.csv is not a folder", None),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    release: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    arguments: str,
    message: str,
    prepare: Callable[[Path], None] | None,
) -> None:
    if prepare:
        prepare(release)
    given = arguments.format(release=release).split()
    code = run_script(monkeypatch, "--data-dir", release, *QUICK, "--output-dir", tmp_path / "run", *given)
    error = capsys.readouterr().err
    assert code == 2
    assert message in error
    assert "Traceback" not in error
    assert error.count("error: ") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_two_processes_report_what_one_finds(release: Path, tmp_path: Path) -> None:
    """33 images give splits that two processes cannot share evenly; no row may be lost or counted twice."""
    run = tmp_path / "run"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launch, SCRIPT, "--data-dir", release, *QUICK, "--output-dir", run]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true"}
    finished = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env=environment, timeout=200
    )
    assert finished.returncode == 0, finished.stderr
    results = json.loads((run / "results.json").read_text())
    assert results["run"]["processes"] == 2

    saved, data, accelerator = load_model(run / "model"), load_dataset("mlrsnet", data_dir=str(release)), Accelerator()
    for split, reported in results["scores"].items():
        images = SplitImages(data[split], saved.task, saved.preprocessing.evaluation_transform())
        assert len(images) % 2
        loader = evaluation_loader(images, 4, 0, accelerator)
        alone = evaluate(predict(saved.model, loader, saved.preprocessing, accelerator), saved.task)
        assert alone == pytest.approx(reported, abs=1e-6)
    assert finished.stdout.count("Test split") == 1


@pytest.mark.slow
def test_real_weights_on_real_images(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Two scenes' worth of the developers' data, one epoch: the head is adapted and the network learns."""
    weights = shared / "weights" / "tf_efficientnet_lite0.safetensors"
    root = tmp_path / "real"
    for scene in ("forest", "harbor&port"):
        (root / "Images" / scene).mkdir(parents=True)
        (root / "Labels").mkdir(exist_ok=True)
        rows = (shared / "data/ucm_release/Labels" / f"{scene}.csv").read_text().splitlines()[:31]
        (root / "Labels" / f"{scene}.csv").write_text("\n".join(rows) + "\n")
        for row in rows[1:]:
            name = row.split(",")[0]
            image = (shared / "data/ucm_release/Images" / scene / name).read_bytes()
            (root / "Images" / scene / name).write_bytes(image)
    arguments = ["--data-dir", root, "--weights", weights, "--image-size", "128", "--batch-size", "4"]
    arguments += ["--cpu-threads", "1", "--epochs", "4", "--ema", "0"]  # a dozen steps are too few for an average
    assert run_script(monkeypatch, *arguments, "--output-dir", tmp_path / "run") == 0
    assert "classifier.weight has 1000 outputs, the model needs 60: started anew" in capsys.readouterr().out
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["scores"]["test"]["map"] > 0.8
