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
from mlrsnet_hf.taxonomy import LABELS, find_label, find_scene

PUBLISHED = [label.published for label in LABELS]


def write(path: Path, header: list[str], rows: list[list[str]], end: str = "\n") -> Path:
    path.write_text(end.join(",".join(cells) for cells in (header, *rows)) + end, newline="")
    return path


def row(name: str, columns: list[str], labels: set[str]) -> list[str]:
    return [name, *("1" if column in labels else "0" for column in columns)]


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**16),
    labels=st.lists(st.sets(st.sampled_from(PUBLISHED)), min_size=1, max_size=4),
    end=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
    final_newline=st.booleans(),
)
def test_columns_are_read_by_name_in_any_order(
    tmp_path: Path, seed: int, labels: list[set[str]], end: str, bom: bool, final_newline: bool
) -> None:
    columns = random.Random(seed).sample(PUBLISHED, len(PUBLISHED))
    lines = [["image", *columns], *(row(f"beach_{i}.jpg", columns, names) for i, names in enumerate(labels))]
    text = end.join(",".join(cells) for cells in lines) + (end if final_newline else "")
    path = tmp_path / "beach.csv"
    path.write_bytes((b"\xef\xbb\xbf" if bom else b"") + text.encode())

    rows = read_label_file(path)

    assert [r.file_name for r in rows] == [f"beach_{i}.jpg" for i in range(len(labels))]
    assert [{LABELS[i].published for i in r.labels} for r in rows] == labels
    assert [r.line for r in rows] == list(range(2, len(labels) + 2))


def test_canonical_spelling_and_one_blank_cell_are_accepted(tmp_path: Path) -> None:
    columns = ["harbor" if name == "habor" else "  " if name == "snowberg" else name for name in PUBLISHED]
    path = write(tmp_path / "x.csv", ["Image", *columns], [row("x_1.jpg", columns, {"harbor", "  "})])
    assert read_label_file(path)[0].labels == (find_label("harbor").id, find_label("snowberg").id)


GOOD = row("x_1.jpg", PUBLISHED, {"water"})


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (["file", *PUBLISHED], [GOOD], r"x.csv, line 1: no column is named 'image'"),
        ([], [], r"x.csv, line 1: no column is named 'image'"),
        (["image", "watr", *PUBLISHED[1:]], [GOOD], r"line 1: unknown label column 'watr' \(column 2\). Did you mean"),
        (["image", "water", *PUBLISHED[1:]], [GOOD], r"line 1: label column 'water' occurs twice"),
        (["image", *PUBLISHED[1:]], [GOOD], r"line 1: label columns missing: 'airplane'"),
        (["image", "", "", *PUBLISHED[2:]], [GOOD], r"missing: 'airplane', 'airport'; blank header cells: 2"),
        (["image", *PUBLISHED, ""], [[*GOOD, "0"]], r"missing: none; blank header cells: 1"),
        (["image", *PUBLISHED], [GOOD, GOOD[:-3]], r"x.csv, line 3: 57 label values where the header has 60"),
        (["image", *PUBLISHED], [[*GOOD, "0"]], r"line 2: 61 label values"),
        (["image", *PUBLISHED], [[*GOOD[:-1], "2"]], r"x.csv, line 2: label 'wind turbine' is '2'. Label values are 0"),
        (["image", *PUBLISHED], [[*GOOD[:-1], ""]], r"line 2: label 'wind turbine' is ''"),
        (["image", *PUBLISHED], [["", *GOOD[1:]]], r"line 2: the image name is empty"),
        (["image", *PUBLISHED], [GOOD, ["X_1.JPG", *GOOD[1:]]], r"line 3: X_1.JPG stands in line 2 already"),
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
