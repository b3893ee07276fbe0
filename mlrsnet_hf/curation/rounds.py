"""Votes in rounds until an image is sure: section 2.2.2 of Qi et al. (2020), as functions of a log of events.

An annotator picks one of the categories without knowing which the image was collected for; the same is an accept, any
other a reject (Fig. 3). The confidence table says how sure the votes make the team. From 0.97 on an image is kept; an
image that its votes speak against is removed; all others are voted on again, up to a limit. What is then neither goes
to a second stage if it lies between two categories that the annotators take for each other (Fig. 4), after they have
agreed on the boundary, and else is removed. The paper says nothing of removing early, nor how ambiguous pairs were
found; that is ours.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mlrsnet_hf.configuration.settings import Count, Settings, Share, setting
from mlrsnet_hf.curation.agreement import Answer, Confusion
from mlrsnet_hf.curation.confidence import ConfidenceTable, JudgedImage, VotedImage, Votes, learn_confidence
from mlrsnet_hf.curation.event_log import Boundary, Candidate, Decision, Event, RoundOpened, Vote
from mlrsnet_hf.paper_tables import CONFIDENCE_THRESHOLD

LAST_STAGE = 2


@dataclass(frozen=True, kw_only=True)
class Rules(Settings):
    """When an image is sure."""

    threshold: Share = setting(CONFIDENCE_THRESHOLD, "Confidence from which on an image is kept.")
    remove_at: float = setting(0.03, "Confidence down from which an image is removed before the limit.")
    limit: Count = setting(10, "Votes that an image gets in a stage.")

    def __post_init__(self) -> None:
        """Refuse what leaves no room for doubt."""
        super().__post_init__()
        self._require("remove_at", 0 <= self.remove_at < self.threshold, "a number from 0 to below the threshold")


VoteKey = tuple[str, str, int]
"""Image, annotator and stage: one vote each."""


@dataclass(frozen=True, slots=True)
class State:
    """Where a curation stands."""

    candidates: Mapping[str, Candidate]
    """By image."""
    rounds: Mapping[int, RoundOpened]
    """By number."""
    votes: Mapping[VoteKey, Vote]
    """Those that count."""
    boundaries: Sequence[Boundary]
    decisions: Mapping[str, Decision]
    """The last one of each image that has any."""

    def stage(self, image: str) -> int:
        """Return the stage in which an image is voted on."""
        decision = self.decisions.get(image)
        in_second = decision is not None and (decision.verdict == "second stage" or decision.stage == LAST_STAGE)
        return LAST_STAGE if in_second else 1

    def open_images(self) -> list[Candidate]:
        """Return the candidates of unknown truth that are voted on still."""
        return [
            candidate
            for image, candidate in self.candidates.items()
            if candidate.truth is None
            and (image not in self.decisions or self.decisions[image].verdict == "second stage")
        ]

    def images(self, verdict: Literal["keep", "remove", "unsure", "second stage"]) -> list[str]:
        """Return the images whose last decision is this."""
        return [image for image, decision in self.decisions.items() if decision.verdict == verdict]

    def answers(self, stage: int | None = None) -> list[Answer]:
        """Return what was said, for `agreement`; an annotator has one answer to an image, the last."""
        found: dict[tuple[str, str], Answer] = {}
        for (image, annotator, of), vote in sorted(self.votes.items(), key=lambda pair: pair[0][2]):
            if stage in (None, of):
                found[image, annotator] = Answer(image, annotator, NO_CATEGORY if vote.answer is None else vote.answer)
        return list(found.values())


NO_CATEGORY = "none of the categories"
"""What an answer of none is called in tables."""


def replay(events: Iterable[Event]) -> State:
    """Return the state that a log leads to.

    The same person has one vote on an image in each stage, the last one given: whoever changes their mind, or meets an
    image again in a later round, is not counted twice. Votes on images that are no candidates, or of rounds that were
    never opened, count for nothing.
    """
    candidates: dict[str, Candidate] = {}
    rounds: dict[int, RoundOpened] = {}
    votes: dict[VoteKey, Vote] = {}
    boundaries: list[Boundary] = []
    decisions: dict[str, Decision] = {}
    for event in events:
        match event:
            case Candidate():
                candidates[event.image] = event
            case RoundOpened():
                rounds[event.round] = event
            case Vote():
                if event.image in candidates and event.round in rounds:
                    votes[event.image, event.annotator, rounds[event.round].stage] = event
            case Boundary():
                boundaries.append(event)
            case Decision():
                decisions[event.image] = event
    return State(candidates, rounds, votes, boundaries, decisions)


def new_votes(state: State, read: Iterable[Vote]) -> list[Vote]:
    """Return the votes that the log does not know yet, of those that a server has.

    However often a server is read, and whether or not it has lost what the log has, nothing is counted twice: a vote
    that is known is left out, one whose answer has changed is told again.
    """
    new = []
    known = {key: (vote.round, vote.answer) for key, vote in state.votes.items()}
    for vote in sorted(read, key=lambda vote: (vote.round, vote.at)):
        opened = state.rounds.get(vote.round)
        if opened is None or vote.image not in state.candidates:
            continue
        key = (vote.image, vote.annotator, opened.stage)
        counted = known.get(key)
        if counted is None or vote.round > counted[0] or (vote.round == counted[0] and vote.answer != counted[1]):
            known[key] = (vote.round, vote.answer)
            new.append(vote)
    return new


def count_votes(state: State) -> dict[tuple[str, int], Votes]:
    """Return the accepts and rejects of each image and stage that has any."""
    counted: dict[tuple[str, int], Votes] = {}
    for (image, _, stage), vote in state.votes.items():
        accepts, rejects = counted.get((image, stage), (0, 0))
        is_accept = vote.answer == state.candidates[image].category
        counted[image, stage] = (accepts + is_accept, rejects + (not is_accept))
    return counted


def learn_table(state: State, rules: Rules, stage: int = 1) -> ConfidenceTable:
    """Return the confidence table that the votes of a stage give: of images of known truth, and of the candidates.

    In the second stage the images of known truth keep what the first stage said of them, and what is said anew comes
    besides: few are voted on again.

    Raises:
        ConfigurationError: No good image of known truth has votes, or no bad one.
    """
    judged, waiting = [], []
    most = rules.limit
    for (image, of), (accepts, rejects) in count_votes(state).items():
        candidate = state.candidates[image]
        if of > stage or (of < stage and candidate.truth is None):
            continue
        most = max(most, accepts + rejects)
        if candidate.truth is None:
            waiting.append(VotedImage(category=candidate.category, accepts=accepts, rejects=rejects))
        else:
            is_good = candidate.truth == candidate.category
            judged.append(JudgedImage(category=candidate.category, is_good=is_good, accepts=accepts, rejects=rejects))
    return learn_confidence(judged, most, waiting)


def decide(
    state: State, table: ConfidenceTable, rules: Rules, weighted: Mapping[str, float] | None = None, at: str = ""
) -> list[Decision]:
    """Return what can be decided on the images that are voted on; the others are to be voted on again.

    Args:
        state: Where the curation stands.
        table: Of the stage that the images are in.
        rules: When an image is sure.
        weighted: Confidence of images that counts in place of the table's, such as `reliability` gives it.
        at: When, as ISO 8601.
    """
    counted = count_votes(state)
    made = []
    for candidate in state.open_images():
        stage = state.stage(candidate.image)
        votes = counted.get((candidate.image, stage))
        if votes is None:
            continue
        confidence = table.confidence(candidate.category, *votes)
        confidence = (weighted or {}).get(candidate.image, confidence)
        verdict = _verdict(table, candidate.category, votes, confidence, rules, stage)
        if verdict is not None:
            made.append(
                Decision(
                    image=candidate.image,
                    verdict=verdict,
                    stage=stage,
                    accepts=votes[0],
                    rejects=votes[1],
                    confidence=confidence,
                    at=at,
                )
            )
    return made


def _verdict(
    table: ConfidenceTable, category: str, votes: Votes, confidence: float, rules: Rules, stage: int
) -> Literal["keep", "remove", "unsure"] | None:
    if confidence >= rules.threshold:
        return "keep"
    if confidence <= rules.remove_at:
        return "remove"
    # Where not even accepts alone would do within the limit, more votes are asked of nobody.
    if table.accepts_needed(category, rules.threshold, votes, rules.limit) is None or sum(votes) >= rules.limit:
        return "unsure" if stage < LAST_STAGE else "remove"
    return None


def votes_wanted(state: State, table: ConfidenceTable, rules: Rules) -> dict[str, int]:
    """Return how many votes the next round asks for on each image that is open: the fewest that may make it sure.

    An image of a category that the table cannot make sure gets one at a time.
    """
    counted = count_votes(state)
    wanted = {}
    for candidate in state.open_images():
        votes = counted.get((candidate.image, state.stage(candidate.image)), (0, 0))
        needed = table.accepts_needed(candidate.category, rules.threshold, votes, rules.limit)
        wanted[candidate.image] = min(max(needed or 1, 1), max(rules.limit - sum(votes), 1))
    return wanted


def truth_votes_wanted(state: State, votes: int, stage: int = 1) -> dict[str, int]:
    """Return how many votes each image of known truth lacks to so many in a stage.

    All get as many, whatever was said of them: a table of images that were voted on until they were sure would be
    surer than it may be.
    """
    counted = count_votes(state)
    lacking = {
        image: votes - sum(counted.get((image, stage), (0, 0)))
        for image, candidate in state.candidates.items()
        if candidate.truth is not None
    }
    return {image: count for image, count in lacking.items() if count > 0}


def second_stage(state: State, pairs: Iterable[Confusion], at: str = "") -> list[Decision]:
    """Return what becomes of the images that are unsure after the first stage.

    Those go to the second stage that were collected for a category of an ambiguous pair and whose rejecting votes name
    the other one most often; the rest is removed.
    """
    ambiguous = {frozenset((pair.first, pair.second)) for pair in pairs}
    said: dict[str, Counter[str]] = defaultdict(Counter)
    for (image, _, stage), vote in state.votes.items():
        if stage == 1 and vote.answer is not None and vote.answer != state.candidates[image].category:
            said[image][vote.answer] += 1
    made = []
    for image in state.images("unsure"):
        pair = frozenset((state.candidates[image].category, *(name for name, _ in said[image].most_common(1))))
        last = state.decisions[image]
        made.append(
            Decision(
                image=image,
                verdict="second stage" if pair in ambiguous else "remove",
                stage=1,
                accepts=last.accepts,
                rejects=last.rejects,
                confidence=last.confidence,
                at=at,
            )
        )
    return made
