"""The log of events: what is written is read again, what is torn does not count, what is wrong is named."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrsnet_hf.curation.votes.event_log import (
    Boundary,
    Candidate,
    Decision,
    Event,
    RoundOpened,
    Vote,
    open_log,
    read_log,
)
from mlrsnet_hf.errors import ConfigurationError

EVENTS: list[Event] = [
    Candidate(image="a<b>.jpg", category="beach"),
    Candidate(image="gold", category="beach", truth=("desert", "lake")),
    RoundOpened(round=1, stage=1, votes={"a<b>.jpg": 2, "gold": 2}),
    Vote(
        stage=1,
        image="a<b>.jpg",
        annotator="Ann\n",
        answers=("beach",),
        annotation="7",
        seconds=2.5,
        at="2026-01-01T00:00:00Z",
    ),
    Vote(stage=1, image="gold", annotator="Ann\n", answers=()),
    Boundary(first="beach", second="desert", text="Sand beside water is beach."),
    Decision(image="a<b>.jpg", category="beach", verdict="keep", stage=1, accepts=1, rejects=0, confidence=0.98),
]
names = st.text(max_size=30)
several = st.lists(names, max_size=3).map(tuple)
events = st.one_of(
    st.builds(Candidate, image=names, category=names, truth=st.none() | several),
    st.builds(Vote, stage=st.integers(1, 9), image=names, annotator=names, answers=several, at=names),
    st.builds(
        Decision,
        image=names,
        category=names,
        verdict=st.sampled_from(["keep", "remove", "unsure", "second stage"]),
        stage=st.integers(1, 2),
        accepts=st.integers(0, 9),
        rejects=st.integers(0, 9),
        confidence=st.floats(0, 1),
    ),
)


def test_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    assert read_log(path) == []
    with open_log(path) as log:
        log.append(EVENTS[:3])
        log.append(EVENTS[3:])
        assert log.events == EVENTS
    assert read_log(path) == EVENTS
    with open_log(path) as log:
        assert log.events == EVENTS


@given(st.lists(events, max_size=5))
def test_any_names(tmp_path_factory: pytest.TempPathFactory, drawn: list[Event]) -> None:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    with open_log(path) as log:
        log.append(drawn)
    assert read_log(path) == drawn


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_torn_line_does_not_count_and_goes(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "log.jsonl"
    with open_log(path) as log:
        log.append(EVENTS)
    path.write_bytes(path.read_bytes()[:-cut])
    assert read_log(path) == EVENTS[:-1]
    with open_log(path) as log:
        log.append(EVENTS[-1:])
    assert read_log(path) == EVENTS


def test_one_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with open_log(path), pytest.raises(ConfigurationError, match="another process"), open_log(path):
        pass


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('{"event": "vot"}', "vot"),
        ('{"event": "vote", "stage": 1, "image": "a"}', "annotator"),
        ('{"event": "vote", "stage": 0, "image": "a", "annotator": "b", "answers": []}', "stage"),
        ('{"event": "candidate", "image": "a", "category": "b", "more": 1}', "more"),
        ("[]", "object"),
        ("{", "cannot be read"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, named: str) -> None:
    path = tmp_path / "log.jsonl"
    with open_log(path) as log:
        log.append(EVENTS[:1])
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ConfigurationError, match="line 2") as caught:
        read_log(path)
    assert named in str(caught.value)


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    code = (
        "import sys, pathlib\n"
        "from mlrsnet_hf.curation.votes.event_log import Candidate, open_log\n"
        "with open_log(pathlib.Path(sys.argv[1])) as log:\n"
        "    for i in range(10**6):\n"
        "        log.append([Candidate(image=str(i), category='c' * 500)])\n"
        "        print(i, flush=True)\n"
    )
    for _ in range(3):
        path.unlink(missing_ok=True)
        process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(20):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0].splitlines()
        acknowledged = int(rest[-1]) if rest and rest[-1].isdecimal() else acknowledged
        with open_log(path) as log:  # its lock died with it
            assert len(log.events) >= acknowledged + 1
            assert [event.image for event in log.events if isinstance(event, Candidate)] == [
                str(i) for i in range(len(log.events))
            ]
