"""Deep linear networks under Langevin training: the stationary state in closed form.

The saddle point of arXiv:2502.07998 for linear activation, with prior variance s^2 = T / lambda
of every weight. The conjugate kernels of all layers are of rank one, along
v = (Phi_L + lambda)^{-1} y, and every layer stretches the direction K v by the same factor e^t:

    Phi_l = s^{2 l} [K + (e^{l t} - 1) K v v^T K / (v.K v)],   f(x) = Phi_L(x, X) v = r K(x, X) v
    r = s^{2 L} e^{L t},   v = (lambda + r K)^{-1} y,   1 - e^{-t} = gamma^2 e^{-t} r v.K v / s^2

The last equation is the stationarity in t of the action
S(t) = gamma^2 y.v / (2 s^2) + L (e^t - 1 - t) / 2: one unknown, whatever the depth.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from harness.numerics.solver_error import SolverError

Times = NDArray[np.float64] | float

GRID = 2000
"""Number of intervals of t in the search for minima of the action."""

LARGEST = 600.0
"""Largest logarithm of r in the search, short of overflow."""


class StationaryLinear(NamedTuple):
    """The stationary state of a deep linear network.

    Attributes:
        output: f on all points, (points,).
        kernels: Phi_l of every layer, (L, points, points).
        stretch: e^t, by which every layer stretches its leading direction.
        residual: of the equation for t, relative to its left side.
        minima: number of minima of the action; the lowest is taken.
    """

    output: Float64[np.ndarray, " points"]
    kernels: Float64[np.ndarray, "layers points points"]
    stretch: float
    residual: float
    minima: int


def solve_stationary_linear(
    gram: Float64[np.ndarray, "points points"],
    y: Float64[np.ndarray, " train"],
    *,
    depth: int,
    richness: float,
    decay: float,
    temperature: float,
) -> StationaryLinear:
    """Solve for the stationary state of a deep linear network; exact, singular kernels included.

    Args:
        gram: K_x between all points, the training points first.
        y: labels of the training points.
        depth: hidden layers L.
        richness: gamma.
        decay: lambda, positive.
        temperature: T, positive.

    Raises:
        SolverError: if the prior variance overflows at this depth.
    """
    train, variance = len(y), temperature / decay
    values, vectors = np.linalg.eigh(gram[:train, :train])
    exponents = stationary_exponents(
        np.maximum(values, 0.0), (vectors.T @ y) ** 2, depth, richness, decay, variance
    )
    t = exponents[0]
    r = float(np.exp(depth * (np.log(variance) + t)))
    v, direction, spike = _spike(gram, y, decay, r)
    layers = np.arange(1, depth + 1)[:, None, None]
    kernels = variance**layers * (gram + np.expm1(layers * t) * spike)
    pull = richness**2 / variance * np.exp(-t) * r * float(v @ direction[:train])
    left = -np.expm1(-t)
    residual = abs(left - pull) / left if left > 0 else 0.0
    return StationaryLinear(r * direction, kernels, float(np.exp(t)), residual, len(exponents))


def stationary_exponents(
    values: Float64[np.ndarray, " train"],
    weights: Float64[np.ndarray, " train"],
    depth: int,
    richness: float,
    decay: float,
    variance: float,
) -> list[float]:
    """Return t at every minimum of the action, the lowest minimum first.

    Args:
        values: eigenvalues of K on the training points.
        weights: squared components of the labels along its eigenvectors.
        depth: hidden layers L.
        richness: gamma.
        decay: lambda.
        variance: s^2.

    Raises:
        ValueError: if the prior variance overflows at this depth.
    """
    from scipy.optimize import brentq

    furthest = LARGEST / depth - np.log(variance)
    if furthest <= 0:
        raise SolverError(
            f"a prior variance T / lambda = {variance:g} of every weight overflows over"
            f" {depth} layers",
            "use a lower temperature, or more decay",
        )

    def scale(t: Times) -> NDArray[np.float64]:
        return np.asarray(np.exp(depth * (np.log(variance) + np.asarray(t, np.float64))))

    def slope(t: Times) -> NDArray[np.float64]:
        """Return 2 / L dS/dt, divided by e^t: of the sign of the action's slope."""
        stretched = scale(t)[..., None] * values
        overlap = np.sum(weights * (stretched / (decay + stretched)) / (decay + stretched), axis=-1)
        pull = richness**2 / variance * np.exp(-np.asarray(t)) * overlap
        return np.asarray(-np.expm1(-np.asarray(t)) - pull)

    def action(t: float) -> float:
        fit = np.sum(weights / (decay + scale(t) * values))
        return float(richness**2 * fit / (2 * variance) + depth * (np.expm1(t) - t) / 2)

    grid = np.concatenate([np.zeros(1), np.geomspace(1e-12, furthest, GRID)])
    found = slope(grid)
    rising = np.flatnonzero((found[:-1] < 0) & (found[1:] >= 0))
    roots = [
        float(brentq(lambda t: float(slope(t)), grid[i], grid[i + 1], xtol=1e-15, rtol=1e-14))
        for i in rising
    ]
    # labels that the inputs cannot distinguish exert no pull, and the prior stays
    return sorted(roots, key=action) or [0.0]


def _spike(
    gram: NDArray[np.float64], y: NDArray[np.float64], decay: float, r: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return v = (lambda + r K)^{-1} y, K v on all points, and K v v^T K / (v.K v)."""
    train = len(y)
    v = np.asarray(np.linalg.solve(decay * np.eye(train) + r * gram[:train, :train], y))
    direction = np.asarray(gram[:, :train] @ v)
    size = float(v @ direction[:train])
    spike = np.outer(direction, direction) / size if size > 0 else np.zeros_like(gram)
    return v, direction, np.asarray(spike)


def solve_decayed_linear(
    gram: Float64[np.ndarray, "points points"],
    y: Float64[np.ndarray, " train"],
    *,
    richness: float,
    decay: float,
) -> StationaryLinear:
    """Solve for the fixed point of two-layer linear networks under decay, without noise.

    The limit T -> 0 of `solve_stationary_linear`: all weights lie along one direction, with
    Phi = rho K v v^T K / (v.K v) and f = rho K v. rho >= 0 minimises the convex function
    gamma^2 y.(lambda + rho K)^{-1} y + rho; it is 0, and with it f, if gamma^2 y.K y < lambda^2.

    Args:
        gram: K_x between all points, the training points first.
        y: labels of the training points.
        richness: gamma.
        decay: lambda, positive.
    """
    from scipy.optimize import brentq

    train = len(y)
    values, vectors = np.linalg.eigh(gram[:train, :train])
    values = np.maximum(values, 0.0)
    weights = (vectors.T @ y) ** 2

    def slope(rho: float) -> float:
        return float(1.0 - richness**2 * np.sum(weights * values / (decay + rho * values) ** 2))

    rho = 0.0
    if slope(0.0) < 0:
        further = 1.0
        while slope(further) < 0:
            further *= 2.0
        rho = float(brentq(slope, 0.0, further, xtol=1e-15 * further, rtol=1e-14))
    _, direction, spike = _spike(gram, y, decay, rho)
    residual = abs(slope(rho)) if rho > 0 else 0.0
    return StationaryLinear(rho * direction, rho * spike[None], rho, residual, 1)
