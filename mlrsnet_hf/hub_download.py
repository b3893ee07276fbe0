"""A folder of files from a repository of the Hub."""

from pathlib import Path

from mlrsnet_hf.errors import ConfigurationError, MLRSNetError


def download_folder(
    repository: str,
    kind: str,
    patterns: list[str],
    revision: str | None = None,
    error: type[MLRSNetError] = ConfigurationError,
) -> Path:
    """Return a folder with some files of a repository of the Hub; `kind` is "dataset" or "model".

    Raises:
        MLRSNetError: It cannot be had; of the type `error`.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, repo_type=kind, revision=revision, allow_patterns=patterns))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as cause:
        reason = (str(cause).splitlines() or [type(cause).__name__])[0].rstrip(".")
        raise error(
            f"{repository}: neither a folder nor a {kind} of the Hub that can be fetched ({reason})",
            "Check the path or the id (owner/name).",
        ) from cause
