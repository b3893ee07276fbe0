"""Copies on the Hub and repositories of our own, as `datasets` writes them."""

import io
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value
from datasets import Sequence as ListOf

from mlrsnet_hf.dataset import FEATURES, to_example
from mlrsnet_hf.errors import ImageError, ReleaseError
from mlrsnet_hf.release import Record, open_labels, open_release
from mlrsnet_hf.taxonomy import LABELS

MakeRelease = Callable[..., Path]
SCENES = {"beach": 5, "harbor&port": 4, "swimmimg_pool": 6}


@pytest.fixture
def records(make_release: MakeRelease) -> list[Record]:
    return list(open_release(make_release(SCENES)).records())


def rows(records: Sequence[Record], column: str, labels: Callable[[Record], Any]) -> dict[str, list[Any]]:
    """Return rows in an order of their own."""
    shuffled = random.Random(3).sample(list(records), len(records))
    images = [{"bytes": record.image, "path": record.file_name} for record in shuffled]
    return {"image": images, column: [labels(record) for record in shuffled]}


def write(path: Path, columns: dict[str, list[Any]], features: Features | None, batch_size: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Dataset.from_dict(columns, features=features).to_parquet(path, batch_size=batch_size)


CLASSES = ListOf(ClassLabel(names=[label.published for label in LABELS]))
BACKWARDS = ListOf(ClassLabel(names=[label.name for label in reversed(LABELS)]))
FORMS: dict[str, tuple[str, Any, Callable[[Record], Any]]] = {
    "ids with their names": ("label", CLASSES, lambda r: list(r.labels)),
    "ids in another order of names": ("labels", BACKWARDS, lambda r: [59 - i for i in r.labels]),
    "ids without names": ("labels", ListOf(Value("int32")), lambda r: list(reversed(r.labels))),
    "names": ("labels", ListOf(Value("string")), lambda r: [LABELS[i].published for i in r.labels]),
    "zeros and ones": ("label", ListOf(Value("int8")), lambda r: [int(i in r.labels) for i in range(60)]),
    "zeros and ones, always sixty": (
        "labels",
        ListOf(Value("uint8"), length=60),
        lambda r: [int(i in r.labels) for i in range(60)],
    ),
    "truth values": ("labels", ListOf(Value("bool")), lambda r: [i in r.labels for i in range(60)]),
    "fractions": ("labels", ListOf(Value("float32")), lambda r: [float(i in r.labels) for i in range(60)]),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_labels(records: list[Record], tmp_path: Path, form: str) -> None:
    column, feature, labels = FORMS[form]
    features = Features({"image": Image(), column: feature})
    path = tmp_path / "copy.parquet"
    write(path, rows(records, column, labels), features)
    release = open_release(path)
    assert list(release.records()) == records
    assert open_labels(path) == release.entries
    assert open_release(path, label_version="as-published").entries == release.entries


@pytest.mark.parametrize("folder", [".", "data", "default/train"])
def test_rows_spread_over_files_and_row_groups(records: list[Record], tmp_path: Path, folder: str) -> None:
    columns = rows(records, "labels", lambda r: list(r.labels))
    root = tmp_path / "copy"
    for part in range(3):
        some = {name: values[part::3] for name, values in columns.items()}
        write(root / folder / f"train-0000{part}-of-00003.parquet", some, None, batch_size=2)
    (root / "README.md").write_text("---\n---\n")
    release = open_release(root)
    assert list(release.records()) == records
    assert [r.id for r in release.records(release.entries[7:9])] == [r.id for r in records[7:9]]
    first = release.fingerprint()
    moved = root.rename(tmp_path / "moved")
    assert open_release(moved).fingerprint() == first
    path = next(moved.rglob("*.parquet"))
    path.rename(path.with_name("other.parquet"))
    assert open_release(moved).fingerprint() != first


def test_repository_of_our_own(make_release: MakeRelease, tmp_path: Path) -> None:
    root = make_release(SCENES, labels=["water", "sea"])
    records = list(open_release(root, label_version="verified").records())
    assert {r.repaired for r in records} == {True, False}
    examples = [to_example(record) for record in records]
    for part in range(4):
        some = examples[part::4]
        columns = {name: [example[name] for example in some] for name in FEATURES}
        write(tmp_path / f"repository/data/part-{part}.parquet", columns, FEATURES)
    repository = open_release(tmp_path / "repository")  # what was repaired by an earlier version stays so
    assert (list(repository.records()), repository.label_version, repository.is_mlrsnet) == (records, "verified", False)
    with pytest.raises(ReleaseError, match=r"row \d: the labels are repaired"):
        open_release(tmp_path / "repository", label_version="as-published")


@pytest.mark.usefixtures("known_as_mlrsnet")
def test_published_labels_of_a_copy_are_repaired(make_release: MakeRelease, tmp_path: Path) -> None:
    root = make_release({"stadium": 2}, labels=["water", "sea"])
    published = list(open_release(root, label_version="as-published").records())
    write(tmp_path / "x.parquet", rows(published, "labels", lambda r: list(r.labels)), None)
    assert list(open_release(tmp_path / "x.parquet").records()) == list(open_release(root).records())
    assert list(open_release(tmp_path / "x.parquet", label_version="as-published").records()) == published


def test_paths_and_spellings(records: list[Record], tmp_path: Path) -> None:
    columns = rows(records, "labels", lambda r: list(r.labels))
    for image in columns["image"]:
        name = image["path"].replace("swimmimg", "Swimming").replace("&", "_")
        image["path"] = f"Images\\x/{name}"
    write(tmp_path / "x.parquet", columns, None)
    assert list(open_release(tmp_path / "x.parquet").records()) == records


def faulty(name: str, values: list[Any]) -> Callable[[dict[str, list[Any]]], dict[str, list[Any]]]:
    return lambda columns: {**columns, name: values + columns.get(name, [])[len(values) :]}


PNG = {"bytes": b"x", "path": "beach_00001.jpg"}
FAULTS: dict[str, tuple[Callable[[dict[str, list[Any]]], dict[str, list[Any]]], str]] = {
    "no image column": (lambda c: {"labels": c["labels"]}, r"no column 'image' with the bytes and path"),
    "images as paths": (lambda c: {**c, "image": [i["path"] for i in c["image"]]}, r"no column 'image' with the bytes"),
    "no labels": (lambda c: {"image": c["image"]}, r"no column 'labels' or 'label' with a list"),
    "scene as label": (
        lambda c: {"image": c["image"], "label": [1] * 15},
        r"no column 'labels' or 'label' with a list",
    ),
    "no path": (
        faulty("image", [{"bytes": b"", "path": None}]),
        r"row 0: the image has no file name, so that its scene",
    ),
    "other path": (
        faulty("image", [{"bytes": b"", "path": "agri07.jpg"}]),
        r"row 0: the file name 'agri07.jpg' does not",
    ),
    "one name twice": (faulty("image", [PNG, PNG]), r"row 0 and .*row 1: both hold beach_00001. Pass each image once"),
    "id too large": (faulty("labels", [[3], [60]]), r"row group 0, row 1: label 60 is none of the ids 0 to 59"),
    "unknown number": (faulty("labels", [[-1]]), r"row 0: label -1 is none of the ids"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_refusals_give_the_reason(records: list[Record], tmp_path: Path, fault: str) -> None:
    change, message = FAULTS[fault]
    columns = change(rows(records, "labels", lambda r: list(r.labels)))
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    with pytest.raises(ReleaseError, match=message):
        open_release(tmp_path / "x.parquet")


def test_unknown_names_are_refused(records: list[Record], tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", rows(records, "labels", lambda _: ["watr"]), None)
    with pytest.raises(ReleaseError, match=r"row 0: 'watr' is not one of MLRSNet's 60 labels"):
        open_release(tmp_path / "x.parquet")
    names = ListOf(ClassLabel(names=["water", "lava"]))
    features = Features({"image": Image(), "labels": names})
    write(tmp_path / "x.parquet", rows(records, "labels", lambda _: [0]), features)
    with pytest.raises(ReleaseError, match=r"column 'labels': 'lava' is not one of MLRSNet's 60 labels"):
        open_release(tmp_path / "x.parquet")


def test_metadata_of_every_version_of_datasets(records: list[Record], tmp_path: Path) -> None:
    """datasets 2 and 3 write `Sequence`, 4 and newer `List`; older ones a list with one feature."""
    names = [label.published for label in reversed(LABELS)]
    label = {"names": names, "_type": "ClassLabel"}
    columns = rows(records, "labels", lambda r: [59 - i for i in r.labels])
    for feature in ({"feature": label, "_type": "Sequence"}, {"feature": label, "_type": "List"}, [label]):
        metadata = {"info": {"features": {"image": {"_type": "Image"}, "labels": feature}}}
        table = pa.table(columns).replace_schema_metadata({"huggingface": json.dumps(metadata)})
        pq.write_table(table, tmp_path / "x.parquet")
        assert list(open_release(tmp_path / "x.parquet").records()) == records


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("[]", "metadata 'huggingface': the content"),
        ('{"info": null}', "info=None"),
        ('{"info": {"features": null}}', "info.features=None"),
        ('{"info": {"features": {"labels": {"names": ["sea", 5]}}}}', r"column 'labels': \[1\]=5"),
        ('{"info": {"features": {"labels": {"names": 5}}}}', "column 'labels': the content=5"),
        ("{" * 50_000, "cannot be read"),
    ],
)
def test_other_metadata_is_refused_in_one_sentence(
    records: list[Record], tmp_path: Path, metadata: str, message: str
) -> None:
    table = pa.table(rows(records, "labels", lambda r: list(r.labels)))
    pq.write_table(table.replace_schema_metadata({"huggingface": metadata}), tmp_path / "x.parquet")
    with pytest.raises(ReleaseError, match=rf"x\.parquet: .*{message}"):
        open_release(tmp_path / "x.parquet")


@pytest.mark.parametrize("value", [[[1]], [{"a": 1}], [b"sea"]])
def test_lists_of_something_else_are_refused(records: list[Record], tmp_path: Path, value: list[Any]) -> None:
    pq.write_table(pa.table(rows(records, "labels", lambda _: value)), tmp_path / "x.parquet")
    with pytest.raises(ReleaseError, match=r"x\.parquet: column 'labels' holds "):
        open_release(tmp_path / "x.parquet")


def test_lists_that_no_image_has_are_not_read(records: list[Record], tmp_path: Path) -> None:
    """A few KB, which would be 12 million numbers in memory."""
    table = pa.table(rows(records, "labels", lambda _: [1]))
    ones = pa.ListArray.from_arrays(
        pa.array([800_000 * i for i in range(len(records) + 1)], pa.int32()), pa.array([1] * 800_000 * len(records))
    )
    pq.write_table(table.set_column(table.schema.get_field_index("labels"), "labels", ones), tmp_path / "x.parquet")
    with pytest.raises(ReleaseError, match=r"12,000,000 labels of 15 images"):
        open_release(tmp_path / "x.parquet")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(50) + b"PAR1", b"text"])
def test_damaged_files_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(ReleaseError, match=r"x.parquet: .*Parquet"):
        open_release(tmp_path / "x.parquet")


def test_damage_behind_the_footer_is_named(records: list[Record], tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table(rows(records, "labels", lambda r: list(r.labels))), path, compression="none")
    data = path.read_bytes()
    path.write_bytes(data.replace(records[2].image, records[2].image[:-2] + b"\0\0"))
    with pytest.raises(ImageError, match=r"x.parquet/beach_0000.\.jpg: truncated"):
        list(open_release(path).records())


def test_damaged_copies_do_not_crash(records: list[Record], tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    buffer = io.BytesIO()
    pq.write_table(pa.table(rows(records, "labels", lambda r: list(r.labels))), buffer)
    dice = random.Random(8)
    for _ in range(60):
        data = bytearray(buffer.getvalue())
        for _ in range(4):
            data[dice.randrange(len(data))] = dice.randrange(256)
        path.write_bytes(data)
        try:
            list(open_release(path).records(on_unreadable=lambda *_: None))
        except ReleaseError as error:
            assert "x.parquet" in str(error)


def test_another_dataset_is_refused(shared: Path) -> None:
    with pytest.raises(ReleaseError, match=r"train.parquet, row group 0, row 0: .*'agricultural07.jpg'"):
        open_release(shared / "data/ucm_multilabel/train.parquet")
    with pytest.raises(ReleaseError, match=r"46 scenes"):
        open_release(shared / "data/ucm_multilabel")


def test_release_beside_parquet_files_is_the_release(make_release: MakeRelease) -> None:
    root = make_release({"beach": 2})
    (root / "x.parquet").write_bytes(b"")
    assert len(open_release(root).entries) == 2
