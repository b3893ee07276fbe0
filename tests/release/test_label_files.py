import io
import random
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlrsnet_hf.errors import ReleaseError
from mlrsnet_hf.release import read_label_file
from mlrsnet_hf.release.label_files import parse_label_file
from mlrsnet_hf.taxonomy import LABELS, find_label, find_scene

PUBLISHED = [label.published for label in LABELS]


def write(path: Path, header: list[str], rows: list[list[str]], end: str = "\n") -> Path:
    path.write_text(end.join(",".join(cells) for cells in (header, *rows)) + end, newline="")
    return path


def row(name: str, columns: list[str], labels: set[str]) -> list[str]:
    return [name, *("1" if column in labels else "0" for column in columns)]


VARIANTS = {"habor": "harbor", "chaparral": "Chapparral", "swimming pool": "swimmimg_pool", "water": " WATER "}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**16),
    labels=st.lists(st.sets(st.sampled_from(PUBLISHED)), min_size=1, max_size=4),
    end=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
    final_newline=st.booleans(),
    image_at=st.integers(0, 60),
    blank=st.none() | st.tuples(st.sampled_from(PUBLISHED), st.sampled_from(["", "  ", "\t"])),
    variants=st.booleans(),
    quoted=st.booleans(),
)
def test_columns_are_read_by_name_in_any_order(
    tmp_path: Path,
    seed: int,
    labels: list[set[str]],
    end: str,
    bom: bool,
    final_newline: bool,
    image_at: int,
    blank: tuple[str, str] | None,
    variants: bool,
    quoted: bool,
) -> None:
    columns = random.Random(seed).sample(PUBLISHED, len(PUBLISHED))
    shown = [VARIANTS.get(name, name) if variants else name for name in columns]
    if blank:
        shown[columns.index(blank[0])] = blank[1]
    lines = [["image", *shown], *(row(f"beach_{i:05d}.jpg", columns, names) for i, names in enumerate(labels))]
    for cells in lines:
        cells.insert(image_at, cells.pop(0))
    mark = '"' if quoted else ""
    text = end.join(",".join(f"{mark}{cell}{mark}" for cell in cells) for cells in lines)
    path = tmp_path / "beach.csv"
    path.write_bytes((b"\xef\xbb\xbf" if bom else b"") + text.encode() + (end.encode() if final_newline else b""))

    rows = read_label_file(path)

    assert [r.file_name for r in rows] == [f"beach_{i:05d}.jpg" for i in range(len(labels))]
    assert [{LABELS[i].published for i in r.labels} for r in rows] == labels
    assert [r.line for r in rows] == list(range(2, len(labels) + 2))


TRUE = {f"x_{i}.jpg": {name for name in PUBLISHED if (i * 7 + len(name)) % 3 == 0} for i in range(5)}
TEXT = "\n".join(",".join(c) for c in (["image", *PUBLISHED], *(row(n, PUBLISHED, names) for n, names in TRUE.items())))


@settings(max_examples=300)
@given(at=st.integers(0, len(TEXT)), lost=st.integers(0, 90), put=st.text(alphabet='01,\n\r"ax \0é', max_size=4))
def test_damage_is_an_error_or_changes_nothing_but_what_it_touched(at: int, lost: int, put: str) -> None:
    """A row is the true one, or a name or value stands in it that the damage put there; nothing is shifted."""
    text = TEXT[:at] + put + TEXT[at + lost :]
    try:
        rows = parse_label_file(text.encode(), "x.csv")
    except ReleaseError as error:
        assert error.found.startswith("x.csv")
        return
    lines = text.replace("\r\n", "\n").split("\n")
    for found in rows:
        cells = [cell.strip().strip('"') for cell in lines[found.line - 1].split(",")]
        header = [cell.strip().strip('"') for cell in lines[0].split(",")]
        assert len(cells) == len(header) == 61
        assert found.file_name == cells[0].strip()
        assert [find_label(h).id for h, c in zip(header[1:], cells[1:], strict=True) if h and c == "1"] == [
            i for i in sorted(found.labels) if LABELS[i].published in header or LABELS[i].name in header
        ]


@given(content=st.binary(max_size=300) | st.text(alphabet='image,01\n"', max_size=200).map(str.encode))
def test_rubbish_is_refused(content: bytes) -> None:
    with pytest.raises(ReleaseError, match=r"^x\.csv"):
        parse_label_file(content, "x.csv")


@pytest.mark.parametrize("lost", range(1, 140))
def test_file_cut_short_names_its_last_line(lost: int) -> None:
    """Whatever the last row has lost, down to its name."""
    whole = len(",".join(row("x_4.jpg", PUBLISHED, set())))
    if lost < whole:
        with pytest.raises(ReleaseError, match=r"x\.csv, line 6: "):
            parse_label_file(TEXT[:-lost].encode(), "x.csv")


def test_canonical_spelling_and_one_blank_cell_are_accepted(tmp_path: Path) -> None:
    columns = ["harbor" if name == "habor" else "  " if name == "snowberg" else name for name in PUBLISHED]
    path = write(tmp_path / "x.csv", ["Image", *columns], [row("x_1.jpg", columns, {"harbor", "  "})])
    assert read_label_file(path)[0].labels == (find_label("harbor").id, find_label("snowberg").id)


GOOD = row("x_1.jpg", PUBLISHED, {"water"})


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (["file", *PUBLISHED], [GOOD], r"x.csv, line 1: no column is named 'image'"),
        (["image", "image", *PUBLISHED[1:]], [GOOD], r"x.csv, line 1: 2 columns are named 'image'"),
        ([], [], r"x.csv, line 1: no column is named 'image'"),
        (["image", "watr", *PUBLISHED[1:]], [GOOD], r"line 1: unknown label column 'watr' \(column 2\). Did you mean"),
        (["image", "water", *PUBLISHED[1:]], [GOOD], r"line 1: label column 'water' occurs twice"),
        (["image", *PUBLISHED[1:]], [GOOD], r"line 1: label columns missing: 'airplane'"),
        (["image", "", "", *PUBLISHED[2:]], [GOOD], r"missing: 'airplane', 'airport'; blank header cells: 2"),
        (["image", *PUBLISHED, ""], [[*GOOD, "0"]], r"missing: none; blank header cells: 1"),
        (["image", *PUBLISHED], [GOOD, GOOD[:-3]], r"x.csv, line 3: 57 .* 60"),
        (["image", *PUBLISHED], [[*GOOD, "0"]], r"line 2: 61 label values"),
        (["image", *PUBLISHED], [[*GOOD[:-1], "2"]], r"x.csv, line 2: label 'wind turbine' is '2'. Label values are 0"),
        (["image", *PUBLISHED], [[*GOOD[:-1], ""]], r"line 2: label 'wind turbine' is ''"),
        (["image", *PUBLISHED], [["", *GOOD[1:]]], r"line 2: the image name is empty"),
        (["image", *PUBLISHED], [GOOD, ["X_1.JPG", *GOOD[1:]]], r"line 3: X_1.JPG .* line 2"),
    ],
)
def test_faults_name_file_and_line(tmp_path: Path, header: list[str], rows: list[list[str]], message: str) -> None:
    with pytest.raises(ReleaseError, match=message):
        read_label_file(write(tmp_path / "x.csv", header, rows))


@pytest.mark.parametrize("content", [b"\xff\xfe\x00 not text", b'image,"airplane\nx', b"\x00" * 50])
def test_binary_rubbish_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(ReleaseError, match=r"x\.csv"):
        read_label_file(tmp_path / "x.csv")


def test_the_labels_of_2020_give_every_published_count(shared: Path, tmp_path: Path) -> None:
    """Nine column orders and one blank header: only reading by name gives these counts."""
    with tarfile.open(shared / "data/mlrsnet_labels_2020/labels.tar.xz") as archive:
        members = [m for m in archive.getmembers() if m.name.endswith(".csv")]
        assert len(members) == 46
        for member in members:
            content = archive.extractfile(member)
            assert isinstance(content, io.BufferedReader | tarfile.ExFileObject)
            path = tmp_path / Path(member.name).name
            path.write_bytes(content.read())
            scene = find_scene(path.stem)
            rows = read_label_file(path)
            assert len(rows) == scene.images
            assert Counter(label for r in rows for label in r.labels) == dict(scene.label_counts)
