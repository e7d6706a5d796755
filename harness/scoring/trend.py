"""Decay of the distance of single networks from a theory with width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

REWEIGHTINGS = 8

Reach = Literal["interpolated", "extrapolated"]


@dataclass(frozen=True)
class Fit:
    """d(N)^2 = floor + noise / N + bias / N^2, relative to |theory|^2, every term at least zero.

    Attributes:
        floor: squared gap that remains at infinite width.
        noise: from the networks' own fluctuation.
        bias: from the drift of their mean.
    """

    floor: float
    noise: float
    bias: float


def exponent(
    widths: Sequence[int], squared: Float[np.ndarray, "widths n"]
) -> Float[np.ndarray, " n"] | None:
    """Return e of d ~ N^-e for every column of d^2, by least squares of logarithms.

    None with fewer than two widths; not-a-number for a column that is not positive everywhere.
    """
    if len(widths) < 2:
        return None
    x = np.log(np.array(widths, dtype=np.float64))
    x = x - x.mean()
    with np.errstate(invalid="ignore", divide="ignore"):
        y = np.log(np.where(squared > 0, squared, np.nan)) / 2
    slopes: NDArray[Any] = -(x @ y) / (x @ x)
    return None if np.isnan(slopes).all() else slopes


def fit(widths: Sequence[int], squared: Sequence[float]) -> Fit:
    """Fit d^2 by non-negative least squares.

    The spread of a squared distance is proportional to the distance squared, so residuals are
    weighted by the inverse of the fitted values, which repeated fits give. With two widths there is
    no term in 1/N^2, and with one width only the term in 1/N.
    """
    from scipy.optimize import nnls

    n = np.array(widths, dtype=np.float64)
    d2 = np.array(squared, dtype=np.float64)
    if not (d2 > 0).any():
        return Fit(0.0, 0.0, 0.0)
    first = n[0]
    powers = [1] if len(n) == 1 else range(min(len(n), 3))
    design = np.stack([(first / n) ** p for p in powers], axis=1)
    level = float(np.mean(np.clip(d2, 0, None) * n)) / n
    terms = np.zeros(len(powers))
    for _ in range(REWEIGHTINGS):
        terms = nnls(design / level[:, None], d2 / level)[0]
        fitted = design @ terms
        if not fitted.any():
            break
        level = np.maximum(fitted, 1e-6 * fitted.max())
    found = dict(zip(powers, terms, strict=True))
    return Fit(
        float(found.get(0, 0.0)),
        float(found[1] * first),
        float(found.get(2, 0.0) * first**2),
    )


def width_at(level: float, found: Fit, widths: Sequence[int]) -> tuple[float, Reach] | None:
    """Return the width at which the fitted d falls to `level`, and its place among the widths.

    None if d never falls to `level`, or nowhere exceeds it.
    """
    over = level**2 - found.floor
    if over <= 0 or found.noise + found.bias == 0:
        return None
    # the positive root of over N^2 - noise N - bias = 0
    n = (found.noise + np.sqrt(found.noise**2 + 4 * over * found.bias)) / (2 * over)
    return float(n), "interpolated" if widths[0] <= n <= widths[-1] else "extrapolated"
