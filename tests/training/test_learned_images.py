"""What a model's run tells of the images that it learned from."""

from pathlib import Path

import pytest

from mlrsnet_hf.training import learned_images


def test_a_revision_of_a_repository_is_asked_for_as_the_network_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str | None]] = []

    def download(repository: str, kind: str, patterns: list[str], revision: str | None = None) -> Path:
        asked.append((repository, revision))
        return tmp_path

    monkeypatch.setattr(learned_images, "download_folder", download)
    for name in ("jane/net", "jane/net@v1.0"):
        assert learned_images.data_of_published_run(name) is None
    assert asked == [("jane/net", None), ("jane/net", "v1.0")]
