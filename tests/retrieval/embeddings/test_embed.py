"""Extraction against timm itself, its forms, and what happens when it is killed or shared among processes."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import timm
import timm.data
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.decomposition import PCA

from mlrsnet_hf.errors import ConfigurationError, ImageError, OutOfMemoryError, UnknownNameError
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.inputs.images import load_images
from mlrsnet_hf.models.saved_model import load_model
from mlrsnet_hf.retrieval.embeddings.config import EmbeddingConfig
from mlrsnet_hf.retrieval.embeddings.embed import embed
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingError
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable

SCRIPT = Path(__file__).parents[3] / "examples" / "embed.py"


def make(saved_model: Path, images: ImageSet, target: Path, **settings: object) -> EmbeddingTable:
    quick = {"model": str(saved_model), "batch_size": 4, "shard_images": 6, "output_dir": target}
    return EmbeddingTable.load(embed(EmbeddingConfig(**quick | settings), images))


def forwarded(saved_model: Path, pictures: Path) -> tuple[list[str], dict[str, np.ndarray]]:
    """Pass the pictures through timm, one at a time, with timm's own transform."""
    names = sorted(path.relative_to(pictures).as_posix() for path in pictures.rglob("*.[pP][nN][gG]"))
    model = timm.create_model(f"local-dir:{saved_model / 'model'}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_data_config(model.pretrained_cfg), is_training=False)
    pixels = torch.stack([transform(Image.open(pictures / name).convert("RGB")) for name in names])
    with torch.inference_mode():
        features = model.forward_features(pixels)
        layers = {
            "pooled": features.mean((2, 3)),
            "pre_logits": model.forward_head(features, pre_logits=True),
            "logits": model(pixels),
        }
    return names, {name: values.numpy() for name, values in layers.items()}


@pytest.mark.parametrize("layer", ["pooled", "pre_logits", "logits"])
def test_layers_are_those_of_timm(layer: str, saved_model: Path, pictures: Path, tmp_path: Path) -> None:
    names, expected = forwarded(saved_model, pictures)
    table = make(saved_model, ImageSet(images=str(pictures)), tmp_path / "out", layer=layer)
    assert table.ids == names
    assert table.info.dimension == expected[layer].shape[1]
    np.testing.assert_allclose(table.embeddings, expected[layer], rtol=1e-4, atol=1e-5)
    assert (table.labels, table.scenes, table.scores) == (None, None, None)


@pytest.mark.parametrize(
    ("name", "layer", "size"),
    [
        ("test_efficientnet", "pooled", 256),
        ("test_vit", "pooled", 64),
        ("mobilenetv3_small_050", "pooled", 288),
        ("mobilenetv3_small_050", "pre_logits", 1024),  # num_features says 288
    ],
)
def test_the_size_comes_from_the_network(name: str, layer: str, size: int) -> None:
    from mlrsnet_hf.models.choice import ModelChoice
    from mlrsnet_hf.retrieval.embeddings.model import load_embedding_model

    model = load_embedding_model(ModelChoice(model=name, weights="random"))
    assert model.size(layer) == size


def test_a_dataset_keeps_ids_labels_scenes_and_scores(
    saved_model: Path, dataset: Path, pictures: Path, tmp_path: Path
) -> None:
    images = ImageSet(dataset=str(dataset), split="test")
    table = make(saved_model, images, tmp_path / "out", scores=True)
    names, expected = forwarded(saved_model, pictures)
    assert table.ids == [f"image_{Path(name).stem}" for name in names]
    assert table.labels is not None and table.scenes is not None and table.scores is not None
    assert table.labels == [[label for label in range(4) if i >> label & 1] for i in range(22)]
    assert table.scenes.tolist() == [i % 3 for i in range(22)]
    np.testing.assert_allclose(table.scores, 1 / (1 + np.exp(-expected["logits"])), rtol=1e-4)
    assert table.info.scores == table.info.label_names == ("water", "ships", "trees", "sand")
    stored = json.loads((tmp_path / "out" / "embeddings.json").read_text())
    assert str(tmp_path) not in json.dumps(stored), "what is published names no path of this machine"


def test_normalized_float16(saved_model: Path, pictures: Path, tmp_path: Path) -> None:
    images = ImageSet(images=str(pictures))
    table = make(saved_model, images, tmp_path / "out", normalize=True, dtype="float16")
    np.testing.assert_allclose(np.linalg.norm(table.embeddings, axis=1), 1, atol=1e-3)
    expected = forwarded(saved_model, pictures)[1]["pre_logits"]
    expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(table.embeddings, expected.astype(np.float16), atol=2e-3)


@pytest.mark.parametrize("whiten", [False, True])
def test_principal_components_are_those_of_scikit_learn(
    whiten: bool, saved_model: Path, pictures: Path, tmp_path: Path
) -> None:
    settings = {"pca": 3, "whiten": whiten, "pca_images": 15}
    table = make(saved_model, ImageSet(images=str(pictures)), tmp_path / "out", **settings)
    raw = forwarded(saved_model, pictures)[1]["pre_logits"].astype(np.float64)
    peer = PCA(3, whiten=whiten, svd_solver="full").fit(raw[:15])
    expected = peer.transform(raw)
    signs = np.sign((expected * table.embeddings).sum(axis=0))
    np.testing.assert_allclose(table.embeddings, expected * signs, rtol=1e-3, atol=1e-3)
    assert table.info.pca == {
        "components": 3,
        "whitened": whiten,
        "fitted_on": 15,
        "explained": pytest.approx(peer.explained_variance_ratio_.sum(), abs=1e-5),
    }
    assert not list((tmp_path / "out").glob(".raw"))


def test_a_dataset_in_any_form_that_training_takes(dataset: Path, tmp_path: Path) -> None:
    [file] = dataset.rglob("*.parquet")
    usual = load_images(ImageSet(dataset=str(dataset), split="test"))
    alone = load_images(ImageSet(dataset=str(file)))
    assert alone.fingerprint == usual.fingerprint
    whole = datasets.load_dataset(str(dataset), split="test")
    datasets.DatasetDict(query=whole.select(range(5)), rest=whole.select(range(5, 22))).save_to_disk(tmp_path / "saved")
    saved = load_images(ImageSet(dataset=str(tmp_path / "saved"), split="query+rest"))
    assert saved.fingerprint == usual.fingerprint
    assert (saved.label_names, saved.scene_names) == (usual.label_names, usual.scene_names)
    with pytest.raises(UnknownNameError, match=r"'qery'.*'query'"):
        load_images(ImageSet(dataset=str(tmp_path / "saved"), split="qery"))


def test_images_without_labels_are_embedded_and_what_is_passed_over_is_said(dataset: Path, tmp_path: Path) -> None:
    whole = datasets.load_dataset(str(dataset), split="test")
    for name, known in (("none", 0), ("some", 20)):
        labels = [row if i < known else None for i, row in enumerate(whole["labels"])]
        rows = whole.remove_columns("labels").add_column("labels", labels, feature=whole.features["labels"])
        rows.to_parquet(tmp_path / f"{name}.parquet")
    without = load_images(ImageSet(dataset=str(tmp_path / "none.parquet")))
    assert (len(without.rows), without.label_names, without.scene_names) == (22, (), ("beach", "forest", "harbor"))
    some = load_images(ImageSet(dataset=str(tmp_path / "some.parquet")))
    assert len(some.rows) == 20
    assert "2 rows of the train split have no value in column 'labels' and are left out" in some.notes[0]


@pytest.mark.slow
def test_two_processes_write_what_one_writes(saved_model: Path, pictures: Path, tmp_path: Path) -> None:
    one = make(saved_model, ImageSet(images=str(pictures)), tmp_path / "one", pca=4)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(SCRIPT)]
    command += ["--images", str(pictures), "--model", str(saved_model), "--output-dir", str(tmp_path / "2")]
    command += ["--batch-size", "4", "--shard-images", "6", "--pca", "4"]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=400)
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.count("22 embeddings") == 1
    two = EmbeddingTable.load(tmp_path / "2")
    assert two.ids == one.ids
    np.testing.assert_allclose(two.embeddings, one.embeddings, rtol=1e-5, atol=1e-5 * np.abs(one.embeddings).max())
    assert two.info == one.info
    assert (tmp_path / "2" / "README.md").exists()


FAILING = """
import os, sys
from pathlib import Path
import numpy as np
from mlrsnet_hf.errors import MLRSNetError
from mlrsnet_hf.retrieval.embeddings import embed as module
from mlrsnet_hf.retrieval.embeddings import files
from mlrsnet_hf.runtime.device import inference_accelerator
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.retrieval.embeddings.config import EmbeddingConfig
write_table = files.pq.write_table
model, torn, pictures, folder = sys.argv[1:]
second, whole = os.environ["RANK"] == "1", module.write_rows
def no_room(*_, **__):
    raise OSError(28, "No space left on device")
def full(rows, info, path):
    if second:
        files.pq.write_table = no_room
    whole(rows, info, path)
def broken(rows, info, path):
    if second:
        rows.embeddings[1, 2] = np.nan
    whole(rows, info, path)
accelerator = inference_accelerator(None)  # which one of its own would end with the first
for name, images, change in (
    ("torn", torn, whole), ("full", pictures, full), ("nan", pictures, broken), ("well", pictures, whole),
):
    module.write_rows, files.pq.write_table = change, write_table
    target = Path(folder) / name
    config = EmbeddingConfig(model=model, batch_size=2, shard_images=2, output_dir=target)
    try:
        module.embed(config, ImageSet(images=images), accelerator=accelerator)
        said = "whole"
    except MLRSNetError as error:
        said = f"{type(error).__name__}: {error}"
    (Path(folder) / f"{name}.{int(second)}").write_text(said)
accelerator.end_training()
"""


@pytest.mark.slow
def test_an_error_in_one_process_ends_both(saved_model: Path, pictures: Path, tmp_path: Path) -> None:
    """The second of two processes makes each second shard, of eleven: the first is told before it makes a third."""
    torn = shutil.copytree(pictures, tmp_path / "torn_pictures")
    damaged = sorted(torn.rglob("*.[pP][nN][gG]"))[2]  # the first of the second shard
    damaged.write_bytes(damaged.read_bytes()[:60])
    (tmp_path / "failing.py").write_text(FAILING)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += map(str, [tmp_path / "failing.py", saved_model, torn, pictures, tmp_path])
    run = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"ACCELERATE_USE_CPU": "true"}, timeout=400
    )
    assert run.returncode == 0, run.stderr[-2000:]
    said = {name: [(tmp_path / f"{name}.{rank}").read_text() for rank in (0, 1)] for name in ("torn", "full", "nan")}
    assert all(first == second for first, second in said.values()), said
    assert said["torn"][0].startswith("ImageError: ") and damaged.name in said["torn"][0]
    assert said["full"][0].startswith("ConfigurationError: ") and "No space left" in said["full"][0]
    assert str(tmp_path / ".full.partial") in said["full"][0]
    assert said["nan"][0].startswith("EmbeddingError: the embeddings of 'a/07.png' hold NaN or infinity.")
    for name in said:
        assert not (tmp_path / name).exists()
        left = sorted(path.name for path in (tmp_path / f".{name}.partial" / "data").iterdir())
        assert left in ([f"train-{number:05d}-of-00011.parquet" for number in numbers] for numbers in ([0], [0, 2]))
    assert EmbeddingTable.load(tmp_path / "well").ids == [
        path.relative_to(pictures).as_posix() for path in sorted(pictures.rglob("*.[pP][nN][gG]"))
    ]


def test_other_bytes_of_the_same_size_are_other_images(pictures: Path, dataset: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(pictures, tmp_path / "copy" / pictures.name)
    before = load_images(ImageSet(images=str(pictures))).fingerprint
    assert load_images(ImageSet(images=str(copy))).fingerprint == before, "it does not matter where they lie"
    path = copy / "a" / "05.png"
    status, whole = path.stat(), path.read_bytes()
    path.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert load_images(ImageSet(images=str(copy))).fingerprint != before
    path.unlink()
    missing = load_images(ImageSet(images=str(pictures)))
    rows = missing.rows.map(lambda row: {"image": None} if row["id"] == "a/05.png" else row)
    assert dataclasses.replace(missing, rows=rows).fingerprint != before, "an image that is not there"
    stored = load_images(ImageSet(dataset=str(dataset), split="test"))
    assert stored.fingerprint == load_images(ImageSet(dataset=str(dataset), split="test")).fingerprint


DOOMED = """
import os, signal, sys
from pathlib import Path
from mlrsnet_hf.retrieval.embeddings import embed as module
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.retrieval.embeddings.config import EmbeddingConfig
whole = module.write_rows
def killed_at_the_third(rows, info, path):
    if "00002" in path.name:
        path.with_name(f".{path.name}.1").write_bytes(b"PAR1 cut short")
        os.kill(os.getpid(), signal.SIGKILL)
    whole(rows, info, path)
module.write_rows = killed_at_the_third
model, images, target = sys.argv[1:]
config = EmbeddingConfig(model=model, batch_size=4, shard_images=6, output_dir=Path(target))
module.embed(config, ImageSet(images=images))
"""


@pytest.fixture(scope="module")
def killed(saved_model: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves that is killed while it writes the third of four files."""
    target = tmp_path_factory.mktemp("killed") / "out"
    run = subprocess.run([sys.executable, "-c", DOOMED, str(saved_model), str(pictures), str(target)])
    assert run.returncode == -signal.SIGKILL
    assert not target.exists()
    return target.with_name(".out.partial")


def test_a_killed_run_is_completed_by_the_next(
    killed: Path, saved_model: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    shutil.copytree(killed, tmp_path / ".out.partial")
    target = tmp_path / "out"
    kept = {path.name: path.stat().st_mtime_ns for path in (killed / "data").glob("train-*")}
    assert len(kept) == 2
    resumed = make(saved_model, ImageSet(images=str(pictures)), target)
    assert "22 embeddings, 12 of them from an earlier run" in capsys.readouterr().out
    assert {name: (target / "data" / name).stat().st_mtime_ns for name in kept} == kept
    whole = make(saved_model, ImageSet(images=str(pictures)), tmp_path / "whole")
    assert resumed.ids == whole.ids
    np.testing.assert_array_equal(resumed.embeddings, whole.embeddings)
    assert sorted(path.name for path in target.iterdir()) == [".local.json", "data", "embeddings.json"]
    assert len(list((target / "data").iterdir())) == 4


def test_embeddings_that_are_whole_are_said_to_be(
    saved_model: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, target = ImageSet(images=str(pictures)), tmp_path / "out"
    make(saved_model, images, target)
    before = {path: path.stat().st_mtime_ns for path in target.rglob("*")}
    assert "already" not in capsys.readouterr().out
    make(saved_model, images, target, batch_size=2)  # which leaves the embeddings as they are
    assert "are there already, whole" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in target.rglob("*")} == before
    for other in ({"layer": "pooled"}, {"dtype": "float16"}, {"shard_images": 5}):
        with pytest.raises(ConfigurationError, match="out: exists already"):
            make(saved_model, images, target, **other)
    next((target / "data").glob("*.parquet")).write_bytes(b"PAR1")
    with pytest.raises(ConfigurationError, match="out: exists already"):
        make(saved_model, images, target)


def test_what_another_setting_left_is_not_taken_up(
    killed: Path, saved_model: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    shutil.copytree(killed, tmp_path / ".out.partial")
    make(saved_model, ImageSet(images=str(pictures)), tmp_path / "out", layer="logits")
    assert "22 embeddings:" in capsys.readouterr().out


def test_a_full_disk_is_one_sentence_and_keeps_what_is_there(
    saved_model: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pq.write_table

    def full(table: pa.Table, path: Path, **options: Any) -> None:  # noqa: ANN401
        if "00002" in path.name:
            raise OSError(28, "No space left on device")
        whole(table, path, **options)

    monkeypatch.setattr(pq, "write_table", full)
    images, target = ImageSet(images=str(pictures)), tmp_path / "out"
    with pytest.raises(ConfigurationError, match=r"00002.*No space left on device") as error:
        make(saved_model, images, target)
    assert "run again to go on" in error.value.remedy
    assert not target.exists()
    monkeypatch.undo()
    assert len(make(saved_model, images, target)) == 22


def test_embeddings_that_are_not_finite_are_named(saved_model: Path, pictures: Path, tmp_path: Path) -> None:
    broken = tmp_path / "model"
    broken.mkdir()
    (broken / "config.json").write_bytes((saved_model / "model" / "config.json").read_bytes())
    state = load_file(saved_model / "model" / "model.safetensors")
    next(values for values in state.values() if values.is_floating_point()).fill_(float("nan"))
    save_file(state, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EmbeddingError, match=r"'a/01\.png', 'a/03\.PNG', 'a/05\.png' and \d"):
        make(broken, ImageSet(images=str(pictures)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_image_is_named(saved_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")
    with pytest.raises(ImageError, match=r"torn\.jpg"):
        make(saved_model, ImageSet(images=str(folder)), tmp_path / "out")


def test_too_little_memory_is_one_sentence(
    saved_model: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("mlrsnet_hf.retrieval.embeddings.embed.embed_pixels", refused)
    with pytest.raises(OutOfMemoryError, match=r"train-00000-of-00004\.parquet.*--batch-size"):
        make(saved_model, ImageSet(images=str(pictures)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_mistakes(saved_model: Path, pictures: Path, dataset: Path, tmp_path: Path) -> None:
    images, target = ImageSet(images=str(pictures)), tmp_path / "out"
    load_model(saved_model / "model")  # the model is not at fault below
    with pytest.raises(UnknownNameError, match=r"'pre_logit'.*'pre_logits'"):
        make(saved_model, images, target, layer="pre_logit")
    with pytest.raises(ConfigurationError, match="--scores"):
        make(saved_model, images, target, model="test_resnet", weights="random", scores=True)
    with pytest.raises(ConfigurationError, match=r"30 .*22"):
        make(saved_model, images, target, pca=30)
    with pytest.raises(ConfigurationError, match="'tset'"):
        make(saved_model, ImageSet(dataset=str(dataset), split="tset"), target)
    with pytest.raises(ConfigurationError, match="empty"):
        (tmp_path / "empty").mkdir()
        make(saved_model, ImageSet(images=str(tmp_path / "empty")), target)
    with pytest.raises(ConfigurationError, match="empty: exists"):
        make(saved_model, images, tmp_path / "empty")
    with pytest.raises(ConfigurationError, match="whiten"):
        EmbeddingConfig(whiten=True)
    assert not target.exists()


@pytest.mark.parametrize("other", [{"dataset": "t.csv"}, {"data_dir": "release"}, {"label_columns": ("sea",)}])
def test_a_folder_of_images_goes_with_no_dataset(other: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"images='tiles' and {next(iter(other))}="):
        ImageSet(images="tiles", **other)
