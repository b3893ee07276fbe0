"""The settings of a run from its three sources: the recipe, over it a YAML file, over that the command line."""

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from mlrsnet_hf.configuration.fields import (
    check_types,
    expected_value,
    setting,
    setting_types,
    typed_value,
    value_from_text,
)
from mlrsnet_hf.configuration.yaml_file import read_settings_file
from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.models.paper_networks import PAPER_NETWORKS
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.recipes import DEFAULT_RECIPE, RECIPES, find_recipe


@dataclass(frozen=True, kw_only=True)
class RecipeChoice:
    """What the other settings start from."""

    recipe: str | None = setting(DEFAULT_RECIPE, f"Where all settings start from: {', '.join(RECIPES)}.", "Recipe")
    network: str | None = setting(None, f"With recipe paper, one of its networks: {', '.join(PAPER_NETWORKS)}.")

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        check_types(self)
        if self.network is not None and self.recipe != "paper":
            raise ConfigurationError(
                f"network={self.network!r} goes with recipe paper alone", "Give model, or --recipe paper."
            )


@dataclass(frozen=True, kw_only=True)
class PublishConfig:
    """Where the run goes when it has ended."""

    push_to_hub: str | None = setting(None, "Repository on the Hub, USER/NAME, that receives the model.", "Publishing")
    private: bool = setting(False, "The repository is made a private one.")
    revision: str | None = setting(
        None, "Its branch that is written, made from main if it is not there; main if unset."
    )
    collection: str | None = setting(None, "Slug of a collection on the Hub that the repository joins.")
    dataset_id: str | None = setting(None, "Repository of the data on the Hub, for the card and the listed results.")
    license: str | None = setting(None, "License of the weights, by the Hub's name, where timm does not know it.")

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        check_types(self)
        given = [field.name for field in dataclasses.fields(self)[1:] if getattr(self, field.name)]
        if given and self.push_to_hub is None:
            raise ConfigurationError(f"{given[0]} is of a run that is published", "Give push_to_hub, or leave it out.")

    def options(self) -> dict[str, Any]:
        """Return everything but the repository, as `mlrsnet_hf.publishing.publish.publish_run` takes it."""
        options = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)[1:]}
        return options | {"license": options.pop("license")}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that a command line and its YAML file say."""

    recipe: str | None
    training: TrainingConfig
    data: DataConfig
    publish: PublishConfig


_PARTS: tuple[type, ...] = (RecipeChoice, DataConfig, TrainingConfig, PublishConfig)
_TYPES: dict[str, Any] = {name: kind for part in _PARTS for name, kind in setting_types(part).items()}
_CONFIG = "config"
_FORMER = {"labels": "label_version"}


def parse_settings(arguments: Sequence[str] | None = None, description: str | None = None) -> Settings:
    """Return the settings that a command line asks for.

    Args:
        arguments: Of the command line; by default those of the process.
        description: What `--help` says of the program.

    Raises:
        UnknownNameError: An option, or a name in the YAML file, is not known.
        ConfigurationError: A value cannot be used.
    """
    given = _read_arguments(_parser(description), arguments)
    path = given.pop(_CONFIG, None)
    from_file = _read_file(Path(path)) if path is not None else {}
    return make_settings(from_file | {name: value_from_text(name, _TYPES[name], given[name]) for name in given})


def make_settings(values: Mapping[str, Any]) -> Settings:
    """Return the recipe's settings with some values changed.

    Args:
        values: Of any setting, by name; `recipe` (by default the default one) and `network` as well.

    Raises:
        UnknownNameError: A name is not known.
        ConfigurationError: A value cannot be used.
    """
    for name in values:
        _require_known(name, "")
    choice = RecipeChoice(**_part(RecipeChoice, values))
    training = _part(TrainingConfig, values)
    if choice.network is not None:
        training["network"] = choice.network
    recipe = find_recipe(choice.recipe) if choice.recipe is not None else TrainingConfig
    return Settings(
        recipe=choice.recipe,
        training=recipe(**training),
        data=DataConfig(**_part(DataConfig, values)),
        publish=PublishConfig(**_part(PublishConfig, values)),
    )


def _part(config: type, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in setting_types(config) if name in values}


def _read_file(path: Path) -> dict[str, Any]:
    values = {_FORMER.get(name, name): value for name, value in read_settings_file(path).items()}
    for name, value in values.items():
        _require_known(name, f"settings file {path}: ")
        typed_value(f"settings file {path}: {name}", _TYPES[name], value)
    return values


def _require_known(name: str, where: str) -> None:
    if name not in _TYPES:
        raise UnknownNameError(f"{where}there is no setting {name!r}", _near(name, list(_TYPES)))


def _near(name: str, known: Sequence[str]) -> str:
    """Return a remedy with near names; the whole list fills a screen."""
    remedy = name_alternatives(name, known)
    return remedy if remedy.startswith("Did you mean") else "See --help for the names."


class _Parser(argparse.ArgumentParser):
    """Leaves the end of the program to `exit_on_error`, without the usage of some eighty options."""

    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(message, "See --help for the options.")


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = _Parser(
        description=description,
        usage="%(prog)s [--config FILE] [--recipe NAME] [options]",
        epilog="A setting of the command line counts before one of the file, and that before the recipe's. In the file "
        "the names are written with underscores: 'learning_rate: 0.001'. The defaults shown are those of the recipe "
        f"{DEFAULT_RECIPE}; 'none' unsets what can be unset.",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument(f"--{_CONFIG}", metavar="FILE", help="YAML file of settings, such as a run's settings.yaml")
    for part in _PARTS:
        group: argparse._ActionsContainer = parser
        for field in dataclasses.fields(part):
            if field.metadata["section"]:
                group = parser.add_argument_group(field.metadata["section"])
            _add_option(group, field, setting_types(part)[field.name])
    return parser


def _add_option(group: argparse._ActionsContainer, field: dataclasses.Field, kind: Any) -> None:  # noqa: ANN401
    text = f"{field.metadata['help']} [{_shown(field.default)}]".replace("%", "%%")
    if kind is bool:
        group.add_argument(_option(field.name), action=argparse.BooleanOptionalAction, help=text)
    elif isinstance(field.default, tuple):
        group.add_argument(_option(field.name), nargs="*", metavar="NAME", help=text)
    else:
        metavar = {"a whole number": "N", "a number": "X"}.get(expected_value(kind).removesuffix(" or none"), "TEXT")
        group.add_argument(_option(field.name), metavar=metavar, help=text)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _shown(default: Any) -> str:  # noqa: ANN401 - any setting
    if default is None:
        return "unset"
    if isinstance(default, bool):
        return "yes" if default else "no"
    return " ".join(default) if isinstance(default, tuple) else str(default)


def _read_arguments(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> dict[str, Any]:
    """Return the options that are given, as text; their names may be written with underscores, as in files."""
    words = sys.argv[1:] if arguments is None else arguments
    given, unknown = parser.parse_known_args([_hyphenated(word) for word in words])
    if unknown:
        name = unknown[0].partition("=")[0]
        options = [_option(known) for known in (_CONFIG, *_TYPES)]
        options += [_option(f"no-{known}") for known, kind in _TYPES.items() if kind is bool]
        raise UnknownNameError(f"there is no option {name!r}", _near(name, options))
    return vars(given)


def _hyphenated(argument: str) -> str:
    name, equals, value = argument.partition("=")
    if not name.startswith("--"):
        return argument
    name = name[2:].replace("-", "_")
    return f"{_option(_FORMER.get(name, name))}{equals}{value}"
