"""Theories are ranked on the experiments that they support, and ties are ties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from made_results import score_row

from harness.scoring import Ranking, ScoreRow, Scores, Unscored, rank_theories
from harness.scoring.ranking import wilson

EXPERIMENTS = [f"e{i}" for i in range(6)]


def rows(theory: str, gaps: list[float], width: float = 0.02, **changes: Any) -> list[ScoreRow]:
    """Return a row an experiment; intervals reach `width` to either side."""
    found = []
    for name, gap in zip(EXPERIMENTS, gaps, strict=False):
        low, high = max(0.0, gap - width), gap + width
        verdict = "agrees" if high < 0.05 else "disagrees" if low > 0.05 else "undecided"
        facts: dict[str, Any] = {
            "experiment": name,
            "problem": name,
            "theory": theory,
            "verdict": verdict,
        }
        facts |= {"limit_gap": gap, "limit_gap_ci": (low, high), "cell": f"{theory} {name}"}
        found.append(score_row({64: 0.1, 256: 0.05}, **facts, **changes))
    return found


def ranking(*parts: list[ScoreRow], unscored: list[Unscored] | None = None) -> Ranking:
    return rank_theories(Scores([row for part in parts for row in part], unscored or []))


def ranks(found: Ranking) -> dict[str, int | None]:
    return {each.theory: each.rank for each in found.standings}


def test_theories_that_agree_are_tied_whatever_their_gaps() -> None:
    found = ranking(rows("a", [0.0] * 6), rows("b", [0.02] * 6), rows("c", [0.2] * 6))
    assert ranks(found) == {"a": 1, "b": 1, "c": 3}
    assert found.standings[2].beaten_by == ["a", "b"]
    tie = next(c for c in found.comparisons if {c.first, c.second} == {"a", "b"})
    assert (tie.tied, tie.difference, tie.difference_ci) == (6, 0.0, (0.0, 0.0))


def test_a_theory_of_half_the_experiments_is_ranked_on_its_half() -> None:
    outside = [Unscored(n, "half", "not-applicable", "too deep", n) for n in EXPERIMENTS[3:]]
    found = ranking(
        rows("half", [0.0] * 3), rows("lazy", [0.1, 0.2, 0.3, 0.0, 0.0, 0.0]), unscored=outside
    )
    half, lazy = found.standings
    assert (half.theory, half.rank, half.domain, half.experiments) == ("half", 1, 3, 6)
    assert (lazy.rank, lazy.domain, lazy.records["output/test"].agrees) == (2, 6, 3)
    assert half.records["output/test"].share_agreed == 1.0
    assert [c["cell"] for c in half.cells] == ["half e0", "half e1", "half e2"]
    assert found.comparisons[0].common == 3


def test_a_failure_counts_in_the_domain_and_a_theory_without_a_score_has_no_rank() -> None:
    failed = [Unscored("e0", "broken", "failed", "NaN", "e0")]
    found = ranking(rows("a", [0.0] * 6), unscored=failed)
    assert ranks(found) == {"a": 1, "broken": None}
    assert (found.standings[1].domain, found.standings[1].failed) == (1, 1)


def test_of_several_versions_of_a_theory_the_newest_counts() -> None:
    older = rows("a", [0.0] * 6, versions={"theory": "9"})
    newer = rows("a", [0.2] * 6, versions={"theory": "10"})
    (standing,) = ranking(older, newer).standings
    assert standing.records["output/test"].disagrees == 6


def test_differences_within_the_errors_are_ties() -> None:
    found = ranking(rows("a", [0.10] * 6, 0.06), rows("b", [0.12] * 6, 0.06))
    assert ranks(found) == {"a": 1, "b": 1}
    low, high = found.comparisons[0].difference_ci
    assert low < -0.02 < 0 < high


def test_one_enormous_gap_does_not_decide() -> None:
    often = rows("often", [0.1] * 5 + [0.0])
    once = rows("once", [0.0] * 5 + [50.0])
    (comparison,) = ranking(often, once).comparisons
    assert comparison.difference == pytest.approx((5 * 0.1 - 1.0) / 6)


def test_intervals_of_all_pairs_hold_together() -> None:
    """Of many rankings of noisy gaps, at most a twentieth has a difference outside its interval."""
    rng, names, missed = np.random.default_rng(0), "abcde", 0
    for _ in range(200):
        noisy = {n: np.abs(0.5 + 0.02 * rng.standard_normal(6)) for n in names}
        # the same standard deviation, as 95 % intervals of every gap state it
        found = ranking(*(rows(n, list(g), 1.96 * 0.02) for n, g in noisy.items()))
        missed += any(c.nearer() is not None for c in found.comparisons)
    assert missed <= 10


def test_a_theory_that_is_behind_and_slower_is_dominated() -> None:
    fast, slow = rows("fast", [0.0] * 6), rows("slow", [0.2] * 6, theory_seconds=9.0)
    quick = rows("quick", [0.2] * 6, theory_seconds=0.1)
    by = {s.theory: s for s in ranking(fast, slow, quick).standings}
    assert (by["slow"].dominated_by, by["quick"].dominated_by) == (["fast"], [])


def test_the_interval_of_a_share() -> None:
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-3)
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-3)
