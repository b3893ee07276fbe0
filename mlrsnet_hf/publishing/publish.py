"""What lies in a folder to the repository on the Hub that fits it: built first, then pushed."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.publishing.data_repository import (
    build_embeddings,
    build_space,
    is_embeddings,
    is_metric,
    is_prepared,
    take_prepared,
)
from mlrsnet_hf.publishing.hub import Pushed, check_repo_id, push
from mlrsnet_hf.publishing.model_repository import build_model, is_run
from mlrsnet_hf.publishing.repository import Repository

_ACCEPTED = (
    "a finished run (results.json and model/), a prepared dataset (manifest.json, README.md and data/*.parquet), "
    "embeddings (embeddings.json, README.md and Parquet files), or a metric (NAME/NAME.py, app.py and README.md)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A repository that was built and not pushed."""

    repository: Repository
    repo_id: str

    def summary(self) -> str:
        """Return what would be pushed, for the terminal."""
        files = self.repository.files
        return (
            f"not pushed: {len(files):,} files, {self.repository.file_bytes / 1e6:,.1f} MB, "
            f"for the {self.repository.repo_type} repository {self.repo_id}\nlook at {self.repository.folder}"
        )


def publish(
    path: str | Path,
    repo_id: str,
    *,
    dry_run: bool = False,
    private: bool = False,
    revision: str | None = None,
    collection: str | None = None,
    dataset_id: str | None = None,
    license: str | None = None,
) -> Pushed | Built:
    """Publish a run, a prepared dataset, embeddings or a metric; which one it is shows in what the folder holds.

    The token is the one of `hf auth login` or HF_TOKEN.

    Args:
        path: The folder.
        repo_id: USER/NAME or ORGANISATION/NAME.
        dry_run: Build the repository, leave it for inspection, and push nothing.
        private: Whether a new repository is private.
        revision: The branch that is written, made from main if it is not there; main by default.
        collection: Slug of a collection that the repository joins.
        dataset_id: Of a run: the repository of its data, for the card and the results that the Hub lists.
        license: Of a run: the weights' license, by the Hub's name for it, where it is not known from timm.

    Raises:
        ConfigurationError: The folder is none of these, or a name cannot be used.
        HubError: The Hub refused, or could not be reached.
    """
    path = Path(path).expanduser().absolute()
    check_repo_id(repo_id)
    _refuse_run_options(path, dataset_id, license)
    with _work_folder(path, keep=dry_run) as folder:
        repository = _build(path, folder, repo_id, dataset_id, license, revision)
        if dry_run:
            return Built(repository=repository, repo_id=repo_id)
        return push(repository, repo_id, private=private, revision=revision, collection=collection)


def publish_run(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    collection: str | None = None,
    dataset_id: str | None = None,
    license: str | None = None,
) -> Pushed:
    """Publish a finished run as a model; see `publish`."""
    if not is_run(Path(folder)):
        raise ConfigurationError(f"{folder}: not a finished run", "Give a folder with results.json and model/.")
    pushed = publish(
        folder,
        repo_id,
        private=private,
        revision=revision,
        collection=collection,
        dataset_id=dataset_id,
        license=license,
    )
    assert isinstance(pushed, Pushed), "only a dry run pushes nothing"
    return pushed


def _build(
    path: Path, folder: Path, repo_id: str, dataset_id: str | None, license: str | None, revision: str | None
) -> Repository:
    """Return the repository for what lies in `path`, with what has to be written for it in `folder`."""
    if is_run(path):
        return build_model(path, folder, repo_id, dataset_id, license, revision)
    if is_metric(path):
        return build_space(path, folder, repo_id)
    if is_prepared(path):
        return take_prepared(path)
    if is_embeddings(path):
        return build_embeddings(path, folder, repo_id)
    found = "no such folder" if not path.is_dir() else "nothing that can be published"
    raise ConfigurationError(f"{path}: {found}", f"Give {_ACCEPTED}.")


def _refuse_run_options(path: Path, dataset_id: str | None, license: str | None) -> None:
    for option, value in (("--dataset-id", dataset_id), ("--license", license)):
        if value and path.is_dir() and not is_run(path):
            raise ConfigurationError(f"{option} is for runs, and {path} is none", "Leave it out.")


@contextmanager
def _work_folder(path: Path, keep: bool) -> Iterator[Path]:
    """Yield an empty folder; it is removed unless it is to be kept and the block ends well."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"mlrsnet-{path.name}-"))
        kept = False
        try:
            yield folder
            kept = keep and any(folder.iterdir())
        finally:
            if not kept:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise ConfigurationError(
            f"{error.filename or tempfile.gettempdir()}: cannot be written ({error.strerror or error})",
            "Make room there, or set TMPDIR to another folder.",
        ) from error
