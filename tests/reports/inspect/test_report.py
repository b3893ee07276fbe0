"""What `mlrsnet inspect` shows of small datasets is what was put into them."""

import json
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from datasets import Dataset
from datasets import Image as ImageFeature
from PIL import Image

from mlrsnet_hf.cli import main
from mlrsnet_hf.errors import ConfigurationError, ImageError
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.load import load_data
from mlrsnet_hf.reports.inspect.facts import _file_facts, inspect_data
from mlrsnet_hf.reports.inspect.report import print_inspection
from tests.reports.looking import look_at

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WICKED = '<img src=x onerror="alert(1)">'


def write_images(folder: Path, sizes: dict[str, tuple[int, int]], mode: str = "RGB") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in sizes.items():
        Image.new(mode, size, 120).save(folder / name)


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Five training images, one of them gray and one damaged, and two for tests; a wicked name among the labels."""
    labels = {"a": ["sea", "sand"], "b": ["sea"], "c": [], "d": [WICKED, "sea"], "z": ["sand"]}
    tests = {"e": ["ice", "sea"], "f": []}
    for split, rows in (("train", labels), ("test", tests)):
        folder = tmp_path / "pictures" / split
        write_images(folder, {f"{name}.png": (20, 12) for name in rows})
        lines = [json.dumps({"file_name": f"{name}.png", "labels": names}) for name, names in rows.items()]
        (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    Image.new("L", (30, 30)).save(tmp_path / "pictures" / "train" / "b.png")
    (tmp_path / "pictures" / "train" / "z.png").write_bytes(b"no image")
    return tmp_path / "pictures"


def test_an_image_folder_by_hand(image_folder: Path) -> None:
    config = DataConfig(dataset=str(image_folder), validation_split=None, validation_share=0.2, split_seed=1)
    found = inspect_data(config, 1000)
    assert set(found.labels) == {"ice", "sand", "sea", WICKED}
    splits = {name: split.images for name, split in found.splits.items()}
    assert splits == {"train": 4, "validation": 1, "test": 2}  # one of five is held out, as training does
    total = {name: sum(counts.values()) for name, counts in found.labels.items()}
    assert total == {"ice": 1, "sand": 2, "sea": 4, WICKED: 1}
    assert found.labels["ice"] == {"train": 0, "validation": 0, "test": 1}
    assert "ice" in found.never_trained
    assert found.splits["test"].without_labels == 1
    assert (found.splits["test"].fewest_labels, found.splits["test"].mean_labels) == (0, 1.0)
    assert found.splits["test"].first_ids == ("e.png", "f.png")
    assert sum(split.without_labels for split in found.splits.values()) == 2
    assert found.files.kinds == {(20, 12, "RGB", "PNG"): 5, (30, 30, "L", "PNG"): 1}
    assert (found.files.opened, found.files.files, list(found.files.unread)) == (7, 7, ["z.png"])
    columns = {one.name: (one.read_as, one.first) for one in found.columns}
    assert columns["image"][0] == "image" and columns["image"][1].startswith("a.png")
    assert columns["labels"] == ("labels", "sea, sand")


def test_what_is_shown_is_what_training_loads(image_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = DataConfig(dataset=str(image_folder))
    found = inspect_data(config, 1000)
    assert capsys.readouterr().out == ""  # told in the result instead
    data = load_data(config)
    assert found.data.source == data.source
    said = [line.removeprefix("data: ") for line in capsys.readouterr().out.splitlines()]
    assert list(found.told) == said


def test_few_files_are_opened_where_few_are_asked_for(image_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = DataConfig(dataset=str(image_folder))
    assert inspect_data(config, 1).files.opened == 3
    print_inspection(config, files_per_split=1)
    assert "headers of 3 of 7 image files" in capsys.readouterr().out


def test_a_page_shows_names_and_runs_none(image_folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "made" / "page.html"
    print_inspection(DataConfig(dataset=str(image_folder)), page=page, examples=2)
    text = page.read_text(encoding="utf-8")
    assert WICKED not in text and "&lt;img src=x onerror=" in text
    assert str(tmp_path) not in text
    assert not re.search(r"(src|href)=\"(?!data:image/|#)", text)  # nothing of elsewhere
    headings = re.findall(r"<h3>(.*?): (\d+)</h3>", text)
    data = load_data(DataConfig(dataset=str(image_folder)))
    train = data.splits["train"]["labels"][:]
    assert dict(headings).get("no label", "0") == str(train.count([]))
    for number, name in enumerate(data.label_names):
        shown = dict(headings)[name if name != WICKED else "&lt;img src=x onerror=&#34;alert(1)&#34;&gt;"]
        assert int(shown) == sum(number in row for row in train)
    assert text.count("picture not found") == sum(name == "z.png" for name in data.splits["train"]["id"][:])


def test_images_that_training_refuses_end_it_below_the_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = []
    for number in range(6):
        Image.fromarray(np.full((9, 7), number, np.float32)).save(tmp_path / f"{number}.tif")
        rows.append(json.dumps({"image": f"{number}.tif", "labels": ["sea"], "id": f"n{number}"}))
    (tmp_path / "table.jsonl").write_text("\n".join(rows))
    config = DataConfig(dataset=str(tmp_path / "table.jsonl"))
    with pytest.raises(ImageError, match=r"image 'n0' .*float32"):
        print_inspection(config, page=tmp_path / "page.html")
    assert re.search(r"^image +string +image +", capsys.readouterr().out, re.M)
    assert not (tmp_path / "page.html").exists()


def test_sixteen_bits_of_color_are_told_from_eight(tmp_path: Path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 3, 2, 16, 2, 0, 0, 0)  # 3 x 2 pixels, 16 bits, RGB
    pixels = zlib.compress(2 * (b"\0" + 3 * 3 * b"\x12\x34"))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(png)
        if number:
            Image.new("RGB", (3, 2)).save(tmp_path / f"{number}.png")
    splits = Dataset.from_dict({"image": [str(tmp_path / f"{number}.png") for number in range(3)]})
    facts = _file_facts({"train": splits.cast_column("image", ImageFeature()).add_column("id", ["a", "b", "c"])}, 9)
    assert facts.kinds == {(3, 2, "RGB", "PNG"): 2, (3, 2, "RGB;16", "PNG"): 1}


def test_pictures_are_those_of_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Red images have the one label and blue ones the other."""
    rows = ["image,labels"]
    (tmp_path / "files").mkdir()
    for number in range(12):
        color = (255, 0, 0) if number % 2 else (0, 0, 255)
        Image.new("RGB", (16, 16), color).save(tmp_path / "files" / f"{number}.png")
        rows.append(f"files/{number}.png,{'red' if number % 2 else 'blue'}{';bright' if number else ''}")
    table = tmp_path / "table.csv"
    table.write_text("\n".join(rows) + "\n")
    page = tmp_path / "page.html"
    main(["inspect", str(table), "--label-separator", ";", "--html", str(page), "--examples", "3"])
    printed = capsys.readouterr().out
    assert re.search(r"^image +string +image +files/0\.png$", re.sub(r"^ +", "", printed, flags=re.M), re.M)
    assert re.search(r"^16 x 16 +RGB +PNG +12$", printed, re.M)
    galleries = re.split(r"<h3>", page.read_text(encoding="utf-8"))[1:]
    assert len(galleries) == 3  # blue, bright, red; every image has a label
    for gallery, channel in ((galleries[0], 2), (galleries[2], 0)):
        pictures = re.findall(r"data:image/jpeg;base64,([^\"]+)", gallery)
        assert 1 <= len(pictures) <= 3
        for content in pictures:
            assert int(np.argmax(_mean_color(content))) == channel


def _mean_color(content: str) -> np.ndarray:
    import base64
    import io

    with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
        return np.asarray(picture).mean(axis=(0, 1))


def test_a_release_as_json(make_release: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    release = make_release({"airplane": 10, "beach": 10})
    main(["inspect", "--data-dir", str(release), "--files", "3", "--json"])
    found = json.loads(capsys.readouterr().out)
    images = {name: split["images"] for name, split in found["splits"].items()}
    assert images == {"train": 4, "validation": 2, "test": 14}
    assert len(found["labels"]) == 60
    scenes = {name: counts for name, counts in found["scenes"].items() if any(counts.values())}
    assert scenes == {scene: {"train": 2, "validation": 1, "test": 7} for scene in ("airplane", "beach")}
    [kind] = found["files"]["kinds"]
    assert (kind["mode"], kind["format"], kind["images"]) == ("RGB", "JPEG", found["files"]["opened"])
    assert found["files"]["of"] == 20
    read_as = {column["name"]: column["read_as"] for column in found["columns"]}
    assert read_as == {
        **{"id": "id", "image": "image", "labels": "labels", "scene": "scene"},
        **{"group": None, "repaired": None},
    }


def test_scenes_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for scene, names in (("beach", "abcd"), ("forest", "efgh")):
        write_images(tmp_path / "land" / scene, {f"{name}.png": (8, 8) for name in names})
    config = DataConfig(dataset=str(tmp_path / "land"), labels_column=None, scene_column="label")
    print_inspection(config, page=tmp_path / "page.html")
    printed = capsys.readouterr().out
    assert re.search(r"^scene +train +validation$", printed, re.M)
    assert {column.name: column.read_as for column in inspect_data(config, 9).columns}["label"] == "scene"
    assert len(re.findall("<h3>", (tmp_path / "page.html").read_text())) == 2


def test_data_that_training_refuses_show_their_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_images(tmp_path, {f"{number}.png": (8, 8) for number in range(3)})
    table = tmp_path / "table.csv"
    table.write_text("image,tags\n0.png,sea\n1.png,sea\n2.png,sand\n")
    with pytest.raises(ConfigurationError, match="'labels'"):
        print_inspection(DataConfig(dataset=str(table)))
    assert re.search(r"^tags +string +- +sea$", capsys.readouterr().out, re.M)
    with pytest.raises(SystemExit) as ended:
        main(["inspect", str(table), "--json"])
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""


def test_one_dataset_at_a_time() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["inspect", "one", "--dataset", "two"])
    assert ended.value.code == 2


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_fits_and_reads(
    browser: "Browser", image_folder: Path, tmp_path: Path, width: int, scheme: str
) -> None:
    print_inspection(DataConfig(dataset=str(image_folder)), page=tmp_path / "page.html")
    assert look_at(browser, tmp_path / "page.html", width, scheme) > 3


@pytest.mark.browser
def test_on_a_phone_a_label_is_opened_by_its_link(browser: "Browser", image_folder: Path, tmp_path: Path) -> None:
    print_inspection(DataConfig(dataset=str(image_folder)), page=tmp_path / "page.html")
    page = browser.new_page(viewport={"width": 360, "height": 800})
    page.goto((tmp_path / "page.html").as_uri())
    assert page.locator("img:visible").count() == 0
    page.locator(".index a").first.click()
    page.wait_for_function("document.querySelector('.gallery').open")
    assert page.locator("#g1 img").first.is_visible()
    page.close()
