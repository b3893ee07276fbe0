# ruff: noqa: ANN401 - the signatures are those of `datasets`
"""The builder behind `load_dataset("mlrsnet")`.

One configuration, `all`, is built from the source and holds the images. Every other one is row numbers into its cache,
one small file a split. Where a configuration lies in the cache depends on its name and options, on `VERSION`, and on
the source's fingerprint, but not on where the source lies.

`datasets` replaces `open` and the functions on paths in the modules of builders; work on files is done elsewhere.
"""

import dataclasses
import functools
import inspect
import itertools
import logging
import numbers
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from datasets import (
    BuilderConfig,
    Dataset,
    DatasetInfo,
    DownloadMode,
    Features,
    GeneratorBasedBuilder,
    Split,
    SplitDict,
    SplitGenerator,
    SplitInfo,
    Version,
)
from datasets.exceptions import DatasetGenerationError

from mlrsnet_hf.dataset.download import LANDING_PAGE, archive_path, download_archive
from mlrsnet_hf.dataset.features import FEATURES, to_example
from mlrsnet_hf.dataset.indices import select, write_rows
from mlrsnet_hf.dataset.near_duplicates.group_files import cached_groups
from mlrsnet_hf.dataset.registration import NAME
from mlrsnet_hf.dataset.source import (
    Source,
    cache_key,
    content_hash,
    downloads_folder,
    expanded,
    find_data,
    open_source,
)
from mlrsnet_hf.dataset.splits.protocols import DEFAULT_PROTOCOL, GROUPED_PROTOCOLS, PROTOCOLS, ids_by_scene, split_ids
from mlrsnet_hf.dataset.splits.split_files import read_split_file
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError, ReleaseError, UnknownNameError, name_alternatives
from mlrsnet_hf.release import LabelVersion
from mlrsnet_hf.release.repair import require_label_version

VERSION = Version("1.0.0")
"""Raised whenever the rows built from one source change, so that no stale cache is used."""

DEMO = "demo"
CUSTOM = "custom"
WHOLE = "all"
CONFIG_NAMES = (*PROTOCOLS, DEMO, CUSTOM)

MIN_SHARDS = 32

_DESCRIPTION = "109,161 aerial and satellite images in 46 scene categories, each with 1 to 13 of 60 labels."

_logger = logging.getLogger(__name__)


@dataclasses.dataclass
class MLRSNetConfig(BuilderConfig):
    """Which images go where."""

    seed: int = 0
    """Draws other splits; the paper repeats five times, here 0 to 4."""
    label_version: LabelVersion = "verified"
    """`verified` repairs the published faults, `as-published` takes the label files as they are."""
    split_file: str | None = None
    """CSV or Parquet of image ids and splits, for the configuration `custom`."""
    protocol: str | None = None
    """How the synthetic scenes of the configuration `demo` are split; by default as `ratio20`."""

    @property
    def drawn_by(self) -> str:
        """Name of the protocol."""
        return (self.protocol or DEFAULT_PROTOCOL) if self.name == DEMO else self.name

    def create_config_id(self, config_kwargs: dict[str, Any], custom_features: Features | None = None) -> str:
        """Return the name of the configuration's folder in the cache; what the source decides stands in its hash.

        Raises:
            MLRSNetError: An option has a value that cannot be used.
        """
        self._check()
        # "labels" names the label version in the folders of earlier caches, which stay in use.
        options: dict[str, Any] = {"protocol": self.drawn_by} if self.name == DEMO else {"labels": self.label_version}
        if self.split_file:
            options["split_file"] = content_hash(self.split_file)
        elif self.drawn_by != WHOLE:
            options["seed"] = self.seed
        return str(super().create_config_id(options, custom_features))

    def _check(self) -> None:
        require_label_version(self.label_version)
        if self.drawn_by not in (*PROTOCOLS, CUSTOM):
            raise UnknownNameError(
                f"protocol {self.drawn_by!r} is not known", name_alternatives(self.drawn_by, PROTOCOLS)
            )
        if not isinstance(self.seed, numbers.Integral) or isinstance(self.seed, bool):
            raise ConfigurationError(f"seed={self.seed!r} is not a whole number", "Pass an integer, such as 0.")
        if self.protocol and self.name != DEMO:
            raise ConfigurationError(
                f"protocol={self.protocol!r} goes with the configuration 'demo' alone",
                f'The configuration names the protocol: load_dataset("{NAME}", "{self.protocol}").',
            )
        if self.data_dir and self.name == DEMO:
            raise ConfigurationError(
                "the configuration 'demo' takes no data_dir, its scenes are synthetic", "Leave out one of the two."
            )
        if bool(self.split_file) != (self.name == CUSTOM):
            raise ConfigurationError(
                f"split_file={self.split_file!r} with the configuration {self.name!r}",
                "Pass split_file with the configuration 'custom' or with none, and with no other.",
            )


class MLRSNet(GeneratorBasedBuilder):
    """Builds MLRSNet from any copy of the release.

    Args:
        config_name: A protocol; `demo` for synthetic scenes; `custom` for splits from a file.
        data_dir: A folder or archive that `open_release` reads. By default what MLRSNET_DATA_DIR names, else the
            published archive, which is downloaded when it is needed.
        source: The images, if they are open already.
        **options: Of `MLRSNetConfig` and of `datasets.DatasetBuilder`.

    Raises:
        MLRSNetError: The configuration, an option or the source cannot be used.
    """

    VERSION = VERSION
    BUILDER_CONFIG_CLASS = MLRSNetConfig
    BUILDER_CONFIGS = [MLRSNetConfig(name=name, version=VERSION) for name in CONFIG_NAMES]  # noqa: RUF012
    DEFAULT_CONFIG_NAME = DEFAULT_PROTOCOL

    def __init__(
        self,
        cache_dir: str | None = None,
        config_name: str | None = None,
        data_dir: str | None = None,
        source: Source | None = None,
        **options: Any,
    ) -> None:
        if "labels" in options:  # its name until 0.1
            options.setdefault("label_version", options.pop("labels"))
        config_name = config_name or (CUSTOM if options.get("split_file") else DEFAULT_PROTOCOL)
        _refuse_unknown(config_name, options)
        self._downloads = downloads_folder(cache_dir)
        self._location = None if config_name == DEMO else find_data(data_dir, self._downloads)
        self._label_version: LabelVersion = options.get("label_version") or "verified"
        self._features = options.get("features")
        self._source = source
        self.hash: str | None = None
        if self._location or config_name == DEMO:
            self.hash = cache_key(self._open())
        options["hash"] = self.hash
        options["dataset_name"] = options.get("dataset_name") or NAME
        super().__init__(cache_dir=cache_dir, config_name=config_name, data_dir=data_dir, **options)
        self.name = self.info.builder_name = NAME
        self._as_rows = self.config.drawn_by != WHOLE

    def __getstate__(self) -> dict[str, Any]:
        """Travel between processes without the source, which opens anew where it is needed."""
        return {**super().__getstate__(), "_source": None, "_whole": None}

    def get_exported_dataset_info(self) -> DatasetInfo:
        """Return nothing; versions of `datasets` below 4 would hold a part of the release against the card's sizes."""
        return DatasetInfo()

    def _info(self) -> DatasetInfo:
        return DatasetInfo(description=_DESCRIPTION, homepage=LANDING_PAGE, license="CC BY 4.0", features=FEATURES)

    def _open(self) -> Source:
        """Open the source, the one that the cache is named after."""
        if self._source is None:
            self._source = open_source(self._location, self._label_version)
            if self.hash and self.hash != cache_key(self._source):
                raise ReleaseError(
                    f"{self._location}: changed while it was read", "Nothing was kept; load the data set again."
                )
        return self._source

    def _provide_source(self, anew: bool = False) -> None:
        """Download the published archive if no other copy is given."""
        downloaded = self.config.data_dir is None and self._location == archive_path(self._downloads)
        if self.config.name == DEMO or (self._location and not (downloaded and anew)):
            return
        self._location, self._source, self.hash = download_archive(self._downloads, anew), None, None
        self.hash = cache_key(self._open())
        self._cache_dir = self._output_dir = self._build_cache_dir()

    def download_and_prepare(self, output_dir: str | None = None, **options: Any) -> None:
        """Build the configuration, if the cache does not hold it; see `datasets.DatasetBuilder`."""
        mode = DownloadMode(options.get("download_mode") or DownloadMode.REUSE_DATASET_IF_EXISTS)
        self._provide_source(anew=mode == DownloadMode.FORCE_REDOWNLOAD)
        elsewhere = output_dir is not None or options.get("file_format", "arrow") != "arrow"
        self._as_rows = self.config.drawn_by != WHOLE and not elsewhere
        if self._as_rows:
            self._whole.download_and_prepare(**options)
        super().download_and_prepare(output_dir, **options)

    @functools.cached_property
    def _whole(self) -> "MLRSNet":
        """The configuration that holds the images."""
        demo = self.config.name == DEMO
        return type(self)(
            cache_dir=self._cache_dir_root,
            config_name=DEMO if demo else WHOLE,
            data_dir=None if demo else str(self._location),
            source=self._open(),
            dataset_name=self.dataset_name,
            features=self._features,
            **({"protocol": WHOLE} if demo else {"label_version": self._label_version}),
        )

    def _download_and_prepare(self, dl_manager: Any, verification_mode: Any, **options: Any) -> None:
        if self._as_rows:
            self._write_rows()
        else:
            super()._download_and_prepare(dl_manager, verification_mode, **options)
        self._source = None
        self._open()

    def _write_rows(self) -> None:
        total = self._whole.info.splits["train"]
        splits = SplitDict(dataset_name=self.dataset_name)
        for name, rows in self._rows().items():
            write_rows(self._output_dir, name, rows)
            splits.add(SplitInfo(name, total.num_bytes * len(rows) // total.num_examples, len(rows)))
        self.info.splits, self.info.download_size = splits, 0

    def _as_dataset(self, split: Any = Split.TRAIN, in_memory: bool = False) -> Dataset:
        if not self._as_rows:
            return super()._as_dataset(split, in_memory)
        whole = self._whole.as_dataset("train", in_memory=in_memory)
        return select(whole, self._output_dir, split, self.info, self._get_dataset_fingerprint(split))

    def _rows(self) -> dict[str, list[int]]:
        """Return the row numbers of every split."""
        entries = self._open().entries
        number = {entry.id: row for row, entry in enumerate(entries)}
        splits = self._split(ids_by_scene(entries))
        return {name: sorted(number[image_id] for image_id in ids) for name, ids in splits.items()}

    def _split(self, ids: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
        protocol = self.config.drawn_by
        if protocol != CUSTOM:
            groups = self._groups() if protocol in GROUPED_PROTOCOLS else None
            return split_ids(ids, protocol, self.config.seed, groups)
        custom = read_split_file(expanded(self.config.split_file), ids)
        if custom.left_out:
            _logger.warning("%s images are in no split of %s", f"{custom.left_out:,}", self.config.split_file)
        return custom.splits

    def _groups(self) -> dict[str, int]:
        """Return the groups of near-duplicates; they depend on the images alone, and are searched once for them."""
        source = self._open()
        everything = range(len(source.entries))
        images = ((record.id, record.image) for record in source.read(everything))
        return cached_groups(expanded(self._cache_dir_root), source.images_fingerprint, images)

    def _split_generators(self, dl_manager: Any) -> list[SplitGenerator]:
        self._provide_source()
        entries = self._open().entries
        repaired = sum(entry.repaired for entry in entries)
        if repaired:
            _logger.warning(
                "%s of %s images carry repaired labels (column `repaired`); label_version='as-published' undoes that",
                f"{repaired:,}",
                f"{len(entries):,}",
            )
        return [
            SplitGenerator(name, {"shards": _shards([entries[row].scene.id for row in rows], rows)})
            for name, rows in self._rows().items()
        ]

    def _generate_examples(self, shards: list[tuple[int, ...]]) -> Iterator[tuple[str, dict[str, Any]]]:
        source = self._open()
        for rows in shards:
            for record in source.read(rows):
                yield record.id, to_example(record)

    def _prepare_split_single(self, *arguments: Any, **options: Any) -> Iterator[Any]:
        try:
            yield from super()._prepare_split_single(*arguments, **options)
        except DatasetGenerationError as error:
            raise _own_error(error) from None


def _refuse_unknown(config_name: str, options: Mapping[str, Any]) -> None:
    if config_name not in CONFIG_NAMES:
        raise UnknownNameError(
            f"configuration {config_name!r} is not known", name_alternatives(config_name, CONFIG_NAMES)
        )
    ours = [field.name for field in dataclasses.fields(MLRSNetConfig)]
    for name in options:
        if name not in (*ours, *inspect.signature(GeneratorBasedBuilder.__init__).parameters):
            raise ConfigurationError(f'load_dataset("{NAME}") has no option {name!r}', name_alternatives(name, ours))


def _own_error(error: BaseException) -> BaseException:
    """Return our error that `datasets` has wrapped, or the error itself if there is none."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, MLRSNetError):
        cause = cause.__cause__ or cause.__context__
    return cause or error


def _shards(scenes: Sequence[int], rows: Sequence[int]) -> list[tuple[int, ...]]:
    """Cut rows into parts that workers share: by scene, because an archive holds one, and finer if scenes are few."""
    by_scene = [[row for _, row in part] for _, part in itertools.groupby(zip(scenes, rows, strict=True), _first)]
    parts = -(-MIN_SHARDS // len(by_scene))
    cuts = [(part, -(-len(part) // parts)) for part in by_scene]
    return [tuple(part[i : i + size]) for part, size in cuts for i in range(0, len(part), size)]


_first = operator.itemgetter(0)
