"""A connection to Milvus: a local folder (Milvus Lite, no server) or a server by its URI, with errors in one sentence.

The two differ in nothing but how they are opened. The tests ask both, and a standalone server of the version that
docs/retrieval.md names.
"""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mlrsnet_hf.errors import ConfigurationError, require_extra
from mlrsnet_hf.runtime.logs import get_logger

logger = get_logger(__name__)

TOKEN_VARIABLE = "MILVUS_TOKEN"
_CONNECT_SECONDS = 10.0
_PASSING = (
    "resource temporarily unavailable",
    "interrupted system call",
    "read error in",  # Milvus Lite reads the file of an index while another of its threads writes it
    # What NumPy calls a file that is being written: of which nothing is there, some of its name, some or all of its
    # header, some of its data.
    "no data left in file",
    "this file contains pickled",
    "eof: reading",
    "cannot reshape array of size",
    "mmap length is greater than file size",
    "not fully written",
    "fail connecting to server",  # it may be about to start again, and then has to find its data
    "not fully loaded",
    "no available",
    "not available",
)
"""What Milvus says, whatever the case, when the same call may succeed a little later."""
_NOT_LOADED = "collection not loaded"
"""What a server says that was started again."""
_WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before a call is tried again."""
_NOT_TWICE = ("create_collection", "drop_collection", "rename_collection")
"""Calls that would find their own work done if they had failed after it."""


def is_server(location: str | Path) -> bool:
    """Say whether a location is a URI rather than a folder."""
    return "://" in str(location)


@contextmanager
def milvus_client(location: str | Path) -> Iterator[Any]:
    """Yield a `pymilvus.MilvusClient`, and close it.

    Args:
        location: A URI, whose token or user:password is read from the environment variable MILVUS_TOKEN, or the folder
            of a local database, whose name ends in .db.

    Raises:
        MissingExtraError: pymilvus is not installed.
        ConfigurationError: No server answers, another process has the folder open, or Milvus refuses something.
    """
    require_extra("search")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what it would log is raised anyway; read when it is imported
    from pymilvus import MilvusException

    with _quiet():
        try:
            yield from _server(str(location)) if is_server(location) else _local(Path(location))
        except MilvusException as error:
            message = (str(error.message).splitlines() or ["no reason given"])[0].rstrip(".")
            raise ConfigurationError(
                f"{location}: Milvus refuses ({message or type(error).__name__})",
                "Check that the server runs and that you may use it; a local index can be built again."
                if is_server(location)
                else "Make room if the disk is full; if the index is damaged, remove "
                f"{Path(location).parent} and build it again with `mlrsnet index`.",
            ) from error


def _server(uri: str) -> Iterator[Any]:
    from pymilvus import MilvusClient, MilvusException

    try:
        client = MilvusClient(uri=uri, token=os.environ.get(TOKEN_VARIABLE, ""), timeout=_CONNECT_SECONDS)
    except (MilvusException, ValueError) as error:  # the latter for what is no address
        raise ConfigurationError(
            f"{uri}: no Milvus server answers within {_CONNECT_SECONDS:.0f} seconds",
            f"Check the address, that the server runs, and {TOKEN_VARIABLE} if it asks for a token.",
        ) from error
    try:
        yield _PatientClient(client)
    finally:
        client.close()


@dataclass(frozen=True, slots=True)
class _PatientClient:
    """A `MilvusClient` that calls again a few times where the cause passes, such as a disk that has no time."""

    client: Any

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a method of the client
        method = getattr(self.client, name)
        if name in _NOT_TWICE or not callable(method):
            return method
        return lambda *arguments, **options: self._call(method, *arguments, **options)

    def _call(self, method: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        from pymilvus import MilvusException

        for wait in _WAITS:
            try:
                return method(*arguments, **options)
            except MilvusException as error:
                message = str(error.message).casefold()
                if _NOT_LOADED in message:
                    self.load_collection(arguments[0])
                elif not any(cause in message for cause in _PASSING):
                    raise
                logger.debug("Milvus is asked again in %s seconds: %s", wait, message)
                time.sleep(wait)
        return method(*arguments, **options)


def _local(folder: Path) -> Iterator[Any]:
    from milvus_lite import server_manager_instance
    from pymilvus import MilvusClient

    with _only_user(folder):
        client = MilvusClient(uri=str(folder))
        try:
            yield _PatientClient(client)
        finally:
            client.close()
            # The client leaves the database open; only this lets go of it, so that the folder may be renamed.
            server_manager_instance.release_server(str(folder))


@contextmanager
def _only_user(folder: Path) -> Iterator[None]:
    """Hold the folder against other processes: Milvus Lite serves one, and does not say why it refuses the second."""
    lock = FileLock(folder.with_name(f".{folder.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ConfigurationError(
            f"{folder.parent}: another process has this index open",
            "Wait until it has ended; a Milvus server (by URI) serves many at a time.",
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"{folder.parent}: cannot be opened ({error.strerror})", "Put the index where you may write."
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Milvus from logging, with tracebacks, what is raised anyway."""
    loggers = [logging.getLogger(name) for name in ("pymilvus", "milvus_lite", "grpc")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
