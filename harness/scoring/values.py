"""Scored values of cells, read from their curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness.errors import StoreError
from harness.store import CellRecord
from harness.store.tables import Allowance, of_observables, thinned

PRIMARY = "output/test"

LOSSES = ("loss/test", "loss/train")

SCORED = (PRIMARY, *LOSSES)
"""Observables of the last stage that are scored: the predictor at its end, and loss curves."""

KERNEL, DENSITY = "kernel/feature", "preactivation/density"

ARRAYS = (KERNEL, DENSITY)
"""Further observables of the last stage and layer, scored where they are asked for: arrays, whose
files take longer to read than curves."""

RANKED = (PRIMARY, "loss/test", *ARRAYS)
"""Observables by which theories are ranked against each other."""

KERNEL_POINTS = 16
"""Most points of a feature kernel that are scored, evenly spaced among those kept."""

FEW = 10_000
"""Most recorded values of a table that is not worth thinning before use."""

SMALLEST = 1e-100
"""Least magnitude of a prediction that can be scored, and the inverse of the greatest."""

Values = tuple[NDArray[Any], NDArray[Any] | None]
"""An observable as one vector, and its standard errors."""


def last_stage(record: CellRecord) -> int:
    """Return the index of a cell's last stage."""
    return len(record.facts.dts) - 1


def observable(
    curves: pa.Table, stage: int, name: str
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]:
    """Return steps, values and standard errors of one observable of a cell, all flat."""
    import pyarrow.compute as pc

    found = curves.filter((pc.field("stage") == stage) & (pc.field("observable") == name))
    stderr = found["stderr"]
    return (
        found["step"].to_numpy(),
        found["value"].to_numpy(),
        None if stderr.null_count else stderr.to_numpy(),
    )


def final_values(
    record: CellRecord, names: Sequence[str], allowance: Allowance | None = None
) -> dict[str, Values]:
    """Return observables of a cell's last stage, each as one vector.

    Args:
        record: a finished cell.
        names: observables: the whole curve for a loss, the values at the last step for others,
            such as `PRIMARY`; `ARRAYS` as `array_values` has them.
        allowance: bound on the values in memory at once, for all cells of a comparison.

    Raises:
        StoreError: if the cell's curves cannot be read, or exceed the allowance.
    """
    columns = ("stage", "observable", "step", "index", "value", "stderr")
    named = [name for name in names if name not in ARRAYS]
    chosen = of_observables(*named)
    table = record.columns(
        *columns, keep=lambda part: part if len(part) < FEW else thinned(chosen(part))
    )
    called = table["observable"].combine_chunks()
    codes = dict(zip(called.dictionary.to_pylist(), range(len(called.dictionary)), strict=True))
    indices = called.indices.to_numpy()
    in_stage = table["stage"].to_numpy() == last_stage(record)
    step, value, stderr = (table[name].to_numpy() for name in ("step", "value", "stderr"))
    found = {}
    for name in names:
        if name in ARRAYS:
            found[name] = array_values(record, name)
            continue
        wanted = in_stage & (indices == codes.get(name, -1))
        if name not in LOSSES and wanted.any():
            wanted &= step == step[wanted].max()
        errors = stderr[wanted]
        found[name] = (value[wanted], None if np.isnan(errors).any() else errors)
    if allowance is not None:
        count = sum(len(values) for values, _ in found.values())
        allowance.take(record.folder / "curves.parquet", count)
    return found


def array_values(record: CellRecord, name: str) -> Values:
    """Return a kernel or density of a cell's last stage and layer as one vector.

    Of a kernel these are the entries on and above the diagonal among `KERNEL_POINTS` points, with
    weights that make the vector's length the Frobenius norm. The vector is empty if there is none.

    Raises:
        StoreError: if the cell's arrays cannot be read, or have another shape.
    """
    at = f"stage{last_stage(record)}/{name}"
    found, stderr = record.array(at), record.array(f"{at}/stderr")
    if found is None or not found.size:
        return np.empty(0), None
    square = found.ndim == 3 and found.shape[1] == found.shape[2]
    if not (square if name == KERNEL else found.ndim == 2):
        raise StoreError(f"{record.folder}: {at} has shape {found.shape}")
    if stderr is not None and stderr.shape != found.shape:
        raise StoreError(f"{record.folder}: {at}/stderr has shape {stderr.shape}")
    return _flat(found[-1]), None if stderr is None else _flat(stderr[-1])


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    """Return a density as it is, and of a kernel the scored entries."""
    if array.ndim == 1:
        return array.astype(np.float64)
    points = kernel_points(len(array))
    rows, columns = np.triu_indices(len(points))
    entries = array[points[rows], points[columns]].astype(np.float64)
    return entries * np.where(rows == columns, 1.0, np.sqrt(2))


def kernel_points(count: int) -> NDArray[np.int64]:
    """Return the indices of the points of a feature kernel that are scored."""
    return np.linspace(0, count - 1, min(count, KERNEL_POINTS)).round().astype(np.int64)
