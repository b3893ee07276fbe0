"""Whatever goes wrong on the way to the Hub is one sentence, and never the token."""

import errno
import inspect
import os
import signal
import traceback
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import HfApi

from mlrsnet_hf import metric_path
from mlrsnet_hf.publishing.hub import HubClient, check_can_publish
from mlrsnet_hf.publishing.hub_errors import HubError, hub_errors
from mlrsnet_hf.publishing.publish import publish
from mlrsnet_hf.runtime.logs import exit_on_error

Hub = Any
ALWAYS = 1000
PREUPLOAD = {"method": "POST", "path": "/preupload/"}
COMMIT = {"method": "POST", "path": "/commit/"}
QUOTA = {"objects": [{"oid": "0" * 64, "size": 1, "error": {"code": 403, "message": "Private storage limit reached"}}]}
UPLOAD = {"method": "PUT", "path": "/lfs/"}


@pytest.mark.parametrize(
    "fault",
    [
        {**PREUPLOAD, "status": 503, "times": 3},
        {**PREUPLOAD, "status": 500},
        {**PREUPLOAD, "status": 429, "headers": {"Retry-After": "1"}},
        {**UPLOAD, "status": 503},
        {**UPLOAD, "cut": 5_000},
    ],
    ids=["503", "500", "429", "upload 503", "upload cut"],
)
def test_what_passes_is_retried_by_the_client(hub_in_process: Hub, light_run: Path, fault: dict) -> None:
    hub_in_process.fail(fault)
    publish(light_run, "jane/scenes")
    assert len(hub_in_process.commits("models/jane/scenes")) == 1


@pytest.fixture
def waits(hub_in_process: Hub, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were waited."""
    waited: list[float] = []
    monkeypatch.setattr("mlrsnet_hf.publishing.hub.time.sleep", waited.append)
    return waited


CREATE = {"method": "POST", "path": "/create"}
SOON = {"headers": {"Retry-After": "7"}}


@pytest.mark.parametrize("request_", [CREATE, COMMIT], ids=["create", "commit"])
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"status": 429, **SOON}, [7]),
        ({"status": 429, "headers": {"RateLimit": '"api";r=0;t=55'}}, [55]),
        ({"status": 503, **SOON, "times": 2}, [7, 7]),
        ({"status": 500, "times": 4}, [1, 2, 4, 8]),
        ({"status": 502, "headers": {"Retry-After": "Mon, 01 Jan 2001 00:00:00 GMT"}}, [0]),
    ],
    ids=["429", "429 of the Hub", "503", "500", "502 until a date"],
)
def test_the_repository_and_the_commit_are_tried_again(
    hub_in_process: Hub, light_run: Path, waits: list, request_: dict, fault: dict, expected: list
) -> None:
    hub_in_process.fail({**request_, **fault})
    assert publish(light_run, "jane/scenes").changed
    assert waits == expected
    assert len(hub_in_process.commits("models/jane/scenes")) == 1


def test_a_commit_that_was_made_without_an_answer_is_made_once(
    hub_in_process: Hub, light_run: Path, waits: list
) -> None:
    publish(light_run, "jane/scenes")
    (light_run / "curves.png").unlink()
    hub_in_process.fail({**COMMIT, "status": 504, "done": True})
    pushed = publish(light_run, "jane/scenes")
    first, second = hub_in_process.commits("models/jane/scenes")
    assert (pushed.changed, pushed.commit, pushed.removed) == (True, second["oid"], 1)
    assert "curves.png" in first["files"]
    assert "curves.png" not in second["files"]


def test_a_push_that_is_stopped_while_it_waits(
    hub_in_process: Hub, light_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub_in_process.fail({**COMMIT, "status": 429, **SOON})
    monkeypatch.setattr("mlrsnet_hf.publishing.hub.time.sleep", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as ended, exit_on_error("publish"):
        publish(light_run, "jane/scenes")
    assert ended.value.code == 143
    again = f"What the Hub has is not sent again; run `mlrsnet publish {light_run} jane/scenes` with the same options."
    assert capsys.readouterr().err == f"stopped: SIGTERM came. {again}\n"


def test_tries_have_a_limit(hub_in_process: Hub, light_run: Path, waits: list) -> None:
    hub_in_process.fail({**CREATE, "status": 429, **SOON, "times": ALWAYS})
    with pytest.raises(HubError, match=r"status 429.* Wait 7 seconds\."):
        publish(light_run, "jane/scenes")
    assert waits == [7] * 4
    hub_in_process.fail({**CREATE, "status": 429, "headers": {"Retry-After": "3600"}, "times": ALWAYS})
    with pytest.raises(HubError, match=r"Wait 3,600 seconds\."):
        publish(light_run, "jane/scenes")
    assert waits == [7] * 4


@pytest.mark.parametrize(
    ("fault", "fact"),
    [
        ({**PREUPLOAD, "status": 503}, "status 503"),
        ({**PREUPLOAD, "status": 429}, "status 429.* Wait"),
        ({**COMMIT, "status": 500}, "status 500, .*out of order"),
        ({**COMMIT, "status": 409}, "status 409"),
        ({**COMMIT, "status": 412}, "status 412"),
        ({**COMMIT, "status": 413}, "status 413"),
        ({**COMMIT, "status": 507}, "status 507"),
        ({**COMMIT, "status": 400}, "status 400, .*out of order"),
        ({**COMMIT, "status": 418}, "status 418, .*out of order"),
        ({**UPLOAD, "cut": 5_000}, "http://127.0.0.1:"),
        ({**COMMIT, "cut": 0}, "http://127.0.0.1:"),
        ({**COMMIT, "status": 200, "body": {"success": True}}, "HF_ENDPOINT"),
        ({"method": "POST", "path": "/create", "status": 402}, "status 402"),
        ({"method": "POST", "path": "/create", "status": 409}, "is taken .*model repository"),
        (
            {"method": "POST", "path": "/validate-yaml", "status": 400, "body": {"errors": [{"message": "bad tag"}]}},
            "bad",
        ),
        (
            {"method": "POST", "path": "/objects/batch", "status": 200, "body": QUOTA},
            "Private storage limit reached",
        ),
    ],
)
def test_what_stays_is_one_sentence_and_the_next_push_sends_the_rest(
    hub_in_process: Hub, light_run: Path, fault: dict, fact: str
) -> None:
    hub_in_process.fail({**fault, "times": ALWAYS})
    with pytest.raises(HubError, match=fact) as caught:
        publish(light_run, "jane/scenes")
    assert str(caught.value).startswith(("model repository jane/scenes: ", "jane/scenes: "))
    assert "\n" not in str(caught.value)
    arrived = [path for path in hub_in_process.requests("POST") if path == "/lfs-verify"]
    hub_in_process.fail()
    publish(light_run, "jane/scenes")
    assert len(hub_in_process.commits("models/jane/scenes")) == 1
    verified = [path for path in hub_in_process.requests("POST") if path == "/lfs-verify"]
    assert len(verified) == 2, "weights and curves, each once"
    assert len(arrived) in (0, 1, 2)


def test_tokens(hub_in_process: Hub, light_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = {
        hub_in_process.read_token: "status 403",
        "hf_NobodyKnowsThisToken": "status 401.*hf auth login",
    }
    for token, fact in cases.items():
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(HubError, match=fact):
            publish(light_run, "jane/scenes")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(light_run / "no-token"))
    hub_in_process.ask("reset", {})
    with pytest.raises(HubError, match="hf auth login"):
        publish(light_run, "jane/scenes")
    assert hub_in_process.ask("requests") == []


def test_another_namespace(hub_in_process: Hub, light_run: Path) -> None:
    with pytest.raises(HubError, match=r"bob/scenes: .*status 403, .*namespace 'bob'"):
        publish(light_run, "bob/scenes")


def test_no_hub_there(hub_in_process: Hub, light_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match=r"http://127.0.0.1:9 "):
        publish(light_run, "jane/scenes")


def test_a_token_that_the_server_repeats_is_not_repeated(hub_in_process: Hub, light_run: Path) -> None:
    token = hub_in_process.write_token
    hub_in_process.fail({**COMMIT, "status": 400, "body": {"error": f"I do not like {token}"}})
    with pytest.raises(HubError, match=r"I do not like \*\*\*") as caught:
        publish(light_run, "jane/scenes")
    assert token not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("fault", [None, {**COMMIT, "status": 403}])
def test_the_command_never_shows_the_token(hub: Hub, fault: dict | None) -> None:
    hub.fail(*([fault] if fault else []))
    run = hub.publish(metric_path("anmrr"), "jane/anmrr", debug=True)
    assert run.returncode == (2 if fault else 0), run.stderr
    assert "Traceback" not in run.stderr
    assert "curl" in run.stderr, "the client tells every request"
    assert hub.write_token not in run.stdout + run.stderr


def test_full_disk(hub: Hub, light_run: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
    run = hub.publish(light_run, "jane/scenes", before=limit)
    assert run.returncode == 2
    assert "cannot be written (File too large)" in run.stderr
    assert "Traceback" not in run.stderr
    assert hub.ask("requests") == []


def test_check_before_training(hub_in_process: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_can_publish("jane/scenes") == check_can_publish("earthlab/scenes") == "jane"
    with pytest.raises(HubError, match=r"bob/scenes: .*jane/NAME or earthlab/NAME"):
        check_can_publish("bob/scenes")
    monkeypatch.setenv("HF_TOKEN", hub_in_process.read_token)
    with pytest.raises(HubError, match=r"token of jane .*read"):
        check_can_publish("jane/scenes")
    monkeypatch.setenv("HF_TOKEN", "hf_NobodyKnowsThisToken")
    with pytest.raises(HubError, match="status 401"):
        check_can_publish("jane/scenes")
    assert set(hub_in_process.requests("POST")) == set()


def test_a_hub_that_does_not_tell_organizations_is_asked_by_the_push(hub_in_process: Hub) -> None:
    hub_in_process.fail({"method": "GET", "path": "/whoami-v2", "status": 200, "body": {"name": "jane"}})
    assert check_can_publish("earthlab/scenes") == "jane"


@pytest.mark.parametrize(
    "answer", [*({"status": status} for status in (404, 405, 501, 503)), {"status": 200, "body": {"id": "jane"}}]
)
def test_a_hub_that_does_not_tell_whose_a_token_is(hub_in_process: Hub, answer: dict) -> None:
    hub_in_process.fail({"method": "GET", "path": "/whoami-v2", "times": ALWAYS, **answer})
    assert check_can_publish("jane/scenes") is None


@pytest.mark.parametrize(
    ("error", "fact"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (FileNotFoundError(errno.ENOENT, "No such file", "part.parquet"), "part.parquet: "),
        (PermissionError("the token has expired"), "the token has expired.*hf auth login"),
    ],
)
def test_what_went_wrong_here_is_no_fault_of_the_network(error: OSError, fact: str) -> None:
    """The client wraps whatever ends the upload of a file."""
    with pytest.raises(HubError, match=fact), hub_errors("model repository jane/scenes"):
        raise RuntimeError("Error while uploading") from error


@pytest.mark.parametrize("error", [TypeError, AttributeError, KeyError, ValueError, RuntimeError])
def test_a_mistake_of_this_package_is_no_answer_of_the_hub(error: type[Exception]) -> None:
    with pytest.raises(error) as caught, hub_errors("model repository jane/scenes"):
        raise error("of ours")
    assert type(caught.value) is error


def test_a_client_that_is_called_wrongly_is_our_mistake() -> None:
    with pytest.raises(TypeError, match="no_such_option"), hub_errors("model repository jane/scenes"):
        HubClient().create_branch("jane/scenes", branch="v2", no_such_option=True)  # type: ignore[call-arg]


def test_the_clients_own_interface_that_is_overridden_is_there() -> None:
    """Of huggingface_hub, which setup.cfg bounds for it: `create_commit` has the card checked by this method."""
    assert "self._validate_yaml(" in inspect.getsource(inspect.unwrap(HfApi.create_commit))
    assert list(inspect.signature(HfApi._validate_yaml).parameters) == ["self", "content", "repo_type", "token"]
