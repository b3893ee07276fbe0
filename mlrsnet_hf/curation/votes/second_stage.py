"""Which images of known truth teach the second stage's table: those that would have come as far as the candidates did.

The candidates of the second stage are chosen: the first stage was not sure of them. A table of images of all kinds
would take them for as clear as any, and keep too many, unless the boundary that was agreed on makes all clear.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from mlrsnet_hf.curation.config import Rules
from mlrsnet_hf.curation.votes.agreement import Confusion
from mlrsnet_hf.curation.votes.confidence import ConfidenceTable
from mlrsnet_hf.curation.votes.event_log import Event, Vote
from mlrsnet_hf.curation.votes.rounds import State, decide, replay, second_stage


def truth_of_second_stage(state: State, table: ConfidenceTable, rules: Rules, pairs: Iterable[Confusion]) -> list[str]:
    """Return the images of known truth that go to the second stage, were their truth not known.

    Their votes of the first stage are gone through one by one, as those of candidates came.

    Args:
        state: After the first stage.
        table: Of the first stage.
        rules: By which the candidates were decided on.
        pairs: The ambiguous ones that candidates lie between: of others nothing is to be learned.
    """
    log: list[Event] = [
        replace(candidate, truth=None) for candidate in state.candidates.values() if candidate.truth is not None
    ]
    known = {candidate.image for candidate in state.candidates.values() if candidate.truth is not None}
    votes: dict[str, list[Vote]] = defaultdict(list)
    for vote in state.votes.values():
        if vote.stage == 1 and vote.image in known:
            votes[vote.image].append(vote)
    for number in range(rules.limit):
        log += [votes[image][number] for image in known if number < len(votes[image])]
        if number + 1 >= rules.first_votes:
            log += decide(replay(log), table, rules)
    log += second_stage(replay(log), pairs)
    return sorted({image for image, _ in replay(log).decided("second stage")})
