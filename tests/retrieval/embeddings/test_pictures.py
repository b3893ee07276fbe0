"""Pictures of embedded images are found again where the images have other rows by now."""

from pathlib import Path

from PIL import Image

from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.retrieval.embeddings.info import LocalSources
from mlrsnet_hf.retrieval.embeddings.pictures import find_pictures
from mlrsnet_hf.retrieval.embeddings.query import IndexedImage


def test_images_are_found_by_id_where_their_rows_have_moved(tmp_path: Path) -> None:
    """As those of a train split that was embedded whole, and is now without what training holds out."""
    for number, name in enumerate("bcd"):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / f"{name}.png")
    local = LocalSources(ModelChoice(), ImageSet(images=str(tmp_path)))
    embedded = [IndexedImage(id=f"{name}.png", row=row, scene=None, labels=None) for row, name in enumerate("bcd")]
    (tmp_path / "c.png").unlink()
    Image.new("RGB", (4, 4), (9, 0, 0)).save(tmp_path / "a.png")
    found = find_pictures(embedded, local)
    assert {name: picture.getpixel((0, 0))[0] for name, picture in found.items()} == {"b.png": 0, "d.png": 2}
