"""`mlrsnet curate status`: how far a curation is, how long it takes, and how far its annotators can be relied on."""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from mlrsnet_hf.benchmark.status import duration
from mlrsnet_hf.curation.config import StatusConfig
from mlrsnet_hf.curation.label_studio.server import connect
from mlrsnet_hf.curation.votes.agreement import (
    Answer,
    Person,
    agreement,
    ambiguous_pairs,
    confusions,
    people,
)
from mlrsnet_hf.curation.votes.event_log import Claim, Vote, read_log
from mlrsnet_hf.curation.votes.folder import Curation
from mlrsnet_hf.curation.votes.projects import Projects
from mlrsnet_hf.curation.votes.rounds import LAST_STAGE, State, learn_table, replay
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.reports.text_table import aligned
from mlrsnet_hf.runtime.logs import get_logger

_LONGEST_PAUSE = timedelta(minutes=30)
"""Between two votes of a team that is at work."""
_SHOWN = 10
"""Pairs of categories that are named."""
YES, NO = "shown", "not shown"

logger = get_logger(__name__)


def curation_status(config: StatusConfig) -> str:
    """Return where a curation stands, by its log and by the votes that the server has besides; nothing is written.

    Raises:
        ConfigurationError: The folder is no curation, or its log is damaged.
    """
    curation = Curation.open(config.folder)
    events = read_log(curation.log)
    state = replay(events)
    try:
        state = replay([*events, *Projects(curation, connect()).read_votes(state, compare=False)])
    except MLRSNetError as error:
        logger.warning("%s: what follows is what the log knows", error.found)
    return "\n".join(_lines(curation, state))


def _lines(curation: Curation, state: State) -> Iterator[str]:
    images = len(state.claims)
    known = len({image for (image, _), one in state.candidates.items() if one.truth is not None})
    yield f"{curation.root}: {images:,} images, {known:,} of them of known truth"
    yield from _progress(curation, state)
    of_labels = label_answers(state) if curation.task == "labels" else {}
    answers = [answer for own in of_labels.values() for answer in own] if of_labels else state.answers()
    yield ""
    yield from _categories(curation, state, answers, of_labels)
    yield ""
    yield from _people(state, answers)
    if curation.task == "scene":
        yield from _confusions(state)


def label_answers(state: State) -> dict[str, list[Answer]]:
    """Return what was said of each label of each image, by label, so that agreement is told as that on scenes is."""
    found: dict[tuple[Claim, str], Answer] = {}
    for (image, annotator, _), vote in sorted(state.votes.items(), key=lambda pair: pair[0][2]):
        for claim in state.claims[image]:
            said = YES if claim[1] in vote.answers else NO
            found[claim, annotator] = Answer(f"{claim[1]} on {image}", annotator, said)
    by_label: dict[str, list[Answer]] = defaultdict(list)
    for ((_, label), _), answer in found.items():
        by_label[label].append(answer)
    return by_label


def _progress(curation: Curation, state: State) -> Iterator[str]:
    if state.round is None:
        yield "no round is open"
        return
    is_decided = bool(state.decisions) and not state.open_claims()
    # Of images that were decided on nobody is asked for more; of those of known truth neither, once all else is.
    asked, lacking = sum(state.round.votes.values()), 0 if is_decided else sum(state.lacking.values())
    stage = ", second stage" if state.round.stage == LAST_STAGE else ""
    yield f"round {state.round.round}{stage}: {state.given:,} of {asked:,} votes are there"
    if not lacking:
        if not is_decided or state.decided("unsure"):
            yield f"go on with mlrsnet curate round {curation.root}"
        else:
            yield f"all is decided; write the set with mlrsnet curate export {curation.root}"
    seconds = [vote.seconds for vote in state.votes.values() if vote.seconds is not None and vote.seconds > 0]
    if seconds and lacking:
        each = statistics.median(seconds)
        line = f"time to finish the round: {duration(each * lacking)} of work, at {each:.1f} s a vote"
        pace = _pace(list(state.votes.values()))
        yield line + (f"; {duration(lacking / pace)} at the team's pace" if pace else "")


def _pace(votes: Sequence[Vote]) -> float | None:
    """Return the votes a second while the team was at work last; None where nobody can tell."""
    times = sorted(vote.moment for vote in votes if vote.moment is not None)
    first = len(times) - 1
    while first > 0 and times[first] - times[first - 1] <= _LONGEST_PAUSE:
        first -= 1
    at_work = times[max(first, 0) :]
    span = (at_work[-1] - at_work[0]).total_seconds() if at_work else 0.0
    return (len(at_work) - 1) / span if span > 0 else None


def _categories(
    curation: Curation, state: State, answers: Sequence[Answer], of_labels: Mapping[str, Sequence[Answer]]
) -> Iterator[str]:
    """Yield a row for each category: what became of its candidates, how much annotators agree, which votes it needs."""
    claims = Counter(one.category for one in state.candidates.values() if one.truth is None)
    verdicts: dict[str, Counter[str]] = defaultdict(Counter)
    for one in state.candidates.values():
        if one.truth is None:
            decision = state.decisions.get(one.claim)
            verdict = "open" if decision is None else decision.verdict
            verdicts[one.category]["open" if verdict == "second stage" else verdict] += 1
    overall, alphas = _alphas(answers, of_labels)
    needed = _needed(curation, state)
    rows = [["category", "candidates", "kept", "removed", "unsure", "open", "alpha", "accepts needed"]]
    for category in sorted(claims):
        own = verdicts[category]
        counts = (own["keep"], own["remove"], own["unsure"], own["open"])
        alpha = _share(alphas.get(category, math.nan))
        rows.append([category, *(f"{one:,}" for one in (claims[category], *counts)), alpha, needed.get(category, "-")])
    yield f"agreement of all annotators (Krippendorff's alpha): {_share(overall)}"
    yield from aligned(rows, "<>>>>>>>")


def _alphas(answers: Sequence[Answer], of_labels: Mapping[str, Sequence[Answer]]) -> tuple[float, Mapping[str, float]]:
    if not answers:
        return math.nan, {}
    found = agreement(answers)
    if not of_labels:
        return found.overall, found.categories
    return found.overall, {label: agreement(own).overall for label, own in of_labels.items()}


def _needed(curation: Curation, state: State) -> dict[str, str]:
    """Return how many accepts without a reject make an image of each category sure."""
    rules = curation.rules()
    stage = 1 if state.round is None else state.round.stage
    try:
        table = learn_table(state, rules, stage)
    except ConfigurationError:  # nobody has voted on images of known truth yet
        return {}
    found = {name: table.accepts_needed(name, rules.threshold, limit=rules.limit) for name in table.categories}
    return {name: f"more than {rules.limit}" if votes is None else str(votes) for name, votes in found.items()}


def _people(state: State, answers: Sequence[Answer]) -> Iterator[str]:
    found = people(answers, state.truth())
    rows = [["annotator", "votes", "as truth or majority", "by chance", ""]]
    given = Counter(annotator for _, annotator, _ in state.votes)
    rows += [
        [name, f"{given[name]:,}", _share(person.agreed), _share(person.by_chance), _said_of(person)]
        for name, person in found.items()
    ]
    yield from aligned(rows, "<>>><") if len(rows) > 1 else ["nobody has voted yet"]


def _said_of(person: Person) -> str:
    takes = [] if person.verdict == "says nothing" else person.takes
    return "; ".join([person.verdict, *(f"takes {one} for {other}" for one, other in takes)])


def _confusions(state: State) -> Iterator[str]:
    pairs = confusions(state.answers(1))
    ambiguous = set(ambiguous_pairs(pairs))
    if pairs:
        yield ""
        rows = [["votes are divided about", "", "images", "share", ""]]
        rows += [
            [one.first, one.second, str(one.images), _share(one.share), "ambiguous" if one in ambiguous else ""]
            for one in pairs[:_SHOWN]
        ]
        yield from aligned(rows, "<<>><")


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"
