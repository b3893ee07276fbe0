"""The download against a server on this machine: whole, cut off, resumed, refused, damaged."""

import io
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import load_dataset, load_dataset_builder

from mlrsnet_hf.dataset import download
from mlrsnet_hf.dataset.download import DownloadError, archive_path, download_archive
from mlrsnet_hf.release import open_release
from mlrsnet_hf.taxonomy import SCENES, find_scene


def zip_bytes(seed: int = 0, members: int = 30) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for i in range(members):
            archive.writestr(f"{i}.bin", np.random.default_rng([seed, i]).bytes(100_000))
    return buffer.getvalue()


@dataclass
class Server:
    """What the server sends, and what it was asked."""

    content: bytes = field(default_factory=zip_bytes)
    etag: str | None = '"one"'
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)
    """Bytes to send before hanging up, for the first requests."""
    status: int = 200
    asked: list[str | None] = field(default_factory=list)
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers["Range"]
        self.asked.append(wanted)
        start = 0
        if wanted and self.ranges and handler.headers.get("If-Range", self.etag) == self.etag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        size = len(self.content)
        if start >= size:
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{size}")
            handler.end_headers()
            return
        handler.send_response(206 if start else self.status)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        if self.etag:
            handler.send_header("ETag", self.etag)
        handler.send_header("Content-Length", str(size - start))
        handler.end_headers()
        end = start + self.cut_after.pop(0) if self.cut_after else size
        handler.wfile.write(self.content[start:end])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    published = [SimpleNamespace(scene=scene) for scene in SCENES for _ in range(scene.images)]
    monkeypatch.setattr(download, "open_release", lambda archive: SimpleNamespace(entries=published))
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        threading.Thread(target=http_server.serve_forever, args=(0.01,), daemon=True).start()
        state.url = f"http://127.0.0.1:{http_server.server_port}/archive"
        monkeypatch.setattr(download, "ARCHIVE_URL", state.url)
        yield state
        http_server.shutdown()


def left_over(downloads: Path) -> list[str]:
    return sorted(path.name for path in archive_path(downloads).parent.iterdir() if not path.name.endswith(".lock"))


def test_a_download_is_whole_and_happens_once(server: Server, tmp_path: Path) -> None:
    archive = download_archive(tmp_path)
    assert archive.read_bytes() == server.content
    assert left_over(tmp_path) == ["7j9bv9vwsx-3.zip"]
    assert download_archive(tmp_path) == archive
    assert server.asked == [None]
    server.content = zip_bytes(seed=1)
    assert download_archive(tmp_path, force=True).read_bytes() == server.content


def test_an_interrupted_download_is_resumed(server: Server, tmp_path: Path) -> None:
    server.cut_after = [1_000_000, 0, 500_000]
    assert download_archive(tmp_path).read_bytes() == server.content
    assert server.asked == [None, "bytes=1000000-", "bytes=1000000-", "bytes=1500000-"]


def test_a_later_call_goes_on_where_the_first_gave_up(server: Server, tmp_path: Path) -> None:
    server.cut_after = [1_000_000, 0, 0, 0]
    with pytest.raises(DownloadError, match=r"1,000,000 of .* 1,000,000 bytes .* kept"):
        download_archive(tmp_path)
    assert "7j9bv9vwsx-3.zip" not in left_over(tmp_path)
    assert download_archive(tmp_path).read_bytes() == server.content
    assert server.asked[-1] == "bytes=1000000-"


@pytest.mark.parametrize("etag", ['"one"', None])
def test_a_server_without_ranges_is_asked_for_all(server: Server, tmp_path: Path, etag: str | None) -> None:
    server.ranges, server.etag, server.cut_after = False, etag, [1_000_000]
    assert download_archive(tmp_path).read_bytes() == server.content
    assert server.asked == [None, "bytes=1000000-"]


def test_a_file_that_changed_on_the_server_is_fetched_from_its_start(server: Server, tmp_path: Path) -> None:
    server.cut_after = [1_000_000, 0, 0, 0]
    with pytest.raises(DownloadError):
        download_archive(tmp_path)
    server.content, server.etag = zip_bytes(seed=1), '"two"'
    assert download_archive(tmp_path).read_bytes() == server.content


def test_a_partial_file_that_is_whole_or_too_long_already(server: Server, tmp_path: Path) -> None:
    server.etag = None
    partial = archive_path(tmp_path).with_name("7j9bv9vwsx-3.zip.partial")
    partial.parent.mkdir(parents=True)
    for content in (server.content, server.content + b"more"):
        partial.write_bytes(content)
        assert download_archive(tmp_path).read_bytes() == server.content
        archive_path(tmp_path).unlink()


def test_damage_is_found_and_removed(server: Server, tmp_path: Path) -> None:
    content = bytearray(server.content)
    content[1_234_567] ^= 1
    server.content = bytes(content)
    with pytest.raises(DownloadError, match=r"ZIP archive \(12\.bin\).* removed"):
        download_archive(tmp_path)
    server.content = b"<html>Please log in</html>"
    with pytest.raises(DownloadError, match=r"not a zip file"):
        download_archive(tmp_path)
    assert left_over(tmp_path) == []


def test_other_counts_than_published_are_named(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [SimpleNamespace(scene=scene) for scene in SCENES for _ in range(scene.images - (scene.name == "park"))]
    monkeypatch.setattr(download, "open_release", lambda archive: SimpleNamespace(entries=entries))
    for _ in range(2):  # the second call neither takes what the first has refused nor fetches it again
        with pytest.raises(DownloadError, match=r"1,681 images of park .* 1,682"):
            download_archive(tmp_path)
        assert not archive_path(tmp_path).exists()
    assert len(server.asked) == 1
    entries.append(next(entry for entry in entries if entry.scene.name == "park"))
    assert download_archive(tmp_path).read_bytes() == server.content


def test_loading_downloads_where_no_copy_is_given(
    server: Server, make_release: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way, with an archive of archives as Mendeley has it; only the published counts are the fake's."""
    root = make_release({"beach": 10, "forest": 12})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for scene in ("beach", "forest"):
            archive.write(root / "Labels" / f"{scene}.csv", f"MLRSNet/Labels/{scene}.csv")
            packed = shutil.make_archive(str(tmp_path / scene), "zip", root / "Images" / scene)
            archive.write(packed, f"MLRSNet/Images/{scene}.zip")
    server.content = buffer.getvalue()
    monkeypatch.setattr(download, "open_release", open_release)
    counts = {find_scene("beach"): 10, find_scene("forest"): 12}
    monkeypatch.setattr(download, "PUBLISHED_COUNTS", counts)
    monkeypatch.delenv("MLRSNET_DATA_DIR", raising=False)
    builder = load_dataset_builder("mlrsnet", cache_dir=str(tmp_path / "cache"))
    assert list(builder.info.features) == ["id", "image", "group", "scene", "labels", "repaired"]
    assert server.asked == []
    loaded = load_dataset("mlrsnet", cache_dir=str(tmp_path / "cache"))
    given = load_dataset("mlrsnet", data_dir=str(root), cache_dir=str(tmp_path / "other"))
    assert {name: list(split["id"]) for name, split in loaded.items()} == {
        name: list(split["id"]) for name, split in given.items()
    }
    assert loaded["test"][0]["image"].tobytes() == given["test"][0]["image"].tobytes()
    streamed = load_dataset("mlrsnet", "all", cache_dir=str(tmp_path / "cache"), streaming=True)["train"]
    assert len([row["id"] for row in streamed]) == 22
    assert server.asked == [None]
    load_dataset("mlrsnet", cache_dir=str(tmp_path / "cache"), download_mode="force_redownload")
    assert server.asked == [None, None]


def test_a_refusing_server_is_quoted(server: Server, tmp_path: Path) -> None:
    server.status, server.content = 403, b"no"
    with pytest.raises(DownloadError, match=r" 403 .*data_dir.*MLRSNET_DATA_DIR.*demo"):
        download_archive(tmp_path)


def test_no_connection_says_what_to_do(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "ARCHIVE_URL", "http://127.0.0.1:1/archive")
    with pytest.raises(DownloadError, match=r"refused.*data\.mendeley\.com/datasets/7j9bv9vwsx/3"):
        download_archive(tmp_path)


def test_a_small_disk_is_noticed_first(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1_000))
    with pytest.raises(DownloadError, match=r"1,000 bytes are free"):
        download_archive(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match="cannot be written"):
        download_archive(tmp_path / "file")


def test_offline_nothing_is_asked(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match="HF_DATASETS_OFFLINE or HF_HUB_OFFLINE"):
        download_archive(tmp_path)
    assert server.asked == []
