"""What a JSON file may hold stands in the types of what it becomes; everything else is refused, and its place named."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import pytest

from mlrsnet_hf.configuration import json_file
from mlrsnet_hf.configuration.json_file import Defined, Name, Scalar, json_as, parse_json, read_json
from mlrsnet_hf.configuration.settings import Count, Range
from mlrsnet_hf.errors import ConfigurationError, WeightsError


@dataclass(frozen=True, kw_only=True)
class Layer:
    kind: Literal["conv", "dense"]
    size: Count = 3


class Extra(TypedDict, total=False):
    seed: int


@dataclass(frozen=True, kw_only=True)
class Net:
    name: Name
    layers: tuple[Layer, ...]
    scores: Mapping[str, Defined]
    shape: tuple[int, int] | None = None
    rate: Annotated[float, Range(0, 1)] = 0.5
    extra: Extra | None = None
    facts: Mapping[str, Scalar] | None = None


WHOLE: dict[str, Any] = {
    "name": "n",
    "layers": [{"kind": "conv", "size": 5}, {"kind": "dense"}],
    "scores": {"map": 0.25, "auc": None},
    "shape": [3, 4],
    "rate": 1,
    "extra": {"seed": 1, "more": [2]},
    "facts": {"a": 1, "b": "x", "c": None, "d": True},
}


def test_values_become_what_their_types_say() -> None:
    net: Net = json_as(WHOLE, Net, "net.json", "")
    assert net.layers == (Layer(kind="conv", size=5), Layer(kind="dense", size=3))
    assert net.scores["map"] == 0.25 and math.isnan(net.scores["auc"])
    assert net.shape == (3, 4) and net.rate == 1.0 and isinstance(net.rate, float)
    assert net.extra == {"seed": 1, "more": [2]}
    assert net.facts == WHOLE["facts"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 5}, r"name=5 cannot be used \(give text"),
        ({"name": "x" * 1001}, r"name='x.* cannot be used \(give text from 0 up to 1000 characters"),
        ({"layers": [{"kind": "conv"}, {"kind": "pool"}]}, r"layers\[1\]\.kind='pool' is not known"),
        ({"layers": [{"kind": "conv", "size": 0}]}, r"layers\[0\]\.size=0 cannot be used"),
        ({"layers": [{"kind": "conv", "size": True}]}, r"layers\[0\]\.size=True"),
        ({"layers": [{"kind": "conv", "size": 2**63}]}, r"layers\[0\]\.size=9223372036854775808"),
        ({"layers": [{}]}, r"layers\[0\]\.kind missing"),
        ({"layers": {"kind": "conv"}}, r"layers=\{.*\} cannot be used \(give a list"),
        ({"scores": {"map": "x"}}, r"scores\.map='x'"),
        ({"scores": None}, r"scores=None cannot be used \(give an object"),
        ({"shape": [3]}, r"shape has 1 entries \(give 2"),
        ({"rate": 1.5}, r"rate=1\.5 cannot be used \(give a number from 0 up to 1"),
        ({"rate": float("nan")}, r"rate=nan"),
        ({"extra": {"seed": "x"}}, r"extra\.seed='x'"),
        ({"facts": {"a": []}}, r"facts\.a=\[\] cannot be used"),
        ({"color": 1}, "color is not known"),
    ],
)
def test_what_is_otherwise_is_named_with_its_place(change: dict[str, Any], message: str) -> None:
    with pytest.raises(WeightsError, match=rf"^net\.json: .*{message}.*\)\. Save it again\.$"):
        json_as(WHOLE | change, Net, "net.json", "Save it again.", WeightsError)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ConfigurationError, match="not whole: name, scores missing"):
        json_as({"layers": []}, Net, "net.json", "")
    with pytest.raises(ConfigurationError, match=r"the content=\[\] cannot be used"):
        json_as([], Net, "net.json", "")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe{}", b"[" * 100_000, b'{"a":' * 100_000, b'{"name": ' + b"9" * 5000 + b"}", b"\x00" * 100],
    ids=["empty", "cut", "no text", "deep lists", "deep objects", "many digits", "zeros"],
)
def test_what_is_no_json_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "net.json").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"net\.json: cannot be read") as caught:
        read_json(tmp_path / "net.json", Net, "Save it again.")
    assert len(str(caught.value)) < 600


def test_a_file_is_read_up_to_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_file, "MOST_BYTES", 1000)
    (tmp_path / "net.json").write_text(json.dumps(WHOLE) + " " * 1000)
    with pytest.raises(ConfigurationError, match="more than 1,000 bytes"):
        read_json(tmp_path / "net.json", Net, "")
    for path in (tmp_path, tmp_path / "nothing.json"):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            read_json(path, Net, "")
    assert parse_json(json.dumps(WHOLE).encode(), Net, "net.json", "").layers[0].size == 5
