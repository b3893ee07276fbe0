import io
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mlrsnet_hf.release import Record
from mlrsnet_hf.synthetic import contact_sheet, synthetic_records
from mlrsnet_hf.taxonomy import LABELS, find_scene


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return list(synthetic_records(dict.fromkeys([find_scene("stadium"), find_scene("beach")], 2)))


def test_the_sheet_shows_every_record(records: list[Record]) -> None:
    sheet = contact_sheet(records, columns=2, tile=256)
    assert sheet.mode == "RGB"
    pixels = np.asarray(sheet)
    with Image.open(io.BytesIO(records[1].image)) as image:
        tile = np.asarray(image)
    # The second record stands in the first row's second place.
    assert any(np.array_equal(pixels[y : y + 256, 276:532], tile) for y in range(20, 80))


def test_the_sheet_grows_by_rows(records: list[Record]) -> None:
    one_row, two_rows = contact_sheet(records, columns=4, tile=64), contact_sheet(records, columns=2, tile=64)
    assert one_row.width > two_rows.width
    assert one_row.height < two_rows.height
    assert contact_sheet([], columns=4, tile=64).width == one_row.width


def test_no_label_is_cut(records: list[Record]) -> None:
    crowded = replace(records[0], labels=tuple(range(len(LABELS))))
    with patch.object(ImageDraw.ImageDraw, "text", autospec=True) as text:
        sheet = contact_sheet([crowded], columns=5, tile=160)
    written = " ".join(call.args[2] for call in text.call_args_list)
    assert all(label.name in written for label in LABELS)
    assert max(call.args[1][1] for call in text.call_args_list) < sheet.height - 12


def test_the_sheet_says_that_it_is_synthetic_and_names_scenes_and_labels(records: list[Record]) -> None:
    with patch.object(ImageDraw.ImageDraw, "text", autospec=True) as text:
        contact_sheet(records)
    written = " ".join(call.args[2] for call in text.call_args_list)
    assert "MLRSNet synthetic demo" in written
    assert "stadium" in written
    assert all(LABELS[label].name in written for record in records for label in record.labels)
