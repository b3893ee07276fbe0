"""The published archive, fetched from Mendeley Data: resumed where it was cut off, taken only when it is whole.

No checksum of the archive is published. What can be checked is: its size, which the server names; the CRC of every
member, which a ZIP carries; and the number of images in every scene, which the paper's label files give.

Resuming is ours because no public function of the libraries at hand does it: `datasets` and fsspec start anew, and
huggingface_hub's `http_get` is internal and asks nothing about a file that has changed on the server.
"""

import contextlib
import http.client
import json
import shutil
import time
import urllib.error
import urllib.request
import zipfile
from collections import Counter
from email.message import Message
from pathlib import Path

from datasets import config
from datasets.utils import tqdm

from mlrsnet_hf.configuration.json_file import read_json
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.files import kept_if_stopped, only_writer
from mlrsnet_hf.release import open_release
from mlrsnet_hf.taxonomy import SCENES

LANDING_PAGE = "https://data.mendeley.com/datasets/7j9bv9vwsx/3"
"""DOI 10.17632/7j9bv9vwsx.3."""
ARCHIVE_URL = "https://data.mendeley.com/public-api/zip/7j9bv9vwsx/download/3"
ARCHIVE_NAME = "7j9bv9vwsx-3.zip"
DATA_DIR_VARIABLE = "MLRSNET_DATA_DIR"
PUBLISHED_COUNTS = {scene: scene.images for scene in SCENES}

_CHUNK = 1 << 20
_TIMEOUT = 30
_TRIES_WITHOUT_PROGRESS = 4
_NETWORK_ERRORS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


class DownloadError(MLRSNetError):
    """The published archive could not be fetched."""


class _CutOffError(ConnectionError):
    """The connection ended before the file did."""


def archive_path(downloads: Path) -> Path:
    """Return where the archive lies, or will lie, in a folder of downloads."""
    return downloads / "mlrsnet" / ARCHIVE_NAME


def download_archive(downloads: Path, force: bool = False) -> Path:
    """Return the published archive, fetched if it is not in the folder of downloads yet.

    An interrupted download goes on where it stopped, in this call or in a later one.

    Args:
        downloads: The folder of downloads.
        force: Fetch the archive anew.

    Raises:
        DownloadError: The Hub libraries are set offline, the server cannot be reached or refuses, the disk is full, or
            what came is not the whole archive.
    """
    archive = archive_path(downloads)
    if archive.exists() and not force:
        return archive
    if config.HF_HUB_OFFLINE:
        raise DownloadError(
            "no copy of MLRSNet is given, and HF_DATASETS_OFFLINE or HF_HUB_OFFLINE forbids to fetch one", _by_hand()
        )
    partial, validator = (archive.with_name(f"{ARCHIVE_NAME}.partial{end}") for end in ("", ".validator"))
    unchecked = archive.with_name(f"unchecked-{ARCHIVE_NAME}")

    def kept() -> str | None:
        some = next((path for path in (unchecked, partial) if _size(path)), None)
        told = f"What has come of the archive is kept in {some}; give the same command again to go on."
        return None if some is None else told

    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        with only_writer(archive, patience=-1), kept_if_stopped(kept):
            if force:
                unchecked.unlink(missing_ok=True)
            if force or not archive.exists():
                if not unchecked.exists():
                    _fetch(ARCHIVE_URL, partial, validator)
                    _refuse_damage(partial)
                    partial.rename(unchecked)
                _refuse_other_counts(unchecked)
                unchecked.rename(archive)
    except OSError as error:
        raise DownloadError(
            f"{archive}: cannot be written ({error.strerror or error})",
            f"Make room, or pass another cache_dir; what has come is kept and taken up. {_by_hand()}",
        ) from error
    return archive


def _by_hand() -> str:
    here = Path("mlrsnet")
    near = ' The folder ./mlrsnet that lies here is taken with data_dir="./mlrsnet".' if here.is_dir() else ""
    return (
        f"Fetch {LANDING_PAGE} and pass the folder or archive as data_dir, or set {DATA_DIR_VARIABLE}.{near} "
        'The config "demo" needs no data: load_dataset("mlrsnet", "demo").'
    )


def _fetch(url: str, partial: Path, validator: Path) -> None:
    """Fetch a file, going on after interruptions as long as something comes."""
    tries, have = 0, -1
    while True:
        try:
            _fetch_rest(url, partial, validator)
            validator.unlink(missing_ok=True)
            return
        except urllib.error.HTTPError as error:
            raise DownloadError(f"{url}: the server answers {error.code} {error.reason}", _by_hand()) from error
        except _NETWORK_ERRORS as error:
            size = _size(partial)
            tries, have = (tries + 1, have) if size <= have else (1, size)
            if tries == _TRIES_WITHOUT_PROGRESS:
                kept = f" The {size:,} bytes that came are kept, the next call goes on from there." if size else ""
                raise DownloadError(
                    f"{url}: cannot be fetched ({getattr(error, 'reason', error)})", _by_hand() + kept
                ) from error
            time.sleep(2 ** (tries - 1) - 1)


def _fetch_rest(url: str, partial: Path, validator: Path) -> None:
    """Fetch what is missing of a file, or all of it if the server's file or its abilities ask for that.

    The validator tells this version of the server's file from another (RFC 9110, section 13.1.5).
    """
    have = _size(partial)
    request = urllib.request.Request(url, headers={"User-Agent": "mlrsnet-hf"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        known = None
        with contextlib.suppress(ConfigurationError):  # a validator that was cut short tells nothing
            known = read_json(validator, str | None, "")
        if known:
            request.add_header("If-Range", known)
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        if _total(error.headers, 0) == have:
            return
        partial.unlink()
        raise _CutOffError("the partial file does not belong to this one") from error
    with response:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            have = 0
        total = _total(response.headers, have)
        free = shutil.disk_usage(partial.parent).free
        if total is not None and total - have > free:
            raise DownloadError(
                f"{partial.parent}: {free:,} bytes are free, {total - have:,} are needed",
                "Make room, or pass another cache_dir.",
            )
        etag = response.headers.get("ETag", "")
        strong = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")
        validator.write_text(json.dumps(strong))
        bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=f"Downloading {ARCHIVE_NAME}")
        with partial.open("ab" if have else "wb") as file, bar:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    if total is not None and _size(partial) != total:
        raise _CutOffError(f"cut off after {_size(partial):,} of {total:,} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _total(headers: Message, have: int) -> int | None:
    """Return the size of the whole file, if the server names it."""
    total = headers.get("Content-Range", "").rpartition("/")[2]
    if total.isdigit():
        return int(total)
    length = headers.get("Content-Length", "")
    return have + int(length) if length.isdigit() else None


def _refuse_damage(partial: Path) -> None:
    try:
        with zipfile.ZipFile(partial) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, EOFError) as error:
        damaged = str(error)
    if damaged:
        partial.unlink()
        raise DownloadError(
            f"{ARCHIVE_URL}: what came is not a whole ZIP archive ({damaged})", f"It was removed. {_by_hand()}"
        )


def _refuse_other_counts(archive: Path) -> None:
    """Refuse an archive with other scenes or other numbers of images than published."""
    counts = Counter(entry.scene for entry in open_release(archive).entries)
    other = [scene for scene, published in PUBLISHED_COUNTS.items() if counts[scene] != published]
    if other:
        first = other[0]
        raise DownloadError(
            f"{archive}: {counts[first]:,} images of {first.name} where MLRSNet has {PUBLISHED_COUNTS[first]:,}"
            + (f" ({len(other)} scenes differ)" if len(other) > 1 else ""),
            "Mendeley's archive may have changed. Pass it as data_dir to use it all the same, or remove it to fetch it "
            "anew.",
        )
