"""A Space: what is built, what goes to a Hub on this machine, and the built folder started in a process of its own."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml

from tests.apps.conftest import Made
from tests.publishing.conftest import LocalHub, hub_process  # noqa: F401

pytest.importorskip("gradio", reason="the extra app is not installed")
pytest.importorskip("milvus_lite")

UPLOAD = """
import sys
from huggingface_hub import HfApi
api = HfApi()
for folder, name, kind in (sys.argv[1:4], sys.argv[4:7]):
    api.create_repo(name, repo_type=kind)
    api.upload_folder(repo_id=name, folder_path=folder, repo_type=kind)
"""


def run(hub: LocalHub, *arguments: object) -> subprocess.CompletedProcess[str]:
    return hub.process([sys.executable, "-m", "mlrsnet_hf", "app", *map(str, arguments)], hub.write_token)


@pytest.fixture(scope="module")
def filled_hub(hub_process: LocalHub, made: Made) -> LocalHub:  # noqa: F811
    """A Hub with the model and the embeddings."""
    model, embeddings = made.run / "model", made.embeddings
    hub_process.python(UPLOAD, model, "jane/model", "model", embeddings, "jane/embeddings", "dataset")
    return hub_process


PARTS = ("--publish", "jane/app", "--model", "jane/model", "--embeddings", "jane/embeddings")


def test_what_goes_to_the_hub(filled_hub: LocalHub, made: Made, tmp_path: Path) -> None:
    done = run(filled_hub, *PARTS, "--dataset", made.data, "--with-images")
    assert done.returncode == 0, done.stderr
    assert "published" in done.stdout and "spaces/jane/app" in done.stdout
    (commit,) = filled_hub.commits("spaces/jane/app")
    names = set(commit["files"]) - {".gitattributes"}
    wheel = f"mlrsnet_hf-{version('mlrsnet-hf')}-py3-none-any.whl"
    assert names == {"README.md", "app.py", "requirements.txt", wheel, "pictures/pictures-0000000.parquet"}
    again = run(filled_hub, *PARTS, "--dataset", made.data, "--with-images")
    assert "nothing has changed" in again.stdout  # the same files are made of the same parts


@pytest.fixture(scope="module")
def space(filled_hub: LocalHub, made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "space"
    done = run(filled_hub, *PARTS, "--dataset", made.data, "--with-images", "--dry-run", "--output-dir", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_what_is_built(space: Path, made: Made) -> None:
    header = yaml.safe_load((space / "README.md").read_text().split("---")[1])
    assert header["sdk"] == "gradio" and header["sdk_version"] == version("gradio")
    assert header["models"] == ["jane/model"] and header["datasets"] == ["jane/embeddings"]
    assert (space / header["app_file"]).is_file()
    lines = (space / "requirements.txt").read_text().splitlines()
    assert lines[-1] == f"mlrsnet-hf[app,search,train]=={version('mlrsnet-hf')}"
    (wheel,) = space.glob("*.whl")
    assert lines[1].endswith(f"/spaces/jane/app/resolve/main/{wheel.name}")
    with zipfile.ZipFile(wheel) as opened:
        assert opened.testzip() is None
        names = opened.namelist()
    assert {"mlrsnet_hf/__init__.py", "mlrsnet_hf/apps/app.css", "mlrsnet_hf/evaluate_modules/anmrr/anmrr.py"} <= set(
        names
    )
    pictures = datasets.load_dataset("parquet", data_files=str(space / "pictures" / "*.parquet"), split="train")
    assert pictures["id"][:] == made.rows["test"]["id"][:]


def test_pip_takes_the_wheel(space: Path, tmp_path: Path) -> None:
    (wheel,) = space.glob("*.whl")
    target = tmp_path / "installed"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    code = "import mlrsnet_hf.reports.pages as p; print(p.__file__); p.render('app_note.html', text='a', wrong=False)"
    environment = {**os.environ, "PYTHONPATH": str(target)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.startswith(str(target)), done.stderr


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.mark.browser
@pytest.mark.slow
def test_the_folder_is_started_elsewhere(
    space: Path, filled_hub: LocalHub, made: Made, tmp_path: Path, open_page: Callable[..., Any]
) -> None:
    (wheel,) = space.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path / "package")
    port = free_port()
    environment = filled_hub.environment(None)
    environment |= {"PYTHONPATH": str(tmp_path / "package"), "GRADIO_SERVER_PORT": str(port)}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "app.py"], cwd=space, env=environment, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}/"
        for _ in range(240):
            try:
                with urllib.request.urlopen(f"{address}config") as answer:
                    content = json.load(answer)
                break
            except (urllib.error.URLError, ConnectionError):
                assert process.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.5)
        tabs = [one["props"]["label"] for one in content["components"] if one["type"] == "tabitem"]
        assert tabs == ["Classify", "Search"]
        page = open_page("Search", at=address)
        page.get_by_label("An image of the index").check()
        name = made.rows["test"]["id"][2]
        page.get_by_label("Id of an image").fill(name)
        page.get_by_role("button", name="Search", exact=True).click()
        page.get_by_text(f"Images like {name}").wait_for()
        assert page.locator(".gallery:visible").last.locator("img").count() == 24  # the pictures that went along
        page.get_by_role("tab", name="Classify").click()
        path = tmp_path / "one.jpg"
        path.write_bytes(made.rows["train"][0]["image"]["bytes"])
        page.locator("input[type=file]").first.set_input_files(path)
        page.get_by_text("above their thresholds").wait_for()
        page.get_by_role("heading", name="Nearest images of the index").wait_for()  # the model made the embeddings
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_pictures_go_only_where_their_license_is_known(filled_hub: LocalHub, made: Made, tmp_path: Path) -> None:
    folder = tmp_path / "space"
    done = run(filled_hub, *PARTS, "--dataset", made.data, "--dry-run", "--output-dir", folder)
    assert done.returncode == 0 and "--with-images" in done.stdout
    assert not (folder / "pictures").exists() and (folder / "app.py").is_file()
    for arguments, said in (
        (PARTS[:2], "--model USER/NAME"),
        (("--publish", "jane/app", "--model", "jane/nobody"), "jane/nobody"),
        (("--publish", "jane/app", "--embeddings", "jane/nothing"), "jane/nothing"),
        ((*PARTS, "--with-images"), "--data-dir"),
        (("--with-images",), "with_images"),
        (("--publish", "app", *PARTS[2:]), "'app'"),
    ):
        done = run(filled_hub, *arguments)
        assert done.returncode == 2 and re.search(re.escape(said), done.stderr), (arguments, done.stderr)
        assert len(done.stderr.strip().splitlines()) == 1
