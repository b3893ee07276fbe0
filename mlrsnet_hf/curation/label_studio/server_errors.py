"""What goes wrong between us and a Label Studio server, as one sentence each."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx

from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.escaping import on_one_line

REFUSED = "Change what it names, and run again."
_AGAIN = "Run again when it is up; what it has already acknowledged is kept."


@contextmanager
def asking(url: str, subject: str, refused: str = REFUSED) -> Iterator[None]:
    """Turn whatever goes wrong between us and a server into one sentence.

    Args:
        url: The server's address.
        subject: What is asked about.
        refused: What to do where the server does not take what was sent.
    """
    from label_studio_sdk.core.api_error import ApiError

    try:
        yield
    except httpx.TimeoutException as error:
        raise MLRSNetError(f"{url}: Label Studio does not answer ({subject})", _AGAIN) from error
    except (httpx.ConnectError, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise ConfigurationError(
            f"{url}: no Label Studio can be reached ({on_one_line(str(error), 200)})",
            "Start it (label-studio start), or set LABEL_STUDIO_URL.",
        ) from error
    except httpx.HTTPError as error:
        raise MLRSNetError(
            f"{url}: the connection to Label Studio broke off ({on_one_line(str(error), 200)})", _AGAIN
        ) from error
    except ApiError as error:
        if error.status_code in (301, 302, 307, 308):
            raise ConfigurationError(
                f"{url}: Label Studio is elsewhere ({on_one_line((error.headers or {}).get('location', ''), 200)})",
                "Set LABEL_STUDIO_URL to its address there.",
            ) from error
        raise _said(error.status_code, error.body, url, subject, refused) from error
    except ValueError as error:  # no JSON, or of another shape
        if isinstance(error, MLRSNetError):
            raise
        raise ConfigurationError(f"{url}: what answers is no Label Studio", "Check LABEL_STUDIO_URL.") from error


def _said(status: int | None, body: object, url: str, subject: str, refused: str) -> MLRSNetError:
    """Return the error for an answer that is none of success."""
    if not isinstance(body, Mapping) or status is None or "detail" not in body:
        if status is not None and status >= 500:
            return MLRSNetError(f"{url}: Label Studio failed (HTTP {status}, {subject})", _AGAIN)
        return ConfigurationError(f"{url}: what answers is no Label Studio", "Check LABEL_STUDIO_URL.")
    reasons = on_one_line("; ".join(_texts(body.get("validation_errors") or body["detail"])), 400)
    if status in (401, 403):
        return ConfigurationError(
            f"{url}: Label Studio does not take the key ({reasons.rstrip('.')})",
            f"Take one from {url}/user/account, and set LABEL_STUDIO_API_KEY.",
        )
    if status == 404:
        return ConfigurationError(
            f"{url}: {subject} is no longer there ({reasons.rstrip('.')})",
            "Restore the server's database, or begin anew; what was read of it before is kept.",
        )
    if status >= 500:
        return MLRSNetError(f"{url}: Label Studio failed ({subject}: {reasons.rstrip('.')})", _AGAIN)
    return ConfigurationError(f"{url}: Label Studio refuses {subject} ({reasons.rstrip('.')})", refused)


def _texts(reason: object) -> Iterator[str]:
    """Yield the sentences of a server's reasons, however they are nested."""
    if isinstance(reason, Mapping):
        reason = list(reason.values())
    if isinstance(reason, list):
        for part in reason:
            yield from _texts(part)
    else:
        yield str(reason)
