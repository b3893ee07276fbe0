"""What README tells a newcomer to install; for its code and commands see test_docs.py."""

import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
README = CHECKOUT / "README.md"


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)\n```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_two_commands_do_all_the_set_up() -> None:
    set_up = [block for block in code_blocks("bash") if "pip install" in block]
    assert set_up == ['pip install ".[train]" && mlrsnet demo', 'pip install ".[test]" && pytest']


def test_every_path_named_in_the_checkout_exists() -> None:
    for name in set(re.findall(r"\bexamples/\w+\.py\b", README.read_text(encoding="utf-8"))):
        assert (CHECKOUT / name).is_file(), name


def test_no_path_of_a_developers_machine(tmp_path: Path) -> None:
    assert not re.search(r"/(home|root|work|tmp)/", README.read_text(encoding="utf-8"))
