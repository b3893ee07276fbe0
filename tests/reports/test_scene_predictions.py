"""`mlrsnet predict` of scenes: what counts as one, where results go, and the page in a browser."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from mlrsnet_hf.cli import main
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.inputs.pixels.reading import RGB
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.build import build_model
from mlrsnet_hf.models.preprocessing import model_preprocessing
from mlrsnet_hf.models.saved_model import save_model
from mlrsnet_hf.prediction.config import PredictionConfig
from mlrsnet_hf.prediction.scenes import config as scene_settings
from mlrsnet_hf.prediction.scenes.config import SceneConfig
from mlrsnet_hf.prediction.scenes.find import find_scenes
from mlrsnet_hf.prediction.scenes.predict import predict_scene
from mlrsnet_hf.reports import scene_map
from mlrsnet_hf.reports.scene_map import write_scene_map
from tests.prediction.scenes.conftest import PLACE, UTM, halves, make_classifier
from tests.reports.looking import look_at

if TYPE_CHECKING:
    from playwright.sync_api import Browser

rasterio = pytest.importorskip("rasterio", reason='needs the extra "geo"')
pytest.importorskip("shapely", reason='needs the extra "geo"')

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HOSTILE = "green </script><script>document.title='owned'</script> & <b>bold</b>"


def write_scene(path: Path, values: np.ndarray, is_placed: bool = True) -> Path:
    place: dict[str, Any] = {"crs": UTM, "transform": rasterio.Affine(*PLACE)} if is_placed else {}
    count, height, width = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width, dtype=values.dtype, **place
    ) as file:
        file.write(values)
    return path


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A small model with labels."""
    torch.manual_seed(0)
    network = build_model("test_resnet", 2, "random")
    task = Task(kind="labels", label_names=("trees", "water"))
    save_model(network, tmp_path / "model", model_preprocessing(network, 32, 1.0, RGB), task)
    return tmp_path / "model"


# -------------------------------------------------------------------------------------------------------- the command


def test_a_scene_becomes_a_folder_and_a_page(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_scene(tmp_path / "scene.tif", halves())
    options = ["--window", "32", "--thresholds", "0.1", "--html", "map.html"]
    main(["predict", str(saved), "scene.tif", *options])
    said = capsys.readouterr().out
    assert "28 windows" in said and "windows per second" in said and "page: map.html" in said
    windows = pq.read_table(tmp_path / "predictions" / "windows.parquet")
    assert len(windows) == 28
    assert {label for labels in windows["labels"].to_pylist() for label in labels} <= {"trees", "water"}
    assert "trees" in (tmp_path / "map.html").read_text()


def test_several_scenes_become_folders_in_one(saved: Path, tmp_path: Path) -> None:
    for name in ("west", "east"):
        write_scene(tmp_path / f"{name}.tif", halves())
    main(["predict", str(saved), str(tmp_path / "*.tif"), "--window", "50", "--output", str(tmp_path / "out")])
    for name in ("west", "east"):
        assert (tmp_path / "out" / name / "scores.tif").is_file()


def test_a_scene_that_cannot_be_read_is_listed_at_the_end(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_scene(tmp_path / "b.tif", halves())
    (tmp_path / "a.tif").write_bytes(b"II*\0torn")
    (tmp_path / "c.tif").write_bytes(b"")
    options = ["--window", "50", "--output", "out"]
    main(["predict", str(saved), "a.tif", "b.tif", "c.tif", *options])
    said = capsys.readouterr().out
    assert "2 of 3 scenes" in said and "a.tif" in said.split("2 of 3")[1] and "c.tif" in said.split("2 of 3")[1]
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.name[0] != ".") == ["b"]
    for strict in (["a.tif", "b.tif", "--strict"], ["a.tif", "c.tif"]):
        with pytest.raises(SystemExit) as ended:
            main(["predict", str(saved), *strict, "--window", "50", "--output", "other"])
        assert ended.value.code == 2


def found(*sources: str | Path, data: ImageSet | None = None, **settings: Any) -> list[str]:  # noqa: ANN401
    config = PredictionConfig(model="run", sources=tuple(map(str, sources)))
    return find_scenes(config, SceneConfig(**settings), data or ImageSet())


def test_what_is_a_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("mlrsnet_hf.prediction.scenes.find.WINDOW", 32)
    large = write_scene(tmp_path / "large.tif", np.zeros((3, 40, 130), np.uint8))
    small = write_scene(tmp_path / "small.tif", np.zeros((3, 40, 128), np.uint8))
    nowhere = write_scene(tmp_path / "nowhere.tif", np.zeros((3, 40, 130), np.uint8), is_placed=False)
    Image.new("RGB", (200, 200)).save(tmp_path / "photo.png")
    assert scene_settings.WINDOW == 256
    assert found(large) == [str(large)]
    assert found(small, tmp_path / "photo.png") == [] and not caplog.messages
    assert found(small, large, tmp_path / "photo.png") == []
    [told] = caplog.messages
    assert "large.tif" in told
    assert found(small) == found(nowhere) == found(large, small) == found(large, tmp_path / "photo.png") == []
    (tmp_path / "torn.tif").write_text("torn")
    assert found(tmp_path / "torn.tif") == []  # as of any image, it is told where it is read
    assert found(large, tmp_path / "torn.tif") == [str(large), str(tmp_path / "torn.tif")]  # the others tell
    assert found(small, tmp_path / "photo.png", window=16) == [str(small), str(tmp_path / "photo.png")]
    assert found(tmp_path, merge=True) == sorted(map(str, tmp_path.glob("*.tif")))
    with pytest.raises(ConfigurationError, match="no such scene"):
        found(tmp_path / "none*.tif", window=16)
    with pytest.raises(ConfigurationError, match="window=16"):
        found(window=16)
    with pytest.raises(ConfigurationError, match="window=16 goes with scenes, and split='test'"):
        found(large, window=16, data=ImageSet(split="test"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["scene.tif", "--window", "101"], "--window 100"),
        (["scene.tif", "--window", "32", "--overlap", "0.99"], "overlap"),
        (["scene.tif", "--window", "32", "--resolution", "-1"], "resolution"),
        (["scene.tif", "--window", "32", "--output", "table.csv"], "is a table"),
        (["scene.tif", "--window", "32", "--output", "predictions.csv"], "is a table"),
        (["scene.tif", "scene.tif", "--window", "32", "--html", "map.html"], "2 scenes"),
        (["scene.tif", "scene.tif", "--window", "32"], "called 'scene'"),
        (["nothing.tif", "--window", "32"], "no such file"),
        (["scene.tif", "--window", "32", "--bands", "4,3,2"], "band 4 is asked for"),
        (["scene.tif", "--window", "32", "--html", "there.html"], "there.html: exists already"),
        (["scene.tif", "--roi", "POLYGON((0 0, 1 1, 1 0, 0 0))", "--window", "32"], "overlaps no window"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    saved: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_scene(tmp_path / "scene.tif", halves())
    (tmp_path / "there.html").write_text("mine")
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(saved), *arguments])
    assert ended.value.code == 2
    said = capsys.readouterr().err.strip()
    assert told in said and "\n" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == before


# ----------------------------------------------------------------------------------------------------------- the page


class Page(HTMLParser):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.options: list[str] = []
        self._is_option = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.asked += [value or "" for name, value in attrs if name in ("src", "href")]
        self._is_option = tag == "option"

    def handle_data(self, text: str) -> None:
        self.options += [text] * self._is_option
        self._is_option = False


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    scene = halves()
    scene[:, :, :30] = 7
    path = tmp_path / "<i>scene.tif"
    with rasterio.open(write_scene(path, scene), "r+") as file:
        file.nodata = 7
    classifier = make_classifier(Task(kind="labels", label_names=("red", HOSTILE)))
    predict_scene(path, classifier, tmp_path / "out", SceneConfig(window=16))
    return tmp_path / "out"


def content(page: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)[1])
    return told


def test_the_page_is_whole_by_itself_and_safe(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "map.html"
    write_scene_map(folder, page)
    assert [address[:22] for address in Page(page).asked] == ["data:image/jpeg;base64"]
    text = page.read_text()
    assert "<b>bold" not in text and "<i>scene" not in text and "</script><script>document" not in text
    windows = pq.read_table(folder / "windows.parquet")
    told = content(page)
    assert (told["x"], told["y"], told["side"]) == (windows["x"].to_pylist(), windows["y"].to_pylist(), 16)
    for label in told["labels"]:
        expected = {
            row: round(1000 * dict(zip(labels, scores, strict=True))[label["name"]])
            for row, (labels, scores) in enumerate(
                zip(windows["labels"].to_pylist(), windows["scores"].to_pylist(), strict=True)
            )
            if label["name"] in labels
        }
        assert dict(zip(label["windows"], label["scores"], strict=True)) == expected
        assert label["scores"] == sorted(label["scores"], reverse=True)
    (longitude, latitude), *_ = told["places"]
    ((x,), (y,)) = rasterio.warp.transform("EPSG:4326", UTM, [longitude], [latitude])
    assert (x, y) == pytest.approx((5e5 + 10 * (told["x"][0] + 8), 5e6 - 80), abs=2)


def test_of_very_many_windows_squares_are_shown(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, page = tmp_path / "whole.html", tmp_path / "map.html"
    write_scene_map(folder, whole)
    windows = len(content(whole)["x"])
    monkeypatch.setattr(scene_map, "_MOST_WINDOWS", windows // 3)
    write_scene_map(folder, page)
    told = content(page)
    assert len(told["x"]) < windows / 2 and told["side"] == 2 * 12
    for label, before in zip(told["labels"], content(whole)["labels"], strict=True):
        assert label["scores"][0] == before["scores"][0]
    assert "stands for 2 x 2 windows" in page.read_text()


def in_browser(page: Path, script: str, tmp_path: Path, size: str = "500,900") -> dict[str, Any]:
    """Return what a script, which sets `answer`, finds on a page that is loaded."""
    probe = tmp_path / "probe.html"
    ask = f"<script>onload = () => {{ let answer; {script}; document.title = JSON.stringify(answer) }}</script>"
    probe.write_text(page.read_text() + ask)
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--window-size={size}",
        f"--user-data-dir={tmp_path}/user",
    ]
    run = subprocess.run(
        [str(BROWSER), *options, "--dump-dom", probe.as_uri()], capture_output=True, text=True, timeout=120
    )
    told: dict[str, Any] = json.loads(re.search(r"<title>(.*?)</title>", run.stdout)[1].replace("&amp;", "&"))
    return told


LOOK = """
const at = (x, y) => [...context.getImageData(x, y, 1, 1).data];
const red = data.labels.findIndex(label => label.name === "red");
const [first, second] = [red, 1 - red].map(label => {
  select.value = label;
  select.dispatchEvent(new Event("change"));
  return {red: at(50, 50), green: at(120, 50)};
});
const box = canvas.getBoundingClientRect();
canvas.dispatchEvent(new MouseEvent("click", {clientX: box.left + box.width * 120 / 160,
  clientY: box.top + box.height / 2}));
const told = document.getElementById("window").textContent;
document.querySelector(".places button").click();
answer = {first, second, told, pressed: document.querySelectorAll('[aria-pressed="true"]').length,
  names: [...select.options].map(one => one.textContent),
  across: document.documentElement.scrollWidth, window: innerWidth, picture: document.images[0].naturalWidth};
"""


@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_the_map_shows_one_label_at_a_time(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "map.html"
    write_scene_map(folder, page)
    told = in_browser(page, LOOK, tmp_path)
    first, second = told["first"], told["second"]
    assert first["red"][3] > 0 and first["green"][3] == 0
    assert second["green"][3] > 0 and second["red"][3] == 0
    assert told["picture"] == 160 and told["across"] <= told["window"]
    assert "° N, 15." in told["told"] and told["pressed"] == 1
    assert any("bold" in name for name in told["names"])


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_the_map_fits_and_reads(browser: "Browser", folder: Path, tmp_path: Path, width: int, scheme: str) -> None:
    page = tmp_path / "map.html"
    write_scene_map(folder, page)
    assert look_at(browser, page, width, scheme) == 1
