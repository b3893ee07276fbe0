"""The guard of a Milvus server: a process apart, which ends the server with whoever asked for it.

`milvus-server` leaves `milvus run standalone` running when it is ended, and a test run that is killed ends nothing. The
guard has the server in a session of its own, says "ready" when it is up, and kills its whole group of processes as soon
as standard input closes, however that comes about. It removes the folder then, unless the last word is to keep it.

The server is started again without its wrapper, which would take other ports: those of connections that a kill broke
off are not free for a minute.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

_START_SECONDS = 180
_SETTINGS = {"QUERYCOORD_CHECKSEGMENTINTERVAL": "100", "QUERYCOORD_CHECKCHANNELINTERVAL": "100"}
"""Milliseconds after which the server looks what is to be loaded; 1,000 by default, and without an option."""


def guard(folder: Path, wrapper: list[str]) -> None:
    """Run the server until standard input closes; etcd, which it holds, reads its listeners from a file."""
    environment = {**os.environ, **_SETTINGS, "ETCD_CONFIG_PATH": str(folder / "etcd.yaml"), "HOME": str(folder)}
    command, data, output = wrapper, folder / "data", folder / "output.txt"
    ready: Callable[[], bool] = lambda: "Ctrl+C to exit" in output.read_text(errors="replace")  # noqa: E731
    if (data / "configs" / "milvus.yaml").exists():
        command = [str(data / "bin" / "milvus"), "run", "standalone"]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            metrics = free.getsockname()[1]
        environment |= {"DEPLOY_MODE": "STANDALONE", "METRICS_PORT": str(metrics)}
        environment |= {"MILVUS_RUN_DIR": str(data / "run"), "LD_LIBRARY_PATH": str(data / "bin")}
        ready = lambda: is_healthy(metrics)  # noqa: E731
    data.mkdir(exist_ok=True)
    with output.open("w") as file:
        server = subprocess.Popen(
            command,
            cwd=data,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            env=environment,
        )
    keep = False
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not ready() and server.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        print("ready" if ready() else output.read_text(errors="replace")[-1000:].replace("\n", " "), flush=True)
        keep = sys.stdin.read() == "keep"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def is_healthy(metrics: int) -> bool:
    """Say whether a server says of itself that it is up."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/healthz", timeout=5) as answer:
            return b"OK" in answer.read()
    except OSError:
        return False


if __name__ == "__main__":
    guard(Path(sys.argv[1]), sys.argv[2:])
