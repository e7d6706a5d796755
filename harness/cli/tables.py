"""Leaderboards as text: for a terminal, Markdown or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

COLOURS = {"agrees": "green", "disagrees": "red", "undecided": "yellow"}
HEADERS = (
    "rank",
    "experiment",
    "theory",
    "verdict",
    "limit gap",
    "95 % interval",
    "exponent",
    "width at 5 %",
    "theory error",
)


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Return a row of the leaderboard as text, in the order of `HEADERS`."""
    exponent = "–" if row["exponent"] is None else f"{row['exponent']:.2f}"
    if row["exponent_ci"] is not None:
        low, high = row["exponent_ci"]
        exponent += f" [{low:.2f}, {high:.2f}]"
    gap_ci = row["limit_gap_ci"]
    at = row["width_at_5_percent"]
    return (
        str(row["rank"]),
        row["experiment"] + ("" if row["complete"] else " (incomplete)"),
        row["theory"],
        row["verdict"],
        _percent(row["limit_gap"]),
        "–" if gap_ci is None else f"{_percent(gap_ci[0])} – {_percent(gap_ci[1])}",
        exponent,
        "–" if at is None else f"{at:,.0f}",
        _percent(row["theory_stderr"]),
    )


def print_table(rows: Sequence[dict[str, Any]], observable: str) -> None:
    """Print a leaderboard on the terminal, one line a row."""
    table = Table(
        title=f"Leaderboard: {observable}", title_justify="left", box=None, pad_edge=False
    )
    for header in HEADERS:
        numeric = header not in ("experiment", "theory", "verdict")
        table.add_column(
            header,
            justify="right" if numeric else "left",
            no_wrap=header != "experiment",
            overflow="fold",
        )
    for row in rows:
        texts = [Text(text) for text in cells(row)]
        texts[3].stylize(COLOURS[row["verdict"]])
        table.add_row(*texts)
    console = Console(highlight=False)
    if not console.is_terminal:  # a file or a pipe has no width to fit
        console = Console(highlight=False, width=max(console.width, 160))
    console.print(table)


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return a leaderboard as a Markdown table."""
    lines = [HEADERS, tuple("---" for _ in HEADERS), *(cells(row) for row in rows)]
    escaped = [[text.replace("|", "\\|") for text in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in escaped)


def comma_separated(rows: Sequence[dict[str, Any]]) -> str:
    """Return a leaderboard as CSV in full precision, a column for each width's discrepancy."""
    flat = [_flatten(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return out.getvalue()


def _flatten(row: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            for key, inner in value.items():
                flat |= _flatten({f"{name}/{key}": inner})
        elif name == "widths":
            flat[name] = " ".join(map(str, value))
        elif isinstance(value, tuple | list):
            flat |= {f"{name}/low": value[0], f"{name}/high": value[1]}
        else:
            flat[name] = value
    return flat


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"
