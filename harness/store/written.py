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
                "stage": _column(np.full(len(steps), stage), pa.int32()),
                "observable": _repeated(name, len(steps)),
                "step": _column(steps, pa.int64()),
                "time": _column(steps * dt, pa.float64()),
                "index": _column(index, pa.int32())
                if found.values.ndim == 2
                else pa.nulls(len(steps), pa.int32()),
                "value": _column(found.values, pa.float64()),
                "stderr": pa.nulls(len(steps), pa.float64())
                if found.stderr is None
                else _column(found.stderr, pa.float64()),
            }
            parts.append(pa.table(columns, schema=CURVES))
    return pa.concat_tables(parts)


def _column(values: NDArray[Any], kind: pa.DataType) -> pa.Array:
    """Return a flat column without nulls, from its memory: `pa.array` would import pandas.

    That takes half a second in each worker.
    """
    flat = np.ascontiguousarray(values, kind.to_pandas_dtype()).ravel()
    return pa.Array.from_buffers(kind, flat.size, [None, pa.py_buffer(flat)])


def _repeated(text: str, count: int) -> pa.Array:
    """Return a column that repeats a text, from its memory."""
    encoded = text.encode()
    ends = np.arange(count + 1, dtype=np.int32) * len(encoded)
    memory = [None, pa.py_buffer(ends), pa.py_buffer(encoded * count)]
    return pa.Array.from_buffers(pa.string(), count, memory)


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
