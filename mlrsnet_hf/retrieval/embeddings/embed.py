"""From images to an embeddings folder, in any number of processes, taken up where a killed run left it.

The rows are cut into shards of fixed ranges, which are dealt to the processes: which process writes a shard does not
change its content. A shard has its name when it is whole. Processes on several machines need one file system.
"""

import dataclasses
import json
import shutil
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from accelerate import Accelerator

from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.files import refuse_existing
from mlrsnet_hf.resumable_folder import resumable_folder
from mlrsnet_hf.retrieval.embeddings.config import EmbeddingConfig, ImageSet
from mlrsnet_hf.retrieval.embeddings.files import (
    DATA,
    EmbeddingFolder,
    Rows,
    Shard,
    missing_shards,
    open_embeddings,
    plan_shards,
    read_rows,
    to_table,
    write_json,
    write_shard,
)
from mlrsnet_hf.retrieval.embeddings.forward import extract
from mlrsnet_hf.retrieval.embeddings.images import ImageSplit, load_images
from mlrsnet_hf.retrieval.embeddings.info import INFO_FILE, EmbeddingInfo
from mlrsnet_hf.retrieval.embeddings.local_sources import LOCAL_FILE, to_local
from mlrsnet_hf.retrieval.embeddings.model import EmbeddingModel, load_embedding_model
from mlrsnet_hf.retrieval.embeddings.pca import PCA_FILE, Pca, fit_pca, load_pca, normalize
from mlrsnet_hf.runtime.collectives import Collectives
from mlrsnet_hf.runtime.device import use_processor

Result = TypeVar("Result")


class Processes:
    """The processes of one launch.

    Args:
        accelerator: Knows them.
        target: What they write, for errors.
    """

    def __init__(self, accelerator: Accelerator, target: Path) -> None:
        self.index = accelerator.process_index
        self.number = accelerator.num_processes
        self._collectives = Collectives(accelerator)
        self._target = target

    def together(self, action: Callable[[], Result]) -> Result:
        """Do it in every process, and wait for all.

        Raises:
            MLRSNetError: It failed in one of them; all raise.
        """
        result, error = None, None
        try:
            result = self._explained(action)
        except MLRSNetError as found:
            error = found
        self._collectives.raise_together(error)
        return cast(Result, result)

    def on_main(self, action: Callable[[], Result]) -> Result:
        """Do it in the main process alone, and return its result in all.

        Raises:
            MLRSNetError: It failed; all raise.
        """
        return self._collectives.run_on_main(lambda: self._explained(action))

    def _explained(self, action: Callable[[], Result]) -> Result:
        try:
            return action()
        except OSError as error:
            raise ConfigurationError(
                f"{self._target}: cannot be written ({error.strerror or error})",
                "What is finished is kept; make room or mend what is wrong, and run again to go on.",
            ) from error


_RAW = ".raw"
"""What the network gives, until principal components are fitted on it."""
_PATIENCE = 10.0
"""Seconds: the reading processes of a run that was killed notice it within five, and may hold its lock until then."""


def embed(
    config: EmbeddingConfig,
    images: ImageSet,
    card: Callable[[EmbeddingInfo], str] | None = None,
    *,
    load: Callable[[ImageSet], ImageSplit] = load_images,
    model: EmbeddingModel | None = None,
) -> EmbeddingFolder:
    """Write the embeddings of a split as a folder that `EmbeddingTable.load` and `datasets.load_dataset` read.

    All processes of an `accelerate launch` call it. The folder takes its name when it is whole; a run that is cut
    short, however that happens, leaves `.<name>.partial` beside it, and the next run with the same settings goes on
    from there. Ids and their order are the split's, and the embeddings the same but for the last bits of float32,
    however many processes there are.

    Args:
        config: The network, the layer and the form.
        images: What to embed.
        card: Renders the folder's README.md, such as `publishing.embeddings_card.embeddings_card`.
        load: Loads the images; pass one that remembers, where they are used again.
        model: The network of `config`, if it is loaded already.

    Returns:
        The folder, on every process.

    Raises:
        ConfigurationError: A setting cannot be used, the target exists, another process is writing it, or the disk is
            full.
        ImageError: An image cannot be read; the message names it.
        EmbeddingError: An embedding is not finite; ids are named.
        OutOfMemoryError: A batch does not fit the device.
        WeightsError: The weights cannot be had.
    """
    accelerator = Accelerator(mixed_precision=config.precision)
    use_processor(accelerator)
    processes = Processes(accelerator, config.output_dir)
    processes.on_main(partial(_prepare, config, images, load))
    split, network = processes.together(lambda: (load(images), model or load_embedding_model(config)))
    for note in split.notes if accelerator.is_main_process else ():
        print(f"data: {note}", flush=True)
    # One process reads all weights and image files for their fingerprints.
    raw_info = processes.on_main(lambda: _raw_info(config, split, network))
    taken_up = _Run(config, images, accelerator, split, network, raw_info, card).write(processes)
    folder = open_embeddings(config.output_dir)
    if accelerator.is_main_process:
        earlier = f", {taken_up:,} of them from an earlier run" if taken_up else ""
        print(f"{folder.info.rows:,} embeddings{earlier}: {folder.info.described()}\nfolder: {config.output_dir}")
    return folder


def _prepare(config: EmbeddingConfig, images: ImageSet, load: Callable[[ImageSet], ImageSplit]) -> None:
    """Refuse a target that is there before anything is loaded; prepare the dataset, so that the others find it."""
    refuse_existing(config.output_dir.expanduser())
    load(images)


def _raw_info(config: EmbeddingConfig, split: ImageSplit, model: EmbeddingModel) -> EmbeddingInfo:
    """Return what is to be said of what the network gives, before principal components."""
    if config.scores and not model.label_names:
        raise ConfigurationError(
            f"model {config.model!r} was not trained on labels, so it has no scores", "Leave --scores out."
        )
    return EmbeddingInfo(
        model=model.name,
        architecture=model.architecture,
        model_fingerprint=model.fingerprint,
        layer=config.layer,
        dimension=model.size(config.layer),
        dtype="float32",
        normalized=config.normalize,
        dataset=split.source,
        dataset_fingerprint=split.fingerprint,
        rows=len(split.rows),
        label_names=split.label_names,
        scene_names=split.scene_names,
        scores=model.label_names if config.scores else (),
    )


class _Run:
    """One call of `embed`, with everything at hand that it needs."""

    def __init__(
        self,
        config: EmbeddingConfig,
        images: ImageSet,
        accelerator: Accelerator,
        split: ImageSplit,
        model: EmbeddingModel,
        raw_info: EmbeddingInfo,
        card: Callable[[EmbeddingInfo], str] | None,
    ) -> None:
        self.config = config
        self.images = images
        self.accelerator = accelerator
        self.split = split
        self.model = model
        self.raw_info = raw_info
        self.card = card
        self.target = config.output_dir.expanduser().absolute()
        self.shards = plan_shards(raw_info.split_name, raw_info.rows, config.shard_images)

    @property
    def origin(self) -> dict[str, Any]:
        """What must be the same for a later run to go on."""
        names = ("dtype", "pca", "whiten", "pca_images", "shard_images", "precision")
        settings = {name: getattr(self.config, name) for name in names}
        return {"embeddings": self.raw_info.to_json(), "settings": settings}

    def write(self, processes: Processes) -> int:
        """Write the folder; return how many rows were there from an earlier run."""
        with ExitStack() as stack:

            def begin() -> tuple[Path, tuple[Shard, ...]]:
                folder = stack.enter_context(resumable_folder(self.target, self.origin, _origin_of_whole, _PATIENCE))
                folder.keep([])
                return folder.path, missing_shards(folder.path / DATA, self.shards)

            path, missing = processes.on_main(begin)
            pca = self._components(processes, path, missing) if self.config.pca else None
            info = self._info(pca)
            if pca is None:
                _write_all(processes, self._extracted, missing, path / DATA, info)
            else:
                projected = partial(_projected, path / _RAW, pca=pca, unit=self.config.normalize)
                _write_all(processes, projected, missing, path / DATA, info)
            processes.on_main(lambda: self._describe(path, info))
            # Only now the folder takes its name; after an error above it is let go of without.
            processes.on_main(stack.pop_all().close)
        return len(self.split.rows) - sum(len(shard.rows) for shard in missing)

    def _extracted(self, shards: Sequence[Shard]) -> Generator[Rows, None, None]:
        for rows in extract(self.split, self.model, shards, self.config, self.accelerator):
            yield dataclasses.replace(rows, embeddings=normalize(rows.embeddings)) if self.config.normalize else rows

    def _components(self, processes: Processes, path: Path, missing: Sequence[Shard]) -> Pca:
        """Return the principal components, fitted on what the network gives for all images or the first."""
        fitted, raw = path / PCA_FILE, path / _RAW
        if missing:
            missing_raw = processes.on_main(lambda: missing_shards(raw, self.shards))
            _write_all(processes, self._extracted, missing_raw, raw, self.raw_info)
            # Main alone looks: processes that looked by themselves might see different things, and wait for each other.
            processes.on_main(lambda: None if fitted.exists() else self._fit(raw).save(fitted))
        return processes.together(lambda: load_pca(fitted))

    def _fit(self, raw: Path) -> Pca:
        batches = (read_rows(raw / shard.name).embeddings for shard in self.shards)
        return fit_pca(batches, self.config.pca, self.config.whiten, self.config.pca_images)

    def _info(self, pca: Pca | None) -> EmbeddingInfo:
        info = dataclasses.replace(self.raw_info, dtype=self.config.dtype)
        if pca is None:
            return info
        return dataclasses.replace(info, dimension=len(pca.components), pca=pca.to_json())

    def _describe(self, path: Path, info: EmbeddingInfo) -> None:
        """Write what stands beside the shards, and clear away what served to make them."""
        write_json(path / INFO_FILE, info.to_json())
        write_json(path / LOCAL_FILE, to_local(self.config, self.images) | {"origin": self.origin})
        if self.card is not None:
            (path / "README.md").write_text(self.card(info), encoding="utf-8")
        shutil.rmtree(path / _RAW, ignore_errors=True)


def _projected(raw: Path, shards: Sequence[Shard], *, pca: Pca, unit: bool) -> Generator[Rows, None, None]:
    for shard in shards:
        rows = read_rows(raw / shard.name)
        projected = pca.project(rows.embeddings)
        yield dataclasses.replace(rows, embeddings=normalize(projected) if unit else projected)


def _write_all(
    processes: Processes,
    make: Callable[[Sequence[Shard]], Generator[Rows, None, None]],
    missing: Sequence[Shard],
    folder: Path,
    info: EmbeddingInfo,
) -> None:
    """Write this process's share of the missing shards, each while the next one is computed.

    After each round of one shard for every process, all know whether one has failed, and end together: whoever went on
    alone would compute in vain, or wait for a process that is gone.

    Args:
        processes: All of them call this.
        make: Returns the rows of each of some shards.
        missing: The shards of all processes.
        folder: Where they are written.
        info: Of the embeddings.

    Raises:
        MLRSNetError: A shard could not be made or written in one of the processes; all raise.
    """
    own = missing[processes.index :: processes.number]
    # Closed, so that the bar is ended before an error is told.
    with ThreadPoolExecutor(1) as writer, closing(make(own)) as rows_of_shards:
        made = zip(own, rows_of_shards, strict=True) if own else iter(())
        pending: Future[None] | None = None

        def next_shard() -> None:
            nonlocal pending
            shard, rows = next(made, (None, None))
            if pending is not None:
                pending.result()
            pending = None
            if shard is not None and rows is not None:
                pending = writer.submit(_write, rows, folder / shard.name, info)

        for _ in range(-(-len(missing) // processes.number) + 1):  # and once more, for the last to be written
            processes.together(next_shard)


def _write(rows: Rows, path: Path, info: EmbeddingInfo) -> None:
    write_shard(to_table(rows, info), path)


def _origin_of_whole(folder: Path) -> list[dict[str, Any]]:
    """Return what a folder was made of that is whole but did not get its name."""
    try:
        return [json.loads((folder / LOCAL_FILE).read_text(encoding="utf-8"))["origin"]]
    except (OSError, ValueError, TypeError, KeyError):
        return []
