"""Kernels of infinitely wide networks at initialisation: NNGP and NTK of any depth."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from harness.numerics.dual_activations import Dual, Variance, dual_activation

ROWS_AT_ONCE = 128
"""Rows of a kernel that are taken through all layers together, while they are in the cache."""


class LazyKernels(NamedTuple):
    """Kernels between two sets of points, before training.

    Attributes:
        features: feature kernels Phi^1 ... Phi^L, or Phi^L alone, each (rows, columns); the last
            is the NNGP kernel of a readout with unit prior variance.
        ntk: neural tangent kernel of all weights, (rows, columns).
        variances: <(h^l)^2> of the rows for l = 1 ... L, shape (L, rows).
    """

    features: tuple[Float[Array, "rows columns"], ...]
    ntk: Float[Array, "rows columns"]
    variances: Float[Array, "layers rows"]


def input_kernel(x: Float[Array, "rows inputs"], z: Float[Array, "columns inputs"]) -> Array:
    """Return K_x(x, z) = x.z / D, shape (rows, columns)."""
    return x @ z.T / x.shape[1]


@partial(jax.jit, static_argnames=("activation", "depth", "every_layer"))
def lazy_kernels(
    x: Float[Array, "rows inputs"],
    z: Float[Array, "columns inputs"],
    *,
    activation: str,
    depth: int,
    every_layer: bool = True,
) -> LazyKernels:
    """Return the kernels of h^1 = W x / sqrt(D), h^{l+1} = W phi(h^l) / sqrt(N), f = w.phi(h^L).

    Phi^l = <phi phi> and Phi'^l = <phi' phi'> under the Gaussian of covariance Phi^{l-1}
    (Phi^0 = K_x); NTK^1 = Phi^1 + Phi'^1 K_x, NTK^l = Phi^l + Phi'^l NTK^{l-1}
    (Jacot et al., NeurIPS 2018). Rows go through all layers in blocks, so that time goes into
    arithmetic and not into memory.

    Args:
        x: inputs of the rows, (rows, D).
        z: inputs of the columns, (columns, D).
        activation: name of phi.
        depth: number of hidden layers L.
        every_layer: whether feature kernels of all layers are returned, or of the last alone.
    """
    dual = dual_activation(activation)
    rows, columns = (_variances(dual, a, depth) for a in (x, z))

    def block(start: Array | int, size: int) -> tuple[tuple[Array, ...], Array]:
        inputs = jax.lax.dynamic_slice_in_dim(x, start, size)
        variances = jax.lax.dynamic_slice_in_dim(rows, start, size, axis=1)
        cross = ntk = input_kernel(inputs, z)
        features = []
        for layer in range(depth):
            cross, slope = dual(cross, variances[layer], columns[layer])
            # without the barrier the compiler computes a layer again for each of its uses
            cross, ntk = jax.lax.optimization_barrier((cross, cross + slope * ntk))
            features.append(cross)
        return tuple(features if every_layer else features[-1:]), ntk

    features, ntk = _by_blocks(block, len(x))
    return LazyKernels(features, ntk, rows)


Blocks = tuple[tuple[Array, ...], Array]


def _by_blocks(block: Callable[[Array | int, int], Blocks], rows: int) -> Blocks:
    """Call block(first row, number of rows) until all rows are there; the last may overlap."""
    if rows <= ROWS_AT_ONCE:
        return block(0, rows)
    whole = jax.tree.map(
        lambda a: jnp.zeros((rows, a.shape[1]), a.dtype),
        jax.eval_shape(lambda: block(0, ROWS_AT_ONCE)),
    )

    def add(index: int, whole: Blocks) -> Blocks:
        start = jnp.minimum(index * ROWS_AT_ONCE, rows - ROWS_AT_ONCE)
        found = block(start, ROWS_AT_ONCE)
        return jax.tree.map(
            lambda a, part: jax.lax.dynamic_update_slice_in_dim(a, part, start, 0), whole, found
        )

    return jax.lax.fori_loop(0, -(-rows // ROWS_AT_ONCE), add, whole)


def _variances(dual: Dual, x: Float[Array, "points inputs"], depth: int) -> Array:
    """Return the variances of h^1 ... h^L at every point, (L, points)."""

    def next_layer(v: Float[Array, ""]) -> Float[Array, ""]:
        return dual(v[None, None], v[None], v[None])[0][0, 0]

    found: list[Variance] = [jnp.sum(x**2, axis=1) / x.shape[1]]
    for _ in range(depth - 1):
        found.append(jax.vmap(next_layer)(found[-1]))
    return jnp.stack(found)
