"""Distance of an ensemble of networks from a theory, its trend with width, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

TOLERANCE = 0.05
"""Limit gap, relative to the norm of the theory's prediction, within which theories agree."""

RESAMPLES = 1000
CONFIDENCE = 0.95

Verdict = Literal["agrees", "disagrees", "undecided"]
Interval = tuple[float, float]
Ensemble = Mapping[int, Float[NDArray[Any], "seeds components"]]


@dataclass(frozen=True)
class Score:
    """How networks approach a theory on one observable. All distances are relative to |theory|.

    Attributes:
        discrepancy: root mean square over seeds of |network - theory|, by width, corrected for
            the theory's sampling error.
        discrepancy_ci: bootstrap intervals over seeds and theory error.
        exponent: e in discrepancy ~ N^-e over all widths; None with fewer than two.
        exponent_ci: its interval.
        limit_gap: |limit - theory|, the limit being the intercept of a regression on 1/N,
            corrected for the sampling errors of both.
        limit_gap_ci: its interval.
        theory_stderr: the theory's own standard error.
        width_at_5_percent: width at which the discrepancy falls to 5 %; None if it never does.
        verdict: by equivalence: "agrees" when the gap's interval lies under the tolerance,
            "disagrees" when it lies above, else "undecided".
    """

    discrepancy: dict[int, float]
    discrepancy_ci: dict[int, Interval]
    exponent: float | None
    exponent_ci: Interval | None
    limit_gap: float
    limit_gap_ci: Interval | None
    theory_stderr: float
    width_at_5_percent: float | None
    verdict: Verdict


def score(
    networks: Ensemble,
    theory: Float[NDArray[Any], " components"],
    stderr: Float[NDArray[Any], " components"] | None = None,
    *,
    tolerance: float = TOLERANCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Score:
    """Score a theory against networks of several widths.

    Args:
        networks: by width N, one row for each seed.
        theory: its prediction.
        stderr: its standard errors, zero if None.
        tolerance: relative gap that counts as agreement.
        resamples: bootstrap samples.
        seed: of the bootstrap.

    Raises:
        ValueError: if there are no networks, or the theory predicts zero.
    """
    widths = sorted(networks)
    if not widths:
        raise ValueError("a score needs networks of at least one width")
    errors = {n: np.asarray(networks[n], dtype=np.float64) - theory for n in widths}
    sigma = np.zeros_like(theory) if stderr is None else np.asarray(stderr, dtype=np.float64)
    norm2, sigma2 = float(theory @ theory), float(sigma @ sigma)
    if norm2 == 0:
        raise ValueError("the theory predicts zero, so no relative distance is defined")
    rng = np.random.default_rng(seed)
    noise = sigma * rng.standard_normal((resamples, len(sigma)))
    counts = {n: _resample(rng, resamples, len(errors[n])) for n in widths}

    squared = {n: float(np.mean(_squares(errors[n]))) - sigma2 for n in widths}
    squared_b = {
        n: counts[n] @ _squares(errors[n])
        - 2 * np.sum((counts[n] @ errors[n]) * noise, axis=1)
        + _squares(noise)
        - 2 * sigma2
        for n in widths
    }
    gap2, gap2_b = _limit_gap(errors, counts, noise, sigma2)
    exponent = _exponent(widths, np.array([[squared[n]] for n in widths]))
    exponents = _exponent(widths, np.stack([squared_b[n] for n in widths]))
    gap_ci = None if gap2_b is None else _interval(_root(gap2_b / norm2))
    return Score(
        discrepancy={n: float(_root(squared[n] / norm2)) for n in widths},
        discrepancy_ci={n: _interval(_root(squared_b[n] / norm2)) for n in widths},
        exponent=None if exponent is None else float(exponent[0]),
        exponent_ci=None if exponents is None else _interval(exponents),
        limit_gap=float(_root(gap2 / norm2)),
        limit_gap_ci=gap_ci,
        theory_stderr=float(np.sqrt(sigma2 / norm2)),
        width_at_5_percent=_width_at(tolerance, widths, [squared[n] / norm2 for n in widths]),
        verdict=_verdict(gap_ci, tolerance),
    )


def _limit_gap(
    errors: Ensemble,
    counts: Mapping[int, NDArray[Any]],
    noise: NDArray[Any],
    sigma2: float,
) -> tuple[float, NDArray[Any] | None]:
    """Return the squared distance of the networks' limit from the theory, and its resamples.

    The limit is the intercept of a least-squares fit of every component on 1/N, a network of
    width N weighing N. Its squared length exceeds the truth by the variance of the intercept and
    of the theory on average, and a resampled one by twice that.
    """
    widths = list(errors)
    coefficients = dict(
        zip(widths, _intercept(widths, [len(errors[n]) for n in widths]), strict=True)
    )
    limit = sum(c * errors[n].mean(axis=0) for n, c in coefficients.items())
    if min(len(e) for e in errors.values()) < 2:
        return float(limit @ limit) - sigma2, None
    variance = sum(
        c**2 * float(np.sum(errors[n].var(axis=0, ddof=1))) / len(errors[n])
        for n, c in coefficients.items()
    )
    drawn = limit - noise
    for n, c in coefficients.items():
        spread = errors[n] - errors[n].mean(axis=0)
        drawn = drawn + c * np.sqrt(len(spread) / (len(spread) - 1)) * (counts[n] @ spread)
    squared = float(limit @ limit) - variance - sigma2
    return squared, _squares(drawn) - 2 * (variance + sigma2)


def _intercept(widths: list[int], seeds: list[int]) -> NDArray[Any]:
    """Return the weight of every width's mean in the intercept of the regression on 1/N."""
    if len(widths) == 1:
        return np.ones(1)
    inverse = 1.0 / np.array(widths, dtype=np.float64)
    design = np.stack([np.ones_like(inverse), inverse], axis=1)
    weight = np.array(seeds) / inverse
    coefficients: NDArray[Any] = np.linalg.solve(
        design.T @ (weight[:, None] * design), (weight[:, None] * design).T
    )[0]
    return coefficients


def _exponent(widths: list[int], squared: Float[NDArray[Any], "widths n"]) -> NDArray[Any] | None:
    """Return e of discrepancy ~ N^-e for every column; not-a-number where one is not positive."""
    if len(widths) < 2:
        return None
    x = np.log(np.array(widths, dtype=np.float64))
    x = x - x.mean()
    with np.errstate(invalid="ignore", divide="ignore"):
        y = np.log(np.where(squared > 0, squared, np.nan)) / 2
    slopes: NDArray[Any] = -(x @ y) / (x @ x)
    return None if np.isnan(slopes).all() else slopes


def _width_at(level: float, widths: list[int], squared: list[float]) -> float | None:
    """Return the width at which d^2 = g^2 + v / N, fitted with g, v >= 0, falls to level^2."""
    from scipy.optimize import nnls

    n = np.array(widths, dtype=np.float64)
    d2 = np.clip(np.array(squared), 0.0, None)
    # the spread of an estimated square is in proportion to itself
    scale = 1.0 / np.maximum(d2, 1e-12)
    design = np.stack([np.ones_like(n), 1.0 / n], axis=1) * scale[:, None]
    (floor, slope), _ = nnls(design, d2 * scale)
    return float(slope / (level**2 - floor)) if floor < level**2 else None


def _verdict(interval: Interval | None, tolerance: float) -> Verdict:
    if interval is None:
        return "undecided"
    if interval[1] < tolerance:
        return "agrees"
    return "disagrees" if interval[0] > tolerance else "undecided"


def _resample(rng: np.random.Generator, resamples: int, seeds: int) -> NDArray[Any]:
    """Return bootstrap weights of the seeds, (resamples, seeds), rows summing to 1."""
    drawn: NDArray[Any] = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds
    return drawn


def _squares(rows: NDArray[Any]) -> NDArray[Any]:
    squares: NDArray[Any] = np.sum(rows**2, axis=-1)
    return squares


def _root(squared: Any) -> NDArray[Any]:
    roots: NDArray[Any] = np.sqrt(np.clip(squared, 0.0, None))
    return roots


def _interval(samples: NDArray[Any]) -> Interval:
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.nanpercentile(samples, [tail, 100 - tail])
    return float(low), float(high)
