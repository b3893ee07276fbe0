"""A Hub on this machine, clients of it, and things to publish."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SERVER = Path(__file__).with_name("hub_server.py")
WRITE_TOKEN, READ_TOKEN = "hf_JanesOwnTokenThatWrites", "hf_JanesOwnTokenThatReads"


class LocalHub:
    """The server's process, and what tests ask of it."""

    write_token, read_token = WRITE_TOKEN, READ_TOKEN

    def __init__(self, port: int, home: Path) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.home = home

    def environment(self, token: str | None = WRITE_TOKEN) -> dict[str, str]:
        """The environment of a client that has no other cache, token or Hub than these."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        folders = {"HF_HOME": self.home, "HF_DATASETS_CACHE": self.home / "datasets", "TMPDIR": self.home}
        own = {"HF_ENDPOINT": self.endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        return kept | own | {k: str(v) for k, v in folders.items()} | ({"HF_TOKEN": token} if token else {})

    def python(self, code: str, *arguments: object, token: str | None = WRITE_TOKEN, cwd: Path | None = None) -> str:
        """Run code in a client process; return what it printed."""
        run = self.process([sys.executable, "-c", code, *map(str, arguments)], token, cwd)
        assert run.returncode == 0, run.stderr
        return run.stdout

    def publish(
        self, *arguments: object, token: str | None = WRITE_TOKEN, before: str = "", debug: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run `mlrsnet publish`, with its client telling all that it does if wanted."""
        code = f"{before}from mlrsnet_hf.cli import main; main()"
        # -B, for Python does not notice that a limit of the disk cuts its bytecode files short.
        command = [sys.executable, "-B", "-c", code, "publish", *map(str, arguments)]
        return self.process(command, token, debug=debug)

    def process(
        self, command: list[str], token: str | None, cwd: Path | None = None, debug: bool = False
    ) -> subprocess.CompletedProcess[str]:
        environment = self.environment(token) | ({"HF_DEBUG": "1"} if debug else {})
        return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True)

    def ask(self, what: str, content: object = None) -> Any:  # noqa: ANN401
        """Ask the server for its requests or repositories, or tell it what to do."""
        body = None if content is None else json.dumps(content).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/_/{what}", body)) as answer:
            return json.load(answer)

    def requests(self, method: str) -> list[str]:
        """Paths that were asked for by a method, in order."""
        return [path for used, path in self.ask("requests") if used == method]

    def repo(self, name: str) -> dict[str, Any]:
        """What the server holds under a name, such as models/jane/scenes."""
        return self.ask("repos")[name]

    def commits(self, name: str, branch: str = "main") -> list[dict[str, Any]]:
        """The commits of a branch, without the one that makes the repository."""
        return self.repo(name)["branches"][branch][1:]

    def fail(self, *faults: dict[str, Any]) -> None:
        """Have the server fail: see its faults."""
        self.ask("faults", [{"times": 1, **fault} for fault in faults])


@pytest.fixture(autouse=True)
def temporary_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what a dry run leaves go with what the tests leave."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("temporary")))
    monkeypatch.chdir(tmp_path_factory.mktemp("working"))


@pytest.fixture(scope="session")
def hub_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    home = tmp_path_factory.mktemp("hub-home")
    command = [sys.executable, str(SERVER)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout, "it was asked for"
        yield LocalHub(int(server.stdout.readline()), home)
        server.kill()


@pytest.fixture
def hub(hub_process: LocalHub) -> LocalHub:
    """A Hub that holds nothing, and works."""
    hub_process.ask("reset", {})
    return hub_process


@pytest.fixture
def hub_in_process(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> LocalHub:
    """The Hub that this process's own client talks to, which waits for nothing between retries."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.endpoint)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)
    return hub


def scores(base: float) -> dict[str, float]:
    names = ("sample_f1", "f1_of_means", "map", "micro_f1", "macro_f1")
    return {name: round(base + i / 100, 4) for i, name in enumerate(names)}


@pytest.fixture
def results() -> dict[str, Any]:
    """The results.json of a run on the whole of MLRSNet."""
    from mlrsnet_hf.taxonomy import LABELS, SCENES

    labels = [label.name for label in LABELS]
    config = {
        "model": "test_resnet",
        "weights": "random",
        "output_dir": "/home/jane/secret/runs/train",
        "epochs": 3,
        "batch_size": 32,
        "optimizer": "adamw",
        "learning_rate": 0.001,
        "seed": 7,
    }
    data = {
        "dataset": "mlrsnet",
        "protocol": "ratio20",
        "split_seed": 0,
        "labels": "verified",
        "repaired": 10300,
        "fingerprint": "0123456789abcdef",
        "label_names": labels,
        "scene_names": [scene.name for scene in SCENES],
        "images": {"train": 21832, "validation": 10916, "test": 76413},
    }
    rows = [
        {
            "label": name,
            "images": 10 * i,
            "average_precision": 0.5 if i else None,
            "f1": 0.25 if i else None,
            "threshold": 0.4,
        }
        for i, name in enumerate(labels)
    ]
    return {
        "format": 2,
        "recipe": "modern",
        "config": config,
        "data": data,
        "model": {
            "name": "test_resnet",
            "architecture": "test_resnet",
            "parameters": 470_000,
            "weights": "random",
            "image_size": 160,
        },
        "task": "labels",
        "history": [{"epoch": 1, "step": 682, "loss": 0.2, "learning_rate": 0.001, "validation": scores(0.5)}],
        "scored_epoch": 3,
        "scores": {"validation": scores(0.71), "test": scores(0.7)},
        "tuned": {
            "thresholds": dict.fromkeys(labels, 0.4),
            "untuned": [],
            "validation": scores(0.74),
            "test": {**scores(0.73), "map": 0.72},
        },
        "eval_symmetries": 1,
        "labels": rows,
        "run": {
            "processes": 1,
            "precision": "no",
            "device": "cpu",
            "batch": {"global": 32, "per_process": 32, "accumulation": 1},
            "seconds": 120.0,
            "resumed": False,
            "versions": {},
        },
    }


@pytest.fixture
def light_run(tmp_path: Path, results: dict[str, Any]) -> Path:
    """A run folder whose weights are no weights."""
    run = tmp_path / "run"
    (run / "model").mkdir(parents=True)
    (run / "results.json").write_text(json.dumps(results, indent=2))
    (run / "settings.yaml").write_text("model: test_resnet\noutput_dir: /home/jane/secret/runs/train\n")
    (run / "history.csv").write_text("epoch,loss\n1,0.2\n")
    (run / "curves.png").write_bytes(b"\x89PNG")
    (run / "model/config.json").write_text("{}\n")
    (run / "model/model.safetensors").write_bytes(bytes(range(256)) * 100)
    return run


@pytest.fixture
def prepared(tmp_path: Path, make_release: Callable[..., Path]) -> Path:
    """A prepared dataset of 60 images."""
    from mlrsnet_hf.publishing.prepare import prepare

    return prepare(make_release({"beach": 60}), tmp_path / "prepared").folder
