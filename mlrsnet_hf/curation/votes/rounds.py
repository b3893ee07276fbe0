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
from dataclasses import dataclass, replace

from mlrsnet_hf.curation.config import Rules
from mlrsnet_hf.curation.votes.agreement import Answer, Confusion
from mlrsnet_hf.curation.votes.confidence import ConfidenceTable, JudgedImage, VotedImage, Votes, learn_confidence
from mlrsnet_hf.curation.votes.event_log import (
    Boundary,
    Candidate,
    Claim,
    Decision,
    Event,
    Repeated,
    RoundOpened,
    Verdict,
    Vote,
)

LAST_STAGE = 2


VoteKey = tuple[str, str, int]
"""Image, annotator and stage: one vote each."""
NO_CATEGORY = "none of the categories"
"""What an answer of none is called in tables."""


@dataclass(frozen=True, slots=True)
class State:
    """Where a curation stands."""

    candidates: Mapping[Claim, Candidate]
    claims: Mapping[str, Sequence[Claim]]
    """By image: one category, or all labels that it may show."""
    votes: Mapping[VoteKey, Vote]
    """Those that count."""
    givers: Mapping[str, str]
    """Who gave each annotation that was read, those too whose place another one of the same person has taken."""
    round: RoundOpened | None
    """That which is open, the last one; None before the first."""
    lacking: Mapping[str, int]
    """Votes that the open round lacks, by image; images that have all are left out, and those that are decided on."""
    given: int
    """Votes that the open round has got, of those that it asks for."""
    boundaries: Sequence[Boundary]
    decisions: Mapping[Claim, Decision]
    """The last one of each claim that has any."""

    def stage(self, claim: Claim) -> int:
        """Return the stage in which a claim is voted on."""
        decision = self.decisions.get(claim)
        in_second = decision is not None and (decision.verdict == "second stage" or decision.stage == LAST_STAGE)
        return LAST_STAGE if in_second else 1

    def open_stage(self) -> int:
        """Return the stage that the claims which are open are in: the second begins when the first has left none."""
        return max((self.stage(candidate.claim) for candidate in self.open_claims()), default=1)

    def open_claims(self) -> list[Candidate]:
        """Return the claims of unknown truth that are voted on still."""
        return [
            candidate
            for claim, candidate in self.candidates.items()
            if candidate.truth is None
            and (claim not in self.decisions or self.decisions[claim].verdict == "second stage")
        ]

    def decided(self, verdict: Verdict) -> list[Claim]:
        """Return the claims whose last decision is this."""
        return [claim for claim, decision in self.decisions.items() if decision.verdict == verdict]

    def answers(self, stage: int | None = None) -> list[Answer]:
        """Return what was said where an image has one category; an annotator has one answer to an image, the last."""
        found: dict[tuple[str, str], Answer] = {}
        for (image, annotator, of), vote in sorted(self.votes.items(), key=lambda pair: pair[0][2]):
            if stage in (None, of):
                found[image, annotator] = Answer(image, annotator, vote.answers[0] if vote.answers else NO_CATEGORY)
        return list(found.values())

    def truth(self) -> dict[str, str]:
        """Return the category of each image of known truth; nothing where images may show several labels."""
        known = {image: one.truth for (image, _), one in self.candidates.items() if one.truth is not None}
        if any(len(of) > 1 for of in known.values()):
            return {}
        return {image: of[0] if of else NO_CATEGORY for image, of in known.items()}

    def ballots(self, stage: int) -> list[tuple[Candidate, str, bool]]:
        """Return each claim that was judged in a stage, by whom, and whether it was accepted."""
        return [
            (self.candidates[claim], annotator, claim[1] in vote.answers)
            for (image, annotator, of), vote in self.votes.items()
            for claim in self.claims[image]
            if of == stage
        ]


def replay(events: Iterable[Event]) -> State:
    """Return the state that a log leads to.

    The same person has one vote on an image in each stage, the last one given: whoever changes their mind, or answers
    twice, is not counted twice. Votes on images that are no candidates count for nothing.
    """
    candidates: dict[Claim, Candidate] = {}
    claims: dict[str, list[Claim]] = defaultdict(list)
    votes: dict[VoteKey, Vote] = {}
    givers: dict[str, str] = {}
    given: Counter[tuple[str, int]] = Counter()
    opened: RoundOpened | None = None
    wanted: dict[str, int] = {}
    boundaries: list[Boundary] = []
    decisions: dict[Claim, Decision] = {}
    for event in events:
        match event:
            case Candidate():
                if event.claim not in candidates:
                    claims[event.image].append(event.claim)
                candidates[event.claim] = event
            case RoundOpened():
                opened = event
                wanted = {image: given[image, event.stage] + votes for image, votes in event.votes.items()}
            case Vote():
                key = event.image, event.annotator, event.stage
                if event.image in claims:
                    given[event.image, event.stage] += key not in votes
                    votes[key] = event
                    if event.annotation:
                        givers[event.annotation] = event.annotator
            case Repeated():
                givers[event.annotation] = event.annotator
            case Boundary():
                boundaries.append(event)
            case Decision():
                decisions[event.claim] = event
    # A round that was closed lacks votes on images that were decided on all the same; those of known truth never are.
    undecided = {image for image, claim in candidates if (image, claim) not in decisions} | {
        image for (image, _), decision in decisions.items() if decision.verdict == "second stage"
    }
    absent: dict[str, int] = {}
    if opened is not None:
        absent = {image: total - given[image, opened.stage] for image, total in wanted.items()}
        absent = {image: number for image, number in absent.items() if number > 0}
    got = 0 if opened is None else sum(opened.votes.values()) - sum(absent.values())
    lacking = {image: number for image, number in absent.items() if image in undecided}
    return State(candidates, dict(claims), votes, givers, opened, lacking, got, boundaries, decisions)


def new_votes(state: State, read: Iterable[Vote]) -> list[Vote | Repeated]:
    """Return what the log does not know yet of the votes that a server has.

    However often a server is read, and whether or not it has lost what the log has, nothing is counted twice: a vote
    that is known is left out, one whose answers have changed since is told again. A vote whose annotator is not known
    any more is that of whoever gave it when it was read before.
    """
    told: list[Vote] = []
    for vote in sorted(read, key=lambda vote: vote.at):
        if vote.image in state.claims:
            giver = state.givers.get(vote.annotation, vote.annotator)
            told.append(vote if giver == vote.annotator else replace(vote, annotator=giver))
    last = {(vote.image, vote.annotator, vote.stage): vote for vote in told}
    news = [vote for key, vote in last.items() if _is_news(vote, state.votes.get(key))]
    known = state.givers.keys() | {vote.annotation for vote in news} | {""}
    repeated = [
        Repeated(annotation=vote.annotation, annotator=vote.annotator) for vote in told if vote.annotation not in known
    ]
    return [*news, *repeated]


def _is_news(vote: Vote, known: Vote | None) -> bool:
    # A database restored from yesterday has answers that were changed since: these are older than what the log knows.
    return known is None or (vote.answers != known.answers and vote.at >= known.at)


def count_votes(state: State) -> dict[tuple[Claim, int], Votes]:
    """Return the accepts and rejects of each claim and stage that has any."""
    counted: dict[tuple[Claim, int], Votes] = {}
    for (image, _, stage), vote in state.votes.items():
        for claim in state.claims[image]:
            accepts, rejects = counted.get((claim, stage), (0, 0))
            is_accept = claim[1] in vote.answers
            counted[claim, stage] = (accepts + is_accept, rejects + (not is_accept))
    return counted


def learn_table(state: State, rules: Rules, stage: int = 1) -> ConfidenceTable:
    """Return the confidence table that the votes of a stage give: of images of known truth, and of the candidates.

    Raises:
        ConfigurationError: No good image of known truth has votes, or no bad one.
    """
    judged, waiting = [], []
    most = rules.limit
    for (claim, of), (accepts, rejects) in count_votes(state).items():
        if of != stage:
            continue
        candidate = state.candidates[claim]
        most = max(most, accepts + rejects)
        if candidate.truth is None:
            waiting.append(VotedImage(category=candidate.category, accepts=accepts, rejects=rejects))
        else:
            is_good = candidate.category in candidate.truth
            judged.append(JudgedImage(category=candidate.category, is_good=is_good, accepts=accepts, rejects=rejects))
    return learn_confidence(judged, most, waiting)


def decide(
    state: State, table: ConfidenceTable, rules: Rules, weighted: Mapping[Claim, float] | None = None, at: str = ""
) -> list[Decision]:
    """Return what can be decided on the claims that are voted on; the others are to be voted on again.

    An image is kept by what its confidence is at least, and removed before the limit by what it is at most.

    Args:
        state: Where the curation stands.
        table: Of the stage that the images are in.
        rules: When an image is sure.
        weighted: Confidence of claims that counts in place of the table's, such as `reliability` gives it. It knows
            nothing of how far it can be trusted: at least and at most are as far from it as they are in the table, in
            odds, for as many accepts and rejects. What more votes would do it does not know either, so that all are
            asked for.
        at: When, as ISO 8601.
    """
    counted = count_votes(state)
    made = []
    for candidate in state.open_claims():
        stage = state.stage(candidate.claim)
        votes = counted.get((candidate.claim, stage))
        if votes is None:
            continue
        name = candidate.category
        confidence, least, most = (of(name, *votes) for of in (table.confidence, table.at_least, table.at_most))
        is_weighted = weighted is not None and candidate.claim in weighted
        if weighted is not None and is_weighted:
            by_table, confidence = confidence, weighted[candidate.claim]
            least, most = (moved(confidence, by_table, bound) for bound in (least, most))
        verdict: Verdict | None = None
        if least >= rules.threshold:
            verdict = "keep"
        elif most <= rules.remove_at:
            verdict = "remove"
        # Where not even accepts alone would do within the limit, more votes are asked of nobody.
        elif sum(votes) >= rules.limit or (
            not is_weighted and table.accepts_needed(name, rules.threshold, votes, rules.limit) is None
        ):
            verdict = "unsure" if stage < LAST_STAGE else "remove"
        if verdict is not None:
            made.append(_decision(candidate.claim, verdict, stage, votes, confidence, at))
    return made


def moved(probability: float, start: float, end: float) -> float:
    """Return a probability whose odds have changed as much as from `start` to `end`; what is certain stays so."""
    true, false = probability * end * (1 - start), (1 - probability) * (1 - end) * start
    return true / (true + false) if true + false > 0 else probability


def _decision(claim: Claim, verdict: Verdict, stage: int, votes: Votes, confidence: float, at: str) -> Decision:
    image, category = claim
    accepts, rejects = votes
    return Decision(
        image=image,
        category=category,
        verdict=verdict,
        stage=stage,
        accepts=accepts,
        rejects=rejects,
        confidence=confidence,
        at=at,
    )


def votes_wanted(state: State, table: ConfidenceTable, rules: Rules) -> dict[str, int]:
    """Return how many votes the next round asks for on each image that is open: the fewest that may make it sure.

    They do if all are accepts, or all rejects. Of an image that has several open claims that which needs most counts;
    one of a category that the table cannot make sure gets one vote at a time.
    """
    counted = count_votes(state)
    wanted: dict[str, int] = defaultdict(int)
    for candidate in state.open_claims():
        votes = counted.get((candidate.claim, state.stage(candidate.claim)), (0, 0))
        enough = (
            table.accepts_needed(candidate.category, rules.threshold, votes, rules.limit),
            table.rejects_needed(candidate.category, rules.remove_at, votes, rules.limit),
        )
        fewest = max(min((further for further in enough if further is not None), default=1), 1)
        wanted[candidate.image] = max(wanted[candidate.image], min(fewest, max(rules.limit - sum(votes), 1)))
    return dict(wanted)


def truth_votes_wanted(state: State, votes: int, stage: int = 1) -> dict[str, int]:
    """Return how many votes each image of known truth lacks to so many in a stage.

    All get as many, whatever was said of them: a table of images that were voted on until they were sure would be
    surer than it may be.
    """
    given = Counter(image for image, _, of in state.votes if of == stage)
    known = dict.fromkeys(image for (image, _), candidate in state.candidates.items() if candidate.truth is not None)
    return {image: votes - given[image] for image in known if given[image] < votes}


def second_stage(state: State, pairs: Iterable[Confusion], at: str = "") -> list[Decision]:
    """Return what becomes of the images that are unsure after the first stage.

    Those go to the second stage that were collected for a category of an ambiguous pair and whose rejecting votes name
    the other one most often; the rest is removed. Labels of which several stand on one image have no second stage.
    """
    ambiguous = {frozenset((pair.first, pair.second)) for pair in pairs}
    taken = taken_for(state)
    made = []
    for claim in state.decided("unsure"):
        last = state.decisions[claim]
        verdict: Verdict = "second stage" if taken.get(claim) in ambiguous else "remove"
        made.append(_decision(claim, verdict, 1, (last.accepts, last.rejects), last.confidence, at))
    return made


def pairs_in_question(state: State, pairs: Iterable[Confusion]) -> list[Confusion]:
    """Return those of the pairs that candidates lie between which the first stage was not sure of."""
    taken = taken_for(state)
    between = {
        taken.get(claim)
        for claim, decision in state.decisions.items()
        if decision.verdict in ("unsure", "second stage") or decision.stage == LAST_STAGE
    }
    return [pair for pair in pairs if frozenset((pair.first, pair.second)) in between]


def taken_for(state: State) -> dict[Claim, frozenset[str]]:
    """Return the category of each image with that which the rejects of the first stage name most often, if any does."""
    said: dict[Claim, Counter[str]] = defaultdict(Counter)
    for (image, _, stage), vote in state.votes.items():
        if stage == 1:
            for claim in state.claims[image]:
                said[claim].update(answer for answer in vote.answers if answer != claim[1])
    return {claim: frozenset((claim[1], counts.most_common(1)[0][0])) for claim, counts in said.items() if counts}
