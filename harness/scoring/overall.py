"""How every theory fares over all experiments."""

from __future__ import annotations

import statistics
from typing import Any

from harness.scoring.leaderboard import PRIMARY, Scores


def overall(scores: Scores, observable: str = PRIMARY) -> list[dict[str, Any]]:
    """Return one row for each theory, the one that agrees most often first.

    A row has the counts of experiments by verdict; ``no_verdict``, where the theory failed or
    could not be scored; ``not_applicable``, which are not counted against it; the share of the
    others that it agrees on; its mean rank, median gap, and, as medians over experiments, its
    time and the training time that gives the same error (None where no such time is defined);
    and whether all its experiments are complete. A problem that has several names counts once,
    with the most networks that there are.
    """
    known: dict[tuple[str, str], dict[str, Any]] = {}
    for row in scores.rows:
        if row["observable"] == observable:
            key = row["problem"], row["cell"]
            if key not in known or _networks(row) > _networks(known[key]):
                known[key] = row
    rows = list(known.values())
    scored = {(row["problem"], row["theory"]) for row in rows}
    unscored = {
        place: each
        for each in scores.unscored
        if (place := (each.problem, each.theory)) not in scored
    }
    names = [row["theory"] for row in rows] + [each.theory for each in unscored.values()]
    found = []
    for theory in dict.fromkeys(names):
        mine = [row for row in rows if row["theory"] == theory]
        without = [each.status for each in unscored.values() if each.theory == theory]
        verdicts = [row["verdict"] for row in mine]
        excluded = without.count("not-applicable")
        expected = len(mine) + len(without) - excluded
        found.append(
            {
                "theory": theory,
                "experiments": expected,
                **{v: verdicts.count(v) for v in ("agrees", "undecided", "disagrees")},
                "no_verdict": len(without) - excluded,
                "not_applicable": excluded,
                "share_agreed": verdicts.count("agrees") / expected if expected else None,
                "mean_rank": statistics.fmean(r["rank"] for r in mine) if mine else None,
                **{
                    f"median_{name}": _median([row[name] for row in mine])
                    for name in ("limit_gap", "theory_seconds", "network_seconds_same_error")
                },
                "complete": len(mine) == expected and all(row["complete"] for row in mine),
            }
        )
    return sorted(found, key=_order)


def _networks(row: dict[str, Any]) -> int:
    return len(row["widths"]) * int(row["seeds"])


def _order(row: dict[str, Any]) -> tuple[float, float, str]:
    share, rank = row["share_agreed"], row["mean_rank"]
    return (
        2.0 if share is None else 1.0 - share,
        float("inf") if rank is None else rank,
        row["theory"],
    )


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
