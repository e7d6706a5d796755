"""Two-layer networks under Langevin training: the stationary law of hidden units, by importance.

The equations are those of `harness.numerics.posterior.units`. For bounded features the tilt of the
units' Gaussian, exp(c/2 (Delta.phi(h))^2), is bounded too, and whitened units u are concentrated
in two wells, Delta.phi > 0 and < 0. They are drawn, as scrambled Sobol points, from a Gaussian
fitted to each well and, as a small part, from N(0, 1), which bounds the weights. A reweighted
sample is a smooth function of Delta: Newton's method solves on it to rounding, and where the sample
cannot follow a step, the proposal is fitted anew and drawn again. This takes far fewer evaluations
than a chain of moves, as long as the share of effective draws shows that the weights are even.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from harness.numerics.kernels.activations import activation as named
from harness.numerics.posterior.sampled_state import (
    ConvergenceError,
    SampledState,
    UnitRates,
    label_size,
    mean_and_error,
)
from harness.numerics.sampling.gaussian import sobol_points

Vector = NDArray[np.float64]

SEARCHERS = 4096
"""Draws of each round while Delta and the proposal are searched for."""

ROUNDS = 60
"""Proposals fitted before the search counts as failed."""

SETTLED = 0.05
"""Newton step, relative to Delta, at which the proposal is good enough for the last draw."""

FOLLOWED = 0.5
"""Share of a round's effective draws that must remain after a step of Delta."""

NEWTON_STEPS = 3
"""Newton steps on a sample that is not drawn again."""

LEAST_SHARE = 0.3
"""Share of effective draws below which the weights are too uneven."""

PRIOR_SHARE = 0.1
"""Share of the draws that comes from the Gaussian before the tilt."""

INFLATION = 1.15
"""Factor of the fitted covariance, so that the proposal's tails are not the lighter ones."""


class _Proposal(NamedTuple):
    """Gaussians of the wells, first half Delta.phi > 0; and the Gaussian before the tilt.

    Attributes:
        means: (2, directions).
        roots: lower Cholesky factors of the covariances, (2, directions, directions).
        shares: parts of the draws from each well, and from the Gaussian, (3,).
    """

    means: Vector
    roots: Vector
    shares: Vector

    def draw(self, samples: int, rng: np.random.Generator) -> tuple[Vector, Vector]:
        """Return units and log densities relative to the Gaussian, (samples, directions)."""
        from scipy.special import ndtri

        uniform = sobol_points(samples, 1 + self.means.shape[1], rng)
        z = ndtri(np.clip(uniform[:, 1:], 1e-15, 1 - 1e-15))
        well = np.searchsorted(np.cumsum(self.shares)[:2], uniform[:, 0])
        for index in range(2):
            chosen = well == index
            z[chosen] = self.means[index] + z[chosen] @ self.roots[index].T
        return z, self.log_density(z)

    def log_density(self, u: Vector) -> Vector:
        """Return the logarithm of the proposal's density over that of the Gaussian."""
        from scipy.linalg import solve_triangular

        prior = -0.5 * np.sum(u**2, axis=1)
        parts = [np.log(self.shares[2]) + 0.0 * prior]
        for share, mean, root in zip(self.shares, self.means, self.roots, strict=False):
            white = solve_triangular(root, (u - mean).T, lower=True)
            own = -0.5 * np.sum(white**2, axis=0) - np.log(np.diag(root)).sum()
            parts.append(np.log(share) + own - prior)
        return np.asarray(np.logaddexp.reduce(parts, axis=0))


def _fitted(u: Vector, weights: Vector, pull: Vector) -> _Proposal:
    """Return the proposal fitted to weighted units in both wells."""
    directions = u.shape[1]
    means, roots, shares = [], [], []
    for chosen in (pull > 0, pull <= 0):
        own = weights * chosen
        total = float(own.sum())
        # an empty well gets the other Gaussian, and next to no draws
        own = own / total if total > 1e-6 else np.full(len(u), 1 / len(u))
        mean = own @ u
        centred = u - mean
        effective = 1.0 / np.sum(own**2)
        # directions that a small sample does not resolve are as before the tilt
        trust = effective / (effective + directions)
        covariance = (centred * own[:, None]).T @ centred
        covariance = trust * covariance + (1 - trust) * np.eye(directions)
        means.append(mean)
        roots.append(np.linalg.cholesky(INFLATION * covariance))
        shares.append(max(total, 1e-3))
    parts = np.array([*shares, 0.0]) * (1 - PRIOR_SHARE) / sum(shares)
    parts[2] = PRIOR_SHARE
    return _Proposal(np.array(means), np.array(roots), parts)


class _Sample(NamedTuple):
    """Draws of one replicate: features on all points, log densities of the proposal."""

    units: Vector
    features: Vector
    proposed: Vector


class _Newton(NamedTuple):
    """Averages of a weighted sample at a Delta.

    Attributes:
        residual: F(Delta), (train,).
        response: dF / dDelta minus the identity, rows all points, (points, train).
        kernel: <phi phi^T> on all points.
        output: <s phi> / lambda on all points.
        weights: of the draws, summing to 1.
        share: share of effective draws.
    """

    residual: Vector
    response: Vector
    kernel: Vector
    output: Vector
    weights: Vector
    share: float


def _averages(
    delta: Vector, sample: _Sample, y: Vector, tilt: float, ridge: float, everywhere: bool
) -> _Newton:
    """Return averages under the law of Delta; kernels on all points only on request."""
    train = len(y)
    pull = sample.features[:, :train] @ delta
    log_weights = 0.5 * tilt * pull**2 - sample.proposed
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    features = sample.features if everywhere else sample.features[:, :train]
    weighted = features * weights[:, None]
    mean = weighted.T @ pull
    kernel = weighted.T @ (features if everywhere else features[:, :train])
    square = (weighted * (pull**2)[:, None]).T @ features[:, :train]
    covariance = square - np.outer(mean, mean[:train])
    response = (kernel[:, :train] + tilt * covariance) / ridge
    share = 1.0 / (len(pull) * float(np.sum(weights**2)))
    residual = delta + mean[:train] / ridge - y
    return _Newton(residual, response, kernel, mean / ridge, weights, share)


def _step(found: _Newton) -> Vector:
    """Return the Newton step."""
    train = len(found.residual)
    return np.asarray(-np.linalg.solve(np.eye(train) + found.response[:train], found.residual))


def _searched(
    factor: Vector, y: Vector, tilt: float, ridge: float, activation: str, rng: np.random.Generator
) -> tuple[Vector, _Proposal, int]:
    """Return an approximate Delta, the proposal fitted to its law, and the number of rounds.

    Raises:
        ConvergenceError: if the steps stay short.
    """
    phi, directions = named(activation), factor.shape[1]
    delta = np.zeros(len(y))
    identity = np.stack([np.eye(directions)] * 2)
    proposal = _Proposal(np.zeros((2, directions)), identity, np.array([0.45, 0.45, 0.1]))
    for rounds in range(1, ROUNDS + 1):
        u, proposed = proposal.draw(SEARCHERS, rng)
        sample = _Sample(u, np.asarray(phi(jnp.asarray(u @ factor.T))), proposed)
        found = _averages(delta, sample, y, tilt, ridge, False)
        direction, length = _step(found), 1.0
        while True:
            ahead = _averages(delta + length * direction, sample, y, tilt, ridge, False)
            if ahead.share >= FOLLOWED * found.share or length < 1e-3:
                break
            length /= 2
        delta = delta + length * direction
        proposal = _fitted(u, ahead.weights, sample.features @ delta)
        if length == 1.0 and np.linalg.norm(direction) <= SETTLED * np.linalg.norm(delta):
            return delta, proposal, rounds
    raise ConvergenceError(
        f"the Newton search for the errors Delta did not settle in {ROUNDS} rounds"
    )


def solve_stationary_mixture(
    factor: Float64[np.ndarray, "points rank"],
    y: Float64[np.ndarray, "replicates train"],
    rates: UnitRates,
    *,
    activation: str,
    directions: int,
    samples: int,
    kept: int,
    seed: int,
) -> SampledState:
    """Find the stationary state of a stage of Langevin training without coupling.

    A quarter of the samples finds Delta, by Newton's method; the others give its residual, and the
    predictor at their own Delta.

    Args:
        factor: E on all points with E E^T = K_x, the training points first.
        y: labels of the training points.
        rates: numbers of the stage, decay and temperature positive; no coupling.
        activation: name of phi, bounded.
        directions: number of leading columns of `factor` that span the training points.
        samples: of hidden units in each replicate.
        kept: units of each replicate that are resampled from the sample by their weights.
        seed: of the random draws.

    Raises:
        ConvergenceError: if the search does not settle, or weights are uneven.
    """
    phi, (replicates, train) = named(activation), y.shape
    tilt = rates.richness**2 / (rates.temperature * rates.decay)
    spread = math.sqrt(rates.temperature / rates.decay)
    scaled = spread * factor
    outputs, kernels, units, residuals, shares = [], [], [], [], []
    # replicates share the proposal, without bias; each has its own draws and Delta
    search = np.random.default_rng((seed, replicates))
    near, proposal, rounds = _searched(
        scaled[:train, :directions], y.mean(axis=0), tilt, rates.decay, activation, search
    )
    for replicate in range(replicates):
        delta, rng = near, np.random.default_rng((seed, replicate))
        numbers = (y[replicate], tilt, rates.decay)
        for count in (max(samples // 4, 512), samples):
            u, proposed = proposal.draw(count, rng)
            rest = rng.standard_normal((count, factor.shape[1] - directions))
            u = np.concatenate([u, rest], axis=1)
            sample = _Sample(u, np.asarray(phi(jnp.asarray(u @ scaled.T))), proposed)
            first = _averages(delta, sample, *numbers, False)
            delta = delta + _step(first)
            for _ in range(NEWTON_STEPS - 1):
                delta = delta + _step(_averages(delta, sample, *numbers, False))
        found = _averages(delta, sample, *numbers, True)
        if not found.share >= LEAST_SHARE:
            raise ConvergenceError(
                f"only {found.share:.0%} of the draws count, and {LEAST_SHARE:.0%} have to"
            )
        chosen = np.searchsorted(
            np.cumsum(found.weights), (np.arange(kept) + rng.uniform()) / kept * (1 - 1e-12)
        )
        outputs.append(found.output)
        kernels.append(found.kernel)
        units.append(spread * rng.permutation(u[np.minimum(chosen, len(u) - 1)]))
        residuals.append(first.residual)
        shares.append(found.share)
    weights = np.array(units)
    return SampledState(
        np.array(outputs),
        np.array(kernels)[:, None],
        (np.einsum("rsk,pk->rps", weights, factor),),
        None,
        *mean_and_error(np.array(residuals) / label_size(y)),
        rounds,
        float(np.mean(shares)),
    )
