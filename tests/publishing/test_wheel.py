"""The wheel of this package, from each form in which an installed package tells of itself."""

import zipfile
from email import message_from_bytes
from importlib.metadata import distribution
from pathlib import Path

import pytest

from mlrsnet_hf.publishing.wheel import write_wheel


def metadata_of(wheel: Path) -> dict[str, str]:
    with zipfile.ZipFile(wheel) as opened:
        (name,) = (name for name in opened.namelist() if name.endswith(".dist-info/METADATA"))
        return dict(message_from_bytes(opened.read(name)))


@pytest.mark.parametrize("form", ["mlrsnet_hf-9.8.7.dist-info/METADATA", "mlrsnet_hf.egg-info/PKG-INFO"])
def test_tells_what_the_first_form_on_the_path_tells(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout that was built has an egg-info, which `python -m` finds before the installed dist-info."""
    path = tmp_path / "path" / form
    path.parent.mkdir(parents=True)
    path.write_text("Metadata-Version: 2.4\nName: mlrsnet-hf\nVersion: 9.8.7\n")
    monkeypatch.syspath_prepend(str(tmp_path / "path"))
    assert distribution("mlrsnet-hf").version == "9.8.7"
    told = metadata_of(write_wheel(tmp_path))
    assert (told["Name"], told["Version"]) == ("mlrsnet-hf", "9.8.7")
