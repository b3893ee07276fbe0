"""Tables as LaTeX with booktabs, for papers: a file for each, and a document that holds all."""

import re
from collections.abc import Sequence

from mlrsnet_hf.benchmark.report.tables import Cell, Column, Table
from mlrsnet_hf.escaping import on_one_line

_WIDE = 6
"""Columns beyond which a table is made as wide as the text."""
_BROKEN = 40
"""Characters of a cell beyond which its column is broken into lines."""
_LONG = 45
"""Rows beyond which a table is parted over pages."""
_SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "±": r"$\pm$",
    "×": r"$\times$",  # noqa: RUF001 - as it stands in tables
    "−": r"$-$",  # noqa: RUF001
    "–": "--",  # noqa: RUF001
    "—": "---",
    "“": "``",
    "”": "''",
    "’": "'",  # noqa: RUF001
}
PREAMBLE = r"""\documentclass[a4paper,10pt]{article}
\usepackage[utf8]{inputenc}
\usepackage[margin=2cm]{geometry}
\usepackage{booktabs}
\usepackage{graphicx}
\usepackage{longtable}
"""


def latex_text(text: str) -> str:
    r"""Return text as LaTeX prints it: none of it is a command, and what the usual fonts lack is written as its code.

    Examples:
        >>> print(latex_text("harbor&port_1 0.5 ± 0.1"))
        harbor\&port\_1 0.5 $\pm$ 0.1
    """
    return "".join(_SIGNS.get(sign) or _printed(sign) for sign in on_one_line(text))


def latex_table(table: Table) -> str:
    """Return a table as LaTeX, which needs the packages booktabs, graphicx and longtable."""
    long = len(table.rows) > _LONG
    wide = len(table.columns) > _WIDE
    kinds = "".join(_kind(table, place) for place in range(len(table.columns)))
    of_paper = re.match(r"((?:Table|Fig\.) \d+)[^.]*\. ", table.title)  # a paper numbers its own tables
    title = table.title if of_paper is None else f"{table.title[of_paper.end() :]} ({of_paper[1]} of Qi et al., 2020)"
    caption = rf"\caption{{{latex_text(title)}.}}\label{{tab:{re.sub(r'[^a-z0-9]+', '-', table.name.lower())}}}"
    notes = [rf"\par\smallskip\footnotesize {latex_text(note)}" for note in table.notes]
    if long:
        size = r"\scriptsize\setlength{\tabcolsep}{1pt}" if wide else r"\footnotesize"
        begin = [rf"{{{size}", rf"\begin{{longtable}}{{{kinds}}}", rf"{caption}\\"]
        head = [r"\toprule", *_header(table, upright=not wide), r"\midrule"]
        body = [*head, r"\endfirsthead", *head, r"\endhead", r"\bottomrule", r"\endfoot", *_body(table)]
        lines = [*begin, *body, r"\end{longtable}", *notes, "}"]
    else:
        inner = [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", *_header(table), r"\midrule", *_body(table)]
        inner += [r"\bottomrule", r"\end{tabular}"]
        fit = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
        inner = [fit, *inner[:-1], inner[-1] + "}"]
        lines = [r"\begin{table}[htbp]", r"\centering", caption, *inner, *notes, r"\end{table}"]
    return "\n".join(lines) + "\n"


def latex_document(names: Sequence[str]) -> str:
    """Return a document that shows tables of files `<name>.tex` beside it."""
    inputs = "\n".join(rf"\input{{{name}}}" for name in names)
    return f"{PREAMBLE}\\begin{{document}}\n{inputs}\n\\end{{document}}\n"


def _kind(table: Table, place: int) -> str:
    """Return LaTeX's letters for a column."""
    if not table.columns[place].is_text:
        return "r"
    longest = max((len(row[place].text) for row in table.rows), default=0)
    return r"p{0.55\linewidth}" if longest > _BROKEN else "l"


def _header(table: Table, upright: bool = True) -> list[str]:
    lines = []
    if spans := table.spans():
        place, titles, rules = 1, [], []
        for title, width in spans:
            titles.append(rf"\multicolumn{{{width}}}{{c}}{{{latex_text(title)}}}" if title else "" + "&" * (width - 1))
            rules += [rf"\cmidrule(lr){{{place}-{place + width - 1}}}"] if title else []
            place += width
        lines = [" & ".join(titles) + r" \\", " ".join(rules)]
    return [*lines, " & ".join(_title(column, upright) for column in table.columns) + r" \\"]


def _title(column: Column, upright: bool) -> str:
    text = latex_text(column.title)
    return text if upright or column.is_text else rf"\rotatebox{{90}}{{{text}}}"


def _body(table: Table) -> list[str]:
    lines = []
    for place, row in enumerate(table.rows):
        if title := table.sections.get(place):
            lines += [r"\midrule"] if place else []
            lines.append(rf"\multicolumn{{{len(table.columns)}}}{{l}}{{\textit{{{latex_text(title)}}}}} \\")
        cells = [_cell(cell, column) for cell, column in zip(row, table.columns, strict=True)]
        lines.append(" & ".join(cells) + r" \\")
    return lines


def _cell(cell: Cell, column: Column) -> str:
    if cell.look == "gap" and not column.is_text:  # reasons stand in the table of failures, and would make it wide
        return rf"\textit{{{latex_text(cell.text.partition(':')[0])}}}"
    text = latex_text(cell.text)
    if cell.is_number and text.startswith("-"):
        text = f"$-${text[1:]}"
    if cell.look == "best":
        return rf"\textbf{{{text}}}"
    return rf"\textit{{{text}}}" if cell.look == "gap" else text


def _printed(sign: str) -> str:
    """Return a character that the usual fonts have, or its number."""
    return sign if sign.isascii() or sign in "äöüÄÖÜßéèêáàâóòôíìîúùûñçåøæœ" else f"U+{ord(sign):04X}"
