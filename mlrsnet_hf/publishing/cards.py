"""Cards from the templates in templates/: Markdown under a YAML header."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

CARD = "README.md"


def render(template: str, **values: Any) -> str:  # noqa: ANN401 - what a template shows
    """Fill a template; where parts of it are left out, one empty line stays."""
    return re.sub(r"\n{3,}", "\n\n", _environment().get_template(template).render(values)).rstrip() + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[object]], left: int = 1) -> str:
    """Return a Markdown table whose first `left` columns are text and the others numbers."""
    lines = [header, ["---"] * left + ["---:"] * (len(header) - left), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def front_matter(fields: Mapping[str, Any]) -> str:
    """Return the YAML of a card's header."""
    return str(yaml.safe_dump(dict(fields), sort_keys=False, allow_unicode=True, width=120)).rstrip()


def number(value: float | None, digits: int = 4) -> str:
    """Return a number as tables show it; nothing for one that is not defined."""
    return "" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def shortened(names: Sequence[str], listed: int) -> str:
    """Return names in a sentence, those beyond the first ones counted."""
    more = f" and {len(names) - listed:,} more" if len(names) > listed else ""
    return ", ".join(names[:listed]) + more


def _cell(value: object) -> str:
    """Return text so that no sign of it ends the cell or is taken for HTML."""
    return " ".join(str(value).split()).replace("|", r"\|").replace("<", "&lt;")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mlrsnet_hf.publishing"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {"table": table, "shortened": shortened}
    environment.filters["thousands"] = "{:,}".format
    return environment
