"""Gaussian averages <phi(u) phi(v)> and <phi'(u) phi'(v)>: dual activations."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from harness.numerics.activations import Activation, activation, derivative
from harness.numerics.arccosine import arccosine

QUADRATURE_NODES = 256
"""Gauss-Hermite nodes for the Hermite coefficients of an activation."""

HERMITE_TERMS = 128
"""Terms of the Hermite expansion; coefficients of tanh fall to 1e-8 within them."""

Kernel = Float[Array, "rows columns"]
Variance = Float[Array, " points"]
Dual = Callable[[Kernel, Variance, Variance], tuple[Kernel, Kernel]]


def dual_activation(name: str) -> Dual:
    """Return the map (K, diagonal of rows, diagonal of columns) -> (<phi phi>, <phi' phi'>).

    The averages are over (u, v), centred Gaussians with covariance K(i, j) and the variances
    given. Closed forms for linear, relu (Cho & Saul, NeurIPS 2009) and erf (Williams, 1997);
    the Hermite
    expansion (Mehler's formula) with coefficients by Gauss-Hermite quadrature otherwise.
    """
    return _CLOSED.get(name) or _expansion(name)


def _linear(k: Kernel, rows: Variance, columns: Variance) -> tuple[Kernel, Kernel]:
    return k, jnp.ones_like(k)


def _relu(k: Kernel, rows: Variance, columns: Variance) -> tuple[Kernel, Kernel]:
    norm = jnp.sqrt(rows[:, None] * columns[None, :])
    cosine = jnp.where(norm > 0, jnp.clip(k / jnp.where(norm > 0, norm, 1.0), -1.0, 1.0), 0.0)
    angle = arccosine(cosine)
    value = norm * (jnp.sqrt(1.0 - cosine**2) + (jnp.pi - angle) * cosine) / (2.0 * jnp.pi)
    return value, (jnp.pi - angle) / (2.0 * jnp.pi)


def _erf(k: Kernel, rows: Variance, columns: Variance) -> tuple[Kernel, Kernel]:
    scale = (1.0 + 2.0 * rows)[:, None] * (1.0 + 2.0 * columns)[None, :]
    angle = arccosine(jnp.clip(2.0 * k / jnp.sqrt(scale), -1.0, 1.0))
    return 1.0 - 2.0 / jnp.pi * angle, 4.0 / jnp.pi / jnp.sqrt(scale - 4.0 * k**2)


_CLOSED: dict[str, Dual] = {"linear": _linear, "relu": _relu, "erf": _erf}


def _expansion(name: str) -> Dual:
    """Return the dual of a smooth activation by its Hermite expansion.

    With u = s a, v = s' b and <a b> = rho:  <f(u) f(v)> = sum_k c_k(s) c_k(s') rho^k, where
    c_k(s) = <f(s a) He_k(a)> / sqrt(k!), one-dimensional averages.
    """
    phi = activation(name)
    nodes, projection = _hermite_projection()

    def dual(k: Kernel, rows: Variance, columns: Variance) -> tuple[Kernel, Kernel]:
        x, project = (jnp.asarray(a, dtype=k.dtype) for a in (nodes, projection))
        scale = jnp.sqrt(rows[:, None] * columns[None, :])
        rho = jnp.where(scale > 0, jnp.clip(k / jnp.where(scale > 0, scale, 1.0), -1.0, 1.0), 0.0)

        def average(f: Activation) -> Kernel:
            left, right = (project @ f(x[:, None] * jnp.sqrt(v)) for v in (rows, columns))

            def add(term: int, total: Kernel) -> Kernel:  # Horner's rule, from the last term
                down = HERMITE_TERMS - 1 - term
                return total * rho + left[down][:, None] * right[down]

            return jax.lax.fori_loop(0, HERMITE_TERMS, add, jnp.zeros_like(k), unroll=16)

        return average(phi), average(derivative(phi))

    return dual


@functools.cache
def _hermite_projection() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return quadrature nodes, and the matrix that takes values there to Hermite coefficients."""
    from scipy.special import roots_hermitenorm

    nodes, weights = roots_hermitenorm(QUADRATURE_NODES)
    rows = [np.ones_like(nodes), nodes]
    for k in range(1, HERMITE_TERMS - 1):  # He_{k+1} = x He_k - k He_{k-1}, normalised
        rows.append((nodes * rows[k] - np.sqrt(k) * rows[k - 1]) / np.sqrt(k + 1))
    return nodes, np.stack(rows) * (weights / weights.sum())
