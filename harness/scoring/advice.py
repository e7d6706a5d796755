"""Advice on the work that would decide an open verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.formats import percent_cell
from harness.scoring.gap import Interval

SMALLEST = 1.1
"""Smallest factor of work worth advising; less would decide by luck alone."""

MOST = 1000
"""Largest factor of work worth advising."""


@dataclass(frozen=True)
class OpenVerdict:
    """An open verdict and its numbers; distances are relative to |theory|.

    Attributes:
        gap, interval: the limit gap.
        tolerance: tolerance of the gap.
        limit_variance, theory_variance: squared standard errors of both sides.
        seeds: smallest number of networks of a width.
        widest: largest width.
    """

    gap: float
    interval: Interval
    tolerance: float
    limit_variance: float
    theory_variance: float
    seeds: int
    widest: int


def what_would_decide(verdict: OpenVerdict) -> str:
    """Return advice in one sentence: the factor of seeds, width, or theory samples to add.

    An interval shrinks about as the standard error, so the variance must fall by the square of
    the share of the interval's half that fits between the gap and the tolerance. Seeds and widths
    lower the networks' part in proportion, samples the theory's.
    """
    low, high = verdict.interval
    room = abs(verdict.tolerance - verdict.gap)
    half = verdict.gap - low if verdict.gap > verdict.tolerance else high - verdict.gap
    total = verdict.limit_variance + verdict.theory_variance
    wanted = total * min((room / half) ** 2, 1.0) if half > 0 else total
    gap, tolerance = percent_cell(verdict.gap), f"{100 * verdict.tolerance:g} %"
    if wanted * MOST <= total:
        return (
            f"the gap, {gap}, is too close to the tolerance of {tolerance} for"
            f" any realistic number of seeds: it would take over {MOST} times as many"
        )
    # each side may keep its share of the remaining variance
    share = wanted / total
    more_seeds = verdict.limit_variance > 0.1 * total
    more_samples = verdict.theory_variance > 0.1 * total
    if more_seeds and not more_samples:
        share = (wanted - verdict.theory_variance) / verdict.limit_variance
        share = max(share, wanted / total / 2)
    factor = max(math.ceil(10 / share) / 10, SMALLEST)
    parts = []
    if more_seeds:
        more = max(1, _rounded(verdict.seeds / share) - verdict.seeds)
        parts.append(
            f"about {more} more {'seed' if more == 1 else 'seeds'} of every width (or all widths"
            f" {_times(factor)} times as large, to about {_rounded(verdict.widest * factor)})"
        )
    if more_samples:
        parts.append(f"about {_times(factor)} times as many samples in the theory")
    return f"would be decided by {' and '.join(parts)}, if the gap stays at {gap}"


def _times(factor: float) -> str:
    return f"{factor:.1f}" if factor < 10 else f"{factor:,.0f}"


def _rounded(value: float) -> int:
    """Round up to two significant digits: more would feign precision."""
    digits = max(len(str(int(value))) - 2, 0)
    return int(-(-value // 10**digits)) * 10**digits
