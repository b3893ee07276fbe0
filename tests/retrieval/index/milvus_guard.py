"""The guard of a Milvus server: a process apart, which ends the server with whoever asked for it.

`milvus-server` leaves `milvus run standalone` running when it is ended, and a test run that is killed ends nothing. The
guard has the server in a session of its own, says "ready" when it is up, and kills its whole group of processes as soon
as standard input closes, however that comes about. It removes the folder then, unless the last word is to keep it.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

_START_SECONDS = 180
_SETTINGS = {"QUERYCOORD_CHECKSEGMENTINTERVAL": "100", "QUERYCOORD_CHECKCHANNELINTERVAL": "100"}
"""Milliseconds after which the server looks what is to be loaded; 1,000 by default, and without an option."""


def guard(folder: Path, command: list[str]) -> None:
    """Run the server until standard input closes; etcd, which it holds, reads its listeners from a file."""
    environment = {**os.environ, **_SETTINGS, "ETCD_CONFIG_PATH": str(folder / "etcd.yaml"), "HOME": str(folder)}
    with (folder / "output.txt").open("w") as output:
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, env=environment
        )
    try:
        wait_until_ready(server, folder)
        print("ready", flush=True)
        keep = sys.stdin.read() == "keep"
    except TimeoutError as error:
        print(error, flush=True)
        keep = False
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)


def wait_until_ready(server: subprocess.Popen, folder: Path) -> None:
    """Return when the server's own wrapper says that it is up."""
    deadline = time.monotonic() + _START_SECONDS
    while "Ctrl+C to exit" not in (folder / "output.txt").read_text(errors="replace"):
        if server.poll() is not None or time.monotonic() > deadline:
            raise TimeoutError((folder / "output.txt").read_text(errors="replace")[-1000:].replace("\n", " "))
        time.sleep(0.1)


if __name__ == "__main__":
    guard(Path(sys.argv[1]), sys.argv[2:])
