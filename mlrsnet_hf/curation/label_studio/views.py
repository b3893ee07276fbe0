"""The pages that annotators see in Label Studio, as its labeling configurations, and the answers that they give.

A page shows pictures and choices. Each choice has a key of its own, so that an answer takes two keystrokes: that key,
then Label Studio's own for Submit (Ctrl+Enter).
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict
from xml.etree import ElementTree

from markupsafe import Markup

from mlrsnet_hf.configuration.json_file import json_as
from mlrsnet_hf.curation.label_studio.hotkeys import hotkeys
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import quoted, shortened

IMAGE = "image"
"""Field of a task's data: the address of its picture."""
BOUNDARY = "boundary"
"""Field of a task's data: what was agreed on about the categories that its image is taken for."""
CHOICES = "choices"
"""Field of a task's data: the choices of its own, of `label_choices` or `trial_choices`."""

QUESTION = "question"
REASONS = "reasons"
"""Fields of a task's data: texts of `review_data`."""

NONE = "none of these"
"""The choice where an image shows none of the categories or labels; none of these may be called so."""
NO_WORDS = "none"
"""What people write, and tables hold, where an image shows nothing that has a name."""
_NONE_KEY = "0"
"""None of `hotkeys`."""

_REVIEW_ANSWERS: Mapping[str, bool | None] = {"yes": True, "no": False, "cannot tell": None}
_PAIR_NAMES = "ABCDEFGHIJKLMNOPQRSTVWXYZ"
"""Each is its own key; without U, which Label Studio takes."""
_ANSWER = "answer"
_REMEDY = "Delete the annotation in Label Studio, or have the image annotated again."
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BETWEEN_NAMES = re.compile("[,;\n]")
"""Some people write all that they see into one line."""
_LONGEST_WORDS = 200
"""Characters of what is seen: more are sentences without a comma, and no name that anything can be called."""
_WORD_JOINER = "\u2060"

_PICTURE_HEIGHT = "calc(100vh - 136px)"
"""What Label Studio's own bars leave of the window."""
_NO_PANELS = """
.lsf-sidepanels { padding: 0 !important; }
.lsf-sidepanels__wrapper, .lsf-toolbar { display: none; }"""
_STYLE = f"""
{_NO_PANELS}
.mlrsnet {{ display: flex; gap: 24px; align-items: flex-start; }}
.mlrsnet-picture {{ flex: 0 0 auto; width: {_PICTURE_HEIGHT}; max-width: 50%; }}
.mlrsnet-answer {{ flex: 1 1 0; }}
.mlrsnet-answer .lsf-choices {{ column-width: 180px; column-gap: 12px; margin: 0; }}
.mlrsnet-answer .lsf-choice {{ line-height: 1.3; break-inside: avoid; padding: 3px 0; }}
.mlrsnet-answer .lsf-choice__checkbox span span {{ display: flex; gap: 8px; align-items: baseline; }}
.mlrsnet-answer .lsf-hint {{ order: -1; top: 0; flex: 0 0 52px; font-size: 12px; line-height: inherit; }}
.mlrsnet-answer .ant-radio-wrapper-checked, .mlrsnet-answer .ant-checkbox-wrapper-checked {{
  background: var(--color-primary-surface); border-radius: 4px;
}}
.mlrsnet-answer .ant-radio-wrapper-checked span, .mlrsnet-answer .ant-radio-wrapper-checked .lsf-hint,
.mlrsnet-answer .ant-checkbox-wrapper-checked span, .mlrsnet-answer .ant-checkbox-wrapper-checked .lsf-hint {{
  color: white;
}}
"""
_TRIAL_STYLE = f"""
{_NO_PANELS}
.mlrsnet-trial {{
  --wide: calc((100vw - 28px) / var(--columns) / 2 - 21px);
  --high: calc((100vh - 172px) / var(--rows) - 14px);
  --side: min(var(--wide), var(--high));
}}
.mlrsnet-trial .lsf-choices {{
  display: grid; grid-template-columns: repeat(var(--columns), max-content); gap: 6px; justify-content: space-between;
  margin: 4px 0 0;
}}
.mlrsnet-trial .lsf-choice {{ line-height: 1; }}
.mlrsnet-trial .lsf-choice .lsf-choice__checkbox {{ padding: 4px; margin: 0; }}
.mlrsnet-trial .lsf-choice__checkbox span {{ display: flex; gap: 4px; padding: 0; }}
.mlrsnet-trial .lsf-choice .ant-radio, .mlrsnet-trial .lsf-choice .lsf-hint {{ display: none; }}
.mlrsnet-trial .ant-radio-wrapper-checked {{ background: var(--color-primary-surface); }}
.mlrsnet-trial .ant-radio-wrapper-checked b {{ color: white; }}
.mlrsnet-trial b {{ width: 16px; font-size: 16px; }}
.mlrsnet-trial img {{ width: var(--side); height: var(--side); }}
"""


class _Value(TypedDict):
    choices: list[str]


class _Words(TypedDict):
    text: list[str]


class _Part(TypedDict):
    from_name: str
    value: Mapping[str, Any]


def scene_view(categories: Sequence[str], second_stage: bool = False) -> str:
    """Return the page of the scene task (Fig. 3a of the paper): the picture of `IMAGE`, and one choice of categories.

    "None of these" stands beside them. Where there are more than 60 categories, the last ones have no key.

    Args:
        categories: Their names, in the order shown.
        second_stage: The page shows the text `BOUNDARY` of each task above the choices.

    Raises:
        ConfigurationError: A category cannot be shown, stands there twice, or is called as `NONE` is.
    """
    view, answer = _page_of_a_picture()
    if second_stage:
        _add_text(answer, f"${BOUNDARY}")
    choices = _add_choices(answer, "single-radio", "Choose a category, or that it is none of these.")
    for choice in _choices(categories):
        ElementTree.SubElement(choices, "Choice", choice)
    return _written(view)


def labels_view() -> str:
    """Return the page of the label task, an extension of the paper: the picture of `IMAGE`, and any of its `CHOICES`.

    These stand in the data of each task, as `label_choices` gives them.
    """
    view, answer = _page_of_a_picture()
    _add_choices(answer, "multiple", "Choose all labels that apply, or that it is none of these.", f"${CHOICES}")
    return _written(view)


def label_choices(labels: Sequence[str], first: Sequence[str] = ()) -> list[dict[str, str]]:
    """Return the `CHOICES` of a task's data for `labels_view`.

    A label has the same key in all tasks of the same labels; where there are more than 60, the last ones have none.

    Args:
        labels: All labels, in the same order for all tasks.
        first: Those that the page shows first, the vocabulary of the image's scene; all are `labels`.

    Raises:
        ConfigurationError: A label cannot be shown, stands there twice, or is called as `NONE` is.
    """
    *choices, none = _choices(labels)
    by_label = dict(zip(labels, choices, strict=True))
    others = (choice for label, choice in by_label.items() if label not in set(first))
    lighter = {"style": "opacity: 0.7"} if first else {}
    return [*(by_label[label] for label in first), none, *(choice | lighter for choice in others)]


def review_view() -> str:
    """Return the page of one label that is suspicious: the picture of `IMAGE`, the `QUESTION` and the `REASONS`.

    The answers are yes, no and cannot tell; `review_data` gives the texts.
    """
    view, answer = _page_of_a_picture()
    _add_text(answer, f"${QUESTION}", "20px", 600)
    _add_text(answer, f"${REASONS}")
    choices = _add_choices(answer, "single-radio", "Say yes, no, or that you cannot tell.")
    for value in _REVIEW_ANSWERS:
        ElementTree.SubElement(choices, "Choice", value=value, hotkey=value[0])
    return _written(view)


def review_data(label: str, given: bool, reasons: Sequence[str] = ()) -> dict[str, str]:
    """Return what a task's data hold for `review_view`, besides its picture.

    Args:
        label: Whether it is on the image is asked.
        given: The dataset says that it is.
        reasons: Why this is doubted, a line for each.
    """
    said = "The dataset says yes." if given else "The dataset says no."
    return {QUESTION: f"Is {label.replace('_', ' ')} on this image?", REASONS: "\n".join([said, *reasons])}


def description_view() -> str:
    """Return the page on which people say in their own words what the picture of `IMAGE` shows (2.2.1 of the paper)."""
    view, answer = _page_of_a_picture()
    _add_text(answer, "What is on this image?", "20px", 600)
    # In a field of text Label Studio takes Ctrl+Enter for nothing; Tab leaves it, and enters it on the next page.
    _add_text(
        answer,
        f"Write all that you see, in a word or two each, with commas between; {NO_WORDS} where there is nothing.\n"
        "Then Submit; or Tab, Ctrl+Enter, and Tab again for the next image.",
    )
    ElementTree.SubElement(
        answer,
        "TextArea",
        name=_ANSWER,
        toName=IMAGE,
        rows="1",
        editable="true",
        required="true",
        requiredMessage=f"Write what you see, or {NO_WORDS}.",
    )
    return _written(view)


def trial_view(pairs: int) -> str:
    """Return the page of a trial of the diversity study: pairs of pictures, of which the most similar is chosen.

    The pictures stand in the data of each task, as `trial_choices` gives them.

    Args:
        pairs: How many pairs each trial shows.

    Raises:
        ConfigurationError: There are more pairs than letters.
    """
    if pairs > len(_PAIR_NAMES):
        raise ConfigurationError(
            f"a trial of {pairs} pairs has more than {len(_PAIR_NAMES)}, which no page shows",
            "Compare fewer sets, or show fewer pairs of each.",
        )
    columns = _best_columns(pairs)
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Style").text = _TRIAL_STYLE + (
        f".mlrsnet-trial {{ --columns: {columns}; --rows: {math.ceil(pairs / columns)}; }}"
    )
    trial = ElementTree.SubElement(view, "View", className="mlrsnet-trial")
    # The choices are of this text: Label Studio wants them to be of something.
    ElementTree.SubElement(trial, "Text", name=IMAGE, value="Which pair is the most similar?")
    _add_choices(trial, "single-radio", "Choose the most similar pair.", f"${CHOICES}")
    return _written(view)


def trial_choices(pairs: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """Return the `CHOICES` of a task's data for `trial_view`.

    Args:
        pairs: The addresses of the two pictures of each.
    """
    picture = Markup('<img src="{}" alt="">')
    return [
        {
            "value": name,
            "hotkey": name.lower(),
            "html": str(Markup("<b>{}</b>{}{}").format(name, *(picture.format(address) for address in pair))),
        }
        for name, pair in zip(_PAIR_NAMES, pairs, strict=False)
    ]


def read_scene(result: object, place: str = "an annotation") -> str | None:
    """Return the category that an annotator chose, None for none of them.

    Args:
        result: Of an annotation of `scene_view`.
        place: What it is called in errors.

    Raises:
        ConfigurationError: The result holds another number of categories, or is no answer to that page.
    """
    chosen = _read_choices(result, place)
    if len(chosen) != 1:
        raise ConfigurationError(f"{place}: {len(chosen)} categories are chosen, where it is one", _REMEDY)
    return None if chosen[0] == NONE else chosen[0]


def read_labels(result: object, place: str = "an annotation") -> frozenset[str]:
    """Return the labels that an annotator chose; no label where it was none of them.

    Args:
        result: Of an annotation of `labels_view`.
        place: What it is called in errors.

    Raises:
        ConfigurationError: The result holds no choice, labels beside "none of these", or is no answer to that page.
    """
    chosen = frozenset(_read_choices(result, place))
    if not chosen:
        raise ConfigurationError(f"{place}: no label is chosen, nor that it is none of them", _REMEDY)
    if NONE in chosen and len(chosen) > 1:
        other = min(chosen - {NONE})
        raise ConfigurationError(f"{place}: {quoted(other)} is chosen, and that it is none of them", _REMEDY)
    return chosen - {NONE}


def read_review(result: object, place: str = "an annotation") -> bool | None:
    """Return whether an annotator says that the label is on the image, None where that cannot be told.

    Args:
        result: Of an annotation of `review_view`.
        place: What it is called in errors.

    Raises:
        ConfigurationError: The result is no answer to that page.
    """
    chosen = _read_choices(result, place)
    if len(chosen) != 1 or chosen[0] not in _REVIEW_ANSWERS:
        raise ConfigurationError(
            f"{place}: {quoted(chosen)} is chosen, where it is one of yes, no, cannot tell", _REMEDY
        )
    return _REVIEW_ANSWERS[chosen[0]]


def read_description(result: object, place: str = "an annotation") -> tuple[str, ...]:
    """Return what somebody sees on an image, each name once; nothing where they wrote `NO_WORDS`.

    Args:
        result: Of an annotation of `description_view`.
        place: What it is called in errors.

    Raises:
        ConfigurationError: Nothing is written, what is written is no names, or the result is no answer to that page.
    """
    parts: list[_Part] = json_as(result, list[_Part], place, _REMEDY)
    values = [json_as(part["value"], _Words, place, _REMEDY) for part in parts if part["from_name"] == _ANSWER]
    written = [name for value in values for text in value["text"] for name in _BETWEEN_NAMES.split(text)]
    names = dict.fromkeys(" ".join(name.split()) for name in written if name.strip())
    if not names:
        raise ConfigurationError(f"{place}: nothing is written", _REMEDY)
    if too_long := next((name for name in names if len(name) > _LONGEST_WORDS), None):
        raise ConfigurationError(
            f"{place}: {quoted(shortened(too_long, 60))} has {len(too_long):,} characters, and a name {_LONGEST_WORDS} "
            "at most",
            "Have it written anew, with commas between the names.",
        )
    return tuple(name for name in names if name.casefold() != NO_WORDS)


def read_trial(result: object, pairs: int, place: str = "an annotation") -> int:
    """Return the number of the pair that an observer chose, from 0.

    Args:
        result: Of an annotation of `trial_view`.
        pairs: How many pairs the trial shows.
        place: What it is called in errors.

    Raises:
        ConfigurationError: The result is no answer to that page.
    """
    chosen = _read_choices(result, place)
    names = _PAIR_NAMES[:pairs]
    if len(chosen) != 1 or chosen[0] not in list(names):
        raise ConfigurationError(f"{place}: {quoted(chosen)} is chosen, where it is one of {pairs} pairs", _REMEDY)
    return names.index(chosen[0])


def _choices(names: Sequence[str]) -> list[dict[str, str]]:
    """Return the attributes of the choice of each name, and of `NONE`."""
    if len(names) > len(set(names)):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigurationError(f"{quoted(twice)} is given twice", "Give each name once.")
    if taken := [name for name in names if name.replace("_", " ").casefold() == NONE]:
        raise ConfigurationError(f"{quoted(taken[0])} is what the page calls what is none of them", "Leave it out.")
    keys = hotkeys(names)
    choices = []
    for name in names:
        if _NOT_XML.search(name) or not name.strip():
            raise ConfigurationError(f"Label Studio cannot show the name {quoted(name)}", "Give it another name.")
        # Label Studio would put a field of the task where a name holds $ before a word.
        shown = name.replace("_", " ").replace("$", f"${_WORD_JOINER}")
        choices.append({"value": shown} | ({"alias": name} if shown != name else {}))
        if name in keys:
            choices[-1]["hotkey"] = keys[name]
    return [*choices, {"value": NONE, "hotkey": _NONE_KEY}]


def _page_of_a_picture() -> tuple[ElementTree.Element, ElementTree.Element]:
    """Return a page that shows the picture, and the part of it that asks."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Style").text = _STYLE
    columns = ElementTree.SubElement(view, "View", className="mlrsnet")
    picture = ElementTree.SubElement(columns, "View", className="mlrsnet-picture")
    # Its tools would take keys: h and v.
    off = {"zoomControl": "false", "selectionControl": "false"}
    ElementTree.SubElement(picture, "Image", off, name=IMAGE, value=f"${IMAGE}", maxHeight=_PICTURE_HEIGHT)
    return view, ElementTree.SubElement(columns, "View", className="mlrsnet-answer")


def _best_columns(pairs: int) -> int:
    """Return in how many columns pairs of pictures are largest, in a window of a laptop."""
    sizes = {count: min(1340 / count / 2, 500 / math.ceil(pairs / count)) for count in range(1, pairs + 1)}
    return max(sizes, key=lambda count: sizes[count])


def _add_text(parent: ElementTree.Element, value: str, size: str = "15px", weight: int = 400) -> None:
    style = f"font-size: {size}; font-weight: {weight}; line-height: 1.4; margin: 0 0 12px; white-space: pre-line"
    ElementTree.SubElement(parent, "Header", value=value, size="5", style=style)


def _add_choices(
    parent: ElementTree.Element, choice: Literal["single-radio", "multiple"], missing: str, value: str | None = None
) -> ElementTree.Element:
    settings = {"name": _ANSWER, "toName": IMAGE, "choice": choice, "required": "true", "requiredMessage": missing}
    return ElementTree.SubElement(parent, "Choices", settings | ({} if value is None else {"value": value}))


def _written(view: ElementTree.Element) -> str:
    return ElementTree.tostring(view, encoding="unicode")


def _read_choices(result: object, place: str) -> list[str]:
    """Return what is chosen; nothing where there is no answer."""
    parts: list[_Part] = json_as(result, list[_Part], place, _REMEDY)
    answers = [part["value"] for part in parts if part["from_name"] == _ANSWER]
    if len(answers) > 1:
        raise ConfigurationError(f"{place}: it holds {len(answers)} answers", _REMEDY)
    chosen: list[str] = json_as(answers[0], _Value, place, _REMEDY)["choices"] if answers else []
    return chosen
