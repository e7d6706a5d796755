"""Judgement of a claim: numbers with errors, the ranges that the claim allows, and a verdict."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.errors import NotEnoughError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from harness.scoring import ScoreRow

Verdict = Literal["reproduced", "not reproduced", "undecided"]

MARKS: dict[Verdict, str] = {"reproduced": "✓", "not reproduced": "✗", "undecided": "?"}

TOLERANCE: Final = 0.05
"""Relative distance within which losses, curves or predictions are the same, as in leaderboards."""

SMALLEST: Final = 0.01
"""Smallest difference that counts in most claims, relative to the losses or distances compared."""

MISSED = 0.05
"""Chance that one of the intervals behind a verdict misses the truth."""

MOST_DRAWS = 2**20
"""Number of draws beyond which nobody looks."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One number, and the range that the claim states for it.

    Args:
        what: name of the measured quantity, in words.
        value: the estimate.
        stderr: its standard error; 0 for a count.
        freedom: degrees of freedom of the standard error.
        at_least, at_most: the range that the claim allows.
        smallest: the smallest effect that counts: a value beyond a bound by less is no effect. With
            0, a claim whose truth is the bound itself can never be decided.
        known: a 95 % confidence interval from another source, in place of `stderr`.
        lowest: the least value that the number can have.

    Raises:
        ValueError: if a number is not finite, or a standard error or smallest effect negative.
    """

    what: str
    value: float
    stderr: float = 0.0
    freedom: float = math.inf
    at_least: float = -math.inf
    at_most: float = math.inf
    smallest: float = 0.0
    known: tuple[float, float] | None = None
    lowest: float = -math.inf

    def __post_init__(self) -> None:
        if not (math.isfinite(self.smallest) and self.smallest >= 0):
            raise ValueError(f"{self.what}: smallest effect {self.smallest} is no size")
        if not (math.isfinite(self.value) and math.isfinite(self.stderr) and self.stderr >= 0):
            raise ValueError(f"{self.what}: {self.value} +- {self.stderr} is no measured number")

    @classmethod
    def mean(
        cls,
        what: str,
        values: ArrayLike,
        at_least: float = -math.inf,
        at_most: float = math.inf,
        *,
        smallest: float = 0.0,
    ) -> Finding:
        """Return the mean of independent values, such as one for each draw of the data.

        NaN values, as for a draw that one of two experiments lacks, are left out.

        Raises:
            NotEnoughError: if there are fewer than two.
        """
        drawn = np.asarray(values, dtype=np.float64)
        drawn = drawn[~np.isnan(drawn)]
        if drawn.size < 2:
            raise NotEnoughError(f"{what}: {drawn.size} draws, and at least 2 are needed")
        return cls._of_sample(what, float(drawn.mean()), drawn, at_least, at_most, smallest)

    @classmethod
    def jackknife(
        cls,
        what: str,
        value: float,
        left_out: ArrayLike,
        at_least: float = -math.inf,
        at_most: float = math.inf,
        *,
        smallest: float = 0.0,
    ) -> Finding:
        """Return a statistic of all draws, with its error from leaving out each draw in turn.

        Args:
            what: name of the statistic, in words.
            value: the statistic of all draws.
            left_out: the statistic without each draw, (draws,).
            at_least: the lower end of the range that the claim allows.
            at_most: the upper end.
            smallest: the smallest effect that counts.
        """
        without = np.asarray(left_out, dtype=np.float64)
        pseudo = without.size * value - (without.size - 1) * without
        return cls._of_sample(what, value, pseudo, at_least, at_most, smallest)

    @classmethod
    def _of_sample(
        cls,
        what: str,
        value: float,
        sample: NDArray[np.float64],
        at_least: float,
        at_most: float,
        smallest: float,
    ) -> Finding:
        """Return a value with the standard error of the mean of independent numbers."""
        return cls(
            what=what,
            value=value,
            stderr=float(sample.std(ddof=1) / math.sqrt(sample.size)),
            freedom=sample.size - 1,
            at_least=at_least,
            at_most=at_most,
            smallest=smallest,
        )

    @classmethod
    def gap(cls, row: ScoreRow, at_most: float = math.inf, at_least: float = -math.inf) -> Finding:
        """Return the limit gap of a row of the leaderboard, with its interval.

        Raises:
            NotEnoughError: if the gap has no interval: there are too few widths or seeds.
        """
        what = f"limit gap of {_scored(row)}"
        if row.limit_gap_ci is None:
            raise NotEnoughError(f"{what}: too few networks for an interval")
        return cls(
            what=what,
            value=row.limit_gap,
            known=row.limit_gap_ci,
            lowest=0.0,
            at_least=at_least,
            at_most=at_most,
        )

    @classmethod
    def exponent(cls, row: ScoreRow, at_least: float, at_most: float) -> Finding:
        """Return the exponent with which networks approach a theory, with its interval.

        Raises:
            NotEnoughError: if it has no interval: there are too few widths or seeds.
        """
        what = f"exponent of the approach to {_scored(row)}"
        if row.exponent is None or row.exponent_ci is None:
            raise NotEnoughError(f"{what}: too few networks for an interval")
        return cls(
            what=what,
            value=row.exponent,
            known=row.exponent_ci,
            at_least=at_least,
            at_most=at_most,
        )

    @property
    def bounds(self) -> list[tuple[str, float]]:
        """The ends of the range that the claim allows, each with its sign."""
        ends = (("≥", self.at_least), ("≤", self.at_most))
        return [(sign, end) for sign, end in ends if math.isfinite(end)]

    @property
    def draws(self) -> int | None:
        """The number of draws behind a mean; None for other numbers."""
        return None if math.isinf(self.freedom) else int(self.freedom) + 1

    def interval(self, missed: float = MISSED) -> tuple[float, float]:
        """Return the confidence interval that misses the truth with a chance of `missed`.

        A known interval is widened on either side by the ratio of normal quantiles.
        """
        from scipy.special import ndtri

        tail = 1 - missed / 2
        if self.known is None:
            reach = float(_quantile(self.freedom, tail)) * self.stderr
            below, above = reach, reach
        else:
            ratio = float(ndtri(tail) / ndtri(1 - MISSED / 2))
            below, above = (
                (self.value - self.known[0]) * ratio,
                (self.known[1] - self.value) * ratio,
            )
        return max(self.value - below, self.lowest), self.value + above

    def verdict(self, missed: float = MISSED) -> Verdict:
        """Return whether the interval lies inside the range, outside it, or across its edge.

        Values beyond a bound by less than the smallest effect lie outside.
        """
        low, high = self.interval(missed)
        if high < self.at_least + self.smallest or low > self.at_most - self.smallest:
            return "not reproduced"
        inside = low >= self.at_least and high <= self.at_most
        return "reproduced" if inside else "undecided"

    def draws_to_decide(self, missed: float = MISSED) -> int | None:
        """Return how many draws decide a mean if its value stays as it is; None for other numbers.

        The value itself is uncertain, so that this is an estimate.
        """
        within = min(self.value - self.at_least, self.at_most - self.value)
        least, most = self.at_least + self.smallest, self.at_most - self.smallest
        return self._draws_for(max(within, least - self.value, self.value - most), missed)

    def draws_to_plan(self, missed: float = MISSED) -> int | None:
        """Return how many draws decide a mean, judged before its value is known; None for others.

        With a smallest effect they decide it whatever the truth is: the interval reaches half of
        that effect to either side. Without one they decide it if the truth is the middle of the
        range, or 0 for a range of one end.
        """
        ends = [end for _, end in self.bounds]
        room = self.smallest / 2
        if room == 0 and ends:
            room = (max(ends) - min(ends)) / 2 if len(ends) == 2 else abs(ends[0])
        return self._draws_for(room, missed)

    def _draws_for(self, reach: float, missed: float) -> int | None:
        """Return the number of draws with which the interval reaches so far to either side."""
        if self.draws is None or not 0 < reach < math.inf:
            return None
        spread, tail = self.stderr * math.sqrt(self.draws), 1 - missed / 2

        def fits(draws: int) -> bool:
            return _quantile(draws - 1, tail) * spread <= reach * math.sqrt(draws)

        most = 2
        while not fits(most) and most < MOST_DRAWS:
            most *= 2
        return bisect.bisect_left(range(most), True, 2, key=fits)


def _quantile(freedom: float, tail: float) -> float:
    """Return a quantile of Student's distribution, or of the normal one."""
    from scipy.special import ndtri, stdtrit

    return float(ndtri(tail) if math.isinf(freedom) else stdtrit(freedom, tail))


def _scored(row: ScoreRow) -> str:
    """Return theory, observable and experiment of a row, in words."""
    from harness.scoring import PRIMARY

    of = "" if row.observable == PRIMARY else f" on {row.observable}"
    return f"{row.theory}{of}, {row.name}"


@dataclass(frozen=True)
class Condition:
    """The same claim under other conditions than its authors', with its own findings."""

    name: str
    findings: Sequence[Finding]

    @property
    def verdict(self) -> Verdict:
        """Whether the claim holds under this condition."""
        return combined(self.findings)


@dataclass(frozen=True)
class Judgement:
    """Result of a claim's function.

    Args:
        findings: of the claim as it is stated; all must hold.
        conclusion: scope and likely reason, in one or two sentences.
        conditions: findings under other conditions; they do not affect the verdict.
        figure: draws the evidence on axes.
    """

    findings: Sequence[Finding]
    conclusion: str = ""
    conditions: Sequence[Condition] = ()
    figure: Callable[[Axes], None] | None = None

    @property
    def verdict(self) -> Verdict:
        """Reproduced if every finding holds, not reproduced if one does not."""
        return combined(self.findings)


class JointFinding(NamedTuple):
    """A finding among others, with the interval that holds together with theirs.

    Attributes:
        finding: the number.
        low, high: the ends of the interval.
        verdict: verdict by this interval.
        missed: chance that the interval misses the truth.
    """

    finding: Finding
    low: float
    high: float
    verdict: Verdict
    missed: float

    @property
    def sample(self) -> str:
        """The number of draws behind a mean, and how many would decide an open one, in words."""
        if self.finding.draws is None:
            return ""
        more = self.draws_to_decide
        return f"{self.finding.draws}" + (f", about {more} decide" if more else "")

    @property
    def draws_to_decide(self) -> int | None:
        """About how many draws decide an open mean; None if it is decided, or no mean."""
        return self.finding.draws_to_decide(self.missed) if self.verdict == "undecided" else None

    @property
    def draws_to_plan(self) -> int | None:
        """How many draws a mean needs, judged before its value is known; None for others."""
        return self.finding.draws_to_plan(self.missed)

    def as_row(self) -> dict[str, Any]:
        """Return the finding as plain JSON; a missing bound is None."""
        found = self.finding
        return {
            "what": found.what,
            "value": found.value,
            "stderr": None if found.known is not None else found.stderr,
            "interval": [self.low, self.high],
            "at_least": found.at_least if math.isfinite(found.at_least) else None,
            "at_most": found.at_most if math.isfinite(found.at_most) else None,
            "smallest": found.smallest,
            "draws": found.draws,
            "draws_to_decide": self.draws_to_decide,
            "draws_to_plan": self.draws_to_plan,
            "verdict": self.verdict,
        }


def jointly(findings: Sequence[Finding]) -> list[JointFinding]:
    """Return findings with intervals that all hold together with 95 % (Bonferroni)."""
    missed = MISSED / max(len(findings), 1)
    return [JointFinding(f, *f.interval(missed), f.verdict(missed), missed) for f in findings]


def combined(findings: Sequence[Finding]) -> Verdict:
    """Return the verdict on several findings together; undecided if there are none.

    Intervals are widened, see `jointly`, so that a true claim is refuted with a chance of at most
    5 %, however many findings it has.
    """
    if not findings:
        return "undecided"
    found = {each.verdict for each in jointly(findings)}
    if "not reproduced" in found:
        return "not reproduced"
    return "reproduced" if found == {"reproduced"} else "undecided"
