"""Results of every theory over all experiments."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from harness.scoring.leaderboard import Scores
from harness.scoring.row import ScoreRow
from harness.scoring.values import PRIMARY


@dataclass(frozen=True)
class TheoryRow:
    """Results of one theory over all experiments.

    Attributes:
        theory: its name.
        experiments: number of experiments to which it applies.
        agrees, undecided, disagrees: number of these by verdict.
        no_verdict: number of these where it failed or could not be scored.
        not_applicable: number of experiments that do not count against it.
        share_agreed: share of `experiments`; None if there are none.
        mean_rank, median_limit_gap: over those with a score; None if there are none.
        median_theory_seconds: its median time.
        median_network_seconds_same_error: median time of training to the same error; None where
            no such time is defined.
        complete: whether all its experiments are complete.
    """

    theory: str
    experiments: int
    agrees: int
    undecided: int
    disagrees: int
    no_verdict: int
    not_applicable: int
    share_agreed: float | None
    mean_rank: float | None
    median_limit_gap: float | None
    median_theory_seconds: float | None
    median_network_seconds_same_error: float | None
    complete: bool

    def as_json(self) -> dict[str, Any]:
        """Return the row as plain JSON."""
        return vars(self).copy()


def overall(scores: Scores, observable: str = PRIMARY) -> list[TheoryRow]:
    """Return one row for each theory, sorted by the share of agreement.

    A problem with several names counts once, under the name with the most networks.
    """
    known: dict[tuple[str, str], ScoreRow] = {}
    for row in scores.rows:
        if row.observable == observable:
            key = row.problem, row.cell
            if key not in known or _networks(row) > _networks(known[key]):
                known[key] = row
    rows = list(known.values())
    scored = {(row.problem, row.theory) for row in rows}
    unscored = {
        place: each
        for each in scores.unscored
        if (place := (each.problem, each.theory)) not in scored
    }
    names = [row.theory for row in rows] + [each.theory for each in unscored.values()]
    found = []
    for theory in dict.fromkeys(names):
        mine = [row for row in rows if row.theory == theory]
        without = [each.status for each in unscored.values() if each.theory == theory]
        verdicts = [row.verdict for row in mine]
        excluded = without.count("not-applicable")
        expected = len(mine) + len(without) - excluded
        found.append(
            TheoryRow(
                theory=theory,
                experiments=expected,
                agrees=verdicts.count("agrees"),
                undecided=verdicts.count("undecided"),
                disagrees=verdicts.count("disagrees"),
                no_verdict=len(without) - excluded,
                not_applicable=excluded,
                share_agreed=verdicts.count("agrees") / expected if expected else None,
                mean_rank=statistics.fmean(r.rank for r in mine) if mine else None,
                median_limit_gap=_median([r.limit_gap for r in mine]),
                median_theory_seconds=_median([r.theory_seconds for r in mine]),
                median_network_seconds_same_error=_median(
                    [r.network_seconds_same_error for r in mine]
                ),
                complete=len(mine) == expected and all(row.complete for row in mine),
            )
        )
    return sorted(found, key=_order)


def _networks(row: ScoreRow) -> int:
    return len(row.widths) * row.seeds


def _order(row: TheoryRow) -> tuple[float, float, str]:
    share, rank = row.share_agreed, row.mean_rank
    return (
        2.0 if share is None else 1.0 - share,
        float("inf") if rank is None else rank,
        row.theory,
    )


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
