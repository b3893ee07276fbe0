"""One set of labels in every form that datasets use, and rows that are none of them."""

import json
from collections.abc import Callable

import pytest
from datasets import ClassLabel, Dataset, Features, Value
from datasets import Sequence as ListFeature

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.columns.labels import read_labels, read_scenes
from mlrsnet_hf.inputs.config import ValueRules

NAMES = ["sand", "sea", "trees"]
TRAIN, TEST = [[0, 2], [], [1, 2]], [[2], [0, 1]]
CLASSES = ClassLabel(names=NAMES)


def column(values: list, kind: object) -> Dataset:
    return Dataset.from_dict({"tags": values}, features=Features({"tags": kind}))


def splits(train: list, test: list, kind: object) -> dict[str, Dataset]:
    return {"train": column(train, kind), "test": column(test, kind)}


def names_of(rows: list[list[int]]) -> list[list[str]]:
    return [[NAMES[i] for i in row] for row in rows]


def hot(rows: list[list[int]], kind: type = int) -> list[list]:
    return [[kind(i in row) for i in range(3)] for row in rows]


@pytest.mark.parametrize(
    ("given", "names", "form"),
    [
        (splits(TRAIN, TEST, ListFeature(CLASSES)), NAMES, "lists of classes"),
        (splits(names_of(TRAIN), names_of(TEST), ListFeature(Value("string"))), NAMES, "lists of names"),
        (splits(TRAIN, TEST, ListFeature(Value("int32"))), ["0", "1", "2"], "lists of numbers"),
        (splits(hot(TRAIN), hot(TEST), ListFeature(Value("uint8"))), ["0", "1", "2"], "a 0 or 1 per label"),
        (splits(hot(TRAIN, bool), hot(TEST, bool), ListFeature(Value("bool"))), ["0", "1", "2"], "a 0 or 1 per label"),
        (splits(hot(TRAIN), hot(TEST), ListFeature(Value("float32"), 3)), ["0", "1", "2"], "a 0 or 1 per label"),
    ],
)
def test_every_form_gives_the_same_ids(given: dict[str, Dataset], names: list[str], form: str) -> None:
    found = read_labels(given, "tags")
    assert (list(found.names), found.form) == (names, form)
    assert {name: list(rows) for name, rows in found.ids.items()} == {"train": TRAIN, "test": TEST}
    assert found.stored == (form == "lists of classes")


@pytest.mark.parametrize(
    ("separator", "texts"),
    [
        (",", ["sand, trees", " ", "sea,trees,"]),
        ("|", ["sand|trees", "", "|sea | trees"]),
        (" ", ["sand  trees", "", "sea trees "]),
    ],
)
@pytest.mark.parametrize("kind", ["string", "large_string"])
def test_names_in_one_text(separator: str, texts: list[str], kind: str) -> None:
    found = read_labels({"train": column(texts, Value(kind))}, "tags", separator)
    assert (list(found.names), found.ids["train"], found.stored) == (NAMES, TRAIN, False)


@pytest.mark.parametrize("write", [str, json.dumps])
def test_lists_that_a_table_holds_as_text(write: Callable[[list], str]) -> None:
    """What pandas writes of a column of lists, and JSON."""
    texts = [write(row) for row in names_of(TRAIN)]
    found = read_labels({"train": column(texts, Value("string"))}, "tags")
    assert (list(found.names), found.ids["train"]) == (NAMES, TRAIN)
    numbers = [write([7 * i for i in row]) for row in TRAIN]
    found = read_labels({"train": column(numbers, Value("string"))}, "tags")
    assert (found.names, found.form) == (("0", "7", "14"), "lists of numbers")
    with pytest.raises(ConfigurationError, match="split train, row 1: column 'tags'"):
        read_labels({"train": column([texts[0], "[1]"], Value("string"))}, "tags")
    with pytest.raises(ConfigurationError, match=r"row 1: column 'tags' .*\[__import__"):
        read_labels({"train": column([texts[0], "[__import__('os').getcwd()]"], Value("string"))}, "tags")


def test_a_separator_is_for_text() -> None:
    with pytest.raises(ConfigurationError, match=r"'tags' .*label_separator=';'"):
        read_labels({"train": column(TRAIN, ListFeature(CLASSES))}, "tags", ";")


def test_the_vocabulary_is_that_of_all_splits_in_order() -> None:
    kind = ListFeature(Value("string"))
    assert read_labels(splits([["b"], []], [["c", "a"]], kind), "tags").names == ("a", "b", "c")
    numbers = read_labels(splits([[40], [7]], [[9, 40]], ListFeature(Value("int64"))), "tags")
    assert numbers.names == ("7", "9", "40")  # by number, not by spelling
    assert numbers.ids["test"] == [[1, 2]]


NUMBERS = ListFeature(Value("int64"))


@pytest.mark.parametrize(
    ("rows", "as_ids", "as_vector"),
    [
        ([[1, 0], [0, 1], [0, 1]], [[1, 0], [0, 1], [0, 1]], [[0], [1], [1]]),
        ([[1], [0]], [[1], [0]], [[0], []]),
        ([[0], [0]], [[0], [0]], [[], []]),
    ],
)
def test_short_lists_that_may_be_ids_or_vectors(rows: list, as_ids: list, as_vector: list) -> None:
    """Equally long, of 0 and 1 only, and no list names an id twice: each reading turns the other around."""
    for given in (column(rows, NUMBERS), column([str(row) for row in rows], Value("string"))):
        with pytest.raises(ConfigurationError, match="--label-form vector, or --label-form ids"):
            read_labels({"train": given}, "tags")
        assert read_labels({"train": given}, "tags", form="ids").ids["train"] == as_ids
        found = read_labels({"train": given}, "tags", form="vector")
        assert (found.ids["train"], len(found.names)) == (as_vector, len(rows[0]))


@pytest.mark.parametrize(
    ("rows", "names", "ids"),
    [
        ([[1, 1], [0, 1]], ("0", "1"), [[0, 1], [1]]),  # an id stands in no list twice
        ([[0, 0], [1, 0]], ("0", "1"), [[], [0]]),
        ([[1, 0, 0], [0, 0, 1]], ("0", "1", "2"), [[0], [2]]),
        ([[1], [0, 1], []], ("0", "1"), [[1], [0, 1], []]),
        ([[2, 2, 5], [5]], ("2", "5"), [[0, 1], [1]]),
        ([[0, 2], [2, 0]], ("0", "2"), [[0, 1], [1, 0]]),
    ],
)
def test_lists_that_can_be_read_in_one_way(rows: list, names: tuple[str, ...], ids: list) -> None:
    found = read_labels({"train": column(rows, NUMBERS)}, "tags")
    assert (found.names, found.ids["train"]) == (names, ids)


@pytest.mark.parametrize("rows", [[[1, 0, 1], [0, 1]], [[0, 0], [1, 0, 1]], [[1, 1], []]])
def test_vectors_of_unequal_length_are_refused(rows: list) -> None:
    with pytest.raises(ConfigurationError, match=r"unequal length: .* in row \d of split train"):
        read_labels({"train": column(rows, NUMBERS)}, "tags")
    with pytest.raises(ConfigurationError, match="row "):
        read_labels({"train": column(rows, ListFeature(Value("float32")))}, "tags")


def test_vectors_with_what_is_not_known() -> None:
    rows = [[1, -1, 0], [0, None, 1], [0, 0, 0]]
    for kind in (NUMBERS, ListFeature(Value("float32"))):
        with pytest.raises(ConfigurationError, match=r"1 of 3 rows .*label 1.*1 of 3 rows .*label 1.*--uncertain"):
            read_labels({"train": column(rows, kind)}, "tags")
        found = read_labels({"train": column(rows, kind)}, "tags", rules=ValueRules("positive", "ignore"))
        assert (found.ids["train"], found.unknown) == ([[0, 1], [2], []], {"train": [[], [1], []]})


@pytest.mark.parametrize(
    ("texts", "names", "ids"),
    [
        (["['sea' 'sand']", "['ice']", "[]"], ("ice", "sand", "sea"), [[2, 1], [0], []]),
        (["['sea'\n 'sand']", '["it\'s" "sea"]'], ("it's", "sand", "sea"), [[2, 1], [0, 2]]),
        (["[4 6]", "[ 6 10]"], ("4", "6", "10"), [[0, 1], [1, 2]]),
        (["[1 0 1]", "[0 0 1]"], ("0", "1", "2"), [[0, 2], [2]]),
        (["[1. 0.]", "[0. 1.]"], ("0", "1"), [[0], [1]]),
        (["[ True False]", "[False False]"], ("0", "1"), [[0], []]),
    ],
)
def test_lists_as_numpy_writes_them(texts: list[str], names: tuple[str, ...], ids: list) -> None:
    """Python takes ['sea' 'sand'] for one string; datasets writes lists into CSV so."""
    found = read_labels({"train": column(texts, Value("string"))}, "tags")
    assert (found.names, found.ids["train"]) == (names, ids)


@pytest.mark.parametrize(
    "text", ["['sea' 'sand', 'ice']", "['sea''sand']", "[0 1 ... 0 1]", "[sea sand]", "[['sea']]", "['sea' 1]", "[007]"]
)
def test_lists_that_may_be_several_things_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="row 1: column 'tags' holds"):
        read_labels({"train": column(["['sea']", text], Value("string"))}, "tags")


@pytest.mark.parametrize("text", ["['sea', 'ice']", "('sea', 'ice')", "{'sea', 'ice'}", "array(['sea', 'ice'])"])
def test_a_separator_does_not_cut_lists(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"label_separator=','.*Leave label_separator out"):
        read_labels({"train": column([text, "", "['sea']"], Value("string"))}, "tags", ",")


def test_zeros_and_ones_between_separators_are_vectors() -> None:
    found = read_labels({"train": column(["0 1 1", "1 0 0"], Value("string"))}, "tags", " ")
    assert (found.names, found.ids["train"]) == (("0", "1", "2"), [[1, 2], [0]])


def test_an_empty_cell_may_say_that_there_is_no_label() -> None:
    rules = ValueRules(missing="negative")
    for given, separator in (
        (column(["sea|sea", None, "NA| None"], Value("string")), "|"),
        (column([["sea "], None, ["NA", "None"]], ListFeature(Value("string"))), None),
    ):
        found = read_labels({"train": given}, "tags", separator, rules=rules)
        assert (found.names, found.ids["train"]) == (("NA", "None", "sea"), [[2], [], [0, 1]])
    classes = read_labels({"train": column([[2], None], ListFeature(CLASSES))}, "tags", rules=rules)
    assert (classes.ids["train"], classes.stored) == ([[2], []], False)


def test_columns_of_zeros_and_ones_point_the_way() -> None:
    given = Dataset.from_dict({"tags": [0, 1], "sea": [1, 1], "count": [3, 4]})
    with pytest.raises(ConfigurationError, match="--label-columns tags,sea"):
        read_labels({"train": given}, "tags")


@pytest.mark.parametrize(
    ("kind", "rows", "message"),
    [
        (
            ListFeature(CLASSES),
            [[0], [-1]],
            r"split test, row 1: column 'tags' .*\[-1\].* 0 to 2",
        ),
        (ListFeature(Value("int64")), [[2], [4, -1]], r"row 1: .*\[4, -1\].*negative"),
        (ListFeature(Value("string")), [["a"], ["b", ""]], "row 1: .*empty name"),
        (ListFeature(Value("bool")), [[True], [True, False]], r"row 0: .*\[True\].* 0 or 1"),
        (ListFeature(Value("float32")), [[0.0, 0.5]], r"row 0: .*\[0.0, 0.5\].* 0 or 1"),
        (ListFeature(CLASSES), [[0], None], "row 1: column 'tags' .*empty list"),
        (ListFeature(Value("string")), [["a", None]], "row 0: column 'tags'"),
        (ListFeature(ListFeature(Value("int64"))), [[[1]]], "'tags' .*(List|Sequence)"),
        (
            Value("string"),
            ["sand, sea"],
            "'sand, sea'.*--label-separator ','",
        ),
        (Value("string"), ["sand sea;trees"], "--label-separator ';'"),
        (Value("string"), ["sand"], "labels_column.*--scene-column tags --single-label"),
        (CLASSES, [1], "3 classes.*--scene-column tags --single-label"),
    ],
)
def test_what_is_no_label_is_named_with_its_row(kind: object, rows: list, message: str) -> None:
    good = {"string": ["x"], "int64": [0]}.get(getattr(kind, "dtype", ""), rows[:1])
    with pytest.raises(ConfigurationError, match=message):
        read_labels(splits(good, rows, kind), "tags")


def test_splits_that_number_their_classes_differently() -> None:
    given = {
        "train": column([[0]], ListFeature(ClassLabel(names=["a", "b"]))),
        "test": column([[0]], ListFeature(ClassLabel(names=["b", "a"]))),
    }
    with pytest.raises(ConfigurationError, match=r"'tags' .*train and test"):
        read_labels(given, "tags")


@pytest.mark.parametrize(
    ("kind", "train", "test", "names", "form"),
    [
        (CLASSES, [0, 1], [2], ("sand", "sea", "trees"), "classes"),
        (Value("string"), ["sea", "sand"], ["trees"], ("sand", "sea", "trees"), "names"),
        (Value("int64"), [20, 3], [100], ("3", "20", "100"), "numbers"),
    ],
)
def test_scenes(kind: object, train: list, test: list, names: tuple[str, ...], form: str) -> None:
    found = read_scenes(splits(train, test, kind), "tags")
    assert (found.names, found.form) == (names, form)
    assert sorted([*found.ids["train"], *found.ids["test"]]) == [0, 1, 2]
    assert list(found.ids["test"]) == [2]


@pytest.mark.parametrize(
    ("kind", "rows", "message"),
    [
        (CLASSES, [0, -1], "split test, row 1: column 'tags' .*-1.* 0 to 2"),
        (Value("string"), ["a", None], "row 1: column 'tags'"),
        (Value("int64"), [-1], "row 0: .*-1"),
        (Value("float64"), [0.5], "'tags' .*scene_column"),
        (ListFeature(CLASSES), [[0]], "'tags' .*scene_column"),
    ],
)
def test_what_is_no_scene_is_named(kind: object, rows: list, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_scenes(splits(rows[:1], rows, kind), "tags")
