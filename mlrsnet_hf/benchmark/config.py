"""How a benchmark is planned and run, as settings; light to import."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlrsnet_hf.configuration.settings import Count, Settings, setting
from mlrsnet_hf.errors import ConfigurationError

EngineName = Literal["local", "ray", "slurm"]
FOLDER = Path("benchmark")


@dataclass(frozen=True, kw_only=True)
class GridChoice(Settings):
    """Which grid is added to which benchmark."""

    folder: Path = setting(FOLDER, "Folder of the benchmark; what it holds already is gone on with.", positional=True)
    preset: str | None = setting(
        None,
        "Grid that comes with the package: paper, modern, leakage, multi-vs-single or demo; if unset what is there.",
        metavar="NAME|none",
    )
    grid: Path | None = setting(
        None, "YAML file of a grid of one's own, if preset is unset; see docs/benchmark.md.", metavar="FILE|none"
    )
    data_dir: str | None = setting(
        None, "Folder or archive of MLRSNet; if unset what MLRSNET_DATA_DIR names, else it is downloaded."
    )
    other_code: bool = setting(False, "Go on though the jobs that are there were done with other code.")

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        super().__post_init__()
        if self.preset is not None and self.grid is not None:
            raise ConfigurationError("preset and grid are both given", "Give one of them.")

    @property
    def chosen(self) -> str | None:
        """The grid's name or file; None where the folder's own are meant."""
        return self.preset if self.grid is None else str(self.grid)


@dataclass(frozen=True, kw_only=True)
class EngineConfig(Settings):
    """Who runs the jobs."""

    engine: EngineName = setting(
        "local", "Who runs the jobs: this machine, one after the other; Ray; or SLURM.", section="Engine"
    )
    processes: Count = setting(1, "Processes of each job, one for a GPU, which accelerate launch begins.")
    option: tuple[str, ...] = setting(
        (),
        "Option for Ray (the address of a cluster, or one of a Ray task) or for SLURM (of sbatch); may be repeated.",
        metavar="NAME=VALUE",
        repeated=True,
    )

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        super().__post_init__()
        for option in self.option:
            self._require("option", bool(option.partition("=")[0]) and "=" in option, "options as NAME=VALUE")
        self._require("option", not self.option or self.engine != "local", "options to --engine ray or slurm alone")

    @property
    def options(self) -> dict[str, str]:
        """The options by name."""
        return {name: value for name, _, value in (option.partition("=") for option in self.option)}
