"""What a benchmark would run: its jobs, how long they take on a device, and how much disk they need."""

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.benchmark.folder import Benchmark, BenchmarkInfo
from mlrsnet_hf.benchmark.job import Job, State
from mlrsnet_hf.benchmark.status import duration
from mlrsnet_hf.benchmark.step_times import StepTime, StepTimes, measure_step, time_key, untimed
from mlrsnet_hf.dataset.splits.quotas import TRAIN_PERCENTS, VALIDATION_PERCENT
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.config import MLRSNET
from mlrsnet_hf.inputs.load import load_data
from mlrsnet_hf.inputs.pixels.augmentation import StoredTransform
from mlrsnet_hf.published import IMAGE_SIZE
from mlrsnet_hf.reports.text_table import aligned
from mlrsnet_hf.runtime.logs import progress_bar

_SMALL = 2**21
"""Bytes of what a result holds beside weights and predictions: settings, history, curves, scores."""
_PAGE = 8 * 2**20
"""Bytes of the page and the figures of a retrieval, with their pictures."""
_SCORE = 5
"""Bytes of a score in predictions.parquet, with its share of the targets and ids."""
_LABELS = 60
_CHECKPOINTS = 3
"""Checkpoints on the disk while the third is written, before the first is removed."""
_NEAR = 0.9
"""Share of the free space from which on a warning is due."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Images of a job's splits."""

    train: int
    validation: int
    test: int

    @property
    def pool(self) -> int:
        """Images that query or are searched: what training leaves over."""
        return self.validation + self.test


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Bytes that jobs take."""

    results: int
    """What stays."""
    working: int
    """The most that one worker has of checkpoints or embeddings, which go when its job is done."""
    decoded: int
    """Decoded images that the jobs share, which go in the end."""

    @property
    def total(self) -> int:
        """The most at one time, with one worker."""
        return self.results + self.working + self.decoded

    def text(self) -> str:
        """Return the line that tells a person."""
        return (
            f"disk: about {_bytes(self.total)}: results {_bytes(self.results)}, one worker's checkpoints or embeddings "
            f"{_bytes(self.working)}, decoded images {_bytes(self.decoded)}"
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What would run."""

    root: Path
    jobs: Mapping[Path, Job]
    states: Mapping[Path, State]
    times: StepTimes
    sizes: Mapping[Path, Sizes]

    def seconds(self, folder: Path) -> float:
        """Return what a job takes for its network alone."""
        job, sizes = self.jobs[folder], self.sizes[folder]
        own = self.times.times[time_key(job.network, job.recipe)]
        if job.kind == "evaluate":
            return sizes.test * own.image * job.evaluation_config().symmetries
        if job.kind == "retrieval":
            return sizes.pool * own.image * len(job.needs)
        config = job.training_config()
        steps = config.epochs * (sizes.train // config.batch_size)
        looks = (config.epochs + 1) * sizes.validation + 2 * sizes.test
        return steps * own.step + looks * own.image

    def text(self) -> str:
        """Return the lines that tell a person."""
        left = [folder for folder in self.jobs if self.states[folder] in ("left", "running")]
        rows = [["", "jobs", "left", "step", "one job", "all that is left"]]
        for kind, network, recipe in dict.fromkeys((job.kind, job.network, job.recipe) for job in self.jobs.values()):
            own = [f for f, job in self.jobs.items() if (job.kind, job.network, job.recipe) == (kind, network, recipe)]
            open_ = [folder for folder in own if folder in left]
            seconds = sum(map(self.seconds, open_))
            step = f"{self.times.times[time_key(network, recipe)].step * 1000:,.0f} ms" if kind == "train" else ""
            one = duration(seconds / len(open_)) if open_ else "-"
            total = duration(seconds) if open_ else "-"
            rows.append([f"{kind} {network} ({recipe})", str(len(own)), str(len(open_)), step, one, total])
        seconds = sum(map(self.seconds, left))
        rows.append(["all", str(len(self.jobs)), str(len(left)), "", "", duration(seconds)])
        kinds = Counter(job.kind for job in self.jobs.values())
        told = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
        lines = [f"{self.root}: {len(self.jobs):,} jobs ({told})", *aligned(rows, "<" + ">" * 5)]
        lines.append(
            f"time: about {duration(seconds)} for one worker on {self.times.device}, of the networks alone: reading "
            "images, bootstrap intervals and search come on top"
        )
        disk = self.disk()
        lines.append(disk.text())
        if warning := disk_warning(self.root, disk):
            lines.append(f"warning: {warning}")
        if left:
            lines.append(f"next: mlrsnet benchmark run {self.root}")
        return "\n".join(lines)

    def disk(self) -> Disk:
        """Return what the jobs that are left will take."""
        results = working = 0
        decoded: dict[object, int] = {}
        for folder, job in self.jobs.items():
            if self.states[folder] not in ("left", "running"):
                continue
            sizes, own = self.sizes[folder], self.times.times[time_key(job.network, job.recipe)]
            predictions = sizes.test * _LABELS * _SCORE
            if job.kind == "train":
                results += 4 * own.parameters + predictions + _SMALL
                working = max(working, _checkpoint_bytes(job, own))
                decoded |= _decoded_bytes(job, sizes)
            elif job.kind == "evaluate":
                results += predictions + _SMALL
            else:
                results += _PAGE
                working = max(working, sizes.pool * own.dimension * 4 * len(job.needs))
        return Disk(results=results, working=working, decoded=sum(decoded.values()))


def make_plan(benchmark: Benchmark, step_times: Path | None = None) -> Plan:
    """Return what is left of a benchmark, timed.

    Args:
        benchmark: The benchmark, with its jobs written down.
        step_times: File of times: read if it is there, else measured here and written. None measures and writes none.

    Raises:
        MLRSNetError: A network or dataset cannot be used, or the file holds other times.
    """
    jobs = benchmark.jobs()
    networks = _networks(jobs)
    if step_times is not None and step_times.exists():
        times = StepTimes.load(step_times)
        if missing := sorted(networks.keys() - times.times.keys()):
            raise ConfigurationError(
                f"{step_times}: has no times of {', '.join(missing)}",
                "Measure them where they are to run: mlrsnet benchmark plan --step-times with the name of a new file.",
            )
    else:
        found: dict[str, StepTime] = {}
        device = ""
        for key, job in progress_bar(networks.items(), "timing a step of each network", unit="network", leave=False):
            found[key], device = measure_step(job.training_config())
        times = StepTimes(device=device, times=found)
        if step_times is not None:
            times.save(step_times)
    return Plan(benchmark.root, jobs, benchmark.states(jobs), times, split_sizes(benchmark, jobs))


def disk_of(benchmark: Benchmark, jobs: Mapping[Path, Job], states: Mapping[Path, State]) -> Disk:
    """Return how much disk the jobs that are left will take, without timing anything.

    Raises:
        MLRSNetError: A network or dataset cannot be used.
    """
    sizes = {key: untimed(job.training_config()) for key, job in _networks(jobs).items()}
    return Plan(benchmark.root, jobs, states, StepTimes(device="", times=sizes), split_sizes(benchmark, jobs)).disk()


def _networks(jobs: Mapping[Path, Job]) -> dict[str, Job]:
    """Return a training of each network and recipe."""
    return {time_key(job.network, job.recipe): job for job in jobs.values() if job.kind == "train"}


def split_sizes(benchmark: Benchmark, jobs: Mapping[Path, Job]) -> dict[Path, Sizes]:
    """Return the number of images of each job's splits; those of MLRSNet's protocols follow from the number of all.

    Raises:
        MLRSNetError: Another dataset cannot be loaded.
    """
    info = benchmark.info()
    known: dict[object, Sizes] = {}
    sizes = {}
    for folder, job in jobs.items():
        key = (job.dataset, job.data.get("protocol"))
        if key not in known:
            known[key] = _sizes(benchmark, job, info)
        sizes[folder] = known[key]
    return sizes


def _sizes(benchmark: Benchmark, job: Job, info: BenchmarkInfo) -> Sizes:
    config = job.data_config()
    protocol = config.protocol or "ratio20"
    percent = next((one for one in TRAIN_PERCENTS if protocol in (f"ratio{one}", f"grouped{one}")), None)
    if config.dataset == MLRSNET and percent is not None and config.split_file is None:
        images = info.datasets[job.dataset].images
        train, validation = round(images * percent / 100), round(images * VALIDATION_PERCENT / 100)
        return Sizes(train, validation, images - train - validation)
    splits = load_data(benchmark.data_config(job, info)).splits
    return Sizes(*(len(splits[name]) if name in splits else 0 for name in ("train", "validation", "test")))


def disk_warning(root: Path, disk: Disk) -> str:
    """Return what is to be said where the disk of a folder will be full, or nearly; "" where there is room."""
    free = shutil.disk_usage(next(path for path in (root, *root.parents) if path.exists())).free
    if disk.total < free * _NEAR:
        return ""
    what = "more than" if disk.total > free else "nearly all of"
    return f"{what} the {_bytes(free)} that are free on the disk of {root} will be taken: about {_bytes(disk.total)}"


def _checkpoint_bytes(job: Job, own: StepTime) -> int:
    """Return what a training has on the disk while it runs: checkpoints and the best model, of which two are kept."""
    config = job.training_config()
    moments = 1 if config.optimizer == "sgd" else 2
    copies = _CHECKPOINTS * (1 + moments + (config.ema > 0)) + 2
    return 4 * own.parameters * copies


def _decoded_bytes(job: Job, sizes: Sizes) -> dict[object, int]:
    """Return the decoded images that a training keeps on the disk, by what other trainings share them."""
    config = job.training_config()
    if config.cache != "disk":
        return {}
    side = StoredTransform(config.image_size).shorter_side if config.image_size is not None else IMAGE_SIZE[0]
    one = 3 * min(side, IMAGE_SIZE[0]) ** 2
    key = (job.dataset, job.data.get("protocol"), job.data.get("split_seed"), config.image_size)
    parts = [images * one for images in (sizes.train, sizes.validation)]
    return {key: sum(part for part in parts if part <= config.cache_megabytes * 2**20)}


def _bytes(count: int) -> str:
    """Return a size as a person says it.

    Examples:
        >>> _bytes(2_500_000), _bytes(128_000_000_000)
        ('2 MB', '119.2 GB')
    """
    if count < 2**30:
        return f"{count / 2**20:.0f} MB"
    return f"{count / 2**30:.1f} GB"
