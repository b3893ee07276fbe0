"""A Hub of one process, with the answers that huggingface.co gives to its client; run as a script.

It prints its port. What it holds lies in memory. Beside the Hub's API it has, for the tests:

    POST /_/reset     forget all repositories, requests and faults
    POST /_/faults    [{"method", "path" (a pattern), "times" (after "skip" that go well), and one of "status"
                      (with "headers", "body", and "done" if what is asked is done all the same) and "cut"}]
    GET  /_/requests  [[method, path], ...] since the last reset
    GET  /_/repos     {"models/jane/scenes": {"private", "branches": {name: [{"oid", "message", "files": {...}}]}}}

It knows two tokens of jane, who is in the organization earthlab.
"""

import base64
import hashlib
import json
import re
import socket
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

Files = dict[str, tuple[bytes, bool]]
Commit = dict[str, Any]
Answer = Any
"""A body, or status, body and headers."""
Route = TypeVar("Route", bound=Callable[..., Any])

TOKENS = {"hf_JanesOwnTokenThatWrites": "write", "hf_JanesOwnTokenThatReads": "read"}
NAMESPACES = ("jane", "earthlab")
LFS_FROM = 10_000_000
"""Files of this size go to large file storage, and so do these: the Hub's own .gitattributes names them."""
LFS_NAMES = (".safetensors", ".parquet", ".png", ".jpg")
PART = 1_000_000
"""Larger files are sent in parts."""


class RefusalError(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str = "", code: str | None = None, **body: object) -> None:
        super().__init__(message)
        self.status, self.code = status, code
        self.body = {"error": message, **body}


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Repo:
    def __init__(self, private: bool, sdk: str | None) -> None:
        self.private, self.sdk = private, sdk
        self.branches: dict[str, list[Commit]] = {"main": []}
        self.commit("main", "initial commit", {".gitattributes": (b"*.safetensors filter=lfs\n", False)})

    def commit(self, branch: str, message: str, files: Files) -> str:
        """Add a commit that holds these files: path -> content, and whether it is in large file storage."""
        history = self.branches[branch]
        seed = json.dumps([branch, message, len(history), sorted(files)])
        oid = hashlib.sha1(seed.encode() + b"".join(content for content, _ in files.values())).hexdigest()
        history.append({"oid": oid, "message": message, "files": files})
        return oid

    def at(self, revision: str) -> Commit:
        """Return the commit that a branch or a hash names."""
        if revision in self.branches:
            return self.branches[revision][-1]
        for history in self.branches.values():
            for commit in history:
                if commit["oid"] == revision:
                    return commit
        raise RefusalError(404, f"Invalid rev id: {revision}", code="RevisionNotFound")


class Hub:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.stored: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.collections: dict[str, list[list[str]]] = {"jane/scenes-0123456789abcdef01234567": []}
        self.titles: dict[str, str] = {}
        self.requests: list[list[str]] = []
        self.faults: list[dict[str, Any]] = []


HUB = Hub()
ROUTES: list[tuple[str, re.Pattern[str], Callable[..., Answer]]] = []


def route(method: str, pattern: str) -> Callable[[Route], Route]:
    def add(function: Route) -> Route:
        ROUTES.append((method, re.compile(pattern), function))
        return function

    return add


TYPE, NAME = r"(?P<kind>models|datasets|spaces)", r"(?P<repo>[^/]+/[^/]+)"
PREFIX = r"/(?P<kind>datasets/|spaces/|)"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.answer()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def answer(self) -> None:
        url = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        path = url.path
        if not path.startswith("/_/"):
            with HUB.lock:
                HUB.requests.append([self.command, unquote(path)])
                fault = self.fault(path)
            if fault:
                self.fail(fault)
                return
        self.body = self.read()
        try:
            status, body, headers = self.dispatch(path)
        except RefusalError as refusal:
            headers = {"X-Error-Message": refusal.body["error"]} | (
                {"X-Error-Code": refusal.code} if refusal.code else {}
            )
            status, body = refusal.status, refusal.body
        self.send(status, body, headers)

    def fault(self, path: str) -> dict[str, Any] | None:
        for fault in HUB.faults:
            if fault["times"] and fault["method"] == self.command and re.search(fault["path"], path):
                if fault.get("skip"):
                    fault["skip"] -= 1
                    continue
                fault["times"] -= 1
                return fault
        return None

    def fail(self, fault: dict[str, Any]) -> None:
        if "cut" in fault:
            self.rfile.read1(fault["cut"])
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.body = self.read()
        if fault.get("done"):
            self.dispatch(urlsplit(self.path).path)
        self.send(fault["status"], fault.get("body", {"error": "out of order"}), fault.get("headers", {}))

    def dispatch(self, path: str) -> tuple[int, Any, dict[str, str]]:
        method = "GET" if self.command == "HEAD" else self.command
        for wanted, pattern, function in ROUTES:
            match = pattern.fullmatch(path)
            if wanted == method and match:
                parts = {key: unquote(value) for key, value in match.groupdict().items() if value is not None}
                with HUB.lock:
                    answer = function(self, **parts)
                return answer if isinstance(answer, tuple) else (200, answer, {})
        raise RefusalError(404, f"Sorry, there is no {self.command} {path}")

    def read(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def json(self) -> Any:  # noqa: ANN401
        return json.loads(self.body)

    def send(self, status: int, body: object, headers: dict[str, str]) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json; charset=utf-8"
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted and status == 200 and isinstance(body, bytes):
            first, last = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
            headers = {**headers, "Content-Range": f"bytes {first}-{last}/{len(content)}"}
            status, content = 206, content[first : last + 1]
        self.send_response(status)
        for name, value in {"Content-Type": kind, "X-Request-Id": "Root=1-test", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def role(self) -> str | None:
        """Return what the request's token may do; None without one."""
        given = self.headers.get("Authorization")
        if given is None:
            return None
        token = given.removeprefix("Bearer ")
        if token not in TOKENS:
            raise RefusalError(401, "Invalid credentials in Authorization header")
        return TOKENS[token]

    def repo(self, kind: str, repo: str, write: bool = False) -> Repo:
        role = self.role()
        found = HUB.repos.get((kind, repo))
        if found is None or (found.private and role is None):
            raise RefusalError(404 if role else 401, "Repository not found", code="RepoNotFound")
        if write:
            self.require_write(repo.partition("/")[0])
        return found

    def require_write(self, namespace: str) -> None:
        role = self.role()
        if role is None:
            raise RefusalError(401, "Invalid username or password.")
        if role != "write":
            raise RefusalError(403, "Forbidden: you must use a write token to upload to a repository.")
        if namespace not in NAMESPACES:
            raise RefusalError(403, f"You don't have the rights to write under the namespace {namespace!r}")

    @property
    def origin(self) -> str:
        return f"http://{self.headers['Host']}"

    @property
    def storage(self) -> str:
        """Large files lie at another host, as the client finds out by their redirects."""
        return self.origin.replace("127.0.0.1", "localhost")


@route("POST", "/_/reset")
def reset(request: Handler) -> Answer:
    HUB.reset()
    return {}


@route("POST", "/_/faults")
def faults(request: Handler) -> Answer:
    HUB.faults = request.json()
    return {}


@route("GET", "/_/requests")
def requests(request: Handler) -> Answer:
    return HUB.requests


@route("GET", "/_/repos")
def repos(request: Handler) -> Answer:
    return {
        f"{kind}/{name}": {
            "private": repo.private,
            "sdk": repo.sdk,
            "branches": {
                branch: [
                    {
                        **commit,
                        "files": {path: hashlib.sha256(c).hexdigest() for path, (c, _) in commit["files"].items()},
                    }
                    for commit in history
                ]
                for branch, history in repo.branches.items()
            },
        }
        for (kind, name), repo in HUB.repos.items()
    } | {"collections": HUB.collections}


@route("GET", "/api/whoami-v2")
def whoami(request: Handler) -> Answer:
    role = request.role()
    if role is None:
        raise RefusalError(401, "Invalid username or password.")
    token = {"displayName": "test", "role": role, "createdAt": "2026-01-01T00:00:00.000Z"}
    organizations = [{"type": "org", "id": "2", "name": "earthlab", "fullname": "Earth Lab", "roleInOrg": "write"}]
    return {"type": "user", "id": "1", "name": "jane", "fullname": "Jane", "orgs": organizations} | {
        "auth": {"type": "access_token", "accessToken": token}
    }


@route("POST", "/api/validate-yaml")
def validate_yaml(request: Handler) -> Answer:
    content = request.json()["content"]
    match = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
    try:
        data = yaml.safe_load(match[1]) if match else None
    except yaml.YAMLError as error:
        raise RefusalError(400, "Invalid metadata", errors=[{"message": str(error)}], warnings=[]) from None
    errors = [
        f'"{field}" must be a string'
        for field in ("license", "library_name", "pipeline_tag", "base_model", "sdk")
        if field in (data or {}) and not isinstance(data[field], str)
    ]
    for model in (data or {}).get("model-index", ()):
        for result in model["results"]:
            errors += [
                f"{part}.{field} is missing" for part, field in MODEL_INDEX if not result.get(part, {}).get(field)
            ]
            errors += ["metric.type is missing" for metric in result["metrics"] if not metric.get("type")]
    if errors:
        raise RefusalError(400, "Invalid metadata", errors=[{"message": error} for error in errors], warnings=[])
    warnings = [] if data else [{"message": "empty or missing yaml metadata in repo card"}]
    return {"errors": [], "warnings": warnings}


MODEL_INDEX = [("task", "type"), ("dataset", "type"), ("dataset", "name")]


@route("POST", "/api/repos/create")
def create(request: Handler) -> Answer:
    wanted = request.json()
    namespace = wanted.get("organization") or "jane"
    request.require_write(namespace)
    kind, name = wanted.get("type") or "model", f"{namespace}/{wanted['name']}"
    url = f"{request.origin}/{'' if kind == 'model' else kind + 's/'}{name}"
    if (f"{kind}s", name) in HUB.repos:
        raise RefusalError(409, f"You already created this {kind} repo", url=url)
    if kind == "space" and wanted.get("sdk") not in ("gradio", "docker", "static", "streamlit"):
        raise RefusalError(400, "sdk is required")
    private = wanted.get("private") or wanted.get("visibility") == "private"
    HUB.repos[f"{kind}s", name] = Repo(bool(private), wanted.get("sdk"))
    return {"url": url, "name": name, "id": "0"}


@route("GET", f"/api/{TYPE}/{NAME}")
@route("GET", f"/api/{TYPE}/{NAME}/revision/(?P<revision>[^/]+)")
def info(request: Handler, kind: str, repo: str, revision: str = "main") -> Answer:
    found = request.repo(kind, repo)
    commit = found.at(revision)
    card = commit["files"].get("README.md", (b"", False))[0].decode()
    header = re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)
    data = yaml.safe_load(header[1]) if header else {}
    return {
        "_id": "0",
        "id": repo,
        "author": repo.partition("/")[0],
        "sha": commit["oid"],
        "private": found.private,
        "gated": False,
        "disabled": False,
        "tags": data.get("tags", []),
        "downloads": 0,
        "likes": 0,
        "lastModified": "2026-01-01T00:00:00.000Z",
        "createdAt": "2026-01-01T00:00:00.000Z",
        "cardData": data,
        "siblings": [{"rfilename": path} for path in commit["files"]],
    } | ({"modelId": repo, "pipeline_tag": data.get("pipeline_tag")} if kind == "models" else {})


@route("GET", f"/api/{TYPE}/{NAME}/refs")
def refs(request: Handler, kind: str, repo: str) -> Answer:
    branches = request.repo(kind, repo).branches
    named = [{"name": b, "ref": f"refs/heads/{b}", "targetCommit": h[-1]["oid"]} for b, h in branches.items()]
    return {"branches": named, "tags": [], "converts": []}


@route("POST", f"/api/{TYPE}/{NAME}/branch/(?P<branch>[^/]+)")
def branch(request: Handler, kind: str, repo: str, branch: str) -> Answer:
    found = request.repo(kind, repo, write=True)
    if branch in found.branches:
        raise RefusalError(409, f"Reference already exists: refs/heads/{branch}")
    if not re.fullmatch(r"[\w.-]+", branch):
        raise RefusalError(400, f"Invalid reference for a branch: {branch}")
    found.branches[branch] = list(found.branches["main"])
    return {}


def described(path: str, content: bytes, lfs: bool) -> dict[str, Any]:
    entry = {"type": "file", "path": path, "size": len(content), "oid": git_hash(content)}
    if lfs:
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return entry


@route("GET", f"/api/{TYPE}/{NAME}/tree/(?P<revision>[^/]+)(?:/(?P<path>.+))?")
def tree(request: Handler, kind: str, repo: str, revision: str, path: str = "") -> Answer:
    files = request.repo(kind, repo).at(revision)["files"]
    inside = f"{path}/" if path else ""
    under = {name: file for name, file in files.items() if name.startswith(inside)}
    if path and not under:
        raise RefusalError(404, f"{path} does not exist on {revision}", code="EntryNotFound")
    recursive = request.query.get("recursive", "").lower() in ("true", "1")
    entries = {}
    for name, (content, lfs) in sorted(under.items()):
        *folders, _ = name[len(inside) :].split("/")
        for depth in range(1, len(folders) + 1):
            folder = inside + "/".join(folders[:depth])
            if recursive or depth == 1:
                entries[folder] = {"type": "directory", "path": folder, "size": 0, "oid": git_hash(folder.encode())}
        if recursive or not folders:
            entries[name] = described(name, content, lfs)
    return list(entries.values())


@route("POST", f"/api/{TYPE}/{NAME}/paths-info/(?P<revision>[^/]+)")
def paths_info(request: Handler, kind: str, repo: str, revision: str) -> Answer:
    files = request.repo(kind, repo).at(revision)["files"]
    given = request.body.decode()
    paths = json.loads(given)["paths"] if given.startswith("{") else parse_qs(given).get("paths", [])
    found = []
    for path in paths:
        if path in files:
            found.append(described(path, *files[path]))
        elif any(name.startswith(f"{path}/") for name in files):
            found.append({"type": "directory", "path": path, "size": 0, "oid": git_hash(path.encode())})
    return found


@route("POST", f"/api/{TYPE}/{NAME}/preupload/(?P<revision>[^/]+)")
def preupload(request: Handler, kind: str, repo: str, revision: str) -> Answer:
    files = request.repo(kind, repo, write=True).at(revision)["files"]
    answers = []
    for file in request.json()["files"]:
        lfs = file["size"] >= LFS_FROM or file["path"].endswith(LFS_NAMES)
        answer = {"path": file["path"], "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
        if file["path"] in files:
            content, was_lfs = files[file["path"]]
            answer["oid"] = hashlib.sha256(content).hexdigest() if was_lfs else git_hash(content)
        answers.append(answer)
    return {"files": answers}


@route("POST", PREFIX + NAME + r"\.git/info/lfs/objects/batch")
def batch(request: Handler, kind: str, repo: str) -> Answer:
    request.repo((kind or "models").rstrip("/"), repo, write=True)
    objects = []
    for wanted in request.json()["objects"]:
        oid, size = wanted["oid"], wanted["size"]
        answer = {"oid": oid, "size": size}
        if oid not in HUB.stored:
            header = {}
            href = f"{request.storage}/lfs/{oid}"
            if size > PART:
                parts = range(1, -(-size // PART) + 1)
                header = {"chunk_size": str(PART)} | {f"{i:05}": f"{href}/part/{i}?signed=1" for i in parts}
                href = f"{href}/complete"
            verify = {"href": f"{request.origin}/lfs-verify"}
            answer["actions"] = {"upload": {"href": f"{href}?signed=1", "header": header}, "verify": verify}
        objects.append(answer)
    return 200, {"transfer": "basic", "objects": objects}, {"Content-Type": "application/vnd.git-lfs+json"}


@route("PUT", "/lfs/(?P<oid>[0-9a-f]{64})")
def upload(request: Handler, oid: str) -> Answer:
    if request.headers.get("Authorization"):
        raise RefusalError(400, "Only one auth mechanism allowed")  # as a signed address of the storage says
    return store(oid, request.body)


@route("PUT", "/lfs/(?P<oid>[0-9a-f]{64})/part/(?P<number>[0-9]+)")
def upload_part(request: Handler, oid: str, number: str) -> Answer:
    HUB.parts.setdefault(oid, {})[int(number)] = request.body
    return 200, b"", {"ETag": f'"{hashlib.md5(request.body).hexdigest()}"'}


@route("POST", "/lfs/(?P<oid>[0-9a-f]{64})/complete")
def complete(request: Handler, oid: str) -> Answer:
    numbers = [part["partNumber"] for part in request.json()["parts"]]
    return store(oid, b"".join(HUB.parts[oid][number] for number in numbers))


def store(oid: str, content: bytes) -> Answer:
    if hashlib.sha256(content).hexdigest() != oid:
        raise RefusalError(400, "content does not have this hash")
    HUB.stored[oid] = content
    return 200, b"", {}


@route("POST", "/lfs-verify")
def verify(request: Handler) -> Answer:
    wanted = request.json()
    if len(HUB.stored.get(wanted["oid"], b"")) != wanted["size"]:
        raise RefusalError(404, "not uploaded")
    return {}


@route("POST", f"/api/{TYPE}/{NAME}/commit/(?P<revision>[^/]+)")
def commit(request: Handler, kind: str, repo: str, revision: str) -> Answer:
    found = request.repo(kind, repo, write=True)
    if revision not in found.branches:
        raise RefusalError(404, f"Invalid rev id: {revision}", code="RevisionNotFound")
    files = dict(found.at(revision)["files"])
    lines = [json.loads(line) for line in request.body.splitlines()]
    for line in lines[1:]:
        change(files, line["key"], line["value"])
    check_eval_yaml(files)
    oid = found.commit(revision, lines[0]["value"]["summary"], files)
    url = f"{request.origin}/{'' if kind == 'models' else kind + '/'}{repo}/commit/{oid}"
    return {"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""}


def check_eval_yaml(files: Files) -> None:
    """Refuse an eval.yaml of another form than https://huggingface.co/docs/hub/eval-results shows."""
    if "eval.yaml" not in files:
        return
    content = yaml.safe_load(files["eval.yaml"][0])
    texts = [content[name] for name in ("name", "description", "evaluation_framework")]
    texts += [task[name] for task in content["tasks"] for name in ("id", "config", "split")]
    if not content["tasks"] or not all(isinstance(text, str) and text for text in texts):
        raise RefusalError(400, "eval.yaml is not valid")


def change(files: Files, key: str, value: dict[str, Any]) -> None:
    path = value["path"]
    if key == "file":
        files[path] = base64.b64decode(value["content"]), False
    elif key == "lfsFile":
        if value["oid"] not in HUB.stored:
            raise RefusalError(400, f"LFS pointer pointed to a file that does not exist: {path}")
        files[path] = HUB.stored[value["oid"]], True
    elif key == "deletedFile":
        if files.pop(path, None) is None:
            raise RefusalError(404, f"A file with this name doesn't exist: {path}", code="EntryNotFound")
    else:
        raise RefusalError(400, f"cannot do {key}")


@route("GET", f"{PREFIX}{NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
def resolve(request: Handler, kind: str, repo: str, revision: str, path: str) -> Answer:
    at = request.repo((kind or "models").rstrip("/"), repo).at(revision)
    headers = {"X-Repo-Commit": at["oid"], "Accept-Ranges": "bytes"}
    if path not in at["files"]:
        raise RefusalError(404, "Entry not found", code="EntryNotFound")
    content, lfs = at["files"][path]
    if not lfs:
        return 200, content, {**headers, "ETag": f'"{git_hash(content)}"'}
    oid = hashlib.sha256(content).hexdigest()
    headers |= {
        "X-Linked-Size": str(len(content)),
        "X-Linked-ETag": f'"{oid}"',
        "Location": f"{request.storage}/cdn/{oid}",
    }
    return 302, b"Found", headers


@route("GET", "/cdn/(?P<oid>[0-9a-f]{64})")
def cdn(request: Handler, oid: str) -> Answer:
    return 200, HUB.stored[oid], {"ETag": f'"{hashlib.md5(HUB.stored[oid]).hexdigest()}"', "Accept-Ranges": "bytes"}


def collection_of(slug: str) -> dict[str, Any]:
    if slug not in HUB.collections:
        raise RefusalError(404, "Collection not found")
    items = [
        {"_id": str(i), "position": i, "id": name, "repoType": t, "type": t}
        for i, (name, t) in enumerate(HUB.collections[slug])
    ]
    return {
        "slug": slug,
        "title": HUB.titles.get(slug, "scenes"),
        "owner": {"name": "jane", "type": "user"},
        "items": items,
        "lastUpdated": "2026-01-01T00:00:00.000Z",
        "position": 0,
        "private": False,
        "theme": "blue",
        "upvotes": 0,
    }


@route("POST", "/api/collections")
def create_collection(request: Handler) -> Answer:
    wanted = request.json()
    namespace, title = wanted["namespace"], wanted["title"]
    request.require_write(namespace)
    if len(title) > 60 or len(wanted.get("description") or "") > 150:
        raise RefusalError(400, "title or description is too long")
    words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    slug = f"{namespace}/{words}-{hashlib.md5(f'{namespace}/{title}'.encode()).hexdigest()[:24]}"
    if slug in HUB.collections:
        raise RefusalError(409, "You already have a collection of this title", slug=slug)
    HUB.collections[slug], HUB.titles[slug] = [], title
    return collection_of(slug)


@route("GET", "/api/collections/(?P<slug>[^/]+/[^/]+)")
def collection(request: Handler, slug: str) -> Answer:
    return collection_of(slug)


@route("POST", "/api/collections/(?P<slug>[^/]+/[^/]+)/items")
def collect(request: Handler, slug: str) -> Answer:
    request.require_write("jane")
    item = request.json()["item"]
    collection_of(slug)
    request.repo(f"{item['type']}s", item["id"])
    if [item["id"], item["type"]] in HUB.collections[slug]:
        raise RefusalError(409, "already in the collection")
    HUB.collections[slug].append([item["id"], item["type"]])
    return collection_of(slug)


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
