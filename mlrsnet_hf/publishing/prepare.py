"""Any copy of the release to a dataset repository: Parquet files with the images in them, and their card."""

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mlrsnet_hf.configuration.json_file import json_as, read_json
from mlrsnet_hf.dataset.repository.files import WrittenFile, write_files
from mlrsnet_hf.dataset.repository.parts import Parts, PlannedFile, cut_parts, plan_files
from mlrsnet_hf.dataset.repository.schema import ARROW_SCHEMA
from mlrsnet_hf.dataset.splits.protocols import DEFAULT_PROTOCOL, ids_by_scene
from mlrsnet_hf.errors import ConfigurationError, ImageError, ReleaseError
from mlrsnet_hf.escaping import on_one_line
from mlrsnet_hf.files import refuse_existing
from mlrsnet_hf.publishing.cards import CARD
from mlrsnet_hf.publishing.dataset_card import Copy, DatasetCard, Origin, StoredSplit, label_distribution
from mlrsnet_hf.release import Entry, LabelVersion, Record, Release, open_release
from mlrsnet_hf.release.images import decode_image
from mlrsnet_hf.release.stamps import source_fingerprint
from mlrsnet_hf.resumable_folder import ResumableFolder, resumable_folder
from mlrsnet_hf.runtime.logs import progress_bar
from mlrsnet_hf.synthetic import contact_sheet
from mlrsnet_hf.synthetic.release import CONTACT_SHEET
from mlrsnet_hf.taxonomy import LABELS, SCENES

DATA = "data"
MANIFEST = "manifest.json"
"""What the repository was made from, and size and hash of every Parquet file."""
SCENES_PICTURE = "scenes.jpg"
LABELS_PICTURE = "labels.png"
_BESIDE = (CARD, SCENES_PICTURE, LABELS_PICTURE)

_FORMAT = 2
"""Raise it whenever the same source gives other files."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A repository that is whole."""

    folder: Path
    card: DatasetCard
    files: tuple[WrittenFile, ...]
    taken_up: int
    """Number of images that an earlier run had written."""
    was_whole: bool = False
    """Whether nothing was left to do."""

    @property
    def copy(self) -> Copy:
        """What the card says of this copy."""
        assert self.card.copy, "a prepared repository is a copy"
        return self.card.copy

    def summary(self) -> str:
        """Return what was made, what was noticed and what to do next, for the terminal."""
        copy, card = self.copy, self.card
        megabytes = sum(file.file_bytes for file in self.files) / 1e6
        first = DEFAULT_PROTOCOL if DEFAULT_PROTOCOL in copy.splits else next(iter(copy.splits))
        scenes = sum(count > 0 for count in card.images_per_scene.values())
        lines = [
            f"{card.total:,} images of {scenes} scenes in {len(self.files):,} Parquet files, {megabytes:,.0f} MB",
            f"repository: {self.folder}, card: {self.folder / CARD}",
            f"protocols: {', '.join(copy.splits)}",
            f"{copy.repaired:,} rows with repaired labels, {copy.without_labels:,} images without a label, "
            f"{len(copy.unusual_sizes):,} images that are not 256x256",
        ]
        if self.was_whole:
            lines.insert(0, "this repository is there already, whole and of the same source and settings")
        elif self.taken_up:
            lines.append(f"{self.taken_up:,} images were there from an earlier run")
        lines += [f"left out: {on_one_line(reason)}" for reason in copy.unreadable.values()]
        lines += [f"protocol left out: {reason}" for reason in copy.left_out.values()]
        load = f"load_dataset('{self.folder}', '{first}')"
        return "\n".join([*lines, f'next: python -c "from datasets import load_dataset; print({load})"'])


def prepare(
    source: str | Path, target: str | Path, label_version: LabelVersion | None = None, skip_unreadable: bool = False
) -> Prepared:
    """Turn any copy of the release into a dataset repository.

    The repository takes its name when it is whole. A run that is cut short, however that happens, leaves
    `.<name>.partial` beside the target; the next run with the same source and labels goes on from there.

    Args:
        source: What `open_release` opens.
        target: The folder to create.
        label_version: As for `open_release`.
        skip_unreadable: Whether an image that cannot be read is left out, and named, rather than an error.

    Raises:
        ReleaseError: The source cannot be used, or changed meanwhile.
        ImageError: An image cannot be read.
        ConfigurationError: The target exists, another process is writing it, or it cannot be written.
    """
    target = Path(target).expanduser().absolute()
    if not _from_manifest(target):
        refuse_existing(target)
    before = source_fingerprint(Path(source))
    release = open_release(source, label_version)
    ids = ids_by_scene(release.entries)
    parts = cut_parts(ids)
    planned = plan_files(ids, {scene.published: scene.name for scene in SCENES}, parts)
    origin = {
        "format": _FORMAT,
        "labels": release.label_version,
        "source": release.fingerprint(),
        "files": _digest(planned),
        "schema": hashlib.sha256(ARROW_SCHEMA.serialize()).hexdigest(),
    }
    if (whole := _whole_files(target, origin, planned, skip_unreadable)) is not None:
        card = _card(release, parts, planned, whole)
        return Prepared(target, card, tuple(whole), sum(file.rows for file in whole), was_whole=True)
    with resumable_folder(target, origin, _from_manifest) as folder:
        files, taken_up = _write_data(folder, release, planned, skip_unreadable)
        if source_fingerprint(Path(source)) != before:
            raise ReleaseError(
                f"{release.root}: images or labels changed, came or went while they were read",
                "Run again, and leave them be.",
            )
        card = _card(release, parts, planned, files)
        written = tuple(file for file in files if file.rows)
        _write_pictures(folder.path, planned, {file.name for file in written}, card)
        (folder.path / CARD).write_text(card.render(), encoding="utf-8")
        manifest = {**origin, "parquet": [file.to_json() for file in written]}
        (folder.path / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return Prepared(target, card, written, taken_up)


def _digest(planned: Sequence[PlannedFile]) -> str:
    text = "\n".join(f"{file.name} {' '.join(file.ids)}" for file in planned)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _write_data(
    folder: ResumableFolder, release: Release, planned: Sequence[PlannedFile], skip_unreadable: bool
) -> tuple[list[WrittenFile], int]:
    """Write the files that an earlier run has not, and return all in the order planned."""
    data = folder.path / DATA
    data.mkdir(exist_ok=True)
    plan = {file.name: file for file in planned}
    noted: list[WrittenFile] = json_as(folder.noted, list[WrittenFile], str(folder.path), "Remove it, and run again.")
    done = {
        file.name: file
        for file in noted
        if (skip_unreadable or not file.unreadable) and file.name in plan and file.is_whole(plan[file.name], data)
    }
    for path in data.iterdir():
        if path.name not in done:
            path.unlink()
    folder.keep([file.to_json() for file in done.values()])
    taken_up = sum(file.rows for file in done.values())

    def note(file: WrittenFile) -> None:
        folder.note(file.to_json())
        done[file.name] = file

    missing = [file for file in planned if file.name not in done]
    with progress_bar(description="preparing", total=len(release.entries), initial=taken_up, unit="image") as bar:
        try:
            write_files(release, missing, data, note, bar.update, skip_unreadable)
        except ImageError as error:
            kept = " Finished files are kept." if done else ""
            remedy = f"{error.remedy} Or leave out what cannot be read: --skip-unreadable.{kept}"
            raise ImageError(error.found, remedy) from error
    files = [done[file.name] for file in planned]
    rows, expected = sum(file.rows for file in files), len(_readable(release, files))
    if rows != expected:
        raise ConfigurationError(
            f"{folder.path}: {rows:,} images were written where there are {expected:,}", "Remove the folder, run again."
        )
    return files, taken_up


def _from_manifest(folder: Path) -> list[dict[str, Any]]:
    """Return what a whole repository was made from, and what is known of its files."""
    try:
        manifest: dict[str, Any] = read_json(folder / MANIFEST, Mapping[str, Any], "")
        files: list[WrittenFile] = json_as(manifest.pop("parquet"), list[WrittenFile], MANIFEST, "")
    except (ConfigurationError, KeyError):
        return []
    return [manifest, *(file.to_json() for file in files)]


def _whole_files(
    target: Path, origin: dict[str, Any], planned: Sequence[PlannedFile], skip_unreadable: bool
) -> list[WrittenFile] | None:
    """Return the files of a repository that an earlier run has made of the same; None if it is another, or torn."""
    made = _from_manifest(target)
    if not made or made[0] != origin or not all((target / name).is_file() for name in _BESIDE):
        return None
    noted = {note["name"]: WrittenFile(**note) for note in made[1:]}
    files = [noted[plan.name] for plan in planned if plan.name in noted]
    same = len(files) == len(planned) and (skip_unreadable or not any(file.unreadable for file in files))
    whole = same and all(file.is_whole(plan, target / DATA) for file, plan in zip(files, planned, strict=True))
    return files if whole else None


def _readable(release: Release, files: Sequence[WrittenFile]) -> list[Entry]:
    unreadable = {image_id for file in files for image_id in file.unreadable}
    return [entry for entry in release.entries if entry.id not in unreadable]


def _card(
    release: Release,
    parts: Parts,
    planned: Sequence[PlannedFile],
    files: Sequence[WrittenFile],
) -> DatasetCard:
    """Return the card of what was written, or raise if every protocol has a split of which no image can be read."""

    def stored(letters: str) -> StoredSplit:
        chosen = [file for file, plan in zip(files, planned, strict=True) if plan.letter in letters and file.rows]
        return StoredSplit(
            paths=f"{DATA}/*-[{letters}]-*.parquet",
            files=len(chosen),
            rows=sum(file.rows for file in chosen),
            data_bytes=sum(file.data_bytes for file in chosen),
            file_bytes=sum(file.file_bytes for file in chosen),
        )

    splits, left_out = {}, dict(parts.left_out)
    for protocol, letters_of in parts.splits.items():
        found = {split: stored(letters) for split, letters in letters_of.items()}
        emptied = [split for split, part in found.items() if not part.rows]
        if emptied:
            left_out[protocol] = f"no image of split {emptied[0]!r} of protocol {protocol!r} can be read"
        else:
            splits[protocol] = found
    if not splits:
        raise ConfigurationError("none of the images can be read", "Fetch the images again.")
    entries = _readable(release, files)
    labels = Counter(label for entry in entries for label in entry.labels)
    scenes = Counter(entry.scene.name for entry in entries)
    copy = Copy(
        splits=splits,
        label_version=release.label_version,
        repaired=sum(entry.repaired for entry in entries),
        without_labels=sum(not entry.labels for entry in entries),
        unusual_sizes={key: size for file in files for key, size in file.unusual_sizes.items()},
        unreadable={key: reason for file in files for key, reason in file.unreadable.items()},
        left_out=left_out,
        scenes_picture=SCENES_PICTURE,
        labels_picture=LABELS_PICTURE,
    )
    return DatasetCard(
        images_per_scene={scene.name: scenes[scene.name] for scene in SCENES if scene.name in scenes},
        images_per_label={label.name: labels[label.id] for label in LABELS},
        most_labels=max((len(entry.labels) for entry in entries), default=0),
        split_sizes={name: {split: part.rows for split, part in found.items()} for name, found in splits.items()},
        origin=_origin(release),
        copy=copy,
    )


def _origin(release: Release) -> Origin:
    if (release.root / CONTACT_SHEET).is_file():
        return "synthetic"
    return "mlrsnet" if release.is_mlrsnet else "unknown"


def _write_pictures(folder: Path, planned: Sequence[PlannedFile], written: set[str], card: DatasetCard) -> None:
    by_scene = itertools.groupby(planned, key=lambda file: file.name.partition("-")[0])
    first_files = (next((file for file in files if file.name in written), None) for _, files in by_scene)
    samples = [_sample(folder / DATA / file.name) for file in first_files if file]
    shown = [record for record in samples if record]
    # As wide as a card is shown, so that nothing is made smaller.
    sheet = contact_sheet(shown, columns=5, tile=148, title=f"{card.title}: one image of each scene")
    sheet.save(folder / SCENES_PICTURE, quality=85)
    label_distribution(card.images_per_label).save(folder / LABELS_PICTURE)


def _sample(path: Path) -> Record | None:
    """Return the first record of a file that can be decoded."""
    for row in pq.ParquetFile(path).read_row_group(0).to_pylist():
        try:
            decode_image(row["image"]["bytes"], row["id"])
        except ImageError:
            continue
        return Record(
            id=row["id"],
            file_name=row["image"]["path"],
            scene=SCENES[row["scene"]],
            labels=tuple(row["labels"]),
            image=row["image"]["bytes"],
            repaired=row["repaired"],
        )
    return None
