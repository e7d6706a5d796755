"""The plateau of the loss while a readout has learned along the spike alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Evidence

from .ratios import EXACT, with_ratios


def plateau_losses(evidence: Evidence) -> Any:
    """Return the loss when the readout has learned along the spike, and nothing else yet.

    The time is the geometric mean of 1 / (chi P_2) and 1 / (sqrt(D) + sqrt(P_2))^2.
    """
    curve = with_ratios(evidence.curve("linear-rank-one", solver=EXACT))
    points, dimension = curve["task.target_points"], curve["task.dimension"]
    spike = curve["chi"] * points
    bulk = (np.sqrt(points) + np.sqrt(dimension)) ** 2
    distance = np.log(curve["time"].where(curve["time"] > 0) * np.sqrt(spike * bulk)).abs()
    return curve.loc[distance.groupby(curve["key"]).idxmin()]
