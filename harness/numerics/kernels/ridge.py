"""Kernel ridge regression: the stationary state of a readout that is trained with decay."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64


def ridge_regression(
    kernels: Float64[np.ndarray, "replicates points points"],
    y: Float64[np.ndarray, "replicates train"],
    ridge: float,
) -> Float64[np.ndarray, "replicates points"]:
    """Return f = Phi(x, X) (ridge + Phi)^{-1} y on all points, the training points first."""
    train = y.shape[1]
    ridged = kernels[:, :train, :train] + ridge * np.eye(train)
    weights = np.linalg.solve(ridged, y[:, :, None])
    return np.asarray((kernels[:, :, :train] @ weights)[:, :, 0])
