"""The length of a vector that is estimated with noise, and its confidence interval.

A gap is the length of the mean g of an estimate e = g + noise, where the noise has covariance C.
|e|^2 has mean |g|^2 + tr C and variance 4 g'Cg + 2 tr C^2, so near g = 0 it is far from Gaussian
and resamples of it pile up above the truth. The interval inverts tests instead: a gap is kept if
the distribution of |e|^2 under that gap, made from a multiplier bootstrap over the residuals of
every source of noise, holds the observed value between its tails.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

RESAMPLES = 1024
STEPS = 9
"""Bisections for an end of an interval, to less than 1/100 of the noise's standard deviation: a
tenth of the end's error from `RESAMPLES`."""

NEAR = 8.0
"""Standard deviations of the noise below a gap that the search for the lower end covers first."""

MISSED = 0.05
"""Chance that an interval misses the truth."""

LEAST_LIKELY = 0.16
"""Chance of an |e| below the one that an upper end is made for, at least, if the gap is zero."""

MISSED_ABOVE = 0.015
"""Chance that an interval lies above the truth, if the truth is the tolerance or more."""

Interval = tuple[float, float]
Vector = Float[np.ndarray, " components"]


@dataclass(frozen=True)
class Noise:
    """One source of noise of an estimate: networks of some widths, or a theory's replicates.

    Attributes:
        residuals: deviations from their means, (m, components); C is estimated by ``weight``
            times their sum of outer products divided by ``freedom``.
        freedom: number of independent deviations.
        weight: contribution of one deviation of variance 1 to the variance of the estimate.
    """

    residuals: Float[np.ndarray, "m components"]
    freedom: int
    weight: float = 1.0

    @functools.cached_property
    def rows(self) -> Float[np.ndarray, "m components"]:
        """At most one row a component, scaled so that C is the sum of their outer products."""
        scaled: NDArray[Any] = np.sqrt(self.weight / self.freedom) * self.residuals
        if len(scaled) > scaled.shape[1]:
            return np.asarray(np.linalg.qr(scaled, mode="r"))
        return scaled

    @functools.cached_property
    def variance(self) -> float:
        """The trace of C."""
        return float(self.weight / self.freedom * np.sum(self.residuals**2))


def squared_gap(estimate: Vector, noise: Sequence[Noise]) -> float:
    """Return |g|^2 without the bias from noise; may be negative."""
    return float(estimate @ estimate) - sum(source.variance for source in noise)


def gap_interval(estimate: Vector, noise: Sequence[Noise], tolerance: float) -> Interval:
    """Return the 95 % confidence interval of |g|.

    The 5 % that it misses are split: from the tolerance on, 1.5 % lie on the side of wrong
    disagreement and 3.5 % on the other; at zero, where nothing can lie below, all lie above; the
    split is linear in between. So the interval covers a gap of zero as often as any other.

    An |e| far below its noise says nothing of small gaps, though its interval would end near zero
    however large the noise is. So the upper end is at least that of an |e| at the 16 % quantile of
    its law without a gap, a limit constrained by power (Cowan et al., arXiv:1105.3166).

    Args:
        estimate: e.
        noise: its independent sources, each with at least one degree of freedom.
        tolerance: gap above which the split is constant.
    """
    law = _Law(estimate, noise)
    if law.trace == 0:
        return (float(np.sqrt(law.squared)),) * 2

    def below(gap: float) -> float:
        return (MISSED - MISSED_ABOVE) * min(1.0, gap / tolerance)

    def too_small(gap: float) -> bool:
        return law.exceeds(gap) < MISSED - below(gap)

    least = max(law.squared, law.quantile(LEAST_LIKELY))

    def small_enough(gap: float) -> bool:
        return 1 - law.exceeds(gap, least) >= below(gap)

    centre = math.sqrt(max(law.squared - law.trace, 0.0))
    spread = math.sqrt(law.trace)
    low = 0.0
    if too_small(low):
        near = centre - NEAR * spread
        begin = near if near > 0 and too_small(near) else 0.0
        low = _last(too_small, begin, centre + spread)
    high = max(low, centre) + 2 * spread
    while small_enough(high):
        high += centre + 4 * spread
    return low, max(low, _last(small_enough, low, high))


def lack_of_fit(estimate: Vector, noise: Noise) -> float:
    """Return the probability of an |e| this large if g = 0; 1 if the noise is exactly zero.

    |e|^2 / tr C is compared with an F distribution of k and k times ``freedom`` degrees of
    freedom, k = (tr C)^2 / tr C^2 (Satterthwaite).
    """
    from scipy.special import fdtrc

    rows = noise.rows
    squared, trace = float(estimate @ estimate), noise.variance
    if trace == 0:
        return 1.0
    directions = trace**2 / _second_moment(rows @ rows.T, noise.freedom, len(estimate))
    return float(fdtrc(directions, directions * noise.freedom, squared / trace))


class _Law:
    """The distribution of |e|^2 under any |g|: (|g| + x)^2 + q, by bootstrap.

    x is the noise along g, of variance t = g'Cg / |g|^2, and q that across it. The bootstrap
    multiplies every residual by an independent Gaussian; its moments are then corrected, since
    an estimated covariance is more uneven than the true one: t and tr C^2 are estimated without
    bias, and the uncertainty of the estimates widens x and q as in Student's t and Fisher's F.
    The estimate of g'Cg varies with |e|^2; under another |g| it is corrected for that.
    """

    def __init__(self, estimate: Vector, noise: Sequence[Noise]) -> None:
        parts = [source.rows for source in noise]
        rows = np.concatenate(parts)
        gram = rows @ rows.T
        along = rows @ estimate
        self.squared = float(estimate @ estimate)
        self.trace = trace = float(np.trace(gram))
        if trace == 0:
            return
        raw2 = float(np.sum(gram**2))
        trace2, uncertain, curvature = raw2, 0.0, 0.0
        start = 0
        for source, part in zip(noise, parts, strict=True):
            block = slice(start, start + len(part))
            start = block.stop
            own = _second_moment(gram[block, block], source.freedom, len(estimate))
            trace2 += own - float(np.sum(gram[block, block] ** 2))
            uncertain += own / source.freedom
            curvature += float(along[block] @ along[block]) ** 2 / source.freedom
        self.trace2 = trace2 = min(max(trace2, trace**2 / len(estimate)), raw2)
        self._most_along = min(math.sqrt(trace2), trace)
        freedom = trace2 / uncertain
        length = float(along @ along)
        self._along = length - trace2
        self._slope = _slope(gram, along, self.squared, trace, trace2, freedom)
        squares, self._x, _ = _multipliers(len(rows))
        q = squares @ np.linalg.eigvalsh(gram)
        q -= np.add.reduce(q) / len(q)
        self._q = q / math.sqrt(q @ q / len(q))
        own = length**2 / curvature if curvature > 0 else freedom
        self._x = self._x / np.sqrt(_scaled_chi2(own, 0))
        self._heavy = 1 / _scaled_chi2(trace**2 / trace2 * freedom, 1)

    def quantile(self, chance: float) -> float:
        """Return the |e|^2 below which it lies with some chance if there is no gap."""
        across = np.maximum(self.trace + self._q * math.sqrt(2 * self.trace2), 0.0) * self._heavy
        place = int(chance * len(across))
        return float(np.partition(across, place)[place])

    def exceeds(self, gap: float, squared: float | None = None) -> float:
        """Return the chance of an |e|^2 at least as large as one, if |g| = gap.

        Args:
            gap: |g|.
            squared: the |e|^2; the one observed if None.
        """
        least = self.squared if squared is None else squared
        t = 0.0
        if gap > 0:
            product = self._along + self._slope * (gap**2 + self.trace - self.squared)
            t = min(max(product / gap**2, 0.0), self._most_along)
        # in place, as this takes most of the time of scores
        across = self._q * math.sqrt(max(2 * (self.trace2 - t**2), 0.0))
        across += self.trace - t
        np.maximum(across, 0.0, out=across)
        across *= self._heavy
        drawn = self._x * math.sqrt(t)
        drawn += gap
        drawn *= drawn
        drawn += across
        return int(np.count_nonzero(drawn >= least)) / len(drawn)


def _second_moment(gram: NDArray[Any], freedom: int, components: int) -> float:
    """Return tr C^2 of one source without bias, from the Gram matrix of its rows."""
    trace, raw = float(np.trace(gram)), float(np.sum(gram**2))
    if freedom < 2:
        return raw
    unbiased = freedom**2 / ((freedom - 1) * (freedom + 2)) * (raw - trace**2 / freedom)
    return min(max(unbiased, trace**2 / components), raw)


def _slope(
    gram: NDArray[Any],
    along: NDArray[Any],
    squared: float,
    trace: float,
    trace2: float,
    freedom: float,
) -> float:
    """Return the regression of e'Ce on |e|^2: (4 g'CCg + 2 tr C^3) / (4 g'Cg + 2 tr C^2).

    Third-order moments are corrected for the estimation of the covariance, as for a Wishart
    matrix.
    """
    if squared == 0:
        return trace2 / trace
    f = 1 / freedom
    length = float(along @ along)
    twice = (float(along @ gram @ along) - trace * length * f) / (1 + f)
    twice = max(twice, length**2 / squared)
    third = float(np.sum((gram @ gram) * gram))
    third = (third - 3 * trace * trace2 * (f + f**2) - trace**3 * f**2) / (1 + 3 * f + 4 * f**2)
    third = min(max(third, trace2**2 / trace), trace2**1.5)
    return (4 * max(twice - third, 0.0) + 2 * third) / (4 * max(length - trace2, 0.0) + 2 * trace2)


def _last(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Return the point at which a condition that holds at `low` ceases to hold, by bisection."""
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return (low + high) / 2


@functools.cache
def _multipliers(count: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return squares of Gaussian multipliers, Gaussians, and probabilities for two laws.

    Multipliers belong to the `count` principal directions of the residuals.
    The Gaussians and the probabilities are evenly spaced quantiles in random order, the
    multipliers exactly uncorrelated: less noise for the same number of resamples.
    """
    from scipy.special import ndtri

    rng = np.random.default_rng(0)
    even = (np.arange(RESAMPLES) + 0.5) / RESAMPLES
    chances = np.stack([rng.permutation(even) for _ in range(2)])
    gaussian = ndtri(rng.permutation(even))
    drawn = rng.standard_normal((RESAMPLES, count))
    if count < RESAMPLES:
        drawn = np.linalg.qr(drawn)[0] * np.sqrt(RESAMPLES)
    return drawn**2, gaussian, chances


SPREADS = 64
"""Values of 1 / sqrt(freedom), from 0 to 1, at which the quantiles of chi^2 are computed."""


def _scaled_chi2(freedom: float, which: int) -> NDArray[Any]:
    """Return draws of chi^2 / freedom, for at least one degree of freedom.

    The cube root of chi^2 / freedom is nearly Gaussian (Wilson and Hilferty), and its quantiles,
    shifted and scaled to be so, are smooth in 1 / sqrt(freedom): four of them are interpolated by
    a cubic. It is within 1e-6 of the law, and takes a hundredth of the time of its inverse.
    """
    spread = min(1.0, freedom**-0.5)
    at = spread * SPREADS
    first = min(max(math.floor(at) - 1, 0), SPREADS - 3)
    rows = _quantiles(which)[first : first + 4]
    weights = [math.prod((at - first - j) / (i - j) for j in range(4) if j != i) for i in range(4)]
    root = _centre(spread) + spread * (np.array(weights) @ rows)
    drawn: NDArray[Any] = root * root * root
    return drawn


def _centre(spread: float) -> float:
    """Return the approximate mean of the cube root of chi^2 / freedom."""
    return 1 - 2 / 9 * spread**2


@functools.cache
def _quantiles(which: int) -> NDArray[Any]:
    """Return quantiles of the cube root of chi^2 / freedom, minus its centre, over its spread."""
    from scipy.special import gammaincinv, ndtri

    chance = _multipliers(1)[2][which]
    rows = [ndtri(chance) * math.sqrt(2 / 9)]  # of infinitely many degrees of freedom
    for k in range(1, SPREADS + 1):
        spread = k / SPREADS
        half = spread**-2 / 2
        rows.append((np.cbrt(gammaincinv(half, chance) / half) - _centre(spread)) / spread)
    return np.array(rows)
