"""Simulated people who describe images on Label Studio itself, whose project then goes away."""

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mlrsnet_hf.cli import main
from mlrsnet_hf.curation.label_studio.served_images import opaque_name
from tests.curation.label_studio_server import LabelStudioServer

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]


def test_what_people_wrote_is_counted_and_outlives_the_project(
    label_studio: LabelStudioServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.key)
    monkeypatch.setenv("LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT", str(label_studio.documents))
    names = [f"{scene}/{number}.png" for scene in ("a <b>beach", "lake") for number in range(4)]
    for name in names:
        path = tmp_path / "collected" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16)).save(path)
    folder = label_studio.documents / tmp_path.name / "described"
    folder.parent.mkdir()
    main(["curate", "vocabulary", str(tmp_path / "collected"), "--describe", str(folder), "--people", "2"])

    def projects() -> set[int]:
        with label_studio.owner_client() as owner:
            found = owner.get("/api/projects", params={"page_size": 1000}).raise_for_status().json()["results"]
        return {one["id"] for one in found if one["title"].startswith("described ")}

    [project] = projects()
    scenes = {opaque_name(name): name.split("/")[0] for name in names}

    def write(data: Mapping[str, Any]) -> list[dict[str, Any]]:
        text = "sea, <i>sand</i>" if scenes[data["key"]] == "a <b>beach" else "none"
        return [{"from_name": "answer", "to_name": "image", "type": "textarea", "value": {"text": [text]}}]

    people = [label_studio.sign_up(f"writer{number}") for number in range(4)]
    assert [len(people[0].vote(project, write)), len(people[1].vote(project, write, most=5))] == [8, 5]
    main(["curate", "vocabulary", "--describe", str(folder)])

    def written() -> Counter[tuple[str, str]]:
        with (folder / "sheet.csv").open(newline="") as file:
            return Counter((row["scene"], row["labels"]) for row in csv.DictReader(file))

    assert written().total() == 13
    with label_studio.owner_client() as owner:  # renamed, which is to us as if it were gone
        owner.patch(f"/api/projects/{project}", json={"title": "gone"}).raise_for_status()
    main(["curate", "vocabulary", "--describe", str(folder)])
    assert written().total() == 13
    [again] = projects()
    assert [len(person.vote(again, write)) for person in people[2:]] == [3, 0]  # two people an image
    main(["curate", "vocabulary", "--describe", str(folder)])
    assert written() == Counter({("a <b>beach", "sea; <i>sand</i>"): 8, ("lake", "none"): 8})
