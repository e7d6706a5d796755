"""Ranking of theories over experiments and observables, with comparisons that hold together.

Experiments are taken as they are, not as a sample of others: intervals are about the networks' and
the theories' errors. A gap counts for at most 100 %, so that no single experiment decides.
"""

from __future__ import annotations

import itertools
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.scoring.gap import Interval
from harness.scoring.leaderboard import Scores, Unscored
from harness.scoring.row import ScoreRow
from harness.scoring.values import PRIMARY, RANKED

WORST = 1.0
"""Largest gap that counts: that of a theory whose errors are as large as its prediction."""

MISSED = 0.05
"""Chance that any of the intervals of an observable's comparisons misses."""


@dataclass(frozen=True)
class Record:
    """Verdicts of one theory on one observable, over the experiments in its domain.

    Attributes:
        scored: number of experiments with a score.
        agrees, undecided, disagrees: number of these by verdict.
        share_agreed: share of `scored` that agree.
        share_agreed_ci: its 95 % interval (Wilson).
        median_gap: median limit gap.
        coverage: share of `scored` in which the networks' limit lies within the errors that both
            sides state; 0.95 is expected of a right theory.
        coverage_ci: its 95 % interval (Wilson).
    """

    scored: int
    agrees: int
    undecided: int
    disagrees: int
    share_agreed: float
    share_agreed_ci: Interval
    median_gap: float
    coverage: float
    coverage_ci: Interval


@dataclass(frozen=True)
class Standing:
    """Place of one theory.

    Attributes:
        rank: one more than the number of theories that are nearer to the networks; theories of
            one rank are tied. None for a theory without a score.
        theory: its name.
        domain: number of experiments that it supports.
        experiments: number of experiments of the ranking.
        failed: number of experiments in its domain without a score, since it failed or gives no
            prediction of the primary observable.
        records: by observable; only those on which it has a score.
        beaten_by: theories that are nearer on the experiments that both support.
        dominated_by: those of them that also take less time there.
        median_seconds: median time of a solution.
        median_cost: median of its time over that of training networks to the same error; None
            where that is not defined, as for a theory without an error.
        cells: its cells: experiment, key, and verdict on the primary observable.
    """

    rank: int | None
    theory: str
    domain: int
    experiments: int
    failed: int
    records: dict[str, Record]
    beaten_by: list[str]
    dominated_by: list[str]
    median_seconds: float | None
    median_cost: float | None
    cells: list[dict[str, str]]

    def as_json(self) -> dict[str, Any]:
        """Return the standing as plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Comparison:
    """Two theories on the experiments that both support.

    Attributes:
        observable: the observable.
        first, second: the theories.
        common: number of common experiments.
        first_nearer, second_nearer: number of those in which the gap's intervals are apart.
        tied: number of those in which both agree with the networks, or intervals overlap.
        difference: mean of the first gap less the second; a tie in agreement counts as zero.
        difference_ci: its interval; those of all pairs hold together with 95 % confidence.
    """

    observable: str
    first: str
    second: str
    common: int
    first_nearer: int
    second_nearer: int
    tied: int
    difference: float
    difference_ci: Interval

    def nearer(self) -> str | None:
        """Return the theory that is nearer to the networks; None if the two are tied."""
        low, high = self.difference_ci
        if low > 0:
            return self.second
        return self.first if high < 0 else None


@dataclass(frozen=True)
class Ranking:
    """Theories in their order, with the comparisons that make it.

    Attributes:
        observable: observable of the ranks.
        observables: all observables with records.
        experiments: names of the experiments, one for each problem.
        standings: by rank; tied theories by their share of agreement and their domain.
        comparisons: of all pairs with a common experiment, on every observable.
    """

    observable: str
    observables: list[str]
    experiments: list[str]
    standings: list[Standing]
    comparisons: list[Comparison] = field(default_factory=list)

    @property
    def others(self) -> list[str]:
        """Observables that do not decide the ranks."""
        return [name for name in self.observables if name != self.observable]

    def as_json(self) -> dict[str, Any]:
        """Return the ranking as plain JSON."""
        return asdict(self)


def rank_theories(scores: Scores, observable: str = PRIMARY) -> Ranking:
    """Rank the theories of scores on `RANKED` observables.

    A theory is ranked on the experiments in its domain alone. A problem with several names
    counts once, as does a theory with several cells of one problem: its newest version.

    Args:
        scores: as `score_folders` returns them.
        observable: observable that decides the ranks.
    """
    rows = counted(scores, (*RANKED, observable))
    unscored = {(each.theory, each.problem): each for each in scores.unscored}
    names: dict[str, str] = {}
    outcomes: list[ScoreRow | Unscored] = [*scores.rows, *scores.unscored]
    for each in outcomes:
        names.setdefault(each.problem, scores.name(each.experiment, each.problem))
    theories = list(dict.fromkeys([r.theory for r in scores.rows] + [t for t, _ in unscored]))
    observables = [name for name in (*RANKED, observable) if any(k[0] == name for k in rows)]
    observables = list(dict.fromkeys(observables))
    of: dict[str, dict[str, dict[str, ScoreRow]]] = {
        name: {
            theory: {p: row for (o, t, p), row in rows.items() if (o, t) == (name, theory)}
            for theory in theories
        }
        for name in observables
    }
    comparisons = [c for name in observables for c in _comparisons(name, of[name])]
    deciding = [c for c in comparisons if c.observable == observable]
    standings = [
        _standing(
            theory,
            observable,
            {name: list(of[name][theory].values()) for name in observables},
            [each for (t, _), each in unscored.items() if t == theory],
            [c for c in deciding if theory in (c.first, c.second)],
            of.get(observable, {}),
            names,
        )
        for theory in theories
    ]
    return Ranking(
        observable,
        observables,
        list(names.values()),
        sorted(standings, key=lambda s: _order(s, observable)),
        comparisons,
    )


def counted(scores: Scores, observables: Sequence[str]) -> dict[tuple[str, str, str], ScoreRow]:
    """Return the rows with an interval that count, by observable, theory and problem."""
    found: dict[tuple[str, str, str], ScoreRow] = {}
    for row in sorted(scores.rows, key=_version, reverse=True):
        if row.observable in observables and row.limit_gap_ci is not None:
            found.setdefault((row.observable, row.theory, row.problem), row)
    return found


def _standing(
    theory: str,
    observable: str,
    mine: dict[str, list[ScoreRow]],
    unscored: Sequence[Unscored],
    comparisons: Sequence[Comparison],
    rows: dict[str, dict[str, ScoreRow]],
    names: Mapping[str, str],
) -> Standing:
    primary = mine.get(observable, [])
    known = {row.problem for row in primary}
    failed = [u for u in unscored if u.status != "not-applicable" and u.problem not in known]
    found = (c.nearer() for c in comparisons)
    beaten = [name for name in found if name not in (None, theory)]
    costs = [
        row.theory_seconds / row.network_seconds_same_error
        for row in primary
        if row.network_seconds_same_error
    ]
    return Standing(
        rank=1 + len(beaten) if primary else None,
        theory=theory,
        domain=len(primary) + len(failed),
        experiments=len(names),
        failed=len(failed),
        records={name: _record(each) for name, each in mine.items() if each},
        beaten_by=[str(name) for name in beaten],
        dominated_by=[str(b) for b in beaten if _is_cheaper(rows[str(b)], rows[theory])],
        median_seconds=_median(row.theory_seconds for row in primary),
        median_cost=_median(costs),
        cells=[
            {"experiment": names[row.problem], "cell": row.cell, "verdict": row.verdict}
            for row in primary
        ],
    )


def _record(rows: Sequence[ScoreRow]) -> Record:
    verdicts = [row.verdict for row in rows]
    agrees, count = verdicts.count("agrees"), len(rows)
    within = sum(_interval(row)[0] == 0 for row in rows)
    return Record(
        scored=count,
        agrees=agrees,
        undecided=verdicts.count("undecided"),
        disagrees=verdicts.count("disagrees"),
        share_agreed=agrees / count,
        share_agreed_ci=wilson(agrees, count),
        median_gap=statistics.median(row.limit_gap for row in rows),
        coverage=within / count,
        coverage_ci=wilson(within, count),
    )


def _comparisons(observable: str, rows: dict[str, dict[str, ScoreRow]]) -> list[Comparison]:
    """Compare all pairs of theories with a common experiment.

    The interval of a difference of two gaps reaches from the lower end of one to the upper end
    of the other, which holds however the two are correlated; means over independent experiments
    add their squares. All are widened by one factor (Bonferroni) to hold together.
    """
    from scipy.special import ndtri

    pairs = [
        (first, second, sorted(rows[first].keys() & rows[second].keys()))
        for first, second in itertools.combinations(rows, 2)
    ]
    pairs = [pair for pair in pairs if pair[2]]
    widened = ndtri(1 - MISSED / 2 / max(1, len(pairs))) / ndtri(1 - MISSED / 2)
    found = []
    for first, second, common in pairs:
        both = [(rows[first][p], rows[second][p]) for p in common]
        differences = [difference(a, b) for a, b in both]
        below = math.sqrt(sum((d - low) ** 2 for d, low, _ in differences))
        above = math.sqrt(sum((high - d) ** 2 for d, _, high in differences))
        count = len(common)
        mean = sum(d for d, _, _ in differences) / count
        closer = [nearer(a, b) for a, b in both]
        found.append(
            Comparison(
                observable,
                first,
                second,
                common=count,
                first_nearer=closer.count(-1),
                second_nearer=closer.count(1),
                tied=closer.count(0),
                difference=mean,
                difference_ci=(mean - widened * below / count, mean + widened * above / count),
            )
        )
    return found


def difference(a: ScoreRow, b: ScoreRow) -> tuple[float, float, float]:
    """Return the difference of two capped gaps, and the ends of its interval."""
    if a.verdict == b.verdict == "agrees":
        return 0.0, 0.0, 0.0
    (a_low, a_high), (b_low, b_high) = _interval(a), _interval(b)
    gap = min(a.limit_gap, WORST) - min(b.limit_gap, WORST)
    return gap, min(gap, a_low - b_high), max(gap, a_high - b_low)


def nearer(a: ScoreRow, b: ScoreRow) -> int:
    """Return -1 if the first of two theories is nearer, 1 if the second is, 0 for a tie."""
    if a.verdict == b.verdict == "agrees":
        return 0
    (a_low, a_high), (b_low, b_high) = _interval(a), _interval(b)
    return int(a_low > b_high) - int(b_low > a_high)


def _interval(row: ScoreRow) -> Interval:
    """Return a gap's interval, each end at most `WORST`."""
    low, high = row.limit_gap_ci or (row.limit_gap, row.limit_gap)
    return min(low, WORST), min(high, WORST)


def _is_cheaper(one: dict[str, ScoreRow], other: dict[str, ScoreRow]) -> bool:
    """Return whether a theory takes less time than another on their common experiments."""
    common = one.keys() & other.keys()
    own, others = ([rows[p].theory_seconds for p in common] for rows in (one, other))
    return bool(common) and statistics.median(own) < statistics.median(others)


def wilson(hits: int, count: int) -> Interval:
    """Return the 95 % interval of a share (Wilson, JASA 22, 1927)."""
    z2 = 1.959964**2
    centre = (hits + z2 / 2) / (count + z2)
    half = math.sqrt(z2) / (count + z2) * math.sqrt(hits * (count - hits) / count + z2 / 4)
    return max(0.0, centre - half), min(1.0, centre + half)


def _order(standing: Standing, observable: str) -> tuple[float, float, float, str]:
    if standing.rank is None:
        return math.inf, 0.0, 0.0, standing.theory
    share = standing.records[observable].share_agreed
    return standing.rank, -share, -standing.domain, standing.theory


def _version(row: ScoreRow) -> list[int]:
    """Return the numbers in the version of a row's theory."""
    return [int(number) for number in re.findall(r"[0-9]+", row.versions.get("theory", ""))]


def _median(values: Iterable[float]) -> float | None:
    known = list(values)
    return statistics.median(known) if known else None
