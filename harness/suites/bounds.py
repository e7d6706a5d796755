"""Bounds on a suite file.

The file may come from a stranger, and a kilobyte could cause hours of work before a cell is run.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from harness.errors import SuiteError

FILE = 2**20
"""Largest number of bytes of a suite file."""

DEPTH = 16
"""Largest depth of nested tables and lists."""

NAME = 200
"""Largest number of characters of a name or key."""

TEXT = 4096
"""Largest number of characters of any other text, such as a folder's path."""

ITEMS = 10_000
"""Largest number of entries of a table or list."""

EXPERIMENTS = 10_000
"""Largest number of experiments of a suite, where each point of a sweep counts."""

CELLS = 100_000
"""Largest number of networks and theories of a suite together."""

Place = tuple[int | str, ...]
"""Keys and positions that lead to a value of a file."""

_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+"""
_DOTTED = re.compile(rf"(?<![\w-]){_PART}(?:\.[ \t]*+{_PART}){{{2 * DEPTH}}}")


def refuse_long_keys(text: str) -> None:
    """Refuse dotted keys of very many parts: a TOML parser's memory grows as their square.

    Raises:
        SuiteError: if there is one, with its line.
    """
    if found := _DOTTED.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise SuiteError(
            f"line {line}: a dotted name of more than {2 * DEPTH} parts; at most {DEPTH} tables"
            " within each other"
        )


def excess(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Yield each value nested too deeply, too long, unprintable, or beyond 64 bits.

    Args:
        value: content of a TOML file, whole or in part.
        place: its place in the file.

    Yields:
        The place of the value, and a line for it.
    """
    where = ".".join(map(str, place))
    if isinstance(value, str):
        if line := _excess_of_text(value, where, TEXT):
            yield place, line
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            yield place, f"{where} = {shortened(value)}: a whole number of at most 64 bits"
    elif isinstance(value, Mapping | list):
        if len(place) > DEPTH:
            yield place, f"{where}: nested too deeply; at most {DEPTH} tables or lists"
            return
        if len(value) > ITEMS:
            yield place, f"{where or 'file'}: {len(value):,} entries; at most {ITEMS:,}"
            return
        entries = value.items() if isinstance(value, Mapping) else enumerate(value)
        for name, inner in entries:
            named = f"{where}: name" if where else "name"
            if isinstance(name, str) and (line := _excess_of_text(name, named, NAME)):
                yield (*place, name), line  # its content has no printable path
            else:
                yield from excess(inner, (*place, name))


def refuse_sweep(points: list[int], where: str) -> None:
    """Refuse a sweep of too many points, before any of them is made.

    Args:
        points: number of values of each parameter.
        where: dotted path of the sweep.

    Raises:
        SuiteError: if their product is more than a suite may have.
    """
    if (count := math.prod(points)) > EXPERIMENTS:
        product = f"{' x '.join(map(str, points))} = " if len(points) > 1 else ""
        raise SuiteError(
            f"{where}: {product}{count:,} points; at most {EXPERIMENTS:,} experiments in a suite:"
            " leave out values, or make several suites"
        )


def refuse_cells(experiments: int, cells: int) -> None:
    """Refuse a suite of too many experiments or cells.

    Args:
        experiments: number of experiments, where each point of a sweep counts.
        cells: number of networks and theories of all experiments.

    Raises:
        SuiteError: if there are more than a suite may have.
    """
    if experiments > EXPERIMENTS:
        raise SuiteError(
            f"experiment: {experiments:,} with all points of sweeps; at most {EXPERIMENTS:,}:"
            " leave out values, or make several suites"
        )
    if cells > CELLS:
        raise SuiteError(
            f"suite: {cells:,} networks and theories of {experiments:,} experiments; at most"
            f" {CELLS:,}: use fewer widths, seeds or points, or make several suites"
        )


def shortened(value: Any) -> str:
    """Return a value in the form for errors: short, and on one line."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _excess_of_text(text: str, where: str, most: int) -> str:
    if len(text) > most:
        return f"{where} = {shortened(text)}: {len(text):,} characters; at most {most:,}"
    return (
        ""
        if text.isprintable()
        else f"{where} = {shortened(text)}: one line of printable characters"
    )
