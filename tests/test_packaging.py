"""setup.cfg names what there is."""

import configparser
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]


def test_every_package_is_named() -> None:
    setup = configparser.ConfigParser()
    setup.read(CHECKOUT / "setup.cfg")
    named = set(setup["options"]["packages"].split())
    there = {
        ".".join(path.parent.relative_to(CHECKOUT).parts) for path in (CHECKOUT / "mlrsnet_hf").rglob("__init__.py")
    }
    assert named == there | {"mlrsnet_hf.evaluate_modules"}
