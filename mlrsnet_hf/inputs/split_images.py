"""One split of a dataset as decoded images with their targets, one by one and in batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import get_worker_info

from mlrsnet_hf.errors import ImageError
from mlrsnet_hf.inputs.batches import AUGMENTATION_STREAM, Batch, Draw
from mlrsnet_hf.inputs.columns.columns import UNKNOWN
from mlrsnet_hf.inputs.image_list import ListedFiles
from mlrsnet_hf.inputs.pixels.augmentation import Augmentation, Matrix, StoredTransform, random_numbers
from mlrsnet_hf.inputs.pixels.decoded_cache import DecodedFile, decode_to_disk, decode_to_memory
from mlrsnet_hf.inputs.pixels.decoding import ImageFile, ImageFiles, Pixels, decode_pixels, decoder_version
from mlrsnet_hf.inputs.pixels.reading import RGB, Reading
from mlrsnet_hf.inputs.stream_reading import StreamedFiles
from mlrsnet_hf.inputs.task import Task

PixelTransform = Callable[[Pixels], Pixels]


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of a batch."""

    row: int
    pixels: Pixels
    """(S, S, C) for the model."""
    symmetry: int
    """Which of the `SYMMETRIES` they are still to be turned by; 0 changes nothing."""
    color: Matrix | None
    """(3, 4), or (1, 2) where there are not three channels, if the colors change."""
    fault: ImageError | None = None
    """Why it could not be read, where that is not fatal."""


class SplitImages(TorchDataset):
    """One split as `Sample`s by `Draw`, and as `Batch`es by lists of them.

    The random part of a sample comes from (seed, view, row), never from the state of a process.

    Args:
        split: Rows with an `image`, a list of `labels`, an `id` to name the image in errors, a `scene` if the task
            has scenes, and perhaps a list `unknown_labels`; of a streamed split without an `image`.
        task: What is learned.
        transform: The part that is the same in every epoch; its `repr` names it in the fingerprint of a cache.
        augment: The random part; None for evaluation.
        seed: Of the random part.
        reading: Which bands of the files are read, and the range of their values.
        streamed: The image files of a streamed split, whose draws bring them.

    Attributes:
        ids: The rows' ids.
        targets: (N, L) float32, 0 or 1, NaN where it is not known; L is the number of label outputs.
        scenes: (N,) int64, or None where the task has no scenes.
    """

    def __init__(
        self,
        split: datasets.Dataset,
        task: Task,
        transform: PixelTransform,
        augment: Augmentation | None = None,
        seed: int = 0,
        reading: Reading = RGB,
        streamed: StreamedFiles | None = None,
    ) -> None:
        self.files: ImageFiles | StreamedFiles | ListedFiles = ImageFiles(split) if streamed is None else streamed
        rows = range(len(split))
        self.ids: list[str] = list(split["id"]) if "id" in split.column_names else [f"row {row}" for row in rows]
        self.targets = multi_hot(split["labels"][:] if task.label_outputs else [[]] * len(split), task.label_outputs)
        if UNKNOWN in split.column_names and task.label_outputs:
            self.targets[multi_hot(split[UNKNOWN][:], task.label_outputs) == 1] = torch.nan
        self.scenes = torch.tensor(split["scene"][:], dtype=torch.int64) if task.scene_outputs else None
        self.transform = transform
        self.augment = augment
        self.seed = seed
        self.reading = reading
        self._decoded: Sequence[Pixels] | DecodedFile | None = None

    def __len__(self) -> int:
        return len(self.files)

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """(N, L): which labels an image is known to show; (N, K), which scene, where labels are not learned."""
        if self.scenes is not None and not self.targets.shape[1]:
            return torch.nn.functional.one_hot(self.scenes).numpy() == 1
        return (self.targets == 1).numpy()

    @property
    def known_share(self) -> float:
        """Share of the targets that are known, 1 where all are."""
        unknown = int(self.targets.isnan().sum())
        return 1 - unknown / self.targets.numel() if unknown else 1.0

    def __getitem__(self, draw: Draw) -> Sample:
        """Return one image, or raise `ImageError`."""
        return self.sample(draw)

    def sample(self, draw: Draw, out: Pixels | None = None) -> Sample:
        """Return one image, whose pixels are written to `out`, if that is given: a place of `empty_pixels`.

        Raises:
            ImageError: It cannot be read.
        """
        view, row, *content = draw
        pixels = self.decode(row, *content) if self._decoded is None else self._decoded[row]
        if self.augment is None:
            return Sample(row, pixels, 0, None)
        numbers = random_numbers(self.seed, AUGMENTATION_STREAM, view, row)
        return Sample(row, *self.augment(pixels, numbers, out))

    def empty_pixels(self, count: int) -> torch.Tensor | None:
        """Return memory for the pixels of a batch; None in evaluation, whose transform tells only with an image.

        In a process of a `DataLoader` it is shared with the process that the batch is for.
        """
        if self.augment is None:
            return None
        side = self.augment.image_size
        pixels = torch.empty((count, side, side, self.reading.channels), dtype=torch.uint8)
        return pixels if get_worker_info() is None else pixels.share_memory_()

    def __getitems__(self, draws: Sequence[Draw]) -> Batch | ImageError:
        """Return a batch, or the error as a value: raised in a process of a `DataLoader`, it would lose its type."""
        try:
            pixels = self.empty_pixels(len(draws))
            places = [None] * len(draws) if pixels is None else pixels.numpy()
            samples = [self.sample(draw, place) for draw, place in zip(draws, places, strict=True)]
            return self.batch(samples, pixels)
        except ImageError as error:
            return error

    def batch(self, samples: Sequence[Sample], pixels: torch.Tensor | None = None) -> Batch:
        """Return samples as one batch, of the `empty_pixels` to which theirs were written, if they were."""
        rows = torch.tensor([sample.row for sample in samples])
        symmetries = torch.tensor([sample.symmetry for sample in samples], dtype=torch.uint8)
        colors = [sample.color for sample in samples if sample.color is not None]
        return Batch(
            rows=rows,
            pixels=torch.from_numpy(np.stack([sample.pixels for sample in samples])) if pixels is None else pixels,
            targets=self.targets[rows],
            scenes=None if self.scenes is None else self.scenes[rows],
            symmetries=symmetries if self.augment is not None and self.augment.symmetries > 1 else None,
            color=torch.from_numpy(np.stack(colors)) if colors else None,
            faults={sample.row: sample.fault for sample in samples if sample.fault is not None},
        )

    def decode(self, row: int, content: bytes | ImageError | None = None) -> Pixels:
        """Return an image as a cache keeps it, decoded and transformed: (H, W, C) uint8.

        Args:
            row: Of the split.
            content: Its file, of a streamed split or an archive, or why that cannot be read.

        Raises:
            ImageError: It cannot be read.
        """
        if isinstance(content, ImageError):
            raise content
        if content is None and not isinstance(self.files, StreamedFiles):
            file = self.files[row]
        else:
            file = ImageFile(bytes=content, path=None)
        enough = self.transform.shorter_side if isinstance(self.transform, StoredTransform) else None
        return self.transform(decode_pixels(file, self.ids[row], self.reading, enough))

    def cache(self, mode: str, megabytes: int, folder: Path | None = None) -> bool:
        """Decode all images now, if they fit, so that later epochs do not; return whether they are now kept so.

        Those of a streamed split never are.

        Args:
            mode: `off`; `memory`, of this process and the workers forked from it; or `disk`, in a file that all
                processes of the machine share, as do later runs with the same folder.
            megabytes: The images are kept only if they take at most this.
            folder: Of the files; needed for `disk`.

        Raises:
            ImageError: An image cannot be read.
            ConfigurationError: The folder cannot be written.
        """
        if not isinstance(self.files, ImageFiles):
            return False
        if mode == "memory":
            self._decoded = decode_to_memory(self.decode, len(self), megabytes)
        elif mode == "disk":
            assert folder is not None, "a cache on disk needs a folder"
            kind = f"{self.transform!r}, {decoder_version(self.reading)}"
            self._decoded = decode_to_disk(self.decode, self.files, kind, folder, megabytes)
        return self._decoded is not None


def multi_hot(label_ids: Sequence[Sequence[int]], labels: int) -> torch.Tensor:
    """Return lists of label ids as (N, labels) float32, 0 or 1."""
    targets = torch.zeros(len(label_ids), labels)
    for row, ids in enumerate(label_ids):
        targets[row, list(ids)] = 1.0
    return targets
