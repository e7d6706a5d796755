"""Judgement of a claim: numbers with errors, the ranges that the claim allows, and a verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from harness.errors import NotEnoughError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from harness.scoring import ScoreRow

Verdict = Literal["reproduced", "not reproduced", "undecided"]

MARKS: dict[Verdict, str] = {"reproduced": "✓", "not reproduced": "✗", "undecided": "?"}

MISSED = 0.05
"""Chance that one of the intervals behind a verdict misses the truth."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One number, and the range that the claim states for it.

    Args:
        what: name of the measured quantity, in words.
        value: the estimate.
        stderr: its standard error; 0 for a count.
        freedom: degrees of freedom of the standard error.
        at_least, at_most: the range that the claim allows.
        known: a confidence interval from another source, in place of `stderr`.

    Raises:
        ValueError: if a number is not finite, or a standard error negative.
    """

    what: str
    value: float
    stderr: float = 0.0
    freedom: float = math.inf
    at_least: float = -math.inf
    at_most: float = math.inf
    known: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and math.isfinite(self.stderr) and self.stderr >= 0):
            raise ValueError(f"{self.what}: {self.value} +- {self.stderr} is no measured number")

    @classmethod
    def mean(
        cls, what: str, values: ArrayLike, at_least: float = -math.inf, at_most: float = math.inf
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
        return cls(
            what=what,
            value=float(drawn.mean()),
            stderr=float(drawn.std(ddof=1) / math.sqrt(drawn.size)),
            freedom=drawn.size - 1,
            at_least=at_least,
            at_most=at_most,
        )

    @classmethod
    def gap(cls, row: ScoreRow, at_most: float) -> Finding:
        """Return the limit gap of a row of the leaderboard, with its interval.

        Raises:
            NotEnoughError: if the gap has no interval: there are too few widths or seeds.
        """
        what = f"limit gap of {row.theory}, {row.experiment}"
        if row.limit_gap_ci is None:
            raise NotEnoughError(f"{what}: too few networks for an interval")
        return cls(what=what, value=row.limit_gap, known=row.limit_gap_ci, at_most=at_most)

    @property
    def bounds(self) -> list[tuple[str, float]]:
        """The ends of the range that the claim allows, each with its sign."""
        ends = (("≥", self.at_least), ("≤", self.at_most))
        return [(sign, end) for sign, end in ends if math.isfinite(end)]

    def interval(self, missed: float = MISSED) -> tuple[float, float]:
        """Return the confidence interval that misses the truth with a chance of `missed`."""
        from scipy.special import ndtri, stdtrit

        if self.known is not None:
            return self.known
        tail = 1 - missed / 2
        quantile = ndtri(tail) if math.isinf(self.freedom) else stdtrit(self.freedom, tail)
        reach = float(quantile) * self.stderr
        return self.value - reach, self.value + reach

    def verdict(self, missed: float = MISSED) -> Verdict:
        """Return whether the interval lies inside the range, outside it, or across its edge."""
        low, high = self.interval(missed)
        if low >= self.at_least and high <= self.at_most:
            return "reproduced"
        outside = high < self.at_least or low > self.at_most
        return "not reproduced" if outside else "undecided"


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
    """

    finding: Finding
    low: float
    high: float
    verdict: Verdict

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
            "verdict": self.verdict,
        }


def jointly(findings: Sequence[Finding]) -> list[JointFinding]:
    """Return findings with intervals that all hold together with 95 % (Bonferroni)."""
    missed = MISSED / max(len(findings), 1)
    return [JointFinding(f, *f.interval(missed), f.verdict(missed)) for f in findings]


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
