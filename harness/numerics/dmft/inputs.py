"""Directions of input space along which stages train."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64, Int


def point_factor(
    gram: Float[np.ndarray, "points points"],
    stages: Sequence[Int[np.ndarray, " _"]],
    tolerance: float = 1e-12,
) -> tuple[Float64[np.ndarray, "points rank"], list[int]]:
    """Return E with E E^T = K_x wherever a training point of any stage is involved.

    Columns are orthonormal directions of input space, those of the first stage's points first,
    each stage's by decreasing variance; a row holds a point's components along them. The second
    result is the number of directions that each stage and the stages before it span.

    Args:
        gram: K_x = x.x'/D.
        stages: training points of every stage.
        tolerance: directions below this fraction of the largest variance are dropped.
    """
    n = gram.shape[0]
    factor, rest = np.zeros((n, 0)), np.array(gram, dtype=np.float64)
    spanned: list[int] = []
    scale = float(np.max(np.diag(gram), initial=0.0))
    for train in stages:
        values, vectors = np.linalg.eigh(rest[np.ix_(train, train)])
        kept = np.flatnonzero(values > tolerance * scale)[::-1]
        columns = rest[:, train] @ (vectors[:, kept] / np.sqrt(values[kept]))
        factor = np.concatenate([factor, columns], axis=1)
        rest = rest - columns @ columns.T
        spanned.append(factor.shape[1])
    return factor, spanned
