"""Rounds of votes: decisions by hand, nothing counted twice, any state computed again."""

import dataclasses
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrsnet_hf.curation.config import Rules
from mlrsnet_hf.curation.votes.agreement import Confusion
from mlrsnet_hf.curation.votes.confidence import ConfidenceTable
from mlrsnet_hf.curation.votes.event_log import Candidate, Decision, Event, RoundOpened, Vote
from mlrsnet_hf.curation.votes.rounds import (
    count_votes,
    decide,
    learn_table,
    moved,
    new_votes,
    pairs_in_question,
    replay,
    second_stage,
    truth_votes_wanted,
    votes_wanted,
)
from mlrsnet_hf.errors import ConfigurationError
from tests.curation.votes.annotators import Annotators
from tests.curation.votes.promise import vote_until_sure

EXACT = Annotators(good_share=0.6, good=((1.0, 0.8),), bad=((1.0, 0.2),))
TABLE = ConfidenceTable({"beach": EXACT.table(10)}, EXACT.table(10))
# Odds are 1.5 times 4 for each accept more than rejects, or 1/4 for each less: 1.5, 6, 24, 96; .375, .094, .023
# so that P is .6, .857, .960, .990; .273, .086, .023.
RULES = Rules(limit=5)


def start(*images: str) -> list[Event]:
    return [
        *(Candidate(image=image, category="beach") for image in images),
        RoundOpened(round=1, stage=1, votes=dict.fromkeys(images, 3)),
    ]


def votes(image: str, answers: str, stage: int = 1, first: int = 0) -> list[Event]:
    """Return votes of annotators 0, 1, ...: b is beach, d is desert, - is none."""
    names = {"b": ("beach",), "d": ("desert",), "l": ("lake",), "-": ()}
    return [
        Vote(stage=stage, image=image, annotator=str(first + i), answers=names[answer])
        for i, answer in enumerate(answers)
    ]


@pytest.mark.parametrize(
    ("answers", "verdict", "confidence"),
    [
        ("bbb", "keep", 96 / 97),
        ("dd-", "remove", 1.5 / 64 / (1 + 1.5 / 64)),
        ("bb", None, 24 / 25),
        ("bd", None, 0.6),
        ("b", None, 6 / 7),
        # Of five votes one reject leaves four accepts: 3 more than rejects. After two, three will not do.
        ("dbbb", None, 24 / 25),
        ("dd", None, 1.5 / 16 / (1 + 1.5 / 16)),
        ("ddb", "unsure", 0.375 / 1.375),
        ("ddbbb", "unsure", 6 / 7),
        ("dbbbb", "keep", 96 / 97),
    ],
)
def test_decisions_by_hand(answers: str, verdict: str | None, confidence: float) -> None:
    state = replay([*start("1"), *votes("1", answers)])
    made = decide(state, TABLE, dataclasses.replace(RULES, remove_at=0.024))
    if answers == "dd":  # three accepts more make 3 to 2 of five: not enough
        assert made[0].verdict == "unsure"
        return
    if verdict is None:
        assert made == []
        assert TABLE.confidence("beach", *count_votes(state)[("1", "beach"), 1]) == pytest.approx(confidence)
    else:
        (one,) = made
        assert (one.verdict, one.image, one.stage) == (verdict, "1", 1)
        assert one.confidence == pytest.approx(confidence)
        assert decide(replay([*start("1"), *votes("1", answers), one]), TABLE, RULES) == []


def test_votes_that_the_next_round_asks_for() -> None:
    state = replay(
        [*start("none", "one", "two", "split"), *votes("one", "b"), *votes("two", "bb"), *votes("split", "bd")]
    )
    assert votes_wanted(state, TABLE, RULES) == {"none": 3, "one": 2, "two": 1, "split": 3}
    assert set(votes_wanted(state, ConfidenceTable({}, {}), RULES).values()) == {1}


def test_weighted_confidence_counts_in_place_of_the_table() -> None:
    state = replay([*start("1", "2"), *votes("1", "b"), *votes("2", "b")])
    (one,) = decide(state, TABLE, RULES, weighted={("1", "beach"): 0.99})
    assert (one.image, one.verdict, one.confidence) == ("1", "keep", 0.99)


def test_weighted_confidence_is_as_sure_as_the_table() -> None:
    # Of one accept the table says 6 to 1, at least 3 to 1 and at most 12 to 1: half of these odds, or twice.
    exact = dict(EXACT.table(10))
    bounds = [{"beach": exact | {(1, 0): odds / (1 + odds)}} for odds in (3, 12)]
    table = ConfidenceTable({"beach": exact}, exact, *bounds)
    state = replay(
        [*start("66", "64", "1", "2"), *(vote for name in ("66", "64", "1", "2") for vote in votes(name, "b"))]
    )
    weighted = {("66", "beach"): 66 / 67, ("64", "beach"): 64 / 65, ("1", "beach"): 1 / 71, ("2", "beach"): 1 / 61}
    made = decide(state, table, RULES, weighted)  # 0.97 are 32.3 to 1, 0.03 are 1 to 32.3
    assert {one.image: (one.verdict, one.confidence) for one in made} == {
        "66": ("keep", 66 / 67),
        "1": ("remove", 1 / 71),
    }


def test_weights_ask_for_all_votes() -> None:
    # Within the limit of five the table can be sure of it no more; weights may be.
    state = replay([*start("1"), *votes("1", "ddb")])
    assert [one.verdict for one in decide(state, TABLE, RULES)] == ["unsure"]
    assert decide(state, TABLE, RULES, {("1", "beach"): 0.5}) == []
    state = replay([*start("1"), *votes("1", "ddbbb")])
    assert [one.verdict for one in decide(state, TABLE, RULES, {("1", "beach"): 0.5})] == ["unsure"]


def test_odds_that_move() -> None:
    assert moved(0.5, 0.5, 0.75) == 0.75
    assert moved(0.9, 0.75, 0.5) == pytest.approx(0.75)  # 9 to 1, a third of it
    assert (moved(1.0, 0.9, 0.5), moved(0.0, 0.1, 0.5), moved(1.0, 1.0, 0.0)) == (1, 0, 1)


def test_a_person_has_one_vote_in_a_stage() -> None:
    log = [*start("1"), *votes("1", "b"), *votes("1", "d")]
    assert count_votes(replay(log)) == {(("1", "beach"), 1): (0, 1)}
    later = [*log, *votes("1", "b", stage=2)]
    assert count_votes(replay(later)) == {(("1", "beach"), 1): (0, 1), (("1", "beach"), 2): (1, 0)}


def test_what_the_open_round_lacks() -> None:
    log = [*start("1", "2"), *votes("1", "bb"), *votes("1", "d")]  # the last one is a change of mind
    assert (replay(log).lacking, replay(log).given) == ({"1": 1, "2": 3}, 2)
    log += votes("1", "bb", first=2)
    assert (replay(log).lacking, replay(log).given) == ({"2": 3}, 3)
    decided = Decision(image="2", category="beach", verdict="remove", stage=1, accepts=0, rejects=0, confidence=0.0)
    assert (replay([*log, decided]).lacking, replay([*log, decided]).given) == ({}, 3)
    log.append(RoundOpened(round=2, stage=1, votes={"1": 2}))
    assert replay(log).lacking == {"1": 2}
    log += votes("1", "bb", stage=2)
    assert replay(log).lacking == {"1": 2}


def test_votes_on_images_that_are_no_candidates_count_for_nothing() -> None:
    state = replay([*start("1"), *votes("gone", "b")])
    assert count_votes(state) == {} and new_votes(state, votes("gone", "b")) == []


def test_a_vote_whose_annotator_was_deleted_is_still_theirs() -> None:
    vote = Vote(stage=1, image="1", annotator="ann", answers=("beach",), at="1", annotation="7")
    state = replay([*start("1"), vote])
    gone = dataclasses.replace(vote, annotator="deleted (7)")
    assert new_votes(state, [gone]) == []
    (changed,) = new_votes(state, [dataclasses.replace(gone, answers=("lake",), at="2")])
    assert (changed.annotator, changed.answers) == ("ann", ("lake",))
    assert new_votes(replay(start("1")), [gone]) == [gone]


def test_a_person_who_answered_twice_and_is_deleted_has_one_vote() -> None:
    """Of an annotation whose place another has taken, it is still known who gave it."""
    first = Vote(stage=1, image="1", annotator="ann", answers=("lake",), at="1", annotation="7")
    again = dataclasses.replace(first, answers=("beach",), at="2", annotation="8")
    log: list[Event] = start("1")
    log += new_votes(replay(log), [again, first])
    same = dataclasses.replace(again, at="3", annotation="9")  # to a project that was made again
    log += new_votes(replay(log), [same])
    gone = [dataclasses.replace(one, annotator=f"deleted {one.annotation}") for one in (first, again, same)]
    assert new_votes(replay(log), gone) == []
    state = replay(log)
    assert count_votes(state) == {(("1", "beach"), 1): (1, 0)}
    assert state.votes["1", "ann", 1] == again
    assert sum(isinstance(event, Vote) for event in log) == 1


def test_several_labels_of_an_image() -> None:
    log: list[Event] = [Candidate(image="1", category=label) for label in ("beach", "sea")]
    log += [Vote(stage=1, image="1", annotator="a", answers=("sea", "beach"))]
    log += [Vote(stage=1, image="1", annotator="b", answers=("sea",))]
    log += [Vote(stage=1, image="1", annotator="c", answers=("sea",))]
    state = replay(log)
    assert count_votes(state) == {(("1", "beach"), 1): (1, 2), (("1", "sea"), 1): (3, 0)}
    table = ConfidenceTable({}, EXACT.table(10))
    (kept,) = decide(state, table, Rules(limit=10))
    assert (kept.claim, kept.verdict) == (("1", "sea"), "keep")
    # What lacks most of what is open says how often the image is shown: 1 to 2 needs 2 rejects or 5 accepts more.
    assert votes_wanted(replay([*log, kept]), table, Rules(limit=10)) == {"1": 2}


ANSWERS = st.lists(
    st.builds(
        Vote,
        stage=st.integers(1, 2),
        image=st.sampled_from(["1", "2", "not there"]),
        annotator=st.sampled_from(["a", "b"]),
        answers=st.sampled_from([("beach",), ("desert",), ()]),
        at=st.sampled_from(["1", "2"]),
    ),
    max_size=20,
)


@given(ANSWERS, ANSWERS, st.randoms())
def test_reading_a_server_again_counts_nothing_twice(early: list[Vote], late: list[Vote], draw: random.Random) -> None:
    # The server may hold several answers of a person to an image; the last one counts.
    late = [dataclasses.replace(vote, at="3") for vote in late]
    log: list[Event] = start("1", "2")
    log += new_votes(replay(log), early)
    told = replay(log)
    assert new_votes(told, early) == []
    # A database restored from yesterday has lost some votes: those that were told stay.
    lost = [vote for vote in early if draw.random() < 0.5]
    log += new_votes(told, lost)
    log += new_votes(replay(log), [*early, *late])
    state = replay(log)
    assert new_votes(state, late) == []
    assert replay([*log, *log]).votes == state.votes
    expected = {(vote.image, vote.annotator, vote.stage): vote.answers for vote in late if vote.image != "not there"}
    assert {key: vote.answers for key, vote in state.votes.items() if key in expected} == expected
    known = {(vote.image, vote.annotator, vote.stage) for vote in [*early, *late] if vote.image != "not there"}
    assert state.votes.keys() == known


def test_second_stage() -> None:
    log = start("sand", "odd", "clear")
    log += votes("sand", "bbddd") + votes("odd", "bbl-l") + votes("clear", "bbb")
    log += decide(replay(log), TABLE, RULES)
    assert set(replay(log).decided("unsure")) == {("sand", "beach"), ("odd", "beach")}
    pairs = [Confusion("beach", "desert", 0.3, 9), Confusion("beach", "sea", 0.2, 9)]
    assert pairs_in_question(replay(log), pairs) == pairs[:1]  # no candidate lies between beach and sea
    log += second_stage(replay(log), pairs[:1])
    state = replay(log)
    assert (state.decided("second stage"), state.decided("remove"), state.decided("keep")) == (
        [("sand", "beach")],
        [("odd", "beach")],
        [("clear", "beach")],
    )
    assert [candidate.image for candidate in state.open_claims()] == ["sand"]
    # Votes are counted anew: the boundary was not agreed on when the first were given.
    assert votes_wanted(state, TABLE, RULES) == {"sand": 3}
    log += votes("sand", "bd", stage=2)
    assert decide(replay(log), TABLE, RULES) == []
    log += votes("sand", "bd", stage=2, first=2)
    (last,) = decide(replay(log), TABLE, RULES)
    assert (last.verdict, last.stage, last.accepts, last.rejects) == ("remove", 2, 2, 2)
    assert replay([*log, last]).open_claims() == []
    assert pairs_in_question(replay([*log, last]), pairs) == pairs[:1]


def test_the_table_is_learned_from_images_of_known_truth() -> None:
    log: list[Event] = start("1")
    for i in range(40):
        log.append(Candidate(image=f"good {i}", category="beach", truth=("beach",)))
        log.append(Candidate(image=f"bad {i}", category="beach", truth=("desert",)))
        log += votes(f"good {i}", "bbbd") + votes(f"bad {i}", "dddb")
    state = replay(log)
    table = learn_table(state, RULES)
    assert table.confidence("beach", 4, 0) > 0.95 > table.confidence("beach", 1, 0) > 0.6
    assert [candidate.image for candidate in state.open_claims()] == ["1"]
    assert truth_votes_wanted(state, 5) == {name: 1 for (name, _), one in state.candidates.items() if one.truth}
    with pytest.raises(ConfigurationError, match="bad"):
        learn_table(replay([*start("1"), Candidate(image="2", category="a", truth=("a",)), *votes("2", "b")]), RULES)


def test_the_simulation_decides_as_the_rounds_do() -> None:
    rules = Rules(limit=5, remove_at=0.1)
    drawn = EXACT.vote(60, rules.limit, np.random.default_rng(3))
    outcome = vote_until_sure(TABLE, "beach", rules, drawn)
    log: list[Event] = start(*map(str, range(60)))
    for number in range(rules.limit):
        for candidate in replay(log).open_claims():
            answers = ("beach",) if drawn.accepted[int(candidate.image), number] else ("desert",)
            log.append(Vote(stage=1, image=candidate.image, annotator=str(number), answers=answers))
        log += decide(replay(log), TABLE, rules)
    state = replay(log)
    assert state.decided("keep") and state.decided("remove") and state.decided("unsure")
    for i in range(60):
        decision = state.decisions[str(i), "beach"]
        verdict = "keep" if outcome.kept[i] else "remove" if outcome.removed[i] else "unsure"
        assert (decision.verdict, decision.accepts) == (verdict, outcome.accepts[i])
        assert decision.accepts + decision.rejects == outcome.votes[i]


def test_any_state_can_be_computed_again_from_a_part_of_the_log() -> None:
    log: list[Event] = [*start("1", "2"), *votes("1", "bbb"), *votes("2", "ddd")]
    made = decide(replay(log), TABLE, RULES)
    for end in range(len(log)):
        state = replay(log[:end])
        assert len(state.votes) == sum(isinstance(event, Vote) for event in log[:end])
    assert {one.image: one.verdict for one in made} == {"1": "keep", "2": "remove"}
    assert all(isinstance(one, Decision) for one in made)


def test_rules_that_leave_no_room_for_doubt() -> None:
    with pytest.raises(ConfigurationError):
        Rules(threshold=0.5, remove_at=0.6)
