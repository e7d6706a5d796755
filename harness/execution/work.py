"""The work of a cell: networks by their sizes, theories as they say themselves."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from harness.records import ProblemSize, Work
from harness.registry import Registry
from harness.suites.cells import Solver

LOG = logging.getLogger("harness.execution")


def works_of(
    size: ProblemSize, solvers: Iterable[Solver], registry: Registry
) -> tuple[Work | None, ...]:
    """Return the work of each solver of a problem; None where it is not known.

    That of networks is known for dense layers, that of theories where they have a method `cost`.
    A `cost` that fails is reported on the logger ``harness.execution`` and costs nothing else.
    """
    return tuple(_work(size, solver, registry) for solver in solvers)


def _work(size: ProblemSize, solver: Solver, registry: Registry) -> Work | None:
    if solver.theory is None:
        if size.connectivity != "dense" or solver.width is None:
            return None
        return size.training(solver.width, itemsize=8 if solver.dtype == "float64" else 4)
    component = registry.get("theory", solver.theory.name)
    try:
        cost = getattr(solver.theory.make(registry, component), "cost", None)
        found = None if cost is None else cost(size)
    except Exception as error:  # whatever a plugin raised: a prediction is not worth a run
        LOG.warning("theory %r: cost: %s: %s", solver.name, type(error).__name__, error)
        return None
    return found if isinstance(found, Work) else None
