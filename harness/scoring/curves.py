"""The table of a cell's observables as arrays, so that one reading gives many observables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from harness.store import CellRecord, if_readable
from harness.store.tables import Allowance, Keep


@dataclass(frozen=True)
class CellCurves:
    """Every recorded value of a finished cell; arrays have one entry for each.

    Attributes:
        names: names of observables, which `observable` indexes.
        observable, stage, step: observable and position of the value.
        time: of the step.
        index: number of the point; nan for scalar observables.
        value: recorded value.
        stderr: its standard error; nan where there is none.
    """

    names: list[str]
    observable: Int32[np.ndarray, " values"]
    stage: Int32[np.ndarray, " values"]
    step: Int64[np.ndarray, " values"]
    time: Float64[np.ndarray, " values"]
    index: Float64[np.ndarray, " values"]
    value: Float64[np.ndarray, " values"]
    stderr: Float64[np.ndarray, " values"]

    def where(self, stage: int, name: str) -> Bool[np.ndarray, " values"]:
        """Return the mask of an observable's entries in a stage; all false if it is absent."""
        at = self.names.index(name) if name in self.names else -1
        return (self.stage == stage) & (self.observable == at)


def cell_curves(record: CellRecord, keep: Keep | None = None) -> CellCurves:
    """Read a cell's table.

    Args:
        record: a finished cell.
        keep: takes part of the table and returns the rows to keep; all if None.

    Raises:
        StoreError: if the file holds something else.
    """
    table = record.columns(keep=keep)
    named = table["observable"].combine_chunks()
    columns = ("stage", "step", "time", "index", "value", "stderr")
    return CellCurves(
        named.dictionary.to_pylist(),
        named.indices.to_numpy(),
        **{name: table[name].to_numpy() for name in columns},
    )


def readable(
    records: Iterable[CellRecord], keep: Keep, allowance: Allowance
) -> Iterator[tuple[CellRecord, CellCurves]]:
    """Yield cells with their curves; one whose curves cannot be read is left out, with a warning.

    Args:
        records: finished cells.
        keep: takes part of a table and returns the rows to keep.
        allowance: bound on the values in memory at once; cells beyond it are left out as well.
    """

    def read(record: CellRecord) -> CellCurves:
        with allowance.counted(record.folder / "curves.parquet", keep) as counted:
            return cell_curves(record, counted)

    for record in records:
        curves = if_readable(partial(read, record))
        if curves is not None:
            yield record, curves
