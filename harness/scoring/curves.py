"""The table of a cell's observables as arrays, to take many observables from one reading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from harness.store import CellRecord, if_readable


@dataclass(frozen=True)
class CellCurves:
    """Every recorded value of a finished cell; arrays have one entry for each.

    Attributes:
        names: observables; `observable` counts in them.
        observable, stage, step: of which observable, when.
        time: of the step.
        index: number of the point; nan for numbers.
        value: what was recorded.
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
        """Return which entries are of an observable in a stage; none if it is not there."""
        at = self.names.index(name) if name in self.names else -1
        return (self.stage == stage) & (self.observable == at)


def read_curves(record: CellRecord) -> CellCurves:
    """Read a cell's table.

    Raises:
        StoreError: if the file holds something else.
    """
    table = record.curves()
    named = table["observable"].combine_chunks().dictionary_encode()
    columns = ("stage", "step", "time", "index", "value", "stderr")
    return CellCurves(
        named.dictionary.to_pylist(),
        named.indices.to_numpy(),
        **{name: table[name].to_numpy() for name in columns},
    )


def readable(records: Iterable[CellRecord]) -> Iterator[tuple[CellRecord, CellCurves]]:
    """Yield cells with their curves; those whose curves are none are left out, with a warning."""
    for record in records:
        curves = if_readable(partial(read_curves, record))
        if curves is not None:
            yield record, curves
