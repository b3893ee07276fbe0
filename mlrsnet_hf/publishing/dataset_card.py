"""The dataset card: one template for the repositories that `mlrsnet prepare` writes and for the loading script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from PIL import Image, ImageDraw, ImageFont

from mlrsnet_hf.dataset.repository.parts import MIN_FILES
from mlrsnet_hf.dataset.repository.schema import card_features
from mlrsnet_hf.dataset.splits.protocols import DEFAULT_PROTOCOL, draw_stored
from mlrsnet_hf.metrics.citations import PAPER
from mlrsnet_hf.published import MOST_LABELS, TOTAL_IMAGES
from mlrsnet_hf.publishing.cards import Markdown, code, front_matter, render
from mlrsnet_hf.release import LabelVersion
from mlrsnet_hf.taxonomy import LABELS, SCENES

Origin = Literal["mlrsnet", "synthetic", "unknown"]
"""Whose images they are: MLRSNet's, this package's drawings, or others in the layout of the release."""
_TITLES: Mapping[Origin, str] = {
    "mlrsnet": "MLRSNet",
    "synthetic": "Synthetic scenes in the layout of MLRSNet",
    "unknown": "Images in the layout of MLRSNet",
}
_LICENSES: Mapping[Origin, str] = {"mlrsnet": "cc-by-4.0", "synthetic": "apache-2.0", "unknown": "unknown"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSplit:
    """A split of a repository."""

    paths: str
    """A pattern that its files, and no others, match."""
    files: int
    rows: int
    data_bytes: int
    """Size of its rows in memory."""
    file_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """What a card says of one copy of the images, beyond what holds for all."""

    splits: Mapping[str, Mapping[str, StoredSplit]]
    """Protocol -> split."""
    label_version: LabelVersion
    repaired: int
    without_labels: int
    unusual_sizes: Mapping[str, Sequence[int]]
    """Width and height by image id."""
    unreadable: Mapping[str, str]
    """Images left out, by id, and why."""
    left_out: Mapping[str, str]
    """Protocols left out, and why."""
    scenes_picture: str
    labels_picture: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCard:
    """A card of MLRSNet, or of a part of it."""

    images_per_scene: Mapping[str, int]
    images_per_label: Mapping[str, int]
    """Of all labels, those that do not occur too."""
    most_labels: int
    """Of one image."""
    split_sizes: Mapping[str, Mapping[str, int]]
    """Protocol -> split -> number of images."""
    origin: Origin = "mlrsnet"
    copy: Copy | None = field(default=None)
    """None for the release as published."""

    @property
    def is_mlrsnet(self) -> bool:
        """Whether the images are MLRSNet's."""
        return self.origin == "mlrsnet"

    @property
    def title(self) -> str:
        """What the card calls the images."""
        return _TITLES[self.origin]

    @property
    def absent_labels(self) -> list[str]:
        """Labels that no image has."""
        return [name for name, count in self.images_per_label.items() if not count]

    @property
    def total(self) -> int:
        """Number of images."""
        return sum(self.images_per_scene.values())

    def render(self) -> str:
        """Return the card: Markdown under a YAML header."""
        copy = self.copy
        return render(
            "dataset_card.md",
            card=self,
            copy=copy,
            header=front_matter(_header(self)),
            release_total=TOTAL_IMAGES,
            label_total=len(LABELS),
            split_columns=["protocol", "split", "images", "share", *(["files"] if copy else [])],
            split_rows=_split_rows(self),
            few_files=_few_files(copy) if copy else "",
            min_files=MIN_FILES,
            scene_rows=_count_rows(self, self.images_per_scene, {scene.name: scene.images for scene in SCENES}),
            label_rows=_count_rows(self, self.images_per_label, {label.name: label.images for label in LABELS}),
            unusual_sizes=[f"{key} ({width}x{height})" for key, (width, height) in sorted(copy.unusual_sizes.items())]
            if copy
            else [],
            unreadable=sorted(copy.unreadable) if copy else [],
            citation=PAPER,
        )


def published_card() -> DatasetCard:
    """Return the card of the whole release, from the published counts."""
    labels = {label.name: sum(scene.label_counts.get(label.id, 0) for scene in SCENES) for label in LABELS}
    ids = {scene.published: [f"{scene.published}_{i:05}" for i in range(1, scene.images + 1)] for scene in SCENES}
    sizes = {
        protocol: {name: len(split) for name, split in splits.items()}
        for protocol, splits in draw_stored(ids)[0].items()
    }
    return DatasetCard(
        images_per_scene={scene.name: scene.images for scene in SCENES},
        images_per_label=labels,
        most_labels=MOST_LABELS,
        split_sizes=sizes,
    )


def _header(card: DatasetCard) -> dict[str, Any]:
    header: dict[str, Any] = {
        "license": _LICENSES[card.origin],
        "pretty_name": card.title,
        "task_categories": ["image-classification", "image-feature-extraction"],
        "task_ids": ["multi-label-image-classification"],
        "tags": ["remote-sensing", "aerial-imagery", "multi-label", "image-retrieval"],
        "size_categories": [_size_category(card.total)],
    }
    if card.copy:
        features = card_features()
        splits = card.copy.splits
        header["configs"] = [_config(name, splits[name]) for name in splits]
        header["dataset_info"] = [_info(name, splits[name], features) for name in splits]
    return header


def _config(name: str, splits: Mapping[str, StoredSplit]) -> dict[str, Any]:
    default = {"default": True} if name == DEFAULT_PROTOCOL else {}
    data_files = [{"split": split, "path": stored.paths} for split, stored in splits.items()]
    return {"config_name": name, **default, "data_files": data_files}


def _info(name: str, splits: Mapping[str, StoredSplit], features: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "config_name": name,
        "features": features,
        "splits": [
            {"name": split, "num_bytes": stored.data_bytes, "num_examples": stored.rows}
            for split, stored in splits.items()
        ],
        "download_size": sum(stored.file_bytes for stored in splits.values()),
        "dataset_size": sum(stored.data_bytes for stored in splits.values()),
    }


def _size_category(total: int) -> str:
    """Return the Hub's name for a number of rows."""
    bounds = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K")]
    return next((name for bound, name in bounds if total < bound), "100K<n<1M")


def _split_rows(card: DatasetCard) -> list[list[object]]:
    return [
        [
            code(protocol),
            split,
            f"{size:,}",
            f"{size / card.total:.1%}",
            *([f"{card.copy.splits[protocol][split].files:,}"] if card.copy else []),
        ]
        for protocol, sizes in card.split_sizes.items()
        for split, size in sizes.items()
    ]


def _few_files(copy: Copy) -> Markdown:
    """Return the splits that give few workers something to read."""
    few = (
        f"{code(protocol)} {split} ({stored.files:,})"
        for protocol, splits in copy.splits.items()
        for split, stored in splits.items()
        if stored.files < MIN_FILES
    )
    return Markdown(", ".join(few))


def _count_rows(card: DatasetCard, counts: Mapping[str, int], published: Mapping[str, int]) -> list[list[object]]:
    """Return the rows of what occurs."""
    return [
        [name, f"{count:,}", *([f"{published[name]:,}"] if card.is_mlrsnet else [])]
        for name, count in counts.items()
        if count
    ]


_BAR, _LINE = (49, 104, 142), (222, 222, 222)
_ROW, _NAME_WIDTH, _COUNT_WIDTH, _BARS_WIDTH, _MARGIN = 22, 190, 70, 500, 20
"""Together as wide as a card is shown, so that nothing is made smaller."""
_TITLE = 24


def label_distribution(images_per_label: Mapping[str, int]) -> Image.Image:
    """Draw how many images carry each label that occurs: one bar each, the most frequent label first."""
    counts = sorted(((name, count) for name, count in images_per_label.items() if count), key=lambda item: -item[1])
    highest = max([*images_per_label.values(), 1])
    top = _MARGIN + _TITLE + 16
    width = 2 * _MARGIN + _NAME_WIDTH + _BARS_WIDTH + _COUNT_WIDTH
    picture = Image.new("RGB", (width, top + len(counts) * _ROW + _MARGIN), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((_MARGIN, _MARGIN), "Images per label", fill="black", font=ImageFont.load_default(_TITLE))
    font = ImageFont.load_default(15)
    left = _MARGIN + _NAME_WIDTH
    draw.line([(left, top), (left, top + len(counts) * _ROW)], fill=_LINE, width=2)
    for i, (name, count) in enumerate(counts):
        middle = top + i * _ROW + _ROW // 2
        length = round(_BARS_WIDTH * count / highest)
        draw.text((left - 10, middle), name, fill="black", font=font, anchor="rm")
        draw.rectangle([(left, middle - 7), (left + length, middle + 7)], fill=_BAR)
        draw.text((left + length + 8, middle), f"{count:,}", fill=(90, 90, 90), font=font, anchor="lm")
    return picture
