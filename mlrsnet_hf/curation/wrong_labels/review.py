"""`mlrsnet curate find-errors --review`: people look at the labels that are probably wrong, in Label Studio.

A folder holds the review: what is asked, the labels as they were given, the pictures that the server shows under names
that tell nothing, and all answers that were read so far, so that none is lost with the server and none counts twice.
What the answers correct is written beside; the dataset itself is never touched.
"""

import dataclasses
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.configuration.json_file import MOST_BYTES_KEPT, Name, read_json
from mlrsnet_hf.configuration.settings import Count, changed_settings
from mlrsnet_hf.curation.config import FindErrorsConfig
from mlrsnet_hf.curation.label_studio.kept_answers import (
    keep_answers,
    lacking,
    new_title,
    read_kept,
    write_json,
)
from mlrsnet_hf.curation.label_studio.served_images import local_address, opaque_name
from mlrsnet_hf.curation.label_studio.server import Server, connect
from mlrsnet_hf.curation.label_studio.tasks import Annotation, Task
from mlrsnet_hf.curation.label_studio.views import IMAGE, read_review, review_data, review_view
from mlrsnet_hf.curation.wrong_labels.corrections import (
    CORRECTED,
    CORRECTIONS,
    LABELS,
    REMEDY,
    TIE,
    WAITS,
    Answer,
    Question,
    verdicts,
    write_corrections,
    write_labels,
)
from mlrsnet_hf.curation.wrong_labels.label_patterns import Rules
from mlrsnet_hf.curation.wrong_labels.page import suspect_reasons
from mlrsnet_hf.curation.wrong_labels.ranking import LabeledImages, WrongLabels
from mlrsnet_hf.errors import ConfigurationError, ImageError
from mlrsnet_hf.escaping import quoted
from mlrsnet_hf.files import only_writer, whole_file
from mlrsnet_hf.inputs.images import ImageSplit
from mlrsnet_hf.inputs.pixels.decoding import ImageFiles, decode_rgb
from mlrsnet_hf.runtime.logs import get_logger, progress_bar

REVIEW, ANSWERS, PICTURES = "review.json", "answers.json", "pictures"
"""In the folder."""
_QUALITY = 95
"""Of JPEG."""

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What is asked, and how often."""

    title: Name
    """Of the project."""
    sources: tuple[str, ...]
    """Where the labels were read."""
    votes: Count
    imagery: str
    """Whose pictures they are, as the project says; empty where nothing is known."""
    questions: tuple[Question, ...]


def has_begun(folder: Path) -> bool:
    """Tell whether a folder holds a review."""
    return (folder.expanduser() / REVIEW).exists()


def refuse_early(folder: Path) -> None:
    """Refuse a new review that could not be shown, before anything is computed.

    Raises:
        MLRSNetError: The folder holds something else, its pictures could not be served, or no server answers.
    """
    folder = folder.expanduser().absolute()
    local_address(folder / PICTURES)
    # What a call that was killed has written is written again.
    there = {path.name for path in folder.iterdir() if path.name[0] != "."} if folder.is_dir() else set()
    there -= {PICTURES, LABELS}
    if there or (folder.exists() and not folder.is_dir()):
        raise ConfigurationError(f"{folder}: holds no review, but something else", "Choose another folder.")
    connect()


def begin_review(
    config: FindErrorsConfig,
    images: LabeledImages,
    result: WrongLabels,
    places: Sequence[tuple[int, int]],
    pictures: ImageSplit,
    imagery: str = "",
    rules: Rules | None = None,
) -> None:
    """Write down what is asked, the labels as they are, and the pictures; `go_on` then asks.

    Args:
        config: Names the folder, and says how many labels are asked about and how often.
        images: All images.
        result: What speaks against their labels.
        places: Rows and columns of the labels that are probably wrong, the worst first.
        pictures: The images as pictures; one that is not there or cannot be read is not asked about.
        imagery: Whose pictures they are, as the project has to say.
        rules: The vocabulary, if it was asked.

    Raises:
        MLRSNetError: There is nothing to ask about, the folder holds a review already, another process is at it, or it
            cannot be written.
    """
    assert config.review is not None
    folder = config.review.expanduser().absolute()
    try:
        (folder / PICTURES).mkdir(parents=True, exist_ok=True)
        with only_writer(folder / REVIEW):
            if has_begun(folder):
                raise ConfigurationError(f"{folder}: a review has begun there since", "Choose another folder.")
            asked = list(places[: config.questions])
            shown = _write_pictures(folder, list(dict.fromkeys(images.ids[row] for row, _ in asked)), pictures)
            questions = tuple(
                _question(row, column, images, result, rules) for row, column in asked if images.ids[row] in shown
            )
            if not questions:
                raise ConfigurationError(
                    "no label is probably wrong, or none of its images is there: nothing is to be reviewed",
                    "Ask about less probable ones (--least), or say where the images are.",
                )
            write_labels(folder, images, dict(zip(pictures.rows["id"][:], pictures.image_names(), strict=True)))
            review = Review(
                title=new_title(folder),
                sources=_sources(config),
                votes=config.votes,
                imagery=imagery,
                questions=questions,
            )
            write_json(folder / REVIEW, dataclasses.asdict(review))
    except OSError as error:
        raise ConfigurationError(
            f"{folder}: cannot be written ({error.strerror or error})", "Choose another folder or disk."
        ) from error


def go_on(config: FindErrorsConfig) -> str:
    """Have the server ask what it does not ask yet, read the answers, and write what they correct.

    It may be killed and called again at any moment.

    Returns:
        How far the review is, and what was corrected.

    Raises:
        MLRSNetError: The folder holds another review than the settings say, a file of it is damaged, the server does
            not do its part, or another process is at it.
    """
    assert config.review is not None
    folder = config.review.expanduser().absolute()
    with only_writer(folder / REVIEW):
        review: Review = read_json(folder / REVIEW, Review, REMEDY, most=MOST_BYTES_KEPT)
        if config.sources and _sources(config) != review.sources:
            raise ConfigurationError(
                f"{folder}: the review is of other sources: {', '.join(review.sources)}",
                "Leave them out, or choose another folder.",
            )
        if "votes" in changed_settings(config) and config.votes != review.votes:
            raise ConfigurationError(
                f"{folder}: the review asks {review.votes} people about each label, not {config.votes}",
                "Leave --votes out, or choose another folder.",
            )
        server = connect()
        tasks = [_task(question, folder, review.votes) for question in review.questions]
        project = server.fill_project(
            review.title,
            review_view(),
            lacking(tasks, read_kept(folder / ANSWERS, Answer, REMEDY)),
            votes=review.votes,
            description=f"Labels that may be wrong. {review.imagery}".strip(),
            folder=folder / PICTURES,
            others=[task.key for task in tasks],
        )
        answers = _keep_answers(review, folder, server.annotations(project))
        return _told(review, folder, answers, server, project)


def _question(row: int, column: int, images: LabeledImages, result: WrongLabels, rules: Rules | None) -> Question:
    scene = -1 if images.scenes is None else int(images.scenes[row])
    return Question(
        key=secrets.token_hex(8),
        image=images.ids[row],
        label=images.label_names[column],
        given=bool(images.labels[row, column]),
        wrong=float(result.wrong[row, column]),
        reasons=tuple(suspect_reasons(row, column, scene, images, result, rules)),
    )


def _sources(config: FindErrorsConfig) -> tuple[str, ...]:
    return tuple(str(source.expanduser().absolute()) for source in config.sources)


def _picture(folder: Path, image: str) -> Path:
    return folder / PICTURES / f"{opaque_name(image)}.jpg"


def _write_pictures(folder: Path, wanted: Sequence[str], pictures: ImageSplit) -> set[str]:
    """Write the pictures of images; return those whose picture there is."""
    rows = {name: row for row, name in enumerate(pictures.rows["id"][:])}
    files = ImageFiles(pictures.rows)
    shown, faults = set(), []
    for name in progress_bar(wanted, "copying pictures", unit="picture"):
        try:
            if name not in rows:
                raise ImageError(f"image {quoted(name)} is not there", "Put it back.")
            picture = decode_rgb(files[rows[name]], name)
        except ImageError as error:
            faults.append(error)
            continue
        with whole_file(_picture(folder, name)) as partial:
            picture.save(partial, format="JPEG", quality=_QUALITY, subsampling=0)
        shown.add(name)
    if faults:
        logger.warning("%s images cannot be shown, and are not asked about: %s", len(faults), faults[0])
    return shown


def _task(question: Question, folder: Path, votes: int) -> Task:
    data = review_data(question.label, question.given, question.reasons)
    return Task(key=question.key, data=data | {IMAGE: local_address(_picture(folder, question.image))}, votes=votes)


def _keep_answers(review: Review, folder: Path, annotations: Iterable[Annotation]) -> list[Answer]:
    """Return all answers that count, those that were read before too, and keep them."""

    def read(one: Annotation, annotator: str) -> Answer:
        says = read_review(one.result, f"annotation {one.id}")
        return Answer(key=one.key, annotator=annotator, annotation=one.name, changed=one.changed, says=says)

    path, asked = folder / ANSWERS, {question.key for question in review.questions}
    return keep_answers(path, read_kept(path, Answer, REMEDY), annotations, asked, read)


def _told(review: Review, folder: Path, answers: Sequence[Answer], server: Server, project: int) -> str:
    """Write what the answers correct, and return how far the review is."""
    found = verdicts(review.questions, answers, review.votes)
    wanted = len(review.questions) * review.votes
    open_at = f"{server.project_url(project)} ({review.title})"
    if not answers:
        return (
            f"{len(review.questions):,} labels wait for review at {open_at}\n"
            f"then run mlrsnet curate find-errors --review {folder}"
        )
    corrected = write_corrections(folder, review.questions, found)
    people = len({answer.annotator for answer in answers})
    lines = [
        f"{len(answers):,} of {wanted:,} answers, by {people} {'person' if people == 1 else 'people'}"
        + (f"; more are given at {open_at}" if any(one.decided == WAITS for one in found.values()) else ""),
        f"corrected: {corrected:,} of {len(review.questions):,} labels",
    ]
    ties = [question for question in review.questions if found[question.key].decided == TIE]
    if ties:
        first = ties[0]
        lines.append(
            f"people are divided about {len(ties):,} labels or cannot tell, which stay as they are, such as "
            f"{quoted(first.label)} of {quoted(first.image)}"
        )
    return "\n".join([*lines, f"written to {folder}: {CORRECTIONS}, {CORRECTED}"])
