"""What YAML knows beyond names and values is refused before it is built, in one sentence."""

import time
from pathlib import Path

import pytest

from mlrsnet_hf.configuration.yaml_file import read_settings_file
from mlrsnet_hf.errors import ConfigurationError

BOMB = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [*{one}, *{one}]\n" for one, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: !!int abc", "the tag"),
        ("model: !!timestamp xx", "the tag"),
        ("!!map x", "the tag"),
        ("model: !!python/object/apply:os.system [ls]", "the tag"),
        ("model: ! x", "the tag"),
        (f"model: {'[' * 3000}", "too deep"),
        (f"model: {'{a: ' * 3000}", "too deep"),
        (f"{'- ' * 500}x", "too deep"),
        (f"epochs: {'9' * 5000}", "too many digits"),
        (BOMB, "an anchor or alias"),
        ("model: *a", "an anchor or alias"),
        ("? [a, b]\n: c", "a name is text"),
        ("? {a: b}\n: c", "a name is text"),
        ("seed: 1\nseed: 2", "'seed' stands twice"),
        ("seed: 1\x00", "not YAML"),
        ("seed: '", "not YAML"),
        ("- a", "no names with values"),
        ("x" * 200_000, "more than 131,072 characters"),
    ],
)
def test_it_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(text)
    begin = time.perf_counter()
    with pytest.raises(ConfigurationError, match=message) as caught:
        read_settings_file(tmp_path / "settings.yaml")
    assert "settings.yaml" in str(caught.value)
    assert time.perf_counter() - begin < 20


def test_words_that_look_like_more_are_text(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("a: 2020-01-01\nb: '<<'\n<<: x\nc: yes\nd: '!!int 5'\ne: 1e-3\n")
    expected = {"a": "2020-01-01", "b": "<<", "<<": "x", "c": "yes", "d": "!!int 5", "e": 0.001}
    assert read_settings_file(tmp_path / "settings.yaml") == expected
