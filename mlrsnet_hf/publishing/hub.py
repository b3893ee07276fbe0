"""A folder to a repository on the Hub, in one commit: the only module that writes to the network.

The client (`huggingface_hub`) sends only the large files that the Hub lacks, and makes no commit of files that are all
there. Its `upload_folder` splits a large folder into several commits; `create_commit` does not. It tries again where
files are sent; `_patiently` does so for all else.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from typing import Any, TypeVar

from huggingface_hub import (
    CommitInfo,
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    constants,
    get_token,
)
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
    validate_repo_id,
)

from mlrsnet_hf import __version__
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.publishing.hub_errors import CLIENT_ERRORS, HubError, hub_errors, not_logged_in, seconds_to_wait
from mlrsnet_hf.publishing.repository import Repository, RepoType
from mlrsnet_hf.runtime.logs import get_logger

logger = get_logger(__name__)

Outcome = TypeVar("Outcome")

_BUSY = (429, 500, 502, 503, 504)
_PAUSES = (1, 2, 4, 8)
"""Seconds between tries, where the answer asks for no other time."""
_LONGEST = 600
"""Seconds: whoever is asked to wait longer had better come back."""
_TITLE, _DESCRIPTION = 60, 150
"""Characters that the Hub takes of those of a collection."""
_REFUSED = (401, 403)
_NOT_FOUND, _TAKEN = 404, 409
_NO_ANSWER = (404, 405, 408, 429)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A repository as a push left it."""

    url: str
    """The repository's page."""
    commit: str | None
    """Hash of the commit that it now stands at; None if nothing was sent to a Hub that does not tell it."""
    changed: bool
    """Whether a commit was made; false if the Hub had all files as they are."""
    files: int
    """Number of files that the repository holds from here."""
    file_bytes: int
    removed: int = 0
    """Number of files that an earlier push had left there."""
    privacy_unknown: bool = False
    """Whether a private repository was wanted, one was there, and the Hub does not say whether it is private."""

    def summary(self) -> str:
        """Return what was done, for the terminal."""
        files = f"{self.files:,} files, {self.file_bytes / 1e6:,.1f} MB"
        removed = f", removed {self.removed:,} of an earlier push" if self.removed else ""
        done = f"published {files}{removed}" if self.changed else f"nothing has changed ({files})"
        lines = [f"{done}: {self.url}{f' at {self.commit}' if self.commit else ''}"]
        if self.privacy_unknown:
            lines.append("the repository was there, and the Hub does not say whether it is private: look at its page")
        return "\n".join(lines)


def push(
    repository: Repository,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    collection: str | None = None,
) -> Pushed:
    """Bring a repository on the Hub to what was built, in one commit; make it if it is not there.

    Files there that a push like this one wrote earlier, and that are no longer in what was built, are removed by the
    same commit; other files are left alone.

    Args:
        repository: What was built.
        repo_id: USER/NAME or ORGANIZATION/NAME.
        private: Whether a new repository is private.
        revision: The branch that is written, made from main if it is not there; main by default.
        collection: Slug of a collection that the repository joins.

    Raises:
        ConfigurationError: `repo_id` is no such name.
        HubError: The Hub refused, or could not be reached; what arrived is not sent again by the next push.
    """
    check_repo_id(repo_id)
    if get_token() is None:
        raise not_logged_in()
    api, files = HubClient(), repository.files
    target = f"{repository.repo_type} repository {repo_id}"
    with _bars_on_a_terminal(), hub_errors(target):
        if collection:
            with hub_errors(f"collection {collection}"):
                _require_collection(api, collection)
        is_new = _create(api, repository, repo_id, private)
        with _known_name(repository, repo_id, is_new):
            if revision and revision != constants.DEFAULT_REVISION and not revision.startswith("refs/"):
                with _unanswered():
                    _patiently(
                        lambda: api.create_branch(
                            repo_id, branch=revision, repo_type=repository.repo_type, exist_ok=True
                        )
                    )
            there = api.repo_info(repo_id, repo_type=repository.repo_type, revision=revision)
            if private and there.private is False:
                raise HubError(
                    f"{target} is there already, and public",
                    "Make it private in its settings on the Hub, leave out --private, or choose another name.",
                )
            stale = _stale(repository, there)

            known: RepositoryState | None = there

            def commit() -> CommitInfo:
                nonlocal known
                # Asked for anew by a second try: the first may have been heard, though it was not answered.
                now = known or api.repo_info(repo_id, repo_type=repository.repo_type, revision=revision)
                known = None
                return api.create_commit(
                    repo_id,
                    [
                        *(CommitOperationAdd(name, path) for name, path in sorted(files.items())),
                        *(CommitOperationDelete(path) for path in _stale(repository, now)),
                    ],
                    commit_message=f"Upload {repository.kind} with mlrsnet-hf {__version__}",
                    repo_type=repository.repo_type,
                    revision=revision,
                )

            made = _patiently(commit, of="/commit/")
        if collection:
            with hub_errors(f"collection {collection} ({target} was published)"):
                _patiently(lambda: api.add_collection_item(collection, repo_id, repository.repo_type, exists_ok=True))
    return Pushed(
        url=repository_url(repo_id, repository.repo_type),
        commit=made.oid or there.sha,
        changed=made.oid not in (None, there.sha),
        removed=len(stale),
        privacy_unknown=private and not is_new and there.private is None,
        files=len(files),
        file_bytes=sum(path.stat().st_size for path in files.values()),
    )


def gather(
    owner: str, title: str, description: str, items: Sequence[tuple[str, RepoType]], *, private: bool = False
) -> str:
    """Have a collection of this title hold these repositories, beside what else it holds; return its page.

    Args:
        owner: User or organization.
        title: At most 60 characters are taken.
        description: At most 150.
        items: Name and kind of each, in the order that new ones join in.
        private: Whether a new collection is private.

    Raises:
        HubError: The Hub refused, or could not be reached; the next call goes on.
    """
    if get_token() is None:
        raise not_logged_in()
    api = HubClient()
    with hub_errors(f"collection {title!r} of {owner}"):
        collection = _patiently(
            lambda: api.create_collection(
                title[:_TITLE], namespace=owner, description=description[:_DESCRIPTION], private=private, exists_ok=True
            )
        )
        there = {(item.item_id, item.item_type) for item in collection.items}
        for repo_id, kind in items:
            if (repo_id, kind) not in there:
                _patiently(partial(api.add_collection_item, collection.slug, repo_id, kind, exists_ok=True))
    return f"{constants.ENDPOINT}/collections/{collection.slug}"


def _stale(repository: Repository, there: "RepositoryState") -> list[str]:
    """Return what an earlier push has left there that is no longer in what was built."""
    left_over = set(there.paths) - set(repository.files)
    return sorted(path for path in left_over if any(fnmatch(path, pattern) for pattern in repository.owned))


def _patiently(request: Callable[[], Outcome], of: str = "") -> Outcome:
    """Return what a request gives, tried a few times again where the Hub is busy, after as long as it asks for.

    Args:
        request: Asks the Hub; may be done twice.
        of: Part of the address that is meant, where the client itself tries others again.
    """
    for pause in _PAUSES:
        try:
            return request()
        except HfHubHTTPError as error:
            asked = seconds_to_wait(error)
            wait = pause if asked is None else asked
            if _status_of(error) not in _BUSY or wait > _LONGEST or of not in str(error.response.request.url):
                raise
            logger.info("the Hub is busy (status %d): trying again in %.0f seconds", _status_of(error), wait)
            time.sleep(wait)
    return request()


def check_can_publish(repo_id: str, dataset_id: str | None = None) -> str | None:
    """Ask the Hub who holds the token, before hours are spent on something to publish; write nothing.

    Whether a fine-grained token may write to the very repository shows only when it does. A Hub that does not tell
    whose a token is, or is too busy for it, is no reason not to train.

    Args:
        repo_id: Will be written.
        dataset_id: Will be named in the card.

    Returns:
        The user's name; None from a Hub that does not tell it.

    Raises:
        ConfigurationError: One of them is not USER/NAME.
        HubError: There is no token, the Hub does not know it, it may only read, or it belongs to somebody else.
    """
    for name in filter(None, (repo_id, dataset_id)):
        check_repo_id(name)
    if get_token() is None:
        raise not_logged_in()
    account: Any = None
    with hub_errors(f"repository {repo_id}"), _unanswered():
        account = HubClient().whoami()
    if not isinstance(account, dict) or "name" not in account:
        return None
    user = str(account["name"])
    if account.get("auth", {}).get("accessToken", {}).get("role") == "read":
        raise HubError(
            f"repository {repo_id}: the token of {user} may only read",
            "Make one that may write at https://huggingface.co/settings/tokens.",
        )
    namespaces = [user, *(organization["name"] for organization in account.get("orgs", ()))]
    if "orgs" in account and repo_id.split("/")[0] not in namespaces:
        raise HubError(
            f"repository {repo_id}: the token is that of {user}, who does not write there",
            f"Give {' or '.join(f'{name}/NAME' for name in namespaces)}, or use another token.",
        )
    return user


def check_repo_id(repo_id: str) -> None:
    """Refuse what is not USER/NAME.

    Raises:
        ConfigurationError: It is not.
    """
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ConfigurationError(f"{repo_id!r} cannot be a repository ({reason})", "Give USER/NAME.") from error
    if repo_id.count("/") != 1:
        raise ConfigurationError(f"{repo_id!r} names no user or organization", "Give USER/NAME.")


def repository_url(repo_id: str, repo_type: str) -> str:
    """Return the page of a repository."""
    return f"{constants.ENDPOINT}/{constants.REPO_TYPES_URL_PREFIXES.get(repo_type, '')}{repo_id}"


@dataclass(frozen=True, slots=True)
class RepositoryState:
    """What the Hub tells of a repository; nothing is known from a Hub that does not."""

    sha: str | None = None
    """Hash of the commit that the branch stands at."""
    paths: tuple[str, ...] = ()
    private: bool | None = None


class HubClient(HfApi):
    """The client that pushes; a token that is not sent unasked (HF_HUB_DISABLE_IMPLICIT_TOKEN) is sent here.

    `create_commit` asks `repo_info` and, an interface of the client's own, `_validate_yaml`; both are made to pass over
    a Hub that has no answer.
    """

    def __init__(self) -> None:
        super().__init__(token=True, library_name="mlrsnet-hf", library_version=__version__)

    def repo_info(self, repo_id: str, **options: Any) -> RepositoryState:  # type: ignore[override]  # noqa: ANN401
        """Return what the Hub tells; `create_commit` needs it for a push that changes nothing.

        Raises:
            RepositoryNotFoundError: It is not there, or the token may not see it.
            RevisionNotFoundError: It has no such branch.
            HfHubHTTPError: The token is refused.
        """
        ask = super().repo_info
        try:
            info = _patiently(lambda: ask(repo_id, **options))
        except CLIENT_ERRORS as error:
            if isinstance(error, HfHubHTTPError) and (_status_of(error) in _REFUSED or not _is_plain(error)):
                raise
            return RepositoryState()
        paths = tuple(file.rfilename for file in getattr(info, "siblings", None) or ())
        return RepositoryState(info.sha, paths, getattr(info, "private", None))

    def _validate_yaml(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
        """Have the card checked before the push, where the Hub does that."""
        with _unanswered(), suppress(json.JSONDecodeError, AttributeError):  # the answer is none of the Hub's
            super()._validate_yaml(*arguments, **options)


@contextmanager
def _unanswered() -> Iterator[None]:
    """Pass over a request that the Hub does not know, or is too busy for; a refusal is raised."""
    try:
        yield
    except HfHubHTTPError as error:
        if not _is_plain(error) or not _gives_no_answer(error):
            raise


def _status_of(error: HfHubHTTPError) -> int:
    """Return the status of the answer."""
    return error.response.status_code if error.response is not None else 0


def _is_plain(error: HfHubHTTPError) -> bool:
    """Tell whether the answer named no reason that the client knows: RepoNotFound, RevisionNotFound, ..."""
    return type(error) is HfHubHTTPError


def _gives_no_answer(error: HfHubHTTPError) -> bool:
    """Tell whether a status means that the Hub does not know the request, or failed at it."""
    return _status_of(error) in _NO_ANSWER or _status_of(error) >= 500


def _require_collection(api: HubClient, slug: str) -> None:
    """Raise for a collection that is not there; the Hub being too busy to tell is no reason to stop."""
    try:
        _patiently(lambda: api.get_collection(slug))
    except HfHubHTTPError as error:
        if _status_of(error) == _NOT_FOUND or not _gives_no_answer(error):
            raise


def _create(api: HubClient, repository: Repository, repo_id: str, private: bool) -> bool:
    """Make the repository; return whether it is new."""
    kind = repository.repo_type
    try:
        _patiently(
            lambda: api.create_repo(repo_id, repo_type=kind, private=private or None, space_sdk=repository.space_sdk)
        )
    except HfHubHTTPError as error:
        # A token for this one repository may not make any (403), and a busy Hub may have it.
        if _status_of(error) != _TAKEN and not _is_there(api, repo_id, kind):
            raise
        return False
    return True


def _is_there(api: HubClient, repo_id: str, repo_type: str) -> bool:
    with suppress(HfHubHTTPError):
        return api.repo_info(repo_id, repo_type=repo_type).sha is not None
    return False


@contextmanager
def _known_name(repository: Repository, repo_id: str, is_new: bool) -> Iterator[None]:
    """Say what it means if a repository cannot be made because it is there, and is not there when it is written."""
    try:
        yield
    except HfHubHTTPError as error:
        named = isinstance(error, RepositoryNotFoundError)
        if is_new or _status_of(error) != _NOT_FOUND or not (named or _is_plain(error)):
            raise
        raise HubError(
            f"{repo_id}: the name is taken by something other than a {repository.repo_type} repository of yours",
            f"A {repository.kind} becomes a {repository.repo_type} repository; choose another name.",
        ) from error


@contextmanager
def _bars_on_a_terminal() -> Iterator[None]:
    """Show the client's progress bars where somebody watches and nowhere else, unless the user has settled that."""
    settled = constants.HF_HUB_DISABLE_PROGRESS_BARS is not None or are_progress_bars_disabled()
    if settled or (sys.stderr.isatty() and get_logger(__name__).isEnabledFor(logging.INFO)):
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
