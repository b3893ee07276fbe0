"""The configurations of `load_dataset("mlrsnet")` and their options."""

import dataclasses
import inspect
import numbers
from collections.abc import Mapping
from typing import Any

from datasets import BuilderConfig, Features, GeneratorBasedBuilder

from mlrsnet_hf.dataset.near_duplicates.groups import GROUPS_VERSION
from mlrsnet_hf.dataset.registration import NAME
from mlrsnet_hf.dataset.splits.protocols import CUSTOM, DEFAULT_PROTOCOL, GROUPED_PROTOCOLS, PROTOCOLS
from mlrsnet_hf.dataset.splits.split_files import content_hash
from mlrsnet_hf.dataset.splits.split_lists import SplitFiles
from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.release import LabelVersion
from mlrsnet_hf.release.repair import require_label_version

DEMO = "demo"
WHOLE = "all"
CONFIG_NAMES = (*PROTOCOLS, DEMO, CUSTOM)


@dataclasses.dataclass
class MLRSNetConfig(BuilderConfig):
    """Which images go where."""

    seed: int = 0
    """Draws other splits; the paper repeats five times, here 0 to 4."""
    label_version: LabelVersion | None = None
    """`verified` repairs the published faults, `as-published` takes the labels as they are; by default `verified` for a
    copy that is MLRSNet or a part of it, else `as-published`."""
    split_file: SplitFiles | None = None
    """Image names and their splits, for the configuration `custom`: a table with a column of splits, or a list for each
    split (a folder, a pattern, several files, or a mapping); `splits.split_lists` describes the forms."""
    protocol: str | None = None
    """How the synthetic scenes of the configuration `demo` are split; by default as `ratio20`."""

    @property
    def drawn_by(self) -> str:
        """Name of the protocol."""
        return (self.protocol or DEFAULT_PROTOCOL) if self.name == DEMO else self.name

    def create_config_id(self, config_kwargs: dict[str, Any], custom_features: Features | None = None) -> str:
        """Return the name of the configuration's folder in the cache; what the source decides stands in its hash.

        Raises:
            MLRSNetError: An option has a value that cannot be used.
        """
        self._check()
        # "labels" names the label version in the folders of earlier caches, which stay in use.
        options: dict[str, Any] = {"protocol": self.drawn_by} if self.name == DEMO else {"labels": self.label_version}
        if self.split_file:
            options["split_file"] = content_hash(self.split_file)
        elif self.drawn_by != WHOLE:
            options["seed"] = self.seed
        if self.drawn_by in GROUPED_PROTOCOLS:
            options["groups"] = GROUPS_VERSION
        return str(super().create_config_id(options, custom_features))

    def _check(self) -> None:
        require_label_version(self.label_version)
        if self.drawn_by not in (*PROTOCOLS, CUSTOM):
            raise UnknownNameError(
                f"protocol {self.drawn_by!r} is not known", name_alternatives(self.drawn_by, PROTOCOLS)
            )
        if not isinstance(self.seed, numbers.Integral) or isinstance(self.seed, bool):
            raise ConfigurationError(f"seed={self.seed!r} is not a whole number", "Pass an integer, such as 0.")
        if self.protocol and self.name != DEMO:
            raise ConfigurationError(
                f"protocol={self.protocol!r} goes with the configuration 'demo' alone",
                f'The configuration names the protocol: load_dataset("{NAME}", "{self.protocol}").',
            )
        if self.data_dir and self.name == DEMO:
            raise ConfigurationError(
                "the configuration 'demo' takes no data_dir, its scenes are synthetic", "Leave out one of the two."
            )
        if bool(self.split_file) != (self.name == CUSTOM):
            raise ConfigurationError(
                f"split_file={self.split_file!r} with the configuration {self.name!r}",
                "Pass split_file with the configuration 'custom' or with none, and with no other.",
            )


def refuse_unknown(config_name: str, options: Mapping[str, Any]) -> None:
    """Refuse a configuration or an option that there is not, and name near ones."""
    if config_name not in CONFIG_NAMES:
        raise UnknownNameError(
            f"configuration {config_name!r} is not known", name_alternatives(config_name, CONFIG_NAMES)
        )
    ours = [field.name for field in dataclasses.fields(MLRSNetConfig)]
    for name in options:
        if name not in (*ours, *inspect.signature(GeneratorBasedBuilder.__init__).parameters):
            raise ConfigurationError(f'load_dataset("{NAME}") has no option {name!r}', name_alternatives(name, ours))
