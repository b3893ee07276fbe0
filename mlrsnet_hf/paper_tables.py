"""Tables 2 to 9 of Qi et al. (2020), and the diversity of section 2.2.3, to compare with, transcribed.

The networks were trained in Keras, 10 epochs, on the labels as first published; the means are over five repeats (paper,
section 3.1 and Table 5). `tests/test_paper_tables.py` compares every number with another transcription.
"""

from collections.abc import Mapping
from typing import NamedTuple

CLASSIFICATION_RATIOS = (20, 30, 40)
"""Percent of the images that train, the columns of Tables 6 and 7."""
QUERY_RATIOS = (5, 10, 15)
"""Percent of the images that query, the columns of Table 8 and the parts of Table 9."""
RETRIEVAL_METRICS = (
    "anmrr",
    "retrieval_map",
    "precision_at_10",
    "precision_at_50",
    "precision_at_100",
    "precision_at_500",
)
"""The columns of Table 9, by their names in `METRICS`."""


class PublishedDataset(NamedTuple):
    """A row of Table 2, as it is printed."""

    name: str
    images: int
    categories: int
    images_per_category: str
    image_size: str
    """Pixels."""
    resolution: str
    """Meters per pixel."""
    reference: str


TABLE2_DATASETS = (
    PublishedDataset("UC-Merced", 2_100, 21, "100", "256 x 256", "0.3", "Everingham et al. (2015)"),
    PublishedDataset("NWPU-RESISC45", 31_500, 45, "700", "256 x 256", "~30-0.2", "Cheng et al. (2017)"),
    PublishedDataset("AID", 10_000, 30, "220-420", "600 x 600", "8-0.5", "Xia et al. (2017)"),
    PublishedDataset("MLRSIR", 2_100, 21, "100", "256 x 256", "0.3", "Shao et al. (2018)"),
    PublishedDataset("SEN12MS", 564_768, 17, "-", "256 x 256", "10-500", "Schmitt et al. (2019)"),
    PublishedDataset("BigEarthNet", 590_326, 43, "328-217,119", "to 120 x 120", "10, 20, 60", "Sumbul et al. (2019)"),
    PublishedDataset("MLRSNet", 109_161, 46, "1500-3000", "256 x 256", "~10-0.1", "Qi et al. (2020)"),
)
"""Table 2, remote sensing datasets; UC-Merced is by Yang and Newsam (2010), though the paper names another."""


class PublishedNetwork(NamedTuple):
    """A row of Table 4."""

    layers: int
    parameters: int
    """In millions, as Keras' networks have them for ImageNet."""
    top1: float
    """Accuracy on ImageNet's validation images, as a fraction."""
    top5: float
    year: int


TABLE4_NETWORKS = {
    "InceptionV3": PublishedNetwork(47, 23, 0.779, 0.937, 2014),
    "VGGNet16": PublishedNetwork(16, 138, 0.713, 0.901, 2014),
    "VGGNet19": PublishedNetwork(19, 143, 0.713, 0.900, 2014),
    "ResNet50": PublishedNetwork(50, 25, 0.749, 0.921, 2015),
    "ResNet101": PublishedNetwork(101, 44, 0.764, 0.928, 2015),
    "DenseNet121": PublishedNetwork(121, 8, 0.750, 0.923, 2017),
    "DenseNet169": PublishedNetwork(169, 14, 0.762, 0.932, 2017),
    "DenseNet201": PublishedNetwork(201, 20, 0.773, 0.936, 2017),
}
"""Table 4, by the paper's name of the network."""
TABLE5_SETTINGS = {"package": "Keras", "epochs": 10, "batch_size": 32, "optimizer": "Adam", "learning_rate": 0.01}
"""Table 5."""
REPETITIONS = 5
"""Section 3.1; whether each draws its own split is not said."""
TABLE3_VOTES = ((0, 1), (1, 0), (1, 1), (2, 0), (0, 2), (3, 0), (2, 1))
"""Accepts and rejects, the rows of Table 3."""
CONFIDENCE_THRESHOLD = 0.97
"""Confidence from which on an image was kept (section 2.2.2)."""

_TABLE3 = """
airport 0.13 0.80 0.51 0.90 0.05 0.97 0.82
bridge 0.05 0.87 0.49 0.97 0.03 0.99 0.86
island 0.03 0.89 0.50 0.98 0.02 1.00 0.88
parkway 0.14 0.67 0.52 0.84 0.13 0.90 0.73
"""

_TABLE6 = """
InceptionV3 81.50 82.33 84.84
VGGNet16 67.88 72.66 75.39
VGGNet19 66.12 69.53 73.60
ResNet50 82.65 84.28 86.01
ResNet101 83.26 84.19 85.72
DenseNet121 75.96 77.99 80.25
DenseNet169 82.16 86.42 87.35
DenseNet201 87.25 87.84 88.77
"""

_TABLE7 = """
InceptionV3 0.7746 0.8016 0.8146
VGGNet16 0.5743 0.6534 0.6855
VGGNet19 0.5677 0.6120 0.6329
ResNet50 0.7530 0.8176 0.8353
ResNet101 0.7618 0.7703 0.8226
DenseNet121 0.7154 0.7389 0.7571
DenseNet169 0.8138 0.8408 0.8521
DenseNet201 0.8381 0.8414 0.8538
"""

_TABLE9 = {
    5: """
InceptionV3 0.3506 0.7307 0.7524 0.7270 0.7130 0.6575
VGGNet16 0.5503 0.4868 0.5073 0.4833 0.4699 0.4107
VGGNet19 0.6248 0.3690 0.3878 0.3656 0.3539 0.3084
ResNet50 0.2407 0.8333 0.8462 0.8314 0.8220 0.7610
ResNet101 0.3001 0.7580 0.7730 0.7556 0.7456 0.6928
DenseNet121 0.3440 0.7513 0.7758 0.7478 0.7316 0.6577
DenseNet169 0.1665 0.8874 0.8969 0.8863 0.8791 0.8414
DenseNet201 0.1557 0.8959 0.9031 0.8949 0.8898 0.8596
    """,
    10: """
InceptionV3 0.3518 0.7321 0.7547 0.7283 0.7135 0.6535
VGGNet16 0.5579 0.4721 0.4922 0.4683 0.4552 0.3956
VGGNet19 0.6238 0.3709 0.3883 0.3676 0.3561 0.3070
ResNet50 0.2496 0.8208 0.8339 0.8191 0.8082 0.7415
ResNet101 0.3073 0.7435 0.7695 0.7394 0.7219 0.6832
DenseNet121 0.3493 0.7604 0.7810 0.7571 0.7443 0.6423
DenseNet169 0.1693 0.8834 0.8928 0.8823 0.8747 0.8327
DenseNet201 0.1583 0.8936 0.9018 0.8925 0.8869 0.8520
    """,
    15: """
InceptionV3 0.3569 0.7225 0.7450 0.7189 0.7042 0.6372
VGGNet16 0.5626 0.4533 0.4760 0.4489 0.4358 0.3847
VGGNet19 0.6213 0.3694 0.3883 0.3661 0.3521 0.3053
ResNet50 0.2503 0.8141 0.8299 0.8123 0.7988 0.7317
ResNet101 0.3096 0.7516 0.7675 0.7498 0.7368 0.6745
DenseNet121 0.3505 0.7355 0.7631 0.7306 0.7141 0.6301
DenseNet169 0.1724 0.8786 0.8893 0.8775 0.8687 0.8223
DenseNet201 0.1577 0.8935 0.9003 0.8929 0.8869 0.8465
    """,
}


def _rows(table: str) -> dict[str, tuple[float, ...]]:
    """Read one "name number number ..." per line."""
    return {name: tuple(map(float, numbers)) for name, *numbers in map(str.split, table.strip().splitlines())}


def _by_ratio(table: str) -> Mapping[str, Mapping[int, float]]:
    return {name: dict(zip(CLASSIFICATION_RATIOS, row, strict=True)) for name, row in _rows(table).items()}


TABLE3_CONFIDENCE: Mapping[str, Mapping[tuple[int, int], float]] = {
    name: dict(zip(TABLE3_VOTES, row, strict=True)) for name, row in _rows(_TABLE3).items()
}
"""Scene -> accepts and rejects -> probability that the image is a good one; the paper prints four scenes of its 46."""
DIVERSITY_AVERAGE = {"MLRSNet": 0.78, "AID": 0.56, "NWPU-RESISC45": 0.69}
"""Mean relative diversity over the 20 scenes that the three datasets share (section 2.2.3)."""
TABLE6_MAP = _by_ratio(_TABLE6)
"""Network -> percent that trains -> mAP in percent."""
TABLE7_F1 = _by_ratio(_TABLE7)
"""Network -> percent that trains -> F1 as a fraction; the paper's wording fits two readings of it."""
TABLE8_SIZES = {5: (3_275, 62_222), 10: (6_550, 58_947), 15: (9_825, 55_672)}
"""Percent that queries -> number of queries and of images searched."""
TABLE9_RETRIEVAL: Mapping[int, Mapping[str, Mapping[str, float]]] = {
    ratio: {name: dict(zip(RETRIEVAL_METRICS, row, strict=True)) for name, row in _rows(table).items()}
    for ratio, table in _TABLE9.items()
}
"""Percent that queries -> network -> metric -> value as a fraction; ANMRR is lower for the better."""
