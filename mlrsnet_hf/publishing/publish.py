"""What lies in a folder to the repository on the Hub that fits it: built first, then pushed."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError
from mlrsnet_hf.files import kept_if_stopped, whole_folder
from mlrsnet_hf.metrics.modules import metric_path
from mlrsnet_hf.publishing.config import DRY_RUN_FOLDER
from mlrsnet_hf.publishing.hub import Pushed, check_repo_id, push
from mlrsnet_hf.publishing.model_repository import build_model_repository, is_run
from mlrsnet_hf.publishing.repository import (
    Repository,
    build_embeddings,
    build_space,
    is_embeddings,
    is_metric,
    is_prepared,
    take_prepared,
)

_DRY_RUN_MARK = ".mlrsnet-dry-run"
"""Tells the folder of a dry run, which the next one may replace, from all others; hidden, and so not published."""
_ACCEPTED = (
    "a finished run (results.json and model/), a prepared dataset (manifest.json, README.md and data/*.parquet), "
    "embeddings (embeddings.json, README.md and Parquet files), or a metric (its name, such as anmrr, or its folder: "
    "NAME/NAME.py, app.py and README.md)"
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
            f"not pushed: {len(files):,} files, {sum(path.stat().st_size for path in files.values()) / 1e6:,.1f} MB, "
            f"for the {self.repository.repo_type} repository {self.repo_id}\nlook at {self.repository.folder}"
        )


def publish(
    path: str | Path,
    repo_id: str,
    *,
    dry_run: bool = False,
    output_dir: str | Path = DRY_RUN_FOLDER,
    private: bool = False,
    revision: str | None = None,
    hub_collection: str | None = None,
    dataset_id: str | None = None,
    license: str | None = None,
    evaluation: Sequence[str | Path] = (),
) -> Pushed | Built:
    """Publish a run, a prepared dataset, embeddings or a metric; which one it is shows in what the folder holds.

    The token is the one of `hf auth login` or HF_TOKEN.

    Args:
        path: The folder; for a metric its name will do.
        repo_id: USER/NAME or ORGANIZATION/NAME.
        dry_run: Build the repository, leave it for inspection, and push nothing.
        output_dir: Where a dry run builds, in place of what an earlier dry run built there. A prepared dataset needs
            no building, and is looked at where it lies.
        private: Whether a new repository is private.
        revision: The branch that is written, made from main if it is not there; main by default.
        hub_collection: Slug of a collection that the repository joins.
        dataset_id: Of a run: the repository of its data, for the card and the results that the Hub lists.
        license: Of a run: the weights' license, by the Hub's name for it, where it is not known from timm.
        evaluation: Of a run: folders that `mlrsnet evaluate` wrote for its model, whose scores join the card.

    Raises:
        ConfigurationError: The folder is none of these, a name cannot be used, or `output_dir` is another's.
        HubError: The Hub refused, or could not be reached.
    """
    path = _find_folder(Path(path).expanduser())
    check_repo_id(repo_id)
    for option, value in (("--dataset-id", dataset_id), ("--license", license), ("--evaluation", evaluation)):
        if value and path.is_dir() and not is_run(path):
            raise ConfigurationError(f"{option} is for runs, and {path} is none", "Leave it out.")

    def build(folder: Path) -> Repository:
        if is_run(path):
            return build_model_repository(path, folder, repo_id, dataset_id, license, revision, evaluation)
        if is_metric(path):
            return build_space(path, folder, repo_id)
        if is_embeddings(path):
            return build_embeddings(path, folder, repo_id)
        found = "nothing that can be published" if path.is_dir() else "no such folder"
        raise ConfigurationError(f"{path}: {found}", f"Give {_ACCEPTED}.")

    again = f"run `mlrsnet publish {path} {repo_id}` with the same options"
    options: dict[str, Any] = {"private": private, "revision": revision, "hub_collection": hub_collection}
    if is_prepared(path):
        repository = take_prepared(path)
        return (
            Built(repository=repository, repo_id=repo_id) if dry_run else _send(repository, repo_id, again, **options)
        )
    target = Path(output_dir).expanduser().absolute()
    if dry_run and path in (target, *target.parents):
        raise ConfigurationError(f"{target}: lies in what is published", "Give an --output-dir outside of it.")
    return build_and_send(build, repo_id, path.name, again, dry_run=dry_run, output_dir=output_dir, **options)


def build_and_send(
    build: Callable[[Path], Repository],
    repo_id: str,
    name: str,
    again: str,
    *,
    dry_run: bool = False,
    output_dir: str | Path = DRY_RUN_FOLDER,
    private: bool = False,
    revision: str | None = None,
    hub_collection: str | None = None,
) -> Pushed | Built:
    """Build a repository in a folder, and push it, or leave it there for a dry run.

    Args:
        build: Fills an empty folder.
        repo_id: USER/NAME or ORGANIZATION/NAME.
        name: Of what is published, for the temporary folder.
        again: How a push that was cut short is done again, in words.
        dry_run: Build it, leave it for inspection, and push nothing.
        output_dir: Where a dry run builds, in place of an earlier one.
        private: Whether a new repository is private.
        revision: The branch that is written; main by default.
        hub_collection: Slug of a collection that the repository joins.

    Raises:
        ConfigurationError: It cannot be built, or `output_dir` is another's.
        HubError: The Hub refused, or could not be reached.
    """
    if dry_run:
        with dry_run_folder(output_dir) as (partial, target):
            repository = build(partial)
        return Built(repository=replace(repository, folder=target), repo_id=repo_id)
    with temporary_folder(name) as temporary:
        repository = build(temporary)
        return _send(repository, repo_id, again, private=private, revision=revision, hub_collection=hub_collection)


@contextmanager
def dry_run_folder(output_dir: str | Path) -> Iterator[tuple[Path, Path]]:
    """Yield the folder that a dry run fills, and the one that it becomes, in place of that of an earlier dry run.

    Raises:
        ConfigurationError: `output_dir` is another's, or cannot be written.
    """
    target = Path(output_dir).expanduser().absolute()
    if target.exists() and not (target / _DRY_RUN_MARK).is_file():
        raise ConfigurationError(f"{target}: no folder of a dry run", "Remove it, or give another --output-dir.")
    with whole_folder(target, replace=True) as partial:
        yield partial, target
        (partial / _DRY_RUN_MARK).touch()


@contextmanager
def temporary_folder(name: str) -> Iterator[Path]:
    """Yield an empty folder, named after what is built in it, that is gone afterwards.

    Raises:
        ConfigurationError: It, or what is put into it, cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=f"mlrsnet-{name}-") as temporary:
            yield Path(temporary)
    except OSError as error:
        raise ConfigurationError(
            f"{error.filename or tempfile.gettempdir()}: cannot be written ({error.strerror or error})",
            "Make room there, or set TMPDIR to another folder.",
        ) from error


def _send(
    repository: Repository,
    repo_id: str,
    again: str,
    *,
    private: bool = False,
    revision: str | None = None,
    hub_collection: str | None = None,
) -> Pushed:
    with kept_if_stopped(lambda: f"What the Hub has is not sent again; {again}."):
        return push(repository, repo_id, private=private, revision=revision, collection=hub_collection)


def publish_run(folder: str | Path, repo_id: str, **options: Any) -> Pushed:  # noqa: ANN401 - see `publish`
    """Publish a finished run as a model, with the options of `publish`, and refuse every other folder."""
    if not is_run(Path(folder)):
        raise ConfigurationError(f"{folder}: not a finished run", "Give a folder with results.json and model/.")
    pushed = publish(folder, repo_id, **options)
    assert isinstance(pushed, Pushed), "only a dry run pushes nothing"
    return pushed


def _find_folder(path: Path) -> Path:
    """Return a folder, or that of a metric which is called by its name; as in a checkout, metrics/NAME is one too."""
    if not path.exists() and path.parent in (Path(), Path("metrics")):
        with suppress(UnknownNameError):
            return Path(metric_path(path.name))
    return path.absolute()
