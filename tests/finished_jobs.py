"""Finished jobs, and predictions for cells that rest on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness import Work
from harness.execution.cost.estimates import FLOP, Estimates
from harness.execution.cost.history import Finished
from harness.execution.cost.work import distinct
from harness.suites import Cell

SECOND = 1 / FLOP
"""Operations that take a second by counts."""


def finished(kind: str, counts: float, seconds: float, **others: Any) -> Finished:
    found = {"cells": 4, "compiling": 8.0, "compiled": 16, "loaded": 0} | others
    return Finished(kind=kind, counts=counts, seconds=seconds, **found)


def estimates(
    cells: list[Cell],
    history: Sequence[Finished] = (),
    unit: float = 1.0,
    works: Mapping[str, Work] | None = None,
) -> Estimates:
    """Return estimates in which a network of width N takes N units of seconds and N bytes.

    Theories take `works`, by name; nothing is known of others.
    """
    found, known = Estimates(history), works or {}
    for solver in distinct(c.solver for c in cells):
        width = solver.width
        network = Work(SECOND * unit * (width or 0), bytes=width or 0, programs=10)
        work = known.get(solver.name) if width is None else network
        found.add_works(cells[0].experiment.name, [solver], [work])
    return found
