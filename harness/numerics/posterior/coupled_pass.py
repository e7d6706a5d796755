"""One pass upwards through the layers of a coupled linear network, as n -> 0 copies of it.

The equations are those of `harness.numerics.posterior.coupled_linear`.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array


class Quenched(NamedTuple):
    """Constants of the equations, in the eigenbasis of the training points' kernel.

    Attributes:
        values: eigenvalues of K on the training points.
        y: labels.
        pulled: K vbar, for vbar of unit norm vbar.K vbar, or 0.
        ridge: lambda.
        top: gamma^2 / s^2.
        mixing: m.
        noise: sigma^2.
        variance: s0^2.
        conjugates: of the source, in the same units, (layers,).
    """

    values: Array
    y: Array
    pulled: Array
    ridge: Array
    top: Array
    mixing: Array
    noise: Array
    variance: Array
    conjugates: Array


class _Blocks(NamedTuple):
    """A replica-symmetric matrix as n -> 0: its blocks aa less ab, a0, 00, and ab; all symmetric.

    Such matrices multiply like [[aa - ab, a0, ab], [0, 00, 0a], [0, 0, aa - ab]].
    """

    own: Array
    cross: Array
    source: Array
    shared: Array

    def embedded(self) -> Array:
        """Return the block-triangular form of the matrix, (6, 6)."""
        zero = jnp.zeros_like(self.own)
        return jnp.block(
            [
                [self.own, self.cross, self.shared],
                [zero, self.source, self.cross.T],
                [zero, zero, self.own],
            ]
        )


def _blocks(matrix: Array) -> _Blocks:
    """Return the blocks of an embedded matrix."""
    return _Blocks(matrix[:2, :2], matrix[:2, 2:4], matrix[2:4, 2:4], matrix[:2, 4:])


class _Layer(NamedTuple):
    """Results of an upward pass for one layer.

    Attributes:
        scale: c of Phi_aa = c K + U M U^T.
        shape: M.
        pulls: of the layer below, (3,): Q_a0, Q_ab and Q_aa minus Q_ab.
        room: determinant of 1 - C Q for one copy, given Wbar: its law is normalisable if positive.
        action: of the layer, for one copy.
    """

    scale: Array
    shape: Array
    pulls: Array
    room: Array
    action: Array


def pulling_weights(unknowns: Array, given: Quenched) -> tuple[Array, Array]:
    """Return v and its norm, with the smallest positive number in the place of 0."""
    v = (given.y - unknowns[1] * given.pulled) / (given.ridge + unknowns[0] * given.values)
    size = jnp.sum(given.values * v**2)
    return v, jnp.sqrt(jnp.maximum(size, np.finfo(np.float64).tiny))


def _upwards(unknowns: Array, given: Quenched) -> _Layer:
    """Return the results of the upward pass at the unknowns, (layers, ...)."""
    v, norm = pulling_weights(unknowns, given)
    overlap = v @ given.pulled / norm
    held = jnp.where(jnp.any(given.conjugates > 0), 1.0, 0.0)
    gram = jnp.array([[1.0, overlap], [overlap, held]])
    grams, one = jnp.kron(jnp.eye(3), gram), jnp.eye(2)
    m, noise, variance = given.mixing, given.noise, given.variance
    top = jnp.array([0.0, 0.0, given.top * norm**2])
    pulls = jnp.concatenate([unknowns[2:].reshape(-1, 3), top[None]])

    def mixed(own: Array, cross: Array, source: Array, shared: Array) -> _Blocks:
        """Return C for Phi, or the Q below for G: the map without `noise` is its own transpose."""
        return _Blocks(own, m * variance * cross, variance * source, m**2 * variance * shared)

    def layer(
        below: tuple[_Blocks, _Blocks], entry: tuple[Array, Array]
    ) -> tuple[tuple[_Blocks, _Blocks], _Layer]:
        scales, shapes = (
            mixed(
                m**2 * variance * phi.own + noise * (phi.own + phi.shared),
                phi.cross,
                phi.source,
                phi.shared,
            )
            for phi in below
        )
        pull, source = entry
        at = jnp.zeros((2, 2))
        conjugate = _Blocks(
            at.at[0, 0].set(pull[2]),
            at.at[0, 1].set(pull[0]),
            at.at[1, 1].set(source),
            at.at[0, 0].set(pull[1]),
        ).embedded()
        scale = _Blocks(*(c * one for c in scales)).embedded()
        shape = shapes.embedded()
        left = scale + shape @ grams
        covariance = grams @ left
        against = jnp.eye(6) - covariance @ conjugate
        g = jnp.linalg.solve(against.T, conjugate.T).T
        shape = shape + left @ g @ (scale + grams @ shape)
        found = _blocks(g)
        kernel = _blocks(covariance + covariance @ g @ covariance)
        pulled, divided = _blocks(conjugate), _blocks(against)
        product = kernel.own * (pulled.own + pulled.shared) + kernel.shared * pulled.own
        back = jnp.linalg.solve(divided.source, against[2:4, 4:])
        action = 0.5 * (
            jnp.sum(product)
            + 2 * jnp.sum(kernel.cross * pulled.cross)
            + jnp.linalg.slogdet(divided.own)[1]
            + jnp.trace(jnp.linalg.solve(divided.own, divided.shared - divided.cross @ back))
        )
        shapes = _blocks(shape)
        lower = jnp.array(
            [
                m * variance * found.cross[0, 1],
                m**2 * variance * found.shared[0, 0],
                m**2 * variance * found.own[0, 0] + noise * (found.own + found.shared)[0, 0],
            ]
        )
        here = _Layer(
            scales.own + scales.shared,
            shapes.own + shapes.shared,
            lower,
            jnp.linalg.det(divided.own),
            action,
        )
        return (scales, shapes), here

    unit, nothing = jnp.ones(()), jnp.zeros((2, 2))
    inputs = _Blocks(jnp.zeros(()), unit, unit, unit), _Blocks(*4 * (nothing,))
    return jax.lax.scan(layer, inputs, (pulls, given.conjugates))[1]


def _image(unknowns: Array, given: Quenched) -> tuple[Array, Array]:
    """Return the unknowns recomputed by one pass, and the least room of a layer.

    A solution is its own image, with room in every layer.
    """
    v, norm = pulling_weights(unknowns, given)
    found = _upwards(unknowns, given)
    overlap = v @ given.pulled / norm
    along = found.shape[-1] @ jnp.array([1.0, overlap])
    ends = jnp.array([found.scale[-1] + along[0], along[1] * norm])
    return jnp.concatenate([ends, found.pulls[1:].ravel()]), jnp.min(found.room)


@jax.jit
def scaled_equations(scaled: Array, given: Quenched, sizes: Array) -> tuple[Array, Array, Array]:
    """Return the residual, the least room, and the Jacobian, for unknowns in units of `sizes`."""

    def residual(scaled: Array) -> tuple[Array, tuple[Array, Array]]:
        image, room = _image(scaled * sizes, given)
        value = scaled - image / sizes
        return value, (value, room)

    slope, (value, room) = jax.jacfwd(residual, has_aux=True)(scaled)
    return value, room, slope


@jax.jit
def copy_action(unknowns: Array, given: Quenched) -> Array:
    """Return the action of one copy."""
    v, _ = pulling_weights(unknowns, given)
    return 0.5 * given.top * (given.y @ v) + jnp.sum(_upwards(unknowns, given).action)


next_unknowns = jax.jit(_image)
coupled_layers = jax.jit(_upwards)
