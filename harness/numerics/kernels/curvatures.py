"""Gaussian averages <phi''(u) phi(v)>, by which kernels change with the variance of u.

phi'' itself is never taken: Stein's lemma, <u phi'(u) phi(v)> = a <phi'' phi> + k <phi' phi'> with
a = <u u> and k = <u v>, also holds where phi has a kink.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from harness.numerics.kernels.activations import on_arrays
from harness.numerics.kernels.dual_activations import dual_activation, gaussian_products

Square = Float64[np.ndarray, "points points"]


def kernels_and_curvatures(name: str, covariance: Square) -> tuple[Square, Square, Square]:
    """Return <phi phi>, <phi' phi'> and <phi''(u_i) phi(u_j)> between points.

    Closed forms for linear, relu and erf (whose u phi' is the integrand of phi'' up to a factor);
    Hermite expansions otherwise.

    Args:
        name: of phi.
        covariance: of the centred Gaussians u.
    """
    variances = np.diagonal(covariance)
    kernel, slopes = dual_activation(name)(covariance, variances, variances)
    of_inputs = covariance * slopes
    rows = variances[:, None]
    if name == "linear":
        return kernel, slopes, np.zeros_like(kernel)
    if name == "erf":  # phi'' = -2 u phi'
        return kernel, slopes, -2.0 * of_inputs / (1.0 + 2.0 * rows)
    phi, slope = on_arrays(name)
    # u phi'(u) = phi(u) for relu
    stretched = (
        kernel if name == "relu" else gaussian_products(lambda u: u * slope(u), phi, covariance)
    )
    change = stretched - of_inputs
    return kernel, slopes, np.divide(change, rows, out=np.zeros_like(change), where=rows > 0)
