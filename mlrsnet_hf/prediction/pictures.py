"""Images to predict, in their order: those of a list of files, or of a dataset."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from mlrsnet_hf.errors import ImageError
from mlrsnet_hf.inputs.batches import Draw
from mlrsnet_hf.inputs.image_list import ArchivedBatches, ListedFiles
from mlrsnet_hf.inputs.pixels.decoding import ImageFile, ImageFiles, decode_rgb


@dataclass(frozen=True)
class Pictures:
    """Images to predict, in their order."""

    ids: Sequence[str]
    files: ImageFiles | ListedFiles
    name: str
    """What they are called together."""
    stamps: Sequence[str] = ()
    """Of images of a dataset, what changes when one is written anew; those of a list are its own."""
    is_mlrsnet: bool = False

    def digest(self, rows: range) -> str:
        """Return a hash of what some rows are: ids and, as far as can be told without reading them, contents."""
        digest = hashlib.blake2b(f"{rows}".encode(), digest_size=16)
        for row in rows:
            stamped = (self.ids[row], self.stamps[row]) if self.stamps else self.ids[row]
            listed = self.files.images[row] if isinstance(self.files, ListedFiles) else stamped
            digest.update(repr(listed).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def to_look_at(self, rows: Sequence[int]) -> Iterator[Image.Image | None]:
        """Yield rows, in ascending order, as RGB images for people; None for what cannot be read."""
        batches: list[list[Draw]] = [[(0, row)] for row in rows]
        read = ArchivedBatches(batches, self.files) if isinstance(self.files, ListedFiles) else batches
        for [draw] in read:
            try:
                content = draw[2] if len(draw) == 3 else None
                if isinstance(content, ImageError):
                    raise content
                file = self.files[draw[1]] if content is None else ImageFile(bytes=content, path=None)
                yield decode_rgb(file, self.ids[draw[1]])
            except ImageError:
                yield None
