"""Gaussian averages <phi(u) phi(v)> and <phi'(u) phi'(v)>: dual activations."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from harness.numerics.kernels.activations import on_arrays
from harness.numerics.kernels.arcsine import arcsine, cosine_of

QUADRATURE_NODES = 256
"""Gauss-Hermite nodes for the Hermite coefficients of an activation."""

HERMITE_TERMS = 128
"""Terms of the Hermite expansion."""

HERMITE_SPREAD = 1.75
"""Largest standard deviation of u at which the expansion of tanh is exact to 1e-10: its
coefficients fall as exp(-pi sqrt(k / 2) / spread), as tanh has poles at half of i pi."""

TANH_SCALES = (
    *(0.34076718804234163, 0.4417786025424626, 0.5663545839088008, 0.7253073724925484),
    *(0.9275266647836365, 1.1824607534271592, 1.5059722339565862, 1.93820620218156),
)
TANH_WEIGHTS = (
    *(0.001730218792535821, 0.03058917740259508, 0.13654940393960432, 0.27698283868848345),
    *(0.3122358126381553, 0.1896313151099304, 0.049232294619103424, 0.0030489350360118853),
)
"""tanh(x) is the sum of weights times erf(scale x), to 4e-9 at any x. The logistic law is a mixture
of Gaussians (Stefanski, Statistics & Probability Letters 11, 1991); these are the eight that come
nearest to it, found by least squares with weights that level the error."""

Kernel = Float64[np.ndarray, "..."]
"""(rows, columns), or (points,) of points with themselves."""
Variance = Float64[np.ndarray, " points"]
Array = NDArray[np.float64]
OfPoints = tuple[Array, ...]
"""Arrays whose last axis runs over points."""


class DualActivation(NamedTuple):
    """<phi(u) phi(v)> and <phi'(u) phi'(v)>, in two steps; calling it takes both for a kernel.

    Attributes:
        of_points: returns the quantities of each point that `of_pairs` needs, from the variances.
        of_pairs: returns both averages, new arrays of the shape of the covariances, from the
            covariances and the quantities of u and of v; broadcast along any axes after the first.
    """

    of_points: Callable[[Variance], OfPoints]
    of_pairs: Callable[
        [NDArray[np.float64], OfPoints, OfPoints], tuple[NDArray[np.float64], NDArray[np.float64]]
    ]

    def __call__(self, k: Any, rows: Any, columns: Any) -> tuple[Kernel, Kernel]:
        """Return both averages from the covariances and the variances of rows and columns."""
        left, right = (self.of_points(np.asarray(v, np.float64)) for v in (rows, columns))
        return self.of_pairs(np.asarray(k, np.float64), as_rows(left), right)

    def diagonal(self, variances: Variance) -> Variance:
        """Return <phi(u)^2> for every variance of u."""
        own = self.of_points(variances)
        return self.of_pairs(variances, own, own)[0]


def as_rows(points: OfPoints) -> OfPoints:
    """Return the quantities of points shaped as rows, to broadcast against columns."""
    return tuple(a[..., None] for a in points)


@functools.cache
def dual_activation(name: str, *, compiled: bool = False) -> DualActivation:
    """Return the map (K, diagonal of rows, diagonal of columns) -> (<phi phi>, <phi' phi'>).

    The averages are over (u, v), centred Gaussians with covariance K(i, j) and the variances
    given. Closed forms for linear, relu (Cho & Saul, NeurIPS 2009), erf (Williams, 1997) and gelu
    (by Stein's lemma); the Hermite expansion (Mehler's formula) with coefficients by Gauss-Hermite
    quadrature otherwise, which has K + 1 terms for heK. Where pre-activations are spread widely the
    expansion of tanh does not converge, and closed forms of erf at several scales take its place.

    Args:
        name: of phi.
        compiled: whether long expansions get a compiled program, one for each shape.
    """
    if name in _CLOSED:
        return DualActivation(*_CLOSED[name])
    degree = re.fullmatch(r"he(\d)", name)
    if degree is not None:
        return _expansion(name, int(degree[1]) + 1)
    return _tanh(_expansion(name, compiled=compiled))


def _of_linear_pairs(k: Kernel, left: OfPoints, right: OfPoints) -> tuple[Kernel, Kernel]:
    return k.copy(), np.ones_like(k)


def _roots(variances: Variance) -> OfPoints:
    """Return the inverse square roots of variances, 0 where one vanishes, and the square roots."""
    root = np.sqrt(variances)
    return np.divide(1.0, root, out=np.zeros_like(root), where=root > 0), root


def _scaled(k: Kernel, left: OfPoints, right: OfPoints) -> Kernel:
    """Return K times the first quantity of rows and of columns, within [-1, 1]."""
    found = k * left[0]
    found *= right[0]
    return np.clip(found, -1.0, 1.0, out=found)


def _of_relu_pairs(k: Kernel, left: OfPoints, right: OfPoints) -> tuple[Kernel, Kernel]:
    value = _scaled(k, left, right)
    sine = cosine_of(value)
    slope = arcsine(value, sine)
    slope *= 0.5 / math.pi
    slope += 0.25  # (pi - angle) / (2 pi)
    sine *= 0.5 / math.pi
    value *= slope
    value += sine
    value *= left[1]
    value *= right[1]
    return value, slope


def _of_erf_pairs(k: Kernel, left: OfPoints, right: OfPoints) -> tuple[Kernel, Kernel]:
    sine = _scaled(k, left, right)
    slope = cosine_of(sine)
    value = arcsine(sine, slope)
    value *= 2.0 / math.pi
    np.divide(2.0 / math.pi, slope, out=slope)
    slope *= left[0]
    slope *= right[0]
    return value, slope


def _of_gelu_pairs(k: Kernel, left: OfPoints, right: OfPoints) -> tuple[Kernel, Kernel]:
    """Return k/4 + (k angle + (a b + k^2 m) / sqrt(D)) / (2 pi), and its derivative by k.

    a and b are the variances, m = 1/(1 + a) + 1/(1 + b) - 1, D = (1 + a)(1 + b) - k^2 and angle =
    arcsin(k / sqrt((1 + a)(1 + b))): Stein's lemma on the factors u and v, and Price's theorem.
    """
    sine = _scaled(k, left, right)
    cosine = cosine_of(sine)
    share = arcsine(sine, cosine)
    share *= 0.5 / math.pi
    share += 0.25
    root = np.divide(1.0, cosine, out=cosine)
    root *= left[0]
    root *= right[0]  # 1 / sqrt(D)
    bent = (left[0] ** 2 - 1.0 + right[0] ** 2) * k
    value = bent * k
    value += left[1] * right[1]
    value *= root
    slope = np.multiply(value, k, out=sine)
    slope *= root
    bent *= 2.0
    slope += bent
    slope += k
    slope *= root
    slope *= 0.5 / math.pi
    slope += share
    share *= k
    value *= 0.5 / math.pi
    value += share
    return value, slope


def _tanh(expansion: DualActivation) -> DualActivation:
    """Return the dual of tanh: its expansion for narrow Gaussians, a sum of erf's for others."""
    scales = np.array(TANH_SCALES)[:, None]

    def of_points(variances: Variance) -> OfPoints:
        wide = np.sqrt(variances.max(initial=0.0, keepdims=True))
        scaled = math.sqrt(2.0) * scales / np.sqrt(1.0 + 2.0 * scales**2 * variances)
        return (np.broadcast_to(wide, variances.shape), scaled, *expansion.of_points(variances))

    def of_pairs(k: Kernel, left: OfPoints, right: OfPoints) -> tuple[Kernel, Kernel]:
        if max(left[0].max(initial=0.0), right[0].max(initial=0.0)) <= HERMITE_SPREAD:
            return expansion.of_pairs(k, left[2:], right[2:])
        value, slope = np.zeros_like(k), np.zeros_like(k)
        for a, rows in zip(TANH_WEIGHTS, left[1], strict=True):
            for b, columns in zip(TANH_WEIGHTS, right[1], strict=True):
                part, change = _of_erf_pairs(k, (rows,), (columns,))
                value += np.multiply(a * b, part, out=part)
                slope += np.multiply(a * b, change, out=change)
        return value, slope

    return DualActivation(of_points, of_pairs)


_CLOSED: dict[str, tuple[Any, Any]] = {
    "linear": (lambda v: (), _of_linear_pairs),
    "relu": (_roots, _of_relu_pairs),
    "erf": (lambda v: (1.0 / np.sqrt(0.5 + v),), _of_erf_pairs),
    "gelu": (lambda v: (1.0 / np.sqrt(1.0 + v), v), _of_gelu_pairs),
}


def _expansion(name: str, terms: int = HERMITE_TERMS, *, compiled: bool = False) -> DualActivation:
    """Return the dual of an activation by its Hermite expansion with `terms` terms.

    With u = s a, v = s' b and <a b> = rho:  <f(u) f(v)> = sum_k c_k(s) c_k(s') rho^k, where
    c_k(s) = <f(s a) He_k(a)> / sqrt(k!), one-dimensional averages.
    """
    phi, slope = on_arrays(name)
    nodes, projection = _hermite_projection()
    series = [(f, _powers(f, terms)) for f in (phi, slope)]

    def of_points(variances: Variance) -> OfPoints:
        inverse, root = _roots(variances)
        found = (projection[powers] @ f(nodes[:, None] * root) for f, powers in series)
        return inverse, *found

    def of_pairs(k: Kernel, left: OfPoints, right: OfPoints) -> tuple[Kernel, Kernel]:
        rho = _scaled(k, left, right)
        square = rho * rho
        horner = _compiled_horner if compiled else _horner
        parts = zip(series, left[1:], right[1:], strict=True)
        found = [_sum(p, rows, columns, rho, square, horner) for (_, p), rows, columns in parts]
        return found[0], found[1]

    return DualActivation(of_points, of_pairs)


def gaussian_products(
    f: Callable[[Array], Array],
    g: Callable[[Array], Array],
    covariance: Float64[np.ndarray, "points points"],
) -> Float64[np.ndarray, "points points"]:
    """Return <f(u_i) g(u_j)> over centred Gaussians u, by the Hermite expansion of both functions.

    Args:
        f: elementwise function of arrays.
        g: another one.
        covariance: of u.
    """
    nodes, projection = _hermite_projection()
    powers = np.intersect1d(_powers(f, HERMITE_TERMS), _powers(g, HERMITE_TERMS))
    if not len(powers):  # an odd and an even function
        return np.zeros_like(covariance)
    inverse, root = _roots(np.diagonal(covariance))
    rows, columns = (projection[powers] @ h(nodes[:, None] * root) for h in (f, g))
    rho = _scaled(covariance, (inverse[:, None],), (inverse,))
    return _sum(powers, rows[..., None], columns, rho, rho * rho, _horner)


def _sum(
    powers: NDArray[np.int64],
    rows: Array,
    columns: Array,
    rho: Kernel,
    square: Kernel,
    horner: Callable[[Array, Array, Kernel], Any],
) -> Kernel:
    """Return sum_k rows_k columns_k rho^k over equally spaced powers k."""
    step = square if len(powers) < 2 or powers[1] - powers[0] == 2 else rho
    total = np.array(horner(rows, columns, step))
    if powers[0] == 1:
        total *= rho
    return total


def _powers(f: Callable[[Any], Any], terms: int) -> NDArray[np.int64]:
    """Return the powers k of the nonzero terms: those of f's parity, if it has one."""
    nodes, powers = _hermite_projection()[0], np.arange(terms)
    values, mirrored = f(nodes), f(-nodes)
    for parity, sign in ((0, -1.0), (1, 1.0)):
        if np.allclose(mirrored, sign * values, rtol=1e-12, atol=0.0):
            powers = powers[powers % 2 != parity]
    return powers


def _horner(left: Array, right: Array, step: Kernel) -> Kernel:
    """Return sum_k left_k right_k step^k by Horner's rule, from the last term."""
    total = left[-1] * right[-1]
    term = np.empty_like(total)
    for rows, columns in zip(left[-2::-1], right[-2::-1], strict=True):
        total *= step
        total += np.multiply(rows, columns, out=term)
    return total


@jax.jit
def _compiled_horner(left: Any, right: Any, step: Any) -> Any:
    """Return the same as `_horner`."""

    def add(total: Any, pair: tuple[Any, Any]) -> tuple[Any, None]:
        return total * step + pair[0] * pair[1], None

    terms = left[:-1], right[:-1]
    return jax.lax.scan(add, left[-1] * right[-1], terms, reverse=True)[0]


@functools.cache
def _hermite_projection() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return quadrature nodes, and the matrix from values at the nodes to Hermite coefficients."""
    from scipy.special import roots_hermitenorm

    nodes, weights = roots_hermitenorm(QUADRATURE_NODES)
    rows = [np.ones_like(nodes), nodes]
    for k in range(1, HERMITE_TERMS - 1):  # He_{k+1} = x He_k - k He_{k-1}, normalised
        rows.append((nodes * rows[k] - np.sqrt(k) * rows[k - 1]) / np.sqrt(k + 1))
    return nodes, np.stack(rows) * (weights / weights.sum())
