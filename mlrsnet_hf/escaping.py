"""Text that others chose, made safe for the place where it is printed: one function for each place.

A label, a file or a model may be called whatever its giver liked: a terminal's commands, Markdown, a formula. HTML has
no function here: jinja escapes what the pages show (`reports.pages`).
"""

import re
import reprlib

MOST = 2000
"""Characters of a message; what is longer is cut in its middle."""
_JOINERS = "\u200c\u200d"
"""They print nothing, but Persian and Hindi words, and emoji, are spelled with them."""

_FORMULA = re.compile("[=+\\-@\uff1d\uff0b\uff0d\uff20\t\r\n]")
_LINE_ENDS = re.compile("\\s*[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+\\s*")
_MARKDOWN = re.compile(r"[\\`*\[\]|~$#]|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_])|(?<=[a-z]):(?=//)")
_values = reprlib.Repr()
_values.maxstring = _values.maxother = _values.maxlong = 200
_values.maxlist = _values.maxtuple = _values.maxdict = 12


def on_one_line(text: str, most: int = MOST) -> str:
    r"""Return text of which a terminal shows every character and obeys none: line ends and direction marks as well.

    Examples:
        >>> print(on_one_line("\x1b[31mred\n\u202edlog"))
        \x1b[31mred\n\u202edlog
    """
    text = shortened(text, most)
    if not text.isprintable():
        text = "".join(sign if sign.isprintable() or sign in _JOINERS else _written(sign) for sign in text)
    return shortened(text, most)


def for_terminal(text: str, most: int | None = None) -> str:
    """Return text as `on_one_line` does, in the lines that it has."""
    lines = "\n".join(on_one_line(line, len(line) * 10) for line in text.split("\n"))
    return lines if most is None else shortened(lines, most)


def shortened(text: str, most: int = MOST) -> str:
    """Return text of at most so many characters, cut in its middle.

    Examples:
        >>> shortened("abcdefghijklmnop", 11)
        'abcde ... p'
    """
    tail = most // 4 - 1
    return text if len(text) <= most else f"{text[: most - 5 - tail]} ... {text[len(text) - tail :]}"


def quoted(value: object) -> str:
    """Return a value that cannot be used as an error shows it: as Python writes it, but short.

    Examples:
        >>> quoted("sea"), quoted([0] * 100)
        ("'sea'", '[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...]')
    """
    try:
        return shortened(_values.repr(value), 200)
    except ValueError:  # more digits than Python writes
        return "a number of very many digits"


def for_markdown(text: str) -> str:
    r"""Return text as a part of a sentence, a heading or a table's cell, that is no markup and no HTML.

    Examples:
        >>> print(for_markdown("harbor_port <b>\n# a|b"))
        harbor_port &lt;b&gt; \# a\|b
    """
    plain = on_one_line(_LINE_ENDS.sub(" ", text))
    escaped = _MARKDOWN.sub(lambda mark: f"\\{mark[0]}", plain).replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"^(\d*)([-+.)])(?=\s)", r"\1\\\2", escaped)  # no list where it begins a line


def markdown_code(text: str) -> str:
    """Return text as code in a sentence or a cell; as `for_markdown` does if it holds what would end it there."""
    return for_markdown(text) if re.search(r"[`|<]", text) or not text.isprintable() or not text else f"`{text}`"


def for_csv(cell: object) -> object:
    """Return a cell that no spreadsheet takes for a formula; numbers stay numbers.

    Examples:
        >>> for_csv("=1+1"), for_csv("-0.5"), for_csv(-0.5), for_csv("sea")
        ("'=1+1", '-0.5', -0.5, 'sea')
    """
    if not isinstance(cell, str) or not _FORMULA.match(cell) or re.fullmatch(r"[+-]?[\d.]+", cell):
        return cell
    return f"'{cell}"


def from_csv(cell: str) -> str:
    """Return the text of which `for_csv` made a cell.

    Examples:
        >>> from_csv("'-park"), from_csv("-0.5"), from_csv("'sea'")
        ('-park', '-0.5', "'sea'")
    """
    return cell[1:] if cell.startswith("'") and for_csv(cell[1:]) == cell else cell


def for_file_name(text: str) -> str:
    """Return a name of letters, digits and _ alone, that any system takes for one of a file.

    Examples:
        >>> for_file_name("query+database"), for_file_name("../..")
        ('query_database', 'unnamed')
    """
    return re.sub(r"\W+", "_", text)[:100].strip("_") or "unnamed"


def _written(sign: str) -> str:
    """Return a character as Python's text would write it."""
    return sign.encode("unicode_escape").decode()
