"""`mlrsnet inspect`: what training would read, as tables to read, as JSON, and as a page of pictures."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mlrsnet_hf.errors import ConfigurationError, ImageError, MLRSNetError
from mlrsnet_hf.files import whole_file
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.pixels.decoding import ImageFiles, decode_pixels, decode_rgb
from mlrsnet_hf.inputs.pixels.reading import Reading
from mlrsnet_hf.reports.inspect.facts import Column, Inspection, inspect_data, shown_columns
from mlrsnet_hf.reports.pages import render
from mlrsnet_hf.reports.text_table import aligned
from mlrsnet_hf.runtime.logs import print_result

_LISTED = 200
"""Labels that are printed, and that the page shows."""
_KINDS = 10
_SIDE = 176
"""Pixels of a picture on the page: there may be hundreds."""
_NONE = "no label"
_ABSOLUTE = re.compile(r"(?<![\w/:.])(?:[A-Za-z]:[\\/]|/)(?:[^\s'\"\\/,;:]+[\\/])+")

Row = Sequence[str]


def print_inspection(
    config: DataConfig,
    *,
    files_per_split: int = 1000,
    page: Path | None = None,
    examples: int = 6,
    as_json: bool = False,
) -> None:
    """Load a dataset as training does, print what was found, and write it with pictures as a page.

    Where training would refuse the data, the columns are printed, if there are any to be found, before the error.

    Args:
        config: Training's settings of its data.
        files_per_split: Image files of each split whose header is read.
        page: The HTML file to write.
        examples: Pictures of each label on the page.
        as_json: Print everything as JSON instead.

    Raises:
        MLRSNetError: Training would refuse the data, or the page cannot be written.
    """
    try:
        found = inspect_data(config, files_per_split)
    except MLRSNetError as error:
        # What cannot be loaded has no columns to be looked at; what holds no labels or no images has.
        could_not_load = isinstance(error, ConfigurationError) and error.__cause__ is not None
        if not (as_json or could_not_load):
            _print_columns(config)
        raise
    print_result(json.dumps(found.to_json(), indent=1) if as_json else "\n".join(_lines(found)))
    if page is None:
        return
    content = render_page(found, examples)
    with whole_file(page) as partial:
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(content, encoding="utf-8")
    if not as_json:
        print_result(f"\npage: {page}")


def _print_columns(config: DataConfig) -> None:
    try:
        columns = shown_columns(config)
    except MLRSNetError:  # the one that is raised says why
        return
    print_result("\n".join(aligned(_column_rows(columns), "<<<<")) + "\n")


def _lines(found: Inspection) -> Iterator[str]:
    """Yield what was found as tables, under headings."""
    yield "as training reads it"
    yield from aligned([("", line) for line in found.told], "<<")
    yield from ("", "columns of the training split")
    yield from aligned([("", *row) for row in _column_rows(found.columns)], "<<<<<")
    yield ""
    yield from aligned(_split_rows(found), "<>>>><")
    for title, counts in (("label", found.labels), ("scene", found.scenes)):
        if counts:
            yield ""
            yield from aligned(_count_rows(title, counts)[: _LISTED + 1], "<" + ">" * len(found.splits))
            if len(counts) > _LISTED:
                yield f"and {len(counts) - _LISTED:,} more; --json has all"
    yield ""
    yield from aligned(_file_rows(found), "<<<>")
    yield _opened_sentence(found)
    for note in _notes(found):
        yield from aligned([(f"note: {note}",)], "<")


def _column_rows(columns: Sequence[Column]) -> list[Row]:
    rows = [(one.name, one.kind, one.read_as or "-", one.first) for one in columns]
    return [("column", "type", "read as", "first value"), *rows]


def _split_rows(found: Inspection) -> list[Row]:
    rows: list[Row] = [("split", "images", "without labels", "labels an image", "at most", "first ids")]
    for name, split in found.splits.items():
        counts = f"{split.without_labels:,}", f"{split.mean_labels:.2f}", f"{split.most_labels}"
        rows.append((name, f"{split.images:,}", *(counts if found.labels else ("-",) * 3), ", ".join(split.first_ids)))
    return rows


def _count_rows(title: str, counts: Mapping[str, Mapping[str, int]]) -> list[Row]:
    (first, *_) = counts.values()
    return [(title, *first), *((name, *(f"{number:,}" for number in row.values())) for name, row in counts.items())]


def _file_rows(found: Inspection) -> list[Row]:
    rows: list[Row] = [("width x height", "mode", "format", "files")]
    kinds = list(found.files.kinds.items())
    for (width, height, mode, form), number in kinds[:_KINDS]:
        rows.append((f"{width:,} x {height:,}", mode, form, f"{number:,}"))
    if len(kinds) > _KINDS:
        rows.append(("others", "", "", f"{sum(number for _, number in kinds[_KINDS:]):,}"))
    if found.files.unread:
        rows.append(("not read", "", "", f"{len(found.files.unread):,}"))
    return rows


def _opened_sentence(found: Inspection) -> str:
    files = found.files
    if files.opened == files.files:
        return f"from the headers of all {files.files:,} image files"
    return f"from the headers of {files.opened:,} of {files.files:,} image files, evenly spread; --files looks at more"


def _notes(found: Inspection) -> list[str]:
    """Return what a reader might overlook."""
    notes = []
    train = found.splits["train"]
    if found.never_trained:
        notes.append(f"without an image in the training split: {_listed(found.never_trained)}")
    everywhere = [name for name, counts in found.labels.items() if counts["train"] == train.images]
    if everywhere:
        notes.append(f"on every image of the training split: {_listed(everywhere)}")
    for reason in dict.fromkeys(found.files.unread.values()):
        ids = [name for name, why in found.files.unread.items() if why == reason]
        notes.append(f"headers not read ({reason}): {_listed(ids)}")
    return notes


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


@dataclass(frozen=True, slots=True)
class Example:
    """A picture of the page."""

    id: str
    picture: Image.Image | None
    """None if it cannot be read."""
    labels: tuple[str, ...]
    scene: str


@dataclass(frozen=True, slots=True)
class Gallery:
    """The pictures of a label."""

    name: str
    images: int
    """How many of the training split have it."""
    examples: tuple[Example, ...]


def render_page(found: Inspection, examples: int) -> str:
    """Return the page: what is printed, and pictures of each label, or scene, evenly spread over the training split."""
    galleries = list(_galleries(found, examples))
    tables = [("Columns of the training split", _column_rows(found.columns), 4), ("Splits", _split_rows(found), 1)]
    return render(
        "inspect.html",
        title=f"What training reads of {found.data.source['dataset']}",
        told=[_without_paths(line) for line in found.told],
        tables=[
            (title, [[_without_paths(cell) for cell in row] for row in rows], words) for title, rows, words in tables
        ],
        counts=[_count_rows(title, of) for title, of in (("label", found.labels), ("scene", found.scenes)) if of],
        files=_file_rows(found),
        opened=_opened_sentence(found).partition(";")[0],
        notes=[_without_paths(note) for note in _notes(found)],
        galleries=galleries,
        left_out=max(0, len(found.labels or found.scenes) - _LISTED),
    )


def _galleries(found: Inspection, examples: int) -> Iterator[Gallery]:
    train, data = found.data.splits["train"], found.data
    labels: list[list[int]] = train["labels"][:]
    scenes: list[int] | None = train["scene"][:] if data.scene_names else None
    ids, files = train["id"][:], ImageFiles(train)
    by_label = labels if data.label_names else [[scene] for scene in scenes or ()]
    rows: dict[int, list[int]] = {number: [] for number in range(len(data.label_names or data.scene_names))}
    for row, numbers in enumerate(by_label):
        for number in numbers:
            rows[number].append(row)

    pictures: dict[int, Image.Image | None] = {}

    def example(row: int) -> Example:
        if row not in pictures:
            pictures[row] = _picture(files, row, ids[row], data.reading)
        names = tuple(data.label_names[number] for number in labels[row])
        return Example(ids[row], pictures[row], names, "" if scenes is None else data.scene_names[scenes[row]])

    named = [*zip(data.label_names or data.scene_names, rows.values(), strict=True)][:_LISTED]
    if data.label_names:
        named.append((_NONE, [row for row, numbers in enumerate(labels) if not numbers]))
    for name, having in named:
        chosen = having[:: -(-len(having) // examples)] if having else []
        if having or name != _NONE:
            yield Gallery(name, len(having), tuple(map(example, chosen)))


def _picture(files: ImageFiles, row: int, name: str, reading: Reading) -> Image.Image | None:
    """Return what the network would see, or of other than three channels a picture for people to look at."""
    try:
        if reading.is_usual or reading.channels != 3:
            picture = decode_rgb(files[row], name)
        else:
            picture = Image.fromarray(decode_pixels(files[row], name, reading))
    except ImageError:
        return None
    picture.thumbnail((_SIDE, _SIDE))
    return picture


def _without_paths(text: str) -> str:
    """Return text with the last part alone of each path of this machine: a page is made to be passed on."""
    return _ABSOLUTE.sub(".../", text)
