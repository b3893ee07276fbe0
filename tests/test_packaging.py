"""setup.cfg names what there is."""

import configparser
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
PACKAGES = {
    ".".join(path.parent.relative_to(CHECKOUT).parts): path.parent
    for path in (CHECKOUT / "mlrsnet_hf").rglob("__init__.py")
}


def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(CHECKOUT / "setup.cfg")
    return parser


def test_every_package_is_named() -> None:
    named = set(setup()["options"]["packages"].split())
    assert named == PACKAGES.keys() | {"mlrsnet_hf.evaluate_modules"}


def test_every_file_that_is_no_code_is_named() -> None:
    """Templates, and the digests of the published rows."""
    patterns = setup()["options.package_data"]
    named = {
        path
        for name, folder in PACKAGES.items()
        for pattern in patterns.get(name, "").split()
        for path in folder.glob(pattern)
    }
    there = {path for path in (CHECKOUT / "mlrsnet_hf").rglob("*.*") if path.suffix not in (".py", ".pyc")}
    assert there - named == set()
    assert PACKAGES["mlrsnet_hf.release"] / "published_rows.npz" in named
