"""Descriptions by people: what is drawn and asked, what is kept of what they say, and what is refused; no server."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from mlrsnet_hf.cli import main
from mlrsnet_hf.curation.label_studio.served_images import opaque_name
from mlrsnet_hf.curation.label_studio.tasks import Annotation
from mlrsnet_hf.curation.vocabulary import descriptions as module
from mlrsnet_hf.curation.vocabulary.vocabulary import read_vocabulary
from tests.curation.no_server import NoServer

NAMES = ["beach/0.jpg", "beach/1.jpg", "play <b>ground/0.jpg", "play <b>ground/1.jpg"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> NoServer:
    monkeypatch.setenv("LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT", str(tmp_path))
    stand_in = NoServer()
    monkeypatch.setattr(module, "connect", lambda: stand_in)
    return stand_in


@pytest.fixture
def collected(tmp_path: Path) -> Path:
    for name in NAMES:
        path = tmp_path / "collected" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    return tmp_path / "collected"


def words(number: int, image: str, text: str | None, who: str | None = "ann@example.org", at: str = "1") -> Annotation:
    value = {"text": [text]} if text is not None else {}
    result = [{"from_name": "answer", "to_name": "image", "type": "textarea", "value": value}]
    return Annotation(id=number, key=opaque_name(image), annotator=who, result=result, at=at, changed=at, seconds=1.0)


def refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def rows(folder: Path) -> list[tuple[str, str, str]]:
    with (folder / "sheet.csv").open(newline="") as file:
        return [(row["image"], row["scene"], row["labels"]) for row in csv.DictReader(file)]


def test_people_describe_images_and_the_sheet_is_counted(
    server: NoServer, collected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "described"
    begin = ["curate", "vocabulary", str(collected), "--describe", str(folder), "--people", "2"]
    main(begin)
    assert sorted(task.key for task in server.tasks) == sorted(map(opaque_name, NAMES))
    for task in server.tasks:  # nothing tells the scene
        assert task.votes == 2
        assert task.data.keys() == {"image"} and not any(scene in str(task.data) for scene in ("beach", "ground"))
    assert rows(folder) == [(name, name.split("/")[0], "") for name in NAMES]
    server.said = [
        words(1, NAMES[0], "sea, sand"),
        words(2, NAMES[0], "sea", "bob@example.org"),
        words(3, NAMES[2], "none"),
        words(4, NAMES[3], None),
        words(5, "another.jpg", "sea"),
    ]
    main(["curate", "vocabulary", "--describe", str(folder)])
    beach, ground = "beach", "play <b>ground"
    found = [
        (NAMES[0], beach, "sea; sand"),
        (NAMES[0], beach, "sea"),
        (NAMES[1], beach, ""),
        (NAMES[2], ground, "none"),
        (NAMES[3], ground, ""),
    ]
    assert rows(folder) == found
    assert "3 of 8" in capsys.readouterr().out
    server.said = [words(1, NAMES[0], "sea", at="2")]  # changed their mind; all else is gone
    main(begin)
    assert rows(folder) == [(NAMES[0], beach, "sea"), *found[1:]]
    output = tmp_path / "vocabulary"
    count = ["curate", "vocabulary", str(folder / "sheet.csv"), "--output-dir", str(output)]
    main(count)
    scenes = read_vocabulary(output / "vocabulary.yaml").scenes
    assert {scene: one.images for scene, one in scenes.items()} == {beach: 1, ground: 1}  # those that are described
    assert "beach,sea,1" in (output / "dropped.csv").read_text()


def test_a_person_who_was_deleted_keeps_what_they_said(server: NoServer, collected: Path, tmp_path: Path) -> None:
    folder = tmp_path / "described"
    server.said = [words(1, NAMES[0], "sea"), words(2, NAMES[1], "sand", "bob@example.org")]
    main(["curate", "vocabulary", str(collected), "--describe", str(folder)])
    server.said = [
        words(1, NAMES[0], "sea", None),
        words(3, NAMES[2], "grass", None),
        words(4, NAMES[2], "tree", None, "2"),
    ]
    main(["curate", "vocabulary", "--describe", str(folder)])
    assert [labels for _, _, labels in rows(folder)] == ["sea", "sand", "grass", "tree", ""]


def test_a_sentence_without_commas_is_told_and_left_out(
    server: NoServer, collected: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "described"
    longest = "x" * 200
    server.said = [words(1, NAMES[0], f"sea, {longest}"), words(2, NAMES[1], "I see sand and " * 80)]
    for _ in range(2):  # the second call reads what the first one kept
        main(["curate", "vocabulary", str(collected), "--describe", str(folder)])
        assert [labels for _, _, labels in rows(folder)] == [f"sea; {longest}", "", "", ""]
    assert "annotation 2" in caplog.text


def test_what_cannot_be_meant_is_refused(server: NoServer, collected: Path, tmp_path: Path) -> None:
    folder = tmp_path / "described"
    curate = ["curate", "vocabulary"]
    refused(curate)
    refused([*curate, "--describe", str(folder)])  # nothing was drawn
    refused([*curate, str(collected), "--describe", str(folder), "--sheet", str(tmp_path / "s.csv")])
    refused([*curate, str(collected), "--describe", str(folder), "--more-than", "3"])
    refused([*curate, str(collected), "--people", "3"])
    refused([*curate, str(collected), "--describe", str(collected)])  # holds something else
    assert not folder.exists()
    main([*curate, str(collected), "--describe", str(folder)])
    refused([*curate, str(tmp_path), "--describe", str(folder)])  # other images
    refused([*curate, "--describe", str(folder), "--people", "3"])
    answers = folder / "answers.json"
    answers.write_text(json.dumps([{"key": 1}]))
    refused([*curate, "--describe", str(folder)])
    assert rows(folder)
