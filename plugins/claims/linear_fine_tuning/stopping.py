"""Losses of readouts that are stopped after a number of steps of the largest stable size."""

from __future__ import annotations

from typing import Any

import numpy as np


def stopped_losses(curve: Any, steps: int, *, same_time: bool = False) -> Any:
    """Return losses after so many steps of 1 / lambda_max, interpolated between records.

    Args:
        curve: losses over time, with the columns of `with_ratios`.
        steps: number of steps.
        same_time: take the step of a kernel without a spike, for all.
    """
    import pandas as pd

    rows = []
    for key, part in curve.groupby("key", observed=True):
        one = part.iloc[0]
        bulk = (np.sqrt(one["task.dimension"]) + np.sqrt(one["task.target_points"])) ** 2
        spike = 0.0 if same_time else one["chi"] * one["task.target_points"]
        loss = np.interp(steps / (bulk + spike), part["time"], part["value"])
        rows.append({"key": key, "stopped": loss})
    first = curve.drop_duplicates("key").drop(columns="value")
    return first.merge(pd.DataFrame(rows), on="key").rename(columns={"stopped": "value"})
