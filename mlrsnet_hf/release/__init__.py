"""What was published, on disk, to records."""

from mlrsnet_hf.release.label_files import LabelRow, read_label_file
from mlrsnet_hf.release.opening import find_label_version, holds_images, holds_release, open_labels, open_release
from mlrsnet_hf.release.release import Entry, Record, Release
from mlrsnet_hf.release.repair import LabelVersion, verified_labels
from mlrsnet_hf.release.writer import fill_release, write_release

__all__ = [
    "Entry",
    "LabelRow",
    "LabelVersion",
    "Record",
    "Release",
    "fill_release",
    "find_label_version",
    "holds_images",
    "holds_release",
    "open_labels",
    "open_release",
    "read_label_file",
    "verified_labels",
    "write_release",
]
