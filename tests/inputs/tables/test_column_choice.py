"""Columns that nobody named: those of the images and of the labels."""

import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.tables.column_choice import find_image_column, settle_columns

TABLE = Dataset.from_dict(
    {
        "filename": ["a", "b", "c"],
        "sea": [1, 0, 1],
        "ships, boats": [1.0, -1.0, None],
        "never": [0, 0, 0],
        "nothing": [None, None, None],
        "split": [0, 1, 1],
        "is_valid": [0, 1, 0],
        "Unnamed: 0": [0, 1, 0],
        "checked": [True, False, True],
        "clouds": [0, 1, 2],
        "share": [0.0, 0.5, 1.0],
        "note": ["0", "1", "0"],
        "scene": [0, 1, 0],
    }
).cast_column("nothing", Value("float64"))


def chosen(table: Dataset = TABLE, **settings: object) -> DataConfig:
    return settle_columns({"train": table}, DataConfig(dataset="x", **settings))


def test_labels_are_the_columns_of_zeros_and_ones(capsys: pytest.CaptureFixture) -> None:
    config = chosen()
    assert config.label_columns == ("sea", "ships, boats", "never")
    assert (config.labels_column, config.image_column) == (None, "filename")
    told = capsys.readouterr().out
    for line, names in (
        ("are labels", ("sea", "ships, boats", "never")),
        ("no labels", ("split", "is_valid", "Unnamed: 0", "checked")),
    ):
        [said] = [text for text in told.splitlines() if line in text]
        assert all(repr(name) in said for name in names), said
    assert "clouds" not in told
    assert chosen(TABLE, label_columns=config.label_columns).label_columns == config.label_columns


@pytest.mark.parametrize(
    "settings", [{"labels_column": "note"}, {"labels_column": None}, {"label_separator": ","}, {"id_column": "sea"}]
)
def test_what_is_said_is_not_looked_for(settings: dict[str, object]) -> None:
    found = chosen(TABLE, **settings).label_columns
    assert found == (("ships, boats", "never") if "id_column" in settings else ())


def test_a_column_of_labels_is_taken_first() -> None:
    table = TABLE.add_column("labels", [["a"], [], ["b"]])
    assert chosen(table).label_columns == ()
    assert chosen(table, label_columns=("sea",)).label_columns == ("sea",)


def test_a_class_called_train() -> None:
    """Beside a column called test it is none."""
    table = TABLE.select_columns(["filename", "sea"]).add_column("train", [0, 1, 1])
    assert chosen(table).label_columns == ("sea", "train")
    assert chosen(table.add_column("test", [1, 0, 0])).label_columns == ("sea",)


def test_classes_are_numbers_but_no_labels() -> None:
    features = Features({"image": Value("string"), "label": ClassLabel(names=["a", "b"])})
    assert chosen(Dataset.from_dict({"image": ["x", "y"], "label": [0, 1]}, features=features)).label_columns == ()


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (("sea,checked",), ("sea", "checked")),
        (("checked", "sea"), ("checked", "sea")),
        (("sea,ships, boats,note",), ("sea", "ships, boats", "note")),
        (("ships, boats", " never "), ("ships, boats", "never")),
    ],
)
def test_names_may_hold_commas(given: tuple[str, ...], found: tuple[str, ...]) -> None:
    assert chosen(label_columns=given).label_columns == found


@pytest.mark.parametrize(
    ("given", "message"),
    [(("sae",), "'sae'.*'sea'"), (("sea,boats",), "'boats'"), (("sea", "never,sea"), "'sea' stands .* twice")],
)
def test_names_that_are_not_there(given: tuple[str, ...], message: str) -> None:
    with pytest.raises((ConfigurationError, UnknownNameError), match=message):
        chosen(label_columns=given)


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (["image", "path"], "image"),
        (["IMAGE\\LABEL", "id"], "IMAGE\\LABEL"),
        (["id", "Path"], "Path"),
        (["image_id", "file_name"], "file_name"),
        (["Unnamed: 0"], "Unnamed: 0"),
        (["tags"], "image"),
    ],
)
def test_the_column_of_images(columns: list[str], found: str) -> None:
    features = Features(dict.fromkeys(columns, Value("string")))
    assert find_image_column(features, DataConfig(dataset="x")) == found
    assert find_image_column(features, DataConfig(dataset="x", image_column="mine")) == "mine"
    features["picture"] = Image()
    only = found if "image" in columns else "picture"
    assert find_image_column(features, DataConfig(dataset="x")) == only
