"""The set that a curation makes, as files."""

import csv
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlrsnet_hf.curation.config import ExportSetConfig, Rules
from mlrsnet_hf.curation.votes.event_log import Candidate, Decision, Event, Verdict, Vote, open_log
from mlrsnet_hf.curation.votes.export import export_set
from mlrsnet_hf.curation.votes.folder import LOG, Curation, CurationInfo
from mlrsnet_hf.curation.votes.rounds import NO_CATEGORY


def exported(tmp_path: Path, events: Sequence[Event], task: str) -> Path:
    folder = tmp_path / "curation"
    folder.mkdir()
    info = CurationInfo(
        name="a", id="b", task=task, images="https://example.org", categories=("sea", "ship"), rules=Rules().to_dict()
    )
    Curation(folder, info).write(folder)
    with open_log(folder / LOG) as log:
        log.append(events)
    export_set(ExportSetConfig(folder=folder, output_dir=tmp_path / "set"))
    return tmp_path / "set"


def test_scenes_that_files_cannot_tell_apart(tmp_path: Path) -> None:
    scenes = ("a/b", "a:b", "Sea", "sea", "sea_2")
    candidates = [
        Candidate(image=f"{i}.jpg", category="sea", truth=("sea",), scene=scene) for i, scene in enumerate(scenes)
    ]
    files = sorted((exported(tmp_path, candidates, "labels") / "Labels").iterdir())
    assert len({path.name.casefold() for path in files}) == len(scenes)
    rows = [row for path in files for row in csv.DictReader(path.read_text().splitlines())]
    assert sorted(row["image"] for row in rows) == [f"{i}.jpg" for i in range(len(scenes))]


def test_a_split_without_labels_has_the_types_of_the_others(tmp_path: Path) -> None:
    candidates = [Candidate(image=f"{i}.jpg", category="sea", truth=()) for i in range(3)]
    (path,) = (exported(tmp_path, candidates, "labels") / "data").iterdir()
    assert pq.read_schema(path).field("labels").type == pa.list_(pa.string())


def test_what_waits_for_a_boundary_is_open_still(tmp_path: Path) -> None:
    verdicts: dict[str, Verdict] = {"1": "keep", "2": "remove", "3": "unsure", "4": "second stage"}
    events: list[Event] = [Candidate(image=image, category="sea") for image in (*verdicts, "5")]
    for image, verdict in verdicts.items():
        events.append(
            Decision(image=image, category="sea", verdict=verdict, stage=1, accepts=1, rejects=1, confidence=0.5)
        )
    folder = exported(tmp_path, events, "scene")
    with (folder / "removed.csv").open(newline="") as file:
        assert [row["image"] for row in csv.DictReader(file)] == ["2"]
    assert [row["image"] for row in pq.read_table(folder / "data").to_pylist()] == ["1"]


def test_what_annotators_say_of_a_removed_image(tmp_path: Path) -> None:
    """Nine say that it is none of the categories, and one that it is a ship."""
    said: list[tuple[str, ...]] = [*[()] * 9, ("ship",)]
    events: list[Event] = [Candidate(image="1", category="sea"), Candidate(image="2", category="sea", truth=("sea",))]
    events += [Vote(stage=1, image="1", annotator=f"{i}", answers=answer) for i, answer in enumerate(said)]
    events.append(Decision(image="1", category="sea", verdict="remove", stage=1, accepts=0, rejects=10, confidence=0.0))
    with (exported(tmp_path, events, "scene") / "removed.csv").open(newline="") as file:
        assert [row["said"] for row in csv.DictReader(file)] == [NO_CATEGORY]
