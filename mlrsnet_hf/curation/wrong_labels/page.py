"""The page of `mlrsnet curate find-errors`: pictures, the labels of each that are probably wrong, and why."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.curation.page_images import PageImages
from mlrsnet_hf.curation.wrong_labels.label_patterns import Rules
from mlrsnet_hf.curation.wrong_labels.ranking import LabeledImages, WrongLabels
from mlrsnet_hf.files import whole_file
from mlrsnet_hf.reports.pages import render

MOST_IMAGES = 600
OF_EACH = 6
"""Images of each label that is wrongly given, and wrongly missing, that come before the worst of all."""


@dataclass(frozen=True, slots=True)
class _Suspect:
    """A label that is probably wrong."""

    label: int
    name: str
    is_given: bool
    wrong: float
    reasons: tuple[str, ...]
    """What is said of it, in a few words each."""

    @property
    def kind(self) -> str:
        """`given` or `missing`."""
        return "given" if self.is_given else "missing"


@dataclass(frozen=True, slots=True)
class _Card:
    """An image with the labels that are probably wrong, the worst first, and the others that it is given."""

    id: str
    scene: str
    scene_id: int
    suspects: tuple[_Suspect, ...]
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _LabelRow:
    """How often a label is probably wrong."""

    label: int
    name: str
    images: int
    """That are given it."""
    given: int
    missing: int


def write_find_errors_page(
    path: Path,
    *,
    title: str,
    about: Sequence[str],
    images: LabeledImages,
    result: WrongLabels,
    places: Sequence[tuple[int, int]],
    pictures: PageImages,
    rules: Rules | None = None,
) -> None:
    """Write the page, whole or not at all.

    Shown are the images with the worst labels, and before them some of each label, so that a label whose mistakes are
    less sure is seen too.

    Args:
        path: The HTML file.
        title: Of the page.
        about: What was asked and found, in lines.
        images: All images.
        result: What speaks against their labels.
        places: Rows and columns of the labels that are probably wrong, the worst first.
        pictures: Of the images.
        rules: The vocabulary, if it was asked.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    suspects: dict[int, list[int]] = defaultdict(list)
    for row, column in places:
        suspects[row].append(column)
    shown = _shown(places, images, pictures)
    chosen = [row for row in suspects if row in shown]  # in the order of their worst labels
    cards = [_card(row, suspects[row], images, result, rules) for row in chosen]
    rows = _label_rows(images, places)
    on_page = {suspect.label for card in cards for suspect in card.suspects}
    content = render(
        "wrong_labels.html",
        title=title,
        about=about,
        cards=cards,
        pictures={card.id: pictures.address(card.id) for card in cards},
        all_images=len(suspects),
        of_each=OF_EACH,
        labels=rows,
        choices={row.label: row.name for row in rows if row.label in on_page},
        scenes=dict(sorted({card.scene_id: card.scene for card in cards if card.scene}.items())),
        has_vocabulary=rules is not None,
        attribution=pictures.attribution,
    )
    with whole_file(path) as partial:
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(content, encoding="utf-8")


def _shown(places: Sequence[tuple[int, int]], images: LabeledImages, pictures: PageImages) -> set[int]:
    """Return the rows that the page has room for: of each label and kind some, then the worst of all."""
    seen: Counter[tuple[int, bool]] = Counter()
    first: list[int] = []
    rest: list[int] = []
    for row, column in places:
        kind = column, bool(images.labels[row, column])
        seen[kind] += 1
        (first if seen[kind] <= OF_EACH else rest).append(row)
    shown: set[int] = set()
    for row in (*first, *rest):
        if row not in shown and (len(shown) >= MOST_IMAGES or not pictures.fits(images.ids[row])):
            break
        shown.add(row)
    return shown


def _card(row: int, columns: Sequence[int], images: LabeledImages, result: WrongLabels, rules: Rules | None) -> _Card:
    scene = -1 if images.scenes is None else int(images.scenes[row])
    suspects = tuple(
        _Suspect(
            column,
            images.label_names[column],
            bool(images.labels[row, column]),
            float(result.wrong[row, column]),
            tuple(suspect_reasons(row, column, scene, images, result, rules)),
        )
        for column in columns
    )
    others = tuple(
        name for column, name in enumerate(images.label_names) if images.labels[row, column] and column not in columns
    )
    return _Card(images.ids[row], images.scene_names[scene] if scene >= 0 else "", scene, suspects, others)


_REASONS = {
    "model": "the model gives it {:.0%}",
    "neighbors": "the nearest images give it {:.0%}",
    "other labels": "the image's other labels give it {:.0%}",
    "scene rate": "its scene gives it {:.0%}",
}
"""What each kind of evidence is called where people read it."""


def suspect_reasons(
    row: int, column: int, scene: int, images: LabeledImages, result: WrongLabels, rules: Rules | None
) -> Iterator[str]:
    """Yield what is said of a label of an image, in a few words each.

    Args:
        row: The image.
        column: The label.
        scene: Of the image, -1 for none.
        images: All of them.
        result: What speaks against their labels.
        rules: The vocabulary, if it was asked.
    """
    for kind, scores in result.evidence.items():
        has_none = (kind == "scene rate" and scene < 0) or (
            kind == "neighbors" and images.embeddings is not None and not images.embeddings[row].any()
        )
        if not has_none:
            yield _REASONS[kind].format(scores[row, column])
    if result.scenes is not None and result.scenes[row] != scene:
        yield f"looks like {images.scene_names[result.scenes[row]]}"
    if rules is None or scene < 0 or not rules.sampled[scene]:
        return
    carried, sampled = int(rules.carried[scene, column]), int(rules.sampled[scene])
    if carried or rules.outside[scene, column]:
        yield f"vocabulary {carried} of {sampled}" if carried else "not in the vocabulary"


def _label_rows(images: LabeledImages, places: Sequence[tuple[int, int]]) -> list[_LabelRow]:
    """Return the labels that are probably wrong somewhere, the most often first."""
    counts = Counter((column, bool(images.labels[row, column])) for row, column in places)
    rows = [
        _LabelRow(column, name, int(images.labels[:, column].sum()), counts[column, True], counts[column, False])
        for column, name in enumerate(images.label_names)
    ]
    return sorted((row for row in rows if row.given or row.missing), key=lambda row: -(row.given + row.missing))
