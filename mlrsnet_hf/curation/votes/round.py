"""`mlrsnet curate round`: reads the votes, decides what they decide, and asks for those that are lacking."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace

from mlrsnet_hf.curation.config import RoundConfig, Rules
from mlrsnet_hf.curation.label_studio.server import connect
from mlrsnet_hf.curation.table_file import write_table
from mlrsnet_hf.curation.votes.agreement import Confusion, ambiguous_pairs, confusions
from mlrsnet_hf.curation.votes.boundaries import ask_for_boundaries, read_boundaries
from mlrsnet_hf.curation.votes.confidence import ConfidenceTable
from mlrsnet_hf.curation.votes.event_log import Boundary, Claim, EventLog, RoundOpened, Vote, open_log
from mlrsnet_hf.curation.votes.folder import BOUNDARIES, SETTINGS, TABLE, Curation
from mlrsnet_hf.curation.votes.projects import Projects, now
from mlrsnet_hf.curation.votes.reliability import Ballot, weighted_confidence
from mlrsnet_hf.curation.votes.rounds import (
    LAST_STAGE,
    State,
    decide,
    learn_table,
    pairs_in_question,
    replay,
    second_stage,
    truth_votes_wanted,
    votes_wanted,
)
from mlrsnet_hf.curation.votes.second_stage import truth_of_second_stage
from mlrsnet_hf.escaping import on_one_line
from mlrsnet_hf.files import kept_if_stopped

_KEPT = "No vote is lost: give the same command again."
"""Said where it was stopped."""


def next_round(config: RoundConfig) -> str:
    """Read the votes of the open round and, when it has all of them or is to end, decide and open the next.

    It can be killed at any moment and run again: what the server has acknowledged is read again, what the log has is
    not counted twice, and a project that is not whole is filled.

    Returns:
        What came of it, and what is to do next.

    Raises:
        MLRSNetError: The folder is no curation, another round of it runs, the server cannot be reached, nobody has
            voted on the images of known truth, or a boundary cannot be read.
    """
    curation = Curation.open(config.folder)
    with kept_if_stopped(lambda: _KEPT), open_log(curation.log) as log:
        projects = Projects(curation, connect())
        read = projects.read_votes(replay(log.events))
        log.append(read)
        state = replay(log.events)
        if agreed := _agreed(curation, state, state.boundaries):  # people may word a boundary better while they vote
            log.append(agreed)
            state = replay(log.events)
        told = [f"{sum(isinstance(event, Vote) for event in read):,} votes are new, {len(state.votes):,} in all"]
        if state.round is None:
            return "\n".join([*told, open_first_round(curation, log, projects)])
        # A round that was closed has decided; what it never got is asked of nobody when nothing is open any more.
        # One without a vote decides nothing: a kill may have come before the server was asked for it.
        has_votes = any(stage == state.round.stage for _, _, stage in state.votes)
        if state.lacking and not (config.close and has_votes) and (state.open_claims() or not state.decisions):
            return "\n".join([*told, _ask(curation, state, projects)])
        if state.lacking and config.close:
            curation, before = _lower_limit(curation, state), curation
            if curation is not before:
                told.append(
                    f"all {curation.rules().limit} people who vote have: that many votes are the limit of an image "
                    f"from now on ({curation.root / SETTINGS})"
                )
        return "\n".join([*told, *_decide(curation, config, log, projects)])


def open_first_round(curation: Curation, log: EventLog, projects: Projects) -> str:
    """Ask for the first votes on all images, and for all votes on those of known truth; return where to vote."""
    rules = curation.rules()
    state = replay(log.events)
    known = truth_votes_wanted(state, rules.limit)
    wanted = {image: known.get(image, rules.first_votes) for image in state.claims}
    return _open(curation, log, projects, wanted, stage=1)


def _open(curation: Curation, log: EventLog, projects: Projects, wanted: Mapping[str, int], stage: int) -> str:
    state = replay(log.events)
    number = 1 if state.round is None else state.round.round + 1
    # The log knows of the round before the server does: after a kill in between, the server is asked again.
    log.append([RoundOpened(round=number, stage=stage, votes=wanted, at=now())])
    return _ask(curation, replay(log.events), projects)


def _ask(curation: Curation, state: State, projects: Projects) -> str:
    """Have the server ask for what the open round lacks; return where to vote."""
    assert state.round is not None, "a round is open"
    address = projects.server.project_url(projects.send_round(state))
    lacking, asked = sum(state.lacking.values()), sum(state.round.votes.values())
    stage = " (second stage)" if state.round.stage == LAST_STAGE else ""
    told = [
        f"round {state.round.round}{stage} lacks {lacking:,} of {asked:,} votes, on {len(state.lacking):,} images",
        f"vote at {address}, then run mlrsnet curate round {curation.root} again; with --close it decides by the votes "
        "that there are",
    ]
    people, done = _voters(state)
    if done:
        told.append(
            f"all {people} people who vote have voted on {done:,} of these images: invite more, or give --close when "
            "they have on all of these, and images get the votes of that many people at most"
        )
    return "\n".join(told)


def _voters(state: State) -> tuple[int, int]:
    """Return how many people vote in the stage of the open round, and on how many images that lack votes all have.

    Whoever has given less than a tenth of the votes that the busiest have has only had a look.
    """
    assert state.round is not None, "a round is open"
    voted: dict[str, set[str]] = defaultdict(set)
    given: Counter[str] = Counter()
    for image, annotator, of in state.votes:
        if of == state.round.stage:
            voted[image].add(annotator)
            given[annotator] += 1
    people = {annotator for annotator, votes in given.items() if 10 * votes >= max(given.values())}
    return len(people), sum(people <= voted[image] for image in state.lacking) if people else 0


def _lower_limit(curation: Curation, state: State) -> Curation:
    """Return the curation with a limit of as many votes as there are people who vote, where none of these is left."""
    people, done = _voters(state)
    rules = curation.rules()
    if done < len(state.lacking) or not 0 < people < rules.limit:
        return curation
    lower = replace(rules, limit=people, first_votes=min(rules.first_votes, people))
    curation = replace(curation, info=replace(curation.info, rules=asdict(lower)))
    curation.write(curation.root)
    return curation


def _decide(curation: Curation, config: RoundConfig, log: EventLog, projects: Projects) -> list[str]:
    """Decide by the votes that there are, then open the next round, of the second stage if all else is decided."""
    state = replay(log.events)
    assert state.round is not None, "a round is open"
    rules, last = curation.rules(), state.round.stage
    table = learn_table(state, rules, last)
    _write_table(curation, table)
    log.append(decide(state, table, rules, _weighted(state, last) if config.weighted else None, now()))
    state = replay(log.events)
    told = [_tally(state)]
    if not config.weighted and (never := _never_sure(state, table, rules)):
        named = ", ".join(map(on_one_line, never[:5])) + (f" and {len(never) - 5} more" if len(never) > 5 else "")
        told.append(f"no {rules.limit} accepts make an image of {named} sure: see at_least in {curation.root / TABLE}")
    if not state.open_claims() and state.decided("unsure"):
        told += _begin_second_stage(curation, config, log)
        state = replay(log.events)
        if state.decided("unsure"):
            return told
    if not state.open_claims():
        return [*told, f"all is decided; write the set with mlrsnet curate export {curation.root}"]
    stage = state.open_stage()  # not the round's: a kill may have come before the second stage had one
    known = truth_votes_wanted(state, rules.limit, stage)
    if stage == LAST_STAGE:
        as_far = set(truth_of_second_stage(state, learn_table(state, rules), rules, _pairs(curation, state)))
        known = {image: votes for image, votes in known.items() if image in as_far}
    if stage == last:
        wanted = votes_wanted(state, table, rules)
    else:  # nothing is known of its votes yet
        wanted = {candidate.image: rules.first_votes for candidate in state.open_claims()}
    return [*told, _open(curation, log, projects, wanted | known, stage)]


def _never_sure(state: State, table: ConfidenceTable, rules: Rules) -> list[str]:
    """Return the categories of candidates that no number of accepts within the limit can keep."""
    categories = sorted({one.category for one in state.candidates.values() if one.truth is None})
    return [name for name in categories if table.accepts_needed(name, rules.threshold, limit=rules.limit) is None]


def _begin_second_stage(curation: Curation, config: RoundConfig, log: EventLog) -> list[str]:
    """Decide which of the images that are unsure are voted on again; none is while a boundary has to be written."""
    state, rules = replay(log.events), curation.rules()
    pairs = _pairs(curation, state) if config.second_stage else []
    told = []
    if pairs:
        as_far = truth_of_second_stage(state, learn_table(state, rules), rules, pairs)
        kinds = {claim[1] in (state.candidates[claim].truth or ()) for image in as_far for claim in state.claims[image]}
        if len(kinds) < 2:
            told = [
                f"there is no second stage: of the images of known truth {len(as_far):,} came as far, not both good "
                "and bad ones; some thirty of each category would do"
            ]
            pairs = []
    if missing := ask_for_boundaries(curation.root / BOUNDARIES, curation.info.categories, pairs):
        return _boundaries_wanted(curation, missing)
    log.append(_agreed(curation, state, pairs))
    log.append(second_stage(state, pairs, now()))
    return [*told, _tally(replay(log.events))]


def _pairs(curation: Curation, state: State) -> list[Confusion]:
    """Return the pairs of categories that votes are divided about, of which candidates are unsure; labels have none."""
    if curation.task == "labels":
        return []
    known = set(curation.info.categories)
    divided = ambiguous_pairs(confusions(state.answers(1)))
    return pairs_in_question(state, (pair for pair in divided if {pair.first, pair.second} <= known))


def _boundaries_wanted(curation: Curation, missing: list[Confusion]) -> list[str]:
    named = ", ".join(on_one_line(f"{pair.first} and {pair.second}") for pair in missing[:5])
    more = f", and {len(missing) - 5} more pairs" if len(missing) > 5 else ""
    return [
        f"images are unsure because votes are divided about {named}{more}",
        f"agree on what tells them apart, write it into {curation.root / BOUNDARIES}, and run this again; or with "
        "--no-second-stage to remove those images",
    ]


def _agreed(curation: Curation, state: State, pairs: Iterable[Confusion | Boundary]) -> list[Boundary]:
    """Return what was agreed on about pairs, as events; what the log says already is left out."""
    said = {frozenset((one.first, one.second)): one.text for one in state.boundaries}
    named = {frozenset((one.first, one.second)): (one.first, one.second) for one in pairs}
    texts = read_boundaries(curation.root / BOUNDARIES, curation.info.categories) if named else {}
    return [
        Boundary(first=first, second=second, text=texts[pair], at=now())
        for pair, (first, second) in named.items()
        if pair in texts and texts[pair] != said.get(pair)
    ]


def _weighted(state: State, stage: int) -> Mapping[Claim, float]:
    """Return the confidence of claims by the votes of a stage, annotators weighted."""
    ballots = state.ballots(stage)
    truth = {one.claim: one.category in one.truth for one in state.candidates.values() if one.truth is not None}
    return weighted_confidence((Ballot(one.claim, by, accepted) for one, by, accepted in ballots), truth).claims


def _write_table(curation: Curation, table: ConfidenceTable) -> None:
    rows = [
        (category, *votes, *(of(category, *votes) for of in (table.confidence, table.at_least, table.at_most)))
        for category, cells in table.categories.items()
        for votes in sorted(cells, key=lambda votes: (sum(votes), -votes[0]))
    ]
    header = ("category", "accepts", "rejects", "confidence", "at_least", "at_most")
    write_table(curation.root / TABLE, dict(zip(header, map(list, zip(*rows, strict=True)), strict=True)))


def _tally(state: State) -> str:
    kept, removed, unsure = (len(state.decided(verdict)) for verdict in ("keep", "remove", "unsure"))
    return f"kept {kept:,}, removed {removed:,}, unsure {unsure:,}, open {len(state.open_claims()):,}"
