"""Leaderboards as text: for a terminal, Markdown or CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from harness.cli.layout import Column, Table, print_table
from harness.formats import csv_table, flat_row, markdown_table, percent_cell

if TYPE_CHECKING:
    from harness.registry import Registry
    from harness.registry.component import Kind
    from harness.scoring import ScoreRow, Scores, TheoryRow, Unscored

COLOURS = {"agrees": "green", "disagrees": "red", "undecided": "yellow"}
FEW_THEORIES = 3
"""Most theories of a leaderboard that is sorted by rank alone."""
COLUMNS = (
    Column("rank", rank=3),
    Column("experiment", words=True),
    Column("theory", words=True),
    Column("verdict", words=True),
    Column("limit gap"),
    Column("95 % interval", rank=4),
    Column("exponent", rank=2),
    Column("width at 5 %", rank=1),
    Column("theory error", rank=0),
)
OVERALL = (
    Column("theory", words=True),
    Column("agrees"),
    Column("undecided"),
    Column("disagrees"),
    Column("no verdict", rank=6),
    Column("not applicable", rank=5),
    Column("share agreed", rank=2),
    Column("mean rank", rank=4),
    Column("median gap", rank=3),
    Column("theory seconds", rank=1),
    Column("training seconds for the same error", rank=0),
)


def cells(row: ScoreRow) -> tuple[str, ...]:
    """Return a row of the leaderboard as text, in the order of `COLUMNS`."""
    exponent = "–" if row.exponent is None else f"{row.exponent:.2f}"
    if row.exponent_ci is not None:
        low, high = row.exponent_ci
        exponent += f" [{low:.2f}, {high:.2f}]"
    gap_ci = row.limit_gap_ci
    at = row.width_at_5_percent
    return (
        str(row.rank),
        row.experiment + _remarks(row),
        row.theory,
        row.verdict,
        percent_cell(row.limit_gap),
        "–" if gap_ci is None else f"{percent_cell(gap_ci[0])} – {percent_cell(gap_ci[1])}",
        exponent,
        "–" if at is None else ("~" if _beyond(row) else "") + f"{at:,.0f}",
        percent_cell(row.theory_stderr),
    )


def print_leaderboard(rows: Sequence[ScoreRow], observable: str) -> None:
    """Print a leaderboard on the terminal, one line for each row.

    With more than `FEW_THEORIES`, rows stand together by experiment, not by rank.
    """
    if len({row.theory for row in rows}) > FEW_THEORIES:
        first = {row.problem: place for place, row in reversed(list(enumerate(rows)))}
        rows = sorted(rows, key=lambda row: (first[row.problem], row.rank))
    lines = [cells(row) for row in rows]
    print_table(Table(f"Leaderboard: {observable}", COLUMNS, lines, head=1, colours={3: COLOURS}))


def print_overall(rows: Sequence[TheoryRow]) -> None:
    """Print the results of theories over all experiments, one line for each theory."""
    lines = [overall_cells(row) for row in rows]
    print_table(Table("Overall, by theory", OVERALL, lines))


def overall_cells(row: TheoryRow) -> tuple[str, ...]:
    """Return a row of the overall table as text, in the order of `OVERALL`."""
    share, rank, gap = row.share_agreed, row.mean_rank, row.median_limit_gap
    return (
        row.theory + ("" if row.complete else " (incomplete)"),
        *(
            str(count)
            for count in (
                row.agrees,
                row.undecided,
                row.disagrees,
                row.no_verdict,
                row.not_applicable,
            )
        ),
        "–" if share is None else f"{100 * share:.0f} %",
        "–" if rank is None else f"{rank:.2f}",
        "–" if gap is None else percent_cell(gap),
        _seconds(row.median_theory_seconds),
        _seconds(row.median_network_seconds_same_error),
    )


def open_questions(rows: Sequence[ScoreRow]) -> Iterator[tuple[str, str]]:
    """Yield each undecided row, and the further results that would decide it."""
    for row in rows:
        if row.advice is not None:
            whose = (row.name, row.theory, row.observable)
            yield " · ".join(whose), row.advice


def excluded(scores: Scores, unscored: Sequence[Unscored] | None = None) -> Iterator[str]:
    """Yield a line for each theory that does not apply, failed, or could not be compared.

    Args:
        scores: the leaderboard.
        unscored: those of its theories without a score that are told; all by default.
    """
    words = {"not-applicable": "not applicable", "failed": "failed", "unscored": "not scored"}
    for each in scores.unscored if unscored is None else unscored:
        name = scores.name(each.experiment, each.problem)
        yield f"{name}: {each.theory}: {words[each.status]}: {each.reason}"


def other_sources(rows: Sequence[ScoreRow], registry: Registry) -> list[str]:
    """Return a line for each component whose source differs here under the same version."""
    from harness.suites.cells import source_name

    lines = []
    for row in rows:
        # by the name in the row's sources, where observables have theirs
        parts: dict[str, tuple[Kind, str]] = {
            "architecture": ("architecture", row.architecture),
            "regime": ("regime", row.regime),
            "theory": ("theory", row.theory),
        }
        if (own := source_name(row.observable)) in row.versions:
            parts[own] = "observable", row.observable
        for part, (kind, name) in parts.items():
            version = row.versions[part]
            if registry.differs(kind, name, version, row.sources.get(part, "")):
                lines.append(
                    f"{kind} {name!r}, version {version}, has another source here than for the"
                    " cells that are scored; `limitbench run` computes them again"
                )
    return list(dict.fromkeys(lines))


def markdown(rows: Sequence[ScoreRow]) -> str:
    """Return a leaderboard as a Markdown table."""
    return markdown_table([column.header for column in COLUMNS], map(cells, rows))


def overall_markdown(rows: Sequence[TheoryRow]) -> str:
    """Return the overall table as a Markdown table."""
    return markdown_table([column.header for column in OVERALL], map(overall_cells, rows))


def comma_separated(rows: Sequence[ScoreRow] | Sequence[TheoryRow]) -> str:
    """Return a leaderboard as CSV in full precision, a column for each width's discrepancy."""
    return csv_table([flat_row(row.as_json()) for row in rows])


def _remarks(row: ScoreRow) -> str:
    """Return remarks on a row, shown beside its name."""
    dropped = ", ".join(map(str, row.dropped_widths))
    said = [
        row.apart,
        "" if row.complete else "incomplete",
        f"without width {dropped}" if dropped else "",
    ]
    texts = [text for text in said if text]
    return f" ({'; '.join(texts)})" if texts else ""


def _beyond(row: ScoreRow) -> bool:
    return row.width_at_5_percent_kind == "extrapolated"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}"
