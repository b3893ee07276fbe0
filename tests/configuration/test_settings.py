"""One check of a value, wherever it comes from: over every setting of every dataclass of settings."""

# ruff: noqa: ANN401 - any setting

import dataclasses
import typing
from pathlib import Path
from typing import Any, Literal

import hypothesis
import pytest
import yaml
from hypothesis import strategies as st

from mlrsnet_hf.cli import COMMANDS
from mlrsnet_hf.configuration.command_line import parse, read_values
from mlrsnet_hf.configuration.settings import (
    Count,
    Fraction,
    Positive,
    Range,
    Settings,
    Share,
    all_leaves,
    checked,
    expected,
    from_text,
    leaves,
    parts,
    take_apart,
)
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError, UnknownNameError
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.retrieval.embeddings.config import EmbeddingConfig
from mlrsnet_hf.retrieval.protocol.config import RetrievalConfig
from mlrsnet_hf.training.config import TrainingConfig

CONFIGS = [(command, part) for command in COMMANDS.values() for part in parts(command).values()]
EVERY = [
    pytest.param(command, part, name, id=f"{part.__name__}-{name}")
    for command, part in CONFIGS
    for name, (_, kind) in leaves(part).items()
]
WORDS = st.sampled_from(["no", "none", "sgd", "a b", ""])
STRANGE = st.none() | st.booleans() | st.integers(-2, 40) | st.floats(-2, 2) | WORDS


def outcome(make: Any, *arguments: Any, **values: Any) -> Any:
    """Return the value that is made, or the error's type and remedy, which do not depend on where it came from."""
    try:
        return make(*arguments, **values)
    except MLRSNetError as error:
        return type(error), error.remedy


def required(part: type) -> dict[str, Any]:
    """Values for the fields of a dataclass that have no default."""
    return {
        field.name: ("a",) if typing.get_origin(take_apart(leaves(part)[field.name][1])[0]) is tuple else "a"
        for field in dataclasses.fields(part)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }


@pytest.mark.parametrize(("command", "part", "name"), EVERY)
@hypothesis.given(value=STRANGE)
@hypothesis.settings(
    max_examples=5, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture], deadline=None
)
def test_python_and_yaml_judge_alike(command: type, part: type, name: str, value: Any, tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump({name: value}), encoding="utf-8")
    kind = leaves(part)[name][1]
    from_python = outcome(checked, name, kind, value)
    from_file = outcome(lambda: read_values(path, command)[name])
    assert from_python == from_file and type(from_python) is type(from_file)
    if isinstance(from_python, tuple) and from_python and isinstance(from_python[0], type):
        with pytest.raises(from_python[0], match=f"^{name}="):
            part(**required(part) | {name: value})


def as_python_would(kind: Any, text: str) -> Any:
    plain = take_apart(kind)[0]
    plain = type(typing.get_args(plain)[0]) if typing.get_origin(plain) is Literal else plain
    return plain(text) if plain in (int, float) and text[0] != "n" else text


@pytest.mark.parametrize(("command", "part", "name"), EVERY)
def test_python_and_the_command_line_judge_alike(command: type, part: type, name: str) -> None:
    kind = leaves(part)[name][1]
    if kind is bool or typing.get_origin(take_apart(kind)[0]) is tuple:
        return
    for text in ("-7", "0", "3", "none", "nonsense"):
        value = as_python_would(kind, text)
        assert outcome(from_text, name, kind, text) == outcome(checked, name, kind, value)
    judged = outcome(checked, name, kind, as_python_would(kind, "nonsense"))
    owners = {command, *parts(command).values()}
    fields = [field for owner in owners for field in dataclasses.fields(owner)]
    places = ["a" for field in fields if field.metadata.get("positional")]
    missing = dataclasses.MISSING
    options = [one.name for one in fields if one.metadata.get("positional") is False and one.default is missing]
    places += [f"--{option}=a" for option in options]
    if isinstance(judged, tuple):
        with pytest.raises(judged[0], match=f"^{name}='nonsense'") as caught:
            parse(command, None, [*places, f"--{name.replace('_', '-')}", "nonsense"])
        assert caught.value.remedy == judged[1]


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_names_of_settings_do_not_collide(command: type) -> None:
    names = [name for part in parts(command).values() for name in all_leaves(part)]
    assert len(names) == len(set(names))


def test_values_become_the_fields_types() -> None:
    assert EmbeddingConfig(output_dir="x").output_dir == Path("x")  # type: ignore[arg-type]
    assert ImageSet(data_dir=Path("a/b")).data_dir == "a/b"  # type: ignore[arg-type]
    assert repr(TrainingConfig(learning_rate=1).learning_rate) == "1.0"
    assert RetrievalConfig(model=["a"], split_seed=[0]).split_seed == (0,)  # type: ignore[arg-type]


def test_none_unsets_what_can_be_unset_wherever_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("precision: none\n", encoding="utf-8")
    for command in (COMMANDS["train"], COMMANDS["embed"], COMMANDS["retrieval"]):
        assert read_values(path, command) == {"precision": None}
    assert EmbeddingConfig(precision="none").precision is None  # type: ignore[arg-type]
    path.write_text("epochs: none\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="epochs='none'"):
        read_values(path, COMMANDS["train"])


def test_what_went_wrong_before() -> None:
    with pytest.raises(ConfigurationError, match=r"batch_size='64'.*whole number"):
        EmbeddingConfig(batch_size="64")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"model='resnet50'.*list of names"):
        RetrievalConfig(model="resnet50")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "inside", "outside"),
    [
        (Count, [1, 10**9], [0, 1.0, True, "1", None]),
        (Positive, [1e-9, 3, 1e300], [0, -1.0, float("inf"), float("nan")]),
        (Fraction, [0, 0.999], [1, -0.1]),
        (Share, [1, 1e-9], [0, 1.1]),
        (typing.Annotated[int, Range(2, 4)] | None, [None, 2, 4], [1, 5]),
        (Literal[1, 2], [1, 2], [3, True, 1.0, "1"]),
        (tuple[int, ...], [(), [1, 2]], [1, ["1"], "12"]),
    ],
)
def test_limits(kind: Any, inside: list[Any], outside: list[Any]) -> None:
    for value in inside:
        checked("x", kind, value)
    for value in outside:
        with pytest.raises(ConfigurationError, match=r"^x="):
            checked("x", kind, value)


def test_expected_values_in_words() -> None:
    assert expected(Count | None) == "a whole number of at least 1 or none"
    assert expected(Fraction) == "a number from 0 to below 1"
    assert expected(Literal["a", "b"]) == "one of a, b"


def test_unknown_names_list_near_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"distance='cosin'.*'cosine'"):
        RetrievalConfig(model=("a",), distance="cosin")  # type: ignore[arg-type]


def test_every_part_is_a_settings_class() -> None:
    assert all(issubclass(part, Settings) for _, part in CONFIGS)
