"""Random weights acting on a growing history: a causal, rank-revealing block Cholesky factor.

The initial weights W of a hidden layer appear in the field theory only through the Gaussian fields
chi = W phi and xi = W^T g (arXiv:2205.09653, eqs. 6-9). Over a sample of hidden units, a new block
of phi is split into its part in the span of the history and a rest; the rest is orthonormalised
and the directions of variance above a tolerance join the basis. That is the block row of the
Cholesky factor of Phi = <phi phi^T>, without its numerically empty directions: duplicate points
and smooth trajectories add nothing. Each new direction q meets fresh white noise u, each new
direction v of g meets fresh white noise p, and by Gaussian conditioning

    chi = sum_i u_i <q_i phi> + sum_j v_j <p_j phi>,    xi = sum_j p_j <v_j g> + sum_i q_i <u_i g>,

where the second sums are the response terms A g and B phi: <phi zeta^T> L^{-1} of Stein's lemma.
Averages < > run over the last axis of every array. Fresh noise is made exactly white and exactly
orthogonal to the history over the sample, as it is over an infinite one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Fresh = Callable[[Array, Array], Array]
"""Fresh white noise, (points, samples), from the number of directions and the rows in use."""


class Transition(NamedTuple):
    """Weights between two hidden layers, in the directions that training has explored.

    With c the coefficients <q phi> and d the coefficients <v g>, the weights at a time are
    a W(0) + v^T memory q; unused rows are zero.

    Attributes:
        lower: the basis q of features and the noise p that answers v, at the units of the lower
            layer, (2, capacity, samples).
        upper: the basis v of gradients and the noise u that answers q, at the units of the upper
            layer, (2, capacity, samples).
        memory: what training added to W(0), (capacity of v, capacity of q).
        reference: memory at the stage's start.
        features: number of directions q in use.
        gradients: number of directions v in use.
    """

    lower: Float[Array, "2 capacity samples"]
    upper: Float[Array, "2 capacity samples"]
    memory: Float[Array, "capacity capacity"]
    reference: Float[Array, "capacity capacity"]
    features: Int[Array, ""]
    gradients: Int[Array, ""]


def empty_transition(capacity: int, samples: int, dtype: jnp.dtype) -> Transition:
    """Return weights that have met no direction yet."""
    rows, square = jnp.zeros((2, capacity, samples), dtype), jnp.zeros((capacity, capacity), dtype)
    return Transition(rows, rows, square, square, jnp.int32(0), jnp.int32(0))


def grow(transition: Transition, capacity: int) -> Transition:
    """Return the same weights with room for more directions."""
    lower, upper, memory, reference, features, gradients = transition
    more = capacity - memory.shape[0]
    rows, square = ((0, 0), (0, more), (0, 0)), ((0, more), (0, more))
    return Transition(
        jnp.pad(lower, rows),
        jnp.pad(upper, rows),
        jnp.pad(memory, square),
        jnp.pad(reference, square),
        features,
        gradients,
    )


def average(
    rows: Float[Array, "rows samples"], columns: Float[Array, "columns samples"]
) -> Float[Array, "rows columns"]:
    """Return <rows columns^T> over the sample."""
    return jax.lax.dot_general(rows, columns, (((1,), (1,)), ((), ()))) / rows.shape[1]


def white_noise(
    raw: Float[Array, "count samples"], history: Float[Array, "rows samples"]
) -> Float[Array, "count samples"]:
    """Return noise that is exactly white and orthogonal to the history over the sample.

    Args:
        raw: Gaussian draws.
        history: orthonormal or zero rows.
    """
    raw = raw - average(raw, history) @ history
    factor = jnp.linalg.cholesky(average(raw, raw))
    inverse = jax.scipy.linalg.solve_triangular(
        factor, jnp.eye(raw.shape[0], dtype=raw.dtype), lower=True
    )
    return inverse @ raw


def sampled(raw: Array, shape: tuple[int, ...], dtype: jnp.dtype) -> Fresh:
    """Return a source of fresh noise over a sample, from Gaussian draws or a random key."""

    def fresh(_: Array, history: Array) -> Array:
        if jnp.issubdtype(raw.dtype, jax.dtypes.prng_key):
            return white_noise(jax.random.normal(raw, shape, dtype), history)
        return white_noise(raw, history)

    return fresh


def coordinates(first: int, shape: tuple[int, ...], dtype: jnp.dtype) -> Fresh:
    """Return a source of exact noise: unit vectors of an abstract space of Gaussians.

    When all fields are linear, a field is the vector of its coefficients on independent Gaussians,
    and the last axis runs over these instead of samples; averages are then exact. Direction i of
    the history takes coordinate first + 2 i.
    """

    def fresh(used: Array, _: Array) -> Array:
        index = first + 2 * (used + jnp.arange(shape[0]))
        return jnp.sqrt(jnp.asarray(shape[1], dtype)) * jax.nn.one_hot(index, shape[1], dtype=dtype)

    return fresh


def _extend(
    own: Float[Array, "2 capacity samples"],
    answer: Float[Array, "2 capacity samples"],
    used: Int[Array, ""],
    block: Float[Array, "points samples"],
    importance: Float[Array, " points"],
    fresh: Fresh,
    tolerance: float,
) -> tuple[Array, Array, Array, Array, Array]:
    """Add a block's new directions to own[0], and fresh noise that answers them to answer[1].

    Rows count by their importance, at most 1, where directions are kept or dropped. Returns own,
    answer, the number of directions now in use, and the block's averages with own[0] and own[1].
    """
    samples = block.shape[1]
    capacity = own.shape[1]
    seen = average(own.reshape(2 * capacity, samples), block)
    coefficients, response = seen[:capacity], seen[capacity:]
    rest = block - coefficients.T @ own[0]
    variances = importance**2 * jnp.mean(rest**2, axis=1)
    scale = jnp.max(jnp.mean(block**2, axis=1))

    def add(_: None) -> tuple[Array, Array, Array, Array]:
        # a second projection removes what rounding left of the history in a small rest
        again = average(own[0], rest)
        left = rest - again.T @ own[0]
        weighed = importance[:, None] * left
        values, vectors = jnp.linalg.eigh(average(weighed, weighed))
        values, vectors = values[::-1], vectors[:, ::-1]
        kept = values > tolerance * scale
        size = jnp.sqrt(jnp.where(kept, values, 1.0))
        new = jnp.where(kept, vectors / size, 0.0).T @ weighed
        noise = fresh(used, answer.reshape(2 * capacity, samples))
        noise = jnp.where(kept[:, None], noise, 0.0)
        zero = jnp.zeros_like(used)
        return (
            jax.lax.dynamic_update_slice(own, new[None], (zero, used, zero)),
            jax.lax.dynamic_update_slice(answer, noise[None], (zero + 1, used, zero)),
            used + jnp.sum(kept, dtype=used.dtype),
            jax.lax.dynamic_update_slice(coefficients + again, average(new, left), (used, zero)),
        )

    def keep(_: None) -> tuple[Array, Array, Array, Array]:
        return own, answer, used, coefficients

    found = jnp.sum(variances) > tolerance * scale
    own, answer, used, coefficients = jax.lax.cond(found, add, keep, None)
    return own, answer, used, coefficients, response


def forward(
    transition: Transition,
    phi: Float[Array, "points samples"],
    scale: Float[Array, ""],
    fresh: Fresh,
    tolerance: float,
) -> tuple[Transition, Float[Array, "capacity points"], Float[Array, "points samples"]]:
    """Apply the weights to new features: h = a (u + A g) + sum c g Phi.

    Args:
        transition: the weights.
        phi: features of the lower layer.
        scale: a, what decay has left of W(0).
        fresh: source of noise for new directions.
        tolerance: variance, relative to the largest <phi^2>, below which a direction is dropped.

    Returns:
        The weights with phi's new directions, the coefficients <q phi>, and h at the upper layer.
    """
    every = jnp.ones(phi.shape[0], phi.dtype)
    lower, upper, used, c, response = _extend(
        transition.lower, transition.upper, transition.features, phi, every, fresh, tolerance
    )
    transition = transition._replace(lower=lower, upper=upper, features=used)
    return transition, c, propagate(transition, c, response, scale)


def propagate(
    transition: Transition,
    c: Float[Array, "capacity points"],
    response: Float[Array, "capacity points"],
    scale: Float[Array, ""],
) -> Float[Array, "points samples"]:
    """Return the part of h along the history, from c = <q phi> and <p phi>."""
    rows = transition.upper.reshape(-1, transition.upper.shape[2])
    return jnp.concatenate([scale * response + transition.memory @ c, scale * c]).T @ rows


def backward(
    transition: Transition,
    g: Float[Array, "points samples"],
    importance: Float[Array, " points"],
    scale: Float[Array, ""],
    fresh: Fresh,
    tolerance: float,
) -> tuple[Transition, Float[Array, "capacity points"], Float[Array, "points samples"]]:
    """Apply the transposed weights to new gradients: z = a (r + B phi) + sum c phi G.

    Arguments and results mirror `forward`: the coefficients are <v g>, and z is at the lower
    layer. Gradients act only through Delta g, so `importance` is |Delta| of each point relative
    to the labels, at most 1.
    """
    upper, lower, used, d, response = _extend(
        transition.upper,
        transition.lower,
        transition.gradients,
        g,
        importance,
        fresh,
        tolerance,
    )
    transition = transition._replace(lower=lower, upper=upper, gradients=used)
    rows = lower.reshape(-1, lower.shape[2])
    z = jnp.concatenate([scale * response + transition.memory.T @ d, scale * d]).T @ rows
    return transition, d, z
