"""The table of a cell's observables as arrays, to take many observables from one reading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

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
    observable: Int[NDArray[np.int32], " values"]
    stage: Int[NDArray[np.int32], " values"]
    step: Int[NDArray[np.int64], " values"]
    time: Float[NDArray[np.float64], " values"]
    index: Float[NDArray[np.float64], " values"]
    value: Float[NDArray[np.float64], " values"]
    stderr: Float[NDArray[np.float64], " values"]

    def where(self, stage: int, name: str) -> Bool[NDArray[np.bool_], " values"]:
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
