"""Rounds of votes: decisions by hand, nothing counted twice, any state computed again."""

import dataclasses
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrsnet_hf.curation.agreement import Confusion
from mlrsnet_hf.curation.annotators import Annotators
from mlrsnet_hf.curation.confidence import ConfidenceTable
from mlrsnet_hf.curation.event_log import Candidate, Decision, Event, RoundOpened, Vote
from mlrsnet_hf.curation.promise import vote_until_sure
from mlrsnet_hf.curation.rounds import (
    Rules,
    count_votes,
    decide,
    learn_table,
    new_votes,
    replay,
    second_stage,
    truth_votes_wanted,
    votes_wanted,
)
from mlrsnet_hf.errors import ConfigurationError

EXACT = Annotators(good_share=0.6, good=((1.0, 0.8),), bad=((1.0, 0.2),))
TABLE = ConfidenceTable({"beach": EXACT.table(10)}, EXACT.table(10))
# Odds are 1.5 times 4 for each accept more than rejects, or 1/4 for each less: 1.5, 6, 24, 96; .375, .094, .023
# so that P is .6, .857, .960, .990; .273, .086, .023.
RULES = Rules(limit=5)


def start(*images: str, category: str = "beach", rounds: int = 1, stage: int = 1) -> list[Event]:
    return [
        *(Candidate(image=image, category=category) for image in images),
        *(RoundOpened(round=number + 1, stage=stage, images=len(images), votes=0) for number in range(rounds)),
    ]


def votes(image: str, answers: str, round_: int = 1, first: int = 0) -> list[Event]:
    """Return votes of annotators 0, 1, ...: b is beach, d is desert, - is none."""
    names = {"b": "beach", "d": "desert", "l": "lake", "-": None}
    return [
        Vote(round=round_, image=image, annotator=str(first + i), answer=names[answer])
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
        assert TABLE.confidence("beach", *count_votes(state)["1", 1]) == pytest.approx(confidence)
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
    (one,) = decide(state, TABLE, RULES, weighted={"1": 0.99})
    assert (one.image, one.verdict, one.confidence) == ("1", "keep", 0.99)


def test_a_person_has_one_vote_in_a_stage() -> None:
    log = [*start("1", rounds=2), *votes("1", "b"), *votes("1", "d", round_=2)]
    assert count_votes(replay(log)) == {("1", 1): (0, 1)}
    later = [*log, RoundOpened(round=3, stage=2, images=1, votes=1), *votes("1", "b", round_=3)]
    assert count_votes(replay(later)) == {("1", 1): (0, 1), ("1", 2): (1, 0)}


def test_votes_that_belong_nowhere_count_for_nothing() -> None:
    log = [*start("1"), *votes("gone", "b"), *votes("1", "b", round_=9)]
    assert count_votes(replay(log)) == {}


ANSWERS = st.lists(
    st.builds(
        Vote,
        round=st.integers(1, 3),
        image=st.sampled_from(["1", "2", "not there"]),
        annotator=st.sampled_from(["a", "b"]),
        answer=st.sampled_from(["beach", "desert", None]),
        at=st.just(""),
    ),
    max_size=20,
)


@given(ANSWERS, ANSWERS, st.randoms())
def test_reading_a_server_again_counts_nothing_twice(early: list[Vote], late: list[Vote], draw: random.Random) -> None:
    def server(read: list[Vote]) -> list[Vote]:  # it keeps one answer of a person to an image in a round
        return list({(vote.round, vote.image, vote.annotator): vote for vote in read}.values())

    log: list[Event] = start("1", "2", rounds=2)
    log += new_votes(replay(log), server(early))
    told = replay(log)
    assert new_votes(told, server(early)) == []
    shuffled = server(early)
    draw.shuffle(shuffled)
    assert new_votes(told, shuffled) == []
    # A database restored from yesterday has lost some votes: those that were told stay.
    assert new_votes(told, server(early)[: draw.randint(0, len(early))]) == []
    assert new_votes(told, []) == []
    log += new_votes(told, server([*early, *late]))
    state = replay(log)
    assert new_votes(state, server([*early, *late])) == []
    assert replay([*log, *log]) == state
    newest = {}
    for vote in sorted(server([*early, *late]), key=lambda vote: vote.round):
        if vote.image != "not there" and vote.round < 3:
            newest[vote.image, vote.annotator] = vote.answer
    assert {key[:2]: vote.answer for key, vote in state.votes.items()} == newest


def test_second_stage() -> None:
    log = start("sand", "odd", "clear")
    log += votes("sand", "bbddd") + votes("odd", "bbl-l") + votes("clear", "bbb")
    log += decide(replay(log), TABLE, RULES)
    assert set(replay(log).images("unsure")) == {"sand", "odd"}
    log += second_stage(replay(log), [Confusion("beach", "desert", 0.3, 9)])
    state = replay(log)
    assert (state.images("second stage"), state.images("remove"), state.images("keep")) == (
        ["sand"],
        ["odd"],
        ["clear"],
    )
    assert [candidate.image for candidate in state.open_images()] == ["sand"]
    # Votes are counted anew: the boundary was not agreed on when the first were given.
    assert votes_wanted(state, TABLE, RULES) == {"sand": 3}
    log += [RoundOpened(round=2, stage=2, images=1, votes=3), *votes("sand", "bd", round_=2)]
    assert decide(replay(log), TABLE, RULES) == []
    log += votes("sand", "bd", round_=2, first=2)
    (last,) = decide(replay(log), TABLE, RULES)
    assert (last.verdict, last.stage, last.accepts, last.rejects) == ("remove", 2, 2, 2)
    assert replay([*log, last]).open_images() == []


def test_the_table_is_learned_from_images_of_known_truth() -> None:
    log: list[Event] = start("1")
    for i in range(40):
        log.append(Candidate(image=f"good {i}", category="beach", truth="beach"))
        log.append(Candidate(image=f"bad {i}", category="beach", truth="desert"))
        log += votes(f"good {i}", "bbbd") + votes(f"bad {i}", "dddb")
    state = replay(log)
    table = learn_table(state, RULES)
    assert table.confidence("beach", 4, 0) > 0.95 > table.confidence("beach", 1, 0) > 0.6
    assert [candidate.image for candidate in state.open_images()] == ["1"]
    assert truth_votes_wanted(state, 5) == {name: 1 for name, one in state.candidates.items() if one.truth}
    with pytest.raises(ConfigurationError, match="bad one"):
        learn_table(replay([*start("1"), Candidate(image="2", category="a", truth="a"), *votes("2", "b")]), RULES)


def test_the_simulation_decides_as_the_rounds_do() -> None:
    rules = Rules(limit=5, remove_at=0.1)
    drawn = EXACT.vote(60, rules.limit, np.random.default_rng(3))
    outcome = vote_until_sure(TABLE, "beach", rules, drawn)
    log: list[Event] = start(*map(str, range(60)), rounds=rules.limit)
    for number in range(rules.limit):
        for candidate in replay(log).open_images():
            answer = "beach" if drawn.accepted[int(candidate.image), number] else "desert"
            log.append(Vote(round=number + 1, image=candidate.image, annotator=str(number), answer=answer))
        log += decide(replay(log), TABLE, rules)
    state = replay(log)
    assert state.images("keep") and state.images("remove") and state.images("unsure")
    for i in range(60):
        decision = state.decisions[str(i)]
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
