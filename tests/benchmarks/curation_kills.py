"""Rounds of votes and their server are killed while people vote: python -m tests.benchmarks.curation_kills --kills 50.

Simulated annotators vote over HTTP all the time, and press Submit again where no answer came. SIGKILL strikes rounds
at random moments, some of which close what is open, and the server, which then starts again on its data. Exit status 1
unless in the end every vote that the server has acknowledged is in the log, none of them twice, the log has the very
votes of the server's own export, each decision counts the votes that stand before it, and what is exported is what the
lines of the log say. A kill takes about five seconds. MLRSNET_LABEL_STUDIO names the program label-studio.
"""

import argparse
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.conftest import CHECKOUT
from tests.curation.label_studio_server import LabelStudioServer, choice, label_studio_program
from tests.curation.postgresql import PostgreSQL
from tests.curation.simulated_curation import (
    Collection,
    Curation,
    Person,
    collect,
    invite,
    kept_pictures,
    project_of,
    say,
    stored_votes,
)

ROUNDS = """
import json, os, sys
import label_studio_sdk
import mlrsnet_hf.curation.votes.round
from mlrsnet_hf.cli import main

print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if not child:
        said = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        try:
            main(["curate", "round", *json.loads(line)])
        except SystemExit as end:
            sys.stderr.flush()
            os._exit(end.code or 0)
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Does rounds in processes that have imported all already, so that kills strike what comes after."""


class Rounds:
    """Rounds of a curation, each in a process that can be killed."""

    def __init__(self, curation: Curation) -> None:
        self._folder = curation.folder
        self._said = curation.folder.parent / "said.txt"
        self._parent = subprocess.Popen(
            [sys.executable, "-c", ROUNDS, str(self._said)],
            env=curation.environment,
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        assert self._line() == "ready"
        self._child = 0

    def start(self, *options: str) -> None:
        """Start a round."""
        assert self._parent.stdin is not None
        self._parent.stdin.write(json.dumps([str(self._folder), *options]) + "\n")
        self._child = int(self._line())

    def has_ended(self, within: float) -> bool:
        """Wait so many seconds; tell whether the round has ended by itself."""
        return bool(select.select([self._parent.stdout], [], [], within)[0])

    def kill(self) -> None:
        """Kill it at once."""
        os.kill(self._child, signal.SIGKILL)

    def end(self) -> tuple[int, str]:
        """Wait for its end; return its exit status and what it has said."""
        assert self.has_ended(300), "a round that hangs"
        return int(self._line()), self._said.read_text(errors="replace")

    def close(self) -> None:
        """End the process that they come from."""
        assert self._parent.stdin is not None
        self._parent.stdin.close()
        self._parent.wait()

    def _line(self) -> str:
        assert self._parent.stdout is not None
        return self._parent.stdout.readline().strip()


LONGEST = 15.0
"""Seconds into a round, at most, in which it is struck."""


@dataclass
class Outcome:
    """What a run has come to."""

    struck: Counter[str] = field(default_factory=Counter)
    """Kills by what was struck; rounds that ended before are none."""
    acknowledged: set[tuple[int, str, str, str]] = field(default_factory=set)
    """Annotation's number, picture, person and answer of each vote that was answered by 201."""
    unanswered: int = 0
    """Votes that were sent and not answered."""
    votes: int = 0
    decisions: int = 0
    rounds: int = 0
    faults: list[str] = field(default_factory=list)


class Voters:
    """People who vote in threads until they are told to stop."""

    def __init__(
        self, people: Sequence[Person], project: int, collection: Collection, outcome: Outcome, pause: float
    ) -> None:
        self._pause = pause
        self._project = project
        self._collection = collection
        self._outcome = outcome
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._vote, args=(person,)) for person in people]

    def __enter__(self) -> "Voters":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _vote(self, person: Person) -> None:
        patient = random.Random(person.annotator.email)
        while not self._stop.is_set():
            try:
                task = person.annotator.next_task(self._project)
            except httpx.HTTPError:
                task = None
            if task is None:
                self._stop.wait(0.3)
                continue
            picture = self._collection.pictures[task["data"]["key"]]
            said = say(picture, person.annotator.email, person.error, person.hard_error)
            self._stop.wait(patient.uniform(0, self._pause))
            for _ in range(3):
                try:
                    number = person.annotator.answer(task, choice("answer", said))
                except httpx.HTTPError:
                    with self._lock:
                        self._outcome.unanswered += 1
                    self._stop.wait(2)
                    if patient.random() < 0.5:
                        break  # goes on with another task
                else:
                    with self._lock:
                        self._outcome.acknowledged.add((number, picture.name, person.annotator.email, said))
                    break


def kill_rounds(
    server: LabelStudioServer, folder: Path, kills: int, seed: int, candidates: int, known: int, pause: float
) -> Outcome:
    """Run rounds and kill them or the server, so often, while people vote with so long a pause; look at the log."""
    draw, outcome = random.Random(seed), Outcome()
    collection = collect(folder, candidates, known, seed=seed)
    people = invite(server, 6, seed)
    curation = Curation(server, collection, "--limit", "6")
    project = project_of(curation.run("start"))
    rounds, long = Rounds(curation), 0.0
    with Voters(people, project, collection, outcome, pause):
        while outcome.struck.total() < kills:
            rounds.start("--no-second-stage", *(["--close"] if draw.random() < 0.2 else []))
            began = time.monotonic()
            struck = draw.choice(["round", "round", "server", "both"])
            if not long or draw.random() < 0.2:
                rounds.has_ended(300)
                long = min(time.monotonic() - began, LONGEST)
            if rounds.has_ended(draw.uniform(0, long)):
                struck = "nothing"
            else:
                outcome.struck[struck] += 1
            if struck in ("server", "both"):
                server.kill()
            if struck in ("round", "both"):
                rounds.kill()
            status, said = rounds.end()
            if status not in (0, 2, -9) or "Traceback" in said:
                outcome.faults.append(f"a round ended with {status}: {said[-500:]}")
            if struck in ("server", "both"):
                server.start()
    rounds.close()
    outcome.faults += check(server, curation, collection, project, outcome)
    return outcome


def check(
    server: LabelStudioServer, curation: Curation, collection: Collection, project: int, outcome: Outcome
) -> Iterator[str]:
    """Yield what is wrong with the log after all votes were read, by its lines and the server's own export."""
    curation.run("round", "--no-second-stage")
    events = curation.events()
    votes = Counter((e["image"], e["annotator"], *e["answers"]) for e in events if e["event"] == "vote")
    outcome.votes = votes.total()
    outcome.rounds = sum(e["event"] == "round" for e in events)
    lost = {vote[1:] for vote in outcome.acknowledged} - set(votes)
    if lost:
        yield f"{len(lost)} acknowledged votes are not in the log: {sorted(lost)[:3]}"
    if votes.total() > len({vote[:2] for vote in votes}):
        yield f"votes are counted twice: {votes.most_common(3)}"
    stored = stored_votes(server, project)
    exported = {(collection.pictures[vote.key].name, vote.email, vote.answer) for vote in stored}
    if exported != set(votes):
        yield f"the log and the server differ in {len(exported ^ set(votes))} votes"
    yield from check_decisions(curation, collection, outcome)


def check_decisions(curation: Curation, collection: Collection, outcome: Outcome) -> Iterator[str]:
    """Yield the decisions that do not count the votes before them, and what is exported otherwise than decided."""
    category = {one.name: one.category for one in collection.pictures.values()}
    counts: dict[str, Counter[bool]] = defaultdict(Counter)
    verdicts: dict[str, str] = {}
    decided: dict[str, tuple[int, int]] = {}
    for event in curation.events():
        if event["event"] == "vote":
            counts[event["image"]][category[event["image"]] in event["answers"]] += 1
        elif event["event"] == "decision":
            outcome.decisions += 1
            verdicts[event["image"]] = event["verdict"]
            before = counts[event["image"]]
            given = event["accepts"], event["rejects"]
            # What is unsure is removed by the votes that made it so, though more have come since.
            if given not in ((before[True], before[False]), decided.get(event["image"])):
                yield f"{event} counts other votes than {before}"
            decided[event["image"]] = given
    known = {one.name for one in collection.pictures.values() if one.is_known and one.shows == one.category}
    kept = known | {image for image, verdict in verdicts.items() if verdict == "keep"}
    curation.run("export", "--output-dir", str(collection.folder / "exported"))
    if kept_pictures(collection.folder / "exported") != Counter(kept):
        yield "what is exported is not what the log says"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--candidates", type=int, default=50, help="Pictures of unknown truth, per category.")
    parser.add_argument("--known", type=int, default=5, help="Pictures of known truth, per category.")
    parser.add_argument("--pause", type=float, default=3, help="Seconds between a person's votes, at most.")
    parser.add_argument("--postgresql", action="store_true", help="Instead of SQLite.")
    numbers = parser.parse_args()
    program = label_studio_program()
    if program is None:
        raise SystemExit("MLRSNET_LABEL_STUDIO does not name label-studio")
    database = PostgreSQL() if numbers.postgresql else None
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        if database is not None:
            database.start()
        server = LabelStudioServer(program, Path(folder) / "server", database and database.environment)
        try:
            server.start()
            place = server.documents / "study"
            found = kill_rounds(
                server, place, numbers.kills, numbers.seed, numbers.candidates, numbers.known, numbers.pause
            )
        finally:
            server.kill()
            if database is not None:
                database.remove()
    where = "PostgreSQL" if numbers.postgresql else "SQLite"
    print(f"{where}, seed {numbers.seed}, {(time.monotonic() - began) / 60:.0f} minutes; kills: {dict(found.struck)}")
    print(f"{len(found.acknowledged)} votes were acknowledged, {found.unanswered} sent without an answer")
    print(f"the log has {found.votes} votes, {found.decisions} decisions and {found.rounds} rounds")
    for fault in found.faults:
        print(f"FAULT: {fault}")
    raise SystemExit(bool(found.faults))


if __name__ == "__main__":
    main()
