"""A curation from start to export by simulated annotators, and one whose rounds and server are killed meanwhile."""

from argparse import Namespace

import pytest

from tests.benchmarks.curation_annotators import curate
from tests.benchmarks.curation_kills import kill_rounds
from tests.curation.label_studio_server import LabelStudioServer

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]


def test_what_is_kept_is_what_the_servers_votes_say(any_label_studio: LabelStudioServer) -> None:
    numbers = Namespace(candidates=5, known=4, people=5, error=0.1, limit=3, seed=3)
    found = curate(any_label_studio, any_label_studio.documents / "people", numbers)
    assert found.disagreeing == 0
    assert found.candidates == 20
    assert 0 < found.kept <= 20
    assert found.votes >= 16 * 3 + 20 * 2
    assert found.off < 0.2, "of images that tell little, a table that is not upside down"


def test_kills_lose_no_vote_and_count_none_twice(label_studio: LabelStudioServer) -> None:
    found = kill_rounds(
        label_studio, label_studio.documents / "kills", kills=5, seed=1, candidates=8, known=3, pause=0.5
    )
    assert found.faults == []
    assert found.struck.total() == 5
    assert 0 < len(found.acknowledged) <= found.votes
