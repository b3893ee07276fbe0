"""`mlrsnet benchmark publish`: the repositories of a benchmark, and a collection of them, pushed to the Hub."""

import warnings
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub.errors import HfHubHTTPError

from mlrsnet_hf.benchmark.repositories import EVAL_YAML, Publication, build_publication
from mlrsnet_hf.benchmark.results import read_results
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.files import kept_if_stopped
from mlrsnet_hf.publishing.config import DRY_RUN_FOLDER
from mlrsnet_hf.publishing.hub import Pushed, check_can_publish, check_repo_id, gather, push, repository_url
from mlrsnet_hf.publishing.hub_errors import HubError
from mlrsnet_hf.publishing.publish import dry_run_folder, temporary_folder
from mlrsnet_hf.runtime.logs import progress_bar

_REFUSED = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What `publish_benchmark` has come to."""

    publication: Publication
    folder: Path | None
    """Where a dry run has built it; None where it was pushed."""
    pushed: tuple[Pushed, ...] = ()
    collection: str = ""
    """Page of the collection."""
    refusal: str = ""
    """Why the Hub does not take eval.yaml; empty where it does."""

    def summary(self) -> str:
        """Return what was done, for the terminal."""
        made, repo_id = self.publication, self.publication.repo_id
        if self.folder is not None:
            lines = ["not pushed:"]
            lines += [
                f"  {one.repo_type} {name}: {len(one.files):,} files, "
                f"{sum(path.stat().st_size for path in one.files.values()) / 1e6:,.1f} MB"
                for name, one in made.items
            ]
            return "\n".join([*lines, f"look at {self.folder}"])
        changed = sum(one.changed for one in self.pushed)
        done = f"published {changed:,} of {len(self.pushed):,} repositories anew" if changed else "nothing has changed"
        lines = [
            f"{done}: {len(made.models):,} models, results and report",
            f"results: {repository_url(repo_id, 'dataset')}",
            f"report: {repository_url(repo_id, 'space')}",
            f"collection: {self.collection}",
        ]
        if self.refusal:
            lines.append(f"the Hub does not take {EVAL_YAML}, so that it lists no results of others: {self.refusal}")
        return "\n".join(lines)


def publish_benchmark(
    folder: str | Path,
    repo_id: str,
    *,
    dry_run: bool = False,
    output_dir: str | Path = DRY_RUN_FOLDER,
    with_images: bool = False,
    private: bool = False,
    license: str | None = None,
) -> Outcome:
    """Publish a benchmark as it stands: models, results, report, and a collection of all of these.

    A push that was cut short is completed by the next; what has not changed is not sent again.

    Args:
        folder: The benchmark's.
        repo_id: USER/NAME of the dataset and of the Space; a model's name is USER/NAME-JOB.
        dry_run: Build everything, leave it for inspection, and push nothing.
        output_dir: Where a dry run builds, in place of an earlier one.
        with_images: Whether the report shows pictures too whose license is not known.
        private: Whether new repositories, and a new collection, are private.
        license: Of the results, by the Hub's name for it; none by default.

    Raises:
        ConfigurationError: It is no benchmark, nothing is done, or a name or folder cannot be used.
        HubError: The Hub refused, or could not be reached.
    """
    check_repo_id(repo_id)
    results = read_results(Path(folder).expanduser())
    if not any(row.state == "done" for row in results.rows):
        raise ConfigurationError(
            f"{results.benchmark.root}: no job is done, so there is nothing to publish", "Run it first."
        )
    if dry_run:
        with dry_run_folder(output_dir) as (partial, target):
            made = build_publication(results, partial, repo_id, with_images=with_images, license=license)
        return Outcome(publication=made.moved(partial, target), folder=target)
    check_can_publish(repo_id)
    again = f"run `mlrsnet benchmark publish {folder} {repo_id}` with the same options"
    with temporary_folder("benchmark") as temporary:
        made = build_publication(results, temporary, repo_id, with_images=with_images, license=license)
        with kept_if_stopped(lambda: f"What the Hub has is not sent again; {again}."):
            return push_publication(made, private)


def push_publication(made: Publication, private: bool = False) -> Outcome:
    """Push everything: models before the rows that name them, and last what the Hub may refuse.

    Raises:
        HubError: The Hub refused something, or could not be reached; the next call goes on.
    """
    order = [*made.models.items(), (made.repo_id, made.space), (made.repo_id, made.results)]
    pushed = []
    with progress_bar(description="pushing", total=len(order), unit="repository") as bar, warnings.catch_warnings():
        # Predictions belong to their model; the client takes any data file there for a mistake.
        warnings.filterwarnings("ignore", message=".*about to commit a data file")
        for name, repository in order:
            pushed.append(push(repository, name, private=private))
            bar.update()
    items = [(name, repository.repo_type) for name, repository in made.items]
    owner, _, name = made.repo_id.partition("/")
    told = f"{made.title}: self-reported results, their report, and the models. Made with mlrsnet-hf."
    collection = gather(owner, name, told, items, private=private)
    refusal = ""
    try:
        push(made.registration, made.repo_id, private=private)
    except HubError as error:
        if not _is_refusal(error):
            raise
        refusal = error.found
    return Outcome(publication=made, folder=None, pushed=tuple(pushed), collection=collection, refusal=refusal)


def _is_refusal(error: HubError) -> bool:
    """Tell whether the Hub found fault with what was sent."""
    cause = error.__cause__
    return isinstance(cause, HfHubHTTPError) and cause.response.status_code == _REFUSED
