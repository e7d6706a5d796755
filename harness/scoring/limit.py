"""The networks' limit at infinite width: a weighted regression on 1/N, and its widths."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from harness.scoring.gap import Noise, Vector, lack_of_fit

FEWEST_WIDTHS = 3
"""Fewest widths that remain; with fewer, curvature in 1/N could not be detected."""

UNFIT = 0.01
"""Chance of dropping a width for which the expansion holds."""

ValuesByWidth = Mapping[int, Float[np.ndarray, "seeds components"]]


@dataclass(frozen=True)
class Limit:
    """The intercept of a regression of networks on 1/N.

    Attributes:
        vector: the intercept of every component.
        noise: its noise; None where no width has two seeds.
        widths: widths in the regression.
        dropped: smaller widths, for which the regression does not hold.
    """

    vector: Vector
    noise: Noise | None
    widths: list[int]
    dropped: list[int]


def extrapolate(networks: ValuesByWidth) -> Limit:
    """Fit every component as limit + slope / N; drop the smallest widths while the fit fails.

    A network of width N has weight N, since its variance falls as 1/N. A width is dropped if
    adding a term in 1/N^2 improves the fit significantly, at 1 %, and `FEWEST_WIDTHS` are left.
    With one width there is nothing to fit, and the result is its mean.

    Args:
        networks: by width N, one row for each seed.
    """
    widths = sorted(networks)
    dropped: list[int] = []
    while len(widths) > FEWEST_WIDTHS:
        curvature = _coefficient(networks, widths, power=2)
        if curvature.noise is None or lack_of_fit(curvature.vector, curvature.noise) >= UNFIT:
            break
        dropped.append(widths.pop(0))
    found = _coefficient(networks, widths, power=0)
    return Limit(found.vector, found.noise, widths, dropped)


def pooled_residuals(networks: ValuesByWidth, widths: Sequence[int]) -> NDArray[Any]:
    """Return sqrt(N) times every network's deviation from the mean of its width."""
    return np.concatenate([np.sqrt(n) * (networks[n] - networks[n].mean(axis=0)) for n in widths])


@functools.lru_cache(maxsize=256)
def regression_weights(
    widths: tuple[int, ...], seeds: tuple[int, ...], power: int
) -> Float[np.ndarray, " widths"]:
    """Return the weight of every width's mean in a coefficient of the regression on 1/N.

    Args:
        widths: N.
        seeds: number of networks of each.
        power: 0 for the intercept of a fit with terms 1 and 1/N; 2 for the coefficient of 1/N^2
            of a fit with terms 1, 1/N and 1/N^2.
    """
    if len(widths) == 1:
        return np.ones(1)
    # in units of the smallest width, so that powers stay comparable
    inverse = widths[0] / np.array(widths, dtype=np.float64)
    design = inverse[:, None] ** np.arange(3 if power == 2 else 2)
    root = np.sqrt(np.array(seeds) / inverse)
    weights: NDArray[Any] = np.linalg.pinv(root[:, None] * design)[power] * root
    return weights


def _coefficient(networks: ValuesByWidth, widths: list[int], power: int) -> Limit:
    """Return a coefficient of the regression with its noise, pooled over the widths."""
    seeds = [len(networks[n]) for n in widths]
    weights = regression_weights(tuple(widths), tuple(seeds), power)
    means = np.stack([networks[n].mean(axis=0) for n in widths])
    freedom = sum(seeds) - len(widths)
    noise = None
    if freedom > 0:
        scale = float(np.sum(weights**2 / (np.array(widths) * np.array(seeds))))
        noise = Noise(pooled_residuals(networks, widths), freedom, scale)
    return Limit(weights @ means, noise, widths, [])
