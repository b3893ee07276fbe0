# ruff: noqa: ANN401 - the signatures are those of `datasets`
"""The builder behind `load_dataset("mlrsnet")`.

One configuration, `all`, is built from the source and holds the images. Every other one is row numbers into its cache,
one small file a split, so that the images are stored once, whatever the number of protocols and seeds. Where a
configuration lies in the cache depends on its name and options, on `VERSION`, and on the source's fingerprint, but not
on where the source lies.

`datasets` replaces `open` and the functions on paths in the modules of builders; work on files is done elsewhere.
"""

import functools
import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import (
    Dataset,
    DatasetInfo,
    DownloadMode,
    GeneratorBasedBuilder,
    NamedSplit,
    ReadInstruction,
    Split,
    SplitDict,
    SplitGenerator,
    SplitInfo,
    Version,
)
from datasets.exceptions import DatasetGenerationError
from datasets.table import MemoryMappedTable, concat_tables

from mlrsnet_hf.dataset.config import CONFIG_NAMES, DEMO, WHOLE, MLRSNetConfig, refuse_unknown
from mlrsnet_hf.dataset.download import LANDING_PAGE, archive_path, download_archive
from mlrsnet_hf.dataset.near_duplicates.groups import cached_groups
from mlrsnet_hf.dataset.registration import NAME
from mlrsnet_hf.dataset.repository.schema import FEATURES, to_example
from mlrsnet_hf.dataset.source import ReleaseSource, SyntheticSource, cache_key, downloads_folder, expanded, find_data
from mlrsnet_hf.dataset.splits import split_files
from mlrsnet_hf.dataset.splits.protocols import CUSTOM, DEFAULT_PROTOCOL, GROUPED_PROTOCOLS, draw_split, ids_by_scene
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError, ReleaseError
from mlrsnet_hf.release import LabelVersion, find_label_version
from mlrsnet_hf.release.repair import require_label_version
from mlrsnet_hf.runtime.logs import get_logger

VERSION = Version("1.0.0")
"""Raised whenever the rows built from one source change, so that no stale cache is used."""

MIN_SHARDS = 32

_DESCRIPTION = (
    "109,161 aerial and satellite images in 46 scene categories, each with up to 13 of 60 labels; ten have none."
)
_OTHERS = "Images in the layout of MLRSNet, with up to 60 labels in 46 scene categories; not recognized as MLRSNet."

_logger = logging.getLogger(__name__)


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
        source: ReleaseSource | SyntheticSource | None = None,
        **options: Any,
    ) -> None:
        if "labels" in options:  # its name until 0.1
            if "label_version" in options:
                raise ConfigurationError("labels is an earlier name of label_version, and both are given", "Give one.")
            options["label_version"] = options.pop("labels")
        config_name = config_name or (CUSTOM if options.get("split_file") else DEFAULT_PROTOCOL)
        refuse_unknown(config_name, options)
        self._downloads = downloads_folder(cache_dir)
        self._location = None if config_name == DEMO else find_data(data_dir, self._downloads)
        self._label_version = self._choose_label_version(options.get("label_version"), opened=source is not None)
        self._is_mlrsnet = config_name != DEMO and (
            self._label_version == "verified" or options.get("label_version") is not None
        )
        if config_name != DEMO:
            options["label_version"] = self._label_version
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

    def _choose_label_version(self, asked: LabelVersion | None, opened: bool) -> LabelVersion:
        """Return the version asked for, else the one that fits the copy: the cache is named after it."""
        require_label_version(asked)
        location = self._location
        if location in (None, archive_path(self._downloads)) or opened or asked == "as-published":
            return asked or "verified"  # the published archive is MLRSNet, and opened copies are known already
        assert location
        return find_label_version(location, asked)

    def __getstate__(self) -> dict[str, Any]:
        """Travel between processes without the source, which opens anew where it is needed."""
        return {**super().__getstate__(), "_source": None, "_whole": None}

    def get_exported_dataset_info(self) -> DatasetInfo:
        """Return nothing; versions of `datasets` below 4 would hold a part of the release against the card's sizes."""
        return DatasetInfo()

    def _info(self) -> DatasetInfo:
        if not self._is_mlrsnet:  # as far as is known: nobody has looked where a label version is asked for
            return DatasetInfo(description=_OTHERS, features=FEATURES)
        return DatasetInfo(description=_DESCRIPTION, homepage=LANDING_PAGE, license="CC BY 4.0", features=FEATURES)

    def _open(self) -> ReleaseSource | SyntheticSource:
        """Open the source, the one that the cache is named after."""
        if self._source is None:
            location = self._location
            self._source = ReleaseSource(location, self._label_version) if location else SyntheticSource()
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
            _write_split(self._output_dir, name, rows)
            splits.add(SplitInfo(name, total.num_bytes * len(rows) // total.num_examples, len(rows)))
        self.info.splits, self.info.download_size = splits, 0

    def _as_dataset(self, split: Any = Split.TRAIN, in_memory: bool = False) -> Dataset:
        if not self._as_rows:
            return super()._as_dataset(split, in_memory)
        whole = self._whole.as_dataset("train", in_memory=in_memory)
        instruction = split if isinstance(split, ReadInstruction) else ReadInstruction.from_spec(str(split))
        lengths = {name: part.num_examples for name, part in self.info.splits.items()}
        rows = [
            MemoryMappedTable.from_file(_rows_path(self._output_dir, part.splitname)).slice(
                part.from_, part.to - part.from_
            )
            for part in instruction.to_absolute(lengths)
        ]
        fingerprint = self._get_dataset_fingerprint(split)
        return Dataset(whole.data, self.info.copy(), NamedSplit(str(split)), concat_tables(rows), fingerprint)

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
            return draw_split(ids, protocol, self.config.seed, groups)
        custom = split_files.read_split_file(self.config.split_file, ids)
        for note in custom.notes():
            get_logger(split_files.__name__).warning("split_file %s: %s", self.config.split_file, note)
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


def _write_split(folder: str, split: str, rows: Sequence[int]) -> None:
    """Write a split's row numbers in the form in which `datasets` keeps them."""
    schema = pa.schema({"indices": pa.uint64()})
    with pa.OSFile(_rows_path(folder, split), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        writer.write_table(pa.table({"indices": np.asarray(rows, np.uint64)}, schema))


def _rows_path(folder: str, split: str) -> str:
    return f"{folder}/{NAME}-{split}-rows.arrow"


def _own_error(error: BaseException) -> BaseException:
    """Return our error that `datasets` has wrapped, or the error itself if there is none."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, MLRSNetError):
        cause = cause.__cause__ or cause.__context__
    return cause or error


def _shards(scenes: Sequence[int], rows: Sequence[int]) -> list[tuple[int, ...]]:
    """Cut rows into parts that workers share: by scene, because an archive holds one, and finer if scenes are few."""
    pairs = itertools.groupby(zip(scenes, rows, strict=True), lambda pair: pair[0])
    by_scene = [[row for _, row in part] for _, part in pairs]
    parts = -(-MIN_SHARDS // len(by_scene))
    cuts = [(part, -(-len(part) // parts)) for part in by_scene]
    return [tuple(part[i : i + size]) for part, size in cuts for i in range(0, len(part), size)]
