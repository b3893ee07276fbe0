"""What `mlrsnet curate start` refuses before it asks a server, and what it leaves behind when it ends early."""

from pathlib import Path

import pytest

from mlrsnet_hf.curation.config import Rules, StartConfig
from mlrsnet_hf.curation.label_studio.served_images import ROOT_VARIABLE
from mlrsnet_hf.curation.votes import start
from mlrsnet_hf.curation.votes.folder import Curation
from mlrsnet_hf.curation.votes.start import start_curation
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.files import kept_now
from tests.conftest import jpeg_bytes
from tests.curation.no_server import NoServer

pytest.importorskip("label_studio_sdk")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StartConfig:
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path / "served"))
    (tmp_path / "collected").mkdir()
    (tmp_path / "served").mkdir()
    rows = ["image,category,truth", "a.jpg,beach,beach", "b.jpg,beach,desert", "c.jpg,desert,"]
    for row in rows[1:]:
        (tmp_path / "collected" / row.split(",")[0]).write_bytes(jpeg_bytes((9, 9, 9)))
    (tmp_path / "candidates.csv").write_text("\n".join(rows))
    return StartConfig(
        images=str(tmp_path / "collected"),
        labels=tmp_path / "candidates.csv",
        output_dir=tmp_path / "served" / "curation",
    )


def test_places_that_cannot_be_used_are_told_without_a_server(
    config: StartConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "connect", lambda: pytest.fail("a server was asked"))
    outside = StartConfig(images=config.images, labels=config.labels, output_dir=tmp_path / "curation")
    with pytest.raises(ConfigurationError, match=str(tmp_path / "curation")):
        start_curation(outside, Rules())
    nowhere = StartConfig(images="nowhere", labels=config.labels, output_dir=config.output_dir)
    with pytest.raises(ConfigurationError, match=r"nowhere: .* folder"):
        start_curation(nowhere, Rules())
    assert list((tmp_path / "served").iterdir()) == []


def test_addresses_that_tell_the_category_are_told(
    config: StartConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Server(NoServer):
        url = "http://localhost"

        def people(self) -> list[str]:
            return [f"{number}@example.org" for number in range(10)]

    monkeypatch.setattr(start, "connect", Server)
    for name, is_told in (("Storage-Tank/1.jpg", True), ("1.jpg", False)):
        caplog.clear()
        config.labels.write_text(f"image,category,truth\n{name},storage_tank,lake\n2.jpg,storage_tank,storage_tank")
        start_curation(
            StartConfig(images="https://example.org/p", labels=config.labels, output_dir=tmp_path / name[:1]), Rules()
        )
        assert ("https://example.org/p/Storage-Tank/1.jpg" in caplog.text) == is_told


def test_a_start_that_ends_early_says_how_to_go_on(config: StartConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []

    class Server:
        url = "http://localhost"

        def people(self) -> list[str]:
            told.append(kept_now()())
            return ["a@example.org"]

    def breaks(*_: object) -> str:
        told.append(kept_now()())
        raise MLRSNetError("the server is away", "Run again.")

    monkeypatch.setattr(start, "connect", Server)
    monkeypatch.setattr(start, "open_first_round", breaks)
    going_on = f"mlrsnet curate round {config.output_dir}"
    with pytest.raises(MLRSNetError, match=going_on):
        start_curation(config, Rules(limit=2))
    assert told[0] is None and told[1] is not None and going_on in told[1]
    assert Curation.open(config.output_dir).rules().limit == 2
    with pytest.raises(ConfigurationError, match=going_on):
        start_curation(config, Rules())
