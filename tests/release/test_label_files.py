import csv
import io
import random
import re
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
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


# --- what spreadsheets and pandas make of a label file ---------------------------------------------------------------

ROWS = [("beach_00001.jpg", {"sea", "sand"}), ("beach_00002.jpg", set()), ("beach_00003.jpg", {"water"})]
TABLE = [["image", *PUBLISHED], *(row(name, PUBLISHED, labels) for name, labels in ROWS)]
RIGHT = [(name, {find_label(label).id for label in labels}) for name, labels in ROWS]


def as_text(table: list[list[str]], separator: str = ",", quoting: int = csv.QUOTE_MINIMAL, end: str = "\n") -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=separator, quoting=quoting, lineterminator=end).writerows(table)
    return text.getvalue().encode()


def with_values(change: Callable[[str], str]) -> list[list[str]]:
    return [TABLE[0], *([cells[0], *map(change, cells[1:])] for cells in TABLE[1:])]


def with_names(change: Callable[[str], str]) -> list[list[str]]:
    return [TABLE[0], *([change(cells[0]), *cells[1:]] for cells in TABLE[1:])]


def with_index(name: str, start: int = 0) -> list[list[str]]:
    return [[name, *TABLE[0]], *([str(start + i), *cells] for i, cells in enumerate(TABLE[1:]))]


def without_header(label: str, name: str) -> list[list[str]]:
    return [[name if cell == label else cell for cell in TABLE[0]], *TABLE[1:]]


def through_pandas(**writing: Any) -> bytes:  # noqa: ANN401
    """Read and written again by pandas, as its users do to filter or sort the rows."""
    return pd.read_csv(io.BytesIO(as_text(TABLE))).to_csv(**writing).encode()


REWRITTEN: dict[str, bytes] = {
    "semicolons": as_text(TABLE, ";"),
    "tabs": as_text(TABLE, "\t"),
    "bars": as_text(TABLE, "|"),
    "sep line": b"sep=,\n" + as_text(TABLE),
    "sep line of another separator": b"SEP=;\r\n" + as_text(TABLE, ";", end="\r\n"),
    "sep line of tabs": b"sep=\t\r\n" + as_text(TABLE, "\t", end="\r\n"),
    "sep line in quotes": b'"sep=;"\n' + as_text(TABLE, ";"),
    "mark": b"\xef\xbb\xbf" + as_text(TABLE),
    "mark and sep line": b"\xef\xbb\xbfsep=;\n" + as_text(TABLE, ";"),
    "UTF-16": as_text(TABLE, "\t").decode().encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + as_text(TABLE).decode().encode("utf-16-be"),
    "UTF-16 without a mark": as_text(TABLE, ";").decode().encode("utf-16-le"),
    "UTF-16, big end first, without a mark": as_text(TABLE).decode().encode("utf-16-be"),
    "UTF-32": as_text(TABLE).decode().encode("utf-32"),
    "all quoted": as_text(TABLE, quoting=csv.QUOTE_ALL),
    "returns": as_text(TABLE, end="\r"),
    "floats": as_text(with_values(lambda value: f"{value}.0")),
    "long floats": as_text(with_values(lambda value: f"{value}.000000e+00")),
    "floats with a comma": as_text(with_values(lambda value: f"{value},0"), ";"),
    "floats with a comma in quotes": as_text(with_values(lambda value: f"{value},0")),
    "truth values": as_text(with_values(lambda value: str(value == "1"))),
    "TRUTH VALUES": as_text(with_values(lambda value: str(value == "1").upper())),
    "spaces before values": as_text(with_values(lambda value: f" {value}")),
    "spaces around names": as_text([[f" {name} " for name in TABLE[0]], *TABLE[1:]]),
    "folders": as_text(with_names(lambda name: f"beach/{name}")),
    "paths": as_text(with_names(lambda name: f"./Images/beach/{name}")),
    "paths of Windows": as_text(with_names(lambda name: f"C:\\data\\Images\\beach\\{name}")),
    "index": as_text(with_index("")),
    "index of a part": as_text(with_index("", start=17)),
    "index, read again": as_text(with_index("Unnamed: 0")),
    "two indexes": as_text(
        [[f"Unnamed: 0.{i}", *cells] if not i else [str(i), *cells] for i, cells in enumerate(with_index("Unnamed: 0"))]
    ),
    "index reset": as_text(with_index("index")),
    "index and a blank header": as_text([["", *without_header("snowberg", "")[0]], *with_index("")[1:]]),
    "pandas": through_pandas(),
    "pandas without index": through_pandas(index=False),
    "pandas with tabs": through_pandas(sep="\t"),
    "blank header": as_text(without_header("snowberg", "")),
    "blank header through pandas": as_text(without_header("snowberg", "Unnamed: 44")),
    "closing row of commas": as_text(TABLE) + b"," * 60 + b"\n",
    "closing rows of semicolons": as_text(TABLE, ";") + (b";" * 60 + b"\r\n") * 40,
    "commas at the end of all rows": as_text([[*cells, "", ""] for cells in TABLE]),
    "another name of the images": as_text([["file_name", *TABLE[0][1:]], *TABLE[1:]]),
    "upper case": as_text([[name.upper() for name in TABLE[0]], *TABLE[1:]]),
    "underscores": as_text([[name.replace(" ", "_") for name in TABLE[0]], *TABLE[1:]]),
}


@pytest.mark.parametrize("form", REWRITTEN)
def test_rewritten_files_say_the_same(form: str) -> None:
    rows = parse_label_file(REWRITTEN[form], "x.csv")
    assert [(found.file_name, set(found.labels)) for found in rows] == RIGHT


def changed(value: str, column: int = 7) -> bytes:
    table = [list(cells) for cells in TABLE]
    table[2][column] = value
    return as_text(table)


UNCLEAR: dict[str, tuple[bytes, str]] = {
    **{
        f"value {value!r}": (changed(value), rf"^x\.csv, line 3: label '.*' is {re.escape(repr(value))}\. ")
        for value in (
            "",
            " ",
            "-1",
            "2",
            "0.5",
            "1.5",
            "0,5",
            "yes",
            "NA",
            "nan",
            "1.0.0",
            "10",
            "0x1",
            "1 0",
            "0;1",
            "¹",
        )
    },
    "closing sum": (as_text([*TABLE, ["", *("3" for _ in PUBLISHED)]]), r"line 5: the image name is empty"),
    "index that is none": (
        as_text([["", *TABLE[0]], *(["1", *cells] for cells in TABLE[1:])]),
        r"line 1: .* missing: none; blank header cells: 1",
    ),
    "index or label": (
        as_text([["", *without_header("sea", "")[0]], *([str(i), *cells] for i, cells in enumerate(TABLE[1:3]))]),
        r"line 1: .* missing: 'sea'; blank header cells: 2",
    ),
    "index that cannot be a label": (
        as_text([["index", *(name for name in TABLE[0] if name != "sea")], *(["1", *c[:-1]] for c in TABLE[1:2])]),
        r"line 1: .* missing: 'sea'; blank header cells: 1",
    ),
    "a column of labels too": (as_text([[*cells, "x"] for cells in TABLE]), r"line 1: unknown label column 'x'"),
    "one row in another separator": (
        as_text(TABLE, ";") + as_text(TABLE[2:3]).replace(b"00002", b"00009"),
        r"line 5: 0 label values where the header has 60",
    ),
    "two names of the images": (
        as_text([["path", *cells] if i == 0 else ["x", *cells] for i, cells in enumerate(TABLE)]),
        r"line 1: 2 columns are named 'image'",
    ),
    "pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 340560\n",
        r"^x\.csv: a Git LFS pointer, not the file itself\. Run git lfs pull",
    ),
    "annex": (b"/annex/objects/SHA256E-s340560--4d7a.csv\n", r"^x\.csv: a git-annex pointer"),
    "page": (b"\r\n <!DOCTYPE html>\n<html><head><title>404</title></head></html>", r"^x\.csv: an HTML or XML page"),
    "error of a store": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', r"^x\.csv: an HTML or XML"),
    "spreadsheet": (b"PK\x03\x04\x14\x00xl/workbook.xml", r"^x\.csv: a spreadsheet or ZIP file, not text\. Save"),
    "nothing": (b"", r"^x\.csv: empty file"),
    "text of an error": (b"404: Not Found", r"^x\.csv, line 1: no column is named 'image'"),
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_what_can_mean_two_things_is_refused(case: str) -> None:
    content, message = UNCLEAR[case]
    with pytest.raises(ReleaseError, match=message):
        parse_label_file(content, "x.csv")


@settings(max_examples=150)
@given(
    separator=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    values=st.sampled_from([("0", "1"), ("0.0", "1.0"), ("False", "True"), (" 0", " 1"), ("0,0", "1,0")]),
    index=st.sampled_from([None, "", "Unnamed: 0", "index"]),
    blank=st.sampled_from([None, "", "Unnamed: 12"]),
    folder=st.sampled_from(["", "beach/", "D:\\Images\\beach\\"]),
    empties=st.integers(0, 3),
    order=st.randoms(use_true_random=False),
)
def test_rewritings_together_say_the_same(
    separator: str,
    encoding: str,
    quoting: int,
    end: str,
    values: tuple[str, str],
    index: str | None,
    blank: str | None,
    folder: str,
    empties: int,
    order: random.Random,
) -> None:
    columns = order.sample(PUBLISHED, len(PUBLISHED))
    hidden = order.choice(PUBLISHED) if blank is not None else ""
    header = ["image", *(blank if name == hidden else name for name in columns)]
    table = [header, *([folder + name, *(values[label in labels] for label in columns)] for name, labels in ROWS)]
    if index is not None:
        table = [[index, *header], *([str(i), *cells] for i, cells in enumerate(table[1:]))]
    table += [[""] * len(table[0])] * empties
    content = as_text(table, separator, quoting, end).decode().encode(encoding)
    rows = parse_label_file(content, "x.csv")
    assert [(found.file_name, set(found.labels)) for found in rows] == RIGHT


@settings(max_examples=300)
@given(
    cell=st.text(alphabet="01.,;eE+- \t", max_size=8) | st.sampled_from(["true", "FALSE", "tRUE", "falsee", "01.0"]),
    separator=st.sampled_from(",;\t"),
)
def test_a_value_is_what_it_says_or_refused(cell: str, separator: str) -> None:
    """Against Python's own reading of numbers."""
    table = [list(cells) for cells in TABLE]
    table[3][20] = cell
    try:
        rows = parse_label_file(as_text(table, separator), "x.csv")
    except ReleaseError as error:
        assert error.found.startswith("x.csv, line 4: label")
        return
    said = {"true": 1.0, "false": 0.0}.get(cell.strip().casefold())
    value = float(cell.replace(",", ".")) if said is None else said
    assert value in (0, 1)
    assert (find_label(PUBLISHED[19]).id in rows[2].labels) == (value == 1)
    assert [set(found.labels) for found in rows[:2]] == [labels for _, labels in RIGHT[:2]]
