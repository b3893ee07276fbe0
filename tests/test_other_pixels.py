"""Sentinel-like and PlanetScope-like files from training to search: one reading, stored with the model."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import timm
import torch
from PIL import Image
from transformers import AutoModelForImageClassification

from mlrsnet_hf.cli import main
from mlrsnet_hf.models.saved_model import load_model
from mlrsnet_hf.training.results import TrainingResult

rasterio = pytest.importorskip("rasterio", reason='needs the extra "geo"')
pytest.importorskip("milvus_lite", reason='needs the extra "search"')
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

SIDE = 32
IMAGES = 20
DOCUMENTATION = Path(__file__).parents[1] / "docs" / "data.md"


def example(command: str, name: str, *more: str) -> None:
    """Run a line of the documentation's example, on files of another name, with more options."""
    section = DOCUMENTATION.read_text(encoding="utf-8").partition("## Pixels that are not 8-bit RGB")[2]
    (line,) = (line for line in section.split("```bash")[1].splitlines() if line.startswith(f"mlrsnet {command} "))
    main([*line.replace("sentinel", name).replace("USER", "someone").split()[1:], *more])


@dataclass(frozen=True)
class Sensor:
    """A dataset, and the run that learned from it."""

    folder: Path
    bands: tuple[int, ...]
    limits: tuple[tuple[float, float], ...]
    """Of each channel, by hand."""

    @property
    def run(self) -> Path:
        return self.folder.parent / "runs" / self.folder.name

    def file(self, number: int) -> Path:
        return self.folder / "tiles" / f"t{number:02d}.tif"

    def network_input(self, number: int) -> torch.Tensor:
        """The input as rasterio and NumPy alone make it; timm's small networks are of mean and deviation 0.5."""
        with rasterio.open(self.file(number)) as file:
            values = file.read(list(self.bands)).astype(np.float64)
        low, high = (np.array(ends)[:, None, None] for ends in zip(*self.limits, strict=True))
        levels = np.rint(np.clip((values - low) * 255 / (high - low), 0, 255)) / 255
        return torch.from_numpy((levels - 0.5) / 0.5).float()[None]


def write_tiles(folder: Path, bands: int) -> np.ndarray:
    """Write files of some bands with their labels; return (images, bands, SIDE, SIDE) of what they hold."""
    (folder / "tiles").mkdir()
    draw = np.random.default_rng(bands)
    tiles = draw.integers(200, 3000, (IMAGES, bands, SIDE, SIDE)).astype(np.uint16)
    tiles *= np.linspace(1, 2, bands)[:, None, None].astype(np.uint16)
    rows = []
    for number, tile in enumerate(tiles):
        profile = {"driver": "GTiff", "count": bands, "height": SIDE, "width": SIDE, "dtype": "uint16"}
        with rasterio.open(folder / "tiles" / f"t{number:02d}.tif", "w", **profile, compress="deflate") as file:
            file.write(tile)
        rows.append({"image": f"tiles/t{number:02d}.tif", "labels": ["water", "trees"][: 1 + number % 2]})
    (folder / "train.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return tiles


QUICK = ["--recipe", "debug_cpu", "--epochs", "1", "--test-split", "none"]


def train(folder: Path, *options: str) -> None:
    main(["train", *QUICK, "--dataset", str(folder / "train.jsonl"), "--output-dir", str(folder / "run"), *options])


@pytest.fixture(scope="module", params=["sentinel", "planet"])
def sensor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sensor]:
    name = request.param
    folder = tmp_path_factory.mktemp("sensors") / name
    with pytest.MonkeyPatch.context() as patch:
        folder.mkdir()
        patch.chdir(folder.parent)
        if name == "planet":
            write_tiles(folder, 4)
            options = ["--bands", "3,2,1,4", "--value-range", "0,3000", "--jitter", "0.2", "--num-workers", "1"]
            example("train", name, *QUICK, *options)
            yield Sensor(folder, (3, 2, 1, 4), ((0.0, 3000.0),) * 4)
            return
        tiles = write_tiles(folder, 13)
        example("train", name, *QUICK, "--model", "test_vit", "--train-scale", "0.5", "--cache", "disk")
        limits = json.loads((folder.parent / "runs" / name / "model" / "config.json").read_text())["value_range"]
        # Of all images; two of them are held out, and are not measured.
        every = [np.percentile(tiles[:, band], (2, 98)) for band in range(13)]
        np.testing.assert_allclose(limits, every, rtol=0.05)
        yield Sensor(folder, tuple(range(1, 14)), tuple(map(tuple, limits)))


def test_the_model_keeps_bands_and_range(sensor: Sensor) -> None:
    config = json.loads((sensor.run / "model" / "config.json").read_text())
    channels = len(sensor.bands)
    assert config["bands"] == list(sensor.bands)
    assert config["band_count"] == channels
    assert config["model_args"]["in_chans"] == config["pretrained_cfg"]["input_size"][0] == channels
    saved = load_model(sensor.run / "model")
    assert saved.preprocessing.reading.limits() == sensor.limits
    source = TrainingResult.load(sensor.run / "results.json").data.source
    assert source["bands"] == list(sensor.bands)


def test_timm_transformers_and_embed_see_what_rasterio_gives(sensor: Sensor) -> None:
    folder = sensor.run / "model"
    by_timm = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    by_transformers = AutoModelForImageClassification.from_pretrained(folder).eval()
    images = ["--dataset", str(sensor.folder / "train.jsonl"), "--split", "train+validation"]
    main(["embed", "--model", str(sensor.run), *images, "--scores", "--output-dir", str(sensor.folder / "scored")])
    rows = {row["id"]: row for row in pq.read_table(sensor.folder / "scored" / "data").to_pylist()}
    assert len(rows) == IMAGES
    for number in (0, 5):
        pixels = sensor.network_input(number)
        with torch.inference_mode():
            expected = by_timm(pixels)
            assert torch.allclose(by_transformers(pixels).logits, expected, atol=1e-5)
        np.testing.assert_allclose(rows[f"t{number:02}.tif"]["scores"], expected[0].sigmoid(), atol=1e-4)


def test_search_reads_the_query_as_the_index_was(sensor: Sensor, capsys: pytest.CaptureFixture) -> None:
    name, page = sensor.folder.name, sensor.folder / "page.html"
    example("embed", name)
    example("index", name, "--kind", "flat")
    capsys.readouterr()
    example("search", name, "-k", "2", "--html", str(page))
    first = capsys.readouterr().out.splitlines()[1].split()
    assert first[:2] == ["1", "t07.tif"]
    assert float(first[2]) < 1e-3
    assert page.read_text().count("data:image/") == 3  # the query and two hits, stretched to be looked at
    # The same ground by another sensor, whose bands stand in the other order.
    with rasterio.open(sensor.file(7)) as file:
        profile, tile = file.profile, file.read()
    with rasterio.open(sensor.folder / "other.tif", "w", **profile) as file:
        file.write(tile[::-1])
    bands = ",".join(str(len(tile) + 1 - band) for band in sensor.bands)
    main(["search", "my-index", str(sensor.folder / "other.tif"), "-k", "1", "--bands", bands])
    first = capsys.readouterr().out.splitlines()[1].split()
    assert first[1] == "t07.tif"
    assert float(first[2]) < 1e-3
    plain = sensor.folder / "plain.png"
    Image.new("RGB", (SIDE, SIDE)).save(plain)
    with pytest.raises(SystemExit) as end:
        main(["search", "my-index", str(plain)])
    assert end.value.code == 2
    assert "plain.png" in (said := capsys.readouterr().err)
    assert "has 3 bands" in said


def test_the_card_says_bands_and_range(sensor: Sensor, capsys: pytest.CaptureFixture) -> None:
    built = sensor.folder / "dry"
    example("publish", sensor.folder.name, "--output-dir", str(built))
    (card,) = built.rglob("README.md")
    text = card.read_text()
    saved = load_model(sensor.run / "model")
    described = saved.preprocessing.reading.described()
    assert f"it sees {described}, low and high as 0 and 255." in text
    assert f"of {len(sensor.bands)} channels" in text
    code = text.split("```python\n")[1].split("```")[0]
    code = code.replace('snapshot_download("someone/NAME")', repr(str(sensor.run / "model")))
    code = code.replace('"scene.tif"', repr(str(sensor.file(0)))).replace("from huggingface_hub", "# from")
    names: dict = {}
    exec(code, names)
    with torch.inference_mode():
        expected = saved.model(sensor.network_input(0)).sigmoid()[0]
    np.testing.assert_allclose(names["scores"], expected, atol=1e-4)


def test_a_16_bit_image_is_not_trained_on_without_a_range(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_tiles(tmp_path, 1)
    for options, remedy in (([], "--value-range"), (["--bands", "1"], "--value-range")):
        with pytest.raises(SystemExit) as end:
            train(tmp_path, *options)
        assert end.value.code == 2
        said = capsys.readouterr().err
        assert "1 band of uint16 with values from 2" in said
        assert remedy in said
    assert not (tmp_path / "run" / "model").exists()


def test_a_file_of_other_bands_is_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_tiles(tmp_path, 4)
    with rasterio.open(tmp_path / "tiles" / "t05.tif") as file:
        profile, tile = file.profile, file.read()
    with rasterio.open(tmp_path / "tiles" / "t05.tif", "w", **profile | {"count": 3}) as file:
        file.write(tile[:3])
    with pytest.raises(SystemExit) as end:
        train(tmp_path, "--bands", "3,2,1", "--value-range", "0,3000")
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert "t05.tif" in said
    assert "has 3 bands" in said
    assert "have 4" in said
