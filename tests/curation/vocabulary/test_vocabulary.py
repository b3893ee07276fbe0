"""The vocabulary: by hand, its files, and how much of MLRSNet's own a sample of its labels finds again."""

import csv
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrsnet_hf.cli import main
from mlrsnet_hf.curation.vocabulary.files import (
    draw_images,
    read_described,
    write_rows,
    write_sheet,
    write_vocabulary_folder,
)
from mlrsnet_hf.curation.vocabulary.vocabulary import (
    Described,
    Merges,
    SceneVocabulary,
    Vocabulary,
    build_vocabulary,
    draw_sample,
    merges_text,
    propose_merges,
    read_merges,
    read_vocabulary,
    recovery,
    write_vocabulary,
)
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError, UnknownNameError
from mlrsnet_hf.taxonomy import LABEL_NAMES, SCENES


def images(scene: str, labels: str, count: int, first: int = 0) -> list[Described]:
    return [Described(f"{scene} {first + i}", scene, tuple(labels.split(","))) for i in range(count)]


def test_by_hand() -> None:
    described = [*images("beach", "sea,sand", 5), *images("beach", "sea", 3, 5), *images("beach", "sea,boat", 1, 8)]
    described.append(Described("beach 8", "beach", ("sand",)))  # somebody else sees sand on it too
    described += images("lake", "water", 6)
    built = build_vocabulary(described)
    assert built.vocabulary.scenes == {
        "beach": SceneVocabulary(images=9, labels={"sea": 9, "sand": 6}),
        "lake": SceneVocabulary(images=6, labels={"water": 6}),
    }
    assert built.dropped == {("beach", "boat"): 1}
    assert built.vocabulary.labels == ("sand", "sea", "water")
    assert built.vocabulary.allowed("beach") == {"sea", "sand"}
    assert build_vocabulary(described, least_images=7).vocabulary.allowed("beach") == {"sea"}
    with pytest.raises(UnknownNameError, match="beach"):
        built.vocabulary.allowed("beech")


def test_merges_of_labels_and_scenes() -> None:
    described = [*images("playground", "track,athletics track", 6), *images("ground track field", "athletics track", 3)]
    merges = Merges(labels={"athletics track": "track"}, scenes={"playground": "ground track field"})
    built = build_vocabulary(described, merges)
    assert built.vocabulary.scenes == {"ground track field": SceneVocabulary(images=9, labels={"track": 9})}


def test_a_name_stands_for_what_its_name_stands_for() -> None:
    # What the list proposes names what it merges: "Cars: cars" is done, "# cars: car" is proposed.
    merges = Merges(labels={"Cars": "cars", "cars": "car"}, scenes={"a": "b", "b": "c"})
    assert merges.apply(Described("1", "a", ("Cars", "car", "sea"))) == Described("1", "c", ("car", "sea"))
    for circle in ({"a": "b", "b": "a"}, {"d": "a", "a": "b", "b": "c", "c": "a"}):
        with pytest.raises(ConfigurationError, match=r"'[abc]'"):
            Merges(labels=circle)
    assert Merges(labels={"a": "a"}).label("a") == "a"


def test_samples() -> None:
    names = {"beach": [f"{i}" for i in range(500)], "lake": ["a", "b"]}
    drawn = draw_sample(names, 100, seed=1)
    assert len(set(drawn["beach"])) == 100 and drawn["lake"] == ["a", "b"]
    assert drawn == draw_sample({scene: part[::-1] for scene, part in reversed(names.items())}, 100, seed=1)
    assert drawn["beach"] != draw_sample(names, 100, seed=2)["beach"]


def test_proposals() -> None:
    same, near = propose_merges({"chaparral": 9, "Chaparral": 2, "chapparral": 1, "sea": 5, "seas": 2, "car": 1})
    assert same == {"Chaparral": "chaparral"}
    assert near == {"chapparral": "chaparral", "seas": "sea"}


def test_the_list_is_reviewed_in_its_file(tmp_path: Path) -> None:
    text = merges_text(Merges(labels={"Sea": "sea"}), {"seas": "sea", "no: x": "1e-3"}, {"play ground": "playground"})
    path = tmp_path / "merges.yaml"
    path.write_text(text)
    assert read_merges(path) == Merges(labels={"Sea": "sea"})
    path.write_text(text.replace("  # ", "  "))
    assert read_merges(path) == Merges(
        labels={"Sea": "sea", "seas": "sea", "no: x": "1e-3"}, scenes={"play ground": "playground"}
    )
    path.write_text("labels: [sea]\n")
    with pytest.raises(ConfigurationError, match=r"merges\.yaml"):
        read_merges(path)


def test_what_was_decided_is_not_proposed_again() -> None:
    text = merges_text(Merges(labels={"car": "cars"}), {"cars": "car", "sea side": "seaside"}, {})
    assert "cars: car" not in text and "# sea side: seaside" in text


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@given(st.dictionaries(names, st.dictionaries(names, st.integers(1, 9), max_size=4), min_size=1, max_size=4))
def test_any_names_come_back(tmp_path_factory: pytest.TempPathFactory, drawn: dict[str, dict[str, int]]) -> None:
    path = tmp_path_factory.mktemp("vocabulary") / "vocabulary.yaml"
    vocabulary = Vocabulary(scenes={name: SceneVocabulary(images=9, labels=part) for name, part in drawn.items()})
    write_vocabulary(vocabulary, path)
    assert read_vocabulary(path) == vocabulary


def test_sheet_and_back(tmp_path: Path) -> None:
    for scene, count in (("beach", 9), ("play&ground", 2)):
        (tmp_path / "collected" / scene).mkdir(parents=True)
        for i in range(count):
            (tmp_path / "collected" / scene / f"{i}.jpg").touch()
    (tmp_path / "collected" / "notes").mkdir()
    sheet = tmp_path / "sheet.csv"
    write_sheet(tmp_path / "collected", sheet, 7, 0)
    with sheet.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["scene"] for row in rows] == ["beach"] * 7 + ["play&ground"] * 2
    assert rows[0]["image"].startswith("beach/")
    with pytest.raises(ConfigurationError, match="exists"):
        write_sheet(tmp_path / "collected", sheet, 7, 0)
    with pytest.raises(ConfigurationError, match="no image"):
        write_vocabulary_folder([], tmp_path / "none", None, 100, 6, 0)
    with sheet.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "scene", "labels"])
        writer.writerows([row["image"], row["scene"], "Sea ; sand;"] for row in rows[:-1])
        writer.writerow([rows[-1]["image"], rows[-1]["scene"], "sea"])
    described = read_described(sheet)
    assert described[0].labels == ("Sea", "sand")
    told = write_vocabulary_folder(described, tmp_path / "vocabulary", None, 100, 6, 0)
    assert read_vocabulary(tmp_path / "vocabulary/vocabulary.yaml").allowed("beach") == {"Sea", "sand"}
    assert str(tmp_path / "vocabulary") in told
    merges = tmp_path / "vocabulary/merges.yaml"
    assert read_merges(merges).labels == {"sea": "Sea"}
    write_vocabulary_folder(described, tmp_path / "again", merges, 100, 2, 0)
    assert read_vocabulary(tmp_path / "again/vocabulary.yaml").allowed("play&ground") == {"Sea"}


def test_hidden_files_are_none_of_the_collection(tmp_path: Path) -> None:
    names = ("beach/a/0.jpg", "beach/.thumbnails/0.jpg", "beach/._0.jpg", ".cache/1.jpg", "__MACOSX/beach/._0.jpg")
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "beach" / "folder.jpg").mkdir()
    assert draw_images(tmp_path, 9, 0) == {"beach": ["beach/a/0.jpg"]}


@pytest.mark.parametrize("name", [b"\xff\xfe/0.jpg", b"beach/\xff.jpg"])
def test_names_that_are_no_text_are_refused_before_anything_is_written(
    tmp_path: Path, name: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    source, sheet = tmp_path / "collected", tmp_path / "sheet.csv"
    (source / "lake").mkdir(parents=True)
    (source / "lake" / "0.jpg").touch()
    path = Path(os.fsdecode(os.fsencode(source) + b"/" + name))
    try:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    except OSError:
        pytest.skip("this disk takes no such names")
    with pytest.raises(SystemExit) as ended:
        main(["curate", "vocabulary", str(source), "--sheet", str(sheet)])
    assert ended.value.code == 2
    assert "Rename it" in capsys.readouterr().err
    assert not sheet.exists()


def test_what_a_spreadsheet_would_take_for_a_formula_comes_back(tmp_path: Path) -> None:
    rows = [("-park/1.jpg", "-park", "=sea; sand"), ("'quoted/1.jpg", "'quoted'", "+1"), ("+/1.jpg", "+", "-2; @home")]
    write_rows(tmp_path / "sheet.csv", rows)
    assert "\n-" not in (tmp_path / "sheet.csv").read_text()
    assert read_described(tmp_path / "sheet.csv") == [
        Described(image, scene, tuple(labels.split("; "))) for image, scene, labels in rows
    ]


def test_a_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "collected" / "beach").mkdir(parents=True)
    (tmp_path / "collected" / "beach" / "0.jpg").touch()
    main(["curate", "vocabulary", "~/collected", "--sheet", "~/sheet.csv"])
    assert (tmp_path / "sheet.csv").exists()
    (tmp_path / "sheet.csv").write_text("image,scene,labels\nbeach/0.jpg,beach,sea\n")
    main(["curate", "vocabulary", "~/sheet.csv", "--output-dir", "~/counted"])
    main(["curate", "vocabulary", "~/sheet.csv", "--merges", "~/counted/merges.yaml", "--output-dir", "~/reviewed"])
    assert (tmp_path / "reviewed" / "vocabulary.yaml").exists()


def test_a_large_vocabulary_comes_back(tmp_path: Path) -> None:
    made = Vocabulary(
        scenes={
            f"scene {i}": SceneVocabulary(images=100, labels={f"some label {j}": 9 for j in range(20)})
            for i in range(400)
        }
    )
    write_vocabulary(made, tmp_path / "vocabulary.yaml")
    assert read_vocabulary(tmp_path / "vocabulary.yaml") == made
    near = {f"a proposed spelling {i}": f"that which is more frequent {i}" for i in range(3000)}
    (tmp_path / "merges.yaml").write_text(merges_text(Merges(labels={"Sea": "sea"}), near, {}))
    assert read_merges(tmp_path / "merges.yaml") == Merges(labels={"Sea": "sea"})


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "described.parquet"
    labels = [["sea", "sand"], [], None]
    pq.write_table(pa.table({"image": ["a", "b", "c"], "scene": ["beach"] * 3, "labels": labels}), path)
    assert read_described(path) == [Described("a", "beach", ("sea", "sand")), Described("b", "beach", ())]


def test_rows_that_nobody_has_filled_in_do_not_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sheet = tmp_path / "sheet.csv"
    rows = [("1", "sea"), ("2", ""), ("3", "none"), ("3", ""), ("4", " None ; sand")]
    sheet.write_text("image,scene,labels\n" + "".join(f"{image},beach,{labels}\n" for image, labels in rows))
    assert [(one.image, one.labels) for one in read_described(sheet)] == [("1", ("sea",)), ("3", ()), ("4", ("sand",))]
    assert "2 rows" in caplog.text
    sheet.write_text("image,scene,labels\n1,beach,\n")
    with pytest.raises(SystemExit):
        main(["curate", "vocabulary", str(sheet), "--output-dir", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", "image,labels\na,b\n"), ("a.csv", "image,scene,labels\na,,b\n"), ("a.parquet", "x"), ("a.xyz", "x")],
)
def test_faults_are_named(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(MLRSNetError, match=name):
        read_described(tmp_path / name)
    twice = [Described("a", "beach", ()), Described("a", "lake", ())]
    with pytest.raises(ConfigurationError, match="lake"):
        build_vocabulary(twice)


@pytest.mark.slow
@pytest.mark.parametrize(("year", "precision"), [(2020, 1.0), (2021, 0.85)])
def test_mlrsnets_own_vocabulary(shared: Path, tmp_path: Path, year: int, precision: float) -> None:
    shutil.unpack_archive(shared / f"data/mlrsnet_labels_{year}/labels.tar.xz", tmp_path)
    described = read_described(tmp_path, "as-published")
    known = {(scene.name, LABEL_NAMES[label]) for scene in SCENES for label in scene.vocabulary}
    for seed in range(3):
        found = build_vocabulary(described, seed=seed).vocabulary
        pairs = recovery(found.pairs(), known)
        assert pairs.precision >= precision
        assert 0.89 < pairs.recall < 0.95
        assert recovery(found.labels, LABEL_NAMES).recall == 1
