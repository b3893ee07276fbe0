"""Wrong labels go to people in Label Studio, and their answers come back as corrections: by hand, and over HTTP."""

import csv
import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mlrsnet_hf.cli import main
from mlrsnet_hf.curation.label_studio.kept_answers import DELETED
from mlrsnet_hf.curation.label_studio.served_images import ROOT_VARIABLE
from mlrsnet_hf.curation.label_studio.tasks import Annotation
from mlrsnet_hf.curation.wrong_labels import corrections
from mlrsnet_hf.curation.wrong_labels import review as reviews
from mlrsnet_hf.curation.wrong_labels.corrections import ABSENT, PRESENT, TIE, WAITS, Answer, Question, verdicts
from mlrsnet_hf.curation.wrong_labels.ranking import LabeledImages
from mlrsnet_hf.curation.wrong_labels.review import Review
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.files import only_writer
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.load import load_data
from tests.curation.label_studio_server import LabelStudioServer, choice
from tests.curation.no_server import NoServer
from tests.curation.wrong_labels.test_ranking import predictions_file

NAMES = ("sea", "<b>cars</b>", "trees & $grass", "sand", "pool")
SCENES = ("beach", "park", "street")


def question(key: str, given: bool = True) -> Question:
    return Question(key=key, image="a", label="sea", given=given, wrong=0.9, reasons=("model 0.10",))


@pytest.mark.parametrize(
    ("said", "votes", "decided"),
    [
        ([True], 1, PRESENT),
        ([False], 1, ABSENT),
        ([None], 1, TIE),
        ([], 1, WAITS),
        ([True, False], 2, TIE),
        ([True, None], 2, PRESENT),
        ([True], 2, WAITS),  # a no would make it a tie
        ([True, True], 3, PRESENT),  # whatever the third says
        ([True, None], 3, WAITS),
        ([False, True, False, None], 3, ABSENT),  # more people than were asked
    ],
)
def test_the_majority_decides(said: list[bool | None], votes: int, decided: str) -> None:
    answers = [Answer(key="k", annotator=f"{i}", says=says, annotation=f"{i}") for i, says in enumerate(said)]
    found = verdicts([question("k")], answers, votes)["k"]
    assert found.decided == decided
    assert (found.yes, found.no, found.cannot_tell) == (said.count(True), said.count(False), said.count(None))


def annotation(number: int, key: str, annotator: str | None, *says: str, changed: str = "2026-01-01") -> Annotation:
    return Annotation(
        id=number,
        key=key,
        annotator=annotator,
        result=choice("answer", *says),
        at="2026-01-01",
        changed=changed,
        seconds=1.0,
    )


def test_answers_are_kept_and_count_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    review = Review(title="x", sources=(), votes=2, imagery="", questions=(question("k"), question("l")))

    def read(*annotations: Annotation) -> dict[tuple[str, str], bool | None]:
        found = reviews._keep_answers(review, tmp_path, annotations)
        assert found == reviews._keep_answers(review, tmp_path, annotations)
        return {(one.key, one.annotator): one.says for one in found}

    first = annotation(1, "k", "eve@x.org", "yes")
    assert read(first) == {("k", "eve@x.org"): True}
    # The server was set back: nothing is lost. What is unknown or unreadable does not count.
    assert read() == {("k", "eve@x.org"): True}
    strange = annotation(2, "other", "eve@x.org", "yes"), annotation(3, "l", "ann@x.org", "yes", "no")
    assert read(first, *strange) == {("k", "eve@x.org"): True}
    assert "1 answers are to nothing" in caplog.text and "annotation 3" in caplog.text
    # Eve thinks again, then is deleted, then her answer is changed once more by somebody.
    changed = annotation(1, "k", "eve@x.org", "no", changed="2026-01-02")
    assert read(changed) == {("k", "eve@x.org"): False}
    assert read(first) == {("k", "eve@x.org"): False}  # a database of before she did
    assert read(annotation(1, "k", None, "cannot tell", changed="2026-01-03")) == {("k", "eve@x.org"): None}
    # Who has answered twice by two annotations and is deleted has one answer.
    twice = [annotation(20 + i, "l", "zoe@x.org", says) for i, says in enumerate(("no", "yes"))]
    assert read(*twice)["l", "zoe@x.org"] is True
    assert [who for key, who in read(*[dataclasses.replace(one, annotator=None) for one in twice]) if key == "l"] == [
        "zoe@x.org"
    ]
    (tmp_path / reviews.ANSWERS).unlink()
    # Two people of whom nothing was read before they were deleted are two.
    gone = [annotation(number, "l", None, "no") for number in (7, 8)]
    found = reviews._keep_answers(review, tmp_path, gone)
    assert [(one.annotator, one.says) for one in found if one.key == "l"] == [(DELETED, False)] * 2


def test_a_review_begins_again_after_a_kill_before_it_was_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    monkeypatch.setattr(reviews, "connect", lambda: None)
    (tmp_path / "review" / reviews.PICTURES).mkdir(parents=True)
    (tmp_path / "review" / corrections.LABELS).touch()
    reviews.refuse_early(tmp_path / "review")
    (tmp_path / "review" / "notes.txt").touch()
    with pytest.raises(ConfigurationError, match="something else"):
        reviews.refuse_early(tmp_path / "review")


def test_labels_of_which_nothing_is_known(tmp_path: Path) -> None:
    """They are empty cells, which training takes as such; the others are corrected."""
    images = LabeledImages(
        ids=["a", "b"],
        label_names=["sea", "sand"],
        labels=np.array([[True, False], [False, True]]),
        unknown=np.array([[False, True], [False, False]]),
    )
    corrections.write_labels(tmp_path, images)
    asked = [question("k")]
    answers = [Answer(key="k", annotator="eve", says=False, annotation="1")]
    assert corrections.write_corrections(tmp_path, asked, verdicts(asked, answers, 1)) == 1
    table = pq.read_table(tmp_path / corrections.CORRECTED).to_pydict()
    assert table == {"id": ["a", "b"], "image": ["a", "b"], "sea": [0, 0], "sand": [None, 1]}


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], NoServer, dict[str, set[str]]]:
    """Return a command that begins a review of 30 images, whose ids are not their names, its server, and the labels."""
    draw = np.random.default_rng(0)
    labels = draw.random((30, 5)) < 0.5
    labels[~labels.any(axis=1), 3] = True  # an empty cell says nothing
    scores = np.where(labels, 0.8, 0.2) + draw.random((30, 5)) * 0.1
    scores[np.arange(12), np.arange(12) % 5] = 1 - scores[np.arange(12), np.arange(12) % 5]
    images = LabeledImages(
        ids=[f"tile {row}" for row in range(30)],
        label_names=NAMES,
        labels=labels,
        scenes=np.arange(30) % 3,
        scores=scores,
    )
    predictions_file(tmp_path / "predictions.parquet", images, names=NAMES)
    (tmp_path / "photos" / "below").mkdir(parents=True)
    for row in range(30):
        Image.new("RGB", (20, 20), (7, 80, row)).save(tmp_path / "photos" / "below" / f"{row}.png")
    rows = [f"tile {row},below/{row}.png,{';'.join(np.array(NAMES)[labels[row]])}" for row in range(30)]
    (tmp_path / "table.csv").write_text("\n".join(["id,image,labels", *rows]) + "\n")
    server = NoServer()
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    monkeypatch.setattr(reviews, "connect", lambda: server)
    command = ["curate", "find-errors", str(tmp_path / "predictions.parquet"), "--dataset", str(tmp_path / "table.csv")]
    command += ["--image-dir", str(tmp_path / "photos"), "--label-separator", ";", "--output", str(tmp_path / "w.csv")]
    command += ["--no-scene-rates", "--least", "1e-9", "--questions", "4", "--review", str(tmp_path / "review")]
    given = {name: {NAMES[i] for i in np.flatnonzero(row)} for name, row in zip(images.ids, labels, strict=True)}
    return command, server, given


Offline = tuple[list[str], NoServer, dict[str, set[str]]]


def test_training_reads_what_was_corrected(offline: Offline, tmp_path: Path) -> None:
    pytest.importorskip("cleanlab")
    command, server, expected = offline
    main(command)
    assert (tmp_path / "w.csv").exists()
    asked = json.loads((tmp_path / "review" / "review.json").read_text())["questions"]
    server.said = [
        annotation(number, one["key"], "eve@x.org", "no" if one["given"] else "yes") for number, one in enumerate(asked)
    ]
    main(["curate", "find-errors", "--review", str(tmp_path / "review")])
    for one in asked:
        expected[one["image"]] ^= {one["label"]}
    corrected = str(tmp_path / "review" / "corrected.parquet")
    data = load_data(DataConfig(dataset=corrected, image_dir=str(tmp_path / "photos")))
    read = {
        name: {data.label_names[label] for label in labels}
        for split in data.splits.values()
        for name, labels in zip(split["id"][:], split["labels"][:], strict=True)
    }
    assert read == expected
    table = pq.read_table(corrected).to_pydict()
    names = dict(zip(table["id"], table["image"], strict=True))
    assert names["tile 3"] == "below/3.png"  # so that the folder may move
    # The labels that were asked about are gone: another table says nothing of them.
    for other in ({"x": [1]}, {"id": ["tile 3"], "labels": [["sea"]]}, {"id": [["a"]], "labels": [1]}):
        pq.write_table(pa.table(other), tmp_path / "review" / "labels.parquet")
        with pytest.raises(SystemExit) as ended:
            main(["curate", "find-errors", "--review", str(tmp_path / "review")])
        assert ended.value.code == 2
    assert pq.read_table(corrected).to_pydict() == table


def test_a_kill_before_the_table_is_written_lets_the_same_command_be_given_again(
    offline: Offline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("cleanlab")
    command, *_ = offline
    for step in ("begin_review", "_write", "go_on"):
        with monkeypatch.context() as killed:
            killed.setattr(f"mlrsnet_hf.curation.wrong_labels.find.{step}", lambda *given: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                main(command)
    main(command)
    assert "4 labels wait for review" in capsys.readouterr().out


def test_images_that_are_no_files_are_called_by_their_ids(offline: Offline, tmp_path: Path) -> None:
    pytest.importorskip("cleanlab")
    command, _, given = offline
    files = [{"bytes": (tmp_path / "photos" / "below" / f"{row}.png").read_bytes()} for row in range(30)]
    columns = {"id": list(given), "image": files, "labels": [sorted(labels) for labels in given.values()]}
    pq.write_table(pa.table(columns), tmp_path / "packed.parquet")
    command[command.index("--dataset") + 1] = str(tmp_path / "packed.parquet")
    at = command.index("--image-dir")
    main(command[:at] + command[at + 4 :])
    table = pq.read_table(tmp_path / "review" / "labels.parquet").to_pydict()
    assert table["image"] == table["id"] == list(given)


class Asked:
    """A folder of pictures, their predictions, and what is asked of them on a server."""

    def __init__(self, label_studio: LabelStudioServer, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = label_studio.documents / name
        (self.root / "pictures").mkdir(parents=True)
        draw = np.random.default_rng(0)
        self.labels = draw.random((30, 5)) < 0.5
        self.ids = [f"{row}.png" for row in range(30)]
        scores = np.where(self.labels, 0.8, 0.2) + draw.random((30, 5)) * 0.1
        for row in range(12):  # of 12 images one label is wrong
            scores[row, row % 5] = 1 - scores[row, row % 5]
        images = LabeledImages(
            ids=self.ids, label_names=NAMES, labels=self.labels, scenes=np.arange(30) % 3, scores=scores
        )
        predictions_file(self.root / "predictions.parquet", images, names=NAMES)
        for name in self.ids:
            Image.new("RGB", (20, 20), (7, 80, 9)).save(self.root / "pictures" / name)
        monkeypatch.setenv(ROOT_VARIABLE, str(label_studio.documents))
        monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
        monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.key)

    def begin(self, *more: str) -> None:
        words = [
            "curate",
            "find-errors",
            str(self.root / "predictions.parquet"),
            "--images",
            str(self.root / "pictures"),
        ]
        words += ["--no-scene-rates", "--least", "1e-9", "--output", str(self.root / "wrong.csv")]
        main([*words, "--review", str(self.root / "review"), *more])

    def go_on(self) -> None:
        main(["curate", "find-errors", "--review", str(self.root / "review")])

    def questions(self) -> dict[str, Mapping[str, Any]]:
        told = json.loads((self.root / "review" / "review.json").read_text())
        return {one["key"]: one for one in told["questions"]}

    def project(self, label_studio: LabelStudioServer) -> int:
        title = json.loads((self.root / "review" / "review.json").read_text())["title"]
        with label_studio.owner_client() as owner:
            found = owner.get("/api/projects", params={"page_size": 1000}).raise_for_status().json()["results"]
        return next(one["id"] for one in found if one["title"] == title)

    def corrections(self) -> dict[tuple[str, str], Mapping[str, str]]:
        with (self.root / "review" / "corrections.csv").open(newline="") as file:
            return {(row["image"], row["label"]): row for row in csv.DictReader(file)}

    def corrected(self) -> dict[str, set[str]]:
        table = pq.read_table(self.root / "review" / "corrected.parquet").to_pydict()
        return {name: set(labels) for name, labels in zip(table["id"], table["labels"], strict=True)}


@pytest.mark.label_studio
def test_answers_come_back_as_corrections(
    label_studio: LabelStudioServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("cleanlab")
    asked = Asked(label_studio, "corrections", monkeypatch)
    (asked.root / "pictures" / "5.png").write_bytes(b"no picture")
    before = (asked.root / "predictions.parquet").read_bytes()
    asked.begin("--votes", "2", "--questions", "10")
    assert "labels wait for review" in capsys.readouterr().out
    questions = asked.questions()
    assert 8 <= len(questions) <= 10 and not any(one["image"] == "5.png" for one in questions.values())
    project = asked.project(label_studio)
    with label_studio.owner_client() as owner:
        tasks = owner.get(f"/api/projects/{project}/export?exportType=JSON&download_all_tasks=true").json()
        assert {task["data"]["key"] for task in tasks} == questions.keys()
        for task in tasks:  # no name of an image reaches the page, and the picture does
            assert questions[task["data"]["key"]]["image"] not in json.dumps(task["data"])
            assert owner.get(task["data"]["image"]).raise_for_status().headers["content-type"] == "image/jpeg"
    # Both say what was turned is wrong, but about three: of the first they are divided, of the second one cannot tell,
    # the third is right.
    first, second, third, *others = questions

    def answers(of: str) -> Callable[[Mapping[str, Any]], list[dict[str, Any]]]:
        def choose(data: Mapping[str, Any]) -> list[dict[str, Any]]:
            given = questions[data["key"]]["given"]
            says = {True: "yes", False: "no"}[not given]
            if data["key"] == third or (data["key"] == first and of == "eve"):
                says = {True: "yes", False: "no"}[given]
            return choice("answer", "cannot tell" if data["key"] == second and of == "eve" else says)

        return choose

    label_studio.sign_up("ann").vote(project, answers("ann"))
    asked.go_on()
    assert not any(int(row["corrected"]) for row in asked.corrections().values())  # the other half may differ
    label_studio.sign_up("eve").vote(project, answers("eve"))
    asked.go_on()
    told = capsys.readouterr().out
    assert f"{2 * len(questions)} of {2 * len(questions)} answers, by 2 people" in told
    # By hand: all but the first and the third are turned, of those labels that were asked about and of no others.
    expected = {
        name: {NAMES[i] for i in np.flatnonzero(row)} for name, row in zip(asked.ids, asked.labels, strict=True)
    }
    for key in (second, *others):
        expected[questions[key]["image"]] ^= {questions[key]["label"]}
    assert asked.corrected() == expected
    rows = asked.corrections()
    assert len(rows) == len(questions)
    assert {rows[questions[key]["image"], questions[key]["label"]]["decided"] for key in (first,)} == {TIE}
    assert "divided about 1 labels" in told
    # Eve is deleted, and nothing else changes; a call more writes the same.
    with label_studio.owner_client() as owner:
        ids = {user["email"]: user["id"] for user in owner.get("/api/users").raise_for_status().json()}
        owner.delete(f"/api/users/{ids['eve@example.org']}").raise_for_status()
    table = (asked.root / "review" / "corrections.csv").read_bytes()
    asked.go_on()
    assert (asked.root / "review" / "corrections.csv").read_bytes() == table
    assert asked.project(label_studio) == project
    assert (asked.root / "predictions.parquet").read_bytes() == before
    # Training reads what was written.
    (asked.root / "pictures" / "5.png").unlink()
    Image.new("RGB", (20, 20)).save(asked.root / "pictures" / "5.png")
    data = load_data(
        DataConfig(dataset=str(asked.root / "review" / "corrected.parquet"), image_dir=str(asked.root / "pictures"))
    )
    read = {
        name: {data.label_names[label] for label in labels}
        for split in data.splits.values()
        for name, labels in zip(split["id"][:], split["labels"][:], strict=True)
    }
    assert read == expected


@pytest.mark.label_studio
def test_faults(
    label_studio: LabelStudioServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("cleanlab")
    asked = Asked(label_studio, "faults", monkeypatch)

    def refused(call: Callable[[], None], named: str) -> None:
        with pytest.raises(SystemExit) as caught:
            call()
        assert caught.value.code != 0
        said = capsys.readouterr().err
        assert named in said and "Traceback" not in said

    refused(asked.go_on, "no review has begun")
    with monkeypatch.context() as away:
        away.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:9")
        refused(asked.begin, "127.0.0.1:9")
        assert not (asked.root / "review").exists() and not (asked.root / "wrong.csv").exists()
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv(ROOT_VARIABLE, str(asked.root / "pictures"))
        refused(asked.begin, ROOT_VARIABLE)
    # Killed after the folder was written: the next call asks.
    with monkeypatch.context() as killed:
        killed.setattr("mlrsnet_hf.curation.wrong_labels.find.go_on", lambda config: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            asked.begin("--questions", "3")
    asked.go_on()
    assert "3 labels wait for review" in capsys.readouterr().out
    label_studio.sign_up("ann").vote(asked.project(label_studio), lambda data: choice("answer", "no"))
    asked.go_on()
    written = (asked.root / "review" / "corrected.parquet").read_bytes()
    with monkeypatch.context() as away:
        away.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:9")
        refused(asked.go_on, "127.0.0.1:9")
    with only_writer(asked.root / "review" / "review.json"):  # another call is at it
        refused(asked.go_on, "review.json")
    refused(
        lambda: main(["curate", "find-errors", "x.parquet", "--review", str(asked.root / "review")]), "other sources"
    )
    assert (asked.root / "review" / "corrected.parquet").read_bytes() == written
    # The project was deleted: what was read counts, and is asked of nobody again.
    with label_studio.owner_client() as owner:
        owner.delete(f"/api/projects/{asked.project(label_studio)}").raise_for_status()
    asked.go_on()
    assert label_studio.sign_up("bob").next_task(asked.project(label_studio)) is None
    assert (asked.root / "review" / "corrected.parquet").read_bytes() == written
    (asked.root / "review" / "review.json").write_text('{"title": 3}')
    refused(asked.go_on, "review.json")
