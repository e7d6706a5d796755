"""Gaussian adaptation: the best Gaussian law of the units of a stationary two-layer network.

Among centred Gaussians q(h) = N(0, Sigma) the one that minimises

    J = gamma^2/(2T) y^T (I + Phi/lambda)^{-1} y + KL(q | N(0, s^2 K_x)),   Phi = E_q[phi phi^T],

with s^2 = T / lambda; J bounds the action of the exact law from above. It is stationary where
Sigma^{-1} = K_x^{-1}/s^2 - c M, c = gamma^2/(T lambda), Delta = lambda (lambda + Phi)^{-1} y and

    M = E_q[d^2/dh dh^T 1/2 (Delta.phi)^2] = Delta Delta^T o <phi' phi'> + diag(Delta o C Delta),

C = <phi''(h) phi(h)^T> (Naveh & Ringel, NeurIPS 2021; Seroussi, Naveh & Ringel, Nature Comm. 2023).
All averages are dual activations, without sampling. In the directions E of the training points,
h = s E L u with u ~ N(0, I) and L lower triangular; J is a smooth function of L.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from harness.numerics.kernels.curvatures import kernels_and_curvatures
from harness.numerics.kernels.dual_activations import dual_activation
from harness.numerics.posterior.sampled_state import ConvergenceError

LARGEST_RESIDUAL = 1e-4
"""Largest residual of the fixed point that counts as a solution."""

MOST_STEPS = 5000
"""Most steps of the minimisation."""

Array = NDArray[np.float64]


class GaussianAdaptation(NamedTuple):
    """The stationary state.

    Attributes:
        output: f on all points, (points,).
        kernel: Phi = E_q[phi phi^T], (points, points).
        variances: of pre-activations, (points,).
        residual: of Sigma^{-1}, relative to the change c M of the prior's.
        steps: of the minimisation.
    """

    output: Float64[np.ndarray, " points"]
    kernel: Float64[np.ndarray, "points points"]
    variances: Float64[np.ndarray, " points"]
    residual: float
    steps: int


class _Law(NamedTuple):
    """Constants: s E on the training points, labels, phi, gamma^2 / T, lambda."""

    factor: Array
    y: Array
    activation: str
    pull: float
    ridge: float

    def adapted(self, root: Array) -> tuple[float, Array]:
        """Return the first term of J, and c s^2 E^T M E, at Sigma = s^2 E L L^T E^T."""
        fields = self.factor @ root
        kernel, slopes, curvatures = kernels_and_curvatures(self.activation, fields @ fields.T)
        delta = self.ridge * np.linalg.solve(kernel + self.ridge * np.eye(len(self.y)), self.y)
        tilt = np.outer(delta, delta) * slopes + np.diag(delta * (curvatures @ delta))
        fit = self.pull / 2.0 * float(self.y @ delta)
        return fit, self.pull / self.ridge * self.factor.T @ tilt @ self.factor


def solve_gaussian_adaptation(
    factor: Float64[np.ndarray, "points rank"],
    y: Float64[np.ndarray, " train"],
    *,
    activation: str,
    directions: int,
    richness: float,
    decay: float,
    temperature: float,
) -> GaussianAdaptation:
    """Find the best Gaussian law, by a quasi-Newton method (L-BFGS) from the prior.

    Args:
        factor: E on all points with E E^T = K_x, the training points first.
        y: labels of the training points.
        activation: name of phi.
        directions: number of leading columns of `factor` that span the training points.
        richness: gamma.
        decay: lambda, positive.
        temperature: T, positive.

    Raises:
        ConvergenceError: if the minimisation ends before the fixed point.
    """
    from scipy.optimize import minimize

    train, spread = len(y), np.sqrt(temperature / decay)
    law = _Law(
        spread * factor[:train, :directions], y, activation, richness**2 / temperature, decay
    )
    lower, diagonal = np.tril_indices(directions), np.diag_indices(directions)

    def unpacked(entries: Array) -> Array:
        root = np.zeros((directions, directions))
        root[lower] = entries
        return root

    def action(entries: Array) -> tuple[float, Array]:
        root = unpacked(entries)
        fit, tilt = law.adapted(root)
        sizes = np.abs(root[diagonal])
        divergence = 0.5 * (np.sum(entries**2) - directions) - np.sum(np.log(sizes))
        slope = root - tilt @ root
        slope[diagonal] -= 1.0 / root[diagonal]
        return fit + float(divergence), slope[lower]

    found = minimize(
        action,
        np.eye(directions)[lower],
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": MOST_STEPS, "maxfun": 2 * MOST_STEPS, "ftol": 0.0, "gtol": 1e-10},
    )
    root = unpacked(found.x)
    _, tilt = law.adapted(root)
    inverse = np.linalg.inv(root)
    size = float(np.linalg.norm(tilt)) or 1.0
    residual = float(np.linalg.norm(np.eye(directions) - tilt - inverse.T @ inverse)) / size
    if not residual <= LARGEST_RESIDUAL:
        raise ConvergenceError(
            f"the best Gaussian law was not found: a residual of {residual:.2g} remains after"
            f" {found.nit} steps"
        )
    fields = spread * np.concatenate(
        [factor[:, :directions] @ root, factor[:, directions:]], axis=1
    )
    covariance = fields @ fields.T
    variances = np.diagonal(covariance)
    kernel, _ = dual_activation(activation)(covariance, variances, variances)
    own = kernel[:train, :train] + decay * np.eye(train)
    output = kernel[:, :train] @ np.linalg.solve(own, y)
    return GaussianAdaptation(output, kernel, variances.copy(), residual, int(found.nit))
