"""`mlrsnet curate vocabulary --describe`: people say in Label Studio what they see on images of each scene (2.2.1).

A folder holds what was drawn, the pictures that the server shows under names that tell nothing, and all that was read
so far, so that none of it is lost with the server. The sheet in it is made anew from these.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.configuration.json_file import MOST_BYTES_KEPT, Name, read_json
from mlrsnet_hf.configuration.settings import Count
from mlrsnet_hf.curation.label_studio.kept_answers import (
    KeptAnswer,
    keep_answers,
    lacking,
    new_title,
    read_kept,
    write_json,
)
from mlrsnet_hf.curation.label_studio.served_images import local_address, opaque_name, serve_images
from mlrsnet_hf.curation.label_studio.server import Server, connect
from mlrsnet_hf.curation.label_studio.tasks import Annotation, Task
from mlrsnet_hf.curation.label_studio.views import IMAGE, description_view, read_description
from mlrsnet_hf.curation.table_file import SEPARATOR
from mlrsnet_hf.curation.vocabulary.files import NOTHING, draw_images, write_rows
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.files import kept_if_stopped, only_writer

DRAWN, ANSWERS, PICTURES, SHEET = "drawn.json", "answers.json", "pictures", "sheet.csv"
"""In the folder."""
_REMEDY = "Restore it from a copy, or begin in another folder."


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Images that people describe."""

    title: Name
    """Of the project."""
    source: Name
    """The folder of the images."""
    people: Count
    """Who are asked about each."""
    images: Mapping[Name, tuple[Name, ...]]
    """By scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description(KeptAnswer):
    """What somebody sees on an image."""

    labels: tuple[Name, ...]


def describe(source: Path | None, folder: Path, people: int | None, per_scene: int, seed: int) -> str:
    """Draw images for people to describe, or take up those of a folder; ask, and write the sheet of what they said.

    Whatever a call that was killed has left undone the next one does.

    Args:
        source: Folder with a folder of images for each scene; None for that of a folder which has begun.
        folder: Holds it all; below Label Studio's document root.
        people: Who are asked about each image; None for one, or for as many as before.
        per_scene: Images of each scene.
        seed: Of the draws.

    Returns:
        How far it is, and what is to do next.

    Raises:
        MLRSNetError: The folder holds something else, an image is not there, the server does not do its part, or
            another process is at it.
    """
    told_as, folder = folder, folder.expanduser().absolute()
    local_address(folder / PICTURES)

    def kept() -> str | None:
        return "What was said is kept: give the same command again." if (folder / DRAWN).exists() else None

    try:
        with only_writer(folder), kept_if_stopped(kept):
            drawn = _taken_up(source, folder, people)
            server = connect()
            if drawn is None:
                assert source is not None, "refused before"
                drawn = Drawn(
                    title=new_title(folder),
                    source=str(source.expanduser().absolute()),
                    people=people or 1,
                    images={scene: tuple(names) for scene, names in draw_images(source, per_scene, seed).items()},
                )
                folder.mkdir(exist_ok=True)
                write_json(folder / DRAWN, dataclasses.asdict(drawn))
            names = [name for of_scene in drawn.images.values() for name in of_scene]
            served = serve_images(drawn.source, names, folder / PICTURES)
            tasks = [
                Task(key=opaque_name(name), data={IMAGE: served.addresses[name]}, votes=drawn.people) for name in names
            ]
            kept_before = read_kept(folder / ANSWERS, Description, _REMEDY)
            keys = {task.key for task in tasks}
            project = server.fill_project(
                drawn.title,
                description_view(),
                lacking(tasks, kept_before),
                votes=drawn.people,
                description="Write what each image shows, in your own words.",
                folder=served.folder,
                others=keys,
            )
            said = keep_answers(folder / ANSWERS, kept_before, server.annotations(project), keys, _read)
            _write_sheet(folder / SHEET, drawn, said)
            return _told(drawn, told_as, said, server, project)
    except OSError as error:
        raise ConfigurationError(
            f"{folder}: cannot be read or written ({error.strerror or error})", "Choose another folder or disk."
        ) from error


def _read(annotation: Annotation, annotator: str) -> Description:
    return Description(
        key=annotation.key,
        annotator=annotator,
        annotation=annotation.name,
        changed=annotation.changed,
        labels=read_description(annotation.result, f"annotation {annotation.id}"),
    )


def _taken_up(source: Path | None, folder: Path, people: int | None) -> Drawn | None:
    """Return what a folder holds, if the settings may mean it; None where nothing was drawn yet.

    Raises:
        ConfigurationError: It holds something else, or was drawn otherwise.
    """
    path = folder / DRAWN
    if not path.exists():
        if source is None:
            raise ConfigurationError(f"{folder}: nothing was drawn yet", "Give the folder of the images before it.")
        if folder.exists() and (not folder.is_dir() or any(one.name[0] != "." for one in folder.iterdir())):
            raise ConfigurationError(f"{folder}: exists, and holds something else", "Choose another folder.")
        return None
    drawn: Drawn = read_json(path, Drawn, _REMEDY, most=MOST_BYTES_KEPT)
    if source is not None and str(source.expanduser().absolute()) != drawn.source:
        raise ConfigurationError(
            f"{folder}: its images are those of {drawn.source}", "Leave the source out, or choose another folder."
        )
    if people not in (None, drawn.people):
        raise ConfigurationError(
            f"{folder}: {drawn.people} are asked about each image, not {people}",
            "Leave --people out, or choose another folder.",
        )
    return drawn


def _write_sheet(path: Path, drawn: Drawn, said: Iterable[Description]) -> None:
    """Write the sheet: a row for each description, and for each image that has none yet."""
    by_image: dict[str, list[str]] = defaultdict(list)
    for one in said:
        by_image[one.key].append(f"{SEPARATOR} ".join(one.labels) or NOTHING)
    write_rows(
        path,
        (
            (name, scene, text)
            for scene, names in drawn.images.items()
            for name in names
            for text in by_image.get(opaque_name(name), [""])
        ),
    )


def _told(drawn: Drawn, folder: Path, said: Sequence[Description], server: Server, project: int) -> str:
    images = sum(map(len, drawn.images.values()))
    wanted = images * drawn.people
    people = len({one.annotator for one in said})
    lines = [
        f"{len(said):,} of {wanted:,} descriptions of {images:,} images of {len(drawn.images)} scenes"
        + (f", by {people} {'person' if people == 1 else 'people'}" if said else "")
    ]
    if len(said) < wanted:
        lines.append(
            f"describe at {server.project_url(project)}, then run mlrsnet curate vocabulary --describe {folder}"
        )
    if said:
        lines.append(f"written to {folder / SHEET}: count it by mlrsnet curate vocabulary {folder / SHEET}")
    return "\n".join(lines)
