"""A diversity study: its folder, its answers, and what is refused, without a server."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlrsnet_hf.cli import main
from mlrsnet_hf.configuration import json_file
from mlrsnet_hf.curation.config import DiversityConfig
from mlrsnet_hf.curation.diversity import study as module
from mlrsnet_hf.curation.diversity.study import ShownPair, Study, Trial, keep_trial_answers, read_study, run_study
from mlrsnet_hf.curation.diversity.trial_pictures import PictureSet, common_side, write_picture
from mlrsnet_hf.curation.label_studio.tasks import Annotation
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.retrieval.embeddings.files import write_json
from mlrsnet_hf.retrieval.embeddings.info import LOCAL_FILE, LocalSources
from tests.curation.diversity.test_measure import write_set
from tests.curation.no_server import NoServer

SPREADS = {"plain": 6, "mixed": 40, "wild": 90}
"""How far the gray levels of a set's images differ."""


def write_images(folder: Path, spread: float, scenes: tuple[str, ...] = ("beach", "lake"), images: int = 8) -> Path:
    """Write a set whose images are each of one color around the middle, of several sizes, shapes and formats."""
    draw = np.random.default_rng(int(spread))
    for scene in scenes:
        (folder / scene).mkdir(parents=True)
        for number in range(images):
            color = tuple(int(level) for level in np.clip(128 + spread * draw.standard_normal(3), 0, 255))
            size = (80, 64) if number % 2 else (64, 90)
            ending = ("jpg", "png", "tif")[number % 3]
            Image.new("RGB", size, color).save(folder / scene / f"{scene}_{number:05}.{ending}")
    return folder


@pytest.fixture
def sets(tmp_path: Path) -> list[Path]:
    """Three sets of known spread."""
    return [write_images(tmp_path / name, spread) for name, spread in SPREADS.items()]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> NoServer:
    monkeypatch.setenv("LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT", str(tmp_path))
    stand_in = NoServer()
    monkeypatch.setattr(module, "connect", lambda: stand_in)
    return stand_in


def answer_of(
    number: int, key: str, pair: str | None, who: str | None = "ann@example.org", at: str = "2026-01-01"
) -> Annotation:
    values = {"choices": [pair]} if pair else {}
    result = [{"from_name": "answer", "to_name": "image", "type": "choices", "value": values}]
    return Annotation(id=number, key=key, annotator=who, result=result, at=at, changed=at, seconds=1.0)


def test_pictures_are_of_one_size_and_format_and_neither_they_nor_tasks_tell_the_set(
    sets: list[Path], tmp_path: Path, server: NoServer
) -> None:
    run_study(DiversityConfig(sets=tuple(sets), study=tmp_path / "study", trials=5))
    pictures = sorted((tmp_path / "study" / "pictures").iterdir())
    opened = [Image.open(path) for path in pictures]
    assert {(one.size, one.format, one.mode) for one in opened} == {((64, 64), "JPEG", "RGB")}
    sent = json.dumps([task.data for task in server.tasks])
    for told in (*SPREADS, "beach", "lake", "00001"):
        assert told not in sent
        assert not any(told in path.name for path in pictures)
    assert len(server.tasks) == len({task.key for task in server.tasks}) == 10
    assert all(task.votes == 10 and len(task.data["choices"]) == 12 for task in server.tasks)
    # Each picture of a page is there, and shows the color of the image that the study says it does.
    study = json.loads((tmp_path / "study" / "study.json").read_text())
    for task, trial in zip(server.tasks, study["trials"], strict=True):
        assert task.key == trial["key"]
        assert sorted(pair["set"] for pair in trial["pairs"]) == sorted([*SPREADS] * 4)
        for choice, pair in zip(task.data["choices"], trial["pairs"], strict=True):
            addresses = [part.split('"')[0] for part in choice["html"].split('src="')[1:]]
            for address, image in zip(addresses, (pair["first"], pair["second"]), strict=True):
                shown = Image.open(tmp_path / address.removeprefix("/data/local-files/?d="))
                original = Image.open(Path(study["sets"][pair["set"]]) / image).convert("RGB")
                assert image.split("/")[0] == trial["category"]
                off = np.subtract(shown.getpixel((20, 20)), original.getpixel((20, 20)))
                assert np.abs(off).max() < 6  # JPEG, of some twice


def test_a_study_goes_on_where_it_was_and_reads_its_answers(
    sets: list[Path], tmp_path: Path, server: NoServer, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "study"
    arguments = ["curate", "diversity", *map(str, sets), "--study", str(folder), "--trials", "4", "--observers", "2"]
    main(arguments)
    assert "http://server/projects/7" in capsys.readouterr().out
    assert not (folder / "diversity.csv").exists()
    first = (folder / "study.json").read_bytes()
    sorted((folder / "pictures").iterdir())[0].unlink()
    study = json.loads(first)
    # Ann takes a pair of the first set everywhere, Ben one of the second.
    for number, trial in enumerate(study["trials"]):
        of_set = {pair["set"]: "ABCDEFGHIJKL"[place] for place, pair in enumerate(trial["pairs"])}
        server.said += [
            answer_of(2 * number, trial["key"], of_set["plain"]),
            answer_of(2 * number + 1, trial["key"], of_set["mixed"], "ben@example.org"),
        ]
    main(["curate", "diversity", "--study", str(folder)])
    assert (folder / "study.json").read_bytes() == first
    assert len(list((folder / "pictures").iterdir())) == len(
        {
            (pair["set"], image)
            for trial in study["trials"]
            for pair in trial["pairs"]
            for image in (pair["first"], pair["second"])
        }
    )
    table = (folder / "diversity.csv").read_text().splitlines()
    found = {tuple(line.split(",")[:2]): float(line.split(",")[2]) for line in table[1:]}
    assert found["average", "plain"] == found["beach", "mixed"] == 0.5
    assert found["lake", "wild"] == 1
    assert (folder / "diversity.png").stat().st_size > 1000
    server.said = []  # a server that lost them all
    main(arguments)
    assert (folder / "diversity.csv").read_text().splitlines() == table


@pytest.fixture
def drawn() -> Study:
    pairs = tuple(ShownPair(set=name, first="a", second="b") for name in ("one", "two"))
    trials = tuple(Trial(key=f"t{number}", category="sea", pairs=pairs) for number in range(3))
    return Study(
        title="a study",
        sets={"one": "/one", "two": "/two"},
        side=64,
        trials_per_category=3,
        pairs=1,
        observers=2,
        seed=0,
        imagery="",
        images={"sea": {"one": 2, "two": 2}},
        trials=trials,
    )


Keep = Callable[..., set[tuple[str, str, int]]]


@pytest.fixture
def keep(drawn: Study, tmp_path: Path) -> Keep:
    """Return a function that reads annotations and returns trial, observer and pair of each answer."""

    def read(*annotations: Annotation) -> set[tuple[str, str, int]]:
        answers = keep_trial_answers(drawn, tmp_path / "answers.json", annotations)
        assert len(answers) == len({(one.key, one.annotator, one.annotation) for one in answers})
        return {(one.key, one.annotator, one.pair) for one in answers}

    return read


ANN, BEN = "ann@example.org", "ben@example.org"


def test_an_observer_has_one_answer_to_a_trial_the_last(keep: Keep) -> None:
    assert keep(answer_of(5, "t0", "A", at="3"), answer_of(4, "t0", "B", at="2")) == {("t0", ANN, 0)}
    assert keep(answer_of(5, "t0", "B", at="3")) == {("t0", ANN, 1)}  # changed by its observer
    assert keep(answer_of(9, "t0", "A", at="4")) == {("t0", ANN, 0)}  # given again
    assert keep(answer_of(5, "t0", "B", at="3")) == {("t0", ANN, 0)}  # a database of before she did


def test_answers_outlive_the_server_that_had_them(keep: Keep) -> None:
    keep(answer_of(1, "t0", "A"), answer_of(2, "t1", "B", BEN))
    # Restored from yesterday, it gives the same numbers to other annotations.
    assert keep(answer_of(1, "t2", "B", at="2026-01-02")) == {("t0", ANN, 0), ("t1", BEN, 1), ("t2", ANN, 1)}


def test_answers_of_deleted_people_count_once(keep: Keep) -> None:
    before = keep(answer_of(1, "t0", "A", at="1"), answer_of(2, "t0", "B", BEN, at="2"))
    later = [answer_of(1, "t0", "A", None, at="1"), answer_of(2, "t0", "B", BEN, at="2")]
    assert keep(*later) == before
    unknown = [answer_of(3, "t1", "A", None, at="1"), answer_of(4, "t1", "B", None, at="2")]
    for _ in range(2):
        assert keep(*later, *unknown) == before | {("t1", "deleted", 0), ("t1", "deleted", 1)}


def test_files_of_a_large_study_are_read(
    drawn: Study, keep: Keep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(answer_of(5, "t0", "A"))
    write_json(tmp_path / "study.json", dataclasses.asdict(drawn))
    monkeypatch.setattr(json_file, "MOST_BYTES", 30)  # what files of strangers may have is little beside these
    assert read_study(tmp_path / "study.json") == drawn
    assert keep() == {("t0", ANN, 0)}


def test_what_is_no_answer_to_the_study_is_left_out(keep: Keep) -> None:
    others = [answer_of(1, "gone", "A"), answer_of(2, "t0", None), answer_of(3, "t1", "C"), answer_of(4, "t2", "Z")]
    assert keep(*others, answer_of(5, "t2", "B", BEN)) == {("t2", BEN, 1)}


@pytest.mark.parametrize("pair", [-1, 2])
def test_answers_that_were_changed_by_hand_are_refused(drawn: Study, tmp_path: Path, pair: int) -> None:
    path = tmp_path / "answers.json"
    for changed in ({"pair": pair}, {"key": "t9"}, {"more": 1}):
        path.write_text(json.dumps([{"key": "t0", "annotator": ANN, "pair": 0, "annotation": "1"} | changed]))
        with pytest.raises(ConfigurationError, match=r"answers\.json"):
            keep_trial_answers(drawn, path, [])


def test_no_image_is_enlarged_and_the_middle_is_shown(tmp_path: Path) -> None:
    left = Image.new("RGB", (90, 30), "red")
    left.paste("blue", (30, 0, 60, 30))
    (tmp_path / "set" / "sea").mkdir(parents=True)
    left.save(tmp_path / "set" / "sea" / "a.png")
    Image.new("RGB", (400, 300)).save(tmp_path / "set" / "sea" / "b.png")
    sets = {"one": PictureSet(tmp_path / "set")}
    assert common_side(sets, [("one", "sea/a.png"), ("one", "sea/b.png")]) == 30
    assert common_side(sets, [("one", "sea/b.png")]) == 256
    write_picture(sets, "one", "sea/a.png", 30, tmp_path / "shown.jpg")
    shown = np.asarray(Image.open(tmp_path / "shown.jpg")).reshape(-1, 3)
    assert shown.shape == (900, 3)
    assert shown[:, 2].min() > 240


def test_a_study_is_of_the_sets_and_trials_that_it_was_drawn_with(
    sets: list[Path], tmp_path: Path, server: NoServer
) -> None:
    folder = tmp_path / "study"
    run_study(DiversityConfig(sets=tuple(sets), study=folder, trials=2))
    for other in (
        DiversityConfig(sets=tuple(sets[:2]), study=folder),
        DiversityConfig(sets=tuple(sets[::-1]), study=folder),
        DiversityConfig(study=folder, trials=3),
        DiversityConfig(study=folder, side=32),
        DiversityConfig(study=folder, observers=4),
    ):
        with pytest.raises(ConfigurationError, match="study"):
            run_study(other)


def test_mistakes_end_in_a_sentence_and_leave_nothing(
    sets: list[Path], tmp_path: Path, server: NoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled = tmp_path / "filled"
    filled.mkdir()
    (filled / "notes.txt").touch()
    (tmp_path / "no scenes").mkdir()
    Image.new("RGB", (30, 30)).save(tmp_path / "no scenes" / "a.png")
    write_images(tmp_path / "others", 5, ("desert",))
    (tmp_path / "broken" / "beach").mkdir(parents=True)
    for name in "ab":
        (tmp_path / "broken" / "beach" / f"{name}.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    study = tmp_path / "study"
    mistakes: list[dict] = [
        {"study": study},
        {"study": filled, "sets": sets},
        {"study": filled / "notes.txt", "sets": sets},
        {"study": study, "sets": [sets[0], tmp_path / "nowhere"]},
        {"study": study, "sets": [sets[0], tmp_path / "no scenes"]},
        {"study": study, "sets": [sets[0], tmp_path / "others"]},
        {"study": study, "sets": [sets[0], tmp_path / "broken"]},
        {"study": study, "sets": [sets[0], sets[0]]},
        {"study": study, "sets": sets, "pairs": 9},
    ]
    for mistake in mistakes:
        with pytest.raises(MLRSNetError):
            run_study(DiversityConfig(**mistake | {"sets": tuple(mistake.get("sets", ()))}))
        assert not study.exists()
    assert [one.name for one in filled.iterdir()] == ["notes.txt"]
    monkeypatch.setenv("LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT", str(tmp_path / "elsewhere"))
    with pytest.raises(ConfigurationError, match="serves nothing"):
        run_study(DiversityConfig(sets=tuple(sets), study=study))


@pytest.mark.parametrize(
    "settings",
    [{"sets": ("a", "b"), "observers": 5}, {"sets": ("a",), "study": "s"}, {"study": "s", "output_dir": "found"}],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict) -> None:
    with pytest.raises(ConfigurationError):
        DiversityConfig(**settings)


def test_studies_that_were_changed_by_hand_are_refused(sets: list[Path], tmp_path: Path, server: NoServer) -> None:
    folder = tmp_path / "study"
    run_study(DiversityConfig(sets=tuple(sets), study=folder, trials=2))
    study = json.loads((folder / "study.json").read_text())
    for name, value in (("sets", {"a": "b"}), ("images", {}), ("side", 0), ("trials", [1]), ("title", None)):
        (folder / "study.json").write_text(json.dumps(study | {name: value}))
        with pytest.raises(ConfigurationError, match=r"study\.json"):
            run_study(DiversityConfig(study=folder))


def test_two_calls_at_once_do_not_meet(sets: list[Path], tmp_path: Path, server: NoServer) -> None:
    folder = tmp_path / "study"
    given: list[Exception] = []

    def meanwhile(project: int) -> list[Annotation]:
        with pytest.raises(ConfigurationError, match="another process"):
            run_study(DiversityConfig(study=folder))
        given.append(ConfigurationError("", ""))
        return []

    server.annotations = meanwhile  # type: ignore[method-assign]
    run_study(DiversityConfig(sets=tuple(sets), study=folder, trials=2))
    assert given


def embedded(folder: Path, images: Path, scenes: tuple[str, ...] = ("beach", "lake")) -> Path:
    """Write embeddings of a set of `write_images`, as `mlrsnet embed` leaves them."""
    names = sorted(path.relative_to(images).as_posix() for path in images.rglob("*.*"))
    write_set(folder, 1, scenes, 0, len(names) // 2, names if scenes else None)
    sources = LocalSources(ModelChoice(), ImageSet(images=str(images)))
    write_json(folder / LOCAL_FILE, sources.to_json())
    return folder


def test_images_are_found_again_where_they_were_embedded(sets: list[Path], tmp_path: Path, server: NoServer) -> None:
    sources = [embedded(tmp_path / f"embedded-{path.name}", path) for path in sets[:2]]
    assert PictureSet(sources[0]).scenes == PictureSet(sets[0]).scenes
    run_study(DiversityConfig(sets=(*sources, sets[2]), study=tmp_path / "study", trials=2))
    assert len(server.tasks) == 4
    sets[0].rename(tmp_path / "moved")
    with pytest.raises(ConfigurationError, match="not where they were"):
        run_study(DiversityConfig(sets=(*sources, sets[2]), study=tmp_path / "another", trials=2))
    (sources[1] / LOCAL_FILE).unlink()
    with pytest.raises(ConfigurationError, match="does not say where its images are"):
        PictureSet(sources[1])


def test_embeddings_without_scenes_are_refused(sets: list[Path], tmp_path: Path) -> None:
    images = embedded(tmp_path / "embedded", sets[0])
    with pytest.raises(ConfigurationError, match="names no scenes"):
        PictureSet(embedded(tmp_path / "none", sets[0], ()))
    assert PictureSet(images).scenes
