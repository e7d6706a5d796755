"""Activation functions by name."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from numpy.polynomial import hermite_e

Activation = Callable[[Float[Array, "..."]], Float[Array, "..."]]

_NAMED: dict[str, Activation] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "erf": jax.lax.erf,
    "linear": lambda x: x,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
}


def _hermite(degree: int) -> Activation:
    coefficients = hermite_e.herme2poly([0.0] * degree + [1.0 / math.sqrt(math.factorial(degree))])
    return lambda x: jnp.polyval(jnp.asarray(coefficients[::-1], dtype=x.dtype), x)


_NAMED |= {f"he{k}": _hermite(k) for k in range(1, 10)}


def activation(name: str) -> Activation:
    """Return phi by name: relu, tanh, erf, linear, gelu, or he1 ... he9.

    ``heK`` is the normalised probabilists' Hermite polynomial He_K / sqrt(K!), of unit variance
    under a standard Gaussian.

    Raises:
        KeyError: if there is no such activation.
    """
    return _NAMED[name]


@functools.cache  # one object for each activation, so that compiled code is reused
def derivative(phi: Activation) -> Activation:
    """Return phi', elementwise, keeping shape and dtype (ReLU: 0 at 0)."""

    def slope(x: Array) -> Array:
        return jax.jvp(phi, (x,), (jnp.ones_like(x),))[1]

    return slope
