"""Speed of `mlrsnet prepare` against tar and against load_dataset("imagefolder") with a Parquet after it.

    python tests/benchmarks/bench_prepare.py [--images 109161] [--folder FOLDER]

The images are a stand-in for the release: synthetic JPEGs under the published file names, with the label files of 2021
where they are there. Some are drawn, the others differ from them by a comment in the file. Every step is followed by
sync, starts with a warm cache, runs in a process of its own and counts from its start to its end, imports included;
only the first row is timed without imports. About 10 GB of disk.
"""

import argparse
import dataclasses
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from mlrsnet_hf.published import TOTAL_IMAGES
from mlrsnet_hf.release import Record, write_release
from mlrsnet_hf.synthetic import synthetic_records
from mlrsnet_hf.taxonomy import SCENES, Scene

LABEL_FILES = Path(__file__).parents[3] / "shared/data/mlrsnet_labels_2021"
DRAWN_PER_SCENE = 40

PREPARE = "import sys; from mlrsnet_hf.cli import main; main(['prepare', sys.argv[1], sys.argv[2]])"
IMAGEFOLDER = """
import sys
from datasets import load_dataset
from datasets.table import embed_table_storage
data = load_dataset("imagefolder", data_dir=f"{sys.argv[1]}/Images", split="train", cache_dir=f"{sys.argv[2]}/cache")
data.with_format("arrow").map(embed_table_storage, batched=True, batch_size=100).to_parquet(f"{sys.argv[2]}/x.parquet")
"""
FIRST_ROW = """
import importlib.util, sys, time
from datasets import load_dataset
if importlib.util.find_spec("torch"):
    import torch  # datasets imports it when it first streams
streaming = sys.argv[2] == "streaming"
for cache in ("first time", "again"):
    start = time.perf_counter()
    data = load_dataset(sys.argv[1], streaming=streaming, **({} if streaming else {"cache_dir": sys.argv[3]}))
    next(iter(data["train"]))
    print(f"first row, {sys.argv[2]}, {cache}: {time.perf_counter() - start:.2f} s", flush=True)
"""


def main() -> None:
    """Build the stand-in, time every step, print ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=TOTAL_IMAGES, help="about as many")
    parser.add_argument("--folder", type=Path, help="on the disk to measure; by default a temporary one")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        run(folder, options.images / TOTAL_IMAGES)
    finally:
        shutil.rmtree(folder)


def run(folder: Path, share: float) -> None:
    """Time the steps on a share of the release."""
    release = folder / "release"
    build_stand_in(release, share)
    images = [path.stat() for path in release.glob("Images/*/*")]
    print(f"{len(images):,} images, {sum(stat.st_size for stat in images) / 1e6:,.0f} MB")
    subprocess.run(["cat", *map(str, release.glob("Labels/*"))], stdout=subprocess.DEVNULL, check=True)
    tar_times = [timed(["tar", "cf", folder / f"{i}.tar", "-C", release, "."], f"tar, run {i}") for i in (1, 2)]
    (folder / "1.tar").unlink()
    (folder / "2.tar").unlink()
    ours = [
        timed([sys.executable, "-c", PREPARE, release, folder / f"mlrsnet{i}"], f"prepare, run {i}") for i in (1, 2)
    ]
    print(f"prepare / tar: {min(ours) / min(tar_times):.2f} (at most 2.5)")
    shutil.rmtree(folder / "mlrsnet2")
    (folder / "peer").mkdir()
    peer = timed([sys.executable, "-c", IMAGEFOLDER, release, folder / "peer"], "imagefolder and Parquet")
    print(f"imagefolder and Parquet / prepare: {peer / min(ours):.1f} (at least 5)")
    shutil.rmtree(folder / "peer")
    for way in ("streaming", "cache"):
        command = [sys.executable, "-c", FIRST_ROW, folder / "mlrsnet1", way, folder / "cache"]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def timed(command: list[str | Path], name: str) -> float:
    """Run a process and sync; print and return the seconds that both took."""
    os.sync()
    start = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    ran = time.perf_counter() - start
    os.sync()
    seconds = time.perf_counter() - start
    assert status == 0, f"{name} failed"
    print(f"{name:<28} {seconds:7.1f} s (sync {seconds - ran:.1f} s), {usage.ru_maxrss / 1024:,.0f} MB", flush=True)
    return seconds


def build_stand_in(root: Path, share: float) -> None:
    """Write the release folder."""
    drawn: dict[int, list[Record]] = {}
    for record in synthetic_records(dict.fromkeys(SCENES, DRAWN_PER_SCENE), processes=os.cpu_count() or 1):
        drawn.setdefault(record.scene.id, []).append(record)
    contents = label_files() if share == 1 else {}
    names = {scene: published_stems(scene, contents.get(f"{scene.published}.csv"), share) for scene in SCENES}
    write_release(
        (variant(drawn[s.id][i % DRAWN_PER_SCENE], stem) for s in SCENES for i, stem in enumerate(names[s])), root
    )
    for name, content in contents.items():
        (root / "Labels" / name).write_bytes(content)


def label_files() -> dict[str, bytes]:
    """Return the label files of 2021 by name, none if they are not there."""
    archives = list(LABEL_FILES.glob("*.tar.*"))
    if not archives:
        return {}
    with tarfile.open(archives[0]) as archive:
        members = [member for member in archive.getmembers() if member.name.endswith(".csv")]
        return {Path(member.name).name: archive.extractfile(member).read() for member in members}  # type: ignore


def published_stems(scene: Scene, label_file: bytes | None, share: float) -> list[str]:
    """Return the stems of a scene's images, as many as wanted; made up if there is no label file."""
    if label_file is None:
        return [f"{scene.published}_{i + 1:05}" for i in range(round(scene.images * share))]
    return [line.partition(b",")[0].decode().rpartition(".")[0] for line in label_file.splitlines()[1:] if line]


def variant(record: Record, stem: str) -> Record:
    """Return a drawn record under another name, with a comment that makes its file one of a kind."""
    comment = b"\xff\xfe" + (len(stem) + 2).to_bytes(2) + stem.encode()
    return dataclasses.replace(
        record, id=stem, file_name=f"{stem}.jpg", image=record.image[:2] + comment + record.image[2:]
    )


if __name__ == "__main__":
    main()
