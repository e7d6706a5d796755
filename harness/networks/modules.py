"""Parts shared by mean-field Flax modules."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float


class Layers(NamedTuple):
    """What an architecture's Flax module returns: hidden layers, without the readout.

    Attributes:
        preactivations: h^1 ... h^L, each (P, units).
        features: phi(h^1) ... phi(h^L), each (P, units); the readout acts on the last.
    """

    preactivations: tuple[Float[Array, "points units"], ...]
    features: tuple[Float[Array, "points units"], ...]


class MeanFieldDense(nn.Module):
    """h = x W / sqrt(fan-in) with all entries of W drawn from N(0, 1), and no bias.

    Attributes:
        units: number of outputs.
    """

    units: int

    @nn.compact
    def __call__(self, x: Float[Array, "points fan_in"]) -> Float[Array, "points units"]:
        """Return the pre-activations of a layer."""
        kernel = self.param(
            "kernel", nn.initializers.normal(1.0, dtype=x.dtype), (x.shape[1], self.units)
        )
        # scaling the inputs, not the product, touches P x fan-in numbers instead of P x units
        return (x / jnp.sqrt(jnp.asarray(x.shape[1], x.dtype))) @ kernel
