"""The dataset card: one template for the repositories that `mlrsnet prepare` writes and for the loading script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from string import Template
from typing import Any

import yaml
from PIL import Image, ImageDraw, ImageFont

from mlrsnet_hf.dataset.repository.parts import MIN_FILES, STORED_PROTOCOLS, STORED_SEED
from mlrsnet_hf.dataset.repository.schema import card_features
from mlrsnet_hf.dataset.splits.protocols import DEFAULT_PROTOCOL, split_ids
from mlrsnet_hf.published import TOTAL_IMAGES
from mlrsnet_hf.release import LabelVersion
from mlrsnet_hf.taxonomy import LABELS, SCENES

_TEMPLATE = "dataset_card.md"
_NAMED = 20
"""Of a longer list, so many are named and the others counted."""


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
    split_sizes: Mapping[str, Mapping[str, int]]
    """Protocol -> split -> number of images."""
    copy: Copy | None = field(default=None)
    """None for the release as published."""

    @property
    def total(self) -> int:
        """Number of images."""
        return sum(self.images_per_scene.values())

    def render(self) -> str:
        """Return the card: Markdown under a YAML header."""
        template = Template((files("mlrsnet_hf.publishing") / "templates" / _TEMPLATE).read_text(encoding="utf-8"))
        return template.substitute(
            front_matter=_front_matter(self),
            total=f"{self.total:,}",
            usual_size="nearly all of 256x256 pixels" if self.copy and self.copy.unusual_sizes else "of 256x256 pixels",
            scenes=len(self.images_per_scene),
            part=_part(self),
            loading=_LOADING_COPY if self.copy else _LOADING_SCRIPT,
            pictures=_pictures(self.copy),
            seed=_SEED_COPY if self.copy else _SEED_SCRIPT,
            split_table=_split_table(self),
            split_notes=_split_notes(self.copy),
            scene_table=_count_table(
                "scene", self.images_per_scene, {scene.name: scene.images for scene in SCENES}, "release"
            ),
            label_table=_count_table(
                "label", self.images_per_label, {label.name: label.images for label in LABELS}, "Table 1"
            ),
            repair=_repair(self.copy),
            copy_faults=_copy_faults(self.copy),
        )


def published_card() -> DatasetCard:
    """Return the card of the whole release, from the published counts."""
    labels = {label.name: sum(scene.label_counts.get(label.id, 0) for scene in SCENES) for label in LABELS}
    ids = {scene.published: [f"{scene.published}_{i:05}" for i in range(1, scene.images + 1)] for scene in SCENES}
    sizes = {
        protocol: {name: len(split) for name, split in split_ids(ids, protocol, STORED_SEED).items()}
        for protocol in STORED_PROTOCOLS
    }
    return DatasetCard(
        images_per_scene={scene.name: scene.images for scene in SCENES}, images_per_label=labels, split_sizes=sizes
    )


_LOADING_COPY = """
```python
from datasets import load_dataset

dataset = load_dataset("path/to/this/folder")  # or the name of its repository on the Hub
dataset["train"][0]
```

needs `datasets` 3.6 or newer and nothing else, with `streaming=True` too. A second argument names another protocol:
`load_dataset("path/to/this/folder", "retrieval10")`. All protocols read the same files; each image is stored once. Rows
come by scene, within a scene by the part of the permutation that they belong to, then by id; every split keeps this
order, so shuffle before training.
"""
_LOADING_SCRIPT = """
`load_dataset("mlrsnet", protocol, data_dir=folder)` after `import mlrsnet_hf` loads any copy of the release;
`mlrsnet prepare` turns it into a repository of Parquet files that need no further code. For `datasets` below 4, this
folder holds a loading script.
"""
_SEED_COPY = "The files here are cut for seed 0; `mlrsnet_hf` draws others."
_SEED_SCRIPT = "The paper repeats five times, here seeds 0 to 4."


def _front_matter(card: DatasetCard) -> str:
    header: dict[str, Any] = {
        "license": "cc-by-4.0",
        "pretty_name": "MLRSNet",
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
    return str(yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=120)).rstrip()


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


def _part(card: DatasetCard) -> str:
    if card.total == TOTAL_IMAGES:
        return ""
    return f"\nThis copy holds {card.total:,} of the release's {TOTAL_IMAGES:,} images.\n"


def _pictures(copy: Copy | None) -> str:
    if not copy:
        return ""
    return (
        f"\n![One image of each scene, with its labels]({copy.scenes_picture})\n\n"
        f"![How many images carry each label]({copy.labels_picture})\n"
    )


def _split_table(card: DatasetCard) -> str:
    rows = ["| protocol | split | images | share |" + (" files |" if card.copy else "")]
    rows.append("| --- | --- | ---: | ---: |" + (" ---: |" if card.copy else ""))
    for protocol, sizes in card.split_sizes.items():
        for split, size in sizes.items():
            row = f"| `{protocol}` | {split} | {size:,} | {size / card.total:.1%} |"
            rows.append(row + (f" {card.copy.splits[protocol][split].files} |" if card.copy else ""))
    return "\n".join(rows)


def _split_notes(copy: Copy | None) -> str:
    if not copy:
        return ""
    notes = [f"Not stored: `{name}`, because {reason}." for name, reason in copy.left_out.items()]
    few = [
        f"`{protocol}` {split} ({stored.files})"
        for protocol, splits in copy.splits.items()
        for split, stored in splits.items()
        if stored.files < MIN_FILES
    ]
    if few:
        notes.append(
            f"With so few images these splits have fewer than {MIN_FILES} files, and give no more workers than that "
            f"something to read: {', '.join(few)}."
        )
    return "".join(f"\n{note}\n" for note in notes)


def _count_table(kind: str, counts: Mapping[str, int], published: Mapping[str, int], source: str) -> str:
    rows = [f"| {kind} | images | {source} |", "| --- | ---: | ---: |"]
    rows += [f"| {name} | {count:,} | {published[name]:,} |" for name, count in counts.items()]
    return "\n".join(rows)


def _repair(copy: Copy | None) -> str:
    if not copy:
        return "`mlrsnet_hf` repairs them, which gives exactly the labels of 2020, and marks the rows as `repaired`."
    if copy.label_version == "as-published":
        return "This copy has the labels as its label files have them, faults included."
    return (
        "To this copy the rules were applied that turn the labels of 2021 into those of 2020; "
        f"{_rows(copy.repaired)} repaired, and marked as such."
    )


def _rows(count: int) -> str:
    return "1 row was" if count == 1 else f"{count or 'no':,} rows were" if count else "no rows were"


def _copy_faults(copy: Copy | None) -> str:
    if not copy:
        return ""
    faults = []
    if copy.without_labels:
        faults.append(f"In this copy {copy.without_labels:,} of the images carry no label.")
    if copy.unusual_sizes:
        sizes = [f"{image_id} ({width}x{height})" for image_id, (width, height) in sorted(copy.unusual_sizes.items())]
        faults.append(f"Images that are not 256x256, {len(sizes):,} in all: {_named(sizes)}.")
    if copy.unreadable:
        faults.append(f"Left out as unreadable, {len(copy.unreadable):,} in all: {_named(sorted(copy.unreadable))}.")
    return "".join(f"- {fault}\n" for fault in faults)


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


_BAR, _LINE = (49, 104, 142), (222, 222, 222)
_ROW, _NAME_WIDTH, _COUNT_WIDTH, _BARS_WIDTH, _MARGIN = 22, 210, 80, 640, 20
_TITLE = 24


def label_distribution(images_per_label: Mapping[str, int]) -> Image.Image:
    """Draw how many images carry each label: one bar each, the most frequent label first."""
    counts = sorted(images_per_label.items(), key=lambda item: -item[1])
    highest = max([*images_per_label.values(), 1])
    top = _MARGIN + _TITLE + 16
    width = 2 * _MARGIN + _NAME_WIDTH + _BARS_WIDTH + _COUNT_WIDTH
    picture = Image.new("RGB", (width, top + len(counts) * _ROW + _MARGIN), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((_MARGIN, _MARGIN), "Images per label", fill="black", font=ImageFont.load_default(_TITLE))
    font = ImageFont.load_default(14)
    left = _MARGIN + _NAME_WIDTH
    draw.line([(left, top), (left, top + len(counts) * _ROW)], fill=_LINE, width=2)
    for i, (name, count) in enumerate(counts):
        middle = top + i * _ROW + _ROW // 2
        length = round(_BARS_WIDTH * count / highest)
        draw.text((left - 10, middle), name, fill="black", font=font, anchor="rm")
        draw.rectangle([(left, middle - 7), (left + length, middle + 7)], fill=_BAR if count else _LINE)
        draw.text((left + length + 8, middle), f"{count:,}", fill=(90, 90, 90), font=font, anchor="lm")
    return picture
