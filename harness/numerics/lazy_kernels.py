"""Kernels of infinitely wide networks at initialisation: NNGP and NTK of any depth."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from harness.numerics.dual_activations import Dual, Variance, dual_activation


class LazyKernels(NamedTuple):
    """Kernels between two sets of points, before training.

    Attributes:
        features: feature kernels Phi^1 ... Phi^L, shape (L, rows, columns); the last is the NNGP
            kernel of a readout with unit prior variance.
        ntk: neural tangent kernel of all weights, (rows, columns).
    """

    features: Float[Array, "layers rows columns"]
    ntk: Float[Array, "rows columns"]


def input_kernel(x: Float[Array, "rows inputs"], z: Float[Array, "columns inputs"]) -> Array:
    """Return K_x(x, z) = x.z / D, shape (rows, columns)."""
    return x @ z.T / x.shape[1]


@partial(jax.jit, static_argnames=("activation", "depth"))
def lazy_kernels(
    x: Float[Array, "rows inputs"],
    z: Float[Array, "columns inputs"],
    *,
    activation: str,
    depth: int,
) -> LazyKernels:
    """Return the kernels of h^1 = W x / sqrt(D), h^{l+1} = W phi(h^l) / sqrt(N), f = w.phi(h^L).

    Phi^l = <phi phi> and Phi'^l = <phi' phi'> under the Gaussian of covariance Phi^{l-1}
    (Phi^0 = K_x); NTK^1 = Phi^1 + Phi'^1 K_x, NTK^l = Phi^l + Phi'^l NTK^{l-1}
    (Jacot et al., NeurIPS 2018).

    Args:
        x: inputs of the rows, (rows, D).
        z: inputs of the columns, (columns, D).
        activation: name of phi.
        depth: number of hidden layers L.
    """
    dual = dual_activation(activation)
    cross = input_kernel(x, z)
    rows, columns = jnp.sum(x**2, axis=1) / x.shape[1], jnp.sum(z**2, axis=1) / z.shape[1]
    ntk, features = cross, []
    for _ in range(depth):
        phi, slope = dual(cross, rows, columns)
        ntk = phi + slope * ntk
        features.append(phi)
        rows, columns = _diagonal(dual, rows), _diagonal(dual, columns)
        cross = phi
    return LazyKernels(jnp.stack(features), ntk)


def _diagonal(dual: Dual, variance: Variance) -> Variance:
    """Return <phi(u)^2> for every variance of u."""

    def one(v: Float[Array, ""]) -> Float[Array, ""]:
        return dual(v[None, None], v[None], v[None])[0][0, 0]

    return jax.vmap(one)(variance)
