"""A curation's folder.

curation.yaml     what is voted on, and by which rules
events.jsonl      candidates, rounds, votes and decisions, in the order in which they came
images/           the pictures as Label Studio shows them, under names that tell nothing
boundaries.yaml   what was agreed on about categories that are taken for each other; people write it
confidence.csv    the confidence table of the last round
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mlrsnet_hf.configuration.json_file import Name, json_as
from mlrsnet_hf.configuration.yaml_file import MOST_OF_LISTS, read_settings_file, write_yaml
from mlrsnet_hf.curation.config import Rules, Task
from mlrsnet_hf.curation.votes.rounds import LAST_STAGE
from mlrsnet_hf.errors import ConfigurationError

FORMAT = 1
SETTINGS, LOG, IMAGES, BOUNDARIES, TABLE = (
    "curation.yaml",
    "events.jsonl",
    "images",
    "boundaries.yaml",
    "confidence.csv",
)
_REMEDY = "Restore it as mlrsnet curate start wrote it."


@dataclass(frozen=True, slots=True, kw_only=True)
class CurationInfo:
    """What curation.yaml holds."""

    format: int = FORMAT
    name: Name
    id: Name
    """Drawn at random: with the name what its projects are found by on the server."""
    task: Name
    images: Name
    """Folder or URL of the images."""
    categories: tuple[Name, ...]
    """All that annotators can say of an image."""
    first: Mapping[Name, tuple[Name, ...]] = field(default_factory=dict)
    """Labels that a page shows first, by scene."""
    rules: Mapping[Name, Any]


@dataclass(frozen=True)
class Curation:
    """A curation by its folder."""

    root: Path
    info: CurationInfo

    @classmethod
    def open(cls, root: Path) -> "Curation":
        """Read a curation's settings.

        Raises:
            ConfigurationError: The folder is no curation, or its settings are damaged.
        """
        path = root / SETTINGS
        if not path.is_file():
            raise ConfigurationError(
                f"{root} is no curation: {SETTINGS} is missing", "Begin one: mlrsnet curate start."
            )
        values = read_settings_file(path, MOST_OF_LISTS)
        if values.get("format") != FORMAT:
            raise ConfigurationError(f"{path}: holds no curation of this version", "Begin another one.")
        info: CurationInfo = json_as(values, CurationInfo, str(path), _REMEDY)
        if info.task not in ("scene", "labels"):
            raise ConfigurationError(f"{path}: there is no task {info.task!r}", _REMEDY)
        curation = cls(root, info)
        curation.rules()
        return curation

    def write(self, folder: Path) -> None:
        """Write its settings into a folder that will be its own.

        Raises:
            ConfigurationError: They cannot be written.
        """
        values = asdict(self.info)
        values["categories"] = list(self.info.categories)
        values["first"] = {scene: list(labels) for scene, labels in self.info.first.items()}
        write_yaml(folder / SETTINGS, values, "What is voted on, and by which rules; see mlrsnet curate status.")

    @property
    def task(self) -> Task:
        """What annotators are asked."""
        return "scene" if self.info.task == "scene" else "labels"

    @property
    def log(self) -> Path:
        """The log of events."""
        return self.root / LOG

    def rules(self) -> Rules:
        """Return when an image is sure.

        Raises:
            ConfigurationError: The settings name other rules, or values that cannot be used.
        """
        rules: Rules = json_as(dict(self.info.rules), Rules, str(self.root / SETTINGS), _REMEDY)
        return rules

    def title(self, stage: int) -> str:
        """Return what the project of a stage is called; Label Studio takes 50 characters."""
        return f"{self.info.name} {self.info.id}" + (", second stage" if stage == LAST_STAGE else "")
