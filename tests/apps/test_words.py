"""Search by words: the page shows the order of open_clip by hand, and no box for words where a network knows none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlrsnet_hf.apps.config import AppConfig
from mlrsnet_hf.cli import main
from tests.apps.conftest import Made

pytest.importorskip("gradio", reason="the extra app is not installed")
pytest.importorskip("open_clip", reason="open_clip is not installed")
pytest.importorskip("milvus_lite")

from tests.retrieval.index.test_text import checkpoint, colored, similarities  # noqa: F401

pytestmark = pytest.mark.browser


def test_words_find_what_open_clip_finds(
    checkpoint: Path,  # noqa: F811
    colored: Path,  # noqa: F811
    tmp_path: Path,
    serve: Callable[..., Any],
    open_page: Callable[..., Any],
    made: Made,
) -> None:
    model = ["--model", "open_clip:text-clip", "--weights", str(checkpoint)]
    main(["embed", *model, "--images", str(colored), "--output-dir", str(tmp_path / "embeddings")])
    main(["index", str(tmp_path / "embeddings"), str(tmp_path / "index"), "--kind", "flat"])
    words = "harbor with ships"
    expected = np.argsort(-similarities(colored, [words])[0], kind="stable")
    with serve(AppConfig(index=str(tmp_path / "index"))) as address:
        page = open_page("Search", at=address)
        page.get_by_label("Words", exact=True).check()
        page.get_by_label("What the images show").fill(words)
        page.keyboard.press("Enter")
        page.get_by_text("Images for 'harbor with ships'").wait_for()
        assert page.locator(".gallery .name").all_inner_texts() == [f"{row:02d}.png" for row in expected]
        page.get_by_label("What the images show").fill("  ")
        page.keyboard.press("Enter")
        page.locator(".note.wrong:visible").wait_for()
    page = open_page("Search")
    assert page.get_by_label("Words", exact=True).count() == 0
