"""Where on the Hub something goes, as settings; light to import."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlrsnet_hf.configuration.settings import Settings, changed_settings, setting
from mlrsnet_hf.errors import ConfigurationError

DRY_RUN_FOLDER = Path("mlrsnet-dry-run")
"""Where a dry run builds, unless told otherwise."""


@dataclass(frozen=True, kw_only=True)
class PublishOptions(Settings):
    """What can be said of a repository."""

    private: bool = setting(False, "Make a new repository private.", section="Publishing")
    revision: str | None = setting(
        None, "Branch to write, made from main if it is not there; main if unset.", metavar="BRANCH"
    )
    hub_collection: str | None = setting(
        None, "Collection that the repository joins; none if unset.", former="collection", metavar="SLUG"
    )
    dataset_id: str | None = setting(
        None, "Repository of a run's data, for the card; not named there if unset.", metavar="USER/NAME"
    )
    license: str | None = setting(
        None, "License of a run's weights, by the Hub's name; if unset what timm knows of them.", metavar="NAME"
    )


@dataclass(frozen=True, kw_only=True)
class PublishConfig(PublishOptions):
    """Where a run goes when it has ended."""

    push_to_hub: str | None = setting(
        None, "Repository that receives the model; if unset nothing is published.", metavar="USER/NAME"
    )

    def __post_init__(self) -> None:
        """Refuse options of a repository where there is none."""
        super().__post_init__()
        given = [name for name, value in self.options().items() if value]
        if given and self.push_to_hub is None:
            raise ConfigurationError(f"{given[0]} is of a run that is published", "Give push_to_hub, or leave it out.")

    def options(self) -> dict[str, Any]:
        """Return everything but the repository, as `mlrsnet_hf.publishing.publish.publish_run` takes it."""
        options = self.to_dict()
        del options["push_to_hub"]
        return options


@dataclass(frozen=True, kw_only=True)
class SpaceConfig(Settings):
    """Where the app goes as a Space."""

    publish: str | None = setting(
        None,
        "Space that shows the app to everybody; the app is then not opened here. If unset it is.",
        section="Publishing",
        metavar="USER/NAME",
    )
    embeddings: str | None = setting(
        None, "Embeddings on the Hub of which a Space builds its index; no Search if unset.", metavar="USER/NAME"
    )
    with_images: bool = setting(
        False, "Send small pictures too where nobody knows their license; MLRSNet's go along without."
    )
    private: bool = setting(False, "Make a new Space private.")
    dry_run: bool = setting(False, "Build the Space, say where it is, push nothing.")
    output_dir: Path = setting(DRY_RUN_FOLDER, "Folder in which a dry run builds, in place of an earlier one.")

    def __post_init__(self) -> None:
        """Refuse options of a Space where there is none."""
        super().__post_init__()
        given = sorted(changed_settings(self) - {"publish"})
        if given and self.publish is None:
            raise ConfigurationError(f"{given[0]} is of an app that is published", "Give publish, or leave it out.")
