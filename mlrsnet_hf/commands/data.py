"""Commands on data: a copy of the release, checked, shown, counted and prepared; or scenes that are drawn."""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlrsnet_hf.configuration.settings import Count, Positive, Seed, Settings, changed_settings, setting
from mlrsnet_hf.errors import ConfigurationError, require_extra
from mlrsnet_hf.inputs.config import MLRSNET, DataConfig
from mlrsnet_hf.parallel import default_processes
from mlrsnet_hf.release.repair import LabelVersion
from mlrsnet_hf.runtime.logs import print_result

_LABELS = (
    "Labels: verified repairs the published faults, as-published has them; if unset verified for a copy whose rows are "
    "MLRSNet's, else as-published."
)


@dataclass(frozen=True, kw_only=True)
class Audit(Settings):
    """Check a copy of the release against what was published.

    Compares counts, labels and images (every one is decoded), and tells which version of the label files it holds.
    Exit code: 0 clean, 1 findings that are repaired or for information, 2 unusable.

    Examples:
        mlrsnet audit path/to/mlrsnet --diff
    """

    source: Path = setting(text="Copy of the release, or label files alone.", positional=True)
    json: bool = setting(False, "Print everything that was found as JSON.")
    diff: bool = setting(False, "Print the rows that are repaired, one line each; images are not looked at.")
    processes: Count = setting(default_processes(), "Processes that decode images.")

    def run(self) -> None:
        from mlrsnet_hf.reports.audit import print_audit, print_repairs

        if self.json and self.diff:
            raise ConfigurationError("--json and --diff exclude each other", "Give one of them.")
        code = print_repairs(self.source) if self.diff else print_audit(self.source, self.processes, self.json)
        sys.exit(code)


@dataclass(frozen=True, kw_only=True)
class Inspect(Settings):
    """Show what training would read of a dataset.

    Loads it as `mlrsnet train` does, with the same options, and says which columns are what, how many images each label
    and split has, which images have no label, and what the image files are; nothing is trained.

    Examples:
        mlrsnet inspect table.csv --label-separator , --html look.html
        mlrsnet inspect --data-dir path/to/mlrsnet
    """

    source: str | None = setting(
        None, "Dataset, as --dataset takes it; mlrsnet if both are unset.", positional=True, metavar="DATASET"
    )
    html: Path | None = setting(None, "Page of all that with pictures of each label; none if unset.", metavar="FILE")
    examples: Count = setting(6, "Pictures of each label on the page.")
    files: Count = setting(1000, "Image files of each split, evenly spread, that are opened for sizes and modes.")
    json: bool = setting(False, "Print everything as JSON.")
    data: DataConfig

    def run(self) -> None:
        from mlrsnet_hf.reports.inspect.report import print_inspection

        data = self.data
        if self.source is not None:
            if data.dataset not in (MLRSNET, self.source):
                raise ConfigurationError(
                    f"the dataset is given twice, as {self.source!r} and {data.dataset!r}", "Give it once."
                )
            data = dataclasses.replace(data, dataset=self.source)
        print_inspection(data, files_per_split=self.files, page=self.html, examples=self.examples, as_json=self.json)


@dataclass(frozen=True, kw_only=True)
class NearDuplicates(Settings):
    """Find images of one piece of ground.

    Groups images that are turned, mirrored, resized, cropped or recompressed copies of each other, and says how much of
    the test split of a protocol has a copy in train.

    Examples:
        mlrsnet near-duplicates path/to/mlrsnet --protocol ratio40 --output groups.csv
    """

    source: Path = setting(text="Copy of the release.", positional=True)
    protocol: Literal["ratio20", "ratio30", "ratio40"] = setting("ratio20", "Protocol to judge.")
    split_seed: Seed = setting(0, "Seed of the protocol's splits.", former="seed")
    output: Path | None = setting(None, "CSV file of id and group to write; none if unset.", metavar="FILE")

    def run(self) -> None:
        from mlrsnet_hf.dataset.near_duplicates.groups import leak_report

        print_result(leak_report(self.source, self.protocol, self.split_seed, self.output))


@dataclass(frozen=True, kw_only=True)
class Prepare(Settings):
    """Turn a copy of the release into a repository for the Hub, or any dataset into a set to stream from.

    As parquet, writes Parquet files with the images, each stored once, all ratio and retrieval protocols, and a card.
    As litdata, writes the splits of one protocol, or of any dataset that mlrsnet train reads with the same options, in
    chunks that mlrsnet train --streaming fetches as it needs them. A run that was cut short is completed by the next.

    Examples:
        mlrsnet prepare path/to/mlrsnet ./mlrsnet --label-version as-published
        mlrsnet prepare table.csv ./chunks --format litdata --label-separator ,
    """

    source: Path = setting(
        text="Copy of the release: folder, archives, or Parquet; for litdata also what --dataset takes.",
        positional=True,
    )
    target: Path = setting(text="Folder to create.", positional=True)
    format: Literal["parquet", "litdata"] = setting("parquet", "What is written.")
    chunk_megabytes: Positive = setting(32.0, "Size of litdata's chunks, about.")
    skip_unreadable: bool = setting(False, "Leave out images that cannot be read; of parquet alone.")
    data: DataConfig

    def run(self) -> None:
        if self.format == "litdata":
            print_result(self._write_stream())
            return
        given = changed_settings(self.data) - {"label_version"}
        if given:
            raise ConfigurationError(
                f"--{min(given).replace('_', '-')} says how images are read for --format litdata, and not for parquet",
                "Leave it out, or give --format litdata.",
            )
        from mlrsnet_hf.publishing.prepare import prepare

        print_result(prepare(self.source, self.target, self.data.label_version, self.skip_unreadable).summary())

    def _write_stream(self) -> str:
        require_extra("train")
        from mlrsnet_hf.inputs.load import load_data
        from mlrsnet_hf.inputs.named_dataset import refuse_streaming
        from mlrsnet_hf.inputs.stream_writing import write_stream
        from mlrsnet_hf.release import holds_release

        refuse_streaming(self.data)
        given = changed_settings(self.data) & {"dataset", "data_dir", "bands", "value_range"}
        if given or self.skip_unreadable:
            name = min(given, default="skip_unreadable").replace("_", "-")
            raise ConfigurationError(
                f"--{name} does not go with --format litdata",
                "The dataset is the first argument; --bands and --value-range are for mlrsnet train, which reads "
                "the files; an image that cannot be read is left out with its row.",
            )
        source = str(self.source)
        if holds_release(self.source.expanduser()):
            data = dataclasses.replace(self.data, data_dir=source)
        else:
            data = dataclasses.replace(self.data, dataset=source)
        return write_stream(load_data(data), self.target, self.chunk_megabytes).summary()


@dataclass(frozen=True, kw_only=True)
class Stats(Settings):
    """Count scenes, labels and pixels, as tables and figures.

    Counts images per scene (Fig. 1 of the paper) and per label (Table 1) beside the published numbers, labels per
    image, labels that occur together, and mean and standard deviation of each channel; writes them as CSV and PNG.
    Label files alone will do, without the channels.

    Examples:
        mlrsnet stats path/to/mlrsnet
    """

    source: Path = setting(text="Copy of the release, or label files alone.", positional=True)
    output_dir: Path = setting(Path("mlrsnet-stats"), "Folder to create.")
    label_version: LabelVersion | None = setting(None, _LABELS, former="labels")
    processes: Count = setting(default_processes(), "Processes that decode images.")

    def run(self) -> None:
        require_extra("plots")
        from mlrsnet_hf.reports.statistics.report import write_statistics

        print_result(write_statistics(self.source, self.output_dir, self.label_version, processes=self.processes))


@dataclass(frozen=True, kw_only=True)
class Synthesize(Settings):
    """Draw synthetic scenes into a release folder.

    Draws them in the layout of the release, with a contact sheet beside.

    Examples:
        mlrsnet synthesize scenes --images-per-scene 20
    """

    output_dir: Path = setting(text="Folder to create.", positional=True)
    images_per_scene: Count = setting(20, "Images of each of the 46 scenes.")
    full_size: bool = setting(False, "As many images per scene as MLRSNet has, 109,161, instead.")
    seed: Seed = setting(0, "Seed of the images.")
    processes: Count = setting(default_processes(), "Processes that draw.")

    def run(self) -> None:
        from mlrsnet_hf.synthetic.release import CONTACT_SHEET, write_synthetic_release

        if self.full_size and self.images_per_scene != 20:
            raise ConfigurationError("--images-per-scene and --full-size exclude each other", "Give one of them.")
        amount = None if self.full_size else self.images_per_scene
        release = write_synthetic_release(self.output_dir, amount, self.seed, self.processes)
        print_result(
            f"{len(release.entries):,} synthetic images: {self.output_dir}, see {self.output_dir / CONTACT_SHEET}"
        )
