import io

import pytest
from PIL import Image

from mlrsnet_hf.dataset.image_size import image_size


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"comment": b"x" * 70}])
def test_size_is_the_one_that_was_saved(form: str, options: dict[str, object]) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (300, 17)).save(buffer, form, **(options if form == "JPEG" else {}))
    assert image_size(buffer.getvalue()) == (300, 17)


def test_no_size_is_an_error() -> None:
    with pytest.raises(OSError, match="cannot identify"):
        image_size(b"\xff\xd8\xff\xd9")
