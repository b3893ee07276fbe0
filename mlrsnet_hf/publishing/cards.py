"""Cards from the templates in templates/: Markdown under a YAML header.

What a template shows is text, and escaped, but for `Markdown`: tables, code, what a template marks by `as_is`.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from mlrsnet_hf.escaping import for_markdown, markdown_code, on_one_line

CARD = "README.md"


class Markdown(str):
    """Text that is Markdown already, and stands in a card as it is."""


def render(template: str, **values: Any) -> str:  # noqa: ANN401 - what a template shows
    """Fill a template; where parts of it are left out, one empty line stays."""
    return re.sub(r"\n{3,}", "\n\n", _environment().get_template(template).render(values)).rstrip() + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[object]], left: int = 1) -> Markdown:
    """Return a Markdown table whose first `left` columns are text and the others numbers."""
    lines = [header, ["---"] * left + ["---:"] * (len(header) - left), *rows]
    return Markdown("\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines))


def code(text: str) -> Markdown:
    """Return text as code in a sentence or a cell."""
    return Markdown(markdown_code(text))


def front_matter(fields: Mapping[str, Any]) -> str:
    """Return the YAML of a card's header."""
    return str(yaml.safe_dump(_on_one_line(dict(fields)), sort_keys=False, allow_unicode=True, width=120)).rstrip()


def number(value: float | None, digits: int = 4) -> str:
    """Return a number as tables show it; nothing for one that is not defined."""
    return "" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def dataset_type(name: str) -> str:
    """Return a dataset's name as the model-index takes it for one that has no repository: in the form of an id."""
    return re.sub(r"[^\w.]+", "-", on_one_line(name, 200).lower()).strip("-.") or "dataset"


def shortened(names: Sequence[str], listed: int) -> str:
    """Return names in a sentence, those beyond the first ones counted."""
    more = f" and {len(names) - listed:,} more" if len(names) > listed else ""
    return ", ".join(names[:listed]) + more


def _cell(value: object) -> str:
    return str(_escaped(value if isinstance(value, str) else str(value)))


def _on_one_line(value: Any) -> Any:  # noqa: ANN401 - what YAML holds
    """Return the fields of a header with every character of their text visible."""
    if isinstance(value, dict):
        return {name: _on_one_line(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_on_one_line(part) for part in value]
    return on_one_line(value) if isinstance(value, str) else value


def _escaped(value: object) -> object:
    """Return what a template shows, text so that it is no markup."""
    return for_markdown(value) if isinstance(value, str) and not isinstance(value, Markdown) else value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mlrsnet_hf.publishing"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_escaped,
    )
    environment.globals |= {"table": table, "shortened": shortened}
    environment.filters |= {"thousands": "{:,}".format, "code": code, "as_is": Markdown}
    return environment
