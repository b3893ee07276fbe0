"""A streamed set: written once and whole, read from a folder here or elsewhere, in the order of the batches."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict

from mlrsnet_hf.commands.data import Prepare
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs import stream_reading
from mlrsnet_hf.inputs.batches import ShuffledBatches
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.load import load_data
from mlrsnet_hf.inputs.loader import make_loader
from mlrsnet_hf.inputs.named_dataset import load_rows
from mlrsnet_hf.inputs.pixels.augmentation import Augmentation
from mlrsnet_hf.inputs.split_images import SplitImages
from mlrsnet_hf.inputs.stream_reading import StreamedBatches, StreamedFiles
from mlrsnet_hf.inputs.stream_writing import WrittenStream, write_stream
from mlrsnet_hf.inputs.task import ImageData, make_task


@pytest.fixture(scope="module")
def written(training_data: ImageData, tmp_path_factory: pytest.TempPathFactory) -> WrittenStream:
    return write_stream(training_data, tmp_path_factory.mktemp("stream") / "set", chunk_megabytes=0.015)


def files_of(split: Dataset) -> dict[str, bytes]:
    return {row["id"]: row["image"]["bytes"] for row in split.with_format("arrow")[:].to_pylist()}


def streamed(data: ImageData, name: str, folder: Path, megabytes: int = 0) -> StreamedFiles:
    assert data.stream is not None
    return data.stream.files(name, data.splits[name], folder, megabytes)


@pytest.fixture
def served(written: WrittenStream) -> Iterator[str]:
    """The address of the set on a web server."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(written.folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_rows_labels_and_files_are_those_of_the_dataset(
    written: WrittenStream, data: DatasetDict, tmp_path: Path
) -> None:
    found = load_data(DataConfig(streaming=str(written.folder)))
    assert found.label_names == ("red", "green", "blue", "striped", "never")
    assert found.source["streamed"] is True
    for name, split in data.items():
        rows = found.splits[name]
        labels = dict(zip(split["id"], split["labels"], strict=True))
        assert dict(zip(rows["id"], rows["labels"], strict=True)) == labels
        read = dict(zip(rows["id"], streamed(found, name, tmp_path).read(range(len(rows))), strict=True))
        assert read == files_of(split)
    assert found.splits["test"]["id"][:] == data["test"]["id"][:]
    assert found.splits["train"]["id"][:] != data["train"]["id"][:], "chunks would hold neighbors"
    assert not list(tmp_path.iterdir()), "a set on this machine is read where it is"


@pytest.mark.parametrize("place", ["file", "http"])
def test_chunks_come_and_go(written: WrittenStream, data: DatasetDict, served: str, tmp_path: Path, place: str) -> None:
    found = load_data(DataConfig(streaming=served if place == "http" else f"file://{written.folder}"))
    files = streamed(found, "train", tmp_path)
    assert len(files.images) == 12
    most, read = 0, {}
    for row, content in enumerate(files.read(range(32))):
        read[found.splits["train"]["id"][row]] = content
        most = max(most, len(list(files.folder.glob("chunk-*.bin"))))
    assert read == files_of(data["train"])
    assert 0 < most <= 5
    assert not list(files.folder.glob("*.bin"))


def test_batches_are_those_of_the_order_whatever_the_parts(written: WrittenStream, tmp_path: Path) -> None:
    found = load_data(DataConfig(streaming=f"file://{written.folder}"))
    files = streamed(found, "train", tmp_path)
    ids, contents = found.splits["train"]["id"], files_of_stream(found, tmp_path)
    for processes, accumulation, factors in ((1, 1, None), (2, 2, None), (2, 2, np.linspace(1, 3.5, 32))):
        for process in range(processes):
            batches = ShuffledBatches(32, 16, 5, process, processes, accumulation, files.chunks, factors)
            batches.epoch, batches.first_step = 3, 1
            drawn = list(StreamedBatches(batches, files))
            assert [[draw[:2] for draw in batch] for batch in drawn] == list(batches)
            assert all(content == contents[ids[row]] for batch in drawn for _, row, content in batch)


def files_of_stream(found: ImageData, folder: Path) -> dict[str, bytes]:
    ids = found.splits["train"]["id"]
    return dict(zip(ids, streamed(found, "train", folder / "all").read(range(len(ids))), strict=True))


def test_an_epoch_goes_from_chunk_to_chunk() -> None:
    chunks = np.repeat(np.arange(10), 30)
    batches = ShuffledBatches(300, 300, seed=1, chunks=chunks)
    orders = [batches.step_rows(epoch, 0) for epoch in (1, 2, 1)]
    assert orders[0] == orders[2] != orders[1]
    assert all(sorted(order) == list(range(300)) for order in orders)
    visits = [chunks[order][::30].tolist() for order in orders]
    assert all((chunks[order] == np.repeat(visit, 30)).all() for order, visit in zip(orders, visits, strict=True))
    assert visits[0] != visits[1]
    assert orders[0][:30] != sorted(orders[0][:30])


def test_threads_and_processes_give_the_same_pixels(written: WrittenStream, tmp_path: Path) -> None:
    found = load_data(DataConfig(streaming=f"file://{written.folder}"))
    task, files = make_task(found), streamed(found, "train", tmp_path)
    augment = Augmentation(32, 0.5, 1.0, 8, 0.0)
    images = SplitImages(found.splits["train"], task, lambda pixels: pixels, augment, streamed=files)
    assert not images.cache("memory", 1000)
    made = []
    for workers in (0, 2):
        loader = make_loader(images, ShuffledBatches(32, 8, 0, chunks=files.chunks), workers)
        made.append([(batch.rows.tolist(), batch.pixels.numpy().tobytes()) for batch in loader])
        loader.close()
    assert made[0] == made[1]
    assert len(made[0]) == 4


@pytest.mark.parametrize("place", ["", "file://"])
def test_chunks_that_go_away_end_in_a_sentence(
    written: WrittenStream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(stream_reading, "_TRIES", 1)
    folder = tmp_path / "copy"
    shutil.copytree(written.folder, folder)
    found = load_data(DataConfig(streaming=f"{place}{folder}"))
    for path in folder.glob("train/chunk-*"):
        path.unlink()
    with pytest.raises(ConfigurationError, match=r"copy/train: cannot be read on \(.*\)\. See that it is there"):
        list(streamed(found, "train", tmp_path / "kept").read(range(32)))


def damage_labels(folder: Path) -> None:
    rows = pq.read_table(folder / "train" / "rows.parquet")
    labels = pa.array([[99]] * len(rows))
    pq.write_table(rows.set_column(rows.column_names.index("labels"), "labels", labels), folder / "train/rows.parquet")


def damage_rows(folder: Path) -> None:
    shutil.copy(folder / "test" / "rows.parquet", folder / "train" / "rows.parquet")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder: (folder / "stream.json").unlink(), r"stream\.json: cannot be read"),
        (lambda folder: (folder / "stream.json").write_text("{}"), r"stream\.json: "),
        (lambda folder: (folder / "train/rows.parquet").write_text("no table"), r"rows\.parquet: is no table"),
        (damage_labels, r"rows\.parquet: has in its column 'labels' what is none of the 5 names"),
        (damage_rows, r"rows\.parquet: has 13 rows for 32 images"),
    ],
)
def test_another_folder_is_refused(
    written: WrittenStream, tmp_path: Path, damage: Callable[[Path], None], told: str
) -> None:
    shutil.copytree(written.folder, tmp_path / "copy")
    damage(tmp_path / "copy")
    with pytest.raises(ConfigurationError, match=f"{told}.*mlrsnet prepare --format litdata"):
        load_data(DataConfig(streaming=str(tmp_path / "copy")))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"chunk-0-1.bin"', '"../../chunk-0-1.bin"'),
        ('["str", "bytes"]', '["str", "pickle"]'),
        ('"chunk_size": 3', '"chunk_size": 4'),
    ],
)
def test_an_index_of_others_is_not_given_to_litdata(
    written: WrittenStream, tmp_path: Path, before: str, after: str
) -> None:
    shutil.copytree(written.folder, tmp_path / "copy")
    index = tmp_path / "copy" / "train" / "index.json"
    assert before in index.read_text()
    index.write_text(index.read_text().replace(before, after, 1))
    found = load_data(DataConfig(streaming=f"file://{tmp_path}/copy"))
    with pytest.raises(ConfigurationError, match=r"train/index\.json: is not the index of these chunks"):
        list(streamed(found, "train", tmp_path / "kept").read(range(32)))


def test_settings_of_the_dataset_are_refused_beside_it() -> None:
    with pytest.raises(ConfigurationError, match=r"protocol='ratio30' is given with streaming.*mlrsnet prepare"):
        DataConfig(streaming="somewhere", protocol="ratio30")
    with pytest.raises(ConfigurationError, match="can be trained on, and nothing else"):
        load_rows(DataConfig(streaming="somewhere"), "train")


def test_a_set_that_is_whole_is_said_to_be(training_data: ImageData, written: WrittenStream) -> None:
    before = {path: path.stat().st_mtime_ns for path in written.folder.rglob("*")}
    again = write_stream(training_data, written.folder, chunk_megabytes=0.015)
    assert again.was_whole
    assert again.summary().startswith("this set is there already")
    assert {path: path.stat().st_mtime_ns for path in written.folder.rglob("*")} == before
    with pytest.raises(ConfigurationError, match="exists already"):
        write_stream(training_data, written.folder, chunk_megabytes=0.1)


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_killed_run_is_completed(saved_data: Path, training_data: ImageData, tmp_path: Path) -> None:
    whole = write_stream(training_data, tmp_path / "whole", chunk_megabytes=0.015)
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from datasets import load_from_disk\n"
        "from mlrsnet_hf.inputs.stream_writing import ResumableFolder, write_stream\n"
        "from mlrsnet_hf.inputs.task import ImageData\n"
        "note, count = ResumableFolder.note, [0]\n"
        "def kill(folder, line):\n"
        "    note(folder, line); count[0] += 1\n"
        "    if count[0] == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "ResumableFolder.note = kill\n"
        "splits = {split.name: load_from_disk(str(split)) for split in Path(sys.argv[1]).iterdir()}\n"
        "names = ('red', 'green', 'blue', 'striped', 'never')\n"
        "data = ImageData(splits={name: splits[name] for name in ('train', 'validation', 'test')}, label_names=names,\n"
        "                 scene_names=(), source={'fingerprint': 'a'})\n"
        "write_stream(data, sys.argv[2], chunk_megabytes=0.015)\n"
    )
    command = [sys.executable, "-c", code, str(saved_data), str(tmp_path / "set")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    partial = tmp_path / ".set.partial"
    assert len(list(partial.glob("train/chunk-*.bin"))) == 3
    assert not (tmp_path / "set").exists()
    # Of a chunk that was cut short, and of one that nobody noted, nothing may be taken up.
    os.truncate(partial / "train" / "chunk-0-1.bin", 100)
    (partial / "train" / "chunk-0-9.bin").write_bytes(b"torn")
    completed = write_stream(training_data, tmp_path / "set", chunk_megabytes=0.015)
    assert completed.taken_up == sum(whole.images["train"][number] for number in (0, 2))
    assert content_of(tmp_path / "set") == content_of(tmp_path / "whole")


def test_the_set_of_a_run_that_ended_before_its_name(training_data: ImageData, tmp_path: Path) -> None:
    written = write_stream(training_data, tmp_path / "set", chunk_megabytes=0.015)
    before = content_of(written.folder)
    written.folder.rename(tmp_path / ".set.partial")
    again = write_stream(training_data, tmp_path / "set", chunk_megabytes=0.015)
    assert (again.taken_up, again.was_whole) == (56, False)
    assert content_of(written.folder) == before
    assert json.loads((written.folder / "stream.json").read_text())["engine"].startswith("litdata ")


def test_the_command_takes_a_copy_of_the_release_and_any_table(
    make_release: Callable[..., Path], data: DatasetDict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release = make_release({"beach": 20, "harbor&port": 20})
    Prepare(source=release, target=tmp_path / "a", format="litdata", data=DataConfig(protocol="ratio30")).run()
    assert f"next: mlrsnet train --streaming {tmp_path / 'a'}" in capsys.readouterr().out
    found = load_data(DataConfig(streaming=str(tmp_path / "a")))
    plain = load_data(DataConfig(data_dir=str(release), protocol="ratio30"))
    assert {name: set(split["id"]) for name, split in found.splits.items()} == {
        name: set(split["id"]) for name, split in plain.splits.items()
    }
    assert found.scene_names == plain.scene_names
    assert found.source["protocol"] == "ratio30"
    assert found.source["fingerprint"] != plain.source["fingerprint"], "the order is another"

    data["train"].to_parquet(tmp_path / "table.parquet")
    options = DataConfig(validation_share=0.25)
    Prepare(source=tmp_path / "table.parquet", target=tmp_path / "b", format="litdata", data=options).run()
    counts = {name: len(split) for name, split in load_data(DataConfig(streaming=str(tmp_path / "b"))).splits.items()}
    assert counts == {"train": 24, "validation": 8}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"data": DataConfig(protocol="ratio30")}, "--protocol says how images are read for --format litdata"),
        ({"format": "litdata", "data": DataConfig(bands="1,2,3")}, "--bands does not go with --format litdata"),
        ({"format": "litdata", "skip_unreadable": True}, "--skip-unreadable does not go with --format litdata"),
        ({"format": "litdata", "data": DataConfig(streaming="x")}, "can be trained on, and nothing else"),
    ],
)
def test_options_of_the_other_format_are_refused(tmp_path: Path, options: dict, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        Prepare(**{"source": tmp_path, "target": tmp_path / "set", "data": DataConfig(), **options}).run()
