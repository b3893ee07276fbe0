"""An annotator in a browser: by the keyboard alone, two keystrokes an answer, nothing to scroll, and what was meant."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from mlrsnet_hf.curation.label_studio import views
from mlrsnet_hf.curation.label_studio.hotkeys import hotkeys
from mlrsnet_hf.taxonomy import LABELS, SCENES
from tests.conftest import jpeg_bytes
from tests.curation.label_studio_server import PASSWORD, LabelStudioServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, ViewportSize

pytestmark = [pytest.mark.label_studio, pytest.mark.browser, pytest.mark.slow]

CATEGORIES = [scene.name for scene in SCENES]
ODD = ["<b>sea</b>", 'a "b" & c', "$image", "flugplätze", "湖泊", "true", "a__b", "=1+1", "bare_soil", "[y]"]
PICTURES = 4
LAPTOP = {"width": 1366, "height": 768}
LEAST = {"width": 1366, "height": 640}
"""What the bars of a browser leave of it."""


@pytest.fixture(scope="module")
def page(label_studio: LabelStudioServer, browser: "Browser") -> Iterator["Page"]:
    """The browser of an annotator who has logged in."""
    annotator = label_studio.sign_up("keyboard")
    context = browser.new_context(viewport=LEAST)
    opened = context.new_page()
    opened.goto(f"{label_studio.url}/user/login/", wait_until="commit")
    opened.fill("input[name=email]", annotator.email)
    opened.fill("input[name=password]", PASSWORD)
    opened.click("button[type=submit]")
    opened.wait_for_url(lambda url: "login" not in url, wait_until="commit")
    yield opened
    context.close()


class Labeling:
    """A project whose tasks the annotator answers, with what they press counted."""

    def __init__(
        self, server: LabelStudioServer, page: "Page", config: str, tasks: Sequence[Mapping[str, Any]]
    ) -> None:
        self.keystrokes = 0
        self._server, self._page = server, page
        folder = server.documents / "pictures"
        folder.mkdir(exist_ok=True)
        for number in range(PICTURES):
            (folder / f"{number}.jpg").write_bytes(jpeg_bytes((60 * number, 90, 40), (256, 256)))
        with server.owner_client() as owner:
            made = owner.post("/api/projects", json={"title": "seen in a browser", "label_config": config})
            self.project = made.raise_for_status().json()["id"]
            storage = {"project": self.project, "path": str(folder), "use_blob_urls": True}
            owner.post("/api/storages/localfiles", json=storage).raise_for_status()
            owner.post(f"/api/projects/{self.project}/import", json=list(tasks)).raise_for_status()
        page.goto(f"{server.url}/projects/{self.project}", wait_until="commit")
        page.click("text=Label All Tasks")
        self._wait_for_a_task_after("")

    def press(self, key: str) -> None:
        """Press one key, with those that are held for it."""
        self._page.keyboard.press("+".join(part.capitalize() if len(part) > 1 else part for part in key.split("+")))
        self.keystrokes += 1

    def choose(self, key: str) -> None:
        """Press the key of a choice until the page has taken it, which is deaf for a moment after a task was shown.

        Nobody is as fast as this; what the page does not take is no keystroke.
        """
        before = self.chosen()
        for _ in range(10):
            self.press(key)
            if self._within_seconds(lambda: self.chosen() != before):
                return
            self.keystrokes -= 1
        raise AssertionError(f"{key} chooses nothing")

    def submit(self, last: bool = False) -> None:
        """Submit by the keyboard, and wait until the server has it and shows the next task."""
        before, answers = self._task(), self._answers()
        for _ in range(10):
            self.press("Control+Enter")
            if self._within_seconds(lambda: self._answers() > answers):
                break
            self.keystrokes -= 1
        assert self._answers() == answers + 1
        if not last:
            self._wait_for_a_task_after(before)

    def _within_seconds(self, happens: Callable[[], bool]) -> bool:
        until = time.monotonic() + 3
        while time.monotonic() < until:
            if happens():
                return True
            self._page.wait_for_timeout(50)
        return False

    def _answers(self) -> int:
        return sum(map(len, self.results().values()))

    def results(self) -> dict[str, list[object]]:
        """Return the results of each task's annotations by its key."""
        with self._server.owner_client() as owner:
            tasks = owner.get(f"/api/projects/{self.project}/export?exportType=JSON").raise_for_status().json()
        return {task["data"]["key"]: [one["result"] for one in task["annotations"]] for task in tasks}

    def chosen(self) -> list[str]:
        """Return what the page shows as chosen, without its keys."""
        names: list[str] = self._page.evaluate(
            "[...document.querySelectorAll('.lsf-choice input:checked')].map(one => one.getAttribute('name'))"
        )
        return names

    def _task(self) -> str:
        return self._page.inner_text(".lsf-current-task__task-id")

    def _wait_for_a_task_after(self, before: str) -> None:
        # Its number is there a moment before its choices: until then those of the last task stand there, chosen.
        self._page.wait_for_function(
            """before => {
                const task = document.querySelector('.lsf-current-task__task-id');
                const fields = [...document.querySelectorAll('.lsf-choice input, input[name=answer]')];
                const fresh = fields.length && !fields.some(one => one.type === 'text' ? one.value : one.checked);
                return task && task.innerText !== before && fresh;
            }""",
            arg=before,
        )


MakeLabeling = Callable[..., Labeling]


@pytest.fixture
def labeling(label_studio: LabelStudioServer, page: "Page") -> MakeLabeling:
    """Return a function that opens a project of a page and its tasks."""
    return lambda config, tasks: Labeling(label_studio, page, config, tasks)


def pictures(count: int = PICTURES, **data: object) -> list[dict[str, object]]:
    """Return the tasks of so many pictures."""
    files = [f"/data/local-files/?d=pictures/{i % PICTURES}.jpg" for i in range(count)]
    return [{"key": f"{i}", "image": files[i], **data} for i in range(count)]


def test_every_category_has_a_key_that_works_and_an_image_takes_two_keystrokes(labeling: MakeLabeling) -> None:
    annotator = labeling(views.scene_view(CATEGORIES), pictures())
    keys = hotkeys(CATEGORIES) | {views.NONE: "0"}
    for name, key in keys.items():
        annotator.choose(key)
        assert annotator.chosen() == [name.replace("_", " ")], key
    annotator.keystrokes = 0
    answers = ["airport", "storage_tank", views.NONE, "airport"]
    for number, name in enumerate(answers):
        annotator.choose(keys[name])
        annotator.submit(last=number == PICTURES - 1)
    assert annotator.keystrokes == 2 * PICTURES
    said = [views.read_scene(result) for i in range(PICTURES) for result in annotator.results()[f"{i}"]]
    assert said == ["airport", "storage_tank", None, "airport"]


def test_an_answer_without_a_choice_is_not_taken(labeling: MakeLabeling, page: "Page") -> None:
    annotator = labeling(views.scene_view(CATEGORIES), pictures())
    annotator.press("Control+Enter")
    page.wait_for_selector("text=Choose a category")
    assert not any(annotator.results().values())


def test_names_with_markup_are_shown_chosen_and_told_as_they_are(labeling: MakeLabeling, page: "Page") -> None:
    boundary = "<b>sea</b> has $image & no shore"
    annotator = labeling(views.scene_view(ODD, second_stage=True), pictures(len(ODD), boundary=boundary))
    assert page.inner_text(".mlrsnet-answer h1, .mlrsnet-answer [class*=title]") == boundary
    for number, name in enumerate(ODD):
        annotator.choose(hotkeys(ODD)[name])
        annotator.submit(last=number == len(ODD) - 1)
    assert [views.read_scene(result) for i in range(len(ODD)) for result in annotator.results()[f"{i}"]] == ODD
    assert page.locator(".mlrsnet b").count() == 0


def test_labels_take_a_key_each_and_those_of_the_scene_come_first(labeling: MakeLabeling, page: "Page") -> None:
    labels = [label.name for label in LABELS]
    first = ["airplane", "airport", "cars", "trees"]
    annotator = labeling(views.labels_view(), pictures(choices=views.label_choices(labels, first)))
    shown = page.locator(".lsf-choice input").evaluate_all("all => all.map(one => one.getAttribute('name'))")
    assert shown[:5] == [*first, views.NONE]
    assert len(shown) == 61
    answers = [{"trees"}, {"airplane", "swimming pool", "trees"}, set(), {"airport", "wind turbine"}]
    for number, names in enumerate(answers):
        for name in names or {views.NONE}:
            annotator.choose((hotkeys(labels) | {views.NONE: "0"})[name])
        annotator.submit(last=number == PICTURES - 1)
    assert annotator.keystrokes == sum(len(names) or 1 for names in answers) + PICTURES
    assert [views.read_labels(result) for i in range(PICTURES) for result in annotator.results()[f"{i}"]] == answers


def test_words_are_written_by_the_keyboard_alone(labeling: MakeLabeling, page: "Page") -> None:
    annotator = labeling(views.description_view(), pictures(3))
    page.click("input[name=answer]")  # of the first image; Tab does from then on
    for number, words in enumerate(["car, bare soil; Car", "<b>sea</b>", "none"]):
        page.keyboard.type(words)
        annotator.press("Tab")
        annotator.submit(last=number == 2)
        annotator.press("Tab")
    assert annotator.keystrokes == 3 * 3
    said = [views.read_description(result) for i in range(3) for result in annotator.results()[f"{i}"]]
    assert said == [("car", "bare soil", "Car"), ("<b>sea</b>",), ()]


def test_a_review_takes_two_keystrokes(labeling: MakeLabeling) -> None:
    annotator = labeling(views.review_view(), pictures(**views.review_data("bare_soil", True, ["It looks <wet>."])))
    for number, key in enumerate("yncy"):
        annotator.choose(key)
        annotator.submit(last=number == PICTURES - 1)
    assert annotator.keystrokes == 2 * PICTURES
    said = [views.read_review(result) for i in range(PICTURES) for result in annotator.results()[f"{i}"]]
    assert said == [True, False, None, True]


def test_a_trial_shows_12_pairs_of_one_size_and_takes_two_keystrokes(labeling: MakeLabeling, page: "Page") -> None:
    files = [f"/data/local-files/?d=pictures/{i}.jpg" for i in range(PICTURES)]
    pairs = views.trial_choices([(files[i % 4], files[(i + 1) % 4]) for i in range(12)])
    annotator = labeling(views.trial_view(12), [{"key": f"{i}", "choices": pairs} for i in range(3)])
    page.wait_for_function("[...document.querySelectorAll('.mlrsnet-trial img')].every(one => one.naturalWidth)")
    sizes = page.locator(".mlrsnet-trial img").evaluate_all("all => all.map(one => [one.width, one.height])")
    assert len(sizes) == 24
    assert len(set(map(tuple, sizes))) == 1
    assert sizes[0][0] > 130
    for number, key in enumerate("alg"):
        annotator.choose(key)
        annotator.submit(last=number == 2)
    assert annotator.keystrokes == 6
    assert [views.read_trial(annotator.results()[f"{i}"][0], 12) for i in range(3)] == [0, 11, 6]


@pytest.mark.parametrize("window", [LAPTOP, LEAST], ids=["laptop", "laptop with a browser's bars"])
def test_nothing_is_to_be_scrolled_on_a_laptop(labeling: MakeLabeling, page: "Page", window: "ViewportSize") -> None:
    page.set_viewport_size(window)
    labels = [label.name for label in LABELS]
    files = [f"/data/local-files/?d=pictures/{i}.jpg" for i in range(PICTURES)]
    trial = {"key": "0", "choices": views.trial_choices([(files[0], files[1])] * 12)}
    boundary = "Bare soil with traces of fields is eroded farmland, without a trace it is bareland. " * 2
    for config, tasks in (
        (views.scene_view(CATEGORIES, second_stage=True), pictures(boundary=boundary)),
        (views.labels_view(), pictures(choices=views.label_choices(labels, labels[:9]))),
        (views.review_view(), pictures(**views.review_data("bare_soil", True, ["It looks wet."]))),
        (views.trial_view(12), [trial]),
    ):
        labeling(config, tasks)
        page.wait_for_function("[...document.querySelectorAll('.lsf-main-view img')].every(one => one.naturalWidth)")
        assert page.evaluate(_OUT_OF_SIGHT) == []
        picture = page.locator(".lsf-main-view img").first.bounding_box()
        assert picture is not None
        assert config == views.trial_view(12) or picture["width"] > window["height"] - 190


_OUT_OF_SIGHT = """() => {
    const page = document.querySelector('.lsf-main-content'), bar = document.querySelector('.lsf-bottombar');
    const parts = [...page.querySelectorAll('.lsf-choice, img')].map(one => one.getBoundingClientRect());
    const low = parts.filter(one => one.bottom > bar.getBoundingClientRect().top || one.right > innerWidth);
    return [...low, ...(page.scrollHeight > page.clientHeight ? [page.scrollHeight] : [])];
}"""
"""Choices and pictures that end below Label Studio's lower bar, or right of the window."""
