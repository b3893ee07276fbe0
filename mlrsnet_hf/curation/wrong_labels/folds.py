"""`mlrsnet curate folds`: lists of k folds, by which k networks score every image of a set that they have not seen."""

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.curation.config import SEARCH, FoldsConfig
from mlrsnet_hf.dataset.near_duplicates.groups import cached_groups, read_groups, write_groups
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.files import whole_folder
from mlrsnet_hf.inputs.config import MLRSNET
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.inputs.images import ImageSplit, load_images
from mlrsnet_hf.inputs.pixels.decoding import ImageFiles, file_content

GROUPS_FILE = "near_duplicates.csv"
"""File in the folder of folds: the number of each image's group of near-duplicates."""

Groups = npt.NDArray[np.int64]


def write_folds(config: FoldsConfig, data: ImageSet) -> str:
    """Write a list of each fold into a folder, and return what came out in a few lines.

    The list of a fold, `fold_1.csv` and so on, has a row for each image: `id`, and `split`, which is `test` in the fold
    and `train` in the others; `--split-file` of training and evaluation takes it. The groups of near-duplicates lie
    beside, where they were asked for.

    Args:
        config: How many folds, and what stays together.
        data: The images, of all splits unless it names some.

    Raises:
        MLRSNetError: The images cannot be read or have no labels, there are fewer of them than folds, or the folder
            exists or cannot be written.
    """
    with whole_folder(config.output_dir) as folder:
        is_open = data.dataset == MLRSNET and data.images is data.protocol is data.split is None
        images = load_images(dataclasses.replace(data, protocol="all") if is_open else data)
        names: list[str] = images.rows["id"][:]
        if "labels" not in images.rows.column_names:
            raise ConfigurationError("images without labels", "Give a dataset: a folder of images has none.")
        groups = groups_of(config.near_duplicates, names, images)
        fold_of = assign_folds(_traits(images), config.folds, groups, config.seed)
        for fold in range(config.folds):
            with (folder / f"fold_{fold + 1}.csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(["id", "split"])
                writer.writerows(
                    (name, "test" if own == fold else "train") for name, own in zip(names, fold_of, strict=True)
                )
        if groups is not None:
            write_groups(dict(zip(names, groups.tolist(), strict=True)), folder / GROUPS_FILE)
    sizes = np.bincount(fold_of, minlength=config.folds)
    least, most = sizes.min(), sizes.max()
    lines = [f"{len(names):,} images in {config.folds} folds of {least:,}" + (f" to {most:,}" if most > least else "")]
    if groups is not None:
        shared = np.bincount(np.unique(groups, return_inverse=True)[1])
        together = shared[shared > 1]
        lines.append(
            f"{together.sum():,} of them in {len(together):,} groups of near-duplicates, each group in one fold"
            if together.size
            else "none is a near-duplicate of another"
        )
    return "\n".join([*lines, f"written to {config.output_dir}"])


def groups_of(near_duplicates: str | None, names: Sequence[str], images: ImageSplit | None) -> Groups | None:
    """Return the number of each image's group of near-duplicates; None where nothing is said of them.

    Args:
        near_duplicates: `SEARCH`, a file of groups, or None.
        names: Ids of the images.
        images: Where a search finds them; what was found is kept in the cache of `datasets`.

    Raises:
        MLRSNetError: The file cannot be read or names none of the images, or an image cannot be decoded.
    """
    if near_duplicates is None:
        return None
    if near_duplicates != SEARCH:
        found = read_groups(Path(near_duplicates).expanduser())
        if not any(name in found for name in names):
            raise ConfigurationError(
                f"{near_duplicates} names none of the images, such as {names[0]!r}", "Give the groups of these images."
            )
    else:
        import datasets

        assert images is not None, "a search needs images"
        ids: list[str] = images.rows["id"][:]
        files = ImageFiles(images.rows)
        contents = ((name, file_content(files[row], name)) for row, name in enumerate(ids))
        found = cached_groups(datasets.config.HF_DATASETS_CACHE, images.fingerprint, contents)
    alone = max(found.values(), default=0) + 1  # an image that is not named has nothing to do with others
    return np.array([found.get(name, alone + row) for row, name in enumerate(names)], np.int64)


def _traits(images: ImageSplit) -> npt.NDArray[np.bool_]:
    """Return what each image has, (N, labels and scenes)."""
    rows = images.rows
    traits = np.zeros((len(rows), len(images.label_names) + len(images.scene_names)), bool)
    for row, labels in zip(traits, rows["labels"][:], strict=True):
        row[labels] = True
    if "scene" in rows.column_names:
        scenes = np.array(rows["scene"][:], np.int64)
        known = np.flatnonzero(scenes >= 0)
        traits[known, len(images.label_names) + scenes[known]] = True
    return traits


def assign_folds(
    traits: npt.NDArray[np.bool_], folds: int, groups: Groups | None = None, seed: int = 0
) -> npt.NDArray[np.int64]:
    """Return the fold of each image, such that each label and scene is shared about evenly, the rare ones first.

    A group goes as a whole to the fold that has fewest of its rarest trait, and of these to that with fewest images
    (after Sechidis et al. 2011).

    Args:
        traits: (N, T), the labels and scenes that each image has.
        folds: Number of folds.
        groups: (N,) of images that stay in one fold; None for images that have nothing to do with each other.
        seed: Of the order among equals.

    Returns:
        (N,), from 0 on.

    Raises:
        ConfigurationError: There are fewer images, or groups of them, than folds.
    """
    numbers = np.arange(len(traits)) if groups is None else np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(numbers)
    if len(sizes) < folds:
        raise ConfigurationError(
            f"{len(sizes)} images, or groups of them, cannot be cut into {folds} folds", "Give fewer folds, 2 at least."
        )
    counts = np.zeros((len(sizes), traits.shape[1] + 1), np.int64)
    np.add.at(counts[:, :-1], numbers, traits)
    counts[:, -1] = sizes  # what all have, the commonest trait
    often = counts.sum(axis=0)
    rarest = np.where(counts > 0, often, often[-1] + 1).argmin(axis=1)
    draw = np.random.default_rng(seed)
    order = np.lexsort((draw.random(len(sizes)), -sizes, often[rarest]))
    chosen = np.empty(len(sizes), np.int64)
    filled = np.zeros((folds, counts.shape[1]), np.int64)
    for group in order:
        held = filled[:, rarest[group]]
        fold = np.lexsort((draw.random(folds), filled[:, -1], held))[0]
        chosen[group] = fold
        filled[fold] += counts[group]
    return chosen[numbers]
