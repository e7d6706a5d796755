"""Activation functions by name."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.polynomial import hermite_e
from numpy.typing import NDArray

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


BLOCK = 2**15
"""Size of a block of the compiled error function: one program serves every shape."""

OnArrays = Callable[[NDArray[Any]], NDArray[Any]]


@functools.cache
def on_arrays(name: str) -> tuple[OnArrays, OnArrays]:
    """Return phi and phi' by name, as functions of NumPy arrays in their precision, uncompiled.

    The names are those of `activation`; only the error function needs a program, one for all
    shapes. Results are new arrays, or the argument itself where the function is the identity.

    Raises:
        KeyError: if there is no such activation.
    """
    if name in _ON_ARRAYS:
        return _ON_ARRAYS[name]
    degree = int(name.removeprefix("he")) if name in _NAMED else None
    if degree is None:
        raise KeyError(name)
    below = [0.0] * degree
    return _hermite_series([*below, 1.0]), _hermite_series([*below[1:], math.sqrt(degree)])


def _hermite_series(normalised: list[float]) -> OnArrays:
    """Return a sum of He_k / sqrt(k!) as a function, from its coefficients."""
    sizes = [c / math.sqrt(math.factorial(k)) for k, c in enumerate(normalised)]
    *lower, last = hermite_e.herme2poly(sizes).tolist()

    def value(x: NDArray[Any]) -> NDArray[Any]:
        total = np.full_like(x, last)
        for coefficient in reversed(lower):
            total *= x
            total += coefficient
        return total

    return value


def _erf(x: NDArray[Any]) -> NDArray[Any]:
    flat = np.ascontiguousarray(x).ravel()
    padded = np.pad(flat, (0, -len(flat) % BLOCK)).reshape(-1, BLOCK)
    found = np.stack([np.asarray(_compiled_erf(block)) for block in padded])
    return found.ravel()[: len(flat)].reshape(x.shape)


_compiled_erf = jax.jit(jax.lax.erf)


def _bell(x: NDArray[Any]) -> NDArray[Any]:
    """Return the density of a standard Gaussian."""
    found: NDArray[Any] = np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
    return found


def _below(x: NDArray[Any]) -> NDArray[Any]:
    """Return the probability that a standard Gaussian is less than x."""
    return 0.5 + 0.5 * _erf(x * math.sqrt(0.5))


_ON_ARRAYS: dict[str, tuple[OnArrays, OnArrays]] = {
    # a product with 0 or 1 takes half the time of a maximum
    "relu": (lambda x: x * (x > 0.0), lambda x: (x > 0.0).astype(x.dtype)),
    "tanh": (np.tanh, lambda x: 1.0 - np.tanh(x) ** 2),
    "erf": (_erf, lambda x: 2.0 / math.sqrt(math.pi) * np.exp(-x * x)),
    "linear": (lambda x: x, np.ones_like),
    "gelu": (lambda x: x * _below(x), lambda x: _below(x) + x * _bell(x)),
}
