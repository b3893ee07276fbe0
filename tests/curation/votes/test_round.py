"""`mlrsnet curate round` against a server that only remembers: what a kill between two lines of the log leaves."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from mlrsnet_hf.curation.config import RoundConfig, Rules, StartConfig
from mlrsnet_hf.curation.label_studio.tasks import Annotation, PresentTasks, Task
from mlrsnet_hf.curation.votes import round as round_module
from mlrsnet_hf.curation.votes import start as start_module
from mlrsnet_hf.curation.votes.event_log import read_log
from mlrsnet_hf.curation.votes.folder import BOUNDARIES, LOG, Curation
from mlrsnet_hf.curation.votes.round import next_round
from mlrsnet_hf.curation.votes.rounds import replay
from mlrsnet_hf.curation.votes.start import start_curation
from mlrsnet_hf.errors import ConfigurationError

PEOPLE = [f"person{number}@example.org" for number in range(3)]


class RememberingServer:
    """Label Studio's part of a curation, without its pages."""

    url = "http://remembered"

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.shown: dict[int, dict[str, Task]] = {}
        self.wanted: dict[int, Counter[str]] = {}
        self.given: dict[int, list[Annotation]] = {}

    def people(self) -> list[str]:
        return PEOPLE

    def find_project(self, title: str) -> int | None:
        return self.titles.index(title) if title in self.titles else None

    def project_url(self, project: int) -> str:
        return f"{self.url}/{project}"

    def fill_project(self, title: str, config: str, tasks: Sequence[Task], **_: object) -> int:
        if title not in self.titles:
            self.titles.append(title)
        project = self.titles.index(title)
        self.shown.setdefault(project, {}).update({task.key: task for task in tasks})
        self.wanted[project] = Counter({task.key: task.votes for task in tasks})
        return project

    def tasks(self, project: int) -> PresentTasks:
        return PresentTasks(project, {})

    def new_annotations(self, present: PresentTasks, *_: object) -> list[Annotation]:
        return self.given.get(present.project, [])

    def vote(self, says: Mapping[str, str], divided: Mapping[str, str]) -> None:
        """Let people answer what is asked; until there is a boundary, the first of them says what `divided` has."""
        for project, wanted in self.wanted.items():
            given = self.given.setdefault(project, [])
            for key, number in wanted.items():
                there = {one.annotator for one in given if one.key == key}
                address = str(self.shown[project][key].data["image"])
                image = address.removeprefix("https://example.org/")
                for person in [one for one in PEOPLE if one not in there][:number]:
                    answer = (divided if person == PEOPLE[0] and "second" not in self.titles[project] else says)[image]
                    result: list[dict[str, Any]] = [
                        {"from_name": "answer", "to_name": "image", "type": "choices", "value": {"choices": [answer]}}
                    ]
                    at = f"2026-01-01T00:00:00.{len(given):06}Z"
                    given.append(
                        Annotation(
                            id=len(given) + 1000 * project,
                            key=key,
                            annotator=person,
                            result=result,
                            at=at,
                            changed=at,
                            seconds=1.0,
                        )
                    )
            wanted.clear()


def curate(
    folder: Path, monkeypatch: pytest.MonkeyPatch, limit: int = 3, first_votes: int = 2
) -> tuple[RememberingServer, dict[str, str], dict[str, str]]:
    """Start a curation of two categories that one of three people takes for each other on some images."""
    server = RememberingServer()
    monkeypatch.setattr(round_module, "connect", lambda: server)
    monkeypatch.setattr(start_module, "connect", lambda: server)
    rows, truth, divided = [], {}, {}
    for category, other in (("beach", "desert"), ("desert", "beach")):
        for i in range(60):
            image = f"{category}_{i:02}.jpg"
            truth[image] = other if i % 4 == 0 else category
            divided[image] = (category if truth[image] == other else other) if i % 5 == 0 else truth[image]
            rows.append((image, category, truth[image] if i < 40 else ""))
    table = folder.with_suffix(".csv")
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "category", "truth"])
        writer.writerows(rows)
    start_curation(
        StartConfig(images="https://example.org", labels=table, output_dir=folder),
        Rules(limit=limit, first_votes=first_votes),
    )
    return server, truth, divided


def to_the_end(folder: Path, server: RememberingServer, says: tuple[dict[str, str], dict[str, str]]) -> int:
    """Vote and close rounds until all is decided; return how many rounds that took."""
    for number in range(1, 20):
        told = next_round(RoundConfig(folder=folder))
        if "all is decided" in told:
            return number
        path = folder / BOUNDARIES
        if path.exists():
            path.write_text(path.read_text().replace("''", "A beach has a shore."))
        server.vote(*says)
    raise AssertionError(told)


def verdicts(folder: Path) -> dict[tuple[str, str], tuple[str, int]]:
    return {claim: (one.verdict, one.stage) for claim, one in replay(read_log(folder / LOG)).decisions.items()}


def after_decisions(lines: Iterable[bytes]) -> list[int]:
    """Return the lengths of logs that end with a decision or with what was agreed on: a kill came then."""
    kinds = [line.split(b'"', 4)[3] for line in lines]
    return [
        i + 1 for i, kind in enumerate(kinds) if kind in (b"decision", b"boundary") and kinds[i + 1 : i + 2] != [kind]
    ]


def test_a_kill_after_any_decision_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "curation"
    server, *says = curate(folder, monkeypatch)
    to_the_end(folder, server, (says[0], says[1]))
    whole = (folder / LOG).read_bytes().splitlines(keepends=True)
    expected = verdicts(folder)
    assert {stage for _, stage in expected.values()} == {1, 2}
    cuts = after_decisions(whole)
    assert len(cuts) >= 4
    for cut in cuts:
        (folder / LOG).write_bytes(b"".join(whole[:cut]))
        to_the_end(folder, server, (says[0], says[1]))
        assert verdicts(folder) == expected, whole[cut - 1]


def test_a_boundary_may_be_worded_better_while_people_vote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "curation"
    server, *says = curate(folder, monkeypatch)
    while len(server.titles) < 2:
        server.vote(says[0], says[1])
        next_round(RoundConfig(folder=folder))
        path = folder / BOUNDARIES
        if path.exists():
            path.write_text(path.read_text().replace("''", "A beach has a shore."))

    def shown() -> set[object]:
        next_round(RoundConfig(folder=folder))
        return {server.shown[1][key].data["boundary"] for key in server.wanted[1]}

    first = path.read_text()
    assert shown() == {"A beach has a shore."}
    path.write_text(first.replace("shore", "sea"))
    assert shown() == {"A beach has a sea."} == shown()
    written = (folder / LOG).read_bytes()
    path.write_text("beach: desert\n")
    with pytest.raises(ConfigurationError, match=BOUNDARIES):
        next_round(RoundConfig(folder=folder))
    assert (folder / LOG).read_bytes() == written
    path.write_text(first)
    assert shown() == {"A beach has a shore."}
    assert len(replay(read_log(folder / LOG)).boundaries) == 3
    to_the_end(folder, server, (says[0], says[1]))


def test_what_a_closed_round_lacks_is_asked_of_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "curation"
    server, *says = curate(folder, monkeypatch)
    absent = next(key for key, task in server.shown[0].items() if task.data["image"].endswith("beach_41.jpg"))
    known = next(key for key, task in server.shown[0].items() if task.data["image"].endswith("beach_01.jpg"))
    for _ in range(3):
        server.wanted[0] -= Counter({absent: 9, known: 1})
        server.vote(says[0], says[0])
        next_round(RoundConfig(folder=folder, close=True, second_stage=False))
    state = replay(read_log(folder / LOG))
    assert [one.image for one in state.open_claims()] == ["beach_41.jpg"] and state.lacking
    while replay(read_log(folder / LOG)).open_claims():
        server.wanted[0] -= Counter({known: 9})
        server.vote(says[0], says[0])
        next_round(RoundConfig(folder=folder, close=True, second_stage=False))
    # Everything is decided; that an image of known truth lacks votes no longer matters.
    assert replay(read_log(folder / LOG)).lacking
    assert "all is decided" in next_round(RoundConfig(folder=folder))


def test_a_round_that_was_closed_and_killed_is_taken_up_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log knows of the second stage, the server does not: to decide without a vote is no way on."""
    folder = tmp_path / "curation"
    server, *says = curate(folder, monkeypatch)

    def killed(self: RememberingServer, title: str, config: str, tasks: Sequence[Task], **_: object) -> int:
        if "second" in title:
            raise KeyboardInterrupt
        return fill(self, title, config, tasks)

    fill = RememberingServer.fill_project
    close = RoundConfig(folder=folder, close=True)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(RememberingServer, "fill_project", killed)
        for _ in range(9):
            server.vote(says[0], says[1])
            next_round(close)
            if (folder / BOUNDARIES).exists():
                (folder / BOUNDARIES).write_text((folder / BOUNDARIES).read_text().replace("''", "A shore."))
    assert len(server.titles) == 1
    assert "second stage" in next_round(close)
    assert len(server.titles) == 2 and server.wanted[1]
    to_the_end(folder, server, (says[0], says[1]))


def test_fewer_people_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "curation"
    server, says, divided = curate(folder, monkeypatch, limit=10, first_votes=1)
    server.vote(says, divided)
    told = next_round(RoundConfig(folder=folder))
    assert "all 3 people" in told and " 80 of these" in told  # the images of known truth
    next_round(RoundConfig(folder=folder, close=True, second_stage=False))
    assert Curation.open(folder).rules() == Rules(limit=3, first_votes=1)
    server.vote(says, divided)
    assert "all is decided" in next_round(RoundConfig(folder=folder, second_stage=False))
    state = replay(read_log(folder / LOG))
    assert not state.lacking and {one.accepts + one.rejects for one in state.decisions.values()} == {1, 2}


def test_a_limit_that_can_still_be_had_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "curation"
    server, *says = curate(folder, monkeypatch, limit=10)
    someone = next(iter(server.shown[0]))
    server.wanted[0][someone] = 2  # has one vote less than there are people
    server.vote(says[0], says[0])
    next_round(RoundConfig(folder=folder, close=True))
    assert Curation.open(folder).rules().limit == 10


def test_who_has_had_a_look_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "curation"
    server, *says = curate(folder, monkeypatch, limit=10)
    server.vote(says[0], says[0])
    given = server.given[0]
    given[:] = [one for one in given if one.annotator != PEOPLE[2] or one.id < 20]
    assert 0 < sum(one.annotator == PEOPLE[2] for one in given) < 12
    assert "all 2 people" in next_round(RoundConfig(folder=folder))
    next_round(RoundConfig(folder=folder, close=True, second_stage=False))
    assert Curation.open(folder).rules().limit == 2


def test_categories_that_nothing_makes_sure_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "curation"
    server, says, _ = curate(folder, monkeypatch)
    same = dict.fromkeys(says, "beach")
    server.vote(same, same)
    told = next_round(RoundConfig(folder=folder, second_stage=False))
    assert "image of beach, desert sure" in told and "all is decided" in told
