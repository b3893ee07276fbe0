"""What the Hub's client raises, in one sentence each."""

import email.utils
import errno
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from huggingface_hub import constants, get_token
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from mlrsnet_hf.errors import MLRSNetError

_NETWORK_ERRORS: tuple[type[Exception], ...] = (*HfHubHTTPError.__bases__, OSError)
"""Errors of the network, with the base of those of the HTTP library, which depends on the client's version."""
_ANSWER_ERRORS = (ValueError, KeyError, TypeError, AttributeError)
"""What the client raises where an answer has not the Hub's form."""
CLIENT_ERRORS: tuple[type[Exception], ...] = (*_NETWORK_ERRORS, *_ANSWER_ERRORS, RuntimeError)

_AGAIN = "Publish again: what arrived is not sent a second time."
_LOG_IN = "Run `hf auth login`, or set HF_TOKEN, with a token that may write (https://huggingface.co/settings/tokens)."


class HubError(MLRSNetError):
    """The Hub refused, or could not be reached."""


@contextmanager
def hub_errors(target: str) -> Iterator[None]:
    """Turn what the client raises in the block into a `HubError`.

    Args:
        target: What is written to, as it stands in the sentence: "model repository user/name".

    Raises:
        HubError: The client gave up. No text in it, nor in what it was raised from, holds the token. Mistakes of this
            package stay what they are.
    """
    try:
        yield
    except CLIENT_ERRORS as error:
        if isinstance(error, MLRSNetError) or not _is_clients(error):
            raise
        found, remedy = _explain(error, target)
        told = HubError(_without_token(found), remedy)
        raise told from (None if _tells_token(error) else error)


def _is_clients(error: Exception) -> bool:
    """Tell an error of the client from a mistake of this package, which may be of the same type."""
    if isinstance(error, (*_NETWORK_ERRORS, HFValidationError)) or isinstance(error.__cause__, _NETWORK_ERRORS):
        return True
    raised_in = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    # A function of the client that is called wrongly fails in the decorator of all of them.
    known = [name for name in raised_in if name.startswith(("mlrsnet_hf", "huggingface_hub"))]
    known = [name for name in known if name != "huggingface_hub.utils._validators"]
    return bool(known) and known[-1].startswith("huggingface_hub")


def seconds_to_wait(error: HfHubHTTPError) -> float | None:
    """Return how long the answer asks to wait: by Retry-After, a number or a date, or else by the Hub's RateLimit."""
    headers = error.response.headers if error.response is not None else {}
    asked = headers.get("Retry-After", "").strip()
    if asked.isdigit():
        return float(asked)
    with suppress(ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(asked).timestamp() - time.time())
    reset = headers.get("RateLimit", "").rpartition("t=")[2]  # as in "api";r=0;t=55
    return float(reset) if reset.isdigit() else None


def not_logged_in() -> HubError:
    """Return the error of somebody who has no token."""
    return HubError("there is no token for the Hub", _LOG_IN)


def _explain(error: BaseException, target: str) -> tuple[str, str]:
    """Return finding and remedy."""
    for cause in _chain(error):  # the client wraps a failed upload in a RuntimeError
        if isinstance(cause, LocalTokenNotFoundError):
            return "there is no token for the Hub", _LOG_IN
        if isinstance(cause, OfflineModeIsEnabled):
            return f"{target}: the Hub's client is told to stay offline", "Unset HF_HUB_OFFLINE."
        if isinstance(cause, HFValidationError):
            return f"{target}: not a name that the Hub takes ({_text(cause)})", "Give USER/NAME."
        if isinstance(cause, HfHubHTTPError):
            return _explain_status(cause, target)
    for cause in _chain(error):
        if isinstance(cause, OSError) and (local := _explain_local(cause, target)):
            return local
        if "LFS batch API returned errors" in str(cause):  # a full quota, as a rule
            return f"{target}: the Hub does not take a file ({_text(cause)})", f"Mend what it names. {_AGAIN}"
    if isinstance(error, _ANSWER_ERRORS):
        remedy = f"Check that HF_ENDPOINT, {constants.ENDPOINT}, is a Hub; if it is, the reason stands before this."
        return f"{target}: the Hub's answer cannot be used ({_text(error)})", remedy
    return (
        f"{target}: the connection to {constants.ENDPOINT} failed ({_text(_chain(error)[-1])})",
        f"Check the network. {_AGAIN}",
    )


def _explain_local(error: OSError, target: str) -> tuple[str, str] | None:
    """Return finding and remedy of what went wrong on this machine."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{target}: {error.strerror}", f"Make room on the disk. {_AGAIN}"
    if isinstance(error, PermissionError) and error.errno is None:  # of the Xet storage
        return f"{target}: the storage does not take the token ({_text(error)})", _LOG_IN
    if error.filename is not None:
        return f"{error.filename}: cannot be read ({error.strerror})", f"Mend that. {_AGAIN}"
    return None


def _explain_status(error: HfHubHTTPError, target: str) -> tuple[str, str]:
    status = error.response.status_code if error.response is not None else 0
    said = _said(status, error)
    asked = seconds_to_wait(error)
    wait = "some minutes" if asked is None else f"{asked:,.0f} seconds"
    invalid = f"the Hub does not know the token{said}", _LOG_IN
    if isinstance(error, RevisionNotFoundError):
        return f"{target}: there is no such branch{said}", "Give the name of a branch with --revision."
    if isinstance(error, RepositoryNotFoundError) and status == 401:
        return f"{target}: the token is not valid, or may not see it{said}", _LOG_IN
    if isinstance(error, RepositoryNotFoundError) or status == 404:
        return f"{target}: not found{said}", "Check the name, and whether the token may see it."
    sentences = {
        400: (f"{target}: the Hub refused what was sent{said}", "Mend what it names, and run again."),
        401: invalid,
        402: (f"{target}: the Hub asks for a paid plan{said}", "Choose another namespace, or see the account's plan."),
        403: (
            f"{target}: the token may not write there{said}",
            "Use a token with write access to that namespace, or another USER/NAME.",
        ),
        409: (f"{target}: something else is writing to it{said}", f"Wait. {_AGAIN}"),
        412: (f"{target}: something else wrote to it meanwhile{said}", _AGAIN),
        413: (f"{target}: a file is larger than the Hub takes{said}", "Publish fewer or smaller files."),
        429: (f"{target}: the Hub's limit of requests is reached{said}", f"Wait {wait}. {_AGAIN}"),
        507: (f"{target}: the Hub has no room left for this account{said}", "Make room there, and run again."),
    }
    if status in sentences:
        return sentences[status]
    if status >= 500:
        return f"{target}: the Hub failed{said}", f"Wait {wait}. {_AGAIN}"
    return f"{target}: the Hub refused{said}", "See what it says."


def _said(status: int, error: HfHubHTTPError) -> str:
    """Return the status and the server's own words, if it had some."""
    message = " ".join((error.server_message or "").split())
    return f" (status {status}, it says: {message[:300].rstrip('.')})" if message else f" (status {status})"


def _chain(error: BaseException) -> list[BaseException]:
    """Return the error, what it was raised from, what that was raised from, ..."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    return chain


def _text(error: BaseException) -> str:
    """Return an error's text as one line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:300].rstrip(".")


def _tells_token(error: BaseException) -> bool:
    """Tell whether an error's text repeats the token, as a server's answer might."""
    token = get_token()
    return token is not None and any(token in f"{cause} {cause!r}" for cause in _chain(error))


def _without_token(text: str) -> str:
    token = get_token()
    return text.replace(token, "***") if token else text
