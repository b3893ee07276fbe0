"""A copy of the release to a repository that plain `datasets` loads, whatever happens on the way."""

import errno
import hashlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import Image, load_dataset
from filelock import FileLock

from mlrsnet_hf.dataset.repository.schema import FEATURES
from mlrsnet_hf.dataset.splits.protocols import STORED_PROTOCOLS, ids_by_scene, split_ids
from mlrsnet_hf.errors import ConfigurationError, ImageError, ReleaseError
from mlrsnet_hf.publishing import prepare as module
from mlrsnet_hf.publishing.prepare import prepare
from mlrsnet_hf.release import open_release
from mlrsnet_hf.resumable_folder import ResumableFolder
from mlrsnet_hf.synthetic.release import CONTACT_SHEET

MakeRelease = Callable[..., Path]
IMAGES = {"beach": 120, "harbor&port": 120, "swimmimg_pool": 120}
COMMAND = "import sys; from mlrsnet_hf.cli import main; main(['prepare', *sys.argv[1:]])"


@pytest.fixture
def release(make_release: MakeRelease) -> Path:
    return make_release(IMAGES)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_plain_datasets_loads_every_protocol_as_the_builder_gives_it(release: Path, tmp_path: Path) -> None:
    undecoded = Image(decode=False)
    folder = tmp_path / "mlrsnet"
    prepared = prepare(release, folder)
    ids = ids_by_scene(open_release(release).entries)
    images = {record.id: record.image for record in open_release(release).records()}
    for protocol in STORED_PROTOCOLS:
        data = load_dataset(str(folder), protocol, streaming=True)
        expected = split_ids(ids, protocol)
        assert set(data) == set(expected)
        for split, rows in data.items():
            assert rows.features == FEATURES
            assert rows.n_shards >= 8
            rows = list(rows.cast_column("image", undecoded))
            assert tuple(row["id"] for row in rows) == expected[split]
            assert all(row["image"]["bytes"] == images[row["id"]] for row in rows)
            assert len(rows) == prepared.card.split_sizes[protocol][split]
        built = load_dataset("mlrsnet", protocol, data_dir=str(release), cache_dir=str(tmp_path / "cache"))
        prepared_data = load_dataset(str(folder), protocol, cache_dir=str(tmp_path / "cache"))
        for split, rows in built.items():
            assert rows.cast_column("image", undecoded)[:] == prepared_data[split].cast_column("image", undecoded)[:]
    whole = load_dataset(str(folder))
    assert len(whole["train"]) == 72
    assert whole["train"][0]["image"].size == (16, 16)
    assert "360 images of 3 scenes" in prepared.summary()


def test_files_are_as_small_readers_want_them(make_release: MakeRelease, tmp_path: Path) -> None:
    folder = prepare(make_release({"beach": 1200}), tmp_path / "out").folder
    files = [pq.ParquetFile(path) for path in sorted((folder / "data").iterdir())]
    groups = [file.metadata.row_group(i) for file in files for i in range(file.num_row_groups)]
    assert max(group.num_rows for group in groups) <= 150
    assert {group.column(1).compression for group in groups} == {"UNCOMPRESSED"}
    assert groups[0].column(1).path_in_schema == "image.bytes"
    stored = [image_id for file in files for image_id in file.read(["id"])["id"].to_pylist()]
    assert len(stored) == len(set(stored)) == 1200
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "data",
        "labels.png",
        "manifest.json",
        "scenes.jpg",
    }
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [file["name"] for file in manifest["parquet"]] == sorted(path.name for path in (folder / "data").iterdir())


def test_a_repository_is_a_source_too(release: Path, tmp_path: Path) -> None:
    first = prepare(release, tmp_path / "first").folder
    second = prepare(first, tmp_path / "second").folder
    assert content(first / "data") == content(second / "data")


def test_a_handful_of_images_leaves_protocols_out(make_release: MakeRelease, tmp_path: Path) -> None:
    prepared = prepare(make_release({"beach": 3}), tmp_path / "out")
    assert "all" in prepared.copy.splits
    assert "retrieval05" in prepared.copy.left_out
    assert load_dataset(str(prepared.folder), "all")["train"].num_rows == 3
    assert "protocol left out: 3 images are too few for protocol 'retrieval05'" in prepared.summary()


def test_what_stands_there_is_kept(release: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for manifest in (None, {"parquet": 5}, {"parquet": [5]}, {"parquet": [{"name": "a.parquet"}]}):
        if manifest is not None:
            (tmp_path / "out" / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(ConfigurationError, match="out: "):
            prepare(release, tmp_path / "out")


def test_a_repository_that_is_whole_is_said_to_be(make_release: MakeRelease, tmp_path: Path) -> None:
    release, target = make_release({"beach": 12}), tmp_path / "out"
    first = prepare(release, target)
    before = content(target)
    again = prepare(release, target)
    assert (again.was_whole, again.files, again.copy) == (True, first.files, first.copy)
    assert again.summary().startswith("this repository is there already, whole")
    assert content(target) == before
    with pytest.raises(ConfigurationError, match="out: exists already"):
        prepare(release, target, "verified")
    parquet = next(target.glob("data/*.parquet"))
    parquet.write_bytes(parquet.read_bytes()[:-1])
    with pytest.raises(ConfigurationError, match="out: exists already"):
        prepare(release, target)


def test_unreadable_image_is_named_or_left_out(release: Path, tmp_path: Path) -> None:
    expected = content(prepare(release, tmp_path / "whole").folder / "data")
    damaged = release / "Images/harbor&port/harbor&port_00050.jpg"
    damaged.write_bytes(damaged.read_bytes()[:200])
    with pytest.raises(ImageError, match=r"harbor&port_00050\.jpg: .*--skip-unreadable"):
        prepare(release, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    prepared = prepare(release, tmp_path / "out", skip_unreadable=True)
    assert prepared.taken_up >= 120  # beach was finished
    assert prepared.card.total == 359
    assert prepared.copy.unreadable == {
        "harbor&port_00050": "harbor&port/harbor&port_00050.jpg: truncated JPEG file (no end marker)"
    }
    assert str(tmp_path) not in (prepared.folder / "manifest.json").read_text()
    assert "left out: " in prepared.summary()
    found = content(prepared.folder / "data")
    assert [name for name in expected if found[name] != expected[name]] == [
        file.name for file in prepared.files if file.unreadable
    ]
    assert load_dataset(str(prepared.folder), "all")["train"].num_rows == 359


@pytest.mark.parametrize("folder", ["Harbor&port", "harbor&port.zip"])
def test_unreadable_image_is_named_without_the_place_of_the_source(release: Path, tmp_path: Path, folder: str) -> None:
    scene = release / "Images/harbor&port"
    (scene / "harbor&port_00050.jpg").rename(scene / "HARBOR&PORT_00050.JPG")
    if folder.endswith(".zip"):
        with zipfile.ZipFile(scene.with_name(folder), "w") as archive:
            for path in scene.iterdir():
                archive.write(path, path.name)
        shutil.rmtree(scene)
        whole = scene.with_name(folder).read_bytes()
        at = whole.index(b"HARBOR&PORT_00050.JPG") + 60
        scene.with_name(folder).write_bytes(whole[:at] + b"????" + whole[at + 4 :])
    else:
        (scene / "HARBOR&PORT_00050.JPG").write_bytes(b"")
        scene.rename(scene.with_name(folder))
    prepared = prepare(release, tmp_path / "out", skip_unreadable=True)
    (reason,) = prepared.copy.unreadable.values()
    assert re.fullmatch(r"harbor&port/harbor&port_00050\.JPG: (empty file|cannot be read .*)", reason, re.IGNORECASE)
    assert str(tmp_path) not in (prepared.folder / "manifest.json").read_text()


def spoiled_png(width: int, crc: int) -> bytes:
    header = b"IHDR" + struct.pack(">II", width, width) + b"\x08\x02\0\0\0"
    checksum = struct.pack(">I", zlib.crc32(header) ^ crc)
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + checksum + b"\0\0\0\0IEND\xaeB`\x82"


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda image: image[:3] + b"\x20" + image[4:], "damaged JPEG file (broken header)"),
        (lambda _: spoiled_png(256, crc=1), "damaged PNG file (wrong checksum of its header)"),
        (lambda _: spoiled_png(60_000, crc=0), "absurd size (60000x60000 pixels)"),
    ],
)
def test_image_without_a_size_is_named_or_left_out(
    make_release: MakeRelease, tmp_path: Path, spoil: Callable[[bytes], bytes], fault: str
) -> None:
    release = make_release({"beach": 50})
    image = release / "Images/beach/beach_00007.jpg"
    image.write_bytes(spoil(image.read_bytes()))
    with pytest.raises(ImageError, match=re.escape(f"beach_00007.jpg: {fault}")):
        prepare(release, tmp_path / "out")
    prepared = prepare(release, tmp_path / "out", skip_unreadable=True)
    assert prepared.copy.unreadable == {"beach_00007": f"beach/beach_00007.jpg: {fault}"}


def test_protocol_that_loses_a_split_is_named(make_release: MakeRelease, tmp_path: Path) -> None:
    release = make_release({"beach": 20})
    queries = split_ids(ids_by_scene(open_release(release).entries), "retrieval10")["query"]
    for image_id in queries:
        (release / f"Images/beach/{image_id}.jpg").write_bytes(b"")
    prepared = prepare(release, tmp_path / "out", skip_unreadable=True)
    reason = "no image of split 'query' of protocol 'retrieval10' can be read"
    assert prepared.copy.left_out["retrieval10"] == reason
    assert "retrieval10" not in prepared.copy.splits
    assert f"protocol left out: {reason}" in prepared.summary()
    assert f"Not stored: `retrieval10`, because {reason}." in (prepared.folder / "README.md").read_text()


@pytest.mark.parametrize("changed", ["Labels/beach.csv", "Images/beach/beach_00007.jpg"])
def test_source_that_changes_meanwhile_is_refused(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    write_files = module.write_files

    def change(*arguments: object) -> None:
        write_files(*arguments)  # type: ignore[arg-type]
        path = release / changed
        path.write_bytes(path.read_bytes().replace(b",1", b",0", 1))
        os.utime(path)

    monkeypatch.setattr(module, "write_files", change)
    with pytest.raises(ReleaseError, match="release"):
        prepare(release, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    assert prepare(release, tmp_path / "out").taken_up == 0


def test_two_runs_at_once(release: Path, tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / ".out.lock"),
        pytest.raises(ConfigurationError, match=r"out: .*process"),
    ):
        prepare(release, tmp_path / "out")
    prepare(release, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"release", "out"}


@pytest.mark.parametrize("limit", [10_000, 18_000, 32_000])  # a table, a picture, the manifest is cut
def test_full_disk_loses_nothing(release: Path, tmp_path: Path, limit: int) -> None:
    expected = content(prepare(release, tmp_path / "whole").folder)
    code = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));" + COMMAND
    # -B, for Python does not notice that the limit cuts its bytecode files short.
    command = [sys.executable, "-B", "-c", code, str(release), str(tmp_path / "out")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2
    assert "out: cannot be written" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "out").exists()
    assert content(prepare(release, tmp_path / "out").folder) == expected


@pytest.mark.parametrize("group", [1, 5, 13])
@pytest.mark.parametrize("step", ["write_table", "close"])
def test_full_disk_at_one_row_group(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int, step: str
) -> None:
    expected = content(prepare(release, tmp_path / "whole").folder)
    calls = itertools.count(1)
    work = getattr(pq.ParquetWriter, step)

    def full(writer: pq.ParquetWriter, *arguments: object, **options: object) -> None:
        if next(calls) == group:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        work(writer, *arguments, **options)

    monkeypatch.setattr(pq.ParquetWriter, step, full)
    with pytest.raises(ConfigurationError, match="No space left on device"):
        prepare(release, tmp_path / "out")
    monkeypatch.undo()
    assert content(prepare(release, tmp_path / "out").folder) == expected


def test_note_that_does_not_fit_the_plan_counts_for_nothing(release: Path, tmp_path: Path) -> None:
    """Neither a file without rows, nor a torn one with the right hash."""
    expected = content(prepare(release, tmp_path / "out").folder)
    partial = tmp_path / ".out.partial"
    (tmp_path / "out").rename(partial)
    manifest = json.loads((partial / "manifest.json").read_text())
    files = manifest.pop("parquet")
    files[0] |= {"rows": 0, "file_bytes": 0, "sha256": ""}
    torn = partial / "data" / files[1]["name"]
    torn.write_bytes(torn.read_bytes()[:-20])
    files[1] |= {"file_bytes": torn.stat().st_size, "sha256": hashlib.sha256(torn.read_bytes()).hexdigest()}
    (partial / "journal.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in (manifest, *files)))
    prepared = prepare(release, tmp_path / "out")
    assert prepared.taken_up == sum(file["rows"] for file in files[2:])
    assert content(prepared.folder) == expected


def test_error_of_the_disk_while_files_settle(release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = ResumableFolder.note

    def full(folder: ResumableFolder, line: dict[str, object]) -> None:
        if str(line["name"]).startswith("swimming_pool"):
            raise OSError(28, os.strerror(28))
        note(folder, line)

    monkeypatch.setattr(ResumableFolder, "note", full)
    with pytest.raises(ConfigurationError, match="No space left on device"):
        prepare(release, tmp_path / "out")
    monkeypatch.undo()
    assert prepare(release, tmp_path / "out").taken_up == 240


@pytest.mark.parametrize("files", [1, 30])
def test_killed_run_is_completed(release: Path, tmp_path: Path, files: int) -> None:
    code = (
        "import os, signal\nfrom mlrsnet_hf.resumable_folder import ResumableFolder\n"
        "note, count = ResumableFolder.note, [0]\n"
        "def kill(folder, line):\n    note(folder, line); count[0] += 1\n"
        f"    if count[0] == {files}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "ResumableFolder.note = kill\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code + COMMAND, str(release), str(tmp_path / "out")], stderr=subprocess.DEVNULL
    )
    assert run.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    noted = [json.loads(line) for line in (tmp_path / ".out.partial/journal.jsonl").read_text().splitlines()[1:]]
    assert len(noted) == files
    (tmp_path / ".out.partial/data" / noted[0]["name"]).write_bytes(b"no longer what was written")
    prepared = prepare(release, tmp_path / "out")
    assert prepared.taken_up == sum(file["rows"] for file in noted[1:])
    assert content(prepared.folder) == content(prepare(release, tmp_path / "again").folder)


@pytest.mark.parametrize("step", ["sync", "unlink", "rename"])
def test_killed_at_the_very_end(release: Path, tmp_path: Path, step: str) -> None:
    """While the files settle, before the journal goes, and after it."""
    code = (
        "import os, signal\nfrom pathlib import Path\nfrom mlrsnet_hf import resumable_folder as module\n"
        "def kill(*arguments): os.kill(os.getpid(), signal.SIGKILL)\n"
        "finish = module.ResumableFolder.finish\n"
        f"def arm(*arguments):\n    setattr({'module' if step == 'sync' else 'Path'}, '{step}', kill)\n"
        "    finish(*arguments)\n"
        "module.ResumableFolder.finish = arm\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code + COMMAND, str(release), str(tmp_path / "out")], stderr=subprocess.DEVNULL
    )
    assert run.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    prepared = prepare(release, tmp_path / "out")
    assert prepared.taken_up == 360
    assert content(prepared.folder) == content(prepare(release, tmp_path / "again").folder)


@pytest.mark.parametrize("early", [True, False])
def test_target_that_appears_meanwhile(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, early: bool
) -> None:
    """Before the folder is about to take its name, or in the last instant."""

    def appear() -> object:
        return (tmp_path / "out").write_bytes(b"another's")

    if early:
        render = module.DatasetCard.render
        monkeypatch.setattr(module.DatasetCard, "render", lambda card: (appear(), render(card))[1])
    else:
        rename = Path.rename
        monkeypatch.setattr(Path, "rename", lambda path, target: (appear(), rename(path, target))[1])
    with pytest.raises(ConfigurationError, match="out: "):
        prepare(release, tmp_path / "out")
    monkeypatch.undo()
    assert (tmp_path / "out").read_bytes() == b"another's"
    (tmp_path / "out").unlink()
    assert prepare(release, tmp_path / "out").taken_up == 360


@pytest.mark.slow
def test_kill_at_any_moment(release: Path, tmp_path: Path) -> None:
    expected = content(prepare(release, tmp_path / "whole").folder)
    command = [sys.executable, "-c", COMMAND, str(release), str(tmp_path / "out")]
    draw = random.Random(0)
    for _ in range(6):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (tmp_path / ".out.partial").exists() and process.poll() is None:
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.4))
        process.kill()
        process.wait()
        if (tmp_path / "out").exists():
            assert content(tmp_path / "out") == expected
            (tmp_path / "out").rename(tmp_path / f"out{draw.random()}")
    assert content(prepare(release, tmp_path / "out").folder) == expected


READ = """
import json, sys
from datasets import load_dataset
for streaming in (False, True):
    data = load_dataset(sys.argv[1], "ratio20", streaming=streaming, cache_dir=sys.argv[2])
    print(json.dumps({name: [[row["id"], row["labels"]] for row in split] for name, split in data.items()}))
"""


@pytest.mark.slow
def test_datasets_3_and_newer_read_what_either_wrote(
    python_with_datasets_3: str, release: Path, tmp_path: Path
) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    prepare(release, ours)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([python_with_datasets_3, "-c", COMMAND, str(release), str(theirs)], check=True, env=environment)
    parquet = {path.name: path.read_bytes() for path in (ours / "data").iterdir()}
    assert parquet == {path.name: path.read_bytes() for path in (theirs / "data").iterdir()}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    answers = [
        subprocess.run(
            [python, "-c", READ, str(folder), str(tmp_path / f"cache{i}")],
            capture_output=True,
            text=True,
            env=environment,
        )
        for i, (python, folder) in enumerate([(python_with_datasets_3, ours), (sys.executable, theirs)])
    ]
    for answer in answers:
        assert answer.returncode == 0, answer.stderr
    expected = {
        name: [[row["id"], row["labels"]] for row in split.remove_columns("image")]
        for name, split in load_dataset(str(ours), "ratio20").items()
    }
    assert all(json.loads(line) == expected for answer in answers for line in answer.stdout.splitlines())
    assert [len(answer.stdout.splitlines()) for answer in answers] == [2, 2]


@pytest.mark.parametrize(
    ("origin", "license_name"), [("mlrsnet", "cc-by-4.0"), ("unknown", "unknown"), ("synthetic", "apache-2.0")]
)
def test_the_card_knows_whose_images_they_are(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: str, license_name: str
) -> None:
    if origin == "mlrsnet":
        monkeypatch.setattr("mlrsnet_hf.release.recognition.LEAST_SHARE", 0)
    if origin == "synthetic":
        (release / CONTACT_SHEET).touch()
    prepared = prepare(release, tmp_path / "mlrsnet")
    card = (prepared.folder / "README.md").read_text()
    assert (prepared.card.origin, f"license: {license_name}\n" in card) == (origin, True)
    assert ("Qi, Xiaoman" in card) == (origin == "mlrsnet")
    manifest = json.loads((prepared.folder / "manifest.json").read_text())
    assert manifest["labels"] == prepared.copy.label_version == ("verified" if origin == "mlrsnet" else "as-published")
