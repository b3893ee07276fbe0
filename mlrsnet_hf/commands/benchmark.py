"""`mlrsnet benchmark`: a grid of networks, protocols and repetitions, planned, run and told."""

from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.benchmark.config import FOLDER, EngineConfig, GridChoice
from mlrsnet_hf.configuration.settings import Settings, setting
from mlrsnet_hf.errors import ConfigurationError, require_extra
from mlrsnet_hf.publishing.config import DRY_RUN_FOLDER
from mlrsnet_hf.runtime.logs import print_result

_REPORT = "Write the report when the jobs have ended, as mlrsnet benchmark report does."


@dataclass(frozen=True, kw_only=True)
class PlanConfig(Settings):
    """Where times come from."""

    step_times: Path | None = setting(
        None,
        "JSON file of the seconds of a step of each network: read if it is there, as from a plan made on another "
        "machine, else measured here and written; if unset measured.",
        metavar="FILE|none",
        section="Times",
    )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Tell what a benchmark would run, how long and on how much disk.

    Writes the jobs of a grid down, times a step of each network on the device at hand, and runs nothing.

    Examples:
        mlrsnet benchmark plan paper-benchmark --preset paper --data-dir path/to/mlrsnet
        mlrsnet benchmark plan paper-benchmark --step-times h200.json
    """

    choice: GridChoice
    config: PlanConfig

    def run(self) -> None:
        require_extra("train")
        from mlrsnet_hf.benchmark.plan import make_plan
        from mlrsnet_hf.benchmark.run import begin

        print_result(make_plan(begin(self.choice), self.config.step_times).text())


@dataclass(frozen=True, kw_only=True)
class RunConfig(Settings):
    """What is done beside the jobs."""

    report: bool = setting(True, _REPORT)


@dataclass(frozen=True, kw_only=True)
class Run:
    """Run what is left of a benchmark.

    Trains and measures every network of a grid, each job once: what was stopped goes on from its checkpoints, what
    failed is told and stops nothing else. Several workers may run the same folder.

    Examples:
        mlrsnet benchmark run demo-benchmark --preset demo
        mlrsnet benchmark run paper-benchmark --preset paper --data-dir path/to/mlrsnet
    """

    choice: GridChoice
    config: RunConfig
    engine: EngineConfig

    def run(self) -> None:
        require_extra("train")
        if self.config.report:
            require_extra("benchmark")  # before the jobs, not after them
        from mlrsnet_hf.benchmark.run import run_benchmark

        status = run_benchmark(self.choice, self.engine)
        if self.config.report and status.counts["done"]:
            _report(self.choice.folder)


@dataclass(frozen=True, kw_only=True)
class Status(Settings):
    """Tell how far a benchmark is.

    Counts what is done, running, failed and left, says why jobs failed, and how long the rest will take.

    Examples:
        mlrsnet benchmark status paper-benchmark
    """

    folder: Path = setting(FOLDER, "Folder of the benchmark.", positional=True)

    def run(self) -> None:
        require_extra("train")
        from mlrsnet_hf.benchmark.folder import Benchmark
        from mlrsnet_hf.benchmark.status import Status as Found

        print_result(Found.of(Benchmark(self.folder.expanduser().absolute())).text())


@dataclass(frozen=True, kw_only=True)
class RetryConfig(Settings):
    """Which jobs are run again, and how."""

    folder: Path = setting(FOLDER, "Folder of the benchmark.", positional=True)
    set: tuple[str, ...] = setting(
        (),
        "Training setting to change, which makes another job; the option may be repeated.",
        metavar="NAME=VALUE",
        repeated=True,
    )
    other_code: bool = setting(False, "Go on though the jobs that are there were done with other code.")
    report: bool = setting(True, _REPORT)


@dataclass(frozen=True, kw_only=True)
class Retry:
    """Run the failed jobs of a benchmark again.

    Takes up what failed, as it was or with changed settings; what is left is run too.

    Examples:
        mlrsnet benchmark retry paper-benchmark --set accumulation=4
    """

    config: RetryConfig
    engine: EngineConfig

    def run(self) -> None:
        require_extra("train")
        if self.config.report:
            require_extra("benchmark")
        from mlrsnet_hf.benchmark.grid import settings_from_text
        from mlrsnet_hf.benchmark.run import retry

        changes = settings_from_text(self.config.set)
        status = retry(self.config.folder, changes, self.engine, self.config.other_code)
        if self.config.report and status.counts["done"]:
            _report(self.config.folder)


@dataclass(frozen=True, kw_only=True)
class Job(Settings):
    """Do jobs, as a worker of an engine does.

    Does the jobs of some folders one after the other, models before what is measured of them, in this process and
    those beside it; does nothing where a job is done.

    Examples:
        mlrsnet benchmark job paper-benchmark/jobs/ResNet50-paper-ratio20-split0-seed0-*
        accelerate launch --num_processes 4 -m mlrsnet_hf benchmark job FOLDER
    """

    folders: tuple[Path, ...] = setting((), "Folders of jobs.", positional=True, metavar="FOLDER")

    def run(self) -> None:
        require_extra("train")
        from mlrsnet_hf.benchmark.run_job import run_chain

        if not self.folders:
            raise ConfigurationError("no job is given", "Give its folder, in jobs/ of a benchmark.")
        for folder, state in zip(self.folders, run_chain(self.folders), strict=False):
            print_result(f"{folder.name}: {state}")


@dataclass(frozen=True, kw_only=True)
class Report(Settings):
    """Write what a benchmark has found.

    Writes Tables 1, 2 and 4 to 9 and Figs. 1, 2 and 7 to 14 of the paper over the repetitions that are done, beside its
    values, and more, as one page and as Markdown, CSV, LaTeX, PNG and PDF into the benchmark's folder report. What is
    missing or has failed is a gap that says so.

    Examples:
        mlrsnet benchmark report paper-benchmark
    """

    folder: Path = setting(FOLDER, "Folder of the benchmark.", positional=True)

    def run(self) -> None:
        require_extra("benchmark")
        from mlrsnet_hf.benchmark.report.report import write_report

        write_report(self.folder)


@dataclass(frozen=True, kw_only=True)
class Publish(Settings):
    """Publish what a benchmark has found, with its models.

    Pushes its results as a dataset with a row for each job, each trained network with its predictions as a model, and
    the report as a static Space, all in a collection. Log in first: hf auth login. A push that was cut short is
    completed by the next; what has not changed is not sent again.

    Examples:
        mlrsnet benchmark publish paper-benchmark USER/NAME --dry-run
    """

    folder: Path = setting(text="Folder of the benchmark.", positional=True)
    repo_id: str = setting(
        text="Name of dataset and Space; models are called USER/NAME-JOB.", positional=True, metavar="USER/NAME"
    )
    with_images: bool = setting(
        False, "Show pictures in the report too where nobody knows their license; MLRSNet's go along without."
    )
    license: str | None = setting(None, "License of the results, by the Hub's name; none if unset.", metavar="NAME")
    private: bool = setting(False, "Make new repositories private.")
    dry_run: bool = setting(False, "Build the repositories, say where they are, push nothing.")
    output_dir: Path = setting(DRY_RUN_FOLDER, "Folder in which a dry run builds, in place of an earlier one.")

    def run(self) -> None:
        require_extra("benchmark")
        from mlrsnet_hf.benchmark.publish import publish_benchmark

        print_result(publish_benchmark(**self.to_dict()).summary())


@dataclass(frozen=True, kw_only=True)
class Check(Settings):
    """Compute scores of a benchmark again from its predictions.

    Says of each job that its reported scores agree with its predictions, within rounding, and ends with exit code 2 at
    the first that does not.

    Examples:
        mlrsnet benchmark check USER/NAME
        mlrsnet benchmark check USER/NAME/ResNet50-paper-ratio20-split0-seed0-3f2a90c41b7d
        mlrsnet benchmark check paper-benchmark/jobs/ResNet50-paper-ratio20-split0-seed0-3f2a90c41b7d
    """

    row: str = setting(
        text="A job's folder, or USER/NAME/JOB of results on the Hub; of a benchmark's folder or USER/NAME all rows.",
        positional=True,
        metavar="ROW",
    )

    def run(self) -> None:
        require_extra("train")
        from mlrsnet_hf.benchmark.check import check

        for checked in check(self.row):
            print_result(checked.summary())


def _report(folder: Path) -> None:
    from mlrsnet_hf.benchmark.report.report import write_report

    write_report(folder)


COMMANDS = {
    "plan": Plan,
    "run": Run,
    "status": Status,
    "report": Report,
    "publish": Publish,
    "check": Check,
    "retry": Retry,
    "job": Job,
}
"""The commands after `mlrsnet benchmark`."""
