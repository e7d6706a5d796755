"""One upward pass through the layers of a tilted network: kernels from conjugate kernels.

The equations are those of `harness.numerics.posterior.layers`.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from harness.numerics.kernels.activations import activation as named
from harness.numerics.kernels.activations import derivative
from harness.numerics.posterior.moves import FAR

JITTER = 1e-6
"""Added to the diagonal of kernels, relative to its mean, before they are factored."""

TINY = 1e-150
"""Absolute part of the same, for features that vanish on all points."""


class Unknowns(NamedTuple):
    """Unknowns: Delta, and B^T Q_l B below the top, B from the kernels of the prior."""

    delta: Float[Array, " train"]
    pulls: Float[Array, "lower train train"]


class LayerLaw(NamedTuple):
    """Constants of a search.

    Attributes:
        root: s E of the first layer.
        bases: B with B B^T = Phi_l under the prior, the identity at the top.
        y: labels.
        spread: s.
        tilt: gamma^2 / (T lambda).
        ridge: lambda.
    """

    root: Float[Array, "train train"]
    bases: Float[Array, "layers train train"]
    y: Float[Array, " train"]
    spread: Float[Array, ""]
    tilt: Float[Array, ""]
    ridge: Float[Array, ""]


class Pass(NamedTuple):
    """Results of one upward pass for every layer.

    Attributes:
        kernels: Phi_l.
        pulls: B^T Q_{l-1} B of the layer below.
        roots: s E.
        share: share of effective units after reweighting.
        growth: of 2 log w relative to |u|^2, far out, along the units' directions: below 1 where
            the law can be normalised, 0 for bounded activations.
    """

    kernels: Float[Array, "layers train train"]
    pulls: Float[Array, "layers train train"]
    roots: Float[Array, "layers train train"]
    share: Float[Array, " layers"]
    growth: Float[Array, " layers"]


def kernel_root(kernel: Array) -> Array:
    """Return E with E E^T = kernel, lower triangular; singular kernels included."""
    floor = JITTER * jnp.mean(jnp.diagonal(kernel, axis1=-2, axis2=-1), axis=-1)
    floor = jnp.maximum(floor, TINY)
    identity = jnp.broadcast_to(jnp.eye(kernel.shape[-1]), kernel.shape)
    return jnp.linalg.cholesky(kernel + floor[..., None, None] * identity)


def layer_tilts(unknowns: Unknowns, law: LayerLaw) -> Array:
    """Return B^T Q_l B of every layer."""
    top = law.tilt * jnp.outer(unknowns.delta, unknowns.delta)
    return jnp.concatenate([unknowns.pulls, top[None]])


def pull(features: Array, base: Array, tilt: Array) -> tuple[Array, Array]:
    """Return Q phi and 1/2 phi^T Q phi, for features (..., train)."""
    inverse = solve_triangular(base, jnp.eye(len(base), dtype=base.dtype), lower=True)
    whitened = features @ inverse.T
    pulled = whitened @ tilt
    return pulled @ inverse, 0.5 * jnp.sum(pulled * whitened, axis=-1)


def pass_upwards(
    unknowns: Unknowns, u: Array, drawn: Array, law: LayerLaw, activation: str
) -> Pass:
    """Return the results of a pass at the unknowns, layer by layer, with reweighted units.

    Args:
        unknowns: Delta and the conjugate kernels.
        u: units, (layers, units, train).
        drawn: log weights of the law from which units were drawn, (layers, units).
        law: constants of the search.
        activation: name of phi.
    """
    phi = named(activation)
    slope = derivative(phi)
    below = jnp.concatenate([jnp.eye(u.shape[2], dtype=law.bases.dtype)[None], law.bases[:-1]])

    def layer(root: Array, entry: tuple[Array, ...]) -> tuple[Array, Pass]:
        u, drawn, base, tilt, base_below = entry
        h = u @ root.T
        features = phi(h)
        pulled, log_weights = pull(features, base, tilt)
        weights = jax.nn.softmax(log_weights - drawn)
        kernel = (features * weights[:, None]).T @ features
        moment = (u * weights[:, None]).T @ ((pulled * slope(h)) @ root)
        # the same average, noisier in its value, but with a response free of second derivatives
        square = (u * weights[:, None]).T @ u
        moment = jax.lax.stop_gradient(moment - square) + square
        whitened = law.spread * solve_triangular(root, base_below, lower=True)
        pulls = whitened.T @ (0.5 * (moment + moment.T)) @ whitened
        share = 1.0 / (len(u) * jnp.sum(weights**2))
        far = 2.0 * pull(phi(FAR * h), base, tilt)[1] / jnp.sum((FAR * u) ** 2, axis=1)
        found = Pass(kernel, pulls, root, share, jnp.max(far))
        return law.spread * kernel_root(kernel), found

    return jax.lax.scan(layer, law.root, (u, drawn, law.bases, layer_tilts(unknowns, law), below))[
        1
    ]
