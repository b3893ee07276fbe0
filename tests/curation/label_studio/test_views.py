"""Labeling configurations are well-formed whatever names hold, keys are apart, and answers are read or refused."""

from xml.etree import ElementTree

import pytest

from mlrsnet_hf.curation.label_studio import views
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.taxonomy import SCENES

ODD = ["<b>sea</b>", 'a "b" & c', "$image", "flugplätze", "湖泊", "true", "a\nb", "=1+1", "bare_soil", "[y]"]


def choices(config: str) -> dict[str, dict[str, str]]:
    """Return the attributes of each choice by what its answer is called in a result, as Label Studio reads them."""
    found = [choice.attrib for choice in ElementTree.fromstring(config).iter("Choice")]
    return {choice.get("alias", choice["value"]): choice for choice in found}


def chosen(*names: str) -> list[dict[str, object]]:
    """Return a result as Label Studio 1.23 writes it."""
    return [
        {
            "id": "Xb2c",
            "type": "choices",
            "value": {"choices": list(names)},
            "origin": "manual",
            "to_name": "image",
            "from_name": "answer",
        }
    ]


def test_every_category_of_mlrsnet_has_a_key_of_its_own_that_label_studio_does_not_take() -> None:
    keys = [choice["hotkey"] for choice in choices(views.scene_view([scene.name for scene in SCENES])).values()]
    assert len(keys) == len(set(keys)) == 47
    assert not {"u", "enter", "escape", "backspace", "shift+1", "shift+2"} & set(keys)


def test_names_with_markup_come_back_as_they_are() -> None:
    found = choices(views.scene_view(ODD))
    assert [*found] == [*ODD, views.NONE]
    assert found["bare_soil"]["value"] == "bare soil"
    # Label Studio puts a task's field where a value holds $ and a word, and a boolean where an alias is "true".
    assert "$image" not in found["$image"]["value"]
    assert "alias" not in found["true"]


@pytest.mark.parametrize("name", ["a\x00b", "\ud800", "\x1b[31m", " ", ""])
def test_names_that_no_xml_holds_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError):
        views.scene_view(["sea", name])
    with pytest.raises(ConfigurationError):
        views.label_choices(["sea", name])


@pytest.mark.parametrize("names", [["sea", "lake", "sea"], ["sea", views.NONE], ["None_of_these", "sea"]])
def test_names_that_answers_could_not_tell_apart_are_refused(names: list[str]) -> None:
    with pytest.raises(ConfigurationError):
        views.scene_view(names)


def test_the_boundary_is_shown_in_the_second_stage_alone() -> None:
    shown = [
        ["$boundary" in part.attrib.values() for part in ElementTree.fromstring(config).iter("Header")]
        for config in (views.scene_view(["sea"]), views.scene_view(["sea"], second_stage=True))
    ]
    assert shown == [[], [True]]


def test_labels_of_the_vocabulary_come_first_and_keep_their_keys() -> None:
    labels = ["airplane", "buildings", "bare soil", "sea"]
    plain, ordered = views.label_choices(labels), views.label_choices(labels, ["sea", "bare soil"])
    assert [choice["value"] for choice in plain] == [views.NONE, *labels]
    assert [choice["value"] for choice in ordered] == ["sea", "bare soil", views.NONE, "airplane", "buildings"]
    assert {choice["value"]: choice["hotkey"] for choice in plain} == {
        choice["value"]: choice["hotkey"] for choice in ordered
    }


def test_answers_are_read() -> None:
    assert views.read_scene(chosen("bare_soil")) == "bare_soil"
    assert views.read_scene(chosen(views.NONE)) is None
    assert views.read_labels(chosen("sea", "<b>")) == {"sea", "<b>"}
    assert views.read_labels(chosen(views.NONE)) == frozenset()


@pytest.mark.parametrize(
    "result",
    [
        None,
        "sea",
        [1],
        [],
        chosen(),
        chosen("sea") * 2,
        [{"from_name": "answer", "value": {"text": ["sea"]}}],
        [{"from_name": "answer", "value": {"choices": "sea"}}],
        [{"from_name": "answer", "value": {"choices": [["sea"]]}}],
        [{"from_name": "other", "value": {"choices": ["sea"]}}],
        [{"value": {"choices": ["sea"]}}],
    ],
)
def test_what_is_no_answer_is_refused(result: object) -> None:
    for read in (views.read_scene, views.read_labels):
        with pytest.raises(ConfigurationError, match="annotation 7"):
            read(result, "annotation 7")


def test_answers_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(ConfigurationError):
        views.read_scene(chosen("sea", "lake"))
    with pytest.raises(ConfigurationError):
        views.read_labels(chosen("sea", views.NONE))


def test_a_review_asks_about_the_label_and_says_why() -> None:
    data = views.review_data("bare_soil", given=False, reasons=["9 of the 10 nearest images have it."])
    assert "bare soil" in data["question"]
    assert data["reasons"].splitlines()[1:] == ["9 of the 10 nearest images have it."]
    assert data["reasons"] != views.review_data("bare_soil", given=True)["reasons"]
    keys = {name: choice["hotkey"] for name, choice in choices(views.review_view()).items()}
    assert keys == {"yes": "y", "no": "n", "cannot tell": "c"}


def test_answers_of_reviews_and_trials_are_read() -> None:
    assert [views.read_review(chosen(said)) for said in ("yes", "no", "cannot tell")] == [True, False, None]
    pictures = [(f"/{i}.png", f"/{i}'.png") for i in range(25)]
    shown = views.trial_choices(pictures)
    assert [views.read_trial(chosen(choice["value"]), 25) for choice in shown] == [*range(25)]
    assert "u" not in [choice["hotkey"] for choice in shown]


def test_answers_of_reviews_and_trials_that_are_none_are_refused() -> None:
    for result in ([], chosen(), chosen("yes", "no"), chosen("maybe"), chosen("M")):
        with pytest.raises(ConfigurationError):
            views.read_review(result)
        with pytest.raises(ConfigurationError):
            views.read_trial(result, 12)


def test_addresses_of_pictures_are_no_markup() -> None:
    (choice,) = views.trial_choices([('/a"><script>.png', "/b&c.png")])
    html = choice["html"].replace('alt="">', 'alt=""/>')
    pictures = [*ElementTree.fromstring(f"<p>{html}</p>").iter("img")]
    assert [picture.get("src") for picture in pictures] == ['/a"><script>.png', "/b&c.png"]


def test_a_trial_of_more_pairs_than_letters_is_refused() -> None:
    ElementTree.fromstring(views.trial_view(25))
    with pytest.raises(ConfigurationError):
        views.trial_view(26)


def words(*texts: str) -> list[dict[str, object]]:
    return [{"from_name": "answer", "to_name": "image", "type": "textarea", "value": {"text": list(texts)}}]


def test_descriptions_are_read() -> None:
    assert views.read_description(words("car, Bare  soil;car", " sea\n")) == ("car", "Bare soil", "sea")
    assert views.read_description(words("None")) == ()
    for result in ([], words(), words(" , "), [*words("a")[:0], {"from_name": "answer", "value": {"text": "a"}}]):
        with pytest.raises(ConfigurationError):
            views.read_description(result)
