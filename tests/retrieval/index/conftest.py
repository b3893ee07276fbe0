"""Servers, and an index that pictures can be searched in."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from mlrsnet_hf.cli import main

PROGRAM_VARIABLE = "MLRSNET_MILVUS_SERVER"
"""Names the program `milvus-server` of an environment of its own; `.ci/run` makes one."""
_ONLY_ONE = Path(tempfile.gettempdir()) / "mlrsnet-test-milvus.lock"
_SERVICES = ("proxy", "proxy-internal", "root-coord", "query-coord", "query-node")
_SERVICES += ("index-coord", "index-node", "data-coord", "data-node")
_SETTINGS = {
    "proxy.timeTickInterval": 20,
    "queryCoord.checkInterval": 100,
    "queryCoord.distPullInterval": 50,
    "common.session.ttl": 5,
}
"""Milliseconds after which it sets its clock and looks what is loaded, on which all answers wait; and seconds until it
forgets that it was killed, before which it loads nothing."""


class MilvusServer:
    """A standalone server that is started, killed and started again, on the same data and ports; see milvus_guard.py.

    All its ports are free ones. Of its listeners etcd's are kept to this machine, by a file of etcd's own: the option
    for its port moves the client alone. The others bind to all interfaces, whatever `--extra-config proxy.ip=127.0.0.1`
    and its like say; that of the metrics has no option, and takes the first free port from 9091 on.
    """

    def __init__(self, program: str) -> None:
        self._program = program
        self._folder = Path(tempfile.mkdtemp(prefix="mlrsnet-milvus-"))
        self._ports = dict(zip((*_SERVICES, "etcd", "peer"), free_ports(len(_SERVICES) + 2), strict=True))
        self.uri = f"http://127.0.0.1:{self._ports['proxy']}"
        self._guard: subprocess.Popen | None = None

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        etcd, peer = (f"http://127.0.0.1:{self._ports[name]}" for name in ("etcd", "peer"))
        (self._folder / "etcd.yaml").write_text(
            f"name: default\nlisten-client-urls: {etcd}\nadvertise-client-urls: {etcd}\nlisten-peer-urls: {peer}\n"
            f"initial-advertise-peer-urls: {peer}\ninitial-cluster: default={peer}\n"
        )
        options = [f"--{name}-port={port}" for name, port in self._ports.items() if name != "peer"]
        for name, value in _SETTINGS.items():
            options += ["--extra-config", f"{name}={value}"]
        guard = [sys.executable, str(Path(__file__).with_name("milvus_guard.py")), str(self._folder)]
        self._guard = subprocess.Popen(
            [*guard, str(Path(self._program).absolute()), "--data", str(self._folder / "data"), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the tests, with which the guard ends
            text=True,
        )
        assert self._guard.stdout is not None
        said = self._guard.stdout.readline()
        assert said == "ready\n", said

    def kill(self) -> None:
        """Kill it, and keep its data."""
        self._end("keep")

    def remove(self) -> None:
        """Kill it, and remove its data."""
        self._end("")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self, last_word: str) -> None:
        if self._guard is not None:
            self._guard.communicate(last_word)
            self._guard = None


def free_ports(number: int) -> list[int]:
    """Return ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("", 0))
        return [one.getsockname()[1] for one in sockets]


@pytest.fixture(scope="session")
def milvus() -> Iterator[MilvusServer]:
    """A Milvus server that runs, the only one of any tests on this machine."""
    program = os.environ.get(PROGRAM_VARIABLE)
    if not program:
        pytest.skip(f"needs the program milvus-server, named by {PROGRAM_VARIABLE}: see CONTRIBUTING.md")
    with FileLock(_ONLY_ONE):
        server = MilvusServer(program)
        try:
            server.start()
            yield server
        finally:
            server.remove()


@pytest.fixture
def empty_milvus(milvus: MilvusServer) -> str:
    """URI of the server, without collections."""
    from pymilvus import MilvusClient

    client = MilvusClient(uri=milvus.uri)
    for name in client.list_collections():
        client.drop_collection(name)
    client.close()
    return milvus.uri


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[str]:
    """URI of Milvus Lite's own server, which speaks the same protocol."""
    from milvus_lite import server_manager_instance

    folder = str(tmp_path / "server.db")
    yield server_manager_instance.start_and_get_uri(folder)
    server_manager_instance.release_server(folder)


@pytest.fixture(params=["lite", pytest.param("empty_milvus", marks=pytest.mark.milvus)])
def server(request: pytest.FixtureRequest) -> str:
    """URI of Milvus Lite's own server, and of a standalone one."""
    uri: str = request.getfixturevalue(request.param)
    return uri


@pytest.fixture(params=["folder", pytest.param("milvus", marks=pytest.mark.milvus)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an index may be built: a folder that is not there yet, and a standalone server."""
    return str(tmp_path / "index") if request.param == "folder" else request.getfixturevalue("empty_milvus")


@pytest.fixture
def searched(saved_model: Path, dataset: Path, tmp_path: Path) -> Path:
    """An index of the pictures, embedded by the saved model with principal components."""
    embeddings = str(tmp_path / "embeddings")
    options = ["--pca", "6", "--normalize", "--dataset", str(dataset), "--split", "test", "--output-dir", embeddings]
    main(["embed", "--model", str(saved_model), *options])
    assert (tmp_path / "embeddings" / "README.md").read_text().count("6 principal components") == 1
    main(["index", embeddings, str(tmp_path / "index")])
    return tmp_path / "index"
