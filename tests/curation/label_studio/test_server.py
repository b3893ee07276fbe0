"""Projects on a real server: filled once however often they are asked for, read whole, failures of one sentence."""

import http.server
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import httpx
import pytest
from label_studio_sdk.core.api_error import ApiError

from mlrsnet_hf.curation.label_studio import server as server_module
from mlrsnet_hf.curation.label_studio.server import Server, connect
from mlrsnet_hf.curation.label_studio.tasks import Task
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from tests.conftest import CHECKOUT
from tests.curation.label_studio_server import LabelStudioServer, choice

CONFIG = """<View><Image name="image" value="$image"/>
<Choices name="scene" toName="image"><Choice value="beach"/><Choice value="farm"/></Choices></View>"""


def make_tasks(number: int, votes: int = 1) -> list[Task]:
    return [Task(key=f"k{i:04d}", data={"image": f"https://example.org/{i}.jpg"}, votes=votes) for i in range(number)]


@pytest.fixture
def server(label_studio: LabelStudioServer) -> Server:
    return connect(label_studio.url, label_studio.key)


@pytest.fixture
def title(request: pytest.FixtureRequest) -> str:
    return request.node.name[-50:]


def stored(label_studio: LabelStudioServer, project: int) -> list[dict]:
    """What the server has, by its own export."""
    with label_studio.owner_client() as owner:
        address = f"/api/projects/{project}/export?exportType=JSON&download_all_tasks=true"
        found: list[dict] = owner.get(address).raise_for_status().json()
    return found


def queued(label_studio: LabelStudioServer, project: int) -> list[dict]:
    """The tasks as the queue knows them."""
    with label_studio.owner_client() as owner:
        address = f"/api/tasks?project={project}&page_size=200"
        found: list[dict] = owner.get(address).raise_for_status().json()["tasks"]
    return found


@pytest.mark.label_studio
def test_filled_twice_is_filled_once(label_studio: LabelStudioServer, server: Server, title: str) -> None:
    tasks = make_tasks(7)
    project = server.fill_project(title, CONFIG, tasks[:4], description="first")
    assert server.fill_project(title, CONFIG, tasks[2:]) == project
    assert server.fill_project(title, CONFIG, tasks) == project
    found = stored(label_studio, project)
    assert sorted(task["data"]["key"] for task in found) == [task.key for task in tasks]
    assert {task["data"]["key"]: task["data"]["image"] for task in found} == {
        task.key: task.data["image"] for task in tasks
    }
    other = server.fill_project(title[1:] + "?", CONFIG, tasks)
    assert other != project


@pytest.mark.label_studio
def test_tasks_show_what_was_asked_last_and_keep_their_votes(
    label_studio: LabelStudioServer, server: Server, title: str
) -> None:
    first, second = make_tasks(2)
    project = server.fill_project(title, CONFIG, [first, second])
    person = label_studio.sign_up("stays")
    task = person.next_task(project)
    assert task is not None
    person.answer(task, choice("scene", "beach"))
    moved = [Task(key=one.key, data={"image": f"{one.data['image']}?moved"}, votes=1) for one in (first, second)]
    assert server.fill_project(title, CONFIG, moved) == project
    found = stored(label_studio, project)
    assert {one["data"]["image"] for one in found} == {one.data["image"] for one in moved}
    assert [one.key for one in server.annotations(project)] == [task["data"]["key"]]


@pytest.mark.label_studio
def test_each_task_gets_the_votes_it_asks_for(label_studio: LabelStudioServer, server: Server, title: str) -> None:
    asked = {"a": 2, "b": 1, "c": 2, "d": 3, "e": 5}
    tasks = [Task(key=key, data={"image": f"{key}.jpg"}, votes=votes) for key, votes in asked.items()]
    project = server.fill_project(title, CONFIG, tasks, votes=2)
    people = [label_studio.sign_up(f"asked-{number}") for number in range(5)]
    for person in people:
        person.vote(project, lambda task: choice("scene", "farm" if task["key"] == "a" else "beach"))
    found = server.annotations(project)
    assert Counter(one.key for one in found) == asked
    assert len({(one.key, one.annotator) for one in found}) == len(found)
    assert {one.annotator for one in found} == {person.email for person in people}
    assert {one.result[0]["value"]["choices"][0] for one in found if one.key == "a"} == {"farm"}
    assert all(person.next_task(project) is None for person in people)


@pytest.mark.label_studio
def test_all_pages_are_read(
    label_studio: LabelStudioServer, server: Server, title: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_PAGE", 60)
    tasks = make_tasks(300)
    project = server.fill_project(title, CONFIG, tasks)
    with label_studio.owner_client() as owner:
        found = stored(label_studio, project)
        assert len(found) == 300
        for task in found[::50]:
            owner.post(
                f"/api/tasks/{task['id']}/annotations/", json={"result": choice("scene", "farm")}
            ).raise_for_status()
    assert sorted(one.key for one in server.annotations(project)) == sorted(t["data"]["key"] for t in found[::50])
    server.fill_project(title, CONFIG, tasks)
    assert len(stored(label_studio, project)) == 300


@pytest.mark.label_studio
def test_two_at_once_fill_one_project(label_studio: LabelStudioServer, title: str) -> None:
    tasks = [*make_tasks(40), Task(key="often", data={"image": "often.jpg"}, votes=3)]

    def fill(_: int) -> int:
        return connect(label_studio.url, label_studio.key).fill_project(title, CONFIG, tasks)

    with ThreadPoolExecutor(3) as threads:
        projects = set(threads.map(fill, range(3)))
    assert {fill(0)} == projects
    [project] = projects
    assert Counter(task["data"]["key"] for task in stored(label_studio, project)) == {task.key: 1 for task in tasks}
    person = label_studio.sign_up("comes-after-two")
    assert len(person.vote(project, lambda task: choice("scene", "beach"))) == len(tasks)
    assert sum(task["is_labeled"] for task in queued(label_studio, project)) == 40, "votes are counted"


@pytest.mark.label_studio
def test_a_project_made_too_late_is_left_unused(
    label_studio: LabelStudioServer, server: Server, title: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deletion would make Label Studio count no votes meanwhile, and two at once none until it is started again."""
    project = server.fill_project(title, CONFIG, make_tasks(2))
    found = iter([None, project])
    monkeypatch.setattr(Server, "find_project", lambda self, title: next(found))
    assert server.fill_project(title, CONFIG, make_tasks(3)) == project
    assert len(stored(label_studio, project)) == 3
    with label_studio.owner_client() as owner:
        alike = owner.get(f"/api/projects?title={title[:20]}").raise_for_status().json()["results"]
    [unused] = [one for one in alike if one["id"] > project]
    assert unused["title"].startswith("unused") and unused["task_number"] == 0


@pytest.mark.label_studio
@pytest.mark.parametrize(("status", "failures"), [(500, 1), (500, 3), (400, 1)])
def test_a_server_that_fails_is_asked_again(
    label_studio: LabelStudioServer,
    server: Server,
    title: str,
    status: int,
    failures: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SQLite is locked for others while somebody votes; half of what was sent may have come."""
    left = iter([True] * failures)
    add = Server._add

    def fails(self: Server, project: int, tasks: list[Task]) -> None:
        if next(left, False):
            add(self, project, tasks[: len(tasks) // 2])
            raise ApiError(status_code=status, body={"detail": "database is locked"})
        add(self, project, tasks)

    monkeypatch.setattr(Server, "_add", fails)
    monkeypatch.setattr(server_module, "_WAITS", (0.0, 0.0, None))
    if status == 500 and failures < 3:
        project = server.fill_project(title, CONFIG, make_tasks(8))
        assert Counter(task["data"]["key"] for task in stored(label_studio, project)) == dict.fromkeys(
            (task.key for task in make_tasks(8)), 1
        )
    else:
        with pytest.raises(MLRSNetError, match="database is locked"):
            server.fill_project(title, CONFIG, make_tasks(8))


FILLING = """
import sys
from mlrsnet_hf.curation.label_studio import server
server._PAGE = 20
url, key, title, config = sys.argv[1:]
asking = server.connect(url, key)
print("begins", flush=True)
keys = [f"k{i:04d}" for i in range(60)] + [f"o{i}" for i in range(5)]
tasks = [server.Task(key=key, data={"image": "i.jpg"}, votes=3 if key[0] == "o" else 1) for key in keys]
asking.fill_project(title, config, tasks)
print("ended", flush=True)
"""


@pytest.mark.label_studio
def test_killed_while_it_fills(label_studio: LabelStudioServer, title: str) -> None:
    command = [sys.executable, "-c", FILLING, label_studio.url, label_studio.key, title, CONFIG]
    for delay in (0.1, 0.3, 0.6, None):
        filling = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
        assert filling.stdout is not None
        assert filling.stdout.readline() == "begins\n"
        if delay is None:
            assert filling.stdout.readline() == "ended\n"
        else:
            time.sleep(delay)
        filling.kill()
        filling.wait()
    with label_studio.owner_client() as owner:
        found = owner.get(f"/api/projects?title={title}").raise_for_status().json()["results"]
    [project] = [one["id"] for one in found if one["title"] == title]
    wanted = {task.key: 1 for task in make_tasks(60)} | {f"o{i}": 1 for i in range(5)}
    assert Counter(task["data"]["key"] for task in stored(label_studio, project)) == wanted
    assert {task["data"]["key"]: task["overlap"] for task in queued(label_studio, project)} == {
        key: 3 if key.startswith("o") else 1 for key in wanted
    }


@pytest.mark.label_studio
def test_skipped_tasks_and_people_who_are_gone(label_studio: LabelStudioServer, server: Server, title: str) -> None:
    project = server.fill_project(title, CONFIG, make_tasks(2, 4), votes=4)
    people = {name: label_studio.sign_up(name) for name in ("stays", "leaves", "deleted", "skips")}
    for name, person in people.items():
        person.vote(project, lambda task, name=name: None if name == "skips" else choice("scene", "beach"))
    assert set(server.people()) >= {person.email for person in people.values()}
    with label_studio.owner_client() as owner:
        ids = {user["email"]: user["id"] for user in owner.get("/api/users").raise_for_status().json()}
        owner.delete(f"/api/users/{ids[people['deleted'].email]}").raise_for_status()
        owner.delete(f"/api/organizations/1/memberships/{ids[people['leaves'].email]}/").raise_for_status()
    found = Counter(one.annotator for one in server.annotations(project))
    assert found == {people["stays"].email: 2, people["leaves"].email: 2, None: 2}
    assert not {people["deleted"].email, people["leaves"].email} & set(server.people())
    skipped = [one for task in stored(label_studio, project) for one in task["annotations"] if one["was_cancelled"]]
    assert len(skipped) == 2


@pytest.mark.label_studio
def test_a_changed_annotation_keeps_its_number(label_studio: LabelStudioServer, server: Server, title: str) -> None:
    project = server.fill_project(title, CONFIG, make_tasks(1))
    person = label_studio.sign_up("changes-mind")
    [number] = person.vote(project, lambda task: choice("scene", "beach"))
    [before] = server.annotations(project)
    with httpx.Client(headers={"Authorization": f"Token {person.key}"}, timeout=60) as client:
        change = {"result": choice("scene", "farm")}
        client.patch(f"{label_studio.url}/api/annotations/{number}/", json=change).raise_for_status()
    [after] = server.annotations(project)
    assert before.id == after.id == number
    assert after.result[0]["value"] == {"choices": ["farm"]}
    assert before.at == after.at and before.changed < after.changed


@pytest.mark.label_studio
def test_names_with_markup_come_back_as_they_are(server: Server, label_studio: LabelStudioServer) -> None:
    odd = ["<script>alert(1)</script>", "a'b\"c", "line\nend", "=1+1", "überall ✈", "{{ x }}", "$image"]
    tasks = [Task(key=name, data={"image": name, "hint": name}) for name in odd]
    project = server.fill_project("<b>\"odd\" & 'names'</b>", CONFIG, tasks, description="<script>1</script>")
    person = label_studio.sign_up("reads-markup")
    assert {data["key"] for data in person.vote(project, lambda task: choice("scene", "beach")).values()} == set(odd)
    assert sorted(one.key for one in server.annotations(project)) == sorted(odd)
    assert server.fill_project("<b>\"odd\" & 'names'</b>", CONFIG, tasks) == project


@pytest.mark.label_studio
def test_a_task_that_came_twice_stays_once(label_studio: LabelStudioServer, server: Server, title: str) -> None:
    tasks = make_tasks(3)
    project = server.fill_project(title, CONFIG, tasks)
    with label_studio.owner_client() as owner:
        copies = [{"data": {**task.data, "key": task.key}} for task in tasks]
        owner.post(f"/api/projects/{project}/import", json=copies).raise_for_status()
        last = stored(label_studio, project)[-1]
        owner.post(f"/api/tasks/{last['id']}/annotations/", json={"result": choice("scene", "farm")}).raise_for_status()
    server.fill_project(title, CONFIG, tasks)
    found = stored(label_studio, project)
    assert sorted(task["data"]["key"] for task in found) == [task.key for task in tasks]
    assert last["id"] in [task["id"] for task in found], "the one with the vote stays"


def open_tasks(label_studio: LabelStudioServer, project: int) -> dict[str, int]:
    """How many more votes the queue asks for, by key."""
    return {
        task["data"]["key"]: task["overlap"] - task["total_annotations"]
        for task in queued(label_studio, project)
        if not task["is_labeled"]
    }


@pytest.mark.label_studio
def test_rounds_ask_for_further_votes_and_for_no_others(any_label_studio: LabelStudioServer, title: str) -> None:
    label_studio = any_label_studio
    server = connect(label_studio.url, label_studio.key)
    people = [label_studio.sign_up(f"rounds-{number}") for number in range(4)]
    tasks = make_tasks(12)
    project = server.fill_project(title, CONFIG, tasks, in_rounds=True)
    assert open_tasks(label_studio, project) == {task.key: 1 for task in tasks}
    people[0].vote(project, lambda task: choice("scene", "beach"), most=9)
    voted = Counter(one.key for one in server.annotations(project))
    asked = {task.key: 1 + number % 2 for number, task in enumerate(tasks) if number < 10}
    for _ in range(2):  # asked twice is asked once
        again = [Task(key=key, data=make_tasks(12)[int(key[1:])].data, votes=votes) for key, votes in asked.items()]
        others = [task.key for task in tasks]
        assert server.fill_project(title, CONFIG, again, others=others, in_rounds=True) == project
        assert open_tasks(label_studio, project) == asked
    for person in people:
        person.vote(project, lambda task: choice("scene", "farm"))
    found = Counter(one.key for one in server.annotations(project))
    assert found == voted + Counter(asked)
    assert len({(one.key, one.annotator) for one in server.annotations(project)}) == found.total()
    assert open_tasks(label_studio, project) == {}


@pytest.mark.label_studio
@pytest.mark.parametrize("failures", [3, 9])
def test_a_locked_database_is_asked_again(
    label_studio: LabelStudioServer, title: str, failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite answers HTTP 500 while somebody else writes; what was not asked for yet is by the next call."""
    server = connect(label_studio.url, label_studio.key)
    tasks = make_tasks(6)
    project = server.fill_project(title, CONFIG, tasks)
    request, failed = httpx.Client.request, Counter[str]()

    def locked(self: httpx.Client, method: str, url: str, **values: object) -> httpx.Response:
        address = str(url)
        if method == "PATCH" and failed[address] < failures:
            failed[address] += 1
            return httpx.Response(500, json={"detail": "database is locked"}, request=httpx.Request(method, address))
        return request(self, method, url, **values)  # type: ignore[arg-type]

    monkeypatch.setattr(httpx.Client, "request", locked)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    fewer = tasks[:2]
    others = [task.key for task in tasks]
    if failures > 4:
        with pytest.raises(MLRSNetError, match="database is locked"):
            server.fill_project(title, CONFIG, fewer, others=others, in_rounds=True)
        monkeypatch.undo()
    server.fill_project(title, CONFIG, fewer, others=others, in_rounds=True)
    assert open_tasks(label_studio, project) == {task.key: 1 for task in fewer}
    assert failures > 4 or set(failed.values()) == {failures}


@pytest.mark.label_studio
def test_only_what_is_new_is_read(any_label_studio: LabelStudioServer, title: str) -> None:
    label_studio = any_label_studio
    server = connect(label_studio.url, label_studio.key)
    project = server.fill_project(title, CONFIG, make_tasks(6))
    people = [label_studio.sign_up(f"is-read-{number}") for number in range(2)]
    people[0].vote(project, lambda task: choice("scene", "beach"), most=4)
    first = server.annotations(project)
    known = Counter(one.key for one in first)
    [*_, last] = sorted(datetime.fromisoformat(one.changed) for one in first)
    later = last + timedelta(days=1)

    def new(known: Counter[str], since: datetime | None) -> list[tuple[str, str]]:
        found = server.new_annotations(server.tasks(project), known, since)
        return sorted((one.key, one.result[0]["value"]["choices"][0]) for one in found)

    every = sorted((one.key, "beach") for one in first)
    assert new(known, None) == new(Counter(), later) == new(known, last - timedelta(minutes=1)) == every
    assert [one.key for one in server.annotations(project, last - timedelta(minutes=1))] == [one.key for one in first]
    assert new(known, later) == server.annotations(project, later) == []
    # One who has changed their mind is seen by the time, a further vote by the number as well.
    time.sleep(1)
    moment = max(task.changed for [task] in server.tasks(project).by_key.values()) + timedelta(milliseconds=1)
    with label_studio.owner_client() as owner:
        mind = {"result": choice("scene", "farm")}
        owner.patch(f"/api/annotations/{first[0].id}/", json=mind).raise_for_status()
        by_key = {task["data"]["key"]: task["id"] for task in queued(label_studio, project)}
    assert new(known, moment) == [(first[0].key, "farm")]
    assert [one.key for one in server.annotations(project, moment)] == [first[0].key]
    people[1].answer({"id": by_key[first[1].key]}, choice("scene", "farm"))
    assert new(known, later) == [(first[1].key, "beach"), (first[1].key, "farm")]
    # A vote that the log has and the server has not, which was set back, is no reason to leave out another.
    assert (first[2].key, "beach") in new(known + Counter({first[2].key: 1}), later)
    present = server.tasks(project)
    list(server.new_annotations(present, known, None))
    assert {key: task.votes for key, [task] in present.by_key.items()} == {
        f"k{number:04d}": known[f"k{number:04d}"] + (f"k{number:04d}" == first[1].key) for number in range(6)
    }


@pytest.mark.label_studio
def test_a_copy_whose_vote_was_not_counted_stays(label_studio: LabelStudioServer, server: Server, title: str) -> None:
    """Label Studio counts no vote while it deletes another project, and a skip never."""
    tasks = make_tasks(2)
    project = server.fill_project(title, CONFIG, tasks)
    with label_studio.owner_client() as owner:
        copies = [{"data": {**task.data, "key": task.key}} for task in tasks]
        owner.post(f"/api/projects/{project}/import", json=copies).raise_for_status()
        last = stored(label_studio, project)[-1]["id"]
    label_studio.sign_up("skips-a-copy").answer({"id": last}, None)
    server.fill_project(title, CONFIG, tasks)
    assert sorted(task["data"]["key"] for task in stored(label_studio, project)) == ["k0000", "k0001", "k0001"]
    assert last in [task["id"] for task in stored(label_studio, project)]


@pytest.mark.label_studio
def test_what_the_server_refuses(label_studio: LabelStudioServer, server: Server, title: str) -> None:
    for bad in ("ab", "x" * 51):
        with pytest.raises(ConfigurationError, match=str(len(bad))):
            server.fill_project(bad, CONFIG, make_tasks(1))
    with pytest.raises(ConfigurationError, match="no configuration"):
        server.fill_project("no configuration", "<View", make_tasks(1))
    with pytest.raises(ConfigurationError, match="image"):
        server.fill_project("no picture", CONFIG, [Task(key="a", data={})])
    server.fill_project(title, CONFIG, make_tasks(2))
    with pytest.raises(ConfigurationError, match=title[:10]):
        server.fill_project(title, CONFIG, [Task(key="of another set", data={"image": "b.jpg"})])


@pytest.mark.label_studio
def test_a_project_that_was_deleted(label_studio: LabelStudioServer, server: Server, title: str) -> None:
    project = server.fill_project(title, CONFIG, make_tasks(1))
    with label_studio.owner_client() as owner:
        owner.delete(f"/api/projects/{project}").raise_for_status()
    for ask in (lambda: server.annotations(project), lambda: server.tasks(project)):
        with pytest.raises(ConfigurationError, match=f"project {project}"):
            ask()
    assert server.fill_project(title, CONFIG, make_tasks(1)) != project


@pytest.mark.label_studio
def test_keys(label_studio: LabelStudioServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="LABEL_STUDIO_API_KEY"):
        connect(label_studio.url)
    with label_studio.owner_client() as owner:
        personal = owner.post("/api/token/", json={}).raise_for_status().json()["token"]
    for wrong in ("0" * 40, personal[:-4] + "AAAA", "line\nend", "ключ"):
        with pytest.raises(ConfigurationError, match=f"{label_studio.url}.*key"):
            connect(label_studio.url, wrong)
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url + "/")
    for key in (personal, label_studio.key + "\n"):
        monkeypatch.setenv("LABEL_STUDIO_API_KEY", key)
        assert label_studio.owner in connect().people()


@pytest.mark.label_studio
def test_a_server_that_is_away_hangs_or_is_killed(label_studio: LabelStudioServer, title: str) -> None:
    server = connect(label_studio.url, label_studio.key)
    hasty = connect(label_studio.url, label_studio.key, timeout=5)
    tasks = make_tasks(1500)
    project = server.fill_project(title, CONFIG, tasks[:1])
    label_studio.signal(signal.SIGSTOP)
    try:
        with pytest.raises(MLRSNetError, match="does not answer"):
            hasty.annotations(project)
        with pytest.raises(MLRSNetError, match="does not answer"):
            connect(label_studio.url, label_studio.key, timeout=1)
    finally:
        label_studio.signal(signal.SIGCONT)
    try:
        killer = threading.Timer(0.6, label_studio.kill)
        killer.start()
        with pytest.raises(MLRSNetError, match=label_studio.url):
            while True:  # killed in the middle of one of them
                server.fill_project(title, CONFIG, tasks)
                tasks = [*tasks, *make_tasks(len(tasks) + 500)[-500:]]
        killer.join()
        for ask in (lambda: server.annotations(project), lambda: connect(label_studio.url, label_studio.key)):
            with pytest.raises(MLRSNetError, match=label_studio.url):
                ask()
    finally:
        label_studio.kill()
        label_studio.start()
    assert connect(label_studio.url, label_studio.key).fill_project(title, CONFIG, tasks) == project
    assert Counter(task["data"]["key"] for task in stored(label_studio, project)) == {task.key: 1 for task in tasks}


class Other(http.server.BaseHTTPRequestHandler):
    """Something else that listens there."""

    answer = (200, b"<html>welcome</html>")

    def do_GET(self) -> None:
        self.send_response(self.answer[0])
        if self.answer[0] == 301:
            self.send_header("Location", "https://elsewhere.example.org/")
        self.send_header("Content-Length", str(len(self.answer[1])))
        self.end_headers()
        self.wfile.write(self.answer[1])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def other_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "answer", [(200, b"<html>"), (404, b"no"), (200, b"{}"), (200, b"[1]"), (404, b'{"error": 1}'), (204, b"")]
)
def test_not_a_label_studio(other_server: str, answer: tuple[int, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Other, "answer", answer)
    with pytest.raises(ConfigurationError, match="no Label Studio") as caught:
        connect(other_server, "k")
    assert other_server in str(caught.value) and "\n" not in str(caught.value)


def test_a_server_that_is_elsewhere(other_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent would not be sent there too."""
    monkeypatch.setattr(Other, "answer", (301, b""))
    with pytest.raises(ConfigurationError, match=r"https://elsewhere\.example\.org"):
        connect(other_server, "k")


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    for address in (url, "localhost:8080", "ftp://localhost", "http://", "http://[::1", "http://a b"):
        with pytest.raises(ConfigurationError, match="Label Studio") as caught:
            connect(address, "k")
        assert address in str(caught.value) and "\n" not in str(caught.value)
