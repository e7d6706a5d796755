"""The arc sine for closed-form kernels: many million values, in full precision."""

from __future__ import annotations

import functools
import math

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

DEGREE = 11
"""Degree of the series; its terms fall as 25^-k, below the rounding of float64."""

LARGEST = (math.sqrt(2.0) - 1.0) ** 2
"""Largest square of the tangent of a quarter of the angle."""

Array = NDArray[np.float64]


@functools.cache
def _series() -> tuple[float, ...]:
    """Return coefficients in powers of w of 4 arctan(sqrt(w)) / sqrt(w) for w <= `LARGEST`."""
    from numpy.polynomial import Chebyshev, Polynomial

    nodes = np.cos(math.pi * (np.arange(DEGREE + 1) + 0.5) / (DEGREE + 1))  # Chebyshev's
    root = np.sqrt(LARGEST * (1.0 + nodes) / 2.0)
    values = 4.0 * np.arctan(root) / root
    fitted = Chebyshev.fit(root**2, values, DEGREE, domain=[0.0, LARGEST])
    return tuple(fitted.convert(kind=Polynomial).coef.tolist())


def cosine_of(sine: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
    """Return sqrt(1 - s^2) for s in [-1, 1], without the cancellation near 1."""
    found = 1.0 - sine
    found *= 1.0 + sine
    return np.sqrt(found, out=found)


def arcsine(sine: Float[np.ndarray, ...], cosine: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
    """Return arcsin(s) for s in [-1, 1], with a relative error below 1e-14.

    The tangent of a quarter of the angle is s / (2 q (1 + q)) with q = sqrt((1 + c) / 2), the
    cosine of its half; a polynomial takes it to the angle. These are additions, products and two
    roots on whole arrays, several times as fast as one arc sine after the other.

    Args:
        sine: s.
        cosine: c = `cosine_of` s, which closed forms need as well.
    """
    half = 0.5 * cosine
    half += 0.5
    np.sqrt(half, out=half)
    tangent = half + 1.0
    tangent *= half
    tangent *= 2.0
    np.divide(sine, tangent, out=tangent)
    square = np.multiply(tangent, tangent, out=half)
    *lower, last = _series()
    angle = last * square
    for coefficient in reversed(lower[1:]):
        angle += coefficient
        angle *= square
    angle += lower[0]
    angle *= tangent
    return angle
