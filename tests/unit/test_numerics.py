"""Closed forms against quadrature and sampling, and samples against their moments."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf

from harness import numerics
from harness.numerics.kernels import dual_activations
from harness.numerics.kernels.arcsine import arcsine, cosine_of


def points(seed: int, count: int = 5, dimension: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, dimension))


def covariances(x: np.ndarray) -> tuple[jnp.ndarray, jnp.ndarray]:
    kernel = numerics.input_kernel(jnp.asarray(x), jnp.asarray(x))
    return kernel, jnp.diag(kernel)


@pytest.mark.parametrize("name", ["relu", "tanh", "erf", "linear", "gelu", "he2", "he3"])
def test_dual_activations_are_gaussian_averages(name: str) -> None:
    kernel, variances = covariances(points(0))
    values, slopes = numerics.dual_activation(name)(kernel, variances, variances)
    draws = 200_000
    h = np.random.default_rng(1).multivariate_normal(np.zeros(5), np.asarray(kernel), draws)
    phi = numerics.activation(name)
    for expected, f in ((values, phi), (slopes, numerics.derivative(phi))):
        a = np.asarray(f(jnp.asarray(h)))
        products = a[:, :, None] * a[:, None, :]
        error = products.std(axis=0) / np.sqrt(draws)
        assert np.all(np.abs(products.mean(axis=0) - np.asarray(expected)) < 5 * error + 1e-12)


def bivariate(f: Callable[[np.ndarray], np.ndarray], k: float, p: float, q: float) -> float:
    """Return <f(u) f(v)> by the trapezoidal rule, which is exact for such smooth averages."""
    z = np.linspace(-9, 9, 2001)
    w = np.exp(-(z**2) / 2)
    w /= w.sum()
    across = np.sqrt(q - k**2 / p)
    inner = [(f(k / np.sqrt(p) * a + across * z) * w).sum() for a in z]
    return float((w * f(np.sqrt(p) * z) * inner).sum())


@pytest.mark.parametrize("variance", [0.5, 2.9, 3.2, 30.0])
@pytest.mark.parametrize("correlation", [0.3, 0.97])
def test_tanh_is_exact_however_widely_preactivations_are_spread(
    variance: float, correlation: float
) -> None:
    p, q = variance, 0.8 * variance
    k = correlation * np.sqrt(p * q)
    dual = numerics.dual_activation("tanh")
    value, slope = dual(np.array([[k]]), np.array([p]), np.array([q]))
    assert value[0, 0] == pytest.approx(bivariate(np.tanh, k, p, q), abs=2e-9)
    expected = bivariate(lambda x: 1 / np.cosh(x) ** 2, k, p, q)
    assert slope[0, 0] == pytest.approx(expected, abs=2e-9)


def test_a_mixture_of_error_functions_is_tanh() -> None:
    x = np.linspace(-20, 20, 10_001)
    scales, weights = dual_activations.TANH_SCALES, dual_activations.TANH_WEIGHTS
    mixture = np.sum([w * erf(a * x) for a, w in zip(scales, weights, strict=True)], axis=0)
    assert np.abs(mixture - np.tanh(x)).max() < 4e-9


@pytest.mark.parametrize("name", ["erf", "gelu", "linear"])
def test_expansion_equals_closed_forms(name: str) -> None:
    kernel, variances = covariances(points(2))
    exact = numerics.dual_activation(name)(kernel, variances, variances)
    expansion = dual_activations._expansion(name)(kernel, variances, variances)
    for a, b in zip(exact, expansion, strict=True):
        assert np.asarray(b) == pytest.approx(np.asarray(a), rel=1e-8)


@pytest.mark.parametrize("degree", range(1, 10))
def test_hermite_activations_are_orthonormal(degree: int) -> None:
    """<He_j He_k> / sqrt(j! k!) is 1 for j = k and 0 otherwise, exactly under quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(32)
    weights = weights / weights.sum()
    own = np.asarray(numerics.activation(f"he{degree}")(jnp.asarray(nodes)))
    for other in range(1, 10):
        theirs = np.asarray(numerics.activation(f"he{other}")(jnp.asarray(nodes)))
        assert weights @ (own * theirs) == pytest.approx(float(degree == other), abs=1e-9)


def test_relu_kernel_is_the_arc_cosine_kernel() -> None:
    """Parallel and orthogonal unit vectors: 1/2 and 1/(2 pi) (Cho & Saul, 2009)."""
    x = np.sqrt(2) * np.eye(2)
    kernels = numerics.lazy_kernels(x, x, activation="relu", depth=1)
    assert np.asarray(kernels.features[0]) == pytest.approx(
        np.array([[0.5, 1 / (2 * np.pi)], [1 / (2 * np.pi), 0.5]])
    )
    assert np.asarray(kernels.ntk) == pytest.approx(
        np.array([[1.0, 1 / (2 * np.pi)], [1 / (2 * np.pi), 1.0]])
    )


def test_linear_ntk_of_depth_l_is_l_plus_one_times_the_input_kernel() -> None:
    x = points(3)
    for depth in (1, 2, 5):
        kernels = numerics.lazy_kernels(x, x, activation="linear", depth=depth)
        expected = (depth + 1) * x @ x.T / x.shape[1]
        assert np.asarray(kernels.ntk) == pytest.approx(expected)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_kernels_of_a_cross_block_are_those_of_the_whole(activation: str) -> None:
    x = points(4, count=6)
    whole = numerics.lazy_kernels(x, x, activation=activation, depth=3)
    block = numerics.lazy_kernels(x[:2], x[2:], activation=activation, depth=3)
    assert np.asarray(block.ntk) == pytest.approx(np.asarray(whole.ntk)[:2, 2:])


@pytest.mark.parametrize("rows", [1, 128, 129, 300])
def test_kernels_taken_in_blocks_of_rows_have_every_row(rows: int) -> None:
    x = points(5, count=300)
    whole = numerics.lazy_kernels(x, x[:4], activation="erf", depth=2)
    part = numerics.lazy_kernels(x[:rows], x[:4], activation="erf", depth=2, every_layer=False)
    assert np.asarray(part.ntk) == pytest.approx(np.asarray(whole.ntk)[:rows], rel=1e-12)
    assert len(part.features) == 1
    assert np.asarray(part.features[0]) == pytest.approx(np.asarray(whole.features[1])[:rows])
    for row in (0, rows - 1):  # one row alone is never part of a block
        alone = numerics.lazy_kernels(x[[row]], x[:4], activation="erf", depth=2)
        assert np.asarray(part.ntk)[row] == pytest.approx(np.asarray(alone.ntk)[0], rel=1e-12)


@settings(deadline=None)
@given(st.floats(-1, 1) | st.floats(0, 1e-8).map(lambda small: 1 - small))
def test_arc_sine(sine: float) -> None:
    given = np.array([sine])
    cosine = cosine_of(given)
    assert cosine[0] == pytest.approx(np.sqrt((1 - sine) * (1 + sine)), rel=1e-15)
    assert arcsine(given, cosine)[0] == pytest.approx(np.arcsin(sine), rel=1e-14)


def test_the_span_of_points_keeps_their_products_and_projects_the_others() -> None:
    x, other = points(6, count=3), points(7)
    x = np.concatenate([x, x[:1]])  # a duplicate adds no direction
    basis = numerics.span_basis(x)
    assert basis.shape == (7, 3)
    assert (x @ basis) @ (x @ basis).T == pytest.approx(x @ x.T / 7)
    assert (other @ basis) @ (x @ basis).T == pytest.approx(other @ x.T / 7)
    assert numerics.span_basis(np.zeros((2, 5))).shape == (5, 0)


@given(
    seed=st.integers(0, 1000),
    rank=st.integers(1, 12),
    log_samples=st.integers(7, 10),
    outputs=st.integers(1, 4),
)
@settings(max_examples=25, deadline=None)
def test_antithetic_samples_have_exact_moments(
    seed: int, rank: int, log_samples: int, outputs: int
) -> None:
    samples = 2**log_samples
    omega, z = numerics.antithetic_gaussian(samples, rank, (seed,), outputs)
    assert omega.shape == (samples, rank) and z.shape == (samples, outputs)
    assert omega.mean(axis=0) == pytest.approx(0.0, abs=1e-12)
    assert omega.T @ omega / samples == pytest.approx(np.eye(rank), abs=1e-10)
    assert z.T @ z / samples == pytest.approx(np.eye(outputs), abs=1e-10)
    # pairs share omega and oppose z
    assert np.array_equal(omega[: samples // 2], omega[samples // 2 :])
    assert np.array_equal(z[: samples // 2], -z[samples // 2 :])


def test_antithetic_samples_differ_between_seeds() -> None:
    one, two = (numerics.antithetic_gaussian(64, 3, (0, r))[0] for r in (0, 1))
    assert not np.allclose(one, two)


def test_stratified_samples_are_gaussian_in_random_order() -> None:
    z = numerics.stratified_gaussian(4096, (5,))
    assert z.mean() == pytest.approx(0.0, abs=1e-12)
    assert np.mean(z**2) == pytest.approx(1.0)
    assert np.mean(z**4) == pytest.approx(3.0, rel=0.02)
    assert abs(np.corrcoef(z[:-1], z[1:])[0, 1]) < 4 / np.sqrt(4096)


@pytest.mark.parametrize("shape", [(9, 4), (4, 9), (1, 3)])
def test_gram_factor_reproduces_the_gram_matrix(shape: tuple[int, int]) -> None:
    x = np.random.default_rng(0).standard_normal(shape)
    leading = np.random.default_rng(1).standard_normal((shape[0], 2))
    for factor in (numerics.gram_factor(x), numerics.gram_factor(x, leading)):
        assert factor.shape == (shape[0], min(shape))
        assert factor @ factor.T == pytest.approx(x @ x.T / shape[1])


def test_gram_factor_turns_its_first_columns_to_the_leading_directions() -> None:
    x = np.random.default_rng(0).standard_normal((9, 5))
    leading = np.random.default_rng(1).standard_normal((9, 1))
    factor = numerics.gram_factor(x, leading)
    pull = factor.T @ leading[:, 0]
    assert np.abs(pull[1:]).max() < 1e-10 * abs(pull[0])


def test_gram_factor_drops_null_directions() -> None:
    x = np.random.default_rng(0).standard_normal((3, 8))
    twice = np.concatenate([x, x])
    assert numerics.gram_factor(twice).shape == (6, 3)
