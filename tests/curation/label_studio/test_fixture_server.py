"""The tests' own server: people sign up and vote over HTTP, and what was acknowledged outlives a kill."""

import pytest

from tests.curation.label_studio_server import LabelStudioServer, choice

pytestmark = pytest.mark.label_studio


CONFIG = """<View><Image name="image" value="$image"/>
<Choices name="scene" toName="image"><Choice value="beach"/><Choice value="farm"/></Choices></View>"""


def test_people_vote_and_a_killed_server_has_their_votes(any_label_studio: LabelStudioServer) -> None:
    label_studio = any_label_studio
    with label_studio.owner_client() as owner:
        made = owner.post("/api/projects", json={"title": "votes", "label_config": CONFIG, "maximum_annotations": 2})
        project = made.raise_for_status().json()["id"]
        tasks = [{"key": f"{i}", "image": f"{i}.jpg"} for i in range(5)]
        owner.post(f"/api/projects/{project}/import", json=tasks).raise_for_status()
    people = [label_studio.sign_up(f"fixture-{number}") for number in range(3)]
    given = [person.vote(project, lambda task: choice("scene", "beach")) for person in people]
    label_studio.kill()
    label_studio.start()
    with label_studio.owner_client() as owner:
        stored = owner.get(f"/api/projects/{project}/export?exportType=JSON").raise_for_status().json()
    assert {a["id"]: task["data"]["key"] for task in stored for a in task["annotations"]} == {
        number: data["key"] for acknowledged in given for number, data in acknowledged.items()
    }
    assert [len(task["annotations"]) for task in stored] == [2] * 5
    assert people[2].next_task(project) is None
