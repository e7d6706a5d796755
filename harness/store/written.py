"""A trajectory in the form of a cell's files: one tidy table, and arrays by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness.records import Trajectory
from harness.store.tables import CURVES
from harness.suites.cells import Cell


def tidy(cell: Cell, result: Trajectory) -> pa.Table:
    """Return numbers and vectors of all stages as one tidy table."""
    parts = []
    for stage, (observables, dt) in enumerate(zip(result.stages, cell.resolved.dts, strict=True)):
        for name, found in observables.items():
            if found.values.ndim > 2:
                continue
            count = found.values[0].size
            steps = np.repeat(found.steps, count)
            index = np.tile(np.arange(count), len(found.steps))
            columns = {
                "stage": pa.array(np.full(len(steps), stage), pa.int32()),
                "observable": pa.array([name] * len(steps), pa.string()),
                "step": pa.array(steps, pa.int64()),
                "time": pa.array(steps * dt, pa.float64()),
                "index": pa.array(index, pa.int32())
                if found.values.ndim == 2
                else pa.nulls(len(steps), pa.int32()),
                "value": pa.array(found.values.ravel().astype(np.float64)),
                "stderr": pa.nulls(len(steps), pa.float64())
                if found.stderr is None
                else pa.array(found.stderr.ravel().astype(np.float64)),
            }
            parts.append(pa.table(columns, schema=CURVES))
    return pa.concat_tables(parts)


def named_arrays(result: Trajectory) -> dict[str, NDArray[Any]]:
    """Return kernels and densities, and replicates of the rest, by ``stage<k>/<observable>``."""
    found = {}
    for stage, observables in enumerate(result.stages):
        for name, observable in observables.items():
            if observable.values.ndim > 2:
                found[f"stage{stage}/{name}"] = observable.values[-1]
                if observable.stderr is not None:
                    found[f"stage{stage}/{name}/stderr"] = observable.stderr[-1]
            elif observable.replicates is not None:
                found[f"stage{stage}/{name}/replicates"] = observable.replicates
    return found
