"""Two results of one cell are the same bits, the same within errors, or different."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stored_cells import NETWORK, THEORY, facts_of, trajectory

from harness.records import Observable, Trajectory
from harness.store import CellRecord, Store
from harness.submissions.comparison import compare
from harness.suites import Cell


def record(folder: Path, cell: Cell, result: Trajectory | None = None) -> CellRecord:
    """Return a cell as it lies in a folder of its own; not applicable if there is no result."""
    store = Store(folder)
    status = "not-applicable" if result is None else "done"
    store.write(cell, facts_of(cell, status), result)
    found = store.read(cell.key)
    assert found is not None
    return found


def moved(result: Trajectory, name: str, share: float, errors: float = 1.0) -> Trajectory:
    """Return a result with one observable of the last stage moved by a share of its size."""
    *others, last = result.stages
    was = last[name]
    values = was.values.astype(np.float64)
    stderr = None if was.stderr is None else errors * was.stderr
    new = Observable(was.steps, values + share * np.sqrt(np.mean(values[-1] ** 2)), stderr)
    return replace(result, stages=(*others, {**last, name: new}))


def verdict(tmp_path: Path, cell: Cell, given: Trajectory, again: Trajectory) -> str:
    found = compare(record(tmp_path / "a", cell, given), record(tmp_path / "b", cell, again))
    return found.verdict


def test_the_same_numbers_are_the_same_bits(tmp_path: Path) -> None:
    assert verdict(tmp_path, NETWORK, trajectory(), trajectory()) == "same bits"


@pytest.mark.parametrize("name", ["output/test", "kernel/feature"])
@pytest.mark.parametrize(("share", "wanted"), [(3e-5, "same within errors"), (3e-4, "differs")])
def test_a_network_may_differ_by_roundings(
    tmp_path: Path, name: str, share: float, wanted: str
) -> None:
    again = trajectory(stderr=False)
    assert verdict(tmp_path, NETWORK, moved(again, name, share), again) == wanted


def test_a_theory_may_differ_by_the_errors_that_it_has_here(tmp_path: Path) -> None:
    again = trajectory(stderr=True)
    for share, errors, wanted in (
        (0.5, 1.0, "same within errors"),
        (0.0, 2.0, "same within errors"),
        (0.0, 4.0, "differs"),
        (0.0, 0.2, "differs"),
        (50.0, 100.0, "differs"),
    ):
        given = moved(again, "output/test", share, errors)
        found = verdict(tmp_path / f"{share}-{errors}", THEORY, given, again)
        assert found == wanted, (share, errors)


def test_what_is_missing_or_does_not_apply_differs(tmp_path: Path) -> None:
    whole = trajectory(stderr=False)
    *others, last = whole.stages
    part = replace(whole, stages=(*others, {n: o for n, o in last.items() if "kernel" not in n}))
    assert verdict(tmp_path, NETWORK, part, whole) == "differs"
    none, some = record(tmp_path / "none", THEORY), record(tmp_path / "some", THEORY, whole)
    found = compare(none, some)
    assert (found.verdict, found.reason) == (
        "differs",
        "is not-applicable, and done when run again",
    )
    assert compare(none, none).verdict == "same bits"
