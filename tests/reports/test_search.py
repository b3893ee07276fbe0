"""The page of `mlrsnet search`, looked at in a browser; what it holds is tested with the index."""

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from mlrsnet_hf.reports.pages import render
from mlrsnet_hf.retrieval.embeddings.query import Hit
from tests.reports.looking import look_at

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_fits_and_reads(browser: "Browser", tmp_path: Path, width: int, scheme: str) -> None:
    names = [f"{row}_{'a_long_name_of_a_file' * 3}.jpg" for row in range(5)]
    hits = [
        Hit(id=name, row=row, scene="harbor&port", labels=("ships", "water"), scores=None, distance=0.1 * row)
        for row, name in enumerate(names)
    ]
    picture = Image.new("RGB", (40, 30), "teal")
    values = {"answers": [(SimpleNamespace(title="Images like " + names[0], images=hits), picture)], "several": True}
    page = tmp_path / "found.html"
    found = render(
        "search.html",
        title="Images",
        about=["5 images"],
        pictures=dict.fromkeys(names[1:], picture),
        wanted=("ships",),
        **values,
    )
    page.write_text(found, encoding="utf-8")
    assert look_at(browser, page, width, scheme) == 1 + 4
