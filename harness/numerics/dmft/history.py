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
Averages < > run over the last axis of every array. Fresh noise is made exactly white, and exactly
orthogonal to the directions explored at its units: the response terms account for these. Over a
finite sample the response terms carry sampling errors, and fresh noise has the remaining variance,
1 - r / S beside r directions, as the rest of a row of S random weights would.

Everything is written for one sample, and runs on several replicates side by side under `jax.vmap`
with the axis named `REPLICATES`: these share the number of directions in use, so that one compiled
control flow serves all. Where some need more directions of a block, the others take as many, which
they would need soon; or rows of zeros, where no variance is left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

Array = Any
"""A NumPy or JAX array."""

REPLICATES = "replicates"
"""Name of the axis of replicates that run side by side."""

Fresh = Callable[[Array, "Side"], Array]
"""Function from the directions and the history in use to fresh white noise, (points, samples)."""


class Side(NamedTuple):
    """History of the units on one side of the weights; unused rows are zero.

    Attributes:
        basis: directions explored at these units, q of features or v of gradients, orthonormal.
        noise: the weights' products with the directions of the other side, p for v or u for q.
    """

    basis: Float[Any, "capacity samples"]
    noise: Float[Any, "capacity samples"]


class Transition(NamedTuple):
    """Weights between two hidden layers, in the directions that training has explored.

    With c the coefficients <q phi> and d the coefficients <v g>, the weights at a time are
    a W(0) + v^T memory q; unused rows are zero.

    Attributes:
        lower: q and p, at the units of the lower layer.
        upper: v and u, at the units of the upper layer.
        memory: change of W(0) by training, (capacity of v, capacity of q).
        reference: memory at the stage's start.
        features: number of directions q in use, in any replicate.
        gradients: number of directions v in use, in any replicate.
    """

    lower: Side
    upper: Side
    memory: Float[Any, "capacity capacity"]
    reference: Float[Any, "capacity capacity"]
    features: Int[Any, ""]
    gradients: Int[Any, ""]


def transition_axes() -> Transition:
    """Return the axes of replicates, for `jax.vmap`."""
    return Transition(Side(0, 0), Side(0, 0), 0, 0, None, None)


def empty_transition(
    replicates: int, capacity: int, samples: int, dtype: jnp.dtype | np.dtype[Any]
) -> Transition:
    """Return weights with an empty history, for a number of replicates."""
    rows = np.zeros((replicates, capacity, samples), dtype)
    square = np.zeros((replicates, capacity, capacity), dtype)
    none = np.int32(0)
    return Transition(Side(rows, rows), Side(rows, rows), square, square, none, none)


def grow(transition: Transition, capacity: int) -> Transition:
    """Return the same weights, of all replicates, with room for more directions."""
    more = capacity - transition.memory.shape[-1]

    def room(rows: Array) -> NDArray[Any]:
        return np.pad(rows, ((0, 0), (0, more), (0, 0)))

    square = ((0, 0), (0, more), (0, more))
    return Transition(
        Side(*map(room, transition.lower)),
        Side(*map(room, transition.upper)),
        np.pad(transition.memory, square),
        np.pad(transition.reference, square),
        transition.features,
        transition.gradients,
    )


def average(
    rows: Float[Any, "rows samples"], columns: Float[Any, "columns samples"]
) -> Float[Any, "rows columns"]:
    """Return <rows columns^T> over the sample."""
    return jax.lax.dot_general(rows, columns, (((1,), (1,)), ((), ()))) / rows.shape[1]


def white_noise(
    raw: Float[Any, "count samples"], *history: Float[Any, "rows samples"]
) -> Float[Any, "count samples"]:
    """Return noise that is exactly white and orthogonal to the history over the sample.

    Args:
        raw: Gaussian draws.
        history: sets of rows, each orthonormal or zero.
    """
    for rows in history:
        raw = raw - average(rows, raw).T @ rows
    factor = jnp.linalg.cholesky(average(raw, raw))
    inverse = jax.scipy.linalg.solve_triangular(
        factor, jnp.eye(raw.shape[0], dtype=raw.dtype), lower=True
    )
    return inverse @ raw


def unexplored(history: Side) -> Float[Any, ""]:
    """Return the share of the sample's dimensions that no direction has explored, 1 - r / S."""
    return 1.0 - jnp.sum(history.basis**2) / history.basis.shape[1] ** 2


def sampled(
    raw: Array, shape: tuple[int, ...], dtype: jnp.dtype, *, responses: bool = True
) -> Fresh:
    """Return a source of fresh noise over a sample, from Gaussian draws or a random key.

    Without response terms, whose sampling errors have a share of the variance, all of it is fresh.
    """

    def fresh(_: Array, history: Side) -> Array:
        keyed = jnp.issubdtype(raw.dtype, jax.dtypes.prng_key)
        draws = jax.random.normal(raw, shape, dtype) if keyed else raw
        noise = white_noise(draws, history.basis)
        return jnp.sqrt(unexplored(history)) * noise if responses else noise

    return fresh


def coordinates(first: int, stride: int, shape: tuple[int, ...], dtype: jnp.dtype) -> Fresh:
    """Return a source of exact noise: unit vectors of an abstract space of Gaussians.

    When all fields are linear, a field is the vector of its coefficients on independent Gaussians,
    and the last axis runs over these instead of samples; averages are then exact. Direction i of
    the history takes coordinate first + stride * i.
    """

    def fresh(used: Array, _: Side) -> Array:
        index = first + stride * (used + jnp.arange(shape[0], dtype=used.dtype))
        return jnp.sqrt(jnp.asarray(shape[1], dtype)) * jax.nn.one_hot(index, shape[1], dtype=dtype)

    return fresh


def _extend(
    own: Side,
    answer: Side,
    used: Int[Any, ""],
    block: Float[Any, "points samples"],
    importance: Float[Any, " points"],
    fresh: Fresh,
    tolerance: float,
    responses: bool,
) -> tuple[Side, Side, Array, Array, Array]:
    """Add a block's new directions to own.basis, and fresh noise for them to answer.noise.

    A row's importance, at most 1, scales it in the test that keeps or drops directions. Returns
    own, answer, the number of directions now in use, and the block's averages with own's basis
    and noise; the latter, the block's response, is zero without `responses`.
    """
    coefficients = average(own.basis, block)
    response = average(own.noise, block) if responses else jnp.zeros_like(coefficients)
    sizes, zero = jnp.mean(block**2, axis=1), jnp.zeros_like(used)
    scale = jnp.max(sizes)
    left_over = jnp.sum(importance**2 * (sizes - jnp.sum(coefficients**2, axis=0)))

    def add() -> tuple[Array, Array, Array, Array]:
        rest = block - coefficients.T @ own.basis
        # a second projection removes the history that rounding left in a small rest
        again = average(own.basis, rest)
        left = rest - again.T @ own.basis
        weighed = importance[:, None] * left
        values, vectors = jnp.linalg.eigh(average(weighed, weighed))
        values, vectors = values[::-1], vectors[:, ::-1]
        least = tolerance * scale
        count = jax.lax.pmax(jnp.sum(values > least, dtype=used.dtype), REPLICATES)
        kept = (jnp.arange(len(values), dtype=used.dtype) < count) & (values > least / 100)
        size = jnp.sqrt(jnp.where(kept, values, 1.0))
        new = jnp.where(kept[None], vectors / size[None], 0.0).T @ weighed
        noise = jnp.where(kept[:, None], fresh(used, answer), 0.0)
        more = jax.lax.dynamic_update_slice(again, average(new, left), (used, zero))
        return new, noise, more, count

    def keep() -> tuple[Array, Array, Array, Array]:
        nothing = jnp.zeros_like(block)
        return nothing, nothing, jnp.zeros_like(coefficients), zero

    found = jax.lax.pmax(left_over - tolerance * scale, REPLICATES)
    new, noise, more, count = jax.lax.cond(found > 0, add, keep)
    # rows beyond those in use are zero, so that writing no new ones changes nothing
    own = own._replace(basis=jax.lax.dynamic_update_slice(own.basis, new, (used, zero)))
    answer = answer._replace(noise=jax.lax.dynamic_update_slice(answer.noise, noise, (used, zero)))
    return own, answer, used + count, coefficients + more, response


def forward(
    transition: Transition,
    phi: Float[Any, "points samples"],
    scale: Float[Any, ""],
    fresh: Fresh,
    tolerance: float,
    *,
    responses: bool = True,
) -> tuple[Transition, Float[Any, "capacity points"], Float[Any, "points samples"]]:
    """Apply the weights to new features: h = a (u + A g) + sum c g Phi.

    Args:
        transition: the weights.
        phi: features of the lower layer.
        scale: a, the share of W(0) that remains after decay.
        fresh: source of noise for new directions.
        tolerance: variance, relative to the largest <phi^2>, below which a direction is dropped.
        responses: whether h answers the noise of z, the term A g.

    Returns:
        The weights with phi's new directions, the coefficients <q phi>, and h at the upper layer.
    """
    every = jnp.ones(phi.shape[0], phi.dtype)
    lower, upper, used, c, response = _extend(
        transition.lower,
        transition.upper,
        transition.features,
        phi,
        every,
        fresh,
        tolerance,
        responses,
    )
    transition = transition._replace(lower=lower, upper=upper, features=used)
    return transition, c, propagate(transition, c, response, scale)


def propagate(
    transition: Transition,
    c: Float[Any, "capacity points"],
    response: Float[Any, "capacity points"],
    scale: Float[Any, ""],
) -> Float[Any, "points samples"]:
    """Return the part of h along the history, from c = <q phi> and <p phi>."""
    return _answer(transition.upper, scale * response + transition.memory @ c, scale * c)


def _answer(
    side: Side, along: Float[Any, "capacity points"], fresh: Float[Any, "capacity points"]
) -> Float[Any, "points samples"]:
    return along.T @ side.basis + fresh.T @ side.noise


def backward(
    transition: Transition,
    g: Float[Any, "points samples"],
    importance: Float[Any, " points"],
    scale: Float[Any, ""],
    fresh: Fresh,
    tolerance: float,
    *,
    responses: bool = True,
) -> tuple[Transition, Float[Any, "capacity points"], Float[Any, "points samples"]]:
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
        responses,
    )
    transition = transition._replace(lower=lower, upper=upper, gradients=used)
    return transition, d, propagate_back(transition, d, response, scale)


def propagate_back(
    transition: Transition,
    d: Float[Any, "capacity points"],
    response: Float[Any, "capacity points"],
    scale: Float[Any, ""],
) -> Float[Any, "points samples"]:
    """Return the part of z along the history, from d = <v g> and <u g>."""
    return _answer(transition.lower, scale * response + transition.memory.T @ d, scale * d)
