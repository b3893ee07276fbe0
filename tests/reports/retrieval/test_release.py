"""The protocol from a release on disk: splits, embeddings that are kept, repeats, runs that have seen the images."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlrsnet_hf.dataset.splits.protocols import split_ids
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs import images
from mlrsnet_hf.reports.retrieval import report
from mlrsnet_hf.reports.retrieval.report import write_retrieval
from mlrsnet_hf.retrieval.embeddings import embed
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable
from mlrsnet_hf.retrieval.protocol import sources
from mlrsnet_hf.retrieval.protocol.config import RetrievalConfig
from mlrsnet_hf.retrieval.protocol.sources import find_sources

SCENES = {"beach": 40, "forest": 40, "stadium": 40}
SCRIPT = Path(__file__).parents[3] / "examples" / "retrieve.py"


@pytest.fixture
def release(make_release: Callable[..., Path]) -> Path:
    """A release of pictures of noise, each scene around another color."""
    root = make_release(SCENES)
    for number, path in enumerate(sorted(root.glob("Images/*/*.jpg"))):
        draw = np.random.default_rng(number)
        color = np.array(
            {"beach": (200, 180, 90), "forest": (40, 110, 50), "stadium": (120, 120, 140)}[path.parent.name]
        )
        pixels = np.clip(color + draw.normal(0, 60, (32, 32, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(path, quality=95)
    return root


def options(release: Path, work: Path, **settings: object) -> dict[str, object]:
    known = {
        "model": ["test_resnet"],
        "weights": "random",
        "image_size": 32,
        "data_dir": str(release),
        "embeddings_dir": work / "kept",
        "output_dir": work / "out",
    }
    return known | settings


def ids_of(protocol: str, seed: int) -> dict[str, tuple[str, ...]]:
    named = {scene: [f"{scene}_{number:05d}" for number in range(1, count + 1)] for scene, count in SCENES.items()}
    return split_ids(named, protocol, seed)


def precision_at_10(table: EmbeddingTable, protocol: str, seed: int) -> float:
    """Return P@10 from a float64 sort."""
    row_of = {image: row for row, image in enumerate(table.ids)}
    rows = [np.array([row_of[image] for image in ids_of(protocol, seed)[part]]) for part in ("query", "database")]
    vectors = table.embeddings.astype(np.float64)
    found = []
    for query in rows[0]:
        order = np.argsort(((vectors[rows[1]] - vectors[query]) ** 2).sum(axis=1), kind="stable")
        found.append((table.scenes[rows[1][order[:10]]] == table.scenes[query]).mean())
    return float(np.mean(found))


def test_repeats_over_seeds_and_shares_from_embeddings_made_once(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    both = {"protocol": ["retrieval10", "retrieval15"], "split_seed": [0, 3]}
    result = write_retrieval(RetrievalConfig(**options(release, tmp_path, **both)))
    [folder] = (path for path in (tmp_path / "kept").iterdir() if path.is_dir())
    table = EmbeddingTable.load(folder)
    for protocol in result.protocols:
        expected = [precision_at_10(table, protocol.name, seed) for seed in (0, 3)]
        assert [repeat.values["precision_at_10"] for repeat in protocol.model.repeats] == pytest.approx(expected)
        assert protocol.model.mean("precision_at_10") == pytest.approx((np.mean(expected), np.std(expected, ddof=1)))
        sizes = [(repeat.queries, repeat.database) for repeat in protocol.model.repeats]
        assert sizes == [(len(ids_of(protocol.name, 0)["query"]), len(ids_of(protocol.name, 0)["database"]))] * 2
    [first, *_] = csv.DictReader((tmp_path / "out/table9.csv").open())
    mean, deviation = result.protocols[0].model.mean("anmrr")
    assert (float(first["ANMRR"]), float(first["ANMRR deviation"])) == (mean, deviation)
    page = (tmp_path / "out/index.html").read_text()
    assert f'<td data-name="ANMRR"><span>{mean:.4f}<br>± {deviation:.4f}</span></td>' in page
    assert "picture not found" not in page
    assert page.count("image/jpeg") == 2 * 11

    monkeypatch.setattr(sources, "embed", lambda *_: pytest.fail("embedded again"))
    find_sources(RetrievalConfig(**options(release, tmp_path, **both)))
    assert f"embeddings found, of an earlier run: {folder}" in capsys.readouterr().out
    given = RetrievalConfig(**options(release, tmp_path, embeddings=[str(folder)], **both))
    assert [source.folders[0].path for source in find_sources(given)] == [folder, folder]
    other = RetrievalConfig(**options(release, tmp_path, embeddings=[str(folder)], image_size=64, **both))
    with pytest.raises(ConfigurationError, match=r"test_resnet .* not by test_resnet"):
        find_sources(other)
    image = release / "Images/beach/beach_00001.jpg"
    image.write_bytes(image.read_bytes() + b" ")
    with pytest.raises(ConfigurationError, match="other images"):
        find_sources(RetrievalConfig(**options(release, tmp_path, **both)))


def results_of_run(protocol: str, split_seed: int) -> dict[str, object]:
    """Return a results.json of MLRSNet."""
    data = {"dataset": "mlrsnet", "protocol": protocol, "split_seed": split_seed, "label_names": [], "scene_names": []}
    model = {"name": "net", "architecture": "net", "parameters": 1, "weights": "random", "image_size": 32}
    run = {"processes": 1, "precision": "no", "device": "cpu", "batch": {}, "seconds": 1.0, "resumed": False}
    return {
        "format": 2,
        "recipe": None,
        "config": {},
        "data": data | {"images": {}},
        "model": model,
        "task": "labels",
        "history": [],
        "scored_epoch": 1,
        "scores": {"validation": {}, "test": None},
        "tuned": None,
        "eval_symmetries": 1,
        "labels": [],
        "run": run | {"versions": {}},
    }


@pytest.mark.parametrize("named", ["run", "run/model", "link"])
def test_a_run_that_has_seen_the_images_is_refused(release: Path, tmp_path: Path, named: str) -> None:
    run = tmp_path / "run"
    (run / "model").mkdir(parents=True)
    (tmp_path / "link").symlink_to(run / "model")
    (run / "results.json").write_text(json.dumps(results_of_run("ratio40", 5)))
    pool = {image for ids in ids_of("retrieval10", 0).values() for image in ids}
    shared = len(pool & set(ids_of("ratio40", 5)["train"]))
    assert shared
    with pytest.raises(ConfigurationError, match=rf"trained on {shared} of the images"):
        find_sources(RetrievalConfig(**options(release, tmp_path, model=[str(tmp_path / named)])))
    assert not set(ids_of("ratio40", 5)["train"]) & {
        image for ids in ids_of("retrieval10", 5).values() for image in ids
    }


def test_each_network_and_each_set_of_images_is_loaded_once(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[object] = []

    def counted(function: Callable[[object], object]) -> Callable[[object], object]:
        def count(what: object) -> object:
            loaded.append(what)
            return function(what)

        return count

    monkeypatch.setattr(report, "load_images", counted(report.load_images))
    for module in (sources, embed):
        monkeypatch.setattr(module, "load_embedding_model", counted(module.load_embedding_model))
    monkeypatch.setattr(images, "load_images", lambda _: pytest.fail("loaded beside"))
    write_retrieval(RetrievalConfig(**options(release, tmp_path)))
    assert [getattr(what, "split", "network") for what in loaded] == ["network", "query+database", "query", "database"]


@pytest.mark.slow
def test_two_processes_give_what_one_gives(release: Path, tmp_path: Path) -> None:
    alone = write_retrieval(RetrievalConfig(**options(release, tmp_path)))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    settings = options(release, tmp_path, output_dir=tmp_path / "out2", embeddings_dir=tmp_path / "kept2")
    told = [f"--{name}={value[0] if isinstance(value, list) else value}" for name, value in settings.items()]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true"}
    run = subprocess.run(
        [*launch, str(SCRIPT), *told], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=200
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.count(f"results: {tmp_path / 'out2'}") == 1
    assert run.stdout.count("hardest scene: ") == 1
    results = json.loads((tmp_path / "out2/results.json").read_text())
    [repeat] = results["protocols"]["retrieval10"]["model"]["repeats"]
    assert repeat["values"] == pytest.approx(alone.protocols[0].model.repeats[0].values, rel=1e-4)
