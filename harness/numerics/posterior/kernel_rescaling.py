"""Kernel rescaling: the stationary state if learning changed only the scale of the kernel.

Units keep their prior law h ~ N(0, s^2 K_x), s^2 = T / lambda, with the feature kernel Phi_0;
integrating the readout out by a saddle point leaves one number q with Phi = q Phi_0, the minimum of

    S(q) = q/2 - (log q)/2 + gamma^2/(2T) y^T (I + q Phi_0/lambda)^{-1} y,

which is convex (Li & Sompolinsky, PRX 11, 031059 (2021); Pacelli et al., arXiv:2209.04882; in
mean-field scaling).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from harness.numerics.kernels.dual_activations import dual_activation


class KernelRescaling(NamedTuple):
    """The stationary state.

    Attributes:
        output: f on all points, (points,).
        kernel: q Phi_0, the kernel of the predictor, (points, points).
        variances: of pre-activations, those of the prior, (points,).
        scale: q, at least 1.
        residual: dS/dq at q, in units of the two terms that cancel there.
    """

    output: Float64[np.ndarray, " points"]
    kernel: Float64[np.ndarray, "points points"]
    variances: Float64[np.ndarray, " points"]
    scale: float
    residual: float


def solve_kernel_rescaling(
    gram: Float64[np.ndarray, "points points"],
    y: Float64[np.ndarray, " train"],
    *,
    activation: str,
    richness: float,
    decay: float,
    temperature: float,
) -> KernelRescaling:
    """Solve for the scale of the kernel of a two-layer network.

    Args:
        gram: K_x between all points, the training points first.
        y: labels of the training points.
        activation: name of phi.
        richness: gamma.
        decay: lambda, positive.
        temperature: T, positive.
    """
    from scipy.optimize import brentq

    train, covariance = len(y), temperature / decay * gram
    variances = np.diagonal(covariance)
    prior, _ = dual_activation(activation)(covariance, variances, variances)
    values, vectors = np.linalg.eigh(prior[:train, :train])
    values = np.maximum(values, 0.0) / decay
    weights = richness**2 / temperature * (vectors.T @ y) ** 2

    def slope(q: float) -> float:
        """Return 2 dS/dq."""
        return float(1.0 - 1.0 / q - np.sum(weights * values / (1.0 + q * values) ** 2))

    # values / (1 + q values)^2 <= 1 / (4 q) bounds q from above
    most = 1.0 + float(np.sum(weights)) / 4.0
    scale = 1.0
    if slope(1.0) < 0.0:
        scale = float(brentq(slope, 1.0, most, xtol=1e-15 * most, rtol=1e-14))
    kernel = scale * prior
    own = kernel[:train, :train] + decay * np.eye(train)
    output = kernel[:, :train] @ np.linalg.solve(own, y)
    residual = abs(slope(scale)) / (1.0 - 1.0 / scale) if scale > 1.0 else 0.0
    return KernelRescaling(output, kernel, variances.copy(), scale, residual)
