"""Two-layer networks under Langevin training: the stationary law of hidden units, by HMC.

At temperature T and decay lambda a hidden unit's pre-activations h and readout z have the law
p(h, z) ~ exp(-[lambda/2 (z^2 + h K^{-1} h) - gamma z Delta.phi(h)] / T). Integrating z out tilts
the Gaussian of h by exp(c/2 (Delta.phi(h))^2), c = gamma^2 / (T lambda), and Delta = y - f solves

    F(Delta) = Delta + <phi (Delta.phi)> / lambda - y = 0                          (1)

F is the gradient of 1/2 |Delta - y|^2 + (T / gamma^2) log Z(Delta), which is strictly convex, as
log Z is the logarithm of an average of log-convex functions: the fixed point is unique, and
Newton's method finds it, with steps that the sample of units can follow
(arXiv:2502.07998; docs/theory.md, adaptive kernels).
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int
from numpy.typing import NDArray

from harness.numerics.kernels.activations import activation as named
from harness.numerics.posterior.moves import (
    FIRST_STEP,
    FOLLOWED,
    adapted_step,
    move_units,
)
from harness.numerics.posterior.sampled_state import (
    ConvergenceError,
    SampledState,
    UnitRates,
    label_size,
    mean_and_error,
)

SETTLING_ROUNDS = 16
"""Full Newton steps taken before the search ends, the second half of them with falling gains."""

MOST_ROUNDS = 300

ROUND_MOVES = 4
"""Moves of every unit before each Newton step."""

OBSERVATION_MOVES = 2
"""Moves of every unit between two observations."""

FIRST_SHARE = 4
"""Ratio of all observations to those before them, whose averages correct Delta."""


class _Law(NamedTuple):
    """Constants of the law of units, without Delta: weights are mean + spread * u.

    Attributes:
        factor: E on the training points, (train, directions).
        mean: of every unit's weights before the tilt, (replicates, units, directions).
        spread: their standard deviation before the tilt.
        tilt: c = gamma^2 / (T lambda).
        ridge: lambda.
        y: labels, (replicates, train).
    """

    factor: Float[Array, "train directions"]
    mean: Float[Array, "replicates units directions"]
    spread: Float[Array, ""]
    tilt: Float[Array, ""]
    ridge: Float[Array, ""]
    y: Float[Array, "replicates train"]


REPLICATED: Any = _Law(None, 0, None, None, None, 0)  # type: ignore[arg-type]
"""Axes of replicates of the law, for `jax.vmap`."""


class _Search(NamedTuple):
    """State of the search: whitened weights u, Delta, full steps taken, leapfrog step, key."""

    u: Float[Array, "replicates units directions"]
    delta: Float[Array, "replicates train"]
    full: Array
    step: Float[Array, ""]
    key: Array


def _moved(
    u: Array, delta: Array, law: _Law, key: Array, step: Array, moves: int, activation: str
) -> tuple[Array, Array]:
    """Move one replicate's units; also return the acceptance rate."""
    phi = named(activation)

    def log_weight(u: Array, mean: Array) -> Array:
        return 0.5 * law.tilt * (phi(law.factor @ (mean + law.spread * u)) @ delta) ** 2

    return move_units(u, log_weight, law.mean, key, step, moves)


@partial(jax.jit, static_argnames=("activation", "quenched"))
def _search_round(
    search: _Search, law: _Law, *, activation: str, quenched: bool
) -> tuple[_Search, Array]:
    """Move all units, then take a Newton step for Delta in every replicate.

    dF / dDelta = I + <phi phi^T> / lambda + c <Cov(s phi, s phi)> / lambda. Quenched weights do not
    follow Delta: for coupled units, the covariance and the share of units that can follow are those
    of each unit's own law; the two halves of the moves give two draws from it.
    """
    phi = named(activation)
    key, *keys = jax.random.split(search.key, 1 + len(search.u))

    def one(u: Array, delta: Array, full: Array, key: Array, law: _Law) -> tuple[Array, ...]:
        draws, accepted = [], jnp.zeros((), u.dtype)
        for own in jax.random.split(key):
            u, rate = _moved(u, delta, law, own, search.step, ROUND_MOVES // 2, activation)
            draws.append(phi((law.mean + law.spread * u) @ law.factor.T))
            accepted += 0.5 * rate
        features = jnp.stack(draws) if quenched else draws[1][None]
        pull = features @ delta
        driven = features * pull[:, :, None]
        count = features.shape[0] * features.shape[1]
        mean = jnp.mean(driven, axis=(0, 1))
        deviation = driven[0] - (driven[1] if quenched else mean[None])
        covariance = deviation.T @ deviation / ((1 + quenched) * len(u))
        kernel = jnp.einsum("dup,duq->pq", features, features) / count
        response = (kernel + law.tilt * covariance) / law.ridge
        hessian = jnp.eye(len(mean)) + response.astype(jnp.float64)
        residual = (delta + mean / law.ridge - law.y).astype(jnp.float64)
        direction = -jax.scipy.linalg.solve(hessian, residual, assume_a="pos").astype(u.dtype)
        # the longest step that the units can follow
        lengths = 0.5 ** jnp.arange(12, dtype=u.dtype)
        ahead = pull[None] + lengths[:, None, None] * (features @ direction)[None]
        change = 0.5 * law.tilt * (ahead**2 - pull[None] ** 2)
        if quenched:
            share = jnp.exp(-0.5 * jnp.mean((change[:, 0] - change[:, 1]) ** 2, axis=1))
        else:
            share = 1.0 / (len(u) * jnp.sum(jax.nn.softmax(change[:, 0], axis=1) ** 2, axis=1))
        followed = share >= FOLLOWED
        length = jnp.where(jnp.any(followed), lengths[jnp.argmax(followed)], lengths[-1])
        full = full + (length == 1.0).astype(full.dtype)
        gain = length / jnp.maximum(full - SETTLING_ROUNDS // 2, 1).astype(length.dtype)
        return u, delta + gain * direction, full, accepted

    u, delta, full, accepted = jax.vmap(one, (0, 0, 0, 0, REPLICATED))(
        search.u, search.delta, search.full, jnp.stack(keys), law
    )
    rate = jnp.mean(accepted)
    return _Search(u, delta, full, adapted_step(search.step, rate), key), rate


class _Averages(NamedTuple):
    """Averages over units, each with leading axis replicates: of s phi, phi phi^T, s^2 phi phi^T.

    s = Delta.phi on the training points; rows are all points, columns of `square` training points.
    Where units are coupled, `square` is the covariance of s phi under each unit's own law instead.
    """

    driven: Float[Array, "replicates points"]
    kernel: Float[Array, "replicates points points"]
    square: Float[Array, "replicates points train"]


@partial(jax.jit, static_argnames=("activation", "quenched"))
def _observe(
    search: _Search,
    law: _Law,
    factor: Float[Array, "points rank"],
    mean: Float[Array, "replicates units rank"],
    observations: Array,
    *,
    activation: str,
    quenched: bool,
) -> tuple[_Search, _Averages, Array, Array]:
    """Move all units at fixed Delta; return averages, the units' weights and acceptance rates.

    Weights in directions orthogonal to all training points are Gaussian, and drawn afresh.
    """
    phi = named(activation)
    key, *keys = jax.random.split(search.key, 1 + len(search.u))

    def one(entry: tuple[Array, ...]) -> tuple[Array, Array, _Averages, Array]:
        u, delta, key, tilted_mean, mean, y = entry
        own = law._replace(mean=tilted_mean, y=y)

        def looked_at(u: Array, draw: Array) -> tuple[Array, Array, Array]:
            rest = jax.random.normal(draw, (len(u), mean.shape[1] - u.shape[1]), u.dtype)
            weights = mean + law.spread * jnp.concatenate([u, rest], axis=1)
            features = phi(weights @ factor.T)
            return weights, features, features * (features[:, : len(delta)] @ delta)[:, None]

        def observe(_: Int[Any, ""], carry: tuple[Any, ...]) -> tuple[Any, ...]:
            u, key, before, _, total, accepted = carry
            key, move_key, draw = jax.random.split(key, 3)
            u, rate = _moved(u, delta, own, move_key, search.step, OBSERVATION_MOVES, activation)
            weights, features, driven = looked_at(u, draw)
            # two draws of one unit give the spread of its own law
            change = (driven - before) / math.sqrt(2.0) if quenched else driven
            averages = _Averages(
                jnp.mean(driven, axis=0),
                features.T @ features / len(u),
                change.T @ change[:, : len(delta)] / len(u),
            )
            # sums of many observations are taken in double precision
            count = observations.astype(u.dtype)
            total, accepted = jax.tree.map(
                lambda a, b: a + (b / count).astype(a.dtype), (total, accepted), (averages, rate)
            )
            before = driven if quenched else before
            return u, key, before, weights, total, accepted

        points, train = len(factor), len(delta)
        shapes = _Averages((points,), (points, points), (points, train))  # type: ignore[arg-type]
        zeros = _Averages(*(jnp.zeros(shape, jnp.float64) for shape in shapes))
        before = looked_at(u, key)[2] if quenched else jnp.zeros((), u.dtype)
        carry = (u, key, before, mean, zeros, jnp.zeros((), jnp.float64))
        u, _, _, weights, total, accepted = jax.lax.fori_loop(0, observations, observe, carry)
        return u, weights, total, accepted

    entries = (search.u, search.delta, jnp.stack(keys), law.mean, mean, law.y)
    u, weights, averages, accepted = jax.lax.map(one, entries)
    return search._replace(u=u, key=key), averages, weights, jnp.mean(accepted)


def solve_stationary_units(
    reference: Float[Array, "replicates units rank"],
    factor: Float64[np.ndarray, "points rank"],
    y: Float64[np.ndarray, "replicates train"],
    rates: UnitRates,
    *,
    activation: str,
    directions: int,
    observations: int,
    seed: int,
) -> SampledState:
    """Find the stationary state of a stage of Langevin training: solve (1) by Newton's method.

    Delta starts at 0, where units are Gaussian, and every step is short enough for the units to
    follow. The search ends after `SETTLING_ROUNDS` full steps with falling gains. Averages at
    this Delta then correct it by a Newton step, and after further averages one more Newton step
    corrects the predictor to first order, so that the noise of the search cancels.

    Args:
        reference: weights of the units at the stage's start; hidden weights are coupled to them,
            each unit to its own (quenched).
        factor: E on all points with E E^T = K_x, the training points first.
        y: labels of the training points.
        rates: numbers of the stage, decay and temperature positive.
        activation: name of phi.
        directions: number of leading columns of `factor` that span the training points.
        observations: number of observations once Delta is found.
        seed: of the random draws.

    Raises:
        ConvergenceError: if the search does not settle, or its values stop being finite.
    """
    dtype, (replicates, units, _) = reference.dtype, reference.shape
    train = y.shape[1]
    stiffness = rates.decay + rates.elastic
    spread = math.sqrt(rates.temperature / stiffness)
    mean = reference * (rates.elastic / stiffness)
    tilt = rates.richness**2 / (rates.temperature * rates.decay)
    everywhere = jnp.asarray(factor, dtype)
    law = _Law(
        factor=everywhere[:train, :directions],
        mean=mean[:, :, :directions],
        spread=jnp.asarray(spread, dtype),
        tilt=jnp.asarray(tilt, dtype),
        ridge=jnp.asarray(rates.decay, dtype),
        y=jnp.asarray(y, dtype),
    )
    key, draw = jax.random.split(jax.random.key(seed))
    u = jax.random.normal(draw, (replicates, units, directions), dtype)
    start = jnp.zeros((replicates, train), dtype)
    full = jnp.zeros(replicates, jnp.int32)
    search = _Search(u, start, full, jnp.asarray(FIRST_STEP, dtype), key)
    rounds, kind = 0, {"activation": activation, "quenched": rates.elastic > 0}
    while int(search.full.min()) < SETTLING_ROUNDS:
        search, _ = _search_round(search, law, **kind)
        rounds += 1
        if not bool(jnp.isfinite(search.delta).all()) or rounds == MOST_ROUNDS:
            raise ConvergenceError(
                f"the Newton search for the errors Delta did not settle in {rounds} rounds"
            )
    for share in (FIRST_SHARE, 1):
        count = jnp.asarray(max(1, observations // share))
        search, found, weights, rate = _observe(search, law, everywhere, mean, count, **kind)
        averages = jax.tree.map(np.asarray, found)
        delta = np.asarray(search.delta, np.float64)
        step, output, residuals = _corrected(delta, averages, y, tilt, rates)
        search = search._replace(delta=jnp.asarray(delta + step, dtype))
    return SampledState(
        output,
        np.asarray(averages.kernel)[:, None],
        (np.asarray(jnp.einsum("rsk,pk->rps", weights, everywhere)),),
        weights,
        *mean_and_error(residuals / label_size(y)),
        rounds,
        float(rate),
    )


def _corrected(
    delta: NDArray[np.float64],
    averages: _Averages,
    y: NDArray[np.float64],
    tilt: float,
    rates: UnitRates,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return a Newton step for Delta, the predictor after it to first order, and F before it."""
    driven, kernel, square = (np.asarray(a) for a in averages)
    train = delta.shape[1]
    residual = delta + driven[:, :train] / rates.decay - y
    covariance = square
    if rates.elastic == 0:
        covariance = square - driven[:, :, None] * driven[:, None, :train]
    response = (kernel[:, :, :train] + tilt * covariance) / rates.decay
    step = -np.linalg.solve(np.eye(train) + response[:, :train], residual[:, :, None])
    output = np.asarray(driven / rates.decay + (response @ step)[:, :, 0])
    return np.asarray(step[:, :, 0]), output, residual
