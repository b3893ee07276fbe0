"""A benchmark's folder: chains, what is added to it, what it refuses."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from mlrsnet_hf.benchmark import folder as folders
from mlrsnet_hf.benchmark.expand import expand
from mlrsnet_hf.benchmark.folder import Benchmark, code_fingerprint
from mlrsnet_hf.benchmark.grid import make_grid, read_grid
from mlrsnet_hf.benchmark.job import Job
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from tests.benchmark.conftest import MakeBenchmark


def folders_of(root: Path, grid: str, **changes: Any) -> dict[Path, Job]:  # noqa: ANN401
    names = read_grid(grid).images
    jobs = expand(read_grid(grid), dict.fromkeys(names, "ab12"), dict.fromkeys(names, "verified"))
    return {root / "jobs" / job.name: job for job in jobs}


@pytest.mark.parametrize(("grid", "sizes"), [("paper", [1] * 80 + [2] * 40), ("multi-vs-single", [3] * 10)])
def test_what_needs_one_model_is_one_chain(tmp_path: Path, grid: str, sizes: list[int]) -> None:
    jobs = folders_of(tmp_path, grid)
    chains = Benchmark(tmp_path).chains(jobs, dict.fromkeys(jobs, "left"))
    assert sorted(map(len, chains)) == sizes
    assert sorted(folder for chain in chains for folder in chain) == sorted(jobs)
    for chain in chains:
        kinds = [jobs[folder].kind for folder in chain]
        assert kinds == sorted(kinds, key=lambda kind: kind != "train")
        names = {folder.name for folder in chain}
        assert all(needed in names for folder in chain for needed in jobs[folder].needs)


def test_a_chain_holds_what_is_left(tmp_path: Path) -> None:
    jobs = folders_of(tmp_path, "paper")
    states: dict[Path, Any] = {folder: "done" if job.kind == "train" else "left" for folder, job in jobs.items()}
    chains = Benchmark(tmp_path).chains(jobs, states)
    assert [len(chain) for chain in chains] == [1] * 40


def test_two_grids_in_one_folder_share_equal_jobs(make_benchmark: MakeBenchmark, copy: Path) -> None:
    benchmark = make_benchmark(protocols=["ratio20", "ratio30"])
    before = {folder: (folder / "job.json").stat().st_mtime_ns for folder in benchmark.folders()}
    assert len(before) == 2
    other = {"networks": ["test_resnet", "test_vit"], "recipes": ["debug_cpu"], "protocols": ["ratio30", "ratio40"]}
    training = {"epochs": 2, "checkpoint_steps": 1, "batch_size": 4}
    benchmark.begin(make_grid("other", other | {"training": training}), str(copy))
    assert len(benchmark.folders()) == 2 + 3  # of four, the network of before at ratio30 is there already
    assert {folder: (folder / "job.json").stat().st_mtime_ns for folder in before} == before
    assert benchmark.info().grids.keys() == {"mine", "other"}


def test_equal_jobs_are_one_whatever_their_networks_are_called(make_benchmark: MakeBenchmark) -> None:
    benchmark = make_benchmark()
    (train,) = benchmark.folders()
    networks = [{"name": "mine", "model": "test_resnet"}, "test_vit"]
    make_benchmark(networks=networks, evaluations=[{"symmetries": 2}])
    jobs = benchmark.jobs()
    assert [(job.kind, job.network) for job in jobs.values()] == [
        ("train", "test_resnet"),
        ("evaluate", "mine"),
        ("train", "test_vit"),
        ("evaluate", "test_vit"),
    ]
    assert list(jobs.values())[1].needs == (train.name,)


def test_free_settings_are_taken_over_by_a_job_that_is_there(make_benchmark: MakeBenchmark, copy: Path) -> None:
    benchmark = make_benchmark()
    (folder,) = benchmark.folders()
    make_benchmark(training={"num_workers": 1})
    assert benchmark.folders() == [folder]
    assert Job.read(folder).training_config().num_workers == 1


def test_other_code_goes_on_where_it_is_wanted(make_benchmark: MakeBenchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = make_benchmark()
    assert benchmark.info().code == code_fingerprint()
    monkeypatch.setattr(folders, "code_fingerprint", lambda: "f" * 64)
    with pytest.raises(ConfigurationError, match="--other-code"):
        make_benchmark()
    benchmark.begin(make_grid("mine", benchmark.info().grids["mine"]), None, other_code=True)
    assert benchmark.info().code == "f" * 64
    # Without the grid as well, for the workers look for it in the folder.
    monkeypatch.setattr(folders, "code_fingerprint", lambda: "e" * 64)
    with pytest.raises(ConfigurationError, match="--other-code"):
        benchmark.go_on()
    before = benchmark.info()
    benchmark.go_on(other_code=True)
    assert benchmark.info() == dataclasses.replace(before, code="e" * 64)


def test_other_images_under_the_same_name_are_refused(make_benchmark: MakeBenchmark, copy: Path) -> None:
    make_benchmark()
    next((copy / "Images" / "beach").iterdir()).write_bytes(
        (copy / "Images" / "forest" / "forest_00001.jpg").read_bytes()
    )
    folders.fingerprint_of.cache_clear()
    with pytest.raises(ConfigurationError, match="are others"):
        make_benchmark()


def test_a_grid_without_its_data_is_one_sentence(tmp_path: Path) -> None:
    grid = make_grid("mine", {"networks": ["test_resnet"], "recipes": ["debug_cpu"]})
    with pytest.raises(MLRSNetError, match="nowhere"):
        Benchmark(tmp_path / "benchmark").begin(grid, str(tmp_path / "nowhere"))


@pytest.mark.parametrize("content", [None, "", "format: 7", "format: 1\ndatasets: 3", "format: 1\ngrids: {x: 1}", "["])
def test_a_folder_that_is_no_benchmark_is_one_sentence(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "benchmark.yaml").write_text(content)
    with pytest.raises(ConfigurationError):
        Benchmark(tmp_path).info()


def test_the_hash_of_the_code_is_that_of_the_sources(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "one.py").write_text("a = 1\n")
        (tmp_path / name / "inner" / "two.py").write_text("b = 2\n")
    (tmp_path / "second" / "notes.txt").write_text("no source")
    modules = tmp_path / "second" / "evaluate_modules" / "anmrr"  # which a checkout has elsewhere
    modules.mkdir(parents=True)
    (modules / "anmrr.py").write_text("c = 3\n")
    first, second = tmp_path / "first", tmp_path / "second"
    found = code_fingerprint(first)
    assert code_fingerprint(second) == found
    for change in ((second / "one.py").write_text, (second / "inner" / "three.py").write_text):
        code_fingerprint.cache_clear()
        change("a = 2\n")
        assert code_fingerprint(second) != found
        found = code_fingerprint(second)


def test_a_grid_whose_images_are_not_there_leaves_no_folder(tmp_path: Path) -> None:
    grid = make_grid("own", {"networks": ["test_resnet"], "data": {"data_dir": str(tmp_path / "nowhere")}})
    with pytest.raises(MLRSNetError):
        Benchmark(tmp_path / "benchmark").begin(grid, None)
    assert list(tmp_path.iterdir()) == []
