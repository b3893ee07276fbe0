"""The labels that each scene may carry, from a sample of images that people describe in their own words.

Section 2.2.1 of Qi et al. (2020): of every scene category 100 images are drawn and annotated freely; the primitive
classes are counted, and those that occur no more than five times are left out. Scenes of several sources that mean the
same are merged, "playground" and "ground track field" into one. The paper does not say how spellings and synonyms were
merged; here a list does it that people review.
"""

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np

from mlrsnet_hf.configuration.json_file import Name, json_as
from mlrsnet_hf.configuration.settings import Count, Range
from mlrsnet_hf.configuration.yaml_file import MOST_OF_LISTS, read_settings_file, write_yaml, yaml_text
from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.escaping import quoted

PER_SCENE = 100
"""Images of each scene that are annotated."""
LEAST_IMAGES = 6
"""Images of a scene's sample on which a label stays: more than five."""
_NEAR = 0.85
"""Likeness of two spellings that are proposed as one, by difflib's ratio."""
_VOCABULARY_REMEDY = "Write the file as `mlrsnet curate vocabulary` does."
_MERGES_REMEDY = "Give two lists, labels and scenes, of 'name that stands there: name to take'."


class Described(NamedTuple):
    """An image and what somebody sees on it, in free words."""

    image: str
    scene: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merges:
    """Names that stand for others: the reviewed list."""

    labels: Mapping[Name, Name] = field(default_factory=dict)
    scenes: Mapping[Name, Name] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse names that stand for each other.

        Raises:
            ConfigurationError: Some do.
        """
        for part, merged in (("labels", self.labels), ("scenes", self.scenes)):
            for name in merged:
                if (last := _last(merged, name)) in merged and merged[last] != last:
                    raise ConfigurationError(
                        f"{part}: {quoted(last)} stands for {quoted(merged[last])}, and that for it again",
                        "Take one of the two lines out.",
                    )

    def label(self, name: str) -> str:
        """Return the label that a name stands for in the end, which is itself where the list does not have it."""
        return _last(self.labels, name)

    def scene(self, name: str) -> str:
        """Return the scene that a name stands for in the end, as `label` does."""
        return _last(self.scenes, name)

    def apply(self, described: Described) -> Described:
        """Return what somebody sees, under the names to take; each label once."""
        labels = dict.fromkeys(map(self.label, described.labels))
        return Described(described.image, self.scene(described.scene), tuple(labels))


def _last(merged: Mapping[str, str], name: str) -> str:
    """Return the name that a name stands for in the end; in a circle of names one of these."""
    seen = {name}
    while (following := merged.get(name, name)) not in seen:
        seen.add(following)
        name = following
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneVocabulary:
    """What the sample says of one scene."""

    images: Count
    """Images that were annotated."""
    labels: Mapping[Name, Count]
    """Images that carry each label, of those that stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The labels that each scene may carry."""

    scenes: Annotated[Mapping[Name, SceneVocabulary], Range(1)]

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels, by name."""
        return tuple(sorted({label for scene in self.scenes.values() for label in scene.labels}))

    def allowed(self, scene: str) -> frozenset[str]:
        """Return the labels that a scene may carry.

        Raises:
            UnknownNameError: It has no such scene.
        """
        if scene not in self.scenes:
            raise UnknownNameError(
                f"the vocabulary has no scene {quoted(scene)}", name_alternatives(scene, self.scenes)
            )
        return frozenset(self.scenes[scene].labels)

    def pairs(self) -> frozenset[tuple[str, str]]:
        """Return all scenes with each of their labels."""
        return frozenset((scene, label) for scene, found in self.scenes.items() for label in found.labels)


@dataclass(frozen=True, slots=True)
class Built:
    """A vocabulary, and what was left out of it."""

    vocabulary: Vocabulary
    dropped: Mapping[tuple[str, str], int]
    """Scene and label -> images, of labels that are too rare."""


def draw_sample(images: Mapping[str, Sequence[str]], per_scene: int = PER_SCENE, seed: int = 0) -> dict[str, list[str]]:
    """Return images of each scene at random, all where there are no more; a scene's do not depend on the others.

    Args:
        images: Names of the images, by scene.
        per_scene: How many to draw.
        seed: Of the draws.
    """
    drawn = {}
    for scene in sorted(images):
        names = sorted(set(images[scene]))
        generator = np.random.default_rng([seed, *scene.encode()])
        chosen = generator.choice(len(names), min(per_scene, len(names)), replace=False)
        drawn[scene] = [names[i] for i in sorted(chosen.tolist())]
    return drawn


def build_vocabulary(
    described: Iterable[Described],
    merges: Merges | None = None,
    per_scene: int = PER_SCENE,
    least_images: int = LEAST_IMAGES,
    seed: int = 0,
) -> Built:
    """Return the labels that occur on so many of a scene's sampled images.

    Args:
        described: What people see on images; an image that several describe has what any of them sees.
        merges: Names that stand for others.
        per_scene: Images of each scene that count; they are drawn where more are described.
        least_images: Fewest images on which a label stays.
        seed: Of the draws.

    Raises:
        ConfigurationError: Nothing is described, or an image stands under two scenes.
    """
    seen: dict[str, set[str]] = defaultdict(set)
    scenes: dict[str, str] = {}
    for one in map((merges or Merges()).apply, described):
        if scenes.setdefault(one.image, one.scene) != one.scene:
            raise ConfigurationError(
                f"image {quoted(one.image)} stands under {quoted(scenes[one.image])} and {quoted(one.scene)}",
                "Take it out of one of the scenes, or merge them.",
            )
        seen[one.image].update(one.labels)
    if not seen:
        raise ConfigurationError("no image is described", "Fill in the labels of the images that were drawn.")
    by_scene: dict[str, list[str]] = defaultdict(list)
    for image, scene in scenes.items():
        by_scene[scene].append(image)
    found: dict[str, SceneVocabulary] = {}
    dropped: dict[tuple[str, str], int] = {}
    for scene, images in draw_sample(by_scene, per_scene, seed).items():
        counts = Counter(label for image in images for label in seen[image])
        ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        kept = {label: count for label, count in ranked if count >= least_images}
        dropped |= {(scene, label): count for label, count in ranked if count < least_images}
        found[scene] = SceneVocabulary(images=len(images), labels=kept)
    return Built(Vocabulary(scenes=found), dropped)


def folded(name: str) -> str:
    """Return a name without letter case and what stands between its words, as labels are matched elsewhere."""
    return re.sub(r"[\s_&/-]+", " ", name.strip().casefold())


def propose_merges(counts: Mapping[str, int]) -> tuple[dict[str, str], dict[str, str]]:
    """Return names that may stand for others, each with the more frequent name.

    Args:
        counts: How often each name was given.

    Returns:
        Names that differ in letter case, spaces, hyphens, underscores, `&` and `/` alone, which are the same; and names
        that differ by a few letters, such as "chapparral" or a plural, which somebody has to look at: "beech" is near
        to "beach". Synonyms ("auto", "car") are not found at all.

    Examples:
        >>> propose_merges({"parking lot": 9, "Parking_Lot": 2, "parking lots": 1, "car": 5, "auto": 1})
        ({'Parking_Lot': 'parking lot'}, {'parking lots': 'parking lot'})
    """
    ranked = sorted(counts, key=lambda name: (-counts[name], not name.islower(), name))
    same: dict[str, str] = {}
    first: dict[str, str] = {}
    for name in ranked:
        taken = first.setdefault(folded(name), name)
        if taken != name:
            same[name] = taken
    near: dict[str, str] = {}
    spelled = list(first)
    for i, key in enumerate(spelled):
        others = difflib.get_close_matches(key, [other for other in spelled[:i] if first[other] not in near], 1, _NEAR)
        if others:
            near[first[key]] = first[others[0]]
    return same, near


def read_merges(path: Path) -> Merges:
    """Read a reviewed list.

    Raises:
        ConfigurationError: It cannot be read, or holds something else.
    """
    # A list of which all is a comment is null to YAML.
    values = {part: {} if names is None else names for part, names in read_settings_file(path, MOST_OF_LISTS).items()}
    merges: Merges = json_as(values, Merges, str(path), _MERGES_REMEDY)
    return merges


def to_decide(merged: Mapping[str, str], proposed: Mapping[str, str]) -> dict[str, str]:
    """Return the proposals on which a list says nothing yet: those of names that it does not merge, either way."""
    return {
        name: other
        for name, other in proposed.items()
        if name not in merged and _last(merged, name) != _last(merged, other)
    }


def merges_text(merges: Merges, labels: Mapping[str, str], scenes: Mapping[str, str]) -> str:
    """Return a list of names for people to review: what is merged, and as comments what else may be.

    Args:
        merges: What is merged.
        labels: Labels that may stand for others.
        scenes: Scenes that may stand for others.
    """
    lines = [
        "# Names that stand for others: 'name that stands there: name to take'.",
        "# What begins with # is proposed and not done: take the # away where you agree, add synonyms, and give the",
        "# file to `mlrsnet curate vocabulary` as --merges.",
    ]
    for part, merged, near in (("labels", merges.labels, labels), ("scenes", merges.scenes, scenes)):
        open_ones = to_decide(merged, near)
        lines += ["", f"{part}:"]
        lines += [f"  {line}" for name in sorted(merged) for line in yaml_text({name: merged[name]}).splitlines()]
        lines += [
            f"  # {line}" for name in sorted(open_ones) for line in yaml_text({name: open_ones[name]}).splitlines()
        ]
    return "\n".join(lines) + "\n"


def write_vocabulary(vocabulary: Vocabulary, path: Path) -> None:
    """Write a vocabulary as YAML, the most frequent label of each scene first.

    Raises:
        ConfigurationError: It cannot be written.
    """
    scenes = {
        scene: {"images": found.images, "labels": dict(found.labels)} for scene, found in vocabulary.scenes.items()
    }
    comment = "The labels that each scene may carry, with the images of its sample that do."
    write_yaml(path, {"scenes": scenes}, comment)


def read_vocabulary(path: Path) -> Vocabulary:
    """Read a vocabulary.

    Raises:
        ConfigurationError: It cannot be read, or holds something else; the message names the file and the place.
    """
    vocabulary: Vocabulary = json_as(read_settings_file(path, MOST_OF_LISTS), Vocabulary, str(path), _VOCABULARY_REMEDY)
    return vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """How much of a known vocabulary was found."""

    precision: float
    """Share of what was found that is known; 1 where nothing was found."""
    recall: float
    """Share of what is known that was found."""


def recovery(found: Iterable[object], known: Iterable[object]) -> Recovery:
    """Return how much of what is known was found, of labels or of scenes with labels."""
    of_found, of_known = frozenset(found), frozenset(known)
    both = len(of_found & of_known)
    return Recovery(precision=both / len(of_found) if of_found else 1.0, recall=both / len(of_known))
