"""The Hub's client, made to work with servers that answer less than huggingface.co does.

Mirrors and gateways speak the part of the Hub's API that a push needs, often nothing more: no description of a
repository, no check of its card, no `X-Error-Code` beside a status. What is only asked before a commit may go
unanswered here; a server that is busy for a moment is one of them, for the client repeats none of these requests.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from mlrsnet_hf import __version__
from mlrsnet_hf.publishing.hub_errors import CLIENT_ERRORS

_REFUSED = (401, 403)
_NO_ANSWER = (404, 405, 408, 429)


@dataclass(frozen=True, slots=True)
class Described:
    """What the Hub tells of a repository; nothing is known from a Hub that does not."""

    sha: str | None = None
    """Hash of the commit that the branch stands at."""
    paths: tuple[str, ...] = ()
    private: bool | None = None


class HubClient(HfApi):
    """The client that pushes; a token that is not sent unasked (HF_HUB_DISABLE_IMPLICIT_TOKEN) is sent here."""

    def __init__(self) -> None:
        super().__init__(token=True, library_name="mlrsnet-hf", library_version=__version__)

    def repo_info(self, repo_id: str, **options: Any) -> Described:  # type: ignore[override]  # noqa: ANN401
        """Return what the Hub tells; `create_commit` asks as well, of a push that changes nothing.

        Raises:
            RepositoryNotFoundError: It is not there, or the token may not see it.
            RevisionNotFoundError: It has no such branch.
            HfHubHTTPError: The token is refused.
        """
        try:
            info = super().repo_info(repo_id, **options)
        except CLIENT_ERRORS as error:
            if isinstance(error, HfHubHTTPError) and (status_of(error) in _REFUSED or not is_plain(error)):
                raise
            return Described()
        paths = tuple(file.rfilename for file in getattr(info, "siblings", None) or ())
        return Described(info.sha, paths, getattr(info, "private", None))

    def _validate_yaml(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
        """Have the card checked beforehand, where the Hub does that; `create_commit` asks."""
        with unanswered(), suppress(json.JSONDecodeError, AttributeError):  # the answer is none of the Hub's
            super()._validate_yaml(*arguments, **options)


@contextmanager
def unanswered() -> Iterator[None]:
    """Pass over a request that the Hub does not know, or is too busy for; a refusal is raised."""
    try:
        yield
    except HfHubHTTPError as error:
        if not is_plain(error) or not gives_no_answer(error):
            raise


def status_of(error: HfHubHTTPError) -> int:
    """Return the status of the answer."""
    return error.response.status_code if error.response is not None else 0


def is_plain(error: HfHubHTTPError) -> bool:
    """Tell whether the answer named no reason that the client knows: RepoNotFound, RevisionNotFound, ..."""
    return type(error) is HfHubHTTPError


def gives_no_answer(error: HfHubHTTPError) -> bool:
    """Tell whether a status means that the Hub does not know the request, or failed at it."""
    return status_of(error) in _NO_ANSWER or status_of(error) >= 500
