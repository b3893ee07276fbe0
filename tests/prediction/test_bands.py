"""Networks of 4 and 13 bands, from georeferenced tiles to an evaluation, a table and a map: one answer everywhere."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import timm
import torch

from mlrsnet_hf.cli import main

rasterio = pytest.importorskip("rasterio", reason='needs the extra "geo"')
pytest.importorskip("shapely", reason='needs the extra "geo"')

SIDE, TILES = 32, 16
LABELS = ["trees", "water"]


def write_tiles(folder: Path, bands: int) -> np.ndarray:
    """Write georeferenced tiles in a row, and all of them as one scene; return the tiles."""
    draw = np.random.default_rng(bands)
    tiles = draw.integers(0, 3000, (TILES, bands, 4, 4)).repeat(8, 2).repeat(8, 3).astype(np.uint16)
    scene = np.concatenate(list(tiles), axis=2)
    profile = {"driver": "GTiff", "count": bands, "dtype": "uint16", "crs": "EPSG:32633", "height": SIDE}
    rows = []
    for number, tile in enumerate(tiles):
        place = rasterio.Affine(10, 0, 5e5 + 10 * SIDE * number, 0, -10, 5e6)
        with rasterio.open(folder / f"t{number:02d}.tif", "w", **profile, width=SIDE, transform=place) as file:
            file.write(tile)
        rows.append({"image": f"t{number:02d}.tif", "labels": LABELS[: 1 + number % 2]})
    for split, part in (("train", rows[:10]), ("test", rows[10:])):
        (folder / f"{split}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in part))
    place = rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)
    with rasterio.open(folder / "scene.tif", "w", **profile, width=TILES * SIDE, transform=place) as file:
        file.write(scene)
    return tiles


@pytest.mark.parametrize(("bands", "chosen"), [(4, "3,2,1,4"), (13, "1-13")])
def test_all_ways_to_predict_give_one_answer(
    tmp_path: Path, bands: int, chosen: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tiles = write_tiles(tmp_path, bands)
    run = str(tmp_path / "run")
    reading = ["--bands", chosen, "--value-range", "0,3000"]
    quick = ["--recipe", "debug_cpu", "--epochs", "1", "--image-size", str(SIDE), "--test-split", "none"]
    main(["train", *quick, "--dataset", str(tmp_path / "train.jsonl"), *reading, "--output-dir", run])
    told = capsys.readouterr().out
    assert f"mlrsnet evaluate {run}" in told and f"mlrsnet predict {run} IMAGES" in told
    config = json.loads((tmp_path / "run" / "model" / "config.json").read_text())
    assert (config["resolution"], config["image_side"]) == (10, SIDE)
    assert config["model_args"]["in_chans"] == bands

    # By timm and NumPy alone, from what was written.
    network = timm.create_model(f"local-dir:{tmp_path / 'run' / 'model'}", pretrained=True).eval()
    order = [band - 1 for band in config["bands"]]
    levels = np.rint(tiles[:, order] / 3000 * 255).astype(np.uint8)
    side = config["pretrained_cfg"]["input_size"][1]
    assert side == SIDE, "else the tiles would be resized on the way"
    mean, std = (np.array(config["pretrained_cfg"][name])[:, None, None] for name in ("mean", "std"))
    with torch.inference_mode():
        expected = network(torch.from_numpy((levels / 255 - mean) / std).float()).sigmoid().numpy()

    test = ["--dataset", str(tmp_path / "test.jsonl"), "--split", "train", "--draws", "10"]
    main(["evaluate", run, *test, "--output-dir", str(tmp_path / "evaluation")])
    evaluated = pq.read_table(tmp_path / "evaluation" / "predictions.parquet").to_pylist()
    numbers = [int(row["id"][1:3]) for row in evaluated]  # one is held out to validate
    assert len(numbers) == 5 and set(numbers) < set(range(10, TILES))
    np.testing.assert_allclose([row["scores"] for row in evaluated], expected[numbers], atol=1e-4)

    files = [str(path) for path in sorted(tmp_path.glob("t*.tif"))]
    main(["predict", run, *files, "--all-scores", "--output", str(tmp_path / "table.parquet")])
    predicted = pq.read_table(tmp_path / "table.parquet")
    for label, name in enumerate(config["label_names"]):
        np.testing.assert_allclose(predicted[f"score:{name}"], expected[:, label], atol=1e-4)

    scene = [str(tmp_path / "scene.tif"), "--window", str(SIDE), "--overlap", "0", "--all-scores"]
    main(["predict", run, *scene, "--output", str(tmp_path / "map")])
    windows = pq.read_table(tmp_path / "map" / "windows.parquet")
    for label, name in enumerate(config["label_names"]):
        np.testing.assert_allclose(windows[f"score:{name}"], expected[:, label], atol=1e-4)
    assert "m per pixel" not in capsys.readouterr().err

    with pytest.raises(SystemExit) as ended:
        main(["predict", run, *scene, "--bands", "1,2", "--output", str(tmp_path / "other")])
    assert ended.value.code == 2
    assert f"{bands} channels" in capsys.readouterr().err

    (tmp_path / "run" / "model" / "config.json").write_text(json.dumps(config | {"resolution": 30}))
    main(["predict", run, *files, "--output", str(tmp_path / "far.csv")])
    assert "t00.tif has 10 m per pixel" in capsys.readouterr().err
    main(["evaluate", run, *test, "--output-dir", str(tmp_path / "far")])
    assert "pixels of 30 m" in capsys.readouterr().err
