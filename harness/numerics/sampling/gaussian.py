"""Low-rank factors of Gram matrices, and Gaussian samples more even than independent draws."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def gram_factor(
    x: Float64[np.ndarray, "points inputs"],
    leading: Float64[np.ndarray, "points directions"] | None = None,
    tolerance: float = 1e-12,
) -> Float64[np.ndarray, "points rank"]:
    """Return E with E E^T = x x^T / D, columns by decreasing eigenvalue.

    Args:
        x: inputs, shape (P, D).
        leading: combinations of the points; the first columns are rotated to span them, in order,
            so that quasi-random draws cover a task's directions best.
        tolerance: eigenvalues below this fraction of the largest are dropped.
    """
    left, singular, _ = np.linalg.svd(x / np.sqrt(x.shape[1]), full_matrices=False)
    kept = singular**2 > tolerance * max(float(singular[0]) ** 2, np.finfo(np.float64).tiny)
    factor: Matrix = left[:, kept] * singular[kept]
    if leading is None:
        return factor
    basis, _ = np.linalg.qr(np.concatenate([factor.T @ leading, np.eye(factor.shape[1])], axis=1))
    turned: Matrix = factor @ basis
    return turned


def span_basis(
    x: Float64[np.ndarray, "points inputs"], tolerance: float = 1e-12
) -> Float64[np.ndarray, "inputs rank"]:
    """Return V such that E(x) = x V has E(x).E(x') = x.x' / D within the span of the points.

    Args:
        x: points that span the space, shape (P, D).
        tolerance: directions whose eigenvalue of x x^T is below this fraction of the largest are
            left out.
    """
    _, singular, right = np.linalg.svd(x / np.sqrt(x.shape[1]), full_matrices=False)
    kept = singular**2 > tolerance * max(float(singular[0]) ** 2, np.finfo(np.float64).tiny)
    basis: Matrix = right[kept].T / np.sqrt(x.shape[1])
    return basis


def sobol_points(
    samples: int, dimension: int, rng: np.random.Generator
) -> Float64[np.ndarray, "samples dimension"]:
    """Return scrambled Sobol points in the unit cube."""
    from scipy.stats import qmc

    engine = qmc.Sobol(dimension, scramble=True, rng=rng)
    with warnings.catch_warnings():  # balance needs a power of two; any number is still unbiased
        warnings.filterwarnings("ignore", message="The balance properties of Sobol")
        return np.asarray(engine.random(samples))


def sobol_gaussian(
    samples: int, dimension: int, rng: np.random.Generator
) -> Float64[np.ndarray, "samples dimension"]:
    """Return scrambled Sobol points mapped to independent standard Gaussians."""
    from scipy.special import ndtri

    tiny = np.finfo(np.float64).eps
    points = sobol_points(samples, dimension, rng)
    return np.asarray(ndtri(np.clip(points, tiny, 1.0 - tiny)))


def antithetic_gaussian(
    samples: int, rank: int, seed: tuple[int, ...], outputs: int = 1
) -> tuple[Float64[np.ndarray, "samples rank"], Float64[np.ndarray, "samples outputs"]]:
    """Return draws of (omega, z), standard Gaussian, as antithetic pairs (omega, +-z).

    Scrambled Sobol points, so that the leading directions of omega are covered evenly; omega is
    centred and whitened, z whitened, so that first and second moments over the sample are exact.
    Pairs make every average <z phi(omega)> vanish exactly.

    Args:
        samples: number of draws, even.
        rank: dimension of omega.
        seed: entropy of the scrambling; other seeds give independent samples.
        outputs: dimension of z.

    Returns:
        omega of shape (samples, rank) and z of shape (samples, outputs); the second half repeats
        omega.
    """
    half = samples // 2
    draws = sobol_gaussian(half, outputs + rank, np.random.default_rng(seed))
    z = draws[:, :outputs] / np.sqrt(np.mean(draws[:, :outputs] ** 2, axis=0))
    omega = draws[:, outputs:] - draws[:, outputs:].mean(axis=0)
    if 1 < outputs < half // 2:
        z = np.linalg.solve(np.linalg.cholesky(z.T @ z / half), z.T).T
    if half > 2 * rank:
        factor = np.linalg.cholesky(omega.T @ omega / half)
        omega = np.linalg.solve(factor, omega.T).T
    return np.concatenate([omega, omega]), np.concatenate([z, -z])


def stratified_gaussian(samples: int, seed: tuple[int, ...]) -> Float64[np.ndarray, " samples"]:
    """Return standard Gaussian draws, one from each quantile bin, in random order.

    Mean and variance over the sample are exactly 0 and 1, and the order is independent of any
    sequence that the samples belong to.
    """
    from scipy.special import ndtri

    rng = np.random.default_rng(seed)
    z = ndtri((rng.permutation(samples) + rng.uniform(size=samples)) / samples)
    z -= z.mean()
    drawn: NDArray[np.float64] = z / np.sqrt(np.mean(z**2))
    return drawn
