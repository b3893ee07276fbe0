"""Settings as a YAML file: one flat list of names and values, of the run and of its data.

A file may come from anybody: what YAML knows beyond that (tags, anchors, deep nesting) is refused before it is built.
"""

# ruff: noqa: ANN401 - any dataclass of settings
import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mlrsnet_hf.configuration.settings import Settings
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import quoted, shortened
from mlrsnet_hf.files import whole_file

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*([eE][-+]?\d+)?|\.\d+([eE][-+]?\d+)?)$")
_SCALARS = {
    "null": (re.compile(r"(~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    "bool": (re.compile(r"(true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    "int": (re.compile(r"[-+]?\d+$"), list("-+0123456789")),
    "float": (_NUMBER, list("-+.0123456789")),
}
"""Plain values as YAML 1.2 reads them: `no` and `off` are words, and 1e-3 is a number."""
_MOST = 2**17
"""Characters of a file of settings."""
MOST_OF_LISTS = 2**24
"""Characters of a file of very many names, such as the labels of thousands of scenes."""
_DEEPEST = 8


class _Loader(yaml.SafeLoader):
    """YAML's safe subset, in which no name may stand twice."""

    yaml_implicit_resolvers: dict = {}  # noqa: RUF012 - as the base class has it

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _fault("a name is text", key.start_mark)
            if key.value in seen:
                raise _fault(f"{quoted(key.value)} stands twice", node.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_int(self, node: yaml.ScalarNode) -> int:
        try:
            return int(self.construct_scalar(node))
        except ValueError:  # more digits than Python reads
            raise _fault("a number of too many digits", node.start_mark) from None


class _Dumper(yaml.SafeDumper):
    """Quotes the words that the loader, or a reader of YAML 1.1, would take for something else."""


for _tag, (_pattern, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_int)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, _SCALARS["float"][1])


def read_settings_file(path: Path, most: int = _MOST) -> dict[str, Any]:
    """Return the plain values of a YAML file, by name.

    Args:
        path: The file.
        most: Characters that it may have.

    Raises:
        ConfigurationError: The file cannot be read, is too large, or is not a list of names and values.
    """
    try:
        with path.expanduser().open(encoding="utf-8") as file:
            text = file.read(most + 1)
        if len(text) > most:
            raise ConfigurationError(
                f"settings file {path} cannot be read: it has more than {most:,} characters", "Give a shorter one."
            )
        _refuse_more_than_settings(text)
        content = yaml.load(text, _Loader)
    except OSError as error:
        raise ConfigurationError(
            f"settings file {path} cannot be read: {error.strerror}", "Give the path of a YAML file."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"settings file {path} is not YAML: {_one_line(error)}",
            "Write one 'name: value' a line; text with a colon in it belongs in quotation marks.",
        ) from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ConfigurationError(f"settings file {path} holds no names with values", "Write one 'name: value' a line.")
    return content


def _refuse_more_than_settings(text: str) -> None:
    """Go through what a text holds without building it, and refuse what no file of settings has."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise _fault("lists in lists, too deep for settings", event.start_mark)
        if getattr(event, "anchor", None):
            raise _fault("an anchor or alias (& or *), which settings have not", event.start_mark)
        if getattr(event, "tag", None):
            raise _fault(f"the tag {quoted(event.tag)}, which settings have not", event.start_mark)


def _fault(found: str, place: yaml.Mark) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, found, place)


def write_settings(path: Path, *settings: Settings | None, **values: Any) -> None:
    """Write every setting of a run, so that `--config` takes them up again; the file appears when it is whole.

    Args:
        path: The file.
        *settings: Of the run; None is left out.
        **values: Others, such as the recipe's name.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    lines = ["# Every setting of this run; give the file back as --config.\n"]
    lines += [yaml_text({name: value}) for name, value in values.items()]
    for part in settings:
        if part is None:
            continue
        written = part.to_dict()
        for field in dataclasses.fields(part):  # type: ignore[arg-type] # its children are dataclasses
            lines += [f"\n# {field.metadata['section']}\n"] * bool(field.metadata["section"])
            lines.append(yaml_text({field.name: written[field.name]}))
    with whole_file(path) as partial:
        partial.write_text("".join(lines), encoding="utf-8")


def yaml_text(values: Mapping[str, Any]) -> str:
    """Return names and values as lines of YAML that `read_settings_file` reads back."""
    return yaml.dump(
        dict(values), Dumper=_Dumper, default_flow_style=False, allow_unicode=True, sort_keys=False, width=1000
    )


def write_yaml(path: Path, values: Mapping[str, Any], comment: str) -> None:
    """Write plain values, names, lists and mappings, so that `read_settings_file` gives them back.

    Args:
        path: The file; it appears when it is whole.
        values: What it holds.
        comment: Its first line.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    with whole_file(path) as partial:
        partial.write_text(f"# {comment}\n{yaml_text(values)}", encoding="utf-8")


def _one_line(error: Exception) -> str:
    return shortened(" ".join(str(error).replace('in "<unicode string>", ', "in ").split()), 500)
