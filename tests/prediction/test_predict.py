"""Tables of predictions against the network by hand, in every form, of every kind of source, killed and resumed."""

import csv
import functools
import http.server
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from mlrsnet_hf.errors import ConfigurationError, ImageError, MLRSNetError, OutOfMemoryError, WeightsError
from mlrsnet_hf.inputs.image_list import ListedFiles, list_images
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.models.named_model import load_named_model
from mlrsnet_hf.models.preprocessing import model_preprocessing
from mlrsnet_hf.models.saved_model import save_model
from mlrsnet_hf.prediction.classifier import Classifier
from mlrsnet_hf.prediction.config import PredictionConfig
from mlrsnet_hf.prediction.pictures import Pictures
from mlrsnet_hf.prediction.predict import Predicted, PredictionSummary, predict
from mlrsnet_hf.prediction.shards import predict_shard, read_shard
from mlrsnet_hf.reports.predictions import write_page
from mlrsnet_hf.runtime.shards import plan_shards

LABELS = ("water", "ships", "trees", "sand")
SCENES = ("beach", "forest", "harbor")
THRESHOLDS = (0.3, 0.5, 0.7, 0.5)
IMAGES = 23


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a network of random weights that tells labels and scenes, and has thresholds."""
    return save(tmp_path_factory.mktemp("runs") / "run", LABELS, SCENES)


def save(run: Path, labels: tuple[str, ...], scenes: tuple[str, ...]) -> Path:
    torch.manual_seed(3)
    model = timm.create_model("test_resnet", num_classes=len(labels) + len(scenes)).eval()
    torch.nn.init.normal_(model.fc.weight, std=0.5)
    kind: Any = "labels+scene" if labels and scenes else "labels" if labels else "scene"
    task = Task(kind=kind, label_names=labels, scene_names=scenes)
    thresholds = dict(zip(labels, THRESHOLDS, strict=True)) if labels == LABELS else None
    save_model(model, run / "model", model_preprocessing(model, 32, 1.0), task, thresholds)
    return run


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures") / "tiles"
    folder.mkdir()
    for number in range(IMAGES):
        Image.fromarray(pixels(number)).save(folder / f"{number:02d}.png")
    return folder


def pixels(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (40, 50, 3), dtype=np.uint8)


@functools.cache
def by_hand(saved: Path) -> np.ndarray:
    """Return the logits of the tiles by timm's own transform, one image at a time."""
    model = load_named_model(ModelChoice(model=str(saved)))
    transform = timm.data.create_transform(**model.preprocessing.timm_config(), is_training=False)
    with torch.inference_mode():
        logits = [model.model(transform(Image.fromarray(pixels(number)))[None]) for number in range(IMAGES)]
    return torch.cat(logits).numpy().astype(np.float64)


def run_predict(saved: Path, output: Path, *sources: Path | str, **settings: object) -> PredictionSummary:
    quick: dict[str, object] = {"batch_size": 4, "shard_images": 6}
    config = PredictionConfig(model=str(saved), sources=tuple(map(str, sources)), output=output, **quick | settings)
    summary = predict(config, ImageSet())
    assert summary is not None
    return summary


def read_table(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a table in any form as Python has them, by readers of others."""
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    rows: list[dict[str, Any]] = list(csv.DictReader(path.open(newline="")))
    for row in rows:
        row["error"] = row["error"] or None
        if row["error"] is None and "labels" in row:
            row["labels"] = row["labels"].split(";") if row["labels"] else []
            row["scores"] = [float(score) for score in row["scores"].split(";")] if row["scores"] else []
        for name in row:
            if name.startswith(("score:", "scene_score")):
                row[name] = float(row[name]) if row[name] else None
            elif row[name] == "" and row["error"]:
                row[name] = None
    return rows


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_table_says_what_the_network_says(suffix: str, saved: Path, tiles: Path, tmp_path: Path) -> None:
    output = tmp_path / f"out{suffix}"
    summary = run_predict(saved, output, tiles, all_scores=True)
    rows, logits = read_table(output), by_hand(saved)
    assert [row["id"] for row in rows] == [f"{tiles}/{number:02d}.png" for number in range(IMAGES)]
    scores = 1 / (1 + np.exp(-logits[:, :4]))
    scenes = np.exp(logits[:, 4:]) / np.exp(logits[:, 4:]).sum(1, keepdims=True)
    for place, name in enumerate(LABELS):
        np.testing.assert_allclose([row[f"score:{name}"] for row in rows], scores[:, place], atol=1e-5)
    for place, name in enumerate(SCENES):
        np.testing.assert_allclose([row[f"scene_score:{name}"] for row in rows], scenes[:, place], atol=1e-5)
    for row, of_labels, of_scenes in zip(rows, scores, scenes, strict=True):
        above = sorted((i for i in range(4) if of_labels[i] > THRESHOLDS[i]), key=lambda i, s=of_labels: -s[i])
        assert row["labels"] == [LABELS[i] for i in above]
        np.testing.assert_allclose(row["scores"], of_labels[above], atol=1e-5)
        assert row["scene"] == SCENES[of_scenes.argmax()]
        assert row["scene_score"] == pytest.approx(of_scenes.max(), abs=1e-5)
        assert row["error"] is None
    assert summary.labels == {
        name: count for name, count in zip(LABELS, (scores > THRESHOLDS).sum(0).tolist(), strict=True) if count
    }
    assert sum(summary.scenes.values()) == summary.images == IMAGES
    assert sorted(path.name for path in tmp_path.iterdir()) == [output.name]


def test_a_threshold_that_nearly_all_pass_is_told_once(
    saved: Path, tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(saved, tmp_path / "extreme")
    file = run / "model" / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"thresholds": config["thresholds"] | {"sand": 0.00001}}))
    given = {"model": str(run), "sources": (str(tiles),)}
    own = PredictionConfig(**given, output=tmp_path / "own.csv", html=tmp_path / "own.html")
    predict(own, ImageSet(), write_page)
    assert capsys.readouterr().err.count("sand (< 0.001)") == 1
    assert (tmp_path / "own.html").read_text().count("sand (&lt; 0.001)") == 1
    half = PredictionConfig(**given, output=tmp_path / "half.csv", thresholds=0.5)
    predict(half, ImageSet())
    assert capsys.readouterr().err == ""


def test_models_of_labels_alone_and_of_scenes_alone(tiles: Path, tmp_path: Path) -> None:
    run_predict(save(tmp_path / "labels", LABELS, ()), tmp_path / "labels.parquet", tiles, thresholds=0.0)
    rows = read_table(tmp_path / "labels.parquet")
    assert list(rows[0]) == ["id", "labels", "scores", "error"]
    assert all(sorted(row["labels"]) == sorted(LABELS) for row in rows)
    summary = run_predict(save(tmp_path / "scenes", (), SCENES), tmp_path / "scenes.csv", tiles)
    assert list(read_table(tmp_path / "scenes.csv")[0]) == ["id", "scene", "scene_score", "error"]
    assert sum(summary.scenes.values()) == IMAGES


def test_symmetries_and_workers(saved: Path, tiles: Path, tmp_path: Path) -> None:
    run_predict(saved, tmp_path / "8.parquet", tiles, symmetries=8, all_scores=True, num_workers=1)
    expected = Classifier.from_pretrained(saved, symmetries=8).scores(sorted(tiles.iterdir()))
    rows = read_table(tmp_path / "8.parquet")
    np.testing.assert_allclose([[row[f"score:{name}"] for name in LABELS] for row in rows], expected, atol=1e-5)


@pytest.fixture
def server(tiles: Path) -> Iterator[str]:
    """Address of a server of the folder with the tiles."""
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    handler = functools.partial(quiet, directory=str(tiles.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def test_any_mixture_of_sources(saved: Path, tiles: Path, server: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        for number in range(4, 9):
            archive.write(tiles / f"{number:02d}.png", f"in/{number:02d}.png")
    with tarfile.open(tmp_path / "some.tar.gz", "w:gz") as tar:
        for number in range(9, 14):
            tar.add(tiles / f"{number:02d}.png", f"{number:02d}.png")
    sources = [
        tiles / "00.png",
        str(tiles / "0[123].png"),
        tmp_path / "some.zip",
        tmp_path / "some.tar.gz",
        *(f"{server}/tiles/{number:02d}.png" for number in range(14, 17)),
        f"{server}/tiles/nowhere.png",
    ]
    summary = run_predict(saved, tmp_path / "out.parquet", *sources, all_scores=True)
    rows = read_table(tmp_path / "out.parquet")
    assert [Path(row["id"]).name for row in rows] == [*(f"{number:02d}.png" for number in range(17)), "nowhere.png"]
    expected = 1 / (1 + np.exp(-by_hand(saved)[:17, :4]))
    told = [[row[f"score:{name}"] for name in LABELS] for row in rows[:17]]
    np.testing.assert_allclose(told, expected, atol=1e-5)
    assert [name for name, _ in summary.unreadable] == [f"{server}/tiles/nowhere.png"]


def test_a_dataset(saved: Path, tiles: Path, tmp_path: Path) -> None:
    paths = sorted(tiles.iterdir())
    features = datasets.Features({"id": datasets.Value("string"), "image": datasets.Image()})
    rows = {
        "id": [f"tile_{path.stem}" for path in paths],
        "image": [
            {"bytes": path.read_bytes() if path.stem not in ("00", "05") else b"torn", "path": None} for path in paths
        ],
    }
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "data" / "test-00000-of-00001.parquet")
    config = PredictionConfig(model=str(saved), output=tmp_path / "out.jsonl", batch_size=4, shard_images=6)
    summary = predict(config, ImageSet(dataset=str(tmp_path / "data"), split="test"))
    assert summary is not None and [name for name, _ in summary.unreadable] == ["tile_00", "tile_05"]
    found = read_table(tmp_path / "out.jsonl")
    assert [row["id"] for row in found] == rows["id"]
    expected = Classifier.from_pretrained(saved).predict(paths)
    assert [row["labels"] for row in found if row["error"] is None] == [
        list(one.labels) for one, path in zip(expected, paths, strict=True) if path.stem not in ("00", "05")
    ]


def test_labels_of_a_dataset_count_for_nothing(saved: Path, tiles: Path, tmp_path: Path) -> None:
    rows = ["filename,labels,scene,water", "05.png,sea; sand,,1", "03.png,,beach,", "04.png,odd,,2"]
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    config = PredictionConfig(model=str(saved), output=tmp_path / "out.jsonl", batch_size=2)
    predict(config, ImageSet(dataset=str(tmp_path / "table.csv"), image_dir=str(tiles)))
    found = read_table(tmp_path / "out.jsonl")
    assert [Path(row["id"]).stem for row in found] == ["05", "03", "04"]
    expected = Classifier.from_pretrained(saved).predict([tiles / f"{number}.png" for number in ("05", "03", "04")])
    assert [row["labels"] for row in found] == [list(one.labels) for one in expected]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_what_cannot_be_read_is_told_and_not_fatal(suffix: str, saved: Path, tiles: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiles, tmp_path / "tiles")
    (folder / "03.png").write_bytes((folder / "03.png").read_bytes()[:100])
    (folder / "07.png").write_text("no image")
    output = tmp_path / f"out{suffix}"
    summary = run_predict(saved, output, folder, tmp_path / "tiles" / ".." / "tiles" / "08.png", all_scores=True)
    assert [Path(name).name for name, _ in summary.unreadable] == ["03.png", "07.png"]
    rows = read_table(output)
    assert [Path(row["id"]).name for row in rows if row["error"]] == ["03.png", "07.png"]
    assert all(row["labels"] is None and row["score:water"] is None for row in rows if row["error"])
    whole = [row for row in rows if not row["error"]]
    expected = np.delete(1 / (1 + np.exp(-by_hand(saved)[:, 0])), [3, 7])
    np.testing.assert_allclose([row["score:water"] for row in whole], expected, atol=1e-5)
    with pytest.raises(ImageError, match=r"03\.png"):
        run_predict(saved, tmp_path / "strict.csv", folder, strict=True)
    assert not (tmp_path / "strict.csv").exists()
    for name in ("03.png", "07.png"):
        shutil.copy(tiles / name, folder / name)
    assert not run_predict(saved, tmp_path / "strict.csv", folder, strict=True).unreadable


def test_no_image_that_can_be_read(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "one.png").write_text("no image")
    with pytest.raises(ImageError, match=r"one\.png"):
        run_predict(saved, tmp_path / "out.csv", tmp_path / "one.png")
    assert not (tmp_path / "out.csv").exists()


def test_one_shard_is_a_task_that_may_be_given_again(saved: Path, tiles: Path, tmp_path: Path) -> None:
    listed = list_images([str(tiles)])
    pictures = Pictures([image.id for image in listed], ListedFiles(listed), "tiles")
    classifier = Classifier.from_pretrained(saved, batch_size=4)
    shards = plan_shards("predictions", IMAGES, 6)
    for shard in reversed(shards):
        path = predict_shard(classifier, pictures, shard, tmp_path)
        made = path.stat().st_mtime_ns
        assert predict_shard(classifier, pictures, shard, tmp_path).stat().st_mtime_ns == made
        found = read_shard(path)
        assert found.ids == pictures.ids[shard.rows.start : shard.rows.stop]
        expected = 1 / (1 + np.exp(-by_hand(saved)[shard.rows.start : shard.rows.stop, :4]))
        np.testing.assert_allclose(found.scores, expected, atol=1e-5)
    other = Classifier.from_pretrained(saved, batch_size=4, symmetries=2)
    assert predict_shard(other, pictures, shards[0], tmp_path).stat().st_mtime_ns != made


PREDICT = """
import sys
from pathlib import Path
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.prediction.config import PredictionConfig
from mlrsnet_hf.prediction import predict as module
import time
made = module.write_shard
def slowly(*arguments):
    time.sleep(0.05)
    made(*arguments)
    print("part", flush=True)
module.write_shard = slowly
model, images, output = sys.argv[1:]
config = PredictionConfig(model=model, sources=(images,), output=Path(output), batch_size=2, shard_images=2)
module.predict(config, ImageSet())
"""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_killed_at_random_it_writes_what_an_undisturbed_run_writes(
    suffix: str, saved: Path, tiles: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiles, tmp_path / "tiles")
    (folder / "torn.png").write_bytes(b"torn")
    command = [sys.executable, "-c", PREDICT, str(saved), str(folder)]
    undisturbed, output = tmp_path / f"whole{suffix}", tmp_path / f"killed{suffix}"
    subprocess.run([*command, str(undisturbed)], check=True, capture_output=True)
    draw, kills, kept = random.Random(suffix), 0, 0
    while not output.exists():
        with subprocess.Popen([*command, str(output)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(draw.randint(1, 4)):  # so that each run comes further
                process.stdout.readline()
            time.sleep(draw.random() * 0.1)
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
        parts = list((tmp_path / f".killed{suffix}.partial" / "parts").glob("pred*"))
        assert output.exists() or len(parts) >= kept
        kept = len(parts)
    assert kills >= 2
    assert output.read_bytes() == undisturbed.read_bytes()
    assert subprocess.run([*command, str(output)], capture_output=True).returncode  # it is there, and what is left goes
    assert not (tmp_path / f".killed{suffix}.partial").exists()


def test_killed_after_the_table_has_its_name(
    saved: Path, tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.csv"
    with monkeypatch.context() as patched:
        patched.setattr("mlrsnet_hf.resumable_folder.shutil.rmtree", lambda *_, **__: None)
        run_predict(saved, output, tiles)
    assert (tmp_path / ".out.csv.partial").exists()
    with pytest.raises(ConfigurationError, match="exists"):
        run_predict(saved, output, tiles)
    assert not (tmp_path / ".out.csv.partial").exists()


class Killed(BaseException):
    """What nothing can stop."""


@pytest.mark.parametrize("other_model", [False, True])
def test_killed_between_page_and_table_the_page_is_taken_up(
    saved: Path, tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other_model: bool
) -> None:
    """And one that no unfinished run of this table has written is refused."""

    def killed(*_: object) -> None:
        raise Killed

    def page(predicted: Predicted, path: Path) -> None:
        path.write_text(f"of {predicted.classifier.model.name}")

    other = save(tmp_path / "other", ("a", "b"), ())
    given = {"sources": (str(tiles),), "output": tmp_path / "out.csv", "html": tmp_path / "page.html"}
    with monkeypatch.context() as patch:
        patch.setattr("mlrsnet_hf.resumable_folder.ResumableFolder.finish", killed)
        for _ in range(2):
            with pytest.raises(Killed):
                predict(PredictionConfig(model=str(saved), **given), ImageSet(), page)
    assert (tmp_path / "page.html").read_text() == "of run" and not (tmp_path / "out.csv").exists()
    (tmp_path / "mine.html").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"mine\.html: exists"):
        predict(PredictionConfig(model=str(saved), **given | {"html": tmp_path / "mine.html"}), ImageSet(), page)
    with pytest.raises(ConfigurationError, match=r"page\.html: exists"):
        predict(PredictionConfig(model=str(saved), **given | {"output": tmp_path / "b.csv"}), ImageSet(), page)
    summary = predict(PredictionConfig(model=str(other if other_model else saved), **given), ImageSet(), page)
    assert summary is not None and summary.earlier == (0 if other_model else IMAGES)
    assert (tmp_path / "page.html").read_text() == ("of other" if other_model else "of run")
    assert (tmp_path / "out.csv").is_file() and (tmp_path / "mine.html").read_text() == "mine"


def test_only_what_has_changed_is_made_again(
    saved: Path, tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, output = shutil.copytree(tiles, tmp_path / "tiles"), tmp_path / "out.csv"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("mlrsnet_hf.prediction.predict.open_table", full)
        with pytest.raises(ConfigurationError, match="No space left on device") as error:
            run_predict(saved, output, folder)
    assert ".out.csv.partial" in error.value.remedy
    assert not output.exists()
    Image.fromarray(pixels(99)).save(folder / "13.png")
    summary = run_predict(saved, output, folder)
    assert summary.earlier == IMAGES - 6, "13 is in the third of four shards"
    run_predict(saved, tmp_path / "fresh.csv", folder)
    assert output.read_bytes() == (tmp_path / "fresh.csv").read_bytes()


def test_a_full_disk_keeps_what_is_there(
    saved: Path, tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pq.write_table

    def full(table: Any, path: Path, **options: Any) -> None:  # noqa: ANN401
        if "00002" in path.name:
            raise OSError(28, "No space left on device")
        whole(table, path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", full)
        with pytest.raises(ConfigurationError, match="No space left on device"):
            run_predict(saved, tmp_path / "out.csv", tiles)
    assert not (tmp_path / "out.csv").exists()
    assert run_predict(saved, tmp_path / "out.csv", tiles).earlier >= 6


@pytest.mark.slow
def test_two_processes_write_what_one_writes(saved: Path, tiles: Path, tmp_path: Path) -> None:
    run_predict(saved, tmp_path / "one.jsonl", tiles, all_scores=True)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
    command += ["mlrsnet_hf", "predict", str(saved), str(tiles), "--output", str(tmp_path / "two.jsonl")]
    command += ["--batch-size", "4", "--shard-images", "6", "--all-scores", "--html", str(tmp_path / "two.html")]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=400)
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.count(f"{IMAGES} images") == 1
    one, two = read_table(tmp_path / "one.jsonl"), read_table(tmp_path / "two.jsonl")
    assert [(row["id"], row["labels"], row["scene"]) for row in one] == [
        (row["id"], row["labels"], row["scene"]) for row in two
    ]
    np.testing.assert_allclose([row["score:sand"] for row in one], [row["score:sand"] for row in two], atol=2e-6)
    assert (tmp_path / "two.html").exists()


def test_mistakes(saved: Path, tiles: Path, tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_text("")
    (tmp_path / "empty").mkdir()
    separated = save(tmp_path / "separated", ("sea; sand", "trees"), ())
    cases: list[tuple[type[MLRSNetError], str, list[Path], dict[str, Any]]] = [
        (ConfigurationError, "there.csv: exists", [tiles], {"output": tmp_path / "there.csv"}),
        (ConfigurationError, "there.csv: exists", [tiles], {"html": tmp_path / "there.csv"}),
        (ConfigurationError, "no image is given", [], {}),
        (ConfigurationError, "empty", [tmp_path / "empty"], {}),
        (ConfigurationError, "nowhere", [tmp_path / "nowhere.png"], {}),
        (ConfigurationError, "names no labels", [tiles], {"model": "test_resnet", "weights": "random"}),
        (WeightsError, "config.json", [tiles], {"model": str(tmp_path / "empty")}),
        (ConfigurationError, "'sea; sand'", [tiles], {"model": str(separated)}),
        (ConfigurationError, "precision='fp16'", [tiles], {"precision": "fp16"}),
    ]
    for kind, said, sources, settings in cases:
        choice = ModelChoice(model=settings.get("model", str(saved)), weights=settings.pop("weights", "pretrained"))
        given = {"model": str(saved), "sources": tuple(map(str, sources)), "output": tmp_path / "out.csv"} | settings
        with pytest.MonkeyPatch.context() as patch, pytest.raises(kind, match=said):
            patch.setattr(PredictionConfig, "model_choice", lambda _, choice=choice: choice)
            predict(PredictionConfig(**given), ImageSet())
        assert not (tmp_path / "out.csv").exists()
    with pytest.raises(ConfigurationError, match="and a dataset are given"):
        predict(PredictionConfig(model=str(saved), sources=("x.png",)), ImageSet(split="test"))
    for wrong in ({"output": tmp_path / "out.txt"}, {"thresholds": 1.5}, {"html": Path("predictions.csv")}):
        with pytest.raises(ConfigurationError):
            PredictionConfig(model="run", **wrong)


def test_scores_that_are_not_finite_and_too_little_memory(
    saved: Path, tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(saved, broken)
    state = load_file(broken / "model" / "model.safetensors")
    next(values for values in state.values() if values.is_floating_point()).fill_(float("nan"))
    save_file(state, broken / "model" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigurationError, match=r"00\.png.*NaN.* 5 more"):
        run_predict(broken, tmp_path / "out.csv", tiles)
    with pytest.raises(ConfigurationError, match="NaN"):
        Classifier.from_pretrained(broken).scores([pixels(0)])

    def refused(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("mlrsnet_hf.prediction.classifier.mean_logits", refused)
    with pytest.raises(OutOfMemoryError, match="--batch-size"):
        run_predict(saved, tmp_path / "out.csv", tiles)
    with pytest.raises(OutOfMemoryError, match="batch_size"):
        Classifier.from_pretrained(saved).scores([pixels(0)])


def test_the_command_ends_in_one_sentence(saved: Path, tiles: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mlrsnet_hf", "predict", str(saved)]
    run = subprocess.run([*command, str(tmp_path / "no.png")], capture_output=True, text=True, cwd=tmp_path)
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (2, "", 1)
    assert not list(tmp_path.iterdir())
    (tmp_path / "torn.png").write_text("no image")
    run = subprocess.run([*command, str(tiles), "torn.png"], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "torn.png: cannot be read" in run.stdout
    assert run.stdout.rstrip().endswith("predictions: predictions.csv")
    assert len(read_table(tmp_path / "predictions.csv")) == IMAGES + 1


def test_formulas_stay_text_in_csv(tiles: Path, tmp_path: Path) -> None:
    run = save(tmp_path / "run", ("=cmd()", "+1 sea"), ())
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.png", (tiles / "00.png").read_bytes())
    run_predict(run, tmp_path / "out.csv", tmp_path / "x.zip", thresholds=0.0)
    cells = next(csv.reader(io.StringIO((tmp_path / "out.csv").read_text().splitlines()[1])))
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
