"""Whatever goes wrong on the way to the Hub is one clear sentence, and never the token."""

import errno
import traceback
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from mlrsnet_hf import metric_path
from mlrsnet_hf.publishing.hub import check_can_publish
from mlrsnet_hf.publishing.hub_errors import HubError, hub_errors
from mlrsnet_hf.publishing.publish import publish

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


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ({**PREUPLOAD, "status": 503}, r"the Hub failed \(status 503 "),
        ({**PREUPLOAD, "status": 429}, r"limit of requests is reached .* Wait some minutes"),
        ({**COMMIT, "status": 500}, r"the Hub failed \(status 500 \(it says: out of order\)\)"),
        ({**COMMIT, "status": 409}, "something else is writing to it"),
        ({**COMMIT, "status": 412}, "something else wrote to it meanwhile"),
        ({**COMMIT, "status": 413}, "a file is larger than the Hub takes"),
        ({**COMMIT, "status": 507}, "no room left for this account"),
        ({**COMMIT, "status": 400}, r"refused what was sent \(it says: out of order\)"),
        ({**COMMIT, "status": 418}, r"refused \(status 418 \(it says: out of order\)\)"),
        ({**UPLOAD, "cut": 5_000}, r"the connection to http://127.0.0.1:.* failed"),
        ({**COMMIT, "cut": 0}, r"the connection to http://127.0.0.1:.* failed"),
        ({**COMMIT, "status": 200, "body": {"success": True}}, "answer cannot be used"),
        ({"method": "POST", "path": "/create", "status": 402}, "asks for a paid plan"),
        ({"method": "POST", "path": "/create", "status": 409}, "taken by something other than a model repository"),
        (
            {"method": "POST", "path": "/validate-yaml", "status": 400, "body": {"errors": [{"message": "bad tag"}]}},
            "bad",
        ),
        (
            {"method": "POST", "path": "/objects/batch", "status": 200, "body": QUOTA},
            "does not take a file .*Private storage limit reached",
        ),
    ],
)
def test_what_stays_is_one_sentence_and_the_next_push_sends_the_rest(
    hub_in_process: Hub, light_run: Path, fault: dict, sentence: str
) -> None:
    hub_in_process.fail({**fault, "times": ALWAYS})
    with pytest.raises(HubError, match=sentence) as caught:
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
        hub_in_process.read_token: "the token may not write there .*write token",
        "hf_NobodyKnowsThisToken": "the Hub does not know the token .*hf auth login",
    }
    for token, sentence in cases.items():
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(HubError, match=sentence):
            publish(light_run, "jane/scenes")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(light_run / "no-token"))
    hub_in_process.ask("reset", {})
    with pytest.raises(HubError, match=r"there is no token for the Hub. Run `hf auth login`"):
        publish(light_run, "jane/scenes")
    assert hub_in_process.ask("requests") == []


def test_another_namespace(hub_in_process: Hub, light_run: Path) -> None:
    with pytest.raises(HubError, match=r"bob/scenes: the token may not write there .*under the namespace 'bob'"):
        publish(light_run, "bob/scenes")


def test_no_hub_there(hub_in_process: Hub, light_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match=r"the connection to http://127.0.0.1:9 failed .*Check the network"):
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
    with pytest.raises(HubError, match=r"that of jane, who does not write there\. Give jane/NAME or earthlab/NAME"):
        check_can_publish("bob/scenes")
    monkeypatch.setenv("HF_TOKEN", hub_in_process.read_token)
    with pytest.raises(HubError, match="the token of jane may only read"):
        check_can_publish("jane/scenes")
    monkeypatch.setenv("HF_TOKEN", "hf_NobodyKnowsThisToken")
    with pytest.raises(HubError, match="does not know the token"):
        check_can_publish("jane/scenes")
    assert set(hub_in_process.requests("POST")) == set()


def test_a_hub_that_does_not_tell_organizations_is_asked_by_the_push(hub_in_process: Hub) -> None:
    hub_in_process.fail({"method": "GET", "path": "/whoami-v2", "status": 200, "body": {"name": "jane"}})
    assert check_can_publish("earthlab/scenes") == "jane"


@pytest.mark.parametrize("status", [404, 405, 501, 503])
def test_a_hub_that_does_not_tell_whose_a_token_is(hub_in_process: Hub, status: int) -> None:
    hub_in_process.fail({"method": "GET", "path": "/whoami-v2", "status": status, "times": ALWAYS})
    assert check_can_publish("jane/scenes") is None


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device. Make room on the disk"),
        (FileNotFoundError(errno.ENOENT, "No such file", "part.parquet"), "part.parquet: cannot be read"),
        (PermissionError("the token has expired"), "the storage does not take the token .*hf auth login"),
    ],
)
def test_what_went_wrong_here_is_no_fault_of_the_network(error: OSError, sentence: str) -> None:
    """The client wraps whatever ends the upload of a file."""
    with pytest.raises(HubError, match=sentence), hub_errors("model repository jane/scenes"):
        raise RuntimeError("Error while uploading") from error
