"""A run on a streamed set sees every image once in an epoch, however often it is killed and by whomever it is read."""

import json
import signal
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import DatasetDict, concatenate_datasets

from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.load import load_data
from mlrsnet_hf.inputs.stream_writing import write_stream
from mlrsnet_hf.inputs.task import ImageData
from mlrsnet_hf.training import rate_trials
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.train import train

RunProcesses = Callable[[list[dict]], tuple[list[list[int]], str]]
Steps = dict[int, set[tuple[str, ...]]]

EPOCHS, STEPS = 2, 4
SETTINGS = {
    **{"model": "test_resnet", "weights": "random", "image_size": 32, "epochs": EPOCHS, "batch_size": 8},
    **{"eval_batch_size": 4, "cpu_threads": 1, "drop_rate": 0.3, "ema": 0.9, "trackers": []},
    **{"checkpoint_steps": 1, "cache_megabytes": 0},
}
TWICE, ONCE = ["step 3 SIGKILL", "step 4 SIGKILL", None], ["step 6 SIGKILL", None]
FATES = {(1, 0): TWICE, (1, 2): ONCE, (2, 0): ONCE, (2, 2): TWICE}
"""By processes and workers what comes over the lives of a run: of those that die twice each dies in another epoch."""
WAYS = list(FATES)


@pytest.fixture(scope="module")
def stream(training_data: ImageData, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the pictures as a streamed set whose chunks begin and end within batches."""
    written = write_stream(training_data, tmp_path_factory.mktemp("stream") / "set", chunk_megabytes=0.035)
    assert written.images["train"] == (6, 6, 7, 6, 7)
    return f"file://{written.folder}"


@pytest.fixture(scope="module")
def seen(
    stream: str, run_processes: RunProcesses, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[int, int], Path]:
    """By processes and workers the folder of a run that was killed in the middle of epochs, and of chunks."""
    root = tmp_path_factory.mktemp("runs")
    runs = []
    for (processes, workers), fates in FATES.items():
        settings = SETTINGS | {"num_workers": workers}
        common = {"data": stream, "processes": processes}
        for name, lives in {"doomed": fates, "peace": [None] if not workers else []}.items():
            folder = root / f"{processes}-{workers}-{name}"
            for fate in lives:
                own = settings | {"output_dir": str(folder), "resume": True}
                runs.append(common | {"settings": own, "seen": f"{folder}.seen", "fate": fate})
    codes, said = run_processes(runs)
    for run, found in zip(runs, codes, strict=True):
        assert found == [-signal.SIGKILL if run["fate"] else 0] * run["processes"], said
    return {way: root / f"{way[0]}-{way[1]}-doomed" for way in WAYS}


def steps_of(run: Path) -> Steps:
    """By step what processes learned from in it; one that was done again must not learn from anything else."""
    steps = defaultdict(set)
    for line in Path(f"{run}.seen").read_text().splitlines():
        step, ids = json.loads(line)
        steps[step].add(tuple(ids))
    return steps


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "workers"), WAYS)
def test_every_image_is_seen_once_in_an_epoch(
    seen: dict[tuple[int, int], Path], data: DatasetDict, processes: int, workers: int
) -> None:
    steps = steps_of(seen[processes, workers])
    assert sorted(steps) == list(range(1, EPOCHS * STEPS + 1))
    assert {len(shares) for shares in steps.values()} == {processes}
    for epoch in range(EPOCHS):
        shares = [share for step in range(STEPS) for share in steps[epoch * STEPS + step + 1]]
        assert sorted(name for share in shares for name in share) == sorted(data["train"]["id"])


@pytest.mark.slow
def test_each_step_sees_the_same_whoever_reads(seen: dict[tuple[int, int], Path]) -> None:
    sights = [{step: set().union(*shares) for step, shares in steps_of(run).items()} for run in seen.values()]
    assert all(sight == sights[0] for sight in sights)
    assert sights[0][1] != sights[0][1 + STEPS], "the epochs have one order"


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "workers"), WAYS)
def test_a_killed_run_ends_as_one_in_peace(seen: dict[tuple[int, int], Path], processes: int, workers: int) -> None:
    doomed = seen[processes, workers]
    peace = doomed.with_name(f"{processes}-0-peace")
    assert (
        json.loads((doomed / "results.json").read_text())["history"]
        == (json.loads((peace / "results.json").read_text())["history"])
    )
    for name in ("model.safetensors", "average.safetensors"):
        file = Path("checkpoints", f"step-{EPOCHS * STEPS:08d}-evaluated", name)
        assert (doomed / file).read_bytes() == (peace / file).read_bytes()


@pytest.mark.slow
def test_nothing_of_the_chunks_is_left(seen: dict[tuple[int, int], Path]) -> None:
    for run in seen.values():
        assert not [path for path in (run / "decoded").rglob("*") if path.is_file()]


def test_rates_are_tried_on_the_first_chunks(
    data: DatasetDict,
    as_training_data: Callable[..., ImageData],
    make_config: Callable[..., TrainingConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mlrsnet_hf.training.trainer.draw_curves", lambda *_: None)
    splits = {"train": concatenate_datasets(list(data.values())), "validation": data["validation"]}
    written = write_stream(as_training_data(splits), tmp_path / "set", chunk_megabytes=0.035)
    found = load_data(DataConfig(streaming=f"file://{written.folder}"))
    tried: list[list[int]] = []
    original = rate_trials.score_rate

    def score(config: TrainingConfig, part: ImageData, *others: object) -> float:
        tried.append([*part.splits["validation"]["place"], *part.splits["train"]["place"]])
        return original(config, part, *others)

    monkeypatch.setattr(rate_trials, "score_rate", score)
    result = train(make_config(learning_rate="auto", epochs=6, batch_size=4, log_every=50), found)
    assert result.rate_trials is not None and result.rate_trials.chosen is not None
    # 4 rates, 10 steps each: 11 images are held out of 56, 40 are learned from.
    assert tried == [list(range(11 + 40))] * 4
