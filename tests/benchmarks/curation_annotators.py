"""Twenty simulated annotators of known error rates vote until all is decided: is 0.97 kept, and is the table right?

python -m tests.benchmarks.curation_annotators --postgresql

They vote over HTTP, all at the same time, on pictures some of which are hard for all; half an hour with the default
numbers on two cores, on SQLite or PostgreSQL. MLRSNET_LABEL_STUDIO names the program label-studio. What is told:

- the share of the kept candidates that are good in truth, against 0.97;
- how far the learned confidence is from P(good | accepts, rejects) of these annotators and pictures, drawn a million
  times by their known error rates, over the cells in which candidates were decided;
- whether each decision counts the votes that the server's own export has, and the set is what they say.
"""

import argparse
import csv
import math
import random
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.curation.label_studio_server import LabelStudioServer, label_studio_program
from tests.curation.postgresql import PostgreSQL
from tests.curation.simulated_curation import (
    Collection,
    Curation,
    Person,
    collect,
    counted,
    invite,
    kept_pictures,
    stored_votes,
)

GOOD, HARD, HARDER = 0.7, 0.25, 3.0
"""Share of the good candidates, and of the hard pictures, and by how much errors are more frequent on these."""
Cells = dict[tuple[int, int], float]


@dataclass(frozen=True)
class Outcome:
    """What came of a curation."""

    votes: int
    rounds: int
    candidates: int
    kept: int
    wrong: int
    """Of the kept."""
    lost: int
    """Good candidates that are not kept."""
    good: int
    off: float
    """Mean distance of the table from the exact posterior, over the candidates where they were decided."""
    worst: float
    disagreeing: int
    """Decisions that count other votes than the server has, or whose images are not as they say in the set."""


def exact_posterior(people: Sequence[Person], most: int, pictures: int = 1_000_000, seed: int = 1) -> Cells:
    """Return P(good | accepts, rejects) of these people's votes, from so many simulated pictures."""
    draw = np.random.default_rng(seed)
    good = draw.random(pictures) < GOOD
    hard = draw.random(pictures) < HARD
    errors = np.array([(person.error, person.hard_error) for person in people])
    # Who votes is drawn anew for each vote; that nobody votes twice on a picture matters little among twenty.
    who = draw.integers(0, len(people), (pictures, most))
    error = errors[who, hard.astype(int)[:, None]]
    is_wrong = draw.random((pictures, most)) < error
    # Wrong on a bad picture is an accept only if its category is what is answered: see simulated_curation.say.
    shows_partner = draw.random(pictures) < 0.7 + 0.3 / 3
    accept_if_wrong = np.where(shows_partner, 0.7 + 0.3 / 3, 0.3 / 3)
    accepted = np.where(good[:, None], ~is_wrong, is_wrong & (draw.random((pictures, most)) < accept_if_wrong[:, None]))
    total, of_good = Counter[tuple[int, int]](), Counter[tuple[int, int]]()
    for votes in range(1, most + 1):
        accepts = accepted[:, :votes].sum(axis=1)
        for number in range(votes + 1):
            cell = accepts == number
            total[number, votes - number] = int(cell.sum())
            of_good[number, votes - number] = int((cell & good).sum())
    return {cell: of_good[cell] / number for cell, number in total.items() if number}


def read_table(path: Path) -> dict[str, Cells]:
    found: dict[str, Cells] = defaultdict(dict)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            found[row["category"]][int(row["accepts"]), int(row["rejects"])] = float(row["confidence"])
    return found


def curate(server: LabelStudioServer, folder: Path, numbers: argparse.Namespace) -> Outcome:
    """Have a collection voted on until all is decided, and look at what was kept."""
    collection = collect(folder, numbers.candidates, numbers.known, good=GOOD, hard=HARD, seed=numbers.seed)
    people = invite(server, numbers.people, numbers.seed, most=numbers.error, hard=HARDER)
    curation = Curation(server, collection, "--limit", str(numbers.limit))
    rounds = curation.until_decided(people, collection, second_stage=False)
    curation.run("export", "--output-dir", str(folder / "exported"))
    return judge(server, collection, curation, people, rounds, numbers.limit)


def judge(
    server: LabelStudioServer,
    collection: Collection,
    curation: Curation,
    people: Sequence[Person],
    rounds: int,
    limit: int,
) -> Outcome:
    """Compare what was kept with the truth, and the decisions with the server's own export."""
    kept = kept_pictures(collection.folder / "exported")
    votes = stored_votes(server, curation.project)
    cells = counted(votes, collection)
    table = read_table(curation.folder / "confidence.csv")
    exact = exact_posterior(people, limit)
    waiting = {key: one for key, one in collection.pictures.items() if not one.is_known}
    decisions = {e["image"]: e for e in curation.events() if e["event"] == "decision"}
    off = [abs(table[one.category][cells[key]] - exact.get(cells[key], math.nan)) for key, one in waiting.items()]
    disagreeing = 0
    for key, one in waiting.items():
        decision = decisions[one.name]
        is_kept = decision["verdict"] == "keep"
        other_votes = cells[key] != (decision["accepts"], decision["rejects"])
        disagreeing += other_votes or is_kept != (one.name in kept) or (is_kept and decision["confidence"] < 0.97)
    good = {one.name for one in waiting.values() if one.shows == one.category}
    chosen = {one.name for one in waiting.values() if one.name in kept}
    return Outcome(
        votes=len(votes),
        rounds=rounds,
        candidates=len(waiting),
        kept=len(chosen),
        wrong=len(chosen - good),
        lost=len(good - chosen),
        good=len(good),
        off=float(np.nanmean(off)),
        worst=float(np.nanmax(off)),
        disagreeing=disagreeing,
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=100, help="Pictures of unknown truth, per category.")
    parser.add_argument("--known", type=int, default=30, help="Pictures of known truth, per category.")
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--error", type=float, default=0.1, help="Highest error rate on easy pictures.")
    parser.add_argument("--limit", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1000))
    parser.add_argument("--postgresql", action="store_true", help="Instead of SQLite.")
    numbers = parser.parse_args()
    program = label_studio_program()
    if program is None:
        raise SystemExit("MLRSNET_LABEL_STUDIO does not name label-studio")
    database = PostgreSQL() if numbers.postgresql else None
    with tempfile.TemporaryDirectory() as folder:
        if database is not None:
            database.start()
        server = LabelStudioServer(program, Path(folder) / "server", database and database.environment)
        try:
            server.start()
            began = time.monotonic()
            found = curate(server, server.documents / "study", numbers)
            took = time.monotonic() - began
        finally:
            server.kill()
            if database is not None:
                database.remove()
    print(f"seed {numbers.seed}, {'PostgreSQL' if numbers.postgresql else 'SQLite'}, {took / 60:.0f} minutes")
    print(f"{found.votes} votes in {found.rounds} rounds on {found.candidates} candidates and those of known truth")
    share = 1 - found.wrong / found.kept if found.kept else math.nan
    print(f"kept {found.kept}, {share:.3f} of them good (asked for: 0.97); {found.lost} of {found.good} good ones lost")
    print(f"the table is off the exact posterior by {found.off:.3f} on average, {found.worst:.3f} at worst")
    print(f"decisions that disagree with the server's own export: {found.disagreeing}")


if __name__ == "__main__":
    main()
