"""A PostgreSQL cluster of its own on a free port, for Label Studio as teams run it."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

_USER = "postgres"


def postgresql_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs; None where it is not installed."""
    beside = shutil.which("postgres")
    folders = [Path(beside).resolve().parent] if beside else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((folder for folder in reversed(folders) if (folder / "initdb").exists()), None)


def why_not() -> str | None:
    """Return why no cluster can be started here; None if one can."""
    if postgresql_programs() is None:
        return "needs PostgreSQL"
    if os.getuid() == 0 and _USER not in {entry.pw_name for entry in pwd.getpwall()}:
        return "PostgreSQL refuses root, and there is no user postgres to start it as"
    return None


class PostgreSQL:
    """A cluster that is started, and killed with its data. Root starts it as the user postgres."""

    def __init__(self) -> None:
        programs = postgresql_programs()
        assert programs is not None
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="mlrsnet-postgresql-"))
        self._as: dict[str, str | int | list[str]] = {}
        if os.getuid() == 0:
            shutil.chown(self._folder, _USER, pwd.getpwnam(_USER).pw_gid)
            self._as = {"user": _USER, "group": pwd.getpwnam(_USER).pw_gid, "extra_groups": []}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = str(free.getsockname()[1])
        self._process: subprocess.Popen | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        """What tells Label Studio to use it."""
        return {
            "DJANGO_DB": "default",
            "POSTGRE_HOST": "127.0.0.1",
            "POSTGRE_PORT": self._port,
            "POSTGRE_NAME": _USER,
            "POSTGRE_USER": _USER,
            "POSTGRE_PASSWORD": "",
        }

    def start(self) -> None:
        """Make it and start it, and wait until it answers."""
        made = self._run("initdb", "-D", "data", "-U", _USER, "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")
        assert made.returncode == 0, made.stderr
        command = [str(self._programs / "postgres"), "-D", "data", "-p", self._port, "-h", "127.0.0.1"]
        command += ["-k", str(self._folder), "-c", "fsync=off"]  # kills of processes need none
        if dies_with_tests := shutil.which("setpriv"):
            command = [dies_with_tests, "--pdeathsig", "QUIT", *command]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=self._folder, stdout=log, stderr=log, start_new_session=True, **self._as
            )
        until = time.monotonic() + 120
        while self._run("pg_isready", "-h", "127.0.0.1", "-p", self._port).returncode:
            over = time.monotonic() > until or self._process.poll() is not None
            assert not over, (self._folder / "log").read_text(errors="replace")[-2000:]
            time.sleep(0.1)

    def remove(self) -> None:
        """Stop it, and remove its data."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)  # at once, with its children
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *options: str) -> subprocess.CompletedProcess:
        command = [str(self._programs / program), *options]
        return subprocess.run(command, cwd=self._folder, capture_output=True, text=True, **self._as)
