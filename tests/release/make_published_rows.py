"""Make `mlrsnet_hf/release/published_rows.npz` from the two published versions of the label files.

    python tests/release/make_published_rows.py FOLDER_OF_2020 FOLDER_OF_2021 OUTPUT

The folders hold the 46 label files of github.com/cugbrs/MLRSNet at cd5ca1c (2020-06-30) and at ed8afc6 (2021-05-21).
"""

import sys
from pathlib import Path

import numpy as np

from mlrsnet_hf.release.label_files import read_label_file
from mlrsnet_hf.release.recognition import row_digests


def digests_of(folder: Path) -> np.ndarray:
    """Return the digests of all rows of a version, sorted."""
    rows = [(row.file_name, row.labels) for path in folder.glob("*.csv") for row in read_label_file(path)]
    return np.unique(row_digests(rows))


def published_rows(of_2020: Path, of_2021: Path) -> dict[str, np.ndarray]:
    """Return what the file holds: sorted digests of rows that both versions have, and of those that one has."""
    first, second = digests_of(of_2020), digests_of(of_2021)
    return {
        "both": np.intersect1d(first, second),
        "only_2020": np.setdiff1d(first, second),
        "only_2021": np.setdiff1d(second, first),
    }


if __name__ == "__main__":
    np.savez(sys.argv[3], **published_rows(Path(sys.argv[1]), Path(sys.argv[2])))
