"""The spike in the feature kernel of a linear network after learning on a source."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from harness import Evidence

from .ratios import with_ratios

DRAWS = 120
"""Number of draws whose kernels are evaluated."""


def source_axes(data: Any) -> tuple[Any, Any, float]:
    """Return unit vectors along the source's labels and its noise, and the share of the latter.

    Args:
        data: with a source of linear labels.

    Returns:
        b_s; the part g of the source's interpolator that is orthogonal to it; and the length of
        that part over the interpolator's, before g was normalised.
    """
    b_s = np.linalg.lstsq(data.source_test.x, data.source_test.y)[0]
    b_s /= np.linalg.norm(b_s)
    found = np.linalg.lstsq(data.source.x, data.source.y)[0]
    g = found - (found @ b_s) * b_s
    size = np.linalg.norm(g)
    return b_s, g / size, float(size / np.linalg.norm(found))


def spike_of(evidence: Evidence, key: str) -> dict[str, float]:
    """Return the coefficients c_1, c_2, c_3 of the feature kernel after the source stage.

    They come from least squares of Phi - K_x on products of the points' components along b_s and g.
    """
    data = evidence.problem(key).data
    assert data.source is not None and data.source_test is not None
    x = np.concatenate([data.source.x[:100], data.source_test.x[:100]])
    z = x / math.sqrt(x.shape[1])
    b_s, g, size = source_axes(data)
    s, n = z @ b_s, z @ g
    products = [np.outer(s, n) + np.outer(n, s), np.outer(s, s), np.outer(n, n)]
    if size < 1e-3:  # the direction is known exactly, and g is rounding
        products = products[1:2]
    kernel = evidence.array(key, "stage0/kernel/feature")
    kernel = kernel.reshape(-1, *kernel.shape[-2:])[-1]
    rest = (kernel - z @ z.T).ravel()
    columns = np.stack([p.ravel() for p in products], 1)
    solved = np.linalg.lstsq(columns, rest)[0]
    names = ("c1", "c2", "c3") if len(products) == 3 else ("c2",)
    return dict(zip(names, map(float, solved), strict=True))


def spikes_of(evidence: Evidence, cells: Any) -> Any:
    """Return cells with the coefficients of their kernels and the ratios of their problems."""
    import pandas as pd

    rows = [{"key": key, **spike_of(evidence, str(key))} for key in cells.index]
    cells = with_ratios(cells)
    return pd.DataFrame(rows).set_index("key").join(cells)
