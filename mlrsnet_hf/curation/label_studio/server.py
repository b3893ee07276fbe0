"""A Label Studio server: projects are filled with tasks, annotations are read.

Here alone it is spoken to, by label-studio-sdk. Whatever was asked for may be asked for again after a kill of either
side: what the server has already is found and not made twice.
"""

import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from mlrsnet_hf.curation.label_studio.server_errors import REFUSED, asking
from mlrsnet_hf.curation.label_studio.tasks import (
    Annotation,
    PresentTask,
    PresentTasks,
    Task,
    digest,
    read_annotation,
)
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import quoted
from mlrsnet_hf.runtime.logs import progress_bar

if TYPE_CHECKING:
    from label_studio_sdk import LabelStudio

URL = "http://localhost:8080"
"""Where Label Studio listens by default."""
TIMEOUT = 120.0
"""Seconds until a server that says nothing is given up."""
SHORTEST_TITLE, LONGEST_TITLE = 3, 50
"""Characters of a project's title that Label Studio takes."""
_PAGE = 500
"""Tasks that are sent or read at once; 500 of them take about a second."""
_LISTED = 2000
"""Tasks that are read at once without their annotations, which takes a fifth of the time."""
_NAMED = 250
"""Tasks that are read by their numbers at once: addresses of more than 4 KB do not pass every server."""
_PROJECTS = 100
"""Projects that are read at once, the most that Label Studio sends."""
_AT_ONCE = 4
"""Requests that change one task each; more would keep annotators waiting."""
_ONCE: Any = {"max_retries": 0}
"""For what makes something: the sdk would ask again after a broken connection, and do it twice."""
_AGAIN: Any = {"max_retries": 4}
"""For what may be asked for twice: for some 8 seconds, while somebody else has locked SQLite."""
_WAITS = (1.0, 4.0, None)
"""Seconds until tasks are sent again that a server failed to take, after it was asked what it has."""
_TASK = "id,data,overlap,is_labeled,total_annotations,updated_at"
_ANNOTATED = "id,data,annotations,result,completed_by,created_username,created_at,updated_at,lead_time,was_cancelled"
"""Fields that are asked for, of tasks and their annotations; all of them take three times as long."""
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
_LOCAL = "/data/local-files/"
_UNUSED = "unused: "
_Item = TypeVar("_Item")


class Server:
    """A server that has answered, and takes the key; `connect` gives it.

    All methods raise `MLRSNetError` where the server cannot be reached, fails, or refuses.

    Args:
        client: The sdk's.
        http: What it sends its requests by.
        url: The server's address, without / at its end.
    """

    def __init__(self, client: "LabelStudio", http: httpx.Client, url: str) -> None:
        self._client = client
        self._http = http
        self.url = url

    def project_url(self, project: int) -> str:
        """Return the address at which annotators begin: it opens the first task that is theirs."""
        return f"{self.url}/projects/{project}/data?labeling=1"

    def fill_project(
        self,
        title: str,
        config: str,
        tasks: Sequence[Task],
        votes: int = 1,
        description: str = "",
        folder: Path | None = None,
        others: Iterable[str] = (),
        in_rounds: bool = False,
        present: PresentTasks | None = None,
    ) -> int:
        """Return the project of a title with all of some tasks; what it lacks of itself and of them is made.

        Args:
            title: 3 to 50 characters, compared exactly; of several such projects the oldest is taken.
            config: Labeling configuration, for a project that is new.
            tasks: Their keys differ. Those that the project has keep their votes, and show what is said here.
            votes: What most of the tasks ask for: these are sent many at a time, the others one by one.
            description: For a project that is new.
            folder: Pictures that the server is to serve, below its document root; None where tasks hold addresses.
            others: Keys of tasks that the project may have besides.
            in_rounds: Have the queue hand out each of the tasks, those that were there too, to so many more people as
                its votes say than have voted on it, and no other task. Nobody is shown a task twice.
            present: What `tasks` has found; read if unset, or if the project is another one by now.

        Raises:
            ConfigurationError: The title has another length, a project of this title has tasks of something else, or
                the server refuses the configuration, a task or the folder.
        """
        from label_studio_sdk.core.api_error import ApiError

        if not SHORTEST_TITLE <= len(title) <= LONGEST_TITLE:
            raise ConfigurationError(
                f"the title {quoted(title)} of a project has {len(title)} characters",
                f"Label Studio takes {SHORTEST_TITLE} to {LONGEST_TITLE}.",
            )
        with self._asking(f"project {quoted(title)}"):
            project = self._project(title, config, votes, description)
            if folder is not None:
                self._serve(project, folder, tasks)
            if present is None or present.project != project:
                present = self.tasks(project)
            keys = {task.key for task in tasks}.union(others)
            if present.by_key and not any(key in keys for key in present.by_key):
                raise ConfigurationError(
                    f"{self.url}: a project {quoted(title)} is there already, with tasks of something else",
                    "Rename it there, or choose another title.",
                )
            self._renew(tasks, present)
            for wait in _WAITS:
                try:
                    if missing := [task for task in tasks if task.key not in present.by_key]:
                        self._add(project, missing)
                        present = self.tasks(project)
                    break
                except ApiError as error:  # SQLite is often locked while people vote
                    if wait is None or (error.status_code or 0) < 500:
                        raise
                    time.sleep(wait)
                    present = self.tasks(project)
            self._drop_copies(present)
            if in_rounds:
                self._ask_votes({task.key: task.votes for task in tasks}, present)
        return project

    def find_project(self, title: str) -> int | None:
        """Return the number of the project of a title, of several the oldest; None if there is none."""
        with self._asking("projects"):
            # By number, since a page is cut to the number of projects counted just before it is read: of those that are
            # made meanwhile the last may be left out, and with the server's own order, newest first, the oldest.
            alike: Any = self._client.projects.list(title=title, ordering="id", page_size=_PROJECTS)
            return min((int(one.id) for one in alike if one.title == title), default=None)

    def tasks(self, project: int) -> PresentTasks:
        """Return what tasks a project has."""
        found = defaultdict(list)
        with self._asking(f"project {project}"):
            for task in self._read(project, _TASK):
                key = str(task.data.get("key", ""))
                votes, overlap, is_labeled = task.total_annotations or 0, task.overlap or 1, bool(task.is_labeled)
                found[key].append(PresentTask(task.id, votes, overlap, is_labeled, task.updated_at, digest(task.data)))
        return PresentTasks(project, found)

    def annotations(self, project: int, since: datetime | None = None) -> list[Annotation]:
        """Return what was submitted in a project, by number; skipped tasks are left out, and tasks without a key.

        Args:
            project: Its number.
            since: Leave out tasks on which nothing was done since, by the server's clock.
        """
        with self._asking(f"project {project}"):
            return self._submitted(self._read(project, _ANNOTATED, since))

    def new_annotations(
        self, present: PresentTasks, known: Mapping[str, int], since: datetime | None = None
    ) -> Iterator[Annotation]:
        """Yield what `annotations` returns, in any order, without tasks of which all that was submitted is known.

        Args:
            present: The project's tasks; those whose annotations are read have these counted.
            known: Number of annotations of each task that are known.
            since: Tasks on which something was done since are read as well; all are if unset.
        """
        unknown = {
            one.id: one
            for key, copies in present.by_key.items()
            for one in copies
            if since is None or one.changed >= since or one.votes != known.get(key, 0)
        }
        with self._asking(f"project {present.project}"):
            for task in self._named(present.project, list(unknown)):
                found = self._submitted([task])
                unknown[task.id].votes = len(found)
                yield from found

    def _submitted(self, tasks: Iterable[Any]) -> list[Annotation]:
        found = [
            read_annotation(str(task.data["key"]), annotation, self.url)
            for task in tasks
            for annotation in task.annotations or ()
            if "key" in task.data and not annotation.get("was_cancelled")
        ]
        return sorted(found, key=lambda annotation: annotation.id)

    def people(self) -> list[str]:
        """Return the e-mail addresses of all who may vote, sorted."""
        with self._asking("people"):
            return sorted(user.email for user in self._client.users.list() if "@" in (user.email or ""))

    def _project(self, title: str, config: str, votes: int, description: str) -> int:
        """Return the number of a project, which is made if there is none."""
        found = self.find_project(title)
        if found is not None:
            return found
        made: Any = self._client.projects.create(
            title=title,
            label_config=config,
            description=description,
            maximum_annotations=votes,
            sampling="Uniform sampling",
            request_options=_ONCE,
        )
        oldest = self.find_project(title)
        if oldest is not None and oldest != made.id:  # somebody else was faster
            # Never deleted: while Label Studio deletes a project it counts no votes, and after two deletions at once
            # none until it is started again (seen in 1.23.2, which takes its signals' receivers away meanwhile).
            self._client.projects.update(made.id, title=f"{_UNUSED}{title}"[:LONGEST_TITLE], request_options=_ONCE)
            return oldest
        return int(made.id)

    def _serve(self, project: int, folder: Path, tasks: Sequence[Task]) -> None:
        """Let the server serve a folder's files to who may see the project, and look whether it does."""
        path = str(folder.absolute())
        remedy = (
            "Start Label Studio where the folder can be read, with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and "
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT naming a folder above it, and set the latter here too."
        )
        with self._asking(f"the pictures of {path}", remedy):
            if not any(storage.path == path for storage in self._client.import_storage.local.list(project=project)):
                self._client.import_storage.local.create(
                    project=project, path=path, use_blob_urls=True, title="pictures", request_options=_ONCE
                )
            values = (value for task in tasks for value in task.data.values() if isinstance(value, str))
            first = next((value for value in values if value.startswith(_LOCAL)), None)
            if first is not None:
                headers = self._client._client_wrapper.get_headers()  # the sdk has no call for pictures
                found = self._http.get(self.url + first, headers=headers, follow_redirects=True).status_code
                if found != 200:
                    raise ConfigurationError(
                        f"{self.url}: does not serve the pictures of {path} (HTTP {found})", remedy
                    )

    def _renew(self, tasks: Sequence[Task], present: PresentTasks) -> None:
        """Have tasks show what they are to show by now: the folder of their pictures may have moved."""
        changed = [
            (one.id, {"data": task.sent()})
            for task in tasks
            for one in present.by_key.get(task.key, ())
            if one.shows != task.digest()
        ]
        self._change(changed, "changing tasks")

    def _add(self, project: int, tasks: Sequence[Task]) -> None:
        """Send tasks: those that want as many votes as the project many at a time, the others one by one.

        A task has its number of votes from the first moment on, since the queue hands it out at once.
        """
        usual = self._client.projects.get(project).maximum_annotations
        many = [task for task in tasks if task.votes == usual]
        with progress_bar(description="sending tasks", total=len(tasks), unit="task", shown=bool(tasks)) as bar:
            for start in range(0, len(many), _PAGE):
                page = many[start : start + _PAGE]
                sent: Any = [{"data": task.sent()} for task in page]
                self._client.projects.import_tasks(project, request=sent, request_options=_ONCE)
                bar.update(len(page))

            def create(task: Task) -> None:
                self._client.tasks.create(project=project, data=task.sent(), overlap=task.votes, request_options=_ONCE)

            for _ in _some_at_once(create, [task for task in tasks if task.votes != usual]):
                bar.update(1)

    def _ask_votes(self, further: Mapping[str, int], present: PresentTasks) -> None:
        """Have the queue hand out tasks to so many more people than have voted on them, and no others."""
        changed: list[tuple[int, dict[str, Any]]] = []
        for key, copies in present.by_key.items():
            wanted = further.get(key, 0)
            for task in copies:
                if wanted and (task.is_labeled or task.overlap != task.votes + wanted):
                    # Raised alone, the number of votes does not bring back a task that had all.
                    changed.append((task.id, {"overlap": task.votes + wanted, "is_labeled": False}))
                elif not wanted and not task.is_labeled:
                    changed.append((task.id, {"is_labeled": True}))
        self._change(changed, "asking for votes")

    def _change(self, changed: Sequence[tuple[int, Mapping[str, Any]]], description: str) -> None:
        """Give tasks other values; Label Studio (1.23) takes one at a time, in 60 ms."""

        def change(one: tuple[int, Mapping[str, Any]]) -> None:
            self._client.tasks.update(str(one[0]), **one[1], request_options=_AGAIN)

        done = _some_at_once(change, changed)
        for _ in progress_bar(done, description, total=len(changed), unit="task", shown=bool(changed)):
            pass

    def _drop_copies(self, present: PresentTasks) -> None:
        """Remove tasks that came twice, when a call was given up that the server went on with; never one with votes."""
        from label_studio_sdk.core.api_error import ApiError

        copies = []
        for alike in present.by_key.values():
            copies += [one.id for one in sorted(alike, key=lambda one: (not one.votes, one.id))[1:] if not one.votes]
        for number in copies:
            # Asked again just before, since somebody may have voted, the server's own count may lack what was
            # submitted, and leaves out who has skipped it.
            if any(not task.annotations for task in self._named(present.project, [number])):
                try:
                    self._client.tasks.delete(str(number), request_options=_ONCE)
                except ApiError as error:
                    if error.status_code != 404:  # another process removes copies too
                        raise

    def _read(self, project: int, fields: str, since: datetime | None = None) -> Iterator[Any]:
        """Yield a project's tasks in order; the sdk's own pager takes a project's removal for the end.

        A page begins after the last task of the one before: tasks that are removed meanwhile shift nothing.
        """
        conditions: list[dict[str, Any]] = [
            {"filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": 0}
        ]
        if since is not None:
            moment = since.astimezone(UTC).strftime(_TIME)
            condition = {"filter": "filter:tasks:updated_at", "operator": "greater_or_equal", "type": "Datetime"}
            conditions.append(condition | {"value": moment})
        query = {"filters": {"conjunction": "and", "items": conditions}}
        found = self._page(project, fields, query)
        several = len(found.items) < found.response.total
        with progress_bar(description="reading tasks", total=found.response.total, unit="task", shown=several) as bar:
            while True:
                yield from found.items
                bar.update(len(found.items))
                if not found.items or len(found.items) >= found.response.total:
                    return
                conditions[0]["value"] = found.items[-1].id
                found = self._page(project, fields, query)

    def _named(self, project: int, ids: Sequence[int]) -> Iterator[Any]:
        """Yield tasks with their annotations by their numbers; those that are no longer there are left out."""
        with progress_bar(description="reading votes", total=len(ids), unit="task", shown=len(ids) > _NAMED) as bar:
            for start in range(0, len(ids), _NAMED):
                named = ids[start : start + _NAMED]
                yield from self._page(project, _ANNOTATED, {"selectedItems": {"all": False, "included": named}}).items
                bar.update(len(named))

    def _page(self, project: int, fields: str, query: Mapping[str, Any]) -> Any:  # noqa: ANN401 - the sdk's
        """Return the first of the tasks that a query of the data manager finds."""
        annotated = fields == _ANNOTATED
        return self._client.tasks.list(
            project=project,
            page=1,
            page_size=_PAGE if annotated else _LISTED,
            fields="all" if annotated else "task_only",
            include=fields,
            query=json.dumps(query, separators=(",", ":")),
        )

    @contextmanager
    def _asking(self, subject: str, refused: str = REFUSED) -> Iterator[None]:
        with asking(self.url, subject, refused):
            yield


def connect(url: str | None = None, key: str | None = None, timeout: float = TIMEOUT) -> Server:
    """Return a server that has answered and takes the key.

    Args:
        url: Its address; None for that of `LABEL_STUDIO_URL`, else http://localhost:8080.
        key: A personal access token or legacy token of its account page; None for that of `LABEL_STUDIO_API_KEY`.
        timeout: Seconds until it is given up when it says nothing, in this call and all later ones.

    Raises:
        ConfigurationError: There is no key, the server does not take it, or no Label Studio answers.
    """
    from label_studio_sdk import LabelStudio

    url = (url or os.environ.get("LABEL_STUDIO_URL") or URL).strip().rstrip("/")
    key = (key or os.environ.get("LABEL_STUDIO_API_KEY") or "").strip()
    remedy = f"Take it from {url}/user/account, and set LABEL_STUDIO_API_KEY."
    if not key:
        raise ConfigurationError(f"{url}: no key to Label Studio is given", remedy)
    if not (key.isascii() and key.isprintable()):
        raise ConfigurationError(f"{url}: the key has characters that no key has", remedy)
    http = httpx.Client(timeout=timeout)  # no redirects: what is sent would be lost on the way
    with asking(url, "the account"):
        client = LabelStudio(base_url=url, api_key=key, httpx_client=http, timeout=timeout)
        try:
            email = client.users.whoami(request_options=_ONCE).email
        except (TypeError, AttributeError):  # JSON of another shape
            email = None
        if not email:
            raise ConfigurationError(f"{url}: what answers is no Label Studio", "Check LABEL_STUDIO_URL.")
    return Server(client, http, url)


def _some_at_once(ask: Callable[[_Item], None], items: Sequence[_Item]) -> Iterator[None]:
    """Yield as often as something was asked; where that fails, or whoever reads ends it, no more is asked."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        asked = [threads.submit(ask, item) for item in items]
        try:
            for one in as_completed(asked):
                yield one.result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
