"""A Space that shows the app: a model and embeddings of the Hub, a thin app.py, the package's wheel, and pictures.

A free Space loses its disk when it sleeps: the index is built of the Hub's embeddings whenever it starts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import constants

from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.hub_download import download_folder
from mlrsnet_hf.inputs.catalog import Catalog
from mlrsnet_hf.inputs.config import MLRSNET
from mlrsnet_hf.inputs.pixels.thumbnails import Thumbnails
from mlrsnet_hf.models.saved_model import CONFIG_FILE
from mlrsnet_hf.published import IMAGERY
from mlrsnet_hf.publishing.cards import CARD, front_matter, render
from mlrsnet_hf.publishing.hub import check_repo_id
from mlrsnet_hf.publishing.repository import Repository
from mlrsnet_hf.publishing.wheel import write_wheel
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingFolder, open_embeddings
from mlrsnet_hf.runtime.logs import get_logger, progress_bar

logger = get_logger(__name__)

PICTURES = "pictures"
"""Folder of the Parquet files of small pictures: `id`, and `image`, a JPEG file."""
_EXTRAS = "app,search,train"
_FREE = (MLRSNET, "synthetic scenes")
"""Images of a known license: CC BY 4.0 for the release, and this package's own drawings."""
_PICTURES_AT_ONCE = 1024
_APP = '''"""The app of {repo_id}: all that it does is in the package mlrsnet-hf."""

from pathlib import Path

from mlrsnet_hf.apps.space import run_space

if __name__ == "__main__":
    run_space(model={model!r}, embeddings={embeddings!r}, folder=Path(__file__).parent)
'''


@dataclass(frozen=True, kw_only=True)
class AppParts:
    """What a Space shows."""

    model: str | None
    """Repository of the model; None for no tab Classify."""
    embeddings: str | None
    """Repository of the embeddings; None for no tab Search."""
    catalog: Catalog | None = None
    """Dataset whose pictures go along; None for none."""
    with_images: bool = False
    """Whether pictures go along whose license is not known."""
    thumbnails: Thumbnails


def build_app_space(parts: AppParts, folder: Path, repo_id: str) -> Repository:
    """Fill an empty folder with the Space.

    Args:
        parts: What it shows.
        folder: The folder.
        repo_id: The Space's repository.

    Raises:
        ConfigurationError: There is neither a model nor embeddings, or no picture that could go along.
        MLRSNetError: The Hub has no such repository.
    """
    if parts.model is None and parts.embeddings is None:
        raise ConfigurationError(
            "a Space shows a model of the Hub, or embeddings of the Hub, and neither is given",
            "Give --model USER/NAME, --embeddings USER/NAME, or both.",
        )
    for name in filter(None, (parts.model, parts.embeddings)):
        check_repo_id(name)
    if parts.model is not None:
        download_folder(parts.model, "model", [CONFIG_FILE])
    embeddings = None if parts.embeddings is None else open_embeddings(parts.embeddings)
    pictures = _write_pictures(parts, embeddings, folder / PICTURES)
    wheel = write_wheel(folder)
    app = _APP.format(repo_id=repo_id, model=parts.model, embeddings=parts.embeddings)
    (folder / "app.py").write_text(app, encoding="utf-8")
    (folder / "requirements.txt").write_text(_requirements(wheel.name, repo_id), encoding="utf-8")
    (folder / CARD).write_text(_card(parts, embeddings, pictures, repo_id), encoding="utf-8")
    return Repository(
        kind="app",
        repo_type="space",
        folder=folder,
        owned=("*.whl", f"{PICTURES}/*.parquet"),
        space_sdk="gradio",
    )


def _write_pictures(parts: AppParts, embeddings: EmbeddingFolder | None, folder: Path) -> int:
    """Write small pictures of the embedded images, as far as they may go along; return their number."""
    if parts.catalog is None or embeddings is None:
        if parts.with_images:
            raise ConfigurationError(
                "with_images is given, and no images of embeddings",
                "Give --embeddings, and their dataset, such as --data-dir.",
            )
        return 0
    name = embeddings.info.dataset_name
    if name not in _FREE and not parts.with_images:
        logger.info("%s: their license is not known, so no picture goes along; --with-images sends them", name)
        return 0
    ids = [name for rows in embeddings.batches() for name in rows.ids]
    written, batch = 0, []
    folder.mkdir()
    with progress_bar(description="making small pictures", total=len(ids), unit="image") as bar:
        for start in range(0, len(ids), _PICTURES_AT_ONCE):
            some = ids[start : start + _PICTURES_AT_ONCE]
            batch = _small(parts.catalog, some, parts.thumbnails)
            if batch:
                _write_batch(batch, folder / f"{PICTURES}-{start:07d}.parquet")
            written += len(batch)
            bar.update(len(some))
    if not written:
        raise ConfigurationError(
            f"{parts.embeddings}: none of its images is in the dataset", "Give the dataset that was embedded."
        )
    return written


def _small(catalog: Catalog, ids: Sequence[str], thumbnails: Thumbnails) -> list[tuple[str, bytes]]:
    """Return those of some images that can be read, small."""
    found = []
    for image in catalog.images([row for row in catalog.rows_of(ids) if row is not None]):
        try:
            found.append((image.id, thumbnails.jpeg(image.file, image.id)))
        except MLRSNetError as error:
            logger.info("%s", error)
    return found


def _write_batch(batch: Sequence[tuple[str, bytes]], path: Path) -> None:
    images = [{"bytes": content, "path": None} for _, content in batch]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"id": pa.array([name for name, _ in batch]), "image": pa.array(images, kind)})
    pq.write_table(table, path)


def _requirements(wheel: str, repo_id: str) -> str:
    """Return the requirements: pip finds the wheel beside them, or where a Space that has not copied it yet does."""
    address = f"{constants.ENDPOINT}/spaces/{repo_id}/resolve/main/{wheel}"
    package, number = wheel.split("-")[:2]
    name = package.replace("_", "-")
    return f"--find-links .\n--find-links {address}\n{name}[{_EXTRAS}]=={number}\n"


def _card(parts: AppParts, embeddings: EmbeddingFolder | None, pictures: int, repo_id: str) -> str:
    info = embeddings.info if embeddings else None
    header = {
        "title": repo_id.split("/")[1],
        "colorFrom": "blue",
        "colorTo": "green",
        "sdk": "gradio",
        "sdk_version": version("gradio"),
        "app_file": "app.py",
        "models": [parts.model] if parts.model else [],
        "datasets": [parts.embeddings] if parts.embeddings else [],
        "tags": ["remote-sensing", "multi-label", "image-retrieval"],
        "license": "apache-2.0",
        "short_description": "Classify and search remote sensing images",
    }
    return render(
        "app_card.md",
        header=front_matter({name: value for name, value in header.items() if value != []}),
        title=header["title"],
        parts=parts,
        info=info,
        pictures=pictures,
        imagery=IMAGERY if info is not None and info.dataset_name == MLRSNET else "",
        known_license=info is not None and info.dataset_name in _FREE,
    )
