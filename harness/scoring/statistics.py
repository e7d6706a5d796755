"""Distance of an ensemble of networks from a theory, its trend with width, and the verdict."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from harness.scoring.advice import OpenVerdict, what_would_decide
from harness.scoring.gap import Interval, Noise, Vector, gap_interval, squared_gap
from harness.scoring.limit import Limit, ValuesByWidth, extrapolate
from harness.scoring.trend import Fit, Reach, exponent, fit, width_at

TOLERANCE = 0.05
"""Limit gap, relative to the norm of the theory's prediction, within which theories agree."""

RESAMPLES = 1000
CONFIDENCE = 0.95

Verdict = Literal["agrees", "disagrees", "undecided"]


@dataclass(frozen=True)
class Score:
    """Networks against a theory on one observable. All distances are relative to |theory|.

    Attributes:
        discrepancy: root mean square over seeds of |network - theory|, by width, corrected for
            the theory's sampling error.
        discrepancy_ci: bootstrap intervals over seeds and theory error.
        ensemble_discrepancy: |mean over seeds - theory|, by width, corrected for the sampling
            errors of both; None for a width with one seed.
        ensemble_discrepancy_ci: its intervals.
        exponent: e in discrepancy ~ N^-e over all widths; None with fewer than two.
        exponent_ci: its interval.
        limit_gap: |limit - theory|, the limit being the intercept of a regression on 1/N,
            corrected for the sampling errors of both.
        limit_gap_ci: its interval; None with one width, or where no width has two seeds.
        limit_stderr: standard error of the limit; None where no width has two seeds.
        theory_stderr: the theory's own standard error.
        dropped_widths: widths too small for the regression on 1/N, left out of limit and fit.
        fit: of discrepancy^2 by floor + noise / N + bias / N^2.
        width_at_5_percent: width at which the fit falls to 5 %; None if it never does, or if a
            single width shows nothing of it.
        width_at_5_percent_kind: whether this lies within the widths that were fitted.
        verdict: by equivalence: "agrees" when the gap's interval lies under the tolerance,
            "disagrees" when it lies above, else "undecided".
        advice: work that would decide an open verdict; None for others.
    """

    discrepancy: dict[int, float]
    discrepancy_ci: dict[int, Interval]
    ensemble_discrepancy: dict[int, float | None]
    ensemble_discrepancy_ci: dict[int, Interval | None]
    exponent: float | None
    exponent_ci: Interval | None
    limit_gap: float
    limit_gap_ci: Interval | None
    limit_stderr: float | None
    theory_stderr: float
    dropped_widths: list[int]
    fit: Fit
    width_at_5_percent: float | None
    width_at_5_percent_kind: Reach | None
    verdict: Verdict
    advice: str | None


def score(
    networks: ValuesByWidth,
    theory: Vector,
    stderr: Vector | None = None,
    *,
    replicates: Float[np.ndarray, "replicates components"] | None = None,
    tolerance: float = TOLERANCE,
) -> Score:
    """Score a theory against networks of several widths.

    The same arguments always give the same score: resamples are drawn from a fixed seed.

    Args:
        networks: by width N, one row for each seed.
        theory: its prediction.
        stderr: its standard errors, zero if None.
        replicates: independent estimates whose mean is the prediction; their covariance is that
            of the theory's error, in place of `stderr`. Without them, errors are taken to be
            correlated between components as the networks' fluctuations are.
        tolerance: relative gap that counts as agreement.

    Raises:
        ValueError: if there are no networks, or the theory predicts zero.
    """
    found = _measure(networks, theory, stderr, replicates, tolerance)
    errors, limit, own, interval = found.errors, found.limit, found.theory, found.interval
    widths = sorted(errors)
    squared = {n: float(np.mean(_squares(errors[n]))) - own.variance for n in widths}
    resampled = _resampled_squares(errors, own.rows(limit.noise))
    slope = exponent(widths, np.array([[squared[n]] for n in widths]))
    slopes = exponent(widths, np.stack([resampled[n] for n in widths]))
    fitted = fit(limit.widths, [squared[n] for n in limit.widths])
    reach = width_at(tolerance, fitted, limit.widths)
    if len(limit.widths) == 1 and reach is not None and reach[1] == "extrapolated":
        reach = None  # one width shows no decay
    ensembles = {n: _ensemble(errors[n], own, tolerance) for n in widths}

    verdict = _verdict(interval, tolerance)
    return Score(
        discrepancy={n: _root(squared[n]) for n in widths},
        discrepancy_ci={n: _interval(np.sqrt(np.maximum(resampled[n], 0))) for n in widths},
        ensemble_discrepancy={n: found[0] for n, found in ensembles.items()},
        ensemble_discrepancy_ci={n: found[1] for n, found in ensembles.items()},
        exponent=None if slope is None else float(slope[0]),
        exponent_ci=None if slopes is None else _interval(slopes),
        limit_gap=found.gap,
        limit_gap_ci=interval,
        limit_stderr=None if limit.noise is None else _root(limit.noise.variance),
        theory_stderr=_root(own.variance),
        dropped_widths=limit.dropped,
        fit=fitted,
        width_at_5_percent=None if reach is None else reach[0],
        width_at_5_percent_kind=None if reach is None else reach[1],
        verdict=verdict,
        advice=None if verdict != "undecided" else _advice(found, tolerance),
    )


def limit_gap(
    networks: ValuesByWidth,
    theory: Vector,
    stderr: Vector | None = None,
    *,
    replicates: Float[np.ndarray, "replicates components"] | None = None,
    tolerance: float = TOLERANCE,
) -> tuple[float, Interval | None, Verdict]:
    """Return the limit gap alone, its interval and the verdict; arguments as for `score`."""
    found = _measure(networks, theory, stderr, replicates, tolerance)
    return found.gap, found.interval, _verdict(found.interval, tolerance)


@dataclass(frozen=True)
class _Measured:
    """The limit gap, its interval and the verdict, with their inputs, relative to |theory|."""

    errors: ValuesByWidth
    theory: _TheoryError
    limit: Limit
    gap: float
    interval: Interval | None


def _measure(
    networks: ValuesByWidth,
    theory: Vector,
    stderr: Vector | None,
    replicates: Float[np.ndarray, "replicates components"] | None,
    tolerance: float,
) -> _Measured:
    widths = sorted(networks)
    if not widths:
        raise ValueError("a score needs networks of at least one width")
    theory = np.asarray(theory, dtype=np.float64)
    norm = float(np.linalg.norm(theory))
    if norm == 0:
        raise ValueError("the theory predicts zero, so no relative distance is defined")
    errors = {n: (np.asarray(networks[n], dtype=np.float64) - theory) / norm for n in widths}
    limit = extrapolate(errors)
    own = _theory_error(len(theory), norm, stderr, replicates)
    gap2, interval = float(limit.vector @ limit.vector) - own.variance, None
    if limit.noise is not None:
        known = own.beside(limit.noise)
        gap2 = squared_gap(limit.vector, known)
        if len(widths) > 1:
            interval = gap_interval(limit.vector, known, tolerance)
    return _Measured(errors, own, limit, _root(gap2), interval)


def _verdict(interval: Interval | None, tolerance: float) -> Verdict:
    if interval is None:
        return "undecided"
    if interval[1] < tolerance:
        return "agrees"
    return "disagrees" if interval[0] > tolerance else "undecided"


@dataclass(frozen=True)
class _TheoryError:
    """The sampling error of a theory: its variance, and its covariance as far as it is known.

    Attributes:
        variance: sum over all components, relative to |theory|^2.
        replicated: its noise where there are replicates.
        single: its standard errors as one direction.
    """

    variance: float
    replicated: Noise | None
    single: Noise

    def beside(self, networks: Noise) -> list[Noise]:
        """Return all noise of an estimate from networks and the theory.

        Without replicates, the theory's covariance is taken to be that of the networks, scaled;
        where networks do not fluctuate, all of it lies in one direction, the most uneven
        covariance possible.
        """
        if self.replicated is not None:
            return [networks, self.replicated]
        if networks.variance == 0:
            return [networks, self.single] if self.variance else [networks]
        scale = 1 + self.variance / networks.variance
        return [replace(networks, weight=networks.weight * scale)]

    def rows(self, networks: Noise | None) -> NDArray[Any]:
        """Return rows whose outer products add up to the theory's covariance."""
        if self.replicated is not None:
            return self.replicated.rows
        if networks is None or networks.variance == 0:
            return self.single.rows
        scaled: NDArray[Any] = networks.rows * np.sqrt(self.variance / networks.variance)
        return scaled


def _theory_error(
    components: int,
    norm: float,
    stderr: Vector | None,
    replicates: Float[np.ndarray, "replicates components"] | None,
) -> _TheoryError:
    sigma = np.zeros(components) if stderr is None else np.asarray(stderr, np.float64) / norm
    single = Noise(sigma[None], 1)
    if replicates is None or len(replicates) < 2:
        return _TheoryError(single.variance, None, single)
    drawn = np.asarray(replicates, dtype=np.float64) / norm
    found = Noise(drawn - drawn.mean(axis=0), len(drawn) - 1, 1 / len(drawn))
    return _TheoryError(found.variance, found, single)


def _resampled_squares(errors: ValuesByWidth, rows: NDArray[Any]) -> dict[int, NDArray[Any]]:
    """Return bootstrap samples of the squared discrepancy of every width.

    Seeds are drawn with replacement; the theory is moved by Gaussian noise of its covariance,
    the sum of outer products of the rows, which adds its variance a second time.
    """
    variance = float(np.sum(rows**2))
    drawn = _gaussians(len(rows))
    squares = np.einsum("bi,bi->b", drawn @ (rows @ rows.T), drawn)
    found = {}
    for place, (n, error) in enumerate(errors.items()):
        counts = _counts(len(error), place)
        cross = np.einsum("bi,bi->b", counts @ (error @ rows.T), drawn)
        found[n] = counts @ _squares(error) - 2 * cross + squares - 2 * variance
    return found


def _ensemble(
    error: NDArray[Any], theory: _TheoryError, tolerance: float
) -> tuple[float | None, Interval | None]:
    """Return the distance of the mean over seeds, and its interval; None for one seed."""
    seeds = len(error)
    if seeds < 2:
        return None, None
    mean = error.mean(axis=0)
    known = theory.beside(Noise(error - mean, seeds - 1, 1 / seeds))
    return _root(squared_gap(mean, known)), gap_interval(mean, known, tolerance)


def _advice(found: _Measured, tolerance: float) -> str:
    limit = found.limit
    if len(limit.widths) < 2:
        return "one width does not show a limit: run at least one more, twice as large"
    if found.interval is None or limit.noise is None:
        return "one network of each width does not show their spread: run at least 4 seeds"
    return what_would_decide(
        OpenVerdict(
            found.gap,
            found.interval,
            tolerance,
            limit.noise.variance,
            found.theory.variance,
            min(len(found.errors[n]) for n in limit.widths),
            limit.widths[-1],
        )
    )


@functools.cache
def _counts(seeds: int, place: int) -> NDArray[Any]:
    """Return bootstrap weights of the seeds, (resamples, seeds), rows summing to 1.

    Args:
        seeds: number of seeds.
        place: of the width among the widths, which are resampled independently.
    """
    rng = np.random.default_rng([place, seeds])
    shares = np.full(seeds, 1 / seeds)
    drawn: NDArray[Any] = rng.multinomial(seeds, shares, size=RESAMPLES) / seeds
    return drawn


@functools.cache
def _gaussians(count: int) -> NDArray[Any]:
    return np.random.default_rng(count).standard_normal((RESAMPLES, count))


def _squares(rows: NDArray[Any]) -> NDArray[Any]:
    squares: NDArray[Any] = np.sum(rows**2, axis=-1)
    return squares


def _root(squared: float) -> float:
    return float(np.sqrt(max(squared, 0.0)))


def _interval(samples: NDArray[Any]) -> Interval:
    """Return the ends of the middle `CONFIDENCE` of samples, ignoring nan.

    Interpolation is linear, as in `numpy.percentile`, which takes five times the time.
    """
    known = np.sort(samples[~np.isnan(samples)])
    if not len(known):
        return np.nan, np.nan
    at = (len(known) - 1) * (1 - CONFIDENCE) / 2
    first, share = int(at), at % 1
    low, high = (
        float(end[first] + share * (end[min(first + 1, len(end) - 1)] - end[first]))
        for end in (known, known[::-1])
    )
    return low, high
