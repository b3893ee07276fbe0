"""This package as a wheel, made of the files that are installed: for a Space, until the package is published."""

import base64
import csv
import hashlib
import io
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import mlrsnet_hf
from mlrsnet_hf.metrics.modules import metric_path
from mlrsnet_hf.publishing.repository import files_of

_PACKAGE = "mlrsnet_hf"
_MODULES = f"{_PACKAGE}/evaluate_modules"
_WHEEL = "Wheel-Version: 1.0\nGenerator: mlrsnet-hf\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_BEGINNING = (1980, 1, 1, 0, 0, 0)
"""Date of every file: of the same files the same wheel is made, which a push need not send again."""


def write_wheel(folder: Path) -> Path:
    """Write the wheel into a folder; return its path.

    It holds what a build of the checkout would: the package, the `evaluate` modules inside it, and what the installed
    package says of itself.
    """
    package = files_of(Path(mlrsnet_hf.__file__).parent)
    contents = {f"{_PACKAGE}/{name}": path.read_bytes() for name, path in package.items()}
    modules = Path(metric_path("anmrr")).parent
    contents |= {f"{_MODULES}/{name}": path.read_bytes() for name, path in files_of(modules).items()}
    told = distribution("mlrsnet-hf")
    info = f"{_PACKAGE}-{told.version}.dist-info"
    for name in ("METADATA", "entry_points.txt", "top_level.txt"):
        # Beside the folder of a checkout that was installed, the same stands in its egg-info, as PKG-INFO.
        if text := told.read_text(name) or (told.read_text("PKG-INFO") if name == "METADATA" else None):
            contents[f"{info}/{name}"] = text.encode()
    contents[f"{info}/WHEEL"] = _WHEEL.encode()
    record = io.StringIO()
    writer = csv.writer(record, lineterminator="\n")
    for name, content in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        writer.writerow([name, f"sha256={digest}", len(content)])
    writer.writerow([f"{info}/RECORD", "", ""])
    contents[f"{info}/RECORD"] = record.getvalue().encode()
    path = folder / f"{_PACKAGE}-{told.version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name in sorted(contents, key=lambda name: (info in name, name)):  # what tells of the others stands last
            entry = zipfile.ZipInfo(name, _BEGINNING)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            wheel.writestr(entry, contents[name])
    return path
