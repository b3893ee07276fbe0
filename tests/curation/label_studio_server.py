"""A Label Studio server that is started, killed and started again on the same data, and people who vote on it.

Everything is done as people and their browsers do it, over HTTP.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

PROGRAM_VARIABLE = "MLRSNET_LABEL_STUDIO"
"""Names the program `label-studio` of an environment of its own; `.ci/run` makes one."""
PASSWORD = "votes-on-scenes"
_STARTS_WITHIN = 600.0
"""Seconds; it takes 20 to 60, for the tables of its database above all, and far longer on a machine that is busy."""
_ANSWERS_WITHIN = 120.0


def label_studio_program() -> str | None:
    """Return the program that the environment names, else the one on the path."""
    return os.environ.get(PROGRAM_VARIABLE) or shutil.which("label-studio")


class LabelStudioServer:
    """A server of its own data, on a free port of this machine.

    Args:
        program: `label-studio`.
        folder: Holds its data, its log `server.log`, and `documents`, the root of what it serves of local files.
        database: Environment variables of a database that is not its own SQLite.
    """

    def __init__(self, program: str, folder: Path, database: Mapping[str, str] | None = None) -> None:
        self._program = program
        self._folder = folder
        self._database = {"DJANGO_DB": "sqlite"} if database is None else database
        self._process: subprocess.Popen | None = None
        self.data = folder / "data"
        self.documents = folder / "documents"
        """The root of local files; a project's pictures lie in a folder below it."""
        self.documents.mkdir(parents=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self.owner = "owner@example.org"
        self.key = "0123456789abcdef0123456789abcdef01234567"
        """The owner's legacy token."""

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start it."""
        assert self._process is None, "it runs"
        command = [self._program, "start", "--no-browser", "--enable-legacy-api-token"]
        command += ["--data-dir", str(self.data), "--port", str(self._port)]
        command += ["--internal-host", "127.0.0.1", "--username", self.owner]
        command += ["--password", PASSWORD, "--user-token", self.key]
        if dies_with_tests := shutil.which("setpriv"):
            command = [dies_with_tests, "--pdeathsig", "KILL", *command]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LABEL_STUDIO")}
        environment |= self._database | {
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(self.documents),
            "LATEST_VERSION_CHECK": "0",
            "COLLECT_ANALYTICS": "0",
            "SENTRY_DSN": "",
            "FRONTEND_SENTRY_DSN": "",
            "OMP_NUM_THREADS": "1",
        }
        environment.pop("CI", None)  # means the CI of Label Studio itself
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        """Wait until it answers."""
        until = time.monotonic() + _STARTS_WITHIN
        while True:
            assert self._process is not None
            over = time.monotonic() > until or self._process.poll() is not None
            assert not over, self._log()
            try:
                if httpx.get(f"{self.url}/health", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.2)

    def kill(self) -> None:
        """Kill it at once with all that it has started, and keep its data."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def signal(self, number: int) -> None:
        """Send a signal to it, such as SIGSTOP for a server that hangs."""
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def owner_client(self) -> httpx.Client:
        """Return a client with the owner's rights."""
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Token {self.key}"}, timeout=_ANSWERS_WITHIN)

    def sign_up(self, name: str) -> "SimulatedAnnotator":
        """Let a person sign up by the invitation link; one of that name who has signed up before logs in."""
        email = f"{name}@example.org"
        with self.owner_client() as owner:
            invitation = owner.get("/api/invite").raise_for_status().json()["invite_url"]
        form = {"email": email, "password": PASSWORD, "allow_newsletters": "false"}
        with httpx.Client(base_url=self.url, timeout=_ANSWERS_WITHIN) as browser:
            browser.get(invitation).raise_for_status()
            guard = {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
            if browser.post(invitation, data=form | guard).status_code != 302:
                said = browser.post("/user/login/", data={"email": email, "password": PASSWORD} | guard)
                assert said.status_code == 302, said.text
            said = browser.get("/api/current-user/token")
        assert said.status_code == 200, f"{said.text}\n{self._log()}"
        return SimulatedAnnotator(self.url, email, said.json()["token"])

    def _log(self) -> str:
        return (self._folder / "server.log").read_text(errors="replace")[-4000:]


Choose = Callable[[Mapping[str, Any]], list[dict[str, Any]] | None]
"""From a task's data to the result of an annotation; None to skip the task."""


def choice(name: str, *values: str, image: str = "image") -> list[dict[str, Any]]:
    """Return the result of a single or multiple choice, as the editor sends it."""
    return [{"from_name": name, "to_name": image, "type": "choices", "value": {"choices": list(values)}}]


class SimulatedAnnotator:
    """A person who takes one task after the other and answers it.

    Args:
        url: The server.
        email: Theirs.
        key: Their legacy token.
    """

    def __init__(self, url: str, email: str, key: str) -> None:
        self.email = email
        self.key = key
        self._client = httpx.Client(base_url=url, headers={"Authorization": f"Token {key}"}, timeout=_ANSWERS_WITHIN)

    def next_task(self, project: int) -> dict[str, Any] | None:
        """Return the task that the server hands them next, which it now keeps for them; None if there is none."""
        said = self._client.get(f"/api/projects/{project}/next")
        if said.status_code == 404:
            return None
        task: dict[str, Any] = said.raise_for_status().json()
        return task

    def answer(self, task: Mapping[str, Any], result: list[dict[str, Any]] | None, seconds: float = 1.5) -> int:
        """Submit an annotation, or skip the task; return the annotation's id when the server has acknowledged it."""
        given = {"result": result or [], "lead_time": seconds, "was_cancelled": result is None}
        said = self._client.post(f"/api/tasks/{task['id']}/annotations/", json=given)
        assert said.status_code in (201, *range(500, 600)), said.text  # 5xx: not acknowledged
        said.raise_for_status()
        number: int = said.json()["id"]
        return number

    def vote(self, project: int, choose: Choose, most: int | None = None) -> dict[int, Mapping[str, Any]]:
        """Answer task by task until nothing is left, or so many; return the task's data of each acknowledged id."""
        acknowledged: dict[int, Mapping[str, Any]] = {}
        while most is None or len(acknowledged) < most:
            task = self.next_task(project)
            if task is None:
                break
            acknowledged[self.answer(task, choose(task["data"]))] = task["data"]
        return acknowledged
