"""A curation as a team does it, by simulated annotators: drawn pictures, commands in processes, votes over HTTP.

What the annotators see and say is known, so that what the curation makes of it can be counted independently of it.
"""

import csv
import hashlib
import json
import os
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mlrsnet_hf.curation.label_studio.served_images import ROOT_VARIABLE, opaque_name
from tests.conftest import CHECKOUT, jpeg_bytes
from tests.curation.label_studio_server import LabelStudioServer, SimulatedAnnotator, choice

PARTNERS = {"airport": "parkway", "parkway": "airport", "bridge": "island", "island": "bridge"}
"""Categories, and which each is taken for."""


@dataclass(frozen=True)
class Picture:
    """An image that was collected for a category."""

    name: str
    category: str
    shows: str
    is_hard: bool
    is_known: bool
    """Its truth is given to the curation."""


@dataclass(frozen=True)
class Collection:
    """A folder of pictures and the table of candidates."""

    folder: Path
    pictures: Mapping[str, Picture]
    """By the name that annotators are shown."""

    @property
    def table(self) -> Path:
        return self.folder / "candidates.csv"


def collect(
    folder: Path,
    candidates: int,
    known: int,
    categories: Sequence[str] = tuple(PARTNERS),
    good: float = 0.7,
    hard: float = 0.25,
    seed: int = 0,
) -> Collection:
    """Draw so many pictures for each category, and others of known truth from the same source."""
    draw = random.Random(seed)
    pictures = []
    for category in categories:
        for number in range(candidates + known):
            others = [name for name in categories if name != category]
            near = PARTNERS[category] if PARTNERS[category] in categories else others[0]
            shows = category if draw.random() < good else near if draw.random() < 0.7 else draw.choice(others)
            if number in (candidates, candidates + 1):  # at least one good and one bad image of known truth
                shows = category if number == candidates else near
            name = f"{category}/{category}_{number:05d}.jpg"
            pictures.append(Picture(name, category, shows, draw.random() < hard, number >= candidates))
            (folder / "collected" / category).mkdir(parents=True, exist_ok=True)
            (folder / "collected" / name).write_bytes(jpeg_bytes((number % 256, len(pictures) % 256, seed % 256)))
    collection = Collection(folder, {opaque_name(picture.name): picture for picture in pictures})
    with collection.table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "category", "truth"])
        for picture in pictures:
            writer.writerow([picture.name, picture.category, picture.shows if picture.is_known else ""])
    return collection


def say(picture: Picture, email: str, error: float, hard_error: float) -> str:
    """Return what a person says of a picture: the same whenever they are asked."""
    seed = hashlib.blake2b(f"{email} {picture.name}".encode(), digest_size=8).digest()
    draw = random.Random(int.from_bytes(seed, "big"))
    if draw.random() >= (hard_error if picture.is_hard else error):
        return picture.shows
    others = [name for name in PARTNERS if name != picture.shows]
    return PARTNERS[picture.shows] if draw.random() < 0.7 else draw.choice(others)


@dataclass(frozen=True)
class Person:
    """An annotator of known error rates."""

    annotator: SimulatedAnnotator
    error: float
    hard_error: float

    def vote(self, project: int, collection: Collection, most: int) -> int:
        """Answer so many tasks, or until nothing is left; return how many."""

        def choose(data: Mapping[str, Any]) -> list[dict[str, Any]]:
            said = say(collection.pictures[data["key"]], self.annotator.email, self.error, self.hard_error)
            return choice("answer", said)

        return len(self.annotator.vote(project, choose, most))


def invite(server: LabelStudioServer, number: int, seed: int, most: float = 0.1, hard: float = 3.0) -> list[Person]:
    """Let people sign up whose error rates lie between 0.02 and `most`, `hard` times as much on hard pictures."""
    draw = random.Random(seed)
    people = []
    for index in range(number):
        error = draw.uniform(0.02, most)
        people.append(Person(server.sign_up(f"simulated-{seed}-{index:02d}"), error, min(0.9, error * hard)))
    return people


def all_vote(people: Sequence[Person], project: int, collection: Collection, at_once: int = 4) -> int:
    """Let people vote in turn, some at the same time, until nobody is asked any more; return the number of votes.

    People look at a picture for some seconds; twenty who do not are more than SQLite can answer.
    """
    given = 0
    with ThreadPoolExecutor(at_once) as threads:
        while new := sum(threads.map(lambda person: person.vote(project, collection, 5), people)):
            given += new
    return given


class Curation:
    """The commands of a curation, each in a process of its own.

    Args:
        server: Where it is voted.
        collection: What is voted on.
        rules: Options of `mlrsnet curate start`.
    """

    def __init__(self, server: LabelStudioServer, collection: Collection, *rules: str) -> None:
        self.folder = collection.folder / "curation"
        self.project = 0
        """That of the first stage, when it has begun."""
        self._start = [str(collection.folder / "collected"), "--labels", str(collection.table), *rules]
        self.environment = os.environ | {
            "LABEL_STUDIO_URL": server.url,
            "LABEL_STUDIO_API_KEY": server.key,
            ROOT_VARIABLE: str(server.documents),
        }

    def command(self, name: str, *options: str) -> list[str]:
        """Return the command line of `mlrsnet curate` of this curation."""
        given = [*self._start, "--output-dir", str(self.folder)] if name == "start" else [str(self.folder)]
        return [sys.executable, "-m", "mlrsnet_hf", "curate", name, *given, *options]

    def run(self, name: str, *options: str) -> str:
        """Run a command, and return what it says."""
        done = subprocess.run(
            self.command(name, *options), env=self.environment, cwd=CHECKOUT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def events(self) -> list[dict[str, Any]]:
        """Return the lines of the log."""
        return [json.loads(line) for line in (self.folder / "events.jsonl").read_text().splitlines()]

    def agree_on_boundaries(self) -> None:
        """Fill in what the team has agreed on, as people would."""
        path = self.folder / "boundaries.yaml"
        texts = yaml.safe_load(path.read_text())
        path.write_text(yaml.safe_dump({pair: text or f"what tells {pair} apart" for pair, text in texts.items()}))

    def until_decided(
        self, people: Sequence[Person], collection: Collection, second_stage: bool = True, most: int = 60
    ) -> int:
        """Vote and close rounds until all is decided; return the number of rounds."""
        said = self.run("start")
        self.project = project_of(said)
        options = () if second_stage else ("--no-second-stage",)
        for number in range(1, most):
            all_vote(people, project_of(said), collection)
            said = self.run("round", *options)
            if "boundaries.yaml" in said:
                self.agree_on_boundaries()
                said = self.run("round", *options)
            if "all is decided" in said:
                return number
        raise AssertionError(said)


def project_of(said: str) -> int:
    """Return the project where a command says that it is voted."""
    found = re.search(r"/projects/(\d+)", said)
    assert found, said
    return int(found[1])


@dataclass(frozen=True)
class StoredVote:
    """A vote as the server's own export has it."""

    id: int
    key: str
    email: str
    answer: str


def stored_votes(server: LabelStudioServer, project: int) -> list[StoredVote]:
    """Return the votes of a project by the server's own export."""
    with server.owner_client() as owner:
        emails = {user["id"]: user["email"] for user in owner.get("/api/users").raise_for_status().json()}
        tasks = owner.get(f"/api/projects/{project}/export?exportType=JSON").raise_for_status().json()
    return [
        StoredVote(
            given["id"], task["data"]["key"], emails[given["completed_by"]], given["result"][0]["value"]["choices"][0]
        )
        for task in tasks
        for given in task["annotations"]
        if not given["was_cancelled"]
    ]


def counted(votes: Iterable[StoredVote], collection: Collection) -> dict[str, tuple[int, int]]:
    """Return accepts and rejects of each picture that has votes."""
    accepts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for vote in votes:
        accepts[vote.key][vote.answer != collection.pictures[vote.key].category] += 1
    return {key: (yes, no) for key, (yes, no) in accepts.items()}


def kept_pictures(exported: Path) -> Counter[str]:
    """Return the images of an exported set, by its split file."""
    with (exported / "splits.csv").open(newline="") as file:
        return Counter(row["image"] for row in csv.DictReader(file))
