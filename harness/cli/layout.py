"""Tables and lines as wide as the terminal: names and numbers stay whole, whatever its width.

A pipe or a file has no width: everything stands on one line there, as with --wide.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click

from harness.errors import printable

F = TypeVar("F", bound=Callable[..., Any])

WIDE = "limitbench.wide"
"""Key under which a command records the option --wide."""

GAP = 2
"""Spaces between columns."""

INDENT = 2
"""Spaces before a continuation of the line above."""

NARROW = 24
"""Least number of columns for a text beside its label; with fewer, it stands below."""

_BOUND = re.compile(r"\[[^\[\]\s]+, [^\[\]\s]+\]|\d (?:%|×|[KMG]iB|s|min|h)(?!\w)")
"""Intervals, and numbers with their units: lines are not broken inside these."""

_KEPT = "\0"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        header: name of the column.
        words: whether it holds words, which stand on the left; numbers stand on the right.
        rank: where there is no room for all columns, those of the lowest rank are left out first;
            a column without a rank is never left out.
    """

    header: str
    words: bool = False
    rank: int | None = None


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        title: line above the table; empty for none.
        columns: from left to right.
        rows: a text for every column.
        head: position of the column that moves to lines of its own, above the rows that share its
            text, where there is no room for it beside them.
        colours: by the position of a column, the colour of each of its texts.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    head: int | None = None
    colours: Mapping[int, Mapping[str, str]] = field(default_factory=dict)


def wide_option(function: F) -> F:
    """Add --wide: lines are not shortened or broken on a terminal."""

    def keep(context: click.Context, _: click.Parameter, given: bool) -> None:
        context.meta[WIDE] = given

    option: Callable[[F], F] = click.option(
        "--wide",
        is_flag=True,
        expose_value=False,
        callback=keep,
        help="Show every column, and break no line, however narrow the terminal.",
    )
    return option(function)


def room(err: bool = False) -> int | None:
    """Return the width of the terminal in columns; None with --wide, or without a terminal.

    Args:
        err: whether the text goes to standard error, which may be a terminal while output is not.
    """
    context = click.get_current_context(silent=True)
    stream = sys.stderr if err else sys.stdout
    if (context is not None and context.meta.get(WIDE)) or not stream.isatty():
        return None
    return shutil.get_terminal_size().columns


def print_table(table: Table) -> None:
    """Print a table, each row on one line where there is room.

    Without room, the head of a row first moves above it; then columns are left out, and a line
    says so; if names are still too long, every text gets a line.
    """
    for line in table_lines(table, room()):
        click.echo(line)


def print_entry(label: str, *parts: str) -> None:
    """Print a label and its texts, which stand below the label where there is no room beside it.

    Args:
        label: the label.
        parts: texts, joined by commas; no line is broken inside a text that fits on a line.
    """
    label, whole = printable(label), [printable(part) for part in parts]
    text = ", ".join(whole)
    width = room()
    if width is None or cell_len(f"{label}: {text}") <= width:
        click.echo(f"{label}: {text}")
        return
    for line in _filled(f"{label}:", width):
        click.echo(line)
    below = width - 2 * INDENT
    for line in _filled(text, below, whole if len(whole) > 1 else ()):
        click.echo(" " * 2 * INDENT + line)


def print_entries(entries: Iterable[tuple[str, str]], indent: int = 0) -> None:
    """Print labels and texts in two columns, or with each text under its label."""
    shown = [(printable(label), printable(text)) for label, text in entries]
    beside = indent + GAP + max((cell_len(label) for label, _ in shown), default=0)
    width = room()
    below = width is not None and width - beside < NARROW
    for label, text in shown:
        start = f"{' ' * indent}{_padded(label, beside - indent)}"
        if below:
            click.echo(start.rstrip())
            print_paragraph(text, indent + 2 * INDENT)
        else:
            first, *rest = _filled(text, None if width is None else width - beside)
            for line in (f"{start}{first}", *(f"{' ' * beside}{line}" for line in rest)):
                click.echo(line.rstrip())


def say(text: str, err: bool = False) -> None:
    """Print a sentence that may hold foreign text, in lines that fit.

    No character of it moves the cursor.

    Args:
        text: the sentence, a single line without a terminal.
        err: whether it goes to standard error.
    """
    for line in _filled(printable(text), room(err)):
        click.echo(line, err=err)


def print_paragraph(text: str, indent: int = 0, start: str = "", longest: int = 0) -> None:
    """Print a text in lines that fit, broken between words.

    Args:
        text: one paragraph.
        indent: spaces before each line.
        start: text before the first line, in place of these spaces.
        longest: largest length of a line on any terminal, as longer prose is hard to read.
    """
    width = room()
    if width is not None:
        width = min(width, longest or width) - indent
    for number, line in enumerate(_filled(printable(text), width)):
        click.echo(((start if number == 0 else "") or " " * indent) + line)


def table_lines(table: Table, width: int | None) -> Iterator[str]:
    """Yield the lines of a table for a terminal of so many columns; see `print_table`."""
    rows = [[printable(text) for text in row] for row in table.rows]
    title = [table.title] if table.title else []
    everything = range(len(table.columns))
    limit = math.inf if width is None else width
    for headers in (_whole_headers, _broken_headers):
        sheet = _Sheet(table, rows, everything, headers(table), 0)
        if sheet.width <= limit:
            yield from (*title, *sheet.header(), *sheet.body(rows))
            return
    shown = [c for c in everything if c != table.head]
    indent = 0 if table.head is None else INDENT
    while (sheet := _Sheet(table, rows, shown, _broken_headers(table), indent)).width > limit:
        ranked = {c: rank for c in shown if (rank := table.columns[c].rank) is not None}
        if not ranked:
            yield from (*title, *_blocks(table, rows))
            return
        shown.remove(min(ranked, key=lambda c: ranked[c]))
    yield from (*title, *sheet.header())
    if table.head is None:
        yield from sheet.body(rows)
    else:
        for head in dict.fromkeys(row[table.head] for row in rows):
            yield head
            yield from sheet.body([row for row in rows if row[table.head] == head])
    if left := [table.columns[c].header for c in everything if c not in (*shown, table.head)]:
        yield from _filled(f"left out: {', '.join(left)}; --wide shows every column", width)


def cell_len(text: str) -> int:
    """Return the number of terminal columns that a text takes."""
    from rich.cells import cell_len as columns_of

    return columns_of(text)


class _Sheet:
    """Columns of a table beside each other, each as wide as its texts."""

    def __init__(
        self,
        table: Table,
        rows: Sequence[Sequence[str]],
        shown: Iterable[int],
        headers: Sequence[Sequence[str]],
        indent: int,
    ) -> None:
        self._table, self._shown, self._indent = table, list(shown), indent
        self._headers = headers
        self._widths = {
            c: max(map(cell_len, (*headers[c], *(row[c] for row in rows)))) for c in self._shown
        }

    @property
    def width(self) -> int:
        """Number of terminal columns that the table takes."""
        return self._indent + sum(self._widths.values()) + GAP * (len(self._shown) - 1)

    def header(self) -> Iterator[str]:
        """Yield the lines of the header; the headers align at the bottom."""
        if not any(column.header for column in self._table.columns):
            return
        height = max(len(self._headers[c]) for c in self._shown)
        for number in range(height):
            lines = {c: self._headers[c] for c in self._shown}
            yield self._line(
                {
                    c: parts[number - height + len(parts)] if number + len(parts) >= height else ""
                    for c, parts in lines.items()
                }
            )

    def body(self, rows: Iterable[Sequence[str]]) -> Iterator[str]:
        """Yield a line for every row."""
        for row in rows:
            yield self._line({c: row[c] for c in self._shown}, self._table.colours)

    def _line(
        self, texts: Mapping[int, str], colours: Mapping[int, Mapping[str, str]] | None = None
    ) -> str:
        parts = []
        for c, text in texts.items():
            space = " " * (self._widths[c] - cell_len(text))
            colour = (colours or {}).get(c, {}).get(text)
            shown = _coloured(text, colour)
            parts.append(shown + space if self._table.columns[c].words else space + shown)
        return (" " * self._indent + (" " * GAP).join(parts)).rstrip()


def _whole_headers(table: Table) -> list[list[str]]:
    return [[column.header] for column in table.columns]


def _broken_headers(table: Table) -> list[list[str]]:
    """Return every header in lines no longer than its longest word, or the column's texts."""
    found = []
    for c, column in enumerate(table.columns):
        texts = (*column.header.split(), *(row[c] for row in table.rows))
        found.append(list(_filled(column.header, max(map(cell_len, texts)))))
    return found


def _blocks(table: Table, rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a line for every text of every row, with its column's name."""
    longest = max(len(column.header) for column in table.columns)
    for row in rows:
        for c, (column, text) in enumerate(zip(table.columns, row, strict=True)):
            colour = table.colours.get(c, {}).get(text)
            shown = _coloured(text, colour)
            yield f"{'- ' if c == 0 else '  '}{column.header:<{longest}}{' ' * GAP}{shown}"


def _filled(text: str, width: int | None, whole: Iterable[str] = ()) -> Iterator[str]:
    """Yield lines of a text, broken at spaces alone; a longer word has a line of its own."""
    if width is None:
        yield text
        return
    line = ""
    kept = _BOUND.sub(lambda found: found[0].replace(" ", _KEPT), text)
    for part in whole:
        if cell_len(part) < width:
            kept = kept.replace(part, part.replace(" ", _KEPT))
    for word in (part.replace(_KEPT, " ") for part in kept.split(" ")):
        if line and cell_len(f"{line} {word}") > width:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield line


def _coloured(text: str, colour: str | None) -> str:
    return text if colour is None or os.environ.get("NO_COLOR") else click.style(text, fg=colour)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))
