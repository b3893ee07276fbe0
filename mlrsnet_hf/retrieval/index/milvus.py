"""A connection to Milvus: a local folder (Milvus Lite, no server) or a server by its URI, with errors in one sentence.

The two differ in nothing but how they are opened. A full server was not available to test against: the tests ask Milvus
Lite by its own URI, which speaks the same protocol.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mlrsnet_hf.errors import ConfigurationError, require_extra

TOKEN_VARIABLE = "MILVUS_TOKEN"
_CONNECT_SECONDS = 10.0


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
        yield client
    finally:
        client.close()


def _local(folder: Path) -> Iterator[Any]:
    from milvus_lite import server_manager_instance
    from pymilvus import MilvusClient

    with _only_user(folder):
        client = MilvusClient(uri=str(folder))
        try:
            yield client
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
    loggers = [logging.getLogger(name) for name in ("pymilvus", "milvus_lite")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
