"""A value for each image and label, and what counts as what."""

import pytest
from datasets import Dataset

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.columns.label_values import read_label_columns
from mlrsnet_hf.inputs.config import ValueRules

TRAIN = Dataset.from_dict(
    {"a": [1, 0, -1, None, 1], "b": [True, False, True, True, None], "c": ["1", "no", "", "-1", "Y"]}
)
TEST = Dataset.from_dict({"a": [0.0, float("nan")], "b": [1, 0], "c": ["0.0", "TRUE"]})
SPLITS = {"train": TRAIN, "test": TEST}


@pytest.mark.parametrize(
    ("rules", "present", "unknown"),
    [
        (ValueRules("negative", "negative"), [[0, 1, 2], [], [1], [1], [0, 2]], None),
        (ValueRules("positive", "negative"), [[0, 1, 2], [], [0, 1], [1, 2], [0, 2]], None),
        (ValueRules("ignore", "negative"), [[0, 1, 2], [], [1], [1], [0, 2]], [[], [], [0], [2], []]),
        (ValueRules("negative", "ignore"), [[0, 1, 2], [], [1], [1], [0, 2]], [[], [], [2], [0], [1]]),
        (ValueRules("ignore", "ignore"), [[0, 1, 2], [], [1], [1], [0, 2]], [[], [], [0, 2], [0, 2], [1]]),
    ],
)
def test_rules(rules: ValueRules, present: list, unknown: list | None) -> None:
    found = read_label_columns(SPLITS, ["a", "b", "c"], rules)
    assert found.present == {"train": present, "test": [[1], [2]]}
    if unknown is None:
        assert found.unknown is None
    else:
        assert found.unknown == {"train": unknown, "test": [[], [0] if rules.missing == "ignore" else []]}


def test_what_nobody_decided_is_refused_with_its_rows_counted() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_label_columns(SPLITS, ["a", "b", "c"], ValueRules())
    told = str(caught.value)
    for fact in (
        "-1 (uncertain) in 2 of 5 rows of split train, 0 of 2 rows of split test, the first in row 2",
        "empty (not stated) in 3 of 5 rows of split train, 1 of 2 rows of split test, the first in row 2",
        "--uncertain negative, positive or ignore",
        "--missing negative or ignore",
    ):
        assert fact in told
    with pytest.raises(ConfigurationError) as caught:
        read_label_columns(SPLITS, ["a"], ValueRules(uncertain="ignore"))
    assert "--uncertain" not in str(caught.value)
    assert read_label_columns({"x": TEST}, ["b"], ValueRules()).present == {"x": [[0], []]}


@pytest.mark.parametrize("value", [2, 0.5, "maybe", [1]])
def test_other_values_are_named(value: object) -> None:
    given = Dataset.from_dict({"a": [value]})
    with pytest.raises(ConfigurationError, match=r"split train, row 0: column 'a' holds"):
        read_label_columns({"train": given}, ["a"], ValueRules())


def test_a_column_that_one_split_lacks() -> None:
    with pytest.raises(ConfigurationError, match="test split has no column 'c'"):
        read_label_columns({"train": TRAIN, "test": TEST.remove_columns("c")}, ["c"], ValueRules("ignore", "ignore"))
