"""A cell and the same cell run again: the same bits, the same within errors, or different."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.scoring.values import DENSITY
from harness.store import CellRecord
from harness.store.tables import plain_curves
from harness.submissions.thin import scored_part

Verdict = Literal["same bits", "same within errors", "differs", "cannot be re-run"]

ROUNDING = {"float32": 2.0**-24, "float64": 2.0**-53}
"""Relative error of one rounding."""

FEWEST, PER_STEP = 1024.0, 64.0
"""Allowed roundings of a result at least, and for each step of training."""

LARGEST = 0.01
"""Largest relative difference that is taken for rounding."""

SIGMAS = 4.0
"""Allowed difference of a theory that samples, in standard errors of the difference."""

SPREAD = 3.0
"""Allowed ratio of standard errors, each of which is itself an estimate from a few samples."""

BINS = 0.05
"""Allowed distance between densities without standard errors, in bins."""

SIZES = {"kernel/alignment": 1.0, "preactivation/": 3.0}
"""Least size to which differences of observables are relative, which may vanish: a cosine, and
moments of pre-activations in units of a Gaussian's, whose fourth is 3."""

COUNTED = "accuracy/"
"""Observables that count points: they are of the outputs, and jump where one changes its sign."""

PLACE = ["stage", "observable", "step", "index"]

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Comparison:
    """Outcome of a comparison.

    Attributes:
        verdict: in words.
        reason: how a cell differs, or why it cannot be run again.
        observable: observable that differs most, compared with what is allowed for it.
        difference: its root mean square difference, relative to its size.
        allowed: largest difference that is allowed.
    """

    verdict: Verdict
    reason: str = ""
    observable: str = ""
    difference: float = 0.0
    allowed: float = 0.0

    @property
    def excess(self) -> float:
        """The difference in units of the allowed one."""
        if self.allowed:
            return self.difference / self.allowed
        return np.inf if self.difference or self.verdict == "differs" else 0.0


def compare(given: CellRecord, again: CellRecord, own: Collection[str] = ()) -> Comparison:
    """Compare a cell with the same cell run again here.

    A whole cell is compared with all of the new one, a thinned cell with the part that scoring
    needs. Only errors of the new one count, as a forger can state any.

    Args:
        given: the cell.
        again: the new one.
        own: observables of one's own that are scored.

    Raises:
        StoreError: if the cell's files hold something else.
    """
    if given.status != again.status:
        return Comparison("differs", f"is {given.status}, and {again.status} when run again")
    if again.status != "done":
        return Comparison("same bits")
    return _of_results(given, again, own)


def _of_results(given: CellRecord, again: CellRecord, own: Collection[str]) -> Comparison:
    whole, known = again.curves(), given.curves()
    if len(known) == len(whole):
        parts = (known, given.arrays()), (whole, again.arrays())
    else:
        parts = scored_part(given, own), scored_part(again, own)
    (old, old_arrays), (new, new_arrays) = (
        (plain_curves(table).to_pandas().sort_values(PLACE, ignore_index=True), arrays)
        for table, arrays in parts
    )
    if not old[PLACE].equals(new[PLACE]):
        return Comparison("differs", "has other observables, steps or points than when run again")
    if {n: a.shape for n, a in old_arrays.items()} != {n: a.shape for n, a in new_arrays.items()}:
        return Comparison("differs", "has other arrays than when run again")
    if _same(old, new) and all(np.array_equal(old_arrays[n], a) for n, a in new_arrays.items()):
        return Comparison("same bits")
    if not old["time"].equals(new["time"]):
        return Comparison("differs", "has other times than when run again")
    tolerance = rounding(again, whole.to_pandas())
    found = [
        *_curves(old, new, whole.to_pandas(), tolerance),
        *_arrays(old_arrays, new_arrays, tolerance),
    ]
    return max(found, key=lambda each: each.excess, default=Comparison("same within errors"))


def rounding(record: CellRecord, curves: pd.DataFrame) -> float:
    """Return the relative difference that roundings may make.

    Every step of training rounds, and later steps carry the difference on. Steps of a stable stage
    do not enlarge it much, so that it grows with their number at most: 64 roundings a step.
    Theories may compute in single precision.
    """
    steps = float(curves.groupby("stage")["step"].max().sum())
    unit = ROUNDING[record.facts.solver.dtype or "float32"]
    return float(min(LARGEST, unit * max(FEWEST, PER_STEP * steps)))


def _same(old: pd.DataFrame, new: pd.DataFrame) -> bool:
    names = ["time", "value", "stderr"]
    return all(np.array_equal(old[n], new[n], equal_nan=True) for n in names)


def _curves(
    old: pd.DataFrame, new: pd.DataFrame, whole: pd.DataFrame, tolerance: float
) -> list[Comparison]:
    """Return a comparison of every observable of every stage."""
    found = []
    sizes: Any = whole["value"].abs().groupby([whole["stage"], whole["observable"]]).max()
    for (stage, name), largest in sizes.items():
        at = new.index[(new["stage"] == stage) & (new["observable"] == name)]
        if not len(at) or name.startswith(COUNTED):
            continue
        called = f"{name} of stage {stage}"
        values = new["value"][at].to_numpy(), old["value"][at].to_numpy()
        errors = new["stderr"][at].to_numpy(), old["stderr"][at].to_numpy()
        scale = _rms(values[0]) if new["index"][at].notna().any() else largest
        scale = max(scale, *(size for start, size in SIZES.items() if name.startswith(start)), 0.0)
        if np.isnan(errors[0]).any() != np.isnan(errors[1]).any():
            found.append(Comparison("differs", f"{called}: has other standard errors"))
            continue
        sampled = 0.0 if np.isnan(errors[0]).any() else _rms(errors[0])
        found.append(_judged(called, values, scale, tolerance, sampled))
        if sampled and not 1 / SPREAD <= _rms(errors[1]) / sampled <= SPREAD:
            reason = f"{called}: its standard errors are {_rms(errors[1]) / sampled:.3g} times ours"
            found.append(Comparison("differs", reason))
    return found


def _arrays(old: Arrays, new: Arrays, tolerance: float) -> list[Comparison]:
    found = []
    for name, again in new.items():
        if name.endswith("/stderr"):
            continue
        given, errors = old[name].astype(np.float64), new.get(f"{name}/stderr")
        values, sampled = again.astype(np.float64), 0.0 if errors is None else _rms(errors)
        if name.endswith("/replicates"):
            sampled = _rms(values.std(axis=0, ddof=1)) if len(values) > 1 else 0.0
        if name.endswith(DENSITY) and not sampled:
            moved = _cumulative(values) - _cumulative(given)
            distance = float(np.abs(moved).sum(axis=-1).max())
            found.append(_verdict(name, distance, BINS))
        else:
            found.append(_judged(name, (values, given), _rms(values), tolerance, sampled))
    return found


def _judged(
    name: str,
    values: tuple[NDArray[Any], NDArray[Any]],
    scale: float,
    tolerance: float,
    sampled: float,
) -> Comparison:
    """Return the comparison of new and given values, whose sampling has a standard error."""
    difference = _rms(values[1] - values[0])
    allowed = max(tolerance * scale, SIGMAS * np.sqrt(2) * sampled)
    return _verdict(name, difference / (scale or 1.0), allowed / (scale or 1.0))


def _verdict(name: str, difference: float, allowed: float) -> Comparison:
    within: Verdict = "same within errors" if difference <= allowed else "differs"
    return Comparison(within, "", name, difference, allowed)


def _cumulative(density: NDArray[Any]) -> NDArray[Any]:
    total = density.sum(axis=-1, keepdims=True)
    found: NDArray[Any] = np.cumsum(density / np.where(total == 0, 1, total), axis=-1)
    return found


def _rms(values: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) if values.size else 0.0
