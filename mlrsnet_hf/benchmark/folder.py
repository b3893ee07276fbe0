"""A benchmark's folder: benchmark.yaml, its jobs, and the chains in which workers take them.

benchmark.yaml   the grids, the code that the jobs were done with, and each dataset: its fingerprint and where it lies
jobs/            a folder for each job, see `job`
scenes/          synthetic scenes that a grid has drawn
decoded/         decoded images that the jobs share, while they run
"""

import contextlib
import functools
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mlrsnet_hf import __version__
from mlrsnet_hf.benchmark.expand import expand
from mlrsnet_hf.benchmark.grid import Grid, Images, make_grid, require_networks
from mlrsnet_hf.benchmark.job import JOB, Job, State, hash_in, state_of
from mlrsnet_hf.configuration.json_file import Name, json_as
from mlrsnet_hf.configuration.yaml_file import read_settings_file, write_yaml
from mlrsnet_hf.dataset.download import DATA_DIR_VARIABLE
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.files import only_writer
from mlrsnet_hf.inputs.config import MLRSNET, DataConfig
from mlrsnet_hf.runtime.logs import get_logger

FILE = "benchmark.yaml"
FORMAT = 1
_PLACES = ("dataset", "data_dir", "image_dir")
_MODULES = "evaluate_modules"
_PATIENCE = 60.0
"""Seconds to wait for another process that writes benchmark.yaml, which takes a moment."""

logger = get_logger(__name__)

Chain = list[Path]
"""Folders of jobs that one worker does one after the other: models first, then what is measured of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Images of a benchmark, as every worker must find them."""

    fingerprint: Name
    """Hash of ids, labels, scenes and the bytes of the image files; see `inputs.images.ImageSplit.fingerprint`."""
    images: int
    label_version: Name | None
    """Of MLRSNet's labels."""
    places: Mapping[Name, Any]
    """Settings of `DataConfig` that say where the images lie, on the machine that began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkInfo:
    """What benchmark.yaml holds."""

    format: int = FORMAT
    version: Name = __version__
    code: Name = ""
    """`code_fingerprint` of the workers."""
    datasets: Mapping[Name, Dataset] = field(default_factory=dict)
    grids: Mapping[Name, Mapping[Name, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Benchmark:
    """A benchmark by its folder."""

    root: Path

    @property
    def jobs_folder(self) -> Path:
        """The folder of the jobs' folders."""
        return self.root / "jobs"

    @property
    def report_folder(self) -> Path:
        """Where the report lies."""
        return self.root / "report"

    @property
    def decoded(self) -> Path:
        """The decoded images that the jobs of a machine share, unless a grid names another place."""
        return self.root / "decoded"

    @classmethod
    def of_job(cls, folder: Path) -> "Benchmark":
        """Return the benchmark of a job's folder.

        Raises:
            ConfigurationError: It is in none.
        """
        benchmark = cls(folder.absolute().parent.parent)
        benchmark.info()
        return benchmark

    def info(self) -> BenchmarkInfo:
        """Read benchmark.yaml.

        Raises:
            ConfigurationError: The folder is no benchmark, or the file is damaged.
        """
        path = self.root / FILE
        if not path.is_file():
            raise ConfigurationError(
                f"{self.root} is no benchmark: there is no {FILE}", "Begin one with mlrsnet benchmark run --preset."
            )
        values = read_settings_file(path)
        if values.get("format") != FORMAT:
            raise ConfigurationError(f"{path}: holds no benchmark of this version", "Begin another one.")
        info: BenchmarkInfo = json_as(values, BenchmarkInfo, str(path), "Use it as mlrsnet benchmark wrote it.")
        return info

    def folders(self) -> list[Path]:
        """Return the folders of all jobs, by name."""
        return sorted(path.parent for path in self.jobs_folder.glob(f"*/{JOB}"))

    def jobs(self) -> dict[Path, Job]:
        """Return all jobs by folder, those of each grid in its order.

        Raises:
            ConfigurationError: A job.json is damaged.
        """
        found = {folder: Job.read(folder) for folder in self.folders()}
        place = {one: number for number, one in enumerate(self._order())}
        return dict(sorted(found.items(), key=lambda one: (place.get(hash_in(one[0].name), len(place)), one[0].name)))

    def states(self, jobs: Mapping[Path, Job]) -> dict[Path, State]:
        """Return how far each job is; one whose model has failed waits."""
        states = {folder: state_of(folder) for folder in jobs}
        for folder, job in jobs.items():
            needed = [states.get(self.jobs_folder / name, "failed") for name in job.needs]
            if states[folder] == "left" and any(state in ("failed", "replaced") for state in needed):
                states[folder] = "waiting"
        return states

    def chains(self, jobs: Mapping[Path, Job], states: Mapping[Path, State]) -> list[Chain]:
        """Return what is left to do, in the order of the jobs: what needs a common model is one chain."""
        chain_of: dict[Path, Chain] = {folder: [folder] for folder in jobs}
        for folder, job in jobs.items():
            for needed in (self.jobs_folder / name for name in job.needs):
                if needed in chain_of and chain_of[needed] is not chain_of[folder]:
                    joined = chain_of[needed] + chain_of[folder]
                    chain_of |= dict.fromkeys(joined, joined)
        chains = {id(chain): sorted(chain, key=lambda one: bool(jobs[one].needs)) for chain in chain_of.values()}
        left = [[folder for folder in chain if states[folder] in ("left", "running")] for chain in chains.values()]
        return [chain for chain in left if chain]

    def begin(self, grid: Grid, data_dir: str | None, other_code: bool = False) -> dict[Path, Job]:
        """Write down a grid and its jobs, beside those that are there; jobs that are there already stay as they are.

        Args:
            grid: The grid.
            data_dir: Copy of MLRSNet, where the grid names none.
            other_code: Whether jobs may be done with other code than those that are there.

        Returns:
            The jobs of the grid.

        Raises:
            MLRSNetError: A network or dataset cannot be used, or the folder holds jobs of other code.
        """
        require_networks(grid)
        self.root.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            stack.callback(remove_if_empty, self.root)  # where its images cannot be used
            stack.enter_context(only_writer(self.root / FILE, _PATIENCE))
            info = self.info() if (self.root / FILE).exists() else BenchmarkInfo()
            self.require_same_code(info, other_code)
            datasets = {name: self._dataset(images, data_dir, info) for name, images in grid.images.items()}
            fingerprints = {name: one.fingerprint for name, one in datasets.items()}
            versions = {name: one.label_version for name, one in datasets.items()}
            jobs: dict[Path, Job] = {}
            names = {hash_in(folder.name): folder.name for folder in self.folders()}
            for made in expand(grid, fingerprints, versions):
                job = replace(made, needs=tuple(names[hash_in(name)] for name in made.needs))
                folder = self.jobs_folder / names.setdefault(hash_in(job.name), job.name)
                if folder.name != job.name:
                    job = Job.read(folder)  # an equal one, whose network has another name there
                elif not (folder / JOB).exists() or Job.read(folder) != job:
                    job.write(folder)
                jobs[folder] = job
            grids = {**info.grids, grid.name: dict(grid.values)}
            self._write(BenchmarkInfo(code=code_fingerprint(), datasets={**info.datasets, **datasets}, grids=grids))
        return jobs

    def go_on(self, other_code: bool = False) -> None:
        """Go on with the jobs that are there; other code, where it is wanted, is that of all workers from here on.

        Args:
            other_code: Whether jobs may be done with other code than those so far.

        Raises:
            ConfigurationError: The folder is no benchmark, or the installed sources are others.
        """
        info = self.info()
        self.require_same_code(info, other_code)
        if info.code != code_fingerprint():
            with only_writer(self.root / FILE, _PATIENCE):
                self._write(replace(self.info(), version=__version__, code=code_fingerprint()))

    def _write(self, info: BenchmarkInfo) -> None:
        write_yaml(self.root / FILE, asdict(info), "What this benchmark is; mlrsnet benchmark run goes on with it.")

    def require_same_code(self, info: BenchmarkInfo, other_code: bool = False) -> None:
        """Refuse to go on with other code than the jobs so far were done with.

        Raises:
            ConfigurationError: The installed sources are others.
        """
        if info.code not in ("", code_fingerprint()) and not other_code:
            raise ConfigurationError(
                f"{self.root}: its jobs were done with the code {info.code[:12]} (mlrsnet-hf {info.version}), here is "
                f"{code_fingerprint()[:12]} ({__version__})",
                "Install the same on each machine, or give --other-code on one to go on with this one everywhere.",
            )

    def data_config(self, job: Job, info: BenchmarkInfo) -> DataConfig:
        """Return the images of a job, as this machine has them.

        Raises:
            ConfigurationError: The benchmark names no such images, or they are others here.
        """
        found = info.datasets.get(job.dataset)
        if found is None or found.fingerprint != job.fingerprint:
            raise ConfigurationError(
                f"{self.root / FILE}: the images {job.dataset!r} of job {job.name} are not those named there",
                "Run its grid again, with the data that it began with.",
            )
        config = job.data_config(**here(found.places))
        seen = fingerprint_of(everything(config))[0]
        if seen != job.fingerprint:
            raise ConfigurationError(
                f"the images {job.dataset!r} of job {job.name} are others here ({seen[:12]}) than where the benchmark "
                f"began ({job.fingerprint[:12]})",
                "Give each machine the same copy; MLRSNET_DATA_DIR names it where it lies elsewhere.",
            )
        return config

    def _dataset(self, images: Images, data_dir: str | None, info: BenchmarkInfo) -> Dataset:
        """Return the images of a grid, drawn if they are to be drawn, and looked at."""
        from mlrsnet_hf.inputs.named_dataset import with_label_version

        settings = dict(images.settings)
        known = info.datasets.get(images.name)
        if images.synthetic is not None:
            settings["data_dir"] = str(self._scenes(images))
        elif settings.get("dataset", MLRSNET) == MLRSNET:
            settings.setdefault("data_dir", data_dir or (here(known.places).get("data_dir") if known else None))
        config = with_label_version(DataConfig(**settings))
        fingerprint, number = fingerprint_of(everything(config))
        if known is not None and known.fingerprint != fingerprint:
            raise ConfigurationError(
                f"{self.root}: the images {images.name!r} are others ({fingerprint[:12]}) than those that its jobs "
                f"were done with ({known.fingerprint[:12]})",
                "Give the same copy, or give these images another name in the grid (datasets: name).",
            )
        places = {name: _absolute(value) for name, value in settings.items() if name in _PLACES}
        return Dataset(fingerprint=fingerprint, images=number, label_version=config.label_version, places=places)

    def _scenes(self, images: Images) -> Path:
        from mlrsnet_hf.synthetic.release import write_synthetic_release

        folder = self.root / "scenes" / f"{images.synthetic}-per-scene-seed{images.synthetic_seed}"
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            write_synthetic_release(folder, images.synthetic, images.synthetic_seed)
        return folder

    def _order(self) -> Iterable[str]:
        """Return the hashes of the jobs in the order of the grids."""
        info = self.info()
        fingerprints = {name: one.fingerprint for name, one in info.datasets.items()}
        versions = {name: one.label_version for name, one in info.datasets.items()}
        for name, values in info.grids.items():
            yield from (hash_in(job.name) for job in expand(make_grid(name, values), fingerprints, versions))


def remove_if_empty(folder: Path) -> None:
    """Remove a folder, unless there is something in it."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def here(places: Mapping[str, Any]) -> dict[str, Any]:
    """Return places as this machine has them: a copy that is not there is looked for as always."""
    found = {name: value for name, value in places.items() if name in _PLACES}
    if found.get("data_dir") is not None and not Path(found["data_dir"]).expanduser().exists():
        found["data_dir"] = None
    return found


def _absolute(place: str | None) -> str | None:
    """Return a place whatever the working folder is; a name that is no path stays."""
    return str(Path(place).expanduser().absolute()) if place and Path(place).expanduser().exists() else place


def everything(config: DataConfig) -> tuple[tuple[str, Any], ...]:
    """Return what names all images of a dataset, whatever the split: the key of `fingerprint_of`."""
    from mlrsnet_hf.configuration.settings import leaves
    from mlrsnet_hf.inputs.image_set import ImageSet

    values = {name: getattr(config, name) for name in leaves(ImageSet) if hasattr(config, name)}
    if config.dataset == MLRSNET:
        values |= {"protocol": "all", "split_seed": 0}
        if values["data_dir"] is None:
            values["data_dir"] = os.environ.get(DATA_DIR_VARIABLE) or None
    return tuple(sorted(values.items()))


@functools.lru_cache
def fingerprint_of(images: Sequence[tuple[str, Any]]) -> tuple[str, int]:
    """Return the fingerprint of all images of a dataset, and their number; a process asks once.

    Raises:
        MLRSNetError: There are none, or they cannot be read.
    """
    from mlrsnet_hf.inputs.image_set import ImageSet
    from mlrsnet_hf.inputs.images import load_images

    split = load_images(ImageSet(**dict(images)))
    return split.fingerprint, len(split.rows)


@functools.lru_cache
def code_fingerprint(package: Path = Path(__file__).parents[1]) -> str:
    """Return a hash of the installed sources of a package, by default of this one.

    The modules of `evaluate` count for nothing: no job runs them, and they lie inside an installed package alone.
    """
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        if _MODULES in path.relative_to(package).parts:
            continue
        digest.update(f"{path.relative_to(package).as_posix()}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
