"""Two-layer networks under decay, without noise: the fixed point of homogeneous units.

For phi(a h) = a phi(h), a >= 0, a unit z phi(w.E) of direction w/|w| = e counts as z |w| phi(e.E),
and decay, lambda/2 (z^2 + |w|^2), costs least where |z| = |w|. With masses m_i = <z |w|> / gamma
of directions e_i, the fixed point minimises

    1/2 |y - f|^2 + kappa sum_i |m_i|,     f = sum_i m_i phi(E e_i),     kappa = lambda / gamma

(Bach, JMLR 2017; arXiv:2502.07998). Its dual is a projection: Delta = y - f is the point nearest
to y with |Delta.phi(E e)| <= kappa for every unit vector e. Directions that break this are found
exactly, as norms of the residuals of box-constrained least squares, and added until none is left.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from harness.numerics.solver_error import SolverError

Vector = NDArray[np.float64]

ENUMERATED = 10
"""Points of one sign up to which all patterns of active points are enumerated."""

STARTS = 1024
"""Random directions that give the patterns of more points than `ENUMERATED`."""

COARSE_STEPS = 100
"""Projected-gradient steps that rank the patterns, before the best are solved exactly."""

POLISHED = 8
"""Patterns that are solved exactly for each sign in a round."""

MOST_ROUNDS = 300

KINK = 1e-9
"""Pre-activations, relative to the input's norm, up to which a unit rests on the kink of ReLU."""

TOLERANCE = 1e-9
"""Relative excess of |Delta.phi(E e)| over kappa that ends the search."""


class DecayedUnits(NamedTuple):
    """The fixed point of a stage.

    Attributes:
        output: f on all points.
        kernel: <phi phi^T> on all points.
        tangent_kernel: neural tangent kernel on all points, with f = K (K + 2 lambda)^{-1} y.
        directions: e_i of the units that are not zero, (units, directions).
        masses: m_i.
        gap: duality gap, relative to |y|^2 / 2: a bound on the excess of the loss with its penalty
            over the minimum.
        rounds: rounds of the search.
    """

    output: Float64[np.ndarray, " points"]
    kernel: Float64[np.ndarray, "points points"]
    tangent_kernel: Float64[np.ndarray, "points points"]
    directions: Float64[np.ndarray, "units directions"]
    masses: Float64[np.ndarray, " units"]
    gap: float
    rounds: int


def _patterns(positive: NDArray[np.intp], factor: Vector, rng: np.random.Generator) -> Vector:
    """Return patterns of active points among the positive ones, (patterns, positive)."""
    count = len(positive)
    if count <= ENUMERATED:
        return np.array(list(itertools.product((0.0, 1.0), repeat=count))).reshape(2**count, count)
    draws = rng.standard_normal((STARTS, factor.shape[1])) @ factor[positive].T > 0
    return np.unique(draws, axis=0).astype(np.float64)


def _ranked(pulls: Vector, pushes: Vector) -> NDArray[np.intp]:
    """Return the approximate order of |pull - s.pushes|, s in [0, 1], largest first.

    Args:
        pulls: (patterns, directions).
        pushes: vector that each point of the other sign subtracts, (points, directions).
    """
    shares = np.zeros((len(pulls), len(pushes)))
    if len(pushes):
        step = 1.0 / max(np.linalg.norm(pushes, 2) ** 2, np.finfo(np.float64).tiny)
        for _ in range(COARSE_STEPS):
            shares += step * (pulls - shares @ pushes) @ pushes.T
            np.clip(shares, 0.0, 1.0, out=shares)
    return np.argsort(-np.linalg.norm(pulls - shares @ pushes, axis=1))


def _steepest(
    factor: Vector, pull: Vector, rng: np.random.Generator, activation: str
) -> list[tuple[float, Vector]]:
    """Return local maxima of pull.phi(E e) over unit vectors e, with their values.

    For ReLU, with S the active points of positive pull, it is the largest over patterns S of
    min over s in [0, 1] of |sum_S pull E - sum_neg s |pull| E|, and e is along that residual.
    """
    from scipy.optimize import lsq_linear

    weighted = pull[:, None] * factor
    if activation == "linear":
        total = weighted.sum(axis=0)
        size = float(np.linalg.norm(total))
        return [(size, total / size)] if size > 0 else []
    positive, negative = np.flatnonzero(pull > 0), np.flatnonzero(pull < 0)
    pushes = -weighted[negative]
    patterns = _patterns(positive, factor, rng)
    pulls = patterns @ weighted[positive]
    found: list[tuple[float, Vector]] = []
    for index in _ranked(pulls, pushes)[:POLISHED]:
        total, value = pulls[index], 0.0
        while True:  # every pass raises the value, and patterns are finite
            residual = total
            if len(negative):
                share = lsq_linear(pushes.T, total, (0.0, 1.0), method="bvls").x
                residual = total - share @ pushes
            size = float(np.linalg.norm(residual))
            if size <= value * (1 + 1e-14):
                break
            value, e = size, residual / size
            total = (factor[positive] @ e > 0) @ weighted[positive]
        if value > 0 and not any(abs(1 - e @ other) < 1e-12 for _, other in found):
            found.append((value, e))
    return found


def _slopes(
    factor: Vector, delta: Vector, directions: Vector, signs: Vector, activation: str
) -> Vector:
    """Return phi' of every unit on the training points, (train, units).

    Units may rest on kinks of ReLU, w.E_mu = 0, where the slope may be any number from 0 to 1. The
    slope here balances the pull across the kink, so that the pull is along the unit.
    """
    from scipy.optimize import lsq_linear

    h = factor @ directions.T
    if activation == "linear":
        return np.ones_like(h)
    slopes = (h > 0).astype(np.float64)
    resting = np.abs(h) <= KINK * np.linalg.norm(factor, axis=1)[:, None]
    for unit in np.flatnonzero(resting.any(axis=0)):
        e, on = directions[unit], resting[:, unit]
        pulls = signs[unit] * delta[:, None] * factor
        across = np.eye(len(e)) - np.outer(e, e)
        target = -across @ ((slopes[:, unit] * ~on) @ pulls)
        slopes[on, unit] = lsq_linear(across @ pulls[on].T, target, (0.0, 1.0), method="bvls").x
    return slopes


def _masses(columns: Vector, y: Vector, kappa: float) -> tuple[Vector, Vector]:
    """Return masses >= 0 of the given columns, and Delta nearest to y with columns.Delta <= kappa.

    Least-distance programming by non-negative least squares (Lawson & Hanson, ch. 23).
    """
    from scipy.optimize import nnls

    excess = columns.T @ y - kappa
    stacked = np.concatenate([-columns, excess[None, :]])
    target = np.zeros(len(stacked))
    target[-1] = 1.0
    u, _ = nnls(stacked, target, maxiter=100 * stacked.shape[1])
    left = 1.0 - float(excess @ u)
    masses = u / left
    return masses, y - columns @ masses


def solve_decayed_units(
    factor: Float64[np.ndarray, "points rank"],
    y: Float64[np.ndarray, " train"],
    *,
    richness: float,
    decay: float,
    activation: str,
    directions: int,
    seed: int = 0,
) -> DecayedUnits:
    """Solve for the fixed point of two-layer networks under decay, without noise.

    Args:
        factor: E on all points with E E^T = K_x, the training points first.
        y: labels of the training points.
        richness: gamma.
        decay: lambda, positive.
        activation: relu or linear.
        directions: number of leading columns of `factor` that span the training points; weights in
            the others decay to zero.
        seed: of the random directions, used where there are many points.

    Raises:
        SolverError: if the search does not end.
    """
    lowest = 0.0 if activation == "relu" else -np.inf

    def phi(h: Vector) -> Vector:
        return np.maximum(h, lowest)

    everywhere, train = factor[:, :directions], len(y)
    own, kappa, rng = everywhere[:train], decay / richness, np.random.default_rng(seed)
    taken, signs = np.zeros((0, directions)), np.zeros(0)
    masses, delta = np.zeros(0), y.astype(np.float64)
    rounds = 0
    while True:
        steepest = [
            (value, sign, e)
            for sign in (1.0, -1.0)
            for value, e in _steepest(own, sign * delta, rng, activation)
        ]
        largest = max((value for value, _, _ in steepest), default=0.0)
        if largest <= kappa * (1 + TOLERANCE):
            break
        if rounds == MOST_ROUNDS:
            raise SolverError(
                f"the search for units did not end in {MOST_ROUNDS} rounds",
                "use more decay, or fewer points",
            )
        rounds += 1
        fresh = [(sign, e) for value, sign, e in steepest if value > kappa * (1 + TOLERANCE / 2)]
        kept = masses > 0
        taken = np.concatenate([taken[kept], np.array([e for _, e in fresh])])
        signs = np.concatenate([signs[kept], np.array([sign for sign, _ in fresh])])
        masses, delta = _masses(signs * phi(own @ taken.T), y, kappa)
    kept = masses > 0
    taken, signed = taken[kept], (signs * masses)[kept]
    features = phi(everywhere @ taken.T)
    output = features @ signed
    kernel = richness * (np.abs(signed) * features) @ features.T
    slopes = np.ones_like(features) if activation == "linear" else (features > 0) * 1.0
    slopes[:train] = _slopes(own, delta, taken, np.sign(signed), activation)
    moved = richness * (np.abs(signed) * slopes) @ slopes.T * (everywhere @ everywhere.T)
    feasible = delta * min(1.0, kappa / largest) if largest > 0 else delta
    loss = 0.5 * np.sum((y - output[:train]) ** 2) + kappa * np.sum(np.abs(signed))
    bound = 0.5 * np.sum(y**2) - 0.5 * np.sum((y - feasible) ** 2)
    size = 0.5 * float(np.sum(y**2))
    return DecayedUnits(
        output,
        kernel,
        kernel + moved,
        taken,
        signed,
        float(loss - bound) / size if size > 0 else 0.0,
        rounds,
    )
