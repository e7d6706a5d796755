"""Moves of hidden units under a tilted Gaussian, exp(log_weight(u)) N(u; 0, I), by HMC."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

ACCEPTANCE = 0.85
"""Acceptance rate to which the step of the leapfrog integrator is adapted."""

FIRST_STEP = 0.5
"""Step of the leapfrog integrator before it is adapted."""

MOST_LEAPFROGS = 64

FOLLOWED = 0.8
"""Share of effective units, after reweighting, that a step of a search must keep."""

FAR = 1e3
"""Factor of the units' distance at which the growth of the tilt is measured: log_weight relative to
|u|^2 / 2 must stay below 1 there for a normalisable law, and is 0 for bounded features."""

MOST_GROWTH = 0.95
"""Largest growth after a step of a search."""


def move_units(
    u: Float[Array, "units directions"],
    log_weight: Callable[[Array, Any], Array],
    given: Any,
    key: Array,
    step: Float[Array, ""],
    moves: int | Array,
) -> tuple[Float[Array, "units directions"], Float[Array, ""]]:
    """Move units, each by itself, by Hamiltonian Monte Carlo (blackjax).

    Every move is preceded by the proposal u -> -u, under which the Gaussian does not change: it
    takes units between the wells of an odd feature.

    Args:
        u: whitened weights.
        log_weight: logarithm of the density of one unit relative to the Gaussian, from its
            weights and its entry of `given`.
        given: data of each unit, arrays with a leading axis of units; may be None.
        key: of the random draws.
        step: of the leapfrog integrator.
        moves: number of moves of every unit.

    Returns:
        The weights moved, and the acceptance rate.
    """
    import blackjax

    kernel = blackjax.hmc.build_kernel()
    unit_mass = jnp.ones(u.shape[1], u.dtype)

    def one(u: Array, own: Any, key: Array, step: Array, leapfrogs: Array) -> tuple[Array, Array]:
        flip_key, key = jax.random.split(key)
        chance = jnp.exp(jnp.minimum(log_weight(-u, own) - log_weight(u, own), 0.0))
        u = jnp.where(jax.random.uniform(flip_key, (), u.dtype) < chance, -u, u)

        def log_density(u: Array) -> Array:
            return log_weight(u, own) - 0.5 * jnp.sum(u**2)

        state = blackjax.hmc.init(u, log_density)
        state, info = kernel(key, state, log_density, step, unit_mass, leapfrogs)
        return state.position, info.acceptance_rate

    def move(_: Int[Any, ""], carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        u, key, accepted = carry
        key, jitter, draw = jax.random.split(key, 3)
        # a quarter turn redraws the Gaussian part; jitter breaks resonances of the rest
        size = step * jax.random.uniform(jitter, (), u.dtype, 0.8, 1.2)
        leapfrogs = jnp.clip(jnp.ceil(math.pi / 2 / step), 1, MOST_LEAPFROGS).astype(jnp.int32)
        keys = jax.random.split(draw, len(u))
        u, rate = jax.vmap(one, (0, 0, 0, None, None))(u, given, keys, size, leapfrogs)
        return u, key, accepted + jnp.mean(rate) / moves

    u, _, accepted = jax.lax.fori_loop(0, moves, move, (u, key, jnp.zeros((), u.dtype)))
    return u, accepted


def adapted_step(step: Float[Array, ""], rate: Float[Array, ""]) -> Float[Array, ""]:
    """Return the leapfrog step after a round with the acceptance rate `rate`."""
    return jnp.clip(step * jnp.exp(rate - ACCEPTANCE), math.pi / 2 / MOST_LEAPFROGS, 1.5)
