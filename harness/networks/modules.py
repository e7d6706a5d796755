"""Parts shared by mean-field Flax modules."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from harness.networks.draws import standard_normal


class Layers(NamedTuple):
    """Output of an architecture's Flax module: hidden layers, without the readout.

    Attributes:
        preactivations: h^1 ... h^L, each (P, units), or (P, positions, units) for units at several
            positions; JAX arrays, or NumPy arrays once they are observed.
        features: phi(h^1) ... phi(h^L), each (P, units); the readout acts on the last, which has
            K N features where a unit shows K of them.
    """

    preactivations: tuple[Float[Any, "points *positions units"], ...]
    features: tuple[Float[Any, "points units"], ...]


class MeanFieldDense(nn.Module):
    """h = x W / sqrt(fan-in) with all entries of W drawn from N(0, 1), and no bias.

    Attributes:
        units: number of outputs.
    """

    units: int

    @nn.compact
    def __call__(self, x: Float[Any, "points fan_in"]) -> Float[Array, "points units"]:
        """Return the pre-activations of a layer."""
        kernel = self.param("kernel", standard_normal, (x.shape[1], self.units), x.dtype)
        # scaling the inputs, not the product, touches P x fan-in numbers instead of P x units
        return _product(x / jnp.sqrt(jnp.asarray(x.shape[1], x.dtype)), kernel)


@jax.custom_jvp
def _product(
    x: Float[Array, "points fan_in"], kernel: Float[Array, "fan_in units"]
) -> Float[Array, "points units"]:
    return x @ kernel


def _product_tangent(
    primals: tuple[Array, Array], tangents: tuple[Array | SymbolicZero, Array | SymbolicZero]
) -> tuple[Array, Array]:
    """Differentiate the product so that the gradient of the kernel is a fast product.

    The gradient is x^T g. On several threads XLA multiplies by a transposed left factor at half the
    rate, which costs more than a copy of x^T. The barrier keeps XLA from removing the copy.
    """
    x, kernel = primals
    dx, dkernel = tangents
    product = _product(x, kernel)
    moved = jnp.zeros_like(product)
    if not isinstance(dkernel, SymbolicZero):
        columns = jax.lax.optimization_barrier(x.T)
        moved += jnp.einsum("ip,iu->pu", columns, dkernel)
    if not isinstance(dx, SymbolicZero):
        moved += dx @ kernel
    return product, moved


_product.defjvp(_product_tangent, symbolic_zeros=True)
