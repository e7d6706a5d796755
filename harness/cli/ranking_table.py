"""The ranking of theories as text: for a terminal or Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from harness.cli.common import counted
from harness.cli.layout import Column, Table, print_table
from harness.formats import markdown_table, percent_cell

if TYPE_CHECKING:
    from harness.scoring import Ranking, Record, Standing

SHORT: Mapping[str, str] = {
    "output/test": "outputs",
    "loss/test": "losses",
    "kernel/feature": "kernels",
    "preactivation/density": "laws",
}
"""Headers of observables in a table that has one column for each."""


def columns(ranking: Ranking) -> list[Column]:
    """Return the columns of a ranking: one of each observable that is not the ranks'."""
    return [
        Column("rank"),
        Column("theory", words=True),
        Column("domain"),
        Column("agrees"),
        Column("95 % interval", rank=4),
        Column("median gap"),
        *(Column(SHORT.get(name, name), rank=3) for name in ranking.others),
        Column("within errors", rank=2),
        Column("seconds", rank=5),
        Column("of training", rank=1),
    ]


def cells(ranking: Ranking, standing: Standing) -> tuple[str, ...]:
    """Return a theory's line as text, in the order of `columns`."""
    own = standing.records.get(ranking.observable)
    interval = None if own is None else own.share_agreed_ci
    return (
        "–" if standing.rank is None else str(standing.rank),
        standing.theory,
        f"{standing.domain} of {standing.experiments}",
        _share(own),
        "–" if interval is None else f"{100 * interval[0]:.0f} – {100 * interval[1]:.0f} %",
        "–" if own is None else percent_cell(own.median_gap),
        *(_share(standing.records.get(name)) for name in ranking.others),
        "–" if own is None else f"{100 * own.coverage:.0f} %",
        "–" if standing.median_seconds is None else f"{standing.median_seconds:,.2f}",
        "–" if standing.median_cost is None else f"{standing.median_cost:,.2g} ×",
    )


def print_ranking(ranking: Ranking) -> None:
    """Print a ranking on the terminal, one line for each theory."""
    lines = [cells(ranking, each) for each in ranking.standings]
    count = counted(len(ranking.experiments), "experiment")
    title = f"Ranking of theories: {ranking.observable}, {count}"
    print_table(Table(title, columns(ranking), lines))


def markdown(ranking: Ranking) -> str:
    """Return a ranking as a Markdown table."""
    lines = [cells(ranking, each) for each in ranking.standings]
    return markdown_table([column.header for column in columns(ranking)], lines)


def comparisons(ranking: Ranking, theory: str) -> Iterator[tuple[str, str]]:
    """Yield each other theory, and the comparison of one theory with it, in words."""
    for each in ranking.comparisons:
        if each.observable != ranking.observable or theory not in (each.first, each.second):
            continue
        other = each.second if theory == each.first else each.first
        sign = 1 if theory == each.first else -1
        low, high = sorted(sign * end for end in each.difference_ci)
        nearer = each.nearer()
        said = "tied with" if nearer is None else "nearer than" if nearer == theory else "behind"
        difference = f"{100 * sign * each.difference:+.1f} % [{100 * low:+.1f}, {100 * high:+.1f}]"
        counts = _counts(each.first_nearer, each.second_nearer, each.tied, sign)
        yield f"{theory} {said} {other}", f"{counts}; mean difference of gaps {difference}"


def _counts(first: int, second: int, tied: int, sign: int) -> str:
    near, far = (first, second) if sign == 1 else (second, first)
    return f"nearer in {near} of {near + far + tied} experiments, farther in {far}, tied in {tied}"


def _share(record: Record | None) -> str:
    return "–" if record is None else f"{record.agrees} of {record.scored}"
