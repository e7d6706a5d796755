"""Scored values of cells, read from their curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness.store import CellRecord
from harness.store.tables import Allowance, of_observables, thinned

PRIMARY = "output/test"

LOSSES = ("loss/test", "loss/train")

SCORED = (PRIMARY, *LOSSES)
"""Observables of the last stage that are scored: the predictor at its end, and loss curves."""

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
            such as `PRIMARY`.
        allowance: bound on the values in memory at once, for all cells of a comparison.

    Raises:
        StoreError: if the cell's curves cannot be read, or exceed the allowance.
    """
    columns = ("stage", "observable", "step", "index", "value", "stderr")
    chosen = of_observables(*names)
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
        wanted = in_stage & (indices == codes.get(name, -1))
        if name not in LOSSES and wanted.any():
            wanted &= step == step[wanted].max()
        errors = stderr[wanted]
        found[name] = (value[wanted], None if np.isnan(errors).any() else errors)
    if allowance is not None:
        count = sum(len(values) for values, _ in found.values())
        allowance.take(record.folder / "curves.parquet", count)
    return found
