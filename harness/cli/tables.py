"""Leaderboards as text: for a terminal, Markdown or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.errors import printable

if TYPE_CHECKING:
    from harness.scoring import Unscored

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
OVERALL = (
    "theory",
    "agrees",
    "undecided",
    "disagrees",
    "no verdict",
    "not applicable",
    "share agreed",
    "mean rank",
    "median gap",
    "theory seconds",
    "training seconds for the same error",
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
        row["experiment"] + _remarks(row),
        row["theory"],
        row["verdict"],
        _percent(row["limit_gap"]),
        "–" if gap_ci is None else f"{_percent(gap_ci[0])} – {_percent(gap_ci[1])}",
        exponent,
        "–" if at is None else ("~" if _beyond(row) else "") + f"{at:,.0f}",
        _percent(row["theory_stderr"]),
    )


def print_table(rows: Sequence[dict[str, Any]], observable: str) -> None:
    """Print a leaderboard on the terminal, one line a row."""
    table = _table(f"Leaderboard: {observable}", HEADERS, ("experiment", "theory", "verdict"))
    for row in rows:
        texts = [Text(printable(text)) for text in cells(row)]
        texts[3].stylize(COLOURS[row["verdict"]])
        table.add_row(*texts)
    _print(table)


def print_overall(rows: Sequence[dict[str, Any]]) -> None:
    """Print how theories fare over all experiments, one line a theory."""
    table = _table("Overall, by theory", OVERALL, ("theory",))
    for row in rows:
        table.add_row(*(Text(printable(text)) for text in overall_cells(row)))
    _print(table)


def overall_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Return a row of the overall table as text, in the order of `OVERALL`."""
    share, rank, gap = row["share_agreed"], row["mean_rank"], row["median_limit_gap"]
    return (
        row["theory"] + ("" if row["complete"] else " (incomplete)"),
        *(
            str(row[name])
            for name in ("agrees", "undecided", "disagrees", "no_verdict", "not_applicable")
        ),
        "–" if share is None else f"{100 * share:.0f} %",
        "–" if rank is None else f"{rank:.2f}",
        "–" if gap is None else _percent(gap),
        _seconds(row["median_theory_seconds"]),
        _seconds(row["median_network_seconds_same_error"]),
    )


def open_questions(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each undecided verdict: what would decide it."""
    for row in rows:
        if row["advice"] is not None:
            yield f"{row['experiment']} · {row['theory']} · {row['observable']}: {row['advice']}"


def excluded(unscored: Sequence[Unscored]) -> Iterator[str]:
    """Yield a line for each theory that does not apply, failed, or could not be compared."""
    words = {"not-applicable": "not applicable", "failed": "failed", "unscored": "not scored"}
    for each in unscored:
        yield f"{each.experiment}: {each.theory}: {words[each.status]}: {each.reason}"


def _table(title: str, headers: Sequence[str], words: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for header in headers:
        table.add_column(
            header,
            justify="left" if header in words else "right",
            no_wrap=header != "experiment",
            overflow="fold",
        )
    return table


def _print(table: Table) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:  # a file or a pipe has no width to fit
        console = Console(highlight=False, width=max(console.width, 160))
    console.print(table)


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return a leaderboard as a Markdown table."""
    return markdown_table(HEADERS, [cells(row) for row in rows])


def overall_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return the overall table as a Markdown table."""
    return markdown_table(OVERALL, [overall_cells(row) for row in rows])


def markdown_table(headers: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; what stands in it makes neither columns nor HTML."""
    every = [headers, ["---"] * len(headers), *lines]
    escaped = [[_plain_markdown(text) for text in line] for line in every]
    return "\n".join("| " + " | ".join(line) + " |" for line in escaped)


def _plain_markdown(text: str) -> str:
    """Return text as the cell of a table: neither columns nor HTML of its own."""
    escaped = printable(text).replace("&", "&amp;").replace("<", "&lt;")
    return escaped.replace("|", "\\|")


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
        elif name in ("widths", "dropped_widths"):
            flat[name] = " ".join(map(str, value))
        elif isinstance(value, tuple | list):
            flat |= {f"{name}/low": value[0], f"{name}/high": value[1]}
        else:
            flat[name] = value
    return flat


def _remarks(row: dict[str, Any]) -> str:
    """Return what a reader must know of a row beside its name."""
    dropped = ", ".join(map(str, row["dropped_widths"]))
    said = [
        row["apart"],
        "" if row["complete"] else "incomplete",
        f"without width {dropped}" if dropped else "",
    ]
    texts = [text for text in said if text]
    return f" ({'; '.join(texts)})" if texts else ""


def _beyond(row: dict[str, Any]) -> bool:
    return bool(row["width_at_5_percent_kind"] == "extrapolated")


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"
