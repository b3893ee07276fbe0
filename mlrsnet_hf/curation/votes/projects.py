"""A curation's projects in Label Studio: one for each stage, whose tasks ask for as many votes as the open round lacks.

Nobody is shown an image twice in a project, so that every vote that a later round asks for is another person's.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mlrsnet_hf.curation.config import Task
from mlrsnet_hf.curation.label_studio.served_images import opaque_name, serve_images
from mlrsnet_hf.curation.label_studio.server import Server
from mlrsnet_hf.curation.label_studio.tasks import Annotation, PresentTasks
from mlrsnet_hf.curation.label_studio.tasks import Task as ShownTask
from mlrsnet_hf.curation.label_studio.views import (
    BOUNDARY,
    CHOICES,
    IMAGE,
    label_choices,
    labels_view,
    read_labels,
    read_scene,
    scene_view,
)
from mlrsnet_hf.curation.vocabulary.vocabulary import folded
from mlrsnet_hf.curation.votes.event_log import Candidate, Repeated, Vote
from mlrsnet_hf.curation.votes.folder import IMAGES, Curation
from mlrsnet_hf.curation.votes.rounds import LAST_STAGE, State, new_votes, taken_for
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import quoted
from mlrsnet_hf.runtime.logs import get_logger

_DESCRIPTION = {
    "scene": "Choose the category of each image by its key, then Ctrl+Enter. Judge by the picture alone.",
    "labels": "Choose all that each image shows by their keys, then Ctrl+Enter. Judge by the picture alone.",
}
_LONGEST_REQUEST = timedelta(minutes=10)
"""Between the moment that a vote is given and the one from which on it can be read."""

logger = get_logger(__name__)


def now() -> str:
    """Return this moment as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Projects:
    """The projects of one curation, for as long as a command runs.

    Args:
        curation: The curation.
        server: Where it is voted.
    """

    def __init__(self, curation: Curation, server: Server) -> None:
        self._curation = curation
        self._present: dict[int, PresentTasks] = {}
        self.server = server

    def send_round(self, state: State) -> int:
        """Make the project of the open round's stage ask for what the round lacks; return the project's number.

        It may be called again at any time: after a kill of either side, and for a database that was restored from a
        copy, which has lost votes that the log has. Tasks are as `read_votes` has found them, where it has compared.
        """
        assert state.round is not None, "a round is open"
        stage = state.round.stage
        served = serve_images(self._curation.info.images, list(state.lacking), self._curation.root / IMAGES)
        keys = {image: opaque_name(image) for image in state.claims}
        shown = _shown(self._curation, state)
        tasks = [
            ShownTask(key=keys[image], data={IMAGE: served.addresses[image], **shown.get(image, {})}, votes=votes)
            for image, votes in state.lacking.items()
        ]
        is_scene, categories = self._curation.task == "scene", self._curation.info.categories
        return self.server.fill_project(
            self._curation.title(stage),
            scene_view(categories, stage == LAST_STAGE) if is_scene else labels_view(),
            tasks,
            votes=self._curation.rules().first_votes,
            description=_DESCRIPTION[self._curation.task],
            folder=served.folder,
            others=keys.values(),
            in_rounds=True,
            present=self._present.get(stage),
        )

    def read_votes(self, state: State, compare: bool = True) -> list[Candidate | Vote | Repeated]:
        """Return what the server has and the log has not: votes, and before these labels that nobody had thought of.

        A vote that cannot be read, or is on a task that is none of the curation's, is told and counts for nothing.
        Tasks on which nothing was done since the log's last vote are not read, but for ten minutes before it.

        Args:
            state: By the log.
            compare: Compare the number of votes on each task with the log's besides, so that none is left out where the
                server's clock was set back. It takes a minute for 100,000 tasks.
        """
        images = {opaque_name(image): image for image in state.claims}
        # A page shows names with spaces for underscores, and who answers by a program gives them as they are shown.
        categories = self._curation.info.categories
        names = {folded(name): name for name in categories} | {name: name for name in categories}
        read: list[Vote] = []
        faults: list[ConfigurationError] = []
        for stage in range(1, 1 if state.round is None else state.round.stage + 1):
            project = self.server.find_project(self._curation.title(stage))
            strange = 0
            for annotation in () if project is None else self._annotations(state, project, stage, compare):
                image = images.get(annotation.key)
                if image is None:
                    strange += 1
                    continue
                try:
                    place = f"{self.server.url}, annotation {annotation.id}"
                    read.append(_vote(self._curation.task, annotation, image, stage, names, place))
                except ConfigurationError as error:
                    faults.append(error)
            if strange:
                logger.warning("%s votes are on images that are none of this curation's: they do not count", strange)
        if faults:
            logger.warning("%s votes cannot be read and do not count, such as %s", len(faults), faults[0])
        news = new_votes(state, read)
        claimed = set(state.candidates)
        brought: list[Candidate | Vote | Repeated] = []
        for vote in news if self._curation.task == "labels" else []:
            if isinstance(vote, Repeated):
                continue
            first = state.candidates[state.claims[vote.image][0]]
            for label in vote.answers:
                if (vote.image, label) not in claimed:
                    claimed.add((vote.image, label))
                    brought.append(replace(first, category=label, collected=False))
        return [*brought, *news]

    def _annotations(self, state: State, project: int, stage: int, compare: bool) -> Iterable[Annotation]:
        """Return what was submitted in the project of a stage, without what the log is sure to have."""
        votes = [vote for (_, _, of), vote in state.votes.items() if of == stage]
        since = _last(votes)
        if not compare:
            return self.server.annotations(project, since)
        self._present[stage] = self.server.tasks(project)
        known = Counter(vote.image for vote in votes)
        keys = {opaque_name(image): number for image, number in known.items()}
        return self.server.new_annotations(self._present[stage], keys, since)


def _shown(curation: Curation, state: State) -> Mapping[str, Mapping[str, Any]]:
    """Return what annotators are shown of an image beside its picture: nothing of what it is said to show."""
    assert state.round is not None, "a round is open"
    if curation.task == "labels":
        scenes = {image: state.candidates[claims[0]].scene or "" for image, claims in state.claims.items()}
        choices = {
            scene: label_choices(curation.info.categories, curation.info.first.get(scene, ()))
            for scene in set(scenes.values())
        }
        return {image: {CHOICES: choices[scene]} for image, scene in scenes.items()}
    if state.round.stage < LAST_STAGE:
        return {}
    # The boundary of two categories tells which two they are, and not for which of them the image was collected.
    texts = {frozenset((one.first, one.second)): one.text for one in state.boundaries}
    taken = taken_for(state)
    return {
        image: {BOUNDARY: texts.get(taken.get(claim, frozenset()), "")} for image, (claim, *_) in state.claims.items()
    }


def _last(votes: Iterable[Vote]) -> datetime | None:
    """Return when the last vote was given, by the server's clock, less what requests may take; None if unknown."""
    moments = [vote.moment for vote in votes]
    known = [moment for moment in moments if moment is not None]
    return max(known) - _LONGEST_REQUEST if known and len(known) == len(moments) else None


def _vote(task: Task, annotation: Annotation, image: str, stage: int, names: Mapping[str, str], place: str) -> Vote:
    """Return what an annotator said.

    Raises:
        ConfigurationError: It is no answer to the page.
    """
    if task == "labels":
        said = sorted(read_labels(annotation.result, place))
    else:
        category = read_scene(annotation.result, place)
        said = [] if category is None else [category]
    answers = [names.get(answer) or names.get(folded(answer)) for answer in said]
    if None in answers:
        unknown = quoted(said[answers.index(None)])
        raise ConfigurationError(f"{place}: {unknown} is none of the choices", "Delete the annotation.")
    return Vote(
        stage=stage,
        image=image,
        annotator=annotation.annotator or f"deleted person of annotation {annotation.id}",
        answers=tuple(answer for answer in answers if answer is not None),
        at=annotation.changed,
        annotation=annotation.name,
        seconds=annotation.seconds,
    )
