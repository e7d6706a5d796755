"""Tables for other programs, CSV and Markdown: a text in them is text, whoever wrote it.

Names of experiments and messages of cells may come from strangers. A spreadsheet takes a cell
that begins with ``=`` for a formula, and a Markdown viewer fetches images and follows links.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.errors import printable

FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""First characters that a spreadsheet takes for a formula, or strips to find one."""

_INTERVAL = r"\[[-\d.]+, [-\d.]+\](?![(\[:])"
_PUNCTUATION = re.compile(rf"{_INTERVAL}|[\\`*_\[\]|~$]")
"""Characters with a meaning in Markdown; an interval is no link, and stays."""

_BLOCK = re.compile(r"^(\d*)(?:(?<!\d)([#=:>])|([-+])(?=[\s+-]|$)|(?<=\d)([.)])(?=\s|$))")
"""Beginnings of a heading, a list, a quotation, or a line under a heading."""

_SITE = re.compile(r"\b(www)\.", re.IGNORECASE)


class Markdown(str):
    """A text that is Markdown already."""

    __slots__ = ()


def csv_text(text: str) -> str:
    """Return a text as a cell of a CSV file: on one line, and no formula of a spreadsheet.

    As OWASP advises on CSV injection, a single quote precedes text that begins like a formula.
    """
    plain = printable(text)
    return f"'{plain}" if plain.lstrip().startswith(FORMULA) else plain


def csv_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV with a column for every key of any row.

    Numbers are in full precision. Every text is in quotes: a spreadsheet that parts cells at
    semicolons would find formulas inside of one.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines: list[list[Any]] = [names, *([row.get(name) for name in names] for row in rows)]
    return "".join(f"{','.join(map(_csv_cell, line))}\n" for line in lines)


def flat_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of JSON with a column for every number in its objects and intervals."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            for key, inner in value.items():
                flat |= flat_row({f"{name}/{key}": inner})
        elif name in ("widths", "dropped_widths"):
            flat[name] = " ".join(map(str, value))
        elif isinstance(value, tuple | list):
            flat |= {f"{name}/low": value[0], f"{name}/high": value[1]}
        else:
            flat[name] = value
    return flat


def markdown_text(text: str) -> str:
    """Return a text as Markdown that shows it: no link, image, HTML, code or column of its own."""
    if isinstance(text, Markdown):
        return text
    shown = printable(text).strip().replace("&", "&amp;").replace("<", "&lt;")
    shown = _PUNCTUATION.sub(lambda m: m[0] if len(m[0]) > 1 else f"\\{m[0]}", shown)
    shown = _BLOCK.sub(lambda m: f"{m[1]}\\{m[2] or m[3] or m[4]}", shown)
    # viewers make links of bare addresses too: of a site, and around an @
    return _SITE.sub(r"\1\\.", shown.replace("://", "\\://")).replace("@", "@<!-- -->")


def bold(text: str) -> Markdown:
    """Return a text in bold."""
    return Markdown(f"**{markdown_text(text)}**")


def markdown_table(headers: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown; cells that are `Markdown` already are not escaped."""
    every = [[*map(markdown_text, line)] for line in (headers, *lines)]
    every.insert(1, ["---"] * len(headers))
    return "\n".join("| " + " | ".join(line) + " |" for line in every)


def markdown_list(lines: Iterable[str]) -> str:
    """Return texts as a list in Markdown."""
    return "\n".join(f"- {markdown_text(line)}" for line in lines)


def percent_cell(share: float) -> str:
    """Return a share in percent, to a hundredth, as every table has it."""
    return f"{100 * share:.2f} %"


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    quoted = csv_text(str(value)).replace('"', '""')
    return f'"{quoted}"'
