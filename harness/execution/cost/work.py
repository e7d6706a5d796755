"""The work of solvers in plain counts, and kinds of similar solvers."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from harness.records import TRAINER_VERSION, ProblemSize, Work
from harness.registry import Registry
from harness.suites.cells import Solver, digest

LOG = logging.getLogger("harness.execution")

NETWORK, PILOT = f"network {TRAINER_VERSION}", f"pilot {TRAINER_VERSION}"
"""The kinds of networks and of pilot runs: see `kind`."""


def works_of(
    size: ProblemSize, solvers: Iterable[Solver], registry: Registry
) -> tuple[Work | None, ...]:
    """Return the work of each solver of a problem; None where it is not known.

    The work of networks is known where their structure is, that of theories with a method `cost`. A
    `cost` that fails is reported on the logger ``harness.execution`` and has no other effect.
    """
    return tuple(_work(size, solver, registry) for solver in solvers)


def _work(size: ProblemSize, solver: Solver, registry: Registry) -> Work | None:
    if solver.theory is None:
        if size.other is not None or solver.width is None:
            return None
        return size.training(solver.width, itemsize=8 if solver.dtype == "float64" else 4)
    component = registry.get("theory", solver.theory.name)
    try:
        cost = getattr(solver.theory.make(registry, component), "cost", None)
        found = None if cost is None else cost(size)
    except Exception as error:  # a plugin may raise anything: a prediction is not worth a run
        LOG.warning("theory %r: cost: %s: %s", solver.name, type(error).__name__, error)
        return None
    return found if isinstance(found, Work) else None


def solver_name(solver: Solver) -> str:
    """Return a name shared by all seeds of a width."""
    if solver.theory is None:
        return f"network {solver.width} {solver.dtype}"
    return f"theory {digest(solver.theory.asked)}"


def kind(solver: Solver) -> str:
    """Return a solver's kind, without sizes; errors of prediction are similar within a kind."""
    if solver.theory is None:
        return NETWORK
    return f"{solver.theory.name} {solver.theory.version}"


def distinct(solvers: Iterable[Solver]) -> tuple[Solver, ...]:
    """Return solvers, one seed for each width."""
    return tuple({solver_name(s): s for s in solvers}.values())
