"""The part of a cell that scoring needs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness.scoring.values import (
    DENSITY,
    KERNEL,
    LOSSES,
    SCORED,
    kernel_points,
    last_stage,
)
from harness.store import CellRecord
from harness.store.tables import Allowance, thinned

EVERY_STAGE = "preactivation/"
"""Vectors whose names begin so have one value a layer, and are kept for every stage."""


def scored_part(
    record: CellRecord, own: Collection[str] = ()
) -> tuple[pa.Table, dict[str, NDArray[Any]]]:
    """Return the curves and arrays of a cell that scoring needs; a thinned cell stays as it is.

    Numbers are kept at the last step of every stage, and losses of the last stage at every recorded
    step. Of the last stage, vectors are kept at the last step (the predictor, stationary averages,
    observables of one's own), with replicates of scored ones; the last layer's feature kernel is
    kept on its scored points, and its density of pre-activations.

    Args:
        record: a finished cell.
        own: observables of one's own that are scored.

    Raises:
        StoreError: if the cell's files hold something else.
    """
    last, scored = last_stage(record), {*SCORED, *own}
    whole = record.columns(keep=thinned)
    Allowance().take(record.folder / "curves.parquet", len(whole))
    names = whole["observable"].combine_chunks()
    known = np.array(names.dictionary.to_pylist(), dtype=object)
    called = known[names.indices.to_numpy()]
    stage, step = whole["stage"].to_numpy(), whole["step"].to_numpy()
    vector = ~whole["index"].is_null().to_numpy()
    keep = np.zeros(len(whole), dtype=bool)
    for k in np.unique(stage):
        for name in known:
            rows = np.flatnonzero((stage == k) & (called == name))
            if not len(rows):
                continue
            if k == last and name in LOSSES and not vector[rows].any():
                keep[rows] = True
            elif not vector[rows].any() or _wanted(name, scored, k == last):
                keep[rows[step[rows] == step[rows].max()]] = True
    return whole.filter(pa.array(keep)), _arrays(record, last, scored)


def _wanted(name: str, scored: Collection[str], last: bool) -> bool:
    """Return whether a vector is kept."""
    return name.startswith(EVERY_STAGE) or (
        last and (name in scored or name.startswith("stationary/"))
    )


def _arrays(record: CellRecord, last: int, scored: Collection[str]) -> dict[str, NDArray[Any]]:
    """Return the arrays of the last stage that scoring needs."""
    found = {}
    for name in scored:
        key = f"stage{last}/{name}/replicates"
        drawn = record.array(key)
        if drawn is None:
            continue
        if name not in LOSSES and drawn.ndim > 1:
            drawn = drawn[:, -1:]
        found[key] = drawn
    for ending in ("", "/stderr"):
        key = f"stage{last}/{KERNEL}{ending}"
        kernel = record.array(key)
        if kernel is not None and kernel.ndim == 3 and kernel.size:
            rows, columns = map(kernel_points, kernel.shape[1:])
            found[key] = kernel[-1:, rows[:, None], columns]
        key = f"stage{last}/{DENSITY}{ending}"
        density = record.array(key)
        if density is not None and density.ndim == 2:
            found[key] = density[-1:]
    return {name: found[name] for name in sorted(found)}
