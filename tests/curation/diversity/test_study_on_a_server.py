"""Simulated observers of a diversity study on Label Studio itself: what they see, what is known of them, kills."""

import csv
import io
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from mlrsnet_hf.cli import main
from mlrsnet_hf.curation.diversity.trial_pictures import picture_name
from tests.curation.diversity.test_study import SPREADS, write_images
from tests.curation.label_studio_server import Choose, LabelStudioServer, SimulatedAnnotator, choice

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]

KNOWN = {"plain": 0.4, "mixed": 0.7, "wild": 0.9}
"""Diversities, which sum to 2 as those of three sets do."""


@pytest.fixture
def folder(label_studio: LabelStudioServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for studies that the server can serve."""
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.key)
    monkeypatch.setenv("LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT", str(label_studio.documents))
    folder = label_studio.documents / tmp_path.name
    folder.mkdir()
    return folder


@pytest.fixture
def command(folder: Path, tmp_path: Path) -> list[str]:
    """The command of a study of three sets of known spread."""
    sets = [str(write_images(tmp_path / "sets" / name, spread)) for name, spread in SPREADS.items()]
    return ["curate", "diversity", *sets, "--study", str(folder / "study")]


def drawn(folder: Path) -> dict[str, Any]:
    study: dict[str, Any] = json.loads((folder / "study" / "study.json").read_text())
    return study


def project_of(server: LabelStudioServer, folder: Path) -> int:
    """Return the project of the study, of which there is one."""
    with server.owner_client() as owner:
        found = owner.get("/api/projects", params={"page_size": 1000}).raise_for_status().json()["results"]
    (number,) = [int(one["id"]) for one in found if one["title"] == drawn(folder)["title"]]
    return number


def diversities(folder: Path) -> dict[tuple[str, str], dict[str, float]]:
    with (folder / "study" / "diversity.csv").open(newline="") as file:
        return {
            (row["category"], row["set"]): {name: float(row[name]) for name in ("diversity", "low", "high")}
            for row in csv.DictReader(file)
        }


def looking(person: SimulatedAnnotator, url: str) -> Choose:
    """Return the choice of an observer who looks at the pictures, and takes the pair of the nearest colors."""
    client = httpx.Client(base_url=url, headers={"Authorization": f"Token {person.key}"}, timeout=120)
    seen: dict[str, np.ndarray] = {}

    def color(address: str) -> np.ndarray:
        if address not in seen:
            said = client.get(address.replace("&amp;", "&")).raise_for_status()
            seen[address] = np.asarray(Image.open(io.BytesIO(said.content))).reshape(-1, 3).mean(axis=0)
        return seen[address]

    def choose(data: Mapping[str, Any]) -> list[dict[str, Any]]:
        shown = {
            one["value"]: [part.split('"')[0] for part in one["html"].split('src="')[1:]] for one in data["choices"]
        }
        apart = {name: np.linalg.norm(color(first) - color(second)) for name, (first, second) in shown.items()}
        return choice("answer", min(apart, key=lambda name: apart[name]))

    return choose


def test_what_observers_see_is_what_the_study_says(
    label_studio: LabelStudioServer, folder: Path, command: list[str]
) -> None:
    main([*command, "--trials", "8", "--observers", "1", "--pairs", "2"])
    observer = label_studio.sign_up("looks")
    observer.vote(project_of(label_studio, folder), looking(observer, label_studio.url))
    main(["curate", "diversity", "--study", str(folder / "study")])
    study = drawn(folder)
    for name in ("study.json", "pictures/../study.json", "answers.json"):  # which pair is of which set is not served
        address = f"{label_studio.url}/data/local-files/?d={folder.name}/study/{name}"
        assert httpx.get(address, headers={"Authorization": f"Token {observer.key}"}).status_code == 404

    def apart(pair: Mapping[str, str]) -> float:
        files = [Path(study["sets"][pair["set"]]) / pair[name] for name in ("first", "second")]
        colors = [np.asarray(Image.open(file).convert("RGB"), float).reshape(-1, 3).mean(axis=0) for file in files]
        return float(np.linalg.norm(colors[0] - colors[1]))

    nearest = [(trial["category"], min(trial["pairs"], key=apart)["set"]) for trial in study["trials"]]
    found = diversities(folder)
    for category in ("beach", "lake"):
        for name in SPREADS:
            share = sum(one == (category, name) for one in nearest) / 8
            assert found[category, name]["diversity"] == pytest.approx(1 - share, abs=1e-4)
    assert found["average", "plain"]["diversity"] < 0.5 < found["average", "wild"]["diversity"]


def test_intervals_hold_the_known_diversity_of_simulated_observers(
    label_studio: LabelStudioServer, folder: Path, command: list[str]
) -> None:
    main([*command, "--trials", "9", "--observers", "3"])
    study = drawn(folder)
    sets = {
        picture_name(study["title"], pair["set"], image): pair["set"]
        for trial in study["trials"]
        for pair in trial["pairs"]
        for image in (pair["first"], pair["second"])
    }
    order = {trial["key"]: number for number, trial in enumerate(study["trials"])}

    def most_similar(seed: str, data: Mapping[str, Any]) -> str:
        """Return a pair of a set with the probability 1 - its diversity."""
        draw = random.Random(seed)
        (wanted,) = draw.choices([*KNOWN], [1 - one for one in KNOWN.values()])
        of_set = [one["value"] for one in data["choices"] if sets[one["html"].split('"')[1].split("/")[-1]] == wanted]
        return draw.choice(sorted(of_set))

    for number in range(3):

        def choose(data: Mapping[str, Any], number: int = number) -> list[dict[str, Any]]:
            # Half of the choices are those that the trial makes to all.
            trial = order[data["key"]]
            own = random.Random(f"{number} takes {trial}").random() < 0.5
            return choice("answer", most_similar(f"{number if own else 'all'} {trial}", data))

        label_studio.sign_up(f"observer-{number}").vote(project_of(label_studio, folder), choose)
    main(["curate", "diversity", "--study", str(folder / "study")])
    found = diversities(folder)
    assert len(json.loads((folder / "study" / "answers.json").read_text())) == 54
    for name, known in KNOWN.items():
        one = found["average", name]
        assert one["low"] <= known <= one["high"]
        assert one["high"] - one["low"] < 0.6
    assert found["average", "plain"]["diversity"] < found["average", "wild"]["diversity"]


def test_answers_outlive_trials_projects_and_people(
    label_studio: LabelStudioServer, folder: Path, command: list[str]
) -> None:
    main([*command, "--trials", "3", "--observers", "2", "--pairs", "1"])
    project = project_of(label_studio, folder)
    people = [label_studio.sign_up(name) for name in ("stays", "leaves")]
    for person in people:
        person.vote(project, lambda data: choice("answer", data["choices"][0]["value"]))
    main(command)
    before = (folder / "study" / "answers.json").read_bytes()
    assert len(json.loads(before)) == 12
    with label_studio.owner_client() as owner:
        users = owner.get("/api/users").raise_for_status().json()
        (left,) = [one["id"] for one in users if one["email"] == people[1].email]
        owner.delete(f"/api/users/{left}").raise_for_status()
        main(command)
        assert (folder / "study" / "answers.json").read_bytes() == before
        tasks = owner.get(f"/api/tasks?project={project}").raise_for_status().json()["tasks"]
        owner.delete(f"/api/tasks/{tasks[0]['id']}/").raise_for_status()
        main(command)  # the trial has all its answers: it is asked of nobody again
        assert owner.get(f"/api/tasks?project={project}").raise_for_status().json()["total"] == 5
        owner.delete(f"/api/projects/{project}/").raise_for_status()
    main(command)
    assert project_of(label_studio, folder) != project
    assert (folder / "study" / "answers.json").read_bytes() == before


def test_a_study_survives_kills(label_studio: LabelStudioServer, folder: Path, command: list[str]) -> None:
    arguments = [*command, "--trials", "30", "--observers", "1"]
    study = folder / "study"
    observer = label_studio.sign_up("steady")
    acknowledged: dict[str, str] = {}

    def tasks() -> int:
        with label_studio.owner_client() as owner:
            found = owner.get("/api/projects", params={"page_size": 1000}).raise_for_status().json()["results"]
        return sum(one["task_number"] for one in found if one["title"] == drawn(folder)["title"])

    def answers() -> int:
        path = study / "answers.json"
        return len(json.loads(path.read_text())) if path.exists() else 0

    def kill_when(reached: Callable[[], bool]) -> None:
        """Begin the command, and kill it as soon as it has come so far; it may be through by then."""
        command = [sys.executable, "-m", "mlrsnet_hf", *arguments]
        killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while killed.poll() is None and not reached():
            time.sleep(0.01)
        killed.kill()
        killed.wait()
        assert reached()

    def vote() -> None:
        chosen = "ABCDEFGHIJKL"[len(acknowledged) % 12]
        given = observer.vote(project_of(label_studio, folder), lambda data: choice("answer", chosen), most=9)
        acknowledged.update(dict.fromkeys([data["key"] for data in given.values()], chosen))

    kill_when((study / "study.json").exists)
    kill_when(lambda: len([*(study / "pictures").glob("*")]) > 9)
    kill_when(lambda: tasks() > 0)
    main(arguments)
    for _ in range(2):
        vote()
        kill_when(lambda: answers() == len(acknowledged))
    vote()
    main(arguments)
    kept = json.loads((study / "answers.json").read_text())
    assert {one["key"]: "ABCDEFGHIJKL"[one["pair"]] for one in kept} == acknowledged
    assert len(kept) == len(acknowledged) == 27
    with label_studio.owner_client() as owner:
        exported = owner.get(
            f"/api/projects/{project_of(label_studio, folder)}/export?exportType=JSON&download_all_tasks=true"
        )
    keys = [task["data"]["key"] for task in exported.raise_for_status().json()]
    assert sorted(keys) == sorted(trial["key"] for trial in drawn(folder)["trials"])
    for path in (folder / "study" / "pictures").glob("[!.]*"):
        Image.open(path).load()
