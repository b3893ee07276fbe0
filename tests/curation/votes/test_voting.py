"""Votes through a real Label Studio: from a table of candidates to the set, and what goes wrong on the way."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from mlrsnet_hf.curation.config import ExportSetConfig, RoundConfig, Rules, StartConfig, StatusConfig, Task
from mlrsnet_hf.curation.label_studio.served_images import ROOT_VARIABLE, opaque_name
from mlrsnet_hf.curation.votes.event_log import Vote, open_log, read_log
from mlrsnet_hf.curation.votes.export import export_set
from mlrsnet_hf.curation.votes.folder import BOUNDARIES, LOG, Curation
from mlrsnet_hf.curation.votes.round import next_round
from mlrsnet_hf.curation.votes.rounds import replay
from mlrsnet_hf.curation.votes.start import start_curation
from mlrsnet_hf.curation.votes.status import curation_status
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from tests.conftest import jpeg_bytes
from tests.curation.label_studio_server import LabelStudioServer, SimulatedAnnotator, choice

pytestmark = [pytest.mark.label_studio]
pytest.importorskip("label_studio_sdk")
pytest.importorskip("crowdkit")
pytest.importorskip("krippendorff")


@dataclass
class Voting:
    """A curation of some images, and people who vote on them."""

    server: LabelStudioServer
    folder: Path
    people: list[SimulatedAnnotator]
    images: dict[str, str] = field(default_factory=dict)
    """Key -> image."""

    def start(self, rows: list[dict[str, str]], task: Task = "scene", limit: int = 3) -> str:
        collected = self.folder.parent / f"{self.folder.name} collected"
        for number, row in enumerate(rows):
            path = collected / row["image"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg_bytes((number, 0, 0)))
            self.images[opaque_name(row["image"])] = row["image"]
        table = self.folder.parent / f"{self.folder.name}.csv"
        with table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
        config = StartConfig(images=str(collected), labels=table, task=task, output_dir=self.folder)
        return start_curation(config, Rules(limit=limit))

    def project(self, stage: int = 1) -> int:
        title = Curation.open(self.folder).title(stage)
        with self.server.owner_client() as owner:
            found = owner.get("/api/projects", params={"title": title}).raise_for_status().json()["results"]
        return next(one["id"] for one in found if one["title"] == title)

    def vote(self, says: Callable[[str, int], list[str]], stage: int = 1) -> int:
        """Let all vote until nothing is left; `says` gets image and person, and gives what is chosen."""
        given = 0
        for number, person in enumerate(self.people):
            given += len(
                person.vote(
                    self.project(stage),
                    lambda data, number=number: choice("answer", *says(self.images[data["key"]], number)),  # type: ignore[misc]
                )
            )
        return given

    def round(self, close: bool = False) -> str:
        return next_round(RoundConfig(folder=self.folder, close=close))

    def votes(self) -> dict[tuple[str, str, int], tuple[str, ...]]:
        return {key: vote.answers for key, vote in replay(read_log(self.folder / LOG)).votes.items()}


@pytest.fixture
def voting(label_studio: LabelStudioServer, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Voting:
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.key)
    monkeypatch.setenv(ROOT_VARIABLE, str(label_studio.documents))
    people = [label_studio.sign_up(f"voter{number}") for number in range(3)]
    return Voting(label_studio, label_studio.documents / request.node.name[-40:], people)


def scenes(known: int = 16, wrong: int = 2, right: int = 4) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Candidates of two categories, with images of known truth among them, and what all of them show."""
    rows, truth = [], {}
    for category, other in (("beach", "desert"), ("desert", "beach")):
        for i in range(known + wrong + right):
            image = f"{category}/{category}_{i:03}.jpg"
            is_wrong = i % 4 == 0 if i < known else i < known + wrong
            truth[image] = other if is_wrong else category
            rows.append({"image": image, "category": category, "truth": truth[image] if i < known else ""})
    return rows, truth


def test_from_candidates_to_the_set(voting: Voting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, truth = scenes()
    told = voting.start(rows)
    assert f"/projects/{voting.project()}" in told
    assert "votes are there" in curation_status(StatusConfig(folder=voting.folder))
    assert " lacks " in voting.round()
    # Nothing that annotators are sent tells what an image was collected for.
    with voting.server.owner_client() as owner:
        tasks = owner.get("/api/tasks", params={"project": voting.project(), "page_size": 100, "fields": "all"}).json()
    assert len(tasks["tasks"]) == len(rows)
    sent = json.dumps([task["data"] for task in tasks["tasks"]])
    assert "beach_" not in sent and "desert_" not in sent and "/beach" not in sent
    for _ in range(4):
        voting.vote(lambda image, _: [truth[image]])
        told = voting.round()
        if "all is decided" in told:
            break
    assert "all is decided" in told
    status = curation_status(StatusConfig(folder=voting.folder))
    assert "alpha): 1.00" in status and "informative" in status
    assert f"mlrsnet curate export {voting.folder}" in status
    told = export_set(ExportSetConfig(folder=voting.folder, output_dir=tmp_path / "set"))
    assert str(tmp_path / "set") in told
    kept = pq.read_table(tmp_path / "set" / "data").to_pylist()
    expected = {row["image"]: row["category"] for row in rows if truth[row["image"]] == row["category"]}
    assert {row["image"]: row["scene"] for row in kept} == expected
    assert all(row["labels"] == [row["scene"]] and row["confidence"] >= 0.97 for row in kept)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    loaded = load_dataset(str(tmp_path / "set" / "data"), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == {"train", "validation", "test"}
    assert sum(map(len, loaded.values())) == len(expected)
    with (tmp_path / "set" / "Labels" / "beach.csv").open(newline="") as file:
        beaches = list(csv.DictReader(file))
    assert {row["image"] for row in beaches} == {image for image, scene in expected.items() if scene == "beach"}
    assert all((row["beach"], row["desert"]) == ("1", "0") for row in beaches)
    with (tmp_path / "set" / "removed.csv").open(newline="") as file:
        removed = {row["image"]: row for row in csv.DictReader(file)}
    assert removed.keys() == {row["image"] for row in rows} - expected.keys()
    by_votes = removed["beach/beach_016.jpg"]
    assert (by_votes["accepts"], by_votes["said"]) == ("0", "desert") and int(by_votes["rejects"]) > 0
    assert "desert" in removed["beach/beach_000.jpg"]["why"]


def test_pairs_that_votes_are_divided_about_get_a_second_stage(voting: Voting) -> None:
    rows, truth = scenes(right=8)
    other = {"beach": "desert", "desert": "beach"}
    sand = {row["image"] for row in rows if int(row["image"][-7:-4]) % 4 < 2}
    waiting = {row["image"] for row in rows if not row["truth"]}

    def divided(image: str, person: int) -> list[str]:
        return [other[truth[image]] if image in sand and person == 1 else truth[image]]

    voting.start(rows)
    for _ in range(4):
        voting.vote(divided)
        told = voting.round()
        if BOUNDARIES in told:
            break
    path = voting.folder / BOUNDARIES
    assert "beach" in path.read_text() and "desert" in path.read_text()
    assert BOUNDARIES in voting.round()  # nothing was agreed on
    path.write_text(path.read_text().replace("''", "A beach has a <shore>."))
    assert "second stage" in voting.round()
    with voting.server.owner_client() as owner:
        tasks = owner.get("/api/tasks", params={"project": voting.project(2), "page_size": 100, "fields": "all"}).json()
    shown = {voting.images[task["data"]["key"]] for task in tasks["tasks"]}
    assert shown & waiting and shown & waiting <= sand
    assert {task["data"]["boundary"] for task in tasks["tasks"]} == {"A beach has a <shore>."}
    for _ in range(4):
        voting.vote(lambda image, _: [truth[image]], stage=2)
        told = voting.round()
        if "all is decided" in told:
            break
    decisions = replay(read_log(voting.folder / LOG)).decisions
    again = {image: decision for (image, _), decision in decisions.items() if decision.stage == 2}
    assert again.keys() == shown & waiting and any(decision.verdict == "keep" for decision in again.values())


def test_labels_are_voted_on_one_by_one(voting: Voting, tmp_path: Path) -> None:
    rows, truth = [], {}
    for i in range(40):
        image = f"{i:02}.jpg"
        truth[image] = {"sea", "ship"} if i % 3 == 0 else {"sea"} if i % 3 == 1 else set()
        known = ";".join(sorted(truth[image])) or "none"
        rows.append({"image": image, "labels": "sea;ship", "truth": known if i < 30 else ""})
    voting.start(rows, task="labels")
    told = ""
    for _ in range(4):
        voting.vote(lambda image, _: sorted(truth[image]) or ["none of these"])
        told = voting.round()
        if "all is decided" in told:
            break
    assert "all is decided" in told
    export_set(ExportSetConfig(folder=voting.folder, output_dir=tmp_path / "set"))
    kept = {row["image"]: set(row["labels"]) for row in pq.read_table(tmp_path / "set" / "data").to_pylist()}
    assert kept == truth
    assert "sea" in curation_status(StatusConfig(folder=voting.folder))


def test_names_with_markup(voting: Voting) -> None:
    rows, truth = scenes(known=8, wrong=1, right=1)
    names = {"beach": "<b>be&ach</b>", "desert": "de\"sert's $1 | Sahara"}
    rows = [
        {
            "image": row["image"].replace("beach_", "<i>&'"),
            "category": names[row["category"]],
            "truth": names.get(row["truth"], ""),
        }
        for row in rows
    ]
    truth = {image.replace("beach_", "<i>&'"): names[category] for image, category in truth.items()}
    voting.start(rows)
    voting.vote(lambda image, _: [truth[image]])
    voting.round(close=True)
    assert set(voting.votes().values()) == {(name,) for name in names.values()}
    assert names["beach"] in curation_status(StatusConfig(folder=voting.folder))


def test_two_rounds_at_once(voting: Voting) -> None:
    voting.start(scenes(known=8)[0])
    with open_log(voting.folder / LOG), pytest.raises(MLRSNetError, match="another process"):
        voting.round()


def test_what_the_server_has_lost_the_log_has(voting: Voting, tmp_path: Path) -> None:
    """A database restored from yesterday, a person who was deleted, a vote on what is no candidate."""
    rows, truth = scenes(known=8)
    voting.start(rows)
    late = voting.server.sign_up("late")
    late.vote(voting.project(), lambda data: choice("answer", truth[voting.images[data["key"]]]), most=3)
    voting.server.kill()
    data = voting.server.data
    shutil.copytree(data, tmp_path / "yesterday")
    voting.server.start()
    voting.vote(lambda image, _: [truth[image]])
    voting.round()
    before = voting.votes()
    assert sum(annotator == late.email for _, annotator, _ in before) == 3
    voting.server.kill()
    shutil.rmtree(data)
    shutil.copytree(tmp_path / "yesterday", data)
    voting.server.start()
    with voting.server.owner_client() as owner:
        people = {one["email"]: one["id"] for one in owner.get("/api/users").json()}
        owner.delete(f"/api/users/{people[late.email]}").raise_for_status()
        stray = {"project": voting.project(), "data": {"image": "x", "key": ["none of ours"]}}
        stray_task = owner.post("/api/tasks", json=stray).raise_for_status().json()["id"]
    voting.people[0].answer({"id": stray_task}, choice("answer", "beach"))
    voting.round()
    assert voting.votes() == before
    # The people whose votes were lost vote again, and one of them otherwise.
    voting.vote(lambda image, person: [truth[image]])
    voting.round(close=True)
    assert voting.votes().items() >= before.items()


def test_a_project_that_somebody_deleted(voting: Voting) -> None:
    rows, truth = scenes(known=8)
    voting.start(rows)
    voting.people[0].vote(voting.project(), lambda data: choice("answer", truth[voting.images[data["key"]]]), most=5)
    voting.round()
    before = voting.votes()
    assert len(before) == 5
    with voting.server.owner_client() as owner:
        owner.delete(f"/api/projects/{voting.project()}").raise_for_status()
    told = voting.round()
    assert voting.votes() == before and f"/projects/{voting.project()}" in told
    asked = replay(read_log(voting.folder / LOG))
    assert asked.round is not None
    assert sum(asked.lacking.values()) == sum(asked.round.votes.values()) - 5


def test_the_server_is_away(voting: Voting, monkeypatch: pytest.MonkeyPatch) -> None:
    voting.start(scenes(known=8)[0])
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:9")
    with pytest.raises(ConfigurationError, match=r"127\.0\.0\.1:9"):
        voting.round()
    assert "candidates" in curation_status(StatusConfig(folder=voting.folder))


def test_a_vote_that_changed_its_mind(voting: Voting) -> None:
    voting.start(scenes(known=8)[0])
    person = voting.people[0]
    task = person.next_task(voting.project())
    assert task is not None
    number = person.answer(task, choice("answer", "beach"))
    voting.round()
    with voting.server.owner_client() as owner:
        changed = {"result": choice("answer", "desert")}
        owner.patch(f"/api/annotations/{number}", json=changed).raise_for_status()
    voting.round()
    voting.round()
    image = voting.images[task["data"]["key"]]
    assert voting.votes() == {(image, person.email, 1): ("desert",)}
    assert sum(isinstance(event, Vote) for event in read_log(voting.folder / LOG)) == 2
