"""Kernel ridge regression: what a readout that is trained with decay ends in."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray


def ridge_regression(
    kernels: Float[NDArray[np.float64], "replicates points points"],
    y: Float[NDArray[np.float64], "replicates train"],
    ridge: float,
) -> Float[NDArray[np.float64], "replicates points"]:
    """Return f = Phi(x, X) (ridge + Phi)^{-1} y on all points, the training points first."""
    train = y.shape[1]
    ridged = kernels[:, :train, :train] + ridge * np.eye(train)
    weights = np.linalg.solve(ridged, y[:, :, None])
    return np.asarray((kernels[:, :, :train] @ weights)[:, :, 0])
